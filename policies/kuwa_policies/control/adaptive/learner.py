"""What every learner of one output has in common, and the one without spikes.

A learner estimates δ(z) by ŷ(z) = Wᵀψ(z) and learns by a normalised gradient of the squared error
of prediction, in which each basis function has a rate of its own,

    Ẇ_k = η e G_k / (ε + ψ̄ᵀG),        G_k = ψ̄_k / (σ + ⟨ψ̄_k²⟩),

where ψ̄ is the activity that has earned the error: behind a dead time that is not the activity of
now. ⟨ψ̄_k²⟩ is the mean square of one function's activity while something is learnt, which the
function knows by itself: what is seldom or weakly active (the dead band, what the oil gives) learns
as fast as what is always so. Without it the error of the one is learnt into the other first and
has to be unlearnt: the gradient follows the largest eigenvalues of ⟨ψ̄ψ̄ᵀ⟩ (Widrow & Stearns 1985).

The error e(t) = (W* − W(t−Δ))ᵀψ̄ belongs to weights of Δ ago. ψ̄ᵀG/(ε + ψ̄ᵀG) is below 1, so that each
direction of W obeys ẇ(t) = −η w(t−Δ) at the most, which is stable for ηΔ < π/2 and does not
overshoot for ηΔ ≤ 1/e (Hayes 1950).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_machines.contracts import Array

LEAST: Final = 4.0
"""ε: as many basis functions at their usual strength count as little."""
LEAST_POWER: Final = 0.01
"""σ: a mean square next to which activity counts as none."""
FIRST_POWER: Final = 0.05
"""⟨ψ̄²⟩ of who has seen nothing."""
MEMORY: Final = 40.0
"""Time constant of ⟨ψ̄²⟩, of time in which something is learnt [s]: some ten motions. Over one or
two, rates follow the motion of the moment, and what is seldom done is learnt too slowly."""
BENDS: Final = (0.2, 0.5, 1.0)
"""Speeds, in units of the inputs, at which a valve's curve may bend."""


class OutputLearner(Protocol):
    """One output, learnt online."""

    psi: NDArray[Any]
    """Activity of the basis functions, shape (K,)."""
    weights: NDArray[Any]
    """Of ŷ, shape (K,) or (K, N)."""
    learnt: dict[str, NDArray[Any]]
    """All that learning changes, by name: the arrays themselves."""
    bounds: dict[str, tuple[float, float]]
    """Least and greatest value that each of them may hold."""

    def step(self, z: Array, e: float, earned: Array, learn: bool) -> float:
        """Return ŷ for inputs, shape (5,) as in foresight.INPUTS; learn from what was earned."""

    def reset(self) -> None:
        """Return to rest; what was learnt stays."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How fast and how far is learnt.

    Args:
        pace: 1/η, as a multiple of the delay Δ between an output and its error.
        dead_zone: an error below it is noise and model error, in units of the output.
        bound: of a single weight, in units of the output; weights are projected onto it. At 1 the
            gain of one direction alone can fill the bound of ŷ at full speed.
        forget: time constant with which knowledge fades while it is not renewed [s].
    """

    pace: float = 1.4
    dead_zone: float = 0.01
    bound: float = 1.0
    forget: float = 2e4

    def error(self, e: float) -> float:
        """Return the error without its dead zone (Peterson & Narendra 1982)."""
        return e - min(max(e, -self.dead_zone), self.dead_zone)


class Rates:
    """G/(ε + ψ̄ᵀG) of K basis functions.

    Args:
        K: basis functions. period: of control [s].
    """

    def __init__(self, K: int, period: float) -> None:
        self.power = np.full(K, FIRST_POWER)
        """⟨ψ̄²⟩, shape (K,): it belongs to what was learnt."""
        self._share = period / MEMORY
        self._out = np.zeros(K)

    def __call__(self, earned: Array, learn: bool) -> Array:
        """Return them for ψ̄, shape (K,), which is reused; take ψ̄ into the mean if one learns."""
        _rates(earned, self._share if learn else 0.0, self.power, self._out)
        return self._out


class LinearLearner:
    """ψ: of each direction dead band, gain, bends of the valve's curve, load; acceleration, give.

    The regressor of a hydraulic joint, written down rather than grown. See :class:`OutputLearner`.

    Args:
        period: of control [s]. delay: Δ [s].
    """

    def __init__(self, period: float, delay: float, rule: Rule) -> None:
        self.psi = np.zeros(8 + 2 * len(BENDS))
        self.weights = np.zeros(len(self.psi))
        self.rates = Rates(len(self.psi), period)
        self.learnt = {"weights": self.weights, "power": self.rates.power}
        self.bounds = {"weights": (-rule.bound, rule.bound), "power": (0.0, np.inf)}
        self._rule = rule
        self._rate, self._keep = period / (rule.pace * delay), 1.0 - period / rule.forget

    def reset(self) -> None:
        """Return to rest; what was learnt stays."""
        self.psi[:] = 0.0

    def step(self, z: Array, e: float, earned: Array, learn: bool) -> float:
        """See :class:`OutputLearner`."""
        rate = self._rate if learn else 0.0
        keep = self._keep if learn else 1.0
        e, G = self._rule.error(e), self.rates(earned, learn)
        y = _linear(z, e, G, rate, keep, self._rule.bound, self.psi, self.weights)
        return float(y)


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def _linear(z: Any, e: Any, G: Any, rate: Any, keep: Any, bound: Any, psi: Any, w: Any) -> Any:
    u, d, a, p, give = z
    forth, back = max(d, 0.0), min(d, 0.0)
    psi[0], psi[1] = forth, back
    psi[2], psi[3] = max(u, 0.0), min(u, 0.0)
    psi[4], psi[5] = forth * p, back * p
    psi[6], psi[7] = a, give
    for i in range(len(BENDS)):
        psi[8 + 2 * i] = max(u - BENDS[i], 0.0)
        psi[9 + 2 * i] = min(u + BENDS[i], 0.0)
    y = 0.0
    for k in range(len(w)):
        w[k] = min(max(keep * w[k] + rate * e * G[k], -bound), bound)
        y += w[k] * psi[k]
    return y


@njit(cache=True)
def _rates(earned: Any, share: Any, power: Any, out: Any) -> None:
    total = 0.0
    for k in range(len(earned)):
        total += earned[k] * earned[k]
    # At rest nothing is earned, and nothing is to be forgotten.
    if total < LEAST_POWER:
        share = 0.0
    norm = LEAST
    for k in range(len(earned)):
        power[k] += share * (earned[k] * earned[k] - power[k])
        out[k] = earned[k] / (LEAST_POWER + power[k])
        norm += earned[k] * out[k]
    for k in range(len(earned)):
        out[k] /= norm
