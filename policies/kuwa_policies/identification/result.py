"""What an identification found: numbers with intervals, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from kuwa_machines.contracts import Array
from kuwa_policies.identification.model import Function

PARAMETERS = (
    "dead_time", "dead_band", "curve", "time_constant", "max_flow_positive", "max_flow_negative",
    "leakage",
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A number in SI with its 95 % interval; ``remark`` says why, where the prior was kept."""

    value: float
    low: float
    high: float
    prior: float
    remark: str = ""

    @classmethod
    def kept(cls, prior: float, remark: str) -> Estimate:
        """Return the prior, unchanged, with the reason."""
        return cls(prior, prior, prior, prior, remark)

    @property
    def identified(self) -> bool:
        """Whether the log told the number."""
        return not self.remark


@dataclass(frozen=True)
class FunctionResult:
    """Everything found about one function.

    Attributes:
        name: of the joint.
        estimates: by the names of :data:`PARAMETERS`.
        function: the same as numbers, with what was fitted beside them.
        remarks: what a reader should know.
        profile: dead times [s] and the share of the motion that each leaves unexplained, (P, 2).
        drift: see :func:`kuwa_policies.identification.drift.leakage`.
        trace: time, command, measured and modelled position and velocity, shape (N, 6), of the
            stretches that were fitted; NaN between them.
        rms_q, rms_qd: what the model leaves unexplained [rad], [rad/s]; NaN where nothing fitted.
        explained: share of the position's variance about each block's mean.
        seconds: length of the stretches used.
    """

    name: str
    estimates: dict[str, Estimate]
    function: Function
    remarks: tuple[str, ...]
    profile: Array
    drift: Array
    trace: Array
    rms_q: float
    rms_qd: float
    explained: float
    seconds: float

    @property
    def identified(self) -> bool:
        """Whether the log told anything of this function."""
        return any(estimate.identified for estimate in self.estimates.values())


@dataclass(frozen=True)
class Identification:
    """The result for a machine.

    Attributes:
        machine: its name. source: of the log. seconds: its length.
        functions: by joint name.
        remarks: about the log.
        combined: time, measured and modelled position of a stretch in which several functions
            moved, which no fit saw, shape (N, 1 + 2n); no rows where there is none.
        combined_rms: of the difference about each block's mean, shape (n,) [rad].
    """

    machine: str
    source: str
    seconds: float
    functions: dict[str, FunctionResult]
    remarks: tuple[str, ...]
    combined: Array
    combined_rms: Array
