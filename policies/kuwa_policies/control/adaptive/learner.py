"""What every learner of one output has in common, and the one without spikes.

A learner estimates δ(z) by ŷ(z) = Wᵀψ(z) and learns by the normalised gradient of the squared
error of prediction,

    Ẇ = η e ψ̄ / (ε + |ψ̄|²),

where ψ̄ is the activity that has earned the error: behind a dead time that is not the activity of
now. The error e(t) = (W* − W(t−Δ))ᵀψ̄ belongs to weights of Δ ago, so each direction of W obeys
ẇ(t) = −η w(t−Δ), which is stable for ηΔ < π/2 and does not overshoot for ηΔ ≤ 1/e (Hayes 1950).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_machines.contracts import Array

LEAST_POWER: Final = 0.3
"""ε: next to it, activity counts as none."""
BENDS: Final = (0.2, 0.5, 1.0)
"""Speeds, in units of the inputs, at which a valve's curve may bend."""


class OutputLearner(Protocol):
    """One output, learnt online."""

    psi: NDArray[Any]
    """Activity of the basis functions, shape (K,)."""
    weights: NDArray[Any]
    """What was learnt; its shape is the learner's own."""

    def step(self, z: Array, e: float, earned: Array, learn: bool) -> float:
        """Return ŷ for inputs, shape (4,) as in foresight.INPUTS; learn from what was earned."""

    def reset(self) -> None:
        """Return to rest; what was learnt stays."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How fast and how far is learnt.

    Args:
        pace: 1/η, as a multiple of the delay Δ between an output and its error.
        dead_zone: an error below it is noise and model error, in units of the output.
        bound: of a single weight, in units of the output; weights are projected onto it.
        forget: time constant with which knowledge fades while it is not renewed [s].
    """

    pace: float = 1.4
    dead_zone: float = 0.01
    bound: float = 3.0
    forget: float = 2e4

    def error(self, e: float, earned: Array) -> float:
        """Return the error without its dead zone (Peterson & Narendra 1982), normalised."""
        return float(
            (e - min(max(e, -self.dead_zone), self.dead_zone)) / (LEAST_POWER + earned @ earned)
        )


class LinearLearner:
    """ψ: of each direction its dead band, gain, bends of the valve's curve and load; acceleration.

    The regressor of a hydraulic joint, written down rather than grown. See :class:`OutputLearner`.

    Args:
        period: of control [s]. delay: Δ [s].
    """

    def __init__(self, period: float, delay: float, rule: Rule) -> None:
        self.psi = np.zeros(7 + 2 * len(BENDS))
        self.weights = np.zeros(len(self.psi))
        self._rule = rule
        self._rate, self._keep = period / (rule.pace * delay), 1.0 - period / rule.forget

    def reset(self) -> None:
        """Return to rest; what was learnt stays."""
        self.psi[:] = 0.0

    def step(self, z: Array, e: float, earned: Array, learn: bool) -> float:
        """See :class:`OutputLearner`."""
        rate = self._rate if learn else 0.0
        keep = self._keep if learn else 1.0
        e = self._rule.error(e, earned)
        y = _linear(z, e, earned, rate, keep, self._rule.bound, self.psi, self.weights)
        return float(y)


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def _linear(z: Any, e: Any, earned: Any, rate: Any, keep: Any, bound: Any, psi: Any, w: Any) -> Any:
    u, d, a, p = z
    forth, back = max(d, 0.0), min(d, 0.0)
    psi[0], psi[1] = forth, back
    psi[2], psi[3] = max(u, 0.0), min(u, 0.0)
    psi[4], psi[5] = forth * p, back * p
    psi[6] = a
    for i in range(len(BENDS)):
        psi[7 + 2 * i] = max(u - BENDS[i], 0.0)
        psi[8 + 2 * i] = min(u + BENDS[i], 0.0)
    y = 0.0
    for k in range(len(w)):
        w[k] = min(max(keep * w[k] + rate * e * earned[k], -bound), bound)
        y += w[k] * psi[k]
    return y
