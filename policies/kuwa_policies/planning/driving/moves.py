"""Slow moves of single joints from rest to rest, sampled into chunks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array


@dataclass(frozen=True, slots=True)
class Move:
    """From rest at ``start`` to rest at ``goal`` with a trapezoid of velocity.

    Args:
        begin: when it begins [s]. start, goal: [rad].
        velocity: in between [rad/s]. ramp: time to reach it, and to stop [s].
    """

    begin: float
    start: float
    goal: float
    velocity: float
    ramp: float

    @classmethod
    def at(
        cls, begin: float, start: float, goal: float, velocity: float, acceleration: float
    ) -> Move:
        """Return the move within these limits, both positive [rad/s], [rad/s²]."""
        way = max(abs(goal - start), 1e-6)
        v = min(velocity, math.sqrt(way * acceleration))
        return cls(begin, start, goal, math.copysign(v, goal - start), v / acceleration)

    @property
    def end(self) -> float:
        """When it ends [s]."""
        return self.begin + abs((self.goal - self.start) / self.velocity) + self.ramp

    def sample(self, time: Array) -> tuple[Array, Array]:
        """Return position and velocity at times [s], each of their shape."""
        into = np.clip(time - self.begin, 0.0, None)
        left = np.clip(self.end - time, 0.0, None)
        share = np.minimum(np.minimum(into, left) / self.ramp, 1.0)
        half = 0.5 * self.velocity / self.ramp
        q = np.where(
            into < self.ramp,
            self.start + half * into**2,
            np.where(
                left < self.ramp,
                self.goal - half * left**2,
                self.start + self.velocity * (into - 0.5 * self.ramp),
            ),
        )
        return q, self.velocity * share
