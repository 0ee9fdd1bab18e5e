"""What every controller is made with beyond the machine and the period, checked in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kuwa_machines.errors import KuwaError

WHOLE = 1e-6
"""A ratio of two periods this near to a whole number is one: decimals are not exact in binary."""


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    """How a controller is made; what one has no use for, it leaves alone.

    Args:
        seed: of what is drawn, such as decoders and noise.
        neuron_dt: neuron step [s]; a control period must hold a whole number of them.
        learn: whether it adapts while it runs.
        saved: file with what it learnt in an earlier run, restored at once; empty: it begins anew.
    """

    seed: int = 0
    neuron_dt: float = 1e-3
    learn: bool = True
    saved: str = ""

    def neuron_steps(self, period: float) -> int:
        """Return the neuron steps in a control period [s]; see :func:`whole_ratio`."""
        return whole_ratio(period, self.neuron_dt)


def whole_ratio(
    period: float, dt: float, names: tuple[str, str] = ("control period", "neuron_dt")
) -> int:
    """Return how many times ``dt`` is in ``period``, both in seconds.

    Args:
        names: of both, for the message.

    Raises:
        KuwaError: that is no whole number, or not even one.
    """
    ratio = period / dt if dt > 0.0 else math.nan
    steps = round(ratio) if math.isfinite(ratio) else 0
    if steps < 1 or abs(ratio - steps) > WHOLE * steps:
        floor = math.floor(ratio) if math.isfinite(ratio) else 0
        near = (floor, floor + 1) if floor > 0 else (1,)
        right = " or ".join(f"{period / k:.6g}" for k in near)
        raise KuwaError(
            f"{names[1]} is {dt:g} s and the {names[0]} {period:g} s: their ratio is {ratio:.6g}; "
            f"it must be a whole number, as with a {names[1]} of {right} s"
        )
    return steps
