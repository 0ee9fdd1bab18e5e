"""One robot in topics: what it measures goes out, what the gate lets through comes in."""

from __future__ import annotations

import math
import time
from typing import Any

from kuwa_hardware.watchdog import Watchdog
from kuwa_machines.contracts import MachineState, Mapped, Robot, SimulatedRobot
from kuwa_machines.errors import CommandError
from kuwa_robot.timing import Timing
from kuwa_ros import topics
from kuwa_ros.conversions import JointStateWriter, command_from, hydraulic_msg
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.status import robot_status_msg
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
"""``odom``, ``tool_force``, ``pressures``, ``robot_status`` and ``ground_truth`` go out every so
many ticks."""
AGE_MAX = 0.1
"""A command that waited longer than this before it was taken counts as this old [s]."""


class Face:
    """A robot's topics.

    Args:
        node: that owns them.
        robot: connected. kind: of robot, by name.
        namespace: of its topics; the node's own if empty.
        watchdog: between the gate and the robot.
    """

    def __init__(
        self, node: KuwaNode[Any], robot: Robot, kind: str, namespace: str, watchdog: Watchdog
    ) -> None:
        self.robot = robot
        self.timing = Timing()
        self.watchdog = watchdog
        self._node, self._kind = node, kind
        self._fingerprint = robot.fingerprint if isinstance(robot, Mapped) else ""
        self._stamp = -math.inf
        self._faults: tuple[str, ...] = ()
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
        self._status = writer(topics.ROBOT_STATUS)
        self._terrain = writer(topics.TERRAIN)
        self._terrain_map = writer(topics.TERRAIN_MAP)
        self._truth = writer(topics.GROUND_TRUTH) if isinstance(robot, SimulatedRobot) else None
        self._to_joint_state = JointStateWriter(names)
        self._grid: tuple[Any, ...] = ()
        self._count = 0
        task = getattr(robot, "task", None)
        if task is not None:
            writer(topics.TASK)(task_msg(task))
        self._commands = node.reader(topics.APPLIED, namespace=namespace)

    def forget(self) -> None:
        """Drop a command that came while nobody drove."""
        self._commands.take()

    def drive(self, now: float) -> None:
        """Give the robot the newest good command, or none; ``now`` on the steady clock [s]."""
        faults: tuple[str, ...] = ()
        taken = self._commands.take_aged()
        if taken is not None:
            try:
                self._receive(now, *taken)
            except Exception as error:
                self._node.complain(topics.APPLIED.name, error)
        command = self.watchdog.current(now)
        if command is None:
            self.robot.neutral()
            if self.watchdog.trips:
                # Until it hears the gate again.
                faults = (*faults, "safety_killed")
        else:
            self.robot.write(command)
        self._faults = faults

    def _tell_status(self, state: MachineState) -> None:
        self._status(robot_status_msg(state, self._kind, self._faults, self._fingerprint))

    def publish(self, state: MachineState) -> None:
        """Tell what was measured; the joint states first, since the whole stack waits for them.

        A driver that has nothing new returns its last state once more: then only its status goes
        out, which says why.
        """
        if state.stamp == self._stamp:
            if self._count % SLOW_EVERY == 0:
                self._tell_status(state)
            self._count += 1
            return
        self._stamp = state.stamp
        self.timing.published(state.stamp, time.monotonic())
        self._joint_states(self._to_joint_state(state))
        if math.isfinite(state.acceleration[0]):
            self._imu(imu_msg(state))
        if self._count % SLOW_EVERY == 0:
            if math.isfinite(state.base_position[0]):
                self._odom(odometry_msg(state))
            if math.isfinite(state.tool_force[0]):
                self._force(force_msg(state))
            self._pressures(hydraulic_msg(state, self._names))
            self._tell_status(state)
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

    def _receive(self, now: float, message: Any, age: float) -> None:
        command = command_from(message)
        refused = self.watchdog.receive(now, command, self._stamp)
        if refused:
            raise CommandError(refused)
        # The age goes by the system's clock, which may be set; it is for the statistics only.
        self.timing.answered(command.stamp, now - min(max(age, 0.0), AGE_MAX))
