"""What a robot says of itself beyond its joints, to and from its message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from kuwa_msgs.msg import RobotStatus

from kuwa_machines.contracts import MachineState
from kuwa_ros.conversions import time_msg

LOST = "driver_disconnected"
"""The fault of a status that was there and stays away: whoever sends the joint states then, it is
not the driver."""


def robot_status_msg(
    state: MachineState, kind: str, more_faults: tuple[str, ...] = ()
) -> RobotStatus:
    """Return the status of a robot of this kind; ``more_faults`` are found beside its driver."""
    msg = RobotStatus(
        robot=kind,
        faults=[*state.faults, *more_faults],
        engine_speed=float(state.engine_speed),
        oil_temperature=float(state.oil_temperature),
        pump_pressure=float(state.pump_pressure),
        tool_load=float(state.tool_load),
        base_quaternion_wxyz=np.asarray(state.base_quaternion_wxyz, float),
    )
    msg.header.stamp = time_msg(state.stamp)
    return msg


class StatusMemory:
    """Puts the newest status into joint states.

    Args:
        patience: a status older than this since its receipt says nothing any more [s].
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.kind = ""
        self._fields: dict[str, Any] = {}
        self._at = 0.0

    def take(self, now: float, msg: RobotStatus) -> None:
        """A status came, at steady time ``now`` [s]."""
        self.kind, self._at = msg.robot, now
        self._fields = {
            "faults": tuple(msg.faults),
            "engine_speed": msg.engine_speed,
            "oil_temperature": msg.oil_temperature,
            "pump_pressure": msg.pump_pressure,
            "tool_load": msg.tool_load,
            "base_quaternion_wxyz": np.array(msg.base_quaternion_wxyz, dtype=float),
        }

    def merged(self, now: float, state: MachineState) -> MachineState:
        """Return a joint state with what the newest status says."""
        if not self._fields:
            return state
        if now - self._at > self.patience:
            return replace(state, faults=(*state.faults, LOST))
        return replace(state, **self._fields)
