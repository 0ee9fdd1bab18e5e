"""The clock of a planned path: it slows when the machine cannot follow, and never jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array


@dataclass(frozen=True, slots=True)
class GovernorSettings:
    """Tuning of :class:`Governor`.

    Args:
        error_full, error_none: the clock runs at full rate below the first edge error and stands
            above the second [m].
        rate_change: how fast the rate may change [1/s].
        stalled_after: standing for this long lifts the path [s].
        lift_speed: how fast the path is lifted [m/s]. lift_max: [m].
        settle_speed: how fast a lifted path comes down again [m/s].
    """

    error_full: float = 0.12
    error_none: float = 0.35
    rate_change: float = 1.0
    stalled_after: float = 0.4
    lift_speed: float = 0.15
    lift_max: float = 0.3
    settle_speed: float = 0.05


class Governor:
    """Path time s and lift of a path, as functions of time that change slowly.

    Args:
        settings: tuning.
    """

    def __init__(self, settings: GovernorSettings | None = None) -> None:
        self._set = settings or GovernorSettings()
        self.reset(0.0, 0.0)

    def reset(self, time: float, s: float) -> None:
        """Start at path time s, at full rate, not lifted."""
        self.time = time
        self.s = s
        self.rate = 1.0
        self._aim = 1.0
        self.lift = 0.0
        self._lifting = 0.0
        self._slow = 0.0

    def advance(self, time: float, error: float) -> None:
        """Go on to ``time`` as promised, then decide anew from the edge error [m] there."""
        elapsed = time - self.time
        s, rate, lift = self.ahead(np.array([elapsed]))
        self.s, self.rate, self.lift = float(s[0]), float(rate[0]), float(lift[0])
        self.time = time
        g = self._set
        self._aim = float(np.clip((g.error_none - error) / (g.error_none - g.error_full), 0, 1))
        self._slow = self._slow + elapsed if self._aim < 0.5 else 0.0
        if self._slow > g.stalled_after:
            self._lifting = g.lift_speed
        elif self._aim > 0.9:
            self._lifting = -g.settle_speed
        else:
            self._lifting = 0.0

    def ahead(self, dt: Array) -> tuple[Array, Array, Array]:
        """Return s, rate and lift at times ``dt`` from the last :meth:`advance`, each (K,)."""
        g = self._set
        change = np.sign(self._aim - self.rate) * g.rate_change
        ramp = abs(self._aim - self.rate) / g.rate_change
        x = np.clip(dt, 0.0, ramp)
        s = self.s + self.rate * dt + change * x * (dt - x / 2)
        # Times before now belong to the past at its own rate.
        s = np.where(dt < 0, self.s + self.rate * dt, s)
        rate = self.rate + change * x
        lift = np.clip(self.lift + self._lifting * np.maximum(dt, 0.0), 0.0, g.lift_max)
        return s, rate, lift
