"""Messages of joints to and from the contract types: states, commands, chunks, what cores tell.

What is about the world around the machine is in :mod:`kuwa_ros.world`. A float64 array field of a
message is an ``array.array('d')``; assigning one is checked at once, assigning a list or a numpy
array is checked element by element. So they are moved as blocks of bytes.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from kuwa_msgs.msg import HydraulicState, PlanStatus, SafetyState
from kuwa_msgs.msg import JointCommand as JointCommandMsg
from kuwa_msgs.msg import SpikeStats as SpikeStatsMsg
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from kuwa_machines import contracts as c
from kuwa_machines.errors import CommandError

MAX_KNOTS = 1000
"""A longer trajectory chunk is refused."""


def doubles(values: c.Array) -> array[float]:
    """Return ``values`` as the array that a float64[] field takes without looking at each."""
    return array("d", np.ascontiguousarray(values, dtype=np.float64).tobytes())


def numbers(values: Any) -> c.Array:
    """Return a float64[] field as an array of its own."""
    return np.array(values, dtype=np.float64)


def time_msg(seconds: float) -> Time:
    """Return a stamp."""
    whole = math.floor(seconds)
    nanosec = round((seconds - whole) * 1e9)
    if nanosec >= 1_000_000_000:
        whole, nanosec = whole + 1, 0
    return Time(sec=whole, nanosec=nanosec)


def seconds(stamp: Any) -> float:
    """Return a Time or Duration message in seconds."""
    return float(stamp.sec + 1e-9 * stamp.nanosec)


class JointOrder:
    """Finds a machine's joints in a list of names; remembers the last list it saw."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._seen: list[str] = []
        self._index: list[int] = []

    def index(self, names: list[str]) -> list[int]:
        """Return where each joint stands in ``names``, which may hold others too."""
        if names != self._seen:
            absent = [name for name in self.names if names.count(name) != 1]
            if absent:
                raise CommandError(
                    f"joints {names} hold {absent} not exactly once; expected {list(self.names)}"
                )
            self._index = [names.index(name) for name in self.names]
            self._seen = list(names)
        return self._index


class JointStateReader:
    """Makes states of JointState messages, joints matched by name.

    What the message does not carry is NaN, so that nobody takes it for a measurement.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._order = JointOrder(names)
        n = len(names)
        self._unknown = np.full(n, np.nan)
        self._pressure = np.full((n, 2), np.nan)
        self._base = np.full(3, np.nan)
        self._attitude = np.full(4, np.nan)
        self._motion = np.full(6, np.nan)

    def __call__(self, msg: JointState) -> c.MachineState:
        index = self._order.index(msg.name)
        count = len(msg.name)
        if len(msg.position) != count or len(msg.velocity) != count:
            raise CommandError(
                f"joint state has {len(msg.position)} positions and {len(msg.velocity)} "
                f"velocities for {count} names"
            )
        effort = numbers(msg.effort)[index] if len(msg.effort) == count else self._unknown
        return c.MachineState(
            stamp=seconds(msg.header.stamp),
            q=numbers(msg.position)[index],
            qd=numbers(msg.velocity)[index],
            effort=effort,
            pressure=self._pressure,
            pump_pressure=math.nan,
            pump_flow=math.nan,
            pump_power=math.nan,
            base_position=self._base,
            base_quaternion_wxyz=self._attitude,
            base_velocity=self._motion,
            tool_load=math.nan,
        )


class JointStateWriter:
    """Makes JointState messages, reusing one object: publish it before the next call."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._msg = JointState(name=list(names))

    def __call__(self, state: c.MachineState) -> JointState:
        msg = self._msg
        msg.header.stamp = time_msg(state.stamp)
        msg.position = doubles(state.q)
        msg.velocity = doubles(state.qd)
        msg.effort = doubles(state.effort)
        return msg


def command_msg(command: c.JointCommand) -> JointCommandMsg:
    """Return a joint command as a message."""
    msg = JointCommandMsg(sequence=command.sequence, source=command.source, kind=int(command.kind))
    msg.header.stamp = time_msg(command.stamp)
    msg.joint_name = list(command.names)
    msg.value = doubles(command.values)
    if command.mac:
        msg.mac = array("B", command.mac)
    return msg


def command_from(msg: JointCommandMsg) -> c.JointCommand:
    """Return the command of a message; its values are the receiver's to check."""
    try:
        kind = c.CommandKind(msg.kind)
    except ValueError:
        valid = ", ".join(f"{k.value} {k.name}" for k in c.CommandKind)
        raise CommandError(f"command kind {msg.kind} is unknown; valid: {valid}") from None
    return c.JointCommand(
        seconds(msg.header.stamp),
        msg.sequence,
        msg.source,
        kind,
        tuple(msg.joint_name),
        numbers(msg.value),
        bytes(msg.mac),
    )


def safety_msg(safety: c.SafetyState, stamp: float) -> SafetyState:
    """Return the gate's state as a message."""
    msg = SafetyState(mode=safety.mode.value, refused=safety.refused, level=int(safety.level))
    msg.header.stamp = time_msg(stamp)
    msg.alarms = list(safety.alarms)
    msg.reasons = list(safety.reasons)
    msg.limited = list(safety.limited)
    return msg


