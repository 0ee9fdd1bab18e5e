"""A machine that is not there: its controllers on a bus, a plant behind them, the site's sensors.

It is a process of its own, beside the stack and not part of it: to the driver it is the machine.
What on a real site comes from other sensors than the machine's bus, it tells as topics: ground,
inertial unit, load pins, pictures, the task, and what only a simulation knows. Their stamps are of
the system's clock, as the driver's are.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import can
from rclpy.node import Node
from rclpy.utilities import try_shutdown

from kuwa_hardware.canbus import BusSettings
from kuwa_machines.contracts import MachineState, SimulatedRobot
from kuwa_machines.errors import KuwaError, choices
from kuwa_robot.kinds import make_robots
from kuwa_robot.plant_joints import PLANT_JOINTS, PlantJoints
from kuwa_ros import topics
from kuwa_ros.loop import DeadlineLoop
from kuwa_ros.main import run
from kuwa_ros.parameters import declare, parameter, read
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

SLOW_EVERY: Final = 2
"""``tool_force`` and ``ground_truth`` go out every so many ticks."""
CATCH_UP: Final = 10
"""Ticks that the plant goes on at once where the computer was held up; more are left out."""
FOLLOW: Final = 0.01
"""Share by which the plant's clock follows the system's each tick."""


class Controllers(Protocol):
    """A machine's controllers on a bus."""

    def step(self, ticks: int = 1) -> MachineState:
        """Listen, set the valves, let the plant go on by so many periods; return its state."""


def _com3(robot: SimulatedRobot, bus: can.BusABC) -> Controllers:
    from kuwa_hardware.com3.machine import EmulatedMachine

    return EmulatedMachine(robot, bus)


def _isobus(robot: SimulatedRobot, bus: can.BusABC) -> Controllers:
    from kuwa_hardware.isobus.machine import EmulatedTractor

    return EmulatedTractor(robot, bus)


KINDS: Final[dict[str, Callable[[SimulatedRobot, can.BusABC], Controllers]]] = {
    "com3_can": _com3,
    "isobus": _isobus,
}
WITHOUT_POSE: Final = frozenset({"isobus"})
"""Buses that do not tell where the machine stands: its receiver is another sensor of the site."""


@dataclass(frozen=True)
class EmulatedParameters:
    """Parameters of the emulated machine."""

    robot: str = parameter("com3_can", "kind of bus and controllers", valid=tuple(KINDS))
    bus: str = parameter("", "the bus, e.g. udp_multicast:239.74.163.2:30113")
    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    plant: str = parameter("sim", "what is behind it", valid=("sim", "mock"))
    scenario: str = parameter("dig_trench", "scenario of the plant")
    seed: int = parameter(0, "seed of the plant", low=0, high=2**31 - 1)
    cameras: bool = parameter(False, "make the pictures of the machine's cameras")
    plant_joints: bool = parameter(False, "tell emulated sensors where the plant's joints are")
    stats_file: str = parameter("", "write statistics of ticks and frames here at the end")


