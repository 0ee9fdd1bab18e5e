"""Skid steering: from speed and turning rate to the sprockets, with the tracks' slip in a turn.

A track that turns slides sideways all along its length l, so its shoes must also run faster than
the hull moves, by ω a. With Coulomb friction and even pressure (Steeds 1950; Wong, Theory of Ground
Vehicles, ch. 6) the shoes' pull and their sideways drag balance about the middle of the tracks:

    B a asinh(l/2a) = (l/2) √((l/2)² + a²) − a² asinh(l/2a)

so that the tracks turn the machine as if they were B + 2a apart. The soil's strength cancels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kuwa_machines.contracts import Array
from kuwa_machines.errors import MachineError
from kuwa_machines.spec import MachineSpec, Tracks

SPARE = 0.9
"""Share of the sprockets' speed that a plan may use."""


def turning_gauge(gauge: float, length: float) -> float:
    """Return how far apart tracks without slip would be that turn the machine alike [m]."""
    half = length / 2

    def lacking(a: float) -> float:
        area = math.asinh(half / a)
        return gauge * a * area - half * math.hypot(half, a) + a * a * area

    low, high = 1e-6 * length, 10.0 * length
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if lacking(middle) > 0.0 else (middle, high)
    return gauge + 2 * high


@dataclass(frozen=True, slots=True)
class SkidSteer:
    """What driving needs of a tracked machine's data.

    Args:
        left, right: indices of the sprockets' joints.
        radius: of the sprockets [m]. gauge: that tracks without slip would have [m].
        centre: x of the middle of the tracks in the undercarriage's frame; it turns about it [m].
        lag: from a command to the sprockets' speed [s].
        top_speed: of a track [m/s].
        length: of the tracks on the ground [m].
    """

    left: int
    right: int
    radius: float
    gauge: float
    centre: float
    lag: float
    top_speed: float
    length: float

    @classmethod
    def from_spec(cls, spec: MachineSpec) -> SkidSteer:
        """Return the steering in a machine's data.

        Raises:
            MachineError: it does not stand on two driven tracks.
        """
        tracks = spec.undercarriage
        if not isinstance(tracks, Tracks) or tracks.left is None or tracks.right is None:
            raise MachineError(f"{spec.name}: it does not drive on two tracks; this needs them")
        left, right = (spec.joint_names.index(n) for n in (tracks.left, tracks.right))
        valves = [spec.joints[n].drive.valve for n in (tracks.left, tracks.right)]
        return cls(
            left, right, tracks.sprocket_radius, turning_gauge(tracks.gauge, tracks.length),
            tracks.centre, max(v.dead_time + v.time_constant for v in valves),
            SPARE * tracks.sprocket_radius * float(spec.qd_max[[left, right]].min()),
            tracks.length,
        )  # fmt: skip

    def sprockets(self, speed: ArrayLike, rate: ArrayLike, gauge: float) -> Array:
        """Return the sprockets' speeds, left and right, shape (..., 2) [rad/s].

        Where a track would be too fast both are slowed alike, which keeps the curve.

        Args:
            speed: of the middle of the tracks [m/s]. rate: of turning to the left [rad/s].
            gauge: as it was found while turning, or the one from the data [m].
        """
        v, w = np.broadcast_arrays(np.asarray(speed, float), np.asarray(rate, float))
        out = np.stack([v - 0.5 * gauge * w, v + 0.5 * gauge * w], axis=-1)
        fastest = np.abs(out).max(axis=-1, keepdims=True)
        return np.asarray(
            out * np.minimum(1.0, self.top_speed / np.maximum(fastest, 1e-9)) / self.radius
        )

    def odometry(self, qd: Array) -> float:
        """Return the speed along the hull that the sprockets turn for, without slip [m/s]."""
        return float(0.5 * self.radius * (qd[self.left] + qd[self.right]))