def safety_from(msg: SafetyState) -> c.SafetyState:
    """Return the gate's state.

    Raises:
        CommandError: there is no such mode or level.
    """
    try:
        mode, level = c.Mode(msg.mode), c.Level(msg.level)
    except ValueError as error:
        raise CommandError(f"safety: {error}; no gate of ours says that") from None
    return c.SafetyState(
        mode, tuple(msg.reasons), tuple(msg.limited), msg.refused, level, tuple(msg.alarms)
    )


def hydraulic_msg(state: c.MachineState, names: tuple[str, ...]) -> HydraulicState:
    """Return the pressures of a state as a message."""
    msg = HydraulicState(
        joint_name=list(names),
        pump_pressure=float(state.pump_pressure),
        pump_flow=float(state.pump_flow),
        pump_power=float(state.pump_power),
        tool_load=float(state.tool_load),
    )
    msg.header.stamp = time_msg(state.stamp)
    msg.head_pressure = doubles(state.pressure[:, 0])
    msg.rod_pressure = doubles(state.pressure[:, 1])
    return msg


def hydraulic_from(msg: HydraulicState, order: JointOrder) -> dict[str, Any]:
    """Return the fields of :class:`MachineState` that the message carries."""
    index = order.index(msg.joint_name)
    count = len(msg.joint_name)
    if len(msg.head_pressure) != count or len(msg.rod_pressure) != count:
        raise CommandError(
            f"pressures: {len(msg.head_pressure)} and {len(msg.rod_pressure)} for {count} joints"
        )
    pressure = np.column_stack([numbers(msg.head_pressure), numbers(msg.rod_pressure)])
    return {
        "pressure": pressure[index],
        "pump_pressure": msg.pump_pressure,
        "pump_flow": msg.pump_flow,
        "pump_power": msg.pump_power,
        "tool_load": msg.tool_load,
    }


def trajectory_msg(trajectory: c.Trajectory, names: tuple[str, ...]) -> JointTrajectory:
    """Return a chunk as a message."""
    msg = JointTrajectory(joint_names=list(names))
    msg.header.stamp = time_msg(trajectory.stamp)
    for t, q, qd in zip(trajectory.t, trajectory.q, trajectory.qd, strict=True):
        point = JointTrajectoryPoint()
        point.positions, point.velocities = doubles(q), doubles(qd)
        at = time_msg(float(t))
        point.time_from_start = Duration(sec=at.sec, nanosec=at.nanosec)
        msg.points.append(point)
    return msg


def trajectory_from(msg: JointTrajectory, order: JointOrder) -> c.Trajectory:
    """Return the chunk of a message.

    Raises:
        CommandError: if it is empty, too long, not finite or its times do not increase from 0.
    """
    index = order.index(msg.joint_names)
    count = len(msg.points)
    if not 0 < count <= MAX_KNOTS:
        raise CommandError(f"trajectory has {count} knots; expected 1 to {MAX_KNOTS}")
    t = np.array([seconds(p.time_from_start) for p in msg.points])
    try:
        # Contiguous: what a core compiles for one memory layout it would compile anew for another.
        q = np.ascontiguousarray(np.array([p.positions for p in msg.points], float)[:, index])
        qd = np.ascontiguousarray(np.array([p.velocities for p in msg.points], float)[:, index])
    except (ValueError, IndexError):
        raise CommandError("trajectory lacks a position or velocity of some joint") from None
    if t[0] != 0.0 or not (np.diff(t) > 0.0).all():
        raise CommandError(f"trajectory times {t[:5].tolist()}… must increase from 0")
    if not (np.isfinite(q).all() and np.isfinite(qd).all()):
        raise CommandError("trajectory has positions or velocities that are not finite")
    return c.Trajectory(seconds(msg.header.stamp), t, q, qd)


def plan_msg(plan: c.Plan, stamp: float) -> PlanStatus:
    """Return what the planner is doing."""
    msg = PlanStatus(phase=plan.phase, cycle=plan.cycle, done=plan.done)
    msg.header.stamp = time_msg(stamp)
    return msg


def spikes_msg(stats: c.SpikeStats, stamp: float, names: tuple[str, ...]) -> SpikeStatsMsg:
    """Return what a controller's neurons are doing as a message."""
    msg = SpikeStatsMsg(
        neurons=int(stats.neurons),
        alive=int(stats.alive),
        mean_rate=float(stats.mean_rate),
        max_rate=float(stats.max_rate),
        isi_cv=float(stats.isi_cv),
        ei_correlation=float(stats.ei_correlation),
        spikes=int(stats.spikes),
        synaptic_operations=int(stats.synaptic_operations),
        weight_norm=float(stats.weight_norm),
        learning=bool(stats.learning),
        reason=stats.reason,
    )
    msg.header.stamp = time_msg(stamp)
    msg.joint_name = list(names)
    msg.prediction_error = doubles(stats.prediction_error)
    return msg


def spikes_from(msg: SpikeStatsMsg, order: JointOrder) -> c.SpikeStats:
    """Return what a controller's neurons are doing.

    Raises:
        CommandError: it is about other joints.
    """
    index, error = order.index(msg.joint_name), numbers(msg.prediction_error)
    if len(error) != len(msg.joint_name):
        raise CommandError(f"spikes: {len(error)} errors for {len(msg.joint_name)} joints")
    return c.SpikeStats(
        msg.neurons,
        msg.alive,
        msg.mean_rate,
        msg.max_rate,
        msg.isi_cv,
        msg.ei_correlation,
        msg.spikes,
        msg.synaptic_operations,
        msg.weight_norm,
        msg.learning,
        msg.reason,
        error[index],
    )
