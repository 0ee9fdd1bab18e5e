"""The non-idealities of analogue hardware: a table, and how much of each a device has."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kuwa_machines.errors import KuwaError, choices


@dataclass(frozen=True, slots=True)
class NonIdeality:
    """One way in which a device differs from the number that it should hold.

    Args:
        name: as in :class:`Flaws`.
        acts_on: which parts.
        law: its equation; ĝ is what was programmed, g what is there, ξ a standard normal number.
        symbol: of its parameter, and unit: of that.
        limits: of the parameter.
        sweep: what degradation curves go through, from harmless to severe.
        source: of the law or of usual values.
    """

    name: str
    acts_on: str
    law: str
    symbol: str
    unit: str
    limits: tuple[float, float]
    sweep: tuple[float, ...]
    source: str


OF_CROSSBARS = "every device of every crossbar"

TABLE = (
    NonIdeality(
        "mismatch", OF_CROSSBARS, "g = ĝ f, f log-normal, mean 1, fixed at manufacture",
        "σ, coefficient of variation", "1", (0.0, 1.0), (0.05, 0.1, 0.2, 0.4),
        "Büchel et al. 2021, mixed-signal chips; 0.2 is what Kuwa promises to bear",
    ),
    NonIdeality(
        "bits", OF_CROSSBARS, "g = round(ĝ (2ᵇ⁻¹ − 1)) / (2ᵇ⁻¹ − 1), ĝ as a share of the largest",
        "b, with the sign; 0: not quantised", "bit", (0.0, 16.0), (6, 5, 4, 3),
        "definition",
    ),
    NonIdeality(
        "stuck_low", OF_CROSSBARS, "g = 0 whatever is programmed",
        "share of devices", "1", (0.0, 1.0), (0.02, 0.05, 0.1, 0.2),
        "definition; dead devices are these",
    ),
    NonIdeality(
        "stuck_high", OF_CROSSBARS, "g = largest whatever is programmed",
        "share of devices", "1", (0.0, 1.0), (0.005, 0.01, 0.02, 0.05),
        "definition",
    ),
    NonIdeality(
        "dead_neurons", "neurons", "never spikes",
        "share of neurons", "1", (0.0, 0.9), (0.1, 0.2, 0.35, 0.5),
        "definition",
    ),
    NonIdeality(
        "drift", OF_CROSSBARS, "g(t) = g(1 s) (t / 1 s)^−n, n = ν (1 + 0.3 ξ) of each device",
        "ν", "1", (0.0, 0.2), (0.01, 0.03, 0.06, 0.1),
        "Joshi et al. 2020, phase-change memory: ν 0.049 to 0.1 and its spread 0.008 to 0.045, as "
        "modelled in aihwkit",
    ),
    NonIdeality(
        "read_noise", OF_CROSSBARS, "g (1 + σ ξ), drawn anew in every neuron step and spike",
        "σ", "1", (0.0, 1.0), (0.02, 0.05, 0.1, 0.3),
        "Joshi et al. 2020, phase-change memory: a few per cent",
    ),
    NonIdeality(
        "ir_drop", "every line of every crossbar",
        "g cosh(κ(1 − s)) / cosh κ at the place s in (0, 1) of a line; 1 / cosh κ = 1 − loss. κ is "
        "proportional to a line's length",
        "loss at the far end of the longest line", "1", (0.0, 0.9), (0.05, 0.1, 0.2, 0.4),
        "line of evenly spread resistance and load (telegrapher's equation at rest)",
    ),
    NonIdeality(
        "threshold_spread", "thresholds", "T (1 + σ ξ), not below T/10, fixed at manufacture",
        "σ", "1", (0.0, 0.5), (0.05, 0.1, 0.2, 0.4),
        "Büchel et al. 2021",
    ),
    NonIdeality(
        "tau_spread", "time constants of membranes and of the lines that hold x̂",
        "τ f, f log-normal, mean 1, fixed at manufacture",
        "σ, coefficient of variation", "1", (0.0, 0.5), (0.05, 0.1, 0.2, 0.4),
        "Büchel et al. 2021",
    ),
    NonIdeality(
        "jitter", "spikes on their way to others", "late by |σ ξ|, in whole neuron steps",
        "σ", "s", (0.0, 0.02), (0.0005, 0.001, 0.002, 0.004),
        "definition",
    ),
)  # fmt: skip

NAMES = tuple(row.name for row in TABLE)


def find(name: str) -> NonIdeality:
    """Return a row of the table by its name."""
    for row in TABLE:
        if row.name == name:
            return row
    raise KuwaError(f"no non-ideality {name!r}; {choices(name, NAMES)}")


@dataclass(frozen=True, slots=True)
class Flaws:
    """How much of each a device has; without any it is ideal. See :data:`TABLE`.

    Args:
        age: time since the weights were programmed [s]; drift counts from there.

    Raises:
        KuwaError: a severity outside its limits.
    """

    mismatch: float = 0.0
    bits: float = 0
    stuck_low: float = 0.0
    stuck_high: float = 0.0
    dead_neurons: float = 0.0
    drift: float = 0.0
    read_noise: float = 0.0
    ir_drop: float = 0.0
    threshold_spread: float = 0.0
    tau_spread: float = 0.0
    jitter: float = 0.0
    age: float = 1.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "age":
                if not 1.0 <= value < float("inf"):
                    raise KuwaError(f"age is {value} s; drift is known from 1 s on")
                continue
            row = find(item.name)
            low, high = row.limits
            if not low <= value <= high:
                raise KuwaError(
                    f"{item.name} is {value}; expected {low:g} to {high:g} {row.unit} "
                    f"({row.symbol})"
                )
        if self.bits not in (0, *range(2, 17)):
            raise KuwaError(f"bits is {self.bits}; expected 2 to 16, or 0: not quantised")
        if self.stuck_low + self.stuck_high > 1.0:
            raise KuwaError(
                f"stuck_low {self.stuck_low} and stuck_high {self.stuck_high} are more than all "
                f"devices together; expected a sum of at most 1"
            )


def flaws(name: str, severity: float) -> Flaws:
    """Return a device's flaws with one of them alone.

    Drift is that of a device a day after it was programmed.
    """
    find(name)
    return Flaws(**{name: severity}, age=86_400.0 if name == "drift" else 1.0)
