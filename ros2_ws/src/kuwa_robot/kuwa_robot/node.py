"""The robot node: one robot, or all of a simulated site, in topics, behind the last watchdog."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rosgraph_msgs.msg import Clock

from kuwa_hardware.canopen_sensors.robot import SensedSimulation
from kuwa_hardware.failures import timeout
from kuwa_hardware.watchdog import Watchdog
from kuwa_machines.contracts import Robot, SimulatedRobot
from kuwa_robot.face import Face
from kuwa_robot.kinds import KINDS, make_robots
from kuwa_robot.plant_joints import PLANT_JOINTS, PlantJoints
from kuwa_robot.timing import Timing
from kuwa_ros import topics
from kuwa_ros.conversions import time_msg
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.loop import DeadlineLoop, Loop
from kuwa_ros.main import run
from kuwa_ros.parameters import parameter
from kuwa_ros.sealing import envelope_of

REAL_PERIOD = 0.01
"""Period of the loop with a real machine [s]; a simulated one says its own."""


@dataclass(frozen=True)
class RobotParameters:
    """Parameters of the robot node."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    robot: str = parameter("sim", "kind of robot", valid=tuple(KINDS))
    bus: str = parameter("", "how a real robot is reached, in the words of its kind")
    sensors_bus: str = parameter(
        "", "bus of CANopen joint sensors, e.g. socketcan:can1; empty: there are none"
    )
    sensors: str = parameter("", "file of these sensors; empty: canopen.yaml of the machine")
    scenario: str = parameter("dig_trench", "scenario of a simulated robot")
    seed: int = parameter(0, "seed of a simulated robot", low=0, high=2**31 - 1)
    cameras: bool = parameter(False, "make the pictures of a simulated machine's cameras")
    speed: float = parameter(1.0, "simulated seconds in a second", unit="s/s", low=0.01, high=100.0)
    watchdog: float = parameter(
        timeout("robot.watchdog"),
        "valves go to neutral after this long without a good command",
        unit="s",
        low=0.02,
        high=2.0,
    )
    key_file: str = parameter(
        "", "key of the gate, whose commands carry its code; empty: they need none"
    )
    stats_file: str = parameter("", "write latency and tick statistics here at the end")


class RobotNode(KuwaNode[RobotParameters]):
    """Reads and commands its robots at their control period.

    A simulated site has several; the first one's topics are in the node's namespace, those of
    the others in namespaces of their own names.
    """

    def __init__(self) -> None:
        super().__init__("robot", RobotParameters)
        self.faces: list[Face] = []

    @property
    def robot(self) -> Robot | None:
        """The first robot, or None before the node is configured."""
        return self.faces[0].robot if self.faces else None

    def configure(self) -> None:
        p = self.p
        self._counts: dict[str, object] = {}
        robots = make_robots(
            p.robot, p.machine, p.parameters, p.scenario, p.seed, p.cameras, p.bus, self,
            p.sensors, p.sensors_bus,
        )  # fmt: skip
        lead = next(iter(robots.values()))
        lead.connect()
        self._simulated = isinstance(lead, SimulatedRobot)
        if isinstance(lead, SimulatedRobot):
            # What a plant compiles at its first tick is compiled now, not while the stack waits.
            lead.advance()
            lead.reset(p.seed)
        self.faces = [
            Face(
                self,
                robot,
                p.robot,
                "" if robot is lead else f"/{name}",
                Watchdog(
                    tuple(robot.spec.joint_names),
                    p.watchdog,
                    envelope_of(p.key_file, self.get_namespace() if robot is lead else name),
                ),
            )
            for name, robot in robots.items()
        ]
        self._sim_clock = self.writer(topics.CLOCK) if self._simulated else None
        self._sim_clock_msg = Clock()
        self._turned: PlantJoints | None = None
        if isinstance(lead, SensedSimulation):
            self._turned = PlantJoints(self.writer(PLANT_JOINTS), tuple(lead.spec.joint_names))

    def activate(self) -> Loop:
        period = REAL_PERIOD
        if isinstance(self.robot, SimulatedRobot):
            period = self.robot.control_period / self.p.speed
        for face in self.faces:
            face.forget()
        self._tick, self._started = 0, time.monotonic()
        self._last = self._started
        return DeadlineLoop("robot", period, self._step, self.fail)

    def deactivate(self) -> None:
        with ExitStack() as each:  # one that raises does not keep the others from it
            for face in self.faces:
                each.callback(face.robot.neutral)

    def cleanup(self) -> None:
        faces, self.faces = self.faces, []
        with ExitStack() as each:
            for face in faces:
                each.callback(face.robot.close)
        if faces and self.p.stats_file:
            faces[0].timing.write(Path(self.p.stats_file), **self._counts)

    @property
    def timing(self) -> Timing:
        """Of the first robot."""
        return self.faces[0].timing

    def report(self) -> dict[str, object]:
        if not self.faces:
            return {}
        median, p99 = self.timing.recent()
        # A driver's own words for its faults; their codes are in robot_status.
        why: dict[str, str] = getattr(self.robot, "why", {})
        return {
            "latency_median_ms": f"{median:.2f}",
            "latency_p99_ms": f"{p99:.2f}",
            "watchdog_trips": self._trips,
            **why,
        }

    @property
    def _trips(self) -> int:
        return sum(face.watchdog.trips for face in self.faces)

    def _step(self, now: float) -> None:
        try:
            self._drive(now)
        except BaseException:
            # Whatever it was, even in what is only told: this loop commands nothing any more.
            self.deactivate()
            raise

    def _drive(self, now: float) -> None:
        robot = self.robot
        assert robot is not None
        for face in self.faces:
            face.drive(now)
        state = robot.advance() if isinstance(robot, SimulatedRobot) else robot.read()
        self.faces[0].publish(state)
        if self._turned is not None and isinstance(robot, SensedSimulation):
            self._turned.tell(robot.plant.read())
        if self._sim_clock is not None:
            self._sim_clock_msg.clock = time_msg(state.stamp)
            self._sim_clock(self._sim_clock_msg)
        for face in self.faces[1:]:
            face.publish(face.robot.read())
        if self._tick:
            self.timing.ticked(now - self._last)
        self._last = now
        self._tick += 1
        if self.loop is not None:
            self._counts = {
                "ticks": self._tick,
                "missed": self.loop.stats.missed,
                "wall_s": round(now - self._started, 3),
                "watchdog_trips": self._trips,
            }


def main() -> None:
    """Run the node."""
    run(RobotNode)