class EmulatedMachineNode(Node):
    """One emulated machine; the topics of its site are in the node's namespace."""

    def __init__(self) -> None:
        super().__init__("machine")
        declare(self, EmulatedParameters)
        p = self.p = read(self, EmulatedParameters)
        settings = BusSettings.parse(p.bus)
        robots = make_robots(p.plant, p.machine, p.parameters, p.scenario, p.seed, p.cameras)
        robot = next(iter(robots.values()))
        if not isinstance(robot, SimulatedRobot):
            raise KuwaError(f"plant {p.plant!r} is no simulation; {choices(p.plant, ('sim',))}")
        self.robot = robot
        robot.connect()
        robot.advance()  # what a plant compiles at its first tick is compiled now
        robot.reset(p.seed)
        self.bus = settings.open()
        self.machine = KINDS[p.robot](robot, self.bus)
        self._site = _Site(self, robot, pose=p.robot in WITHOUT_POSE)
        self._joints: PlantJoints | None = None
        if p.plant_joints:
            t = PLANT_JOINTS
            publish = self.create_publisher(t.type, t.name, t.qos()).publish
            self._joints = PlantJoints(publish, tuple(robot.spec.joint_names))
        self._ticks = self._left_out = 0
        self._start = time.monotonic()
        self._offset = time.time() - robot.read().stamp
        self._loop = DeadlineLoop("machine", robot.control_period, self._step, self._failed)
        self._loop.start()
        self.get_logger().info(f"{p.machine} answers on {settings}")

    def finish(self) -> None:
        """Stop the loop and let the plant go."""
        self._loop.stop()
        if self.p.stats_file:
            self._write(Path(self.p.stats_file))
        self.robot.close()
        self.bus.shutdown()

    def _step(self, now: float) -> None:
        period = self.robot.control_period
        due = int((now - self._start) / period) + 1 - self._ticks
        if due > CATCH_UP:
            # The machine's time stands still with its computer.
            skipped = due - CATCH_UP
            self._left_out += skipped
            self._start += skipped * period
            self._offset += skipped * period
            due = CATCH_UP
        ticks = max(due, 1)
        self._ticks += ticks
        state = self.machine.step(ticks)
        if self._joints is not None:
            self._joints.tell(state)
        self._offset += FOLLOW * (time.time() - state.stamp - self._offset)
        self._site.tell(state, state.stamp + self._offset)

    def _failed(self, error: Exception) -> None:
        self.get_logger().fatal(f"the machine broke down: {error}")
        try_shutdown()

    def _write(self, path: Path) -> None:
        stats = self._loop.stats
        values = {
            "ticks": self._ticks, "steps": stats.ticks, "missed": stats.missed,
            "left_out": self._left_out, "wall_s": round(time.monotonic() - self._start, 3),
            "sent": getattr(self.machine, "sent", 0),
            "received": getattr(self.machine, "received", 0),
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=1) + "\n")


class _Site:
    """What other sensors tell of the machine and its ground."""

    def __init__(self, node: Node, robot: SimulatedRobot, pose: bool) -> None:
        self._node, self._robot = node, robot
        self._odom = self._writer(topics.ODOM) if pose else None
        self._imu = self._writer(topics.IMU)
        self._force = self._writer(topics.TOOL_FORCE)
        self._truth = self._writer(topics.GROUND_TRUTH)
        self._map = self._writer(topics.TERRAIN_MAP)
        self._terrain = self._writer(topics.TERRAIN)
        self._cameras: dict[str, Callable[[Any], None]] = {}
        self._grid: tuple[float, ...] = ()
        self._count = 0
        task = getattr(robot, "task", None)
        if task is not None:
            self._writer(topics.TASK)(task_msg(task))

    def tell(self, state: MachineState, stamp: float) -> None:
        """Publish what was measured, with this stamp [s]."""
        # The receiver's delay stays what it is, on the system's clock.
        state = replace(state, stamp=stamp, base_stamp=stamp + state.base_stamp - state.stamp)
        if math.isfinite(state.acceleration[0]):
            self._imu(imu_msg(state))
        if self._count % SLOW_EVERY == 0:
            if self._odom is not None:
                self._odom(odometry_msg(state))
            if math.isfinite(state.tool_force[0]):
                self._force(force_msg(state))
            self._truth(truth_msg(self._robot.truth(), stamp))
        self._count += 1
        if state.terrain is not None:
            grid = (state.terrain.x0, state.terrain.y0, state.terrain.cell)
            if grid != self._grid:
                self._map(terrain_map_msg(state.terrain))
                self._grid = grid
            self._terrain(terrain_msg(state.terrain, stamp))
        for name, picture in state.images.items():
            if name not in self._cameras:
                self._cameras[name] = self._writer(topics.camera(name))
            self._cameras[name](image_msg(picture, stamp, name))

    def _writer(self, topic: topics.Topic) -> Callable[[Any], None]:
        publish: Callable[[Any], None] = self._node.create_publisher(
            topic.type, topic.name, topic.qos()
        ).publish
        return publish


def main() -> None:
    """Run the machine."""
    run(EmulatedMachineNode)


if __name__ == "__main__":
    main()
