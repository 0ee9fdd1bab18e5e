"""One robot in topics: what it measures goes out, what the gate lets through comes in."""

from __future__ import annotations

import math
import time
from typing import Any

from kuwa_hardware.watchdog import Watchdog
from kuwa_machines.contracts import MachineState, Robot, SimulatedRobot
from kuwa_machines.errors import CommandError
from kuwa_robot.timing import Timing
from kuwa_ros import topics
from kuwa_ros.conversions import JointStateWriter, command_from, hydraulic_msg
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.world import (
    force_msg,
    image_msg,
    imu_msg,
    odometry_msg,
    task_msg,
    terrain_map_msg,
    terrain_msg,
    truth_msg,
)

SLOW_EVERY = 2
"""``odom``, ``tool_force``, ``pressures`` and ``ground_truth`` go out every so many ticks."""


class Face:
    """A robot's topics.

    Args:
        node: that owns them.
        robot: connected.
        namespace: of its topics; the node's own if empty.
        patience: of the watchdog [s].
    """

    def __init__(self, node: KuwaNode[Any], robot: Robot, namespace: str, patience: float) -> None:
        self.robot = robot
        self.timing = Timing()
        self.watchdog = Watchdog(tuple(robot.spec.joint_names), patience)
        names = self._names = tuple(robot.spec.joint_names)

        def writer(topic: topics.Topic) -> Any:
            return node.writer(topic, namespace)

        self._writer = writer
        self._joint_states = writer(topics.JOINT_STATES)
        self._odom = writer(topics.ODOM)
        self._imu = writer(topics.IMU)
        self._force = writer(topics.TOOL_FORCE)
        self._cameras: dict[str, Any] = {}
        self._pressures = writer(topics.PRESSURES)
        self._terrain = writer(topics.TERRAIN)
        self._terrain_map = writer(topics.TERRAIN_MAP)
        self._truth = writer(topics.GROUND_TRUTH) if isinstance(robot, SimulatedRobot) else None
        self._to_joint_state = JointStateWriter(names)
        self._grid: tuple[Any, ...] = ()
        self._count = 0
        task = getattr(robot, "task", None)
        if task is not None:
            writer(topics.TASK)(task_msg(task))
        node.listen(topics.APPLIED, self._applied, namespace)

    def drive(self, now: float) -> None:
        """Give the robot the newest good command, or none; ``now`` on the steady clock [s]."""
        command = self.watchdog.current(now)
        if command is None:
            self.robot.neutral()
        else:
            self.robot.write(command)

    def publish(self, state: MachineState) -> None:
        """Tell what was measured; the joint states first, since the whole stack waits for them."""
        self.timing.published(state.stamp, time.monotonic())
        self._joint_states(self._to_joint_state(state))
        if math.isfinite(state.acceleration[0]):
            self._imu(imu_msg(state))
        if self._count % SLOW_EVERY == 0:
            self._odom(odometry_msg(state))
            if math.isfinite(state.tool_force[0]):
                self._force(force_msg(state))
            self._pressures(hydraulic_msg(state, self._names))
            if self._truth is not None and isinstance(self.robot, SimulatedRobot):
                self._truth(truth_msg(self.robot.truth(), state.stamp))
        self._count += 1
        if state.terrain is not None:
            grid = (state.terrain.x0, state.terrain.y0, state.terrain.cell)
            if grid != self._grid:
                self._terrain_map(terrain_map_msg(state.terrain))
                self._grid = grid
            self._terrain(terrain_msg(state.terrain, state.stamp))
        for name, picture in state.images.items():
            if name not in self._cameras:
                self._cameras[name] = self._writer(topics.camera(name))
            self._cameras[name](image_msg(picture, state.stamp, name))

    def _applied(self, message: Any) -> None:
        now = time.monotonic()
        command = command_from(message)
        refused = self.watchdog.receive(now, command)
        if refused:
            raise CommandError(refused)
        self.timing.answered(command.stamp, now)
