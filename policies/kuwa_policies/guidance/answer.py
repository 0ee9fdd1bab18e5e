"""How a machine answers to its steering, learnt while it drives."""

from __future__ import annotations

import numpy as np

AT_WORK = 0.5
"""g that is expected of a machine with its tool in the ground."""
FIRST = np.array([0.3, 0.01])
"""Standard deviations of g [1] and κ_0 [1/m] at the beginning."""
DRIFT = np.array([0.04, 0.001])
"""And of their drift, per root metre."""
SEEN = 0.006
"""Of a curvature seen over one metre [1/m]."""
GAINS, OFFSET = (0.25, 1.3), 0.05
"""Bounds of g [1] and κ_0 [1/m]."""


class Answer:
    """How a machine's curvature answers to its steering: κ = g κ(q) + κ_0, a Kalman filter.

    Both drift over the way as random walks, so that what is old is forgotten; their spread never
    exceeds that of the beginning, however long a machine goes straight.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self._x = np.array([gain, 0.0])
        self._P = np.diag(FIRST**2)

    @property
    def gain(self) -> float:
        """g, within bounds that keep the steering stable."""
        return float(min(max(self._x[0], GAINS[0]), GAINS[1]))

    @property
    def offset(self) -> float:
        """κ_0 [1/m]."""
        return float(min(max(self._x[1], -OFFSET), OFFSET))

    def learn(self, geometric: float, seen: float, way: float) -> float:
        """Take in a curvature that was seen; return what was to be expected [1/m].

        Args:
            geometric: κ(q), behind the relaxation. way: since the last one [m].
        """
        P = self._P + np.diag(DRIFT**2) * way
        over = np.maximum(np.sqrt(np.diag(P)) / FIRST, 1.0)
        P = P / np.outer(over, over)
        h = np.array([geometric, 1.0])
        Ph = P @ h
        gain = Ph / (h @ Ph + SEEN**2 / max(way, 1e-3))
        self._x += gain * (seen - h @ self._x)
        self._P = P - np.outer(gain, Ph)
        return self.gain * geometric + self.offset
