"""Compiles what a controller compiles at its first step, before the machine moves."""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array, Controller, MachineState, Spiking, Trajectory
from kuwa_ros.conversions import (
    JointOrder,
    JointStateReader,
    JointStateWriter,
    spikes_msg,
    trajectory_from,
    trajectory_msg,
)


def warm_up(core: Controller, names: tuple[str, ...], home: Array) -> None:
    """Let a core take every kind of reference; its arrays come out of messages as they will then.

    Args:
        names: of the machine's joints.
        home: positions at which it stands, shape (n,) [rad].
    """
    state = JointStateReader(names)(JointStateWriter(names)(at_rest(home)))
    chunk = trajectory_from(trajectory_msg(hold(state), names), JointOrder(names))
    zero = np.zeros(len(names))
    core.reset(state)
    for reference in (chunk, zero, None):
        core.step(state, reference, zero)
    if isinstance(core, Spiking):
        spikes_msg(core.spike_stats(), 0.0, names)


def at_rest(q: Array) -> MachineState:
    """Return a state at rest at these positions, shape (n,) [rad]."""
    n = len(q)
    zero = np.zeros(n)
    return MachineState(
        stamp=0.0,
        q=q,
        qd=zero,
        effort=zero,
        pressure=np.zeros((n, 2)),
        pump_pressure=0.0,
        pump_flow=0.0,
        pump_power=0.0,
        base_position=np.zeros(3),
        base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]),
        base_velocity=np.zeros(6),
        tool_load=0.0,
    )


def hold(state: MachineState) -> Trajectory:
    """Return a chunk that stays where the state is."""
    q = np.tile(state.q, (2, 1))
    return Trajectory(state.stamp, np.array([0.0, 1.0]), q, np.zeros_like(q))
