"""The control node: for each joint state, the valve command that follows the reference."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_control.checks import (
    YOUNG,
    checked_applied,
    checked_chunk,
    checked_state,
    checked_velocity,
    jump_limits,
)
from kuwa_control.keeper import Keeper
from kuwa_control.warm import warm_up
from kuwa_hardware.failures import timeout
from kuwa_machines.contracts import (
    SPIKE_STATS_PERIOD,
    Array,
    CommandKind,
    Controller,
    JointCommand,
    Learner,
    Level,
    MachineState,
    Mode,
    Spiking,
    Trajectory,
)
from kuwa_machines.errors import CommandError
from kuwa_machines.overlay import load_machine_as
from kuwa_policies.control.controllers import CONTROLLERS, DEFAULT, make_controller
from kuwa_policies.control.options import ControllerOptions
from kuwa_ros import topics
from kuwa_ros.conversions import (
    JointOrder,
    JointStateReader,
    command_from,
    command_msg,
    hydraulic_from,
    safety_from,
    seconds,
    spikes_msg,
    trajectory_from,
)
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.loop import Loop, MessageLoop
from kuwa_ros.main import run
from kuwa_ros.parameters import ParameterError, parameter
from kuwa_ros.sealing import envelope_of

SOURCE = {Mode.AUTO: "control", Mode.TELEOP: "teleop"}
PRESSURES_AGE = 0.1
"""Pressures older than this say nothing of now [s]."""
SETTLE = 0.3
"""Beyond dead time and deceleration, until a joint counts as at rest [s]."""
HOLD, WAIT = "hold", "wait"
"""Why it holds, where that is no row of the failure table."""
STATE_WAIT = 0.1
"""Without a joint state the loop wakes this often [s], and sends nothing."""


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
        "", "file where the controller saves what it has learnt, now and then and at the end"
    )
    controller_state_period: float = parameter(
        60.0,
        "between two saves while the node is active; 0: only when it is deactivated",
        unit="s",
        low=0.0,
        high=86400.0,
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
        timeout("control.velocity_timeout"),
        "the joints are brought to rest this long after the receipt of a velocity reference",
        unit="s",
        low=0.02,
        high=1.0,
    )
    trajectory_timeout: float = parameter(
        timeout("control.trajectory_timeout"),
        "the joints are brought to rest this long after the receipt of a chunk",
        unit="s",
        low=0.1,
        high=60.0,
    )
    key_file: str = parameter(
        "", "key of the stack, for codes on requests and on what is followed; empty: none"
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
        self._to_state = JointStateReader(self._names)
        self._order = JointOrder(self._names)
        self._states = self.reader(topics.JOINT_STATES)
        self._hydraulics = self.reader(topics.PRESSURES)
        self._envelope = envelope_of(p.key_file, self.get_namespace())
        self._trajectories = self.sealed_reader(topics.TRAJECTORY, self._envelope)
        self._velocities = self.sealed_reader(topics.VELOCITY_REFERENCE, self._envelope)
        self._applied_commands = self.reader(topics.APPLIED)
        self._safety = self.reader(topics.SAFETY)
        self._request = self.writer(topics.REQUEST)
        self._followed = self.writer(topics.REFERENCE)
        self._spikes = self.writer(topics.SPIKES)
        self._holding = ""
        # From here on it reports: what a report is made of is there, also if this raises.
        options = ControllerOptions(p.seed, p.neuron_dt, p.learn, p.controller_state)
        self.core = make_controller(p.controller, spec, p.period, options)
        self._keeper = self._made_keeper(p.controller_state_out)
        self._spiking = self.core if isinstance(self.core, Spiking) else None
        self._spikes_every = max(round(SPIKE_STATS_PERIOD / p.period), 1)
        # A restarted node must count on from above where it was: the gate refuses a step back.
        self._sequence = time.monotonic_ns() // 1_000_000
        self._pressures: dict[str, Any] = {}
        self._pressures_at = -np.inf
        self._mode, self._level = Mode.OFF, Level.NONE
        self._reach = jump_limits(spec)
        self._spec, self._rest_at = spec, 0.0
        self._still = np.zeros(len(self._names))
        self._stamp = -np.inf
        self._trajectory: Trajectory | None = None
        self._trajectory_at = -np.inf
        self._forget(0.0)
        # Another core of the same kind, so that the one in use learns nothing from it.
        spare = make_controller(p.controller, spec, p.period, replace(options, saved=""))
        warm_up(spare, self._names, spec.home)

    def _made_keeper(self, name: str) -> Keeper | None:
        """Return what saves what is learnt, or None where nothing is."""
        if not name or not isinstance(self.core, Learner):
            return None
        path = Path(name)
        if not path.parent.is_dir():
            raise ParameterError(f"controller_state_out {name}: there is no such folder")
        return Keeper(self.core, path, self.p.controller_state_period, self.get_logger().error)

    def activate(self) -> Loop:
        if self._keeper is not None:
            self._keeper.start()
        return MessageLoop("control", self, self._states, STATE_WAIT, self._step, self.fail)

    def report(self) -> dict[str, object]:
        if self.core is None:
            return {}
        forged = {
            "reference_forged": self._velocities.judge.lately(),
            "trajectory_forged": self._trajectories.judge.lately(),
        }
        alarms = [self._holding] if self._holding not in ("", HOLD, WAIT) else []
        alarms += [code for code, why in forged.items() if why]
        return {
            "hold": self._holding,
            "forged": "; ".join(filter(None, forged.values())),
            "alarms": " ".join(alarms),
        }

    def deactivate(self) -> None:
        if self._keeper is not None:
            self._keeper.stop()

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
            state = self._with_pressures(checked_state(self._to_state(message)))
        except Exception as error:
            self.complain("joint state", error)
            return
        self._listen(now, state)
        if self._mode not in SOURCE:
            return
        assert self.core is not None
        reference = self._reference(now, state)
        values = self.core.step(state, reference, self._applied)
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
        if self._envelope is not None:
            command = self._envelope.seal(command)
        self._request(command_msg(command))
        self._followed(command_msg(self._following(state, reference)))
        if self._spiking is not None and self._sequence % self._spikes_every == 0:
            self._spikes(spikes_msg(self._spiking.spike_stats(), state.stamp, self._names))

    def _following(self, state: MachineState, reference: Trajectory | Array | None) -> JointCommand:
        """Return what is followed now as the action that learning uses: fractions of velocity.

        Its source says whose it is: of the planner, of the operator, or a hold.
        """
        if self._holding or reference is None:
            source, values = HOLD, self._still
        elif isinstance(reference, Trajectory):
            _, qd = reference.sample(state.stamp)
            source, values = "planning", np.clip(qd / self._spec.qd_max, -1.0, 1.0)
        else:
            source, values = "teleop", reference
        return JointCommand(
            state.stamp, self._sequence, source, CommandKind.VELOCITY_FRACTION, self._names, values
        )

    def _with_pressures(self, state: MachineState) -> MachineState:
        """Return the state with the newest pressures; without any that are young they stay NaN."""
        try:
            message = self._hydraulics.take()
            if message is not None:
                self._pressures = hydraulic_from(message, self._order)
                self._pressures_at = seconds(message.header.stamp)
        except Exception as error:
            self.complain("pressures", error)
        if abs(state.stamp - self._pressures_at) > PRESSURES_AGE:
            return state
        return replace(state, **self._pressures)

    def _reference(self, now: float, state: MachineState) -> Trajectory | Array | None:
        """Return what to follow: what was asked for, else a hold.

        A hold is a velocity of zero for as long as the joints need to come to rest, and neutral
        valves after, which lock the oil: a controller would go on moving spools in their dead
        bands. A ramp down at the joints' modelled deceleration was measured to take up to three
        times as long and to be no softer.
        """
        code, why = self._reason_to_hold(now)
        if code and not self._holding:
            self._rest_at = now + self._stopping_time(state.qd)
        if code != self._holding:
            self._holding = code
            log = self.get_logger()
            log.warning(f"hold: {why}") if code else log.info("the hold is over")
        if code:
            return self._still if now < self._rest_at else None
        if self._mode is Mode.TELEOP:
            return self._velocity
        return self._trajectory

    def _stopping_time(self, qd: Array) -> float:
        """Return how long the joints need from this velocity, shape (n,) [rad/s], to rest [s]."""
        return SETTLE + float(np.max(self._spec.dead_time + np.abs(qd) / self._spec.qdd_max))

    def _reason_to_hold(self, now: float) -> tuple[str, str]:
        """Return a row of the failure table, or what else makes it hold, and words; else two ""."""
        if self._level >= Level.HOLD:
            return HOLD, f"the gate says {self._level.name.lower()}"
        if self._mode is Mode.TELEOP:
            age, limit = now - self._velocity_at, self.p.velocity_timeout
            code, what = "reference_lost", "velocity reference"
        elif self._trajectory is None:
            return WAIT, "no trajectory yet"
        else:
            age, limit = now - self._trajectory_at, self.p.trajectory_timeout
            code, what = "policy_slow", "trajectory"
        return (code, f"no new {what} for more than {limit:g} s") if age > limit else ("", "")

    def _listen(self, now: float, state: MachineState) -> None:
        """Take what came since the last state; begin anew when the mode or the clock jumps."""
        assert self.core is not None
        mode = self._mode
        try:
            message = self._safety.take()
            if message is not None:
                safety = safety_from(message)
                mode, self._level = safety.mode, safety.level
                if self._level >= Level.HOLD:
                    # What was planned before is not where the machine is after.
                    self._trajectory = None
        except Exception as error:
            self.complain("safety", error)
        if mode is not self._mode or state.stamp < self._stamp:
            self._mode = mode
            self.core.reset(state)
            self._forget(state.stamp)
        self._stamp = state.stamp
        try:
            applied = self._applied_commands.take()
            if applied is not None:
                told = command_from(applied)
                self._applied = checked_applied(told, self._names, self._envelope)
        except Exception as error:
            self.complain("applied command", error)
        try:
            trajectory = self._trajectories.take()
            if trajectory is not None:
                self._take_trajectory(now, state, trajectory)
            velocity = self._velocities.take()
            if velocity is not None:
                self._velocity = checked_velocity(command_from(velocity), self._names)
                self._velocity_at = now
        except Exception as error:
            self.complain("reference", error)

    def _take_trajectory(self, now: float, state: MachineState, message: Any) -> None:
        if not message.points:
            # As elsewhere in ROS, an empty one takes back what was sent before.
            self._trajectory = None
            return
        chunk = trajectory_from(message, self._order)
        self._trajectory = checked_chunk(chunk, state, self._reach)
        self._trajectory_at = now


def main() -> None:
    """Run the node."""
    run(ControlNode)
