"""What a robot says of itself beyond its joints, to and from its messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from kuwa_msgs.msg import HydraulicState, RobotStatus
from nav_msgs.msg import Odometry

from kuwa_machines.contracts import MachineState
from kuwa_ros.conversions import JointOrder, hydraulic_from, time_msg
from kuwa_ros.world import odometry_from

LOST = "driver_disconnected"
"""The fault of a status that was there and stays away: whoever sends the joint states then, it is
not the driver."""


def robot_status_msg(
    state: MachineState, kind: str, more_faults: tuple[str, ...] = (), fingerprint: str = ""
) -> RobotStatus:
    """Return the status of a robot of this kind.

    Args:
        more_faults: found beside its driver. fingerprint: of its own files.
    """
    msg = RobotStatus(
        robot=kind,
        fingerprint=fingerprint,
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
    """Puts the newest status, pressures and position into joint states.

    Args:
        patience: what is older than this since its receipt says nothing any more [s].
        names: the machine's joints.
    """

    def __init__(self, patience: float, names: tuple[str, ...]) -> None:
        self.patience = patience
        self.kind = self.fingerprint = ""
        self._fields: dict[str, Any] = {}
        self._at = 0.0
        self._order = JointOrder(names)
        self._others: dict[str, tuple[float, Any]] = {}
        """By field, when it was received and what it is."""

    def take(self, now: float, msg: RobotStatus) -> None:
        """A status came, at steady time ``now`` [s]."""
        self.kind, self.fingerprint, self._at = msg.robot, msg.fingerprint, now
        self._fields = {
            "faults": tuple(msg.faults),
            "engine_speed": msg.engine_speed,
            "oil_temperature": msg.oil_temperature,
            "pump_pressure": msg.pump_pressure,
            "tool_load": msg.tool_load,
            "base_quaternion_wxyz": np.array(msg.base_quaternion_wxyz, dtype=float),
        }

    def pressures(self, now: float, msg: HydraulicState) -> None:
        """Pressures came, at steady time ``now`` [s]."""
        self._others["pressure"] = now, hydraulic_from(msg, self._order)["pressure"]

    def odometry(self, now: float, msg: Odometry) -> None:
        """A position came, at steady time ``now`` [s]; the status has the newer attitude."""
        fields = odometry_from(msg)
        for name in ("base_position", "base_stamp"):
            self._others[name] = now, fields[name]

    def merged(self, now: float, state: MachineState) -> MachineState:
        """Return a joint state with what is known beside it."""
        young = {k: v for k, (at, v) in self._others.items() if now - at <= self.patience}
        if self._fields and now - self._at > self.patience:
            young["faults"] = (*state.faults, LOST)
        else:
            young |= self._fields
        return replace(state, **young) if young else state
