"""The control node: for each joint state, the valve command that follows the reference."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_machines.contracts import (
    Array,
    CommandKind,
    Controller,
    JointCommand,
    Learner,
    MachineState,
    Mode,
    Trajectory,
)
from kuwa_machines.errors import CommandError, KuwaError
from kuwa_machines.overlay import load_machine_as
from kuwa_policies.control.controllers import CONTROLLERS, DEFAULT, make_controller
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import keep
from kuwa_ros import topics
from kuwa_ros.conversions import (
    JointOrder,
    JointStateReader,
    JointStateWriter,
    command_from,
    command_msg,
    trajectory_from,
    trajectory_msg,
)
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.loop import Loop, MessageLoop
from kuwa_ros.main import run
from kuwa_ros.parameters import ParameterError, parameter

SOURCE = {Mode.AUTO: "control", Mode.TELEOP: "teleop"}
STATE_WAIT = 0.1
"""Without a joint state the loop wakes this often [s], and sends nothing."""
YOUNG = 0.25
"""A chunk that begins this near to a change of mode was made for the new mode [s]; one that ended
longer ago than this was meant for another time."""
EARLY = 1.0
"""So is one that begins later than this [s]: clocks do not agree."""


@dataclass(frozen=True)
class ControlParameters:
    """Parameters of the control node."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    controller: str = parameter(DEFAULT, "controller", valid=tuple(CONTROLLERS))
    controller_state: str = parameter(
        "", "file with what the controller learnt in an earlier run; empty: it begins anew"
    )
    controller_state_out: str = parameter(
        "", "file where the controller saves what it has learnt when the node is deactivated"
    )
    learn: bool = parameter(True, "whether the controller adapts while it runs")
    seed: int = parameter(0, "of what a controller draws", low=0, high=2**31 - 1)
    neuron_dt: float = parameter(
        0.001,
        "neuron step; the period must hold a whole number of them",
        unit="s",
        low=1e-5,
        high=0.1,
    )
    period: float = parameter(
        0.01, "control period, the time between two joint states", unit="s", low=0.001, high=0.1
    )
    velocity_timeout: float = parameter(
        0.2,
        "a velocity reference counts as zero this long after its receipt",
        unit="s",
        low=0.02,
        high=1.0,
    )


