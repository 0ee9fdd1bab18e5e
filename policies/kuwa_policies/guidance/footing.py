"""How high and how tilted a machine on wheels stands: from the ground under its tyres.

The ground's map tells what is coming; what it does not tell, sinkage, the tyres' give and the
machine's load, changes slowly and is averaged from what the machine measures of itself. The rear
axle gives roll and height, a swinging front axle only its middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.chain import Chain
from kuwa_machines.contracts import HeightMap, MachineState
from kuwa_machines.kinematics import rotation
from kuwa_machines.spec import MachineSpec, Wheels
from kuwa_policies.guidance.ground import below

PRINT = 0.25
"""Half the length of a tyre's print over which the ground is averaged [m]."""


@dataclass(frozen=True, slots=True)
class Stance:
    """Height of the origin [m], roll about +x and pitch about +y [rad], each shape (K,)."""

    z: Array
    roll: Array
    pitch: Array

    def heights(self, points: Array) -> Array:
        """Return heights of points in the machine's frame, shape (K, P, 3) or (P, 3) [m]."""
        cr, sr = np.cos(self.roll)[:, None], np.sin(self.roll)[:, None]
        cp, sp = np.cos(self.pitch)[:, None], np.sin(self.pitch)[:, None]
        x, y, z = points[..., 0], points[..., 1], points[..., 2]
        return np.asarray(self.z[:, None] - sp * x + cp * (sr * y + cr * z))


class Footing:
    """Predicts a machine's stance along its way.

    Args:
        spec: a machine on wheels.
        settle: time constants of what the map does not tell, height, roll and pitch [s].
    """

    def __init__(
        self, spec: MachineSpec, settle: tuple[float, float, float] = (0.6, 20.0, 0.4)
    ) -> None:
        under = spec.undercarriage
        assert isinstance(under, Wheels)
        feet = np.array(
            [Chain(spec, w.link).place(spec.home, (0.0, 0.0, 0.0)) for w in under.wheels.values()]
        )
        rear = feet[:, 0] < feet[:, 0].mean()
        self._rear, self._front = feet[rear, :2], feet[~rear, :2]
        self._x = (float(self._front[:, 0].mean()), float(self._rear[:, 0].mean()))
        feet = np.concatenate([self._rear, self._front])
        self._prints = np.concatenate([feet + np.array([a, 0.0]) for a in (-PRINT, 0.0, PRINT)])
        self._settle = np.array(settle)
        self._offset = np.full(3, np.nan)
        self._stamp = math.nan

    def observe(self, state: MachineState, ground: HeightMap, x: float, y: float) -> None:
        """Compare what the machine measures with what the map says.

        Args:
            x, y: where it is [m].
        """
        if not np.isfinite(state.base_quaternion_wxyz).all():
            return
        R = rotation(state.base_quaternion_wxyz)
        heading = np.array([math.atan2(R[1, 0], R[0, 0])])
        told = self._told(ground, np.array([x]), np.array([y]), heading)
        fix = state.base_position
        # The height belongs to the place of the fix, which is older.
        there = told if not np.isfinite(fix).all() else self._told(
            ground, fix[:1], fix[1:2], heading
        )  # fmt: skip
        measured = np.array([
            fix[2] - there.z[0],
            math.atan2(R[2, 1], R[2, 2]) - told.roll[0],
            math.asin(min(max(-R[2, 0], -1.0), 1.0)) - told.pitch[0],
        ])  # fmt: skip
        dt = state.stamp - self._stamp if math.isfinite(self._stamp) else 0.0
        self._stamp = state.stamp
        first = np.isnan(self._offset)
        blend = np.where(first, 1.0, 1.0 - np.exp(-dt / self._settle))
        new = np.where(first, 0.0, self._offset)
        new = new + blend * (measured - new)
        self._offset = np.where(np.isfinite(measured), new, self._offset)

    def stance(self, ground: HeightMap, x: Array, y: Array, heading: Array) -> Stance:
        """Return the stance at places along the way, each shape (K,)."""
        told = self._told(ground, x, y, heading)
        z, _, pitch = np.where(np.isnan(self._offset), 0.0, self._offset)
        return Stance(told.z + z, told.roll, told.pitch + pitch)

    @property
    def roll_error(self) -> float:
        """What the inertial unit's roll is too great by, as the ground has it [rad]."""
        return 0.0 if math.isnan(self._offset[1]) else float(self._offset[1])

    def _told(self, ground: HeightMap, x: Array, y: Array, heading: Array) -> Stance:
        heights = below(ground, x, y, heading, self._prints).reshape(len(x), 3, -1).mean(axis=1)
        rear, front = heights[:, : len(self._rear)], heights[:, len(self._rear) :]
        side = self._rear[:, 1]
        roll = (rear * side).sum(axis=1) / (side**2).sum()
        back = rear.mean(axis=1)
        pitch = (back - front.mean(axis=1)) / (self._x[0] - self._x[1])
        return Stance(back + pitch * self._x[1], np.arctan(roll), np.arctan(pitch))
