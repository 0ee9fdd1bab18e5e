"""The planning node: from the task and the newest terrain to trajectory chunks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from kuwa_hardware.failures import timeout
from kuwa_machines.contracts import HeightMap, MachineState, Mode, Plan, Planner, Task
from kuwa_machines.errors import CommandError, KuwaError
from kuwa_machines.overlay import load_machine_as
from kuwa_planning.planners import PLANNERS, make_planner
from kuwa_ros import topics
from kuwa_ros.conversions import (
    JointOrder,
    JointStateReader,
    hydraulic_from,
    plan_msg,
    safety_from,
    trajectory_msg,
)
from kuwa_ros.lifecycle import MAX_WORDS, KuwaNode
from kuwa_ros.loop import DeadlineLoop, Loop
from kuwa_ros.main import run
from kuwa_ros.parameters import parameter
from kuwa_ros.sealing import envelope_of
from kuwa_ros.world import force_from, imu_from, odometry_from, task_from, terrain_from

POLL_PERIOD = 0.02
"""How often the clock of the states is looked at [s]: it may run faster than real time."""
PATIENCE = 5.0
"""A planner may think this long [s]; the machine rests at the end of its last chunk meanwhile."""

BLIND = "blind"
"""What it says of itself while it has no map that is young enough."""
UNKNOWN_VELOCITY = np.full(6, np.nan)


@dataclass(frozen=True)
class PlanningParameters:
    """Parameters of the planning node."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    planner: str = parameter("expert", "planner", valid=tuple(PLANNERS))
    terrain_timeout: float = parameter(
        timeout("planning.terrain_timeout"),
        "nothing is planned on a height map that is older than this since its receipt",
        unit="s",
        low=0.2,
        high=60.0,
    )
    key_file: str = parameter("", "key of the stack, for codes on chunks; empty: none")


class PlanningNode(KuwaNode[PlanningParameters]):
    """Plans in mode auto, one planner period of the states' clock after the other."""

    core: Planner | None = None

    def __init__(self) -> None:
        super().__init__("planning", PlanningParameters)

    def configure(self) -> None:
        spec = load_machine_as(self.p.machine, self.p.parameters)
        self._names = tuple(spec.joint_names)
        self.core = make_planner(self.p.planner, spec)
        self._to_state = JointStateReader(self._names)
        self._order = JointOrder(self._names)
        self._readers = {
            topic: self.reader(topic)
            for topic in (
                topics.JOINT_STATES,
                # The inertial unit's attitude is newer than the one in odom: it is taken after.
                topics.ODOM,
                topics.IMU,
                topics.TOOL_FORCE,
                topics.PRESSURES,
                topics.TERRAIN_MAP,
                topics.TERRAIN,
                topics.TASK,
                topics.SAFETY,
            )
        }
        self._trajectory = self.sealed_writer(
            topics.TRAJECTORY, envelope_of(self.p.key_file, self.get_namespace())
        )
        self._status = self.writer(topics.PLAN_STATUS)
        self._extra: dict[str, Any] = {}
        self._grid: Any = None
        self._terrain: HeightMap | None = None
        self._terrain_at = -np.inf
        self._alarm = ""
        self._task: Task | None = None
        self._begun: Task | None = None
        self._mode = Mode.OFF
        self._planned_at = -np.inf
        self._phase = "waiting"
        self._refused = ""

    def activate(self) -> Loop:
        loop = DeadlineLoop("planning", POLL_PERIOD, self._step, self.fail)
        loop.patience = PATIENCE
        return loop

    def report(self) -> dict[str, object]:
        return {} if self.core is None else {"phase": self._phase, "alarms": self._alarm}

    def _step(self, now: float) -> None:
        state = self._listen(now)
        core, task, terrain = self.core, self._task, self._terrain
        if state is None or core is None or task is None or terrain is None:
            return
        if self._mode is not Mode.AUTO:
            self._begun, self._phase = None, "waiting"
            return
        if task != self._begun or state.stamp < self._planned_at:
            # A task begins when the machine may move; after a stop it begins anew from where
            # the ground is now.
            self._begun, self._planned_at = task, -np.inf
            self._refused = ""
            try:
                core.reset(task)
            except KuwaError as error:
                self._refuse(f"refused: {error}", state.stamp)
        if self._refused:
            return
        was_blind = bool(self._alarm)
        blind = self._too_old(now)
        due = state.stamp - self._planned_at >= core.period - 1e-6
        if not due and (was_blind or not blind):
            return
        self._planned_at = state.stamp
        if blind:
            self._take_back(BLIND, state.stamp)
            return
        plan = core.step(state, terrain)
        if plan.trajectory is not None:
            self._trajectory(trajectory_msg(plan.trajectory, self._names))
        self._phase = plan.phase
        self._status(plan_msg(plan, state.stamp))

    def _refuse(self, why: str, stamp: float) -> None:
        """Nothing can be made of the task: say so, and plan nothing until there is another."""
        self._refused = why
        self.get_logger().error(f"task {why}"[:MAX_WORDS])
        self._take_back(why[:MAX_WORDS], stamp)

    def _take_back(self, phase: str, stamp: float) -> None:
        """Take back what was sent; control holds the machine at once."""
        self._phase = phase
        self._trajectory(JointTrajectory(joint_names=list(self._names)))
        self._status(plan_msg(Plan(None, phase, 0, False), stamp))

    def _too_old(self, now: float) -> bool:
        """Say whether the newest map is too old to plan on; without plans control holds."""
        age, limit = now - self._terrain_at, self.p.terrain_timeout
        alarm = "terrain_stale" if age > limit else ""
        if alarm != self._alarm:
            self._alarm = alarm
            log = self.get_logger()
            words = f"no height map for more than {limit:g} s: nothing is planned"
            log.warning(words) if alarm else log.info("height maps come again")
        return bool(alarm)

    def _listen(self, now: float) -> MachineState | None:
        """Take what is new; return the newest state if there is one."""
        state = None
        for topic, reader in self._readers.items():
            message = reader.take()
            if message is None:
                continue
            try:
                if topic is topics.JOINT_STATES:
                    state = _finite(self._to_state(message))
                else:
                    self._take(topic, message)
                if topic is topics.TERRAIN:
                    self._terrain_at = now
            except Exception as error:
                self.complain(topic.name, error)
        return None if state is None else replace(state, **self._extra)

    def _take(self, topic: topics.Topic, message: Any) -> None:
        if topic is topics.ODOM:
            self._extra |= odometry_from(message)
        elif topic is topics.IMU:
            self._extra |= imu_from(message, self._extra.get("base_velocity", UNKNOWN_VELOCITY))
        elif topic is topics.TOOL_FORCE:
            self._extra |= force_from(message)
        elif topic is topics.PRESSURES:
            self._extra |= hydraulic_from(message, self._order)
        elif topic is topics.TERRAIN_MAP:
            self._grid = message
        elif topic is topics.TERRAIN and self._grid is not None:
            self._terrain = terrain_from(message, self._grid)
        elif topic is topics.TASK:
            self._task = task_from(message)
        elif topic is topics.SAFETY:
            self._mode = safety_from(message).mode


def _finite(state: MachineState) -> MachineState:
    """Return the state.

    Raises:
        CommandError: a position or velocity is no number.
    """
    if not (np.isfinite(state.q).all() and np.isfinite(state.qd).all()):
        raise CommandError(f"positions {state.q.tolist()}, velocities {state.qd.tolist()}")
    return state


def main() -> None:
    """Run the node."""
    run(PlanningNode)
