"""The robot node: a robot, simulated or real, in topics, behind the last watchdog."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosgraph_msgs.msg import Clock

from kuwa_hardware.watchdog import Watchdog
from kuwa_machines.contracts import MachineState, Robot, SimulatedRobot
from kuwa_machines.errors import CommandError
from kuwa_robot.kinds import KINDS, make_robot
from kuwa_robot.timing import Timing
from kuwa_ros import topics
from kuwa_ros.conversions import (
    JointStateWriter,
    command_from,
    hydraulic_msg,
    odometry_msg,
    task_msg,
    terrain_map_msg,
    terrain_msg,
    time_msg,
    truth_msg,
)
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.loop import DeadlineLoop, Loop
from kuwa_ros.main import run
from kuwa_ros.parameters import parameter

REAL_PERIOD = 0.01
"""Period of the loop with a real machine [s]; a simulated one says its own."""
SLOW_EVERY = 2
"""``odom`` and ``pressures`` go out every so many ticks."""


@dataclass(frozen=True)
class RobotParameters:
    """Parameters of the robot node."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    robot: str = parameter("sim", "kind of robot", valid=tuple(KINDS))
    scenario: str = parameter("dig_trench", "scenario of a simulated robot")
    seed: int = parameter(0, "seed of a simulated robot", low=0, high=2**31 - 1)
    speed: float = parameter(1.0, "simulated seconds in a second", unit="s/s", low=0.01, high=100.0)
    watchdog: float = parameter(
        0.2,
        "valves go to neutral after this long without a good command",
        unit="s",
        low=0.02,
        high=2.0,
    )
    stats_file: str = parameter("", "write latency and tick statistics here at the end")


class RobotNode(KuwaNode[RobotParameters]):
    """Reads and commands one robot at its control period."""

    robot: Robot | None = None

    def __init__(self) -> None:
        super().__init__("robot", RobotParameters)

    def configure(self) -> None:
        p = self.p
        self.timing = Timing()
        self._counts: dict[str, object] = {}
        self.robot = make_robot(p.robot, p.machine, p.scenario, p.seed)
        self.robot.connect()
        self._names = tuple(self.robot.spec.joint_names)
        self._simulated = isinstance(self.robot, SimulatedRobot)
        if isinstance(self.robot, SimulatedRobot):
            # What a plant compiles at its first tick is compiled now, not while the stack waits.
            self.robot.advance()
            self.robot.reset(p.seed)
        self._watchdog = Watchdog(self._names, p.watchdog)
        self._joint_states = self.writer(topics.JOINT_STATES)
        self._odom = self.writer(topics.ODOM)
        self._pressures = self.writer(topics.PRESSURES)
        self._terrain = self.writer(topics.TERRAIN)
        self._terrain_map = self.writer(topics.TERRAIN_MAP)
        self._truth = self.writer(topics.GROUND_TRUTH) if self._simulated else None
        self._sim_clock = self.writer(topics.CLOCK) if self._simulated else None
        self._sim_clock_msg = Clock()
        self._to_joint_state = JointStateWriter(self._names)
        self._grid: tuple[Any, ...] = ()
        task = getattr(self.robot, "task", None)
        if task is not None:
            self.writer(topics.TASK)(task_msg(task))
        self.listen(topics.APPLIED, self._applied)

    def activate(self) -> Loop:
        period = REAL_PERIOD
        if isinstance(self.robot, SimulatedRobot):
            period = self.robot.control_period / self.p.speed
        self._tick, self._started = 0, time.monotonic()
        self._last = self._started
        return DeadlineLoop("robot", period, self._step, self.fail)

    def deactivate(self) -> None:
        if self.robot is not None:
            self.robot.neutral()

    def cleanup(self) -> None:
        if self.robot is not None:
            if self.p.stats_file:
                self.timing.write(Path(self.p.stats_file), **self._counts)
            self.robot.close()
            self.robot = None

    def report(self) -> dict[str, object]:
        if self.robot is None:
            return {}
        median, p99 = self.timing.recent()
        return {
            "latency_median_ms": f"{median:.2f}",
            "latency_p99_ms": f"{p99:.2f}",
            "watchdog_trips": self._watchdog.trips,
        }

    def _step(self, now: float) -> None:
        robot = self.robot
        assert robot is not None
        command = self._watchdog.current(now)
        try:
            if command is None:
                robot.neutral()
            else:
                robot.write(command)
            state = robot.advance() if isinstance(robot, SimulatedRobot) else robot.read()
        except BaseException:
            robot.neutral()
            raise
        self._publish(state)
        if self._tick:
            self.timing.ticked(now - self._last)
        self._last = now
        self._tick += 1
        if self.loop is not None:
            self._counts = {
                "ticks": self._tick,
                "missed": self.loop.stats.missed,
                "wall_s": round(now - self._started, 3),
                "watchdog_trips": self._watchdog.trips,
            }

    def _publish(self, state: MachineState) -> None:
        # The joint states first: the whole stack waits for them.
        self.timing.published(state.stamp, time.monotonic())
        self._joint_states(self._to_joint_state(state))
        if self._sim_clock is not None:
            self._sim_clock_msg.clock = time_msg(state.stamp)
            self._sim_clock(self._sim_clock_msg)
        if self._tick % SLOW_EVERY == 0:
            self._odom(odometry_msg(state))
            self._pressures(hydraulic_msg(state, self._names))
            if self._truth is not None and isinstance(self.robot, SimulatedRobot):
                self._truth(truth_msg(self.robot.truth(), state.stamp))
        if state.terrain is not None:
            grid = (state.terrain.x0, state.terrain.y0, state.terrain.cell)
            if grid != self._grid:
                self._terrain_map(terrain_map_msg(state.terrain))
                self._grid = grid
            self._terrain(terrain_msg(state.terrain, state.stamp))

    def _applied(self, message: Any) -> None:
        now = time.monotonic()
        command = command_from(message)
        refused = self._watchdog.receive(now, command)
        if refused:
            raise CommandError(refused)
        self.timing.answered(command.stamp, now)


def main() -> None:
    """Run the node."""
    run(RobotNode)