class ControlNode(KuwaNode[ControlParameters]):
    """Follows the trajectory in mode auto and the velocity reference in mode teleop."""

    core: Controller | None = None

    def __init__(self) -> None:
        super().__init__("control", ControlParameters)

    def configure(self) -> None:
        p = self.p
        spec = load_machine_as(p.machine, p.parameters)
        self._names = tuple(spec.joint_names)
        options = ControllerOptions(p.seed, p.neuron_dt, p.learn, p.controller_state)
        self.core = make_controller(p.controller, spec, p.period, options)
        self._keep_at = self._checked_file(p.controller_state_out)
        self._to_state = JointStateReader(self._names)
        self._order = JointOrder(self._names)
        self._states = self.reader(topics.JOINT_STATES)
        self._trajectories = self.reader(topics.TRAJECTORY)
        self._velocities = self.reader(topics.VELOCITY_REFERENCE)
        self._applied_commands = self.reader(topics.APPLIED)
        self._safety = self.reader(topics.SAFETY)
        self._request = self.writer(topics.REQUEST)
        # A restarted node must count on from above where it was: the gate refuses a step back.
        self._sequence = time.monotonic_ns() // 1_000_000
        self._mode = Mode.OFF
        self._stamp = -np.inf
        self._trajectory: Trajectory | None = None
        self._forget(0.0)
        options = replace(options, saved="")
        self._warm_up(make_controller(p.controller, spec, p.period, options), spec.home)

    def _warm_up(self, core: Controller, home: Array) -> None:
        """Compile what a core compiles at its first step now, not when the machine moves.

        The core is another one of the same kind, so that the one in use learns nothing from it;
        the arrays come out of messages as they will then.
        """
        rest = self._to_state(JointStateWriter(self._names)(at_rest(home)))
        chunk = trajectory_from(trajectory_msg(hold(rest), self._names), self._order)
        core.reset(rest)
        for reference in (chunk, self._velocity, None):
            core.step(rest, reference, self._applied)

    def _checked_file(self, name: str) -> Path | None:
        """Return where to save what was learnt, or None where nothing is."""
        if not name or not isinstance(self.core, Learner):
            return None
        path = Path(name)
        if not path.parent.is_dir():
            raise ParameterError(f"controller_state_out {name}: there is no such folder")
        return path

    def activate(self) -> Loop:
        return MessageLoop("control", self, self._states, STATE_WAIT, self._step, self.fail)

    def deactivate(self) -> None:
        if self._keep_at is None:
            return
        assert isinstance(self.core, Learner)
        try:
            keep(self.core, self._keep_at)
        except KuwaError as error:
            # A full disk must not keep a machine from being stopped.
            self.get_logger().error(f"what the controller has learnt is lost: {error}")

    def _forget(self, stamp: float) -> None:
        """Forget what was asked for before, except a chunk as young as the change of mode itself:
        it may overtake the news of the mode, but an old one would make the machine jump."""
        if self._trajectory is not None and abs(stamp - self._trajectory.stamp) > YOUNG:
            self._trajectory = None
        self._velocity, self._velocity_at = np.zeros(len(self._names)), -np.inf
        self._applied = np.zeros(len(self._names))

    def _step(self, now: float, message: Any | None) -> None:
        if message is None:
            return
        try:
            state = checked_state(self._to_state(message))
        except Exception as error:
            self.complain("joint state", error)
            return
        self._listen(now, state)
        if self._mode not in SOURCE:
            return
        assert self.core is not None
        values = self.core.step(state, self._reference(now), self._applied)
        if not np.isfinite(values).all():
            raise CommandError(
                f"controller {self.p.controller!r} asks for {values.tolist()}; expected numbers"
            )
        self._sequence += 1
        command = JointCommand(
            state.stamp,
            self._sequence,
            SOURCE[self._mode],
            CommandKind.VALVE,
            self._names,
            values,
        )
        self._request(command_msg(command))

    def _reference(self, now: float) -> Trajectory | Array | None:
        if self._mode is Mode.AUTO:
            return self._trajectory
        if now - self._velocity_at > self.p.velocity_timeout:
            return np.zeros(len(self._names))
        return self._velocity

    def _listen(self, now: float, state: MachineState) -> None:
        """Take what came since the last state; begin anew when the mode or the clock jumps."""
        assert self.core is not None
        safety = self._safety.take()
        mode = self._mode if safety is None else Mode(safety.mode)
        if mode is not self._mode or state.stamp < self._stamp:
            self._mode = mode
            self.core.reset(state)
            self._forget(state.stamp)
        self._stamp = state.stamp
        try:
            applied = self._applied_commands.take()
            if applied is not None:
                self._applied = command_from(applied).ordered(self._names)
            trajectory = self._trajectories.take()
            if trajectory is not None:
                chunk = trajectory_from(trajectory, self._order)
                self._trajectory = checked_chunk(chunk, state.stamp)
            velocity = self._velocities.take()
            if velocity is not None:
                self._velocity, self._velocity_at = self._checked(velocity), now
        except Exception as error:
            self.complain("reference", error)

    def _checked(self, message: Any) -> Array:
        command = command_from(message)
        values = command.ordered(self._names)
        if command.kind is not CommandKind.VELOCITY_FRACTION or not (np.abs(values) <= 1).all():
            raise CommandError(
                f"velocity reference is {command.kind.name} {values.tolist()}; "
                f"expected VELOCITY_FRACTION with values in [-1, 1]"
            )
        return values


def checked_state(state: MachineState) -> MachineState:
    """Return a state whose joints are all measured.

    Raises:
        CommandError: a joint has a position or a velocity that is no number: what a core has once
            learnt from it, it would not get rid of.
    """
    if not (np.isfinite(state.q).all() and np.isfinite(state.qd).all()):
        raise CommandError(
            f"joint state at {state.stamp:.3f} s has positions {state.q.tolist()} and velocities "
            f"{state.qd.tolist()}; expected numbers"
        )
    return state


def checked_chunk(chunk: Trajectory, now: float) -> Trajectory:
    """Return a chunk that is about the time around ``now`` [s].

    Raises:
        CommandError: it is over, or begins long after now.
    """
    end = chunk.stamp + float(chunk.t[-1])
    if end < now - YOUNG or chunk.stamp > now + EARLY:
        raise CommandError(
            f"trajectory from {chunk.stamp:.3f} to {end:.3f} s is refused in a state of "
            f"{now:.3f} s: it is {'over' if end < now else 'too early'}"
        )
    return chunk


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


def main() -> None:
    """Run the node."""
    run(ControlNode)
