"""What OPERA's messages say beyond joint positions: velocity, place, attitude, pressures, load."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from kuwa_hardware.com3.oil import Drives, delivered
from kuwa_machines.contracts import Array, MachineState
from kuwa_machines.kinematics import rotation
from kuwa_machines.spec import MachineSpec
from kuwa_robot.opera_codec import Decoder
from kuwa_robot.opera_table import Profile
from kuwa_ros.conversions import seconds


def blank(spec: MachineSpec) -> MachineState:
    """Return a state that knows nothing; its stamp is before all others."""
    n = len(spec.joints)
    nothing = np.full(n, np.nan)
    return MachineState(
        stamp=-math.inf, q=nothing, qd=nothing, effort=nothing, pressure=np.full((n, 2), np.nan),
        pump_pressure=math.nan, pump_flow=math.nan, pump_power=math.nan,
        base_position=np.full(3, np.nan), base_quaternion_wxyz=np.full(4, np.nan),
        base_velocity=np.full(6, np.nan), tool_load=math.nan,
    )  # fmt: skip


def joint_velocity(
    decoder: Decoder, message: Any, q: Array, stamp: float, before: MachineState
) -> Array:
    """Return the joint velocities of a message, or those between it and the state before [rad/s].

    Raises:
        OperaError: of a wrong number of velocities, or none finite.
    """
    if len(message.velocity):
        return decoder.take(message.name, message.velocity)
    if not math.isfinite(before.stamp):
        return np.zeros(len(q))
    return np.asarray((q - before.q) / (stamp - before.stamp))


def placed(state: MachineState, message: Any) -> MachineState:
    """Return the state with the place and speed of an odometry; its twist is in the machine's
    frame."""
    p, o, v, w = (
        message.pose.pose.position, message.pose.pose.orientation,
        message.twist.twist.linear, message.twist.twist.angular,
    )  # fmt: skip
    quaternion = np.array([o.w, o.x, o.y, o.z])
    length = float(np.linalg.norm(quaternion))
    quaternion = quaternion / length if length > 0.5 else np.full(4, np.nan)
    turn = rotation(quaternion)
    velocity = np.concatenate([turn @ [v.x, v.y, v.z], turn @ [w.x, w.y, w.z]])
    return replace(
        state, base_position=np.array([p.x, p.y, p.z]), base_quaternion_wxyz=quaternion,
        base_velocity=velocity, base_stamp=seconds(message.header.stamp),
    )  # fmt: skip


class Oil:
    """Pressures by joint, and what they make of torque, flow and power.

    Args:
        spec: the machine. profile: its names.
    """

    def __init__(self, spec: MachineSpec, profile: Profile) -> None:
        self._places = [profile.pressures.get(name) for name in spec.joint_names]
        self._count = profile.pressure_count
        whole = all(joint.drive.type != "hydrostatic" for joint in spec.joints.values())
        self._drives = Drives(spec) if whole else None
        self._pressure: Array | None = None

    def take(self, message: Any) -> None:
        """Keep the newest; an array of another length than the documents say is left alone."""
        if not self._count or len(message.array) != self._count:
            return
        values = [float(one.fluid_pressure) for one in message.array]
        self._pressure = np.array([
            [np.nan, np.nan] if pair is None else [values[k] for k in pair]
            for pair in self._places
        ])  # fmt: skip

    def told(self, state: MachineState) -> MachineState:
        """Return the state with what the newest pressures tell."""
        if self._pressure is None:
            return state
        state = replace(state, pressure=self._pressure)
        if self._drives is None or not np.isfinite(self._pressure).all():
            return state
        flow, power = delivered(self._pressure, self._drives.flow(state.q, state.qd))
        effort = self._drives.torque(state.q, self._pressure)
        return replace(state, pump_flow=flow, pump_power=power, effort=effort)


def loaded(state: MachineState, message: Any, density: float) -> MachineState:
    """Return the state with the mass of the soil volume in the tool [m³ to kg]."""
    return replace(state, tool_load=density * max(float(message.data), 0.0))


class Body:
    """The inertial unit on the upper body: attitude and specific force of the undercarriage.

    Args:
        spec: the machine; without a joint that turns the whole body the unit is on the base.
    """

    def __init__(self, spec: MachineSpec) -> None:
        turning = [
            j for j, joint in enumerate(spec.joints.values())
            if joint.axis == "z" and joint.parent == spec.undercarriage.link
            and joint.drive.type == "motor"
        ]  # fmt: skip
        self.swing = turning[0] if turning else -1
        self._newest: Any = None

    def take(self, message: Any) -> None:
        """Keep the newest."""
        self._newest = message

    def stand(self, state: MachineState) -> MachineState:
        """Return the state with the undercarriage's attitude, where a message told it."""
        if self._newest is None or not math.isfinite(state.stamp):
            return state
        o, a = self._newest.orientation, self._newest.linear_acceleration
        quaternion = np.array([o.w, o.x, o.y, o.z])
        length = float(np.linalg.norm(quaternion))
        if not length > 0.5:
            return state
        angle = float(state.q[self.swing]) if self.swing >= 0 else 0.0
        c, s = math.cos(angle), math.sin(angle)
        back = np.array([math.cos(angle / 2), 0.0, 0.0, -math.sin(angle / 2)])
        return replace(
            state, base_quaternion_wxyz=product(quaternion / length, back),
            acceleration=np.array([c * a.x - s * a.y, s * a.x + c * a.y, a.z]),
        )  # fmt: skip


def product(a: Array, b: Array) -> Array:
    """Return the product of two quaternions (w, x, y, z)."""
    w, x, y, z = a
    return np.array([
        w * b[0] - x * b[1] - y * b[2] - z * b[3], w * b[1] + x * b[0] + y * b[3] - z * b[2],
        w * b[2] - x * b[3] + y * b[0] + z * b[1], w * b[3] + x * b[2] - y * b[1] + z * b[0],
    ])  # fmt: skip
