"""Where the undercarriage stands, as a plan needs it: quietly.

The positioning sensor's noise would shake every chunk, and a machine that works does not travel:
its position is averaged for long. Its attitude rocks with every cut and has to be followed.
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array, MachineState
from kuwa_machines.kinematics import rotation, transform

POSITION_TIME = 2.0
"""Time constant with which plans follow the position [s]."""
ATTITUDE_TIME = 0.6
"""Time constant with which plans follow the attitude [s]."""


class BaseFollower:
    """Low-pass of the measured pose of an undercarriage.

    Args:
        state: the first measurement.
    """

    def __init__(self, state: MachineState) -> None:
        self._position = state.base_position.copy()
        self._quaternion = state.base_quaternion_wxyz.copy()
        self._stamp = state.stamp

    def follow(self, state: MachineState) -> Array:
        """Take a measurement; return T_world_base, shape (4, 4)."""
        elapsed = max(state.stamp - self._stamp, 0.0)
        self._stamp = state.stamp
        if np.all(np.isfinite(state.base_position)):
            blend = 1 - np.exp(-elapsed / POSITION_TIME)
            self._position += blend * (state.base_position - self._position)
        towards = state.base_quaternion_wxyz
        if np.all(np.isfinite(towards)):
            if towards @ self._quaternion < 0:
                towards = -towards
            self._quaternion += (1 - np.exp(-elapsed / ATTITUDE_TIME)) * (
                towards - self._quaternion
            )
            self._quaternion /= np.linalg.norm(self._quaternion)
        return self.pose

    @property
    def pose(self) -> Array:
        """T_world_base, shape (4, 4)."""
        return transform(self._position, self._quaternion)

    @property
    def level(self) -> Array:
        """The same of a machine that stands level there: T_world_level, shape (4, 4)."""
        R = rotation(self._quaternion)
        yaw = np.arctan2(R[1, 0], R[0, 0])
        return transform(self._position, np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]))
