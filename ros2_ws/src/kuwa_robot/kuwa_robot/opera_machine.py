"""An emulated machine of the OPERA platform: its topics before a simulated plant, as a process.

It does what the platform's machines do: commands by name, three ways of control, neutral when they
stay away, nothing without the right mode in the machine setting, and an emergency stop that holds
until it is withdrawn. What a site's own sensors tell, the ground and the task, goes out in the
stack's namespace.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from com3_msgs.msg import (
    CrawlerCarrierCom3MachineSetting,
    ExcavatorCom3MachineSetting,
    FluidPressureArray,
    JointCmd,
)
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import FluidPressure, Imu, JointState
from std_msgs.msg import Bool, Float64

from kuwa_hardware.flow import FlowCurve
from kuwa_machines.contracts import (
    Array,
    CommandKind,
    JointCommand,
    MachineState,
    SimulatedRobot,
)
from kuwa_machines.errors import KuwaError, choices
from kuwa_robot.kinds import make_robots
from kuwa_robot.opera_state import Body, product
from kuwa_robot.opera_table import EFFORT, QOS_DEPTH, VELOCITY, Command, Profile, profile, table
from kuwa_robot.plant_joints import PLANT_JOINTS, PlantJoints
from kuwa_ros import topics
from kuwa_ros.conversions import time_msg
from kuwa_ros.loop import DeadlineLoop
from kuwa_ros.main import run
from kuwa_ros.parameters import declare, parameter, read
from kuwa_ros.topics import Topic
from kuwa_ros.world import imu_msg, odometry_msg, task_msg, terrain_map_msg, terrain_msg, truth_msg

COMMAND_TIMEOUT = 0.1
"""Without a command for this long all valves go to neutral [s]."""
POSITION_GAIN = 2.0
"""Of the emulated machine's own position control [1/s]."""
CATCH_UP = 10
"""Ticks that the plant goes on at once where the computer was held up; more are left out."""
ORDERS = ("documents", "programs", "permuted")


class OperaMachine:
    """What the machine's controllers do, on steady time; no ROS.

    Args:
        robot: the plant, connected. profile: names of its kind.
    """

    def __init__(self, robot: SimulatedRobot, profile: Profile) -> None:
        self.robot, self.profile = robot, profile
        self.spec = robot.spec
        self._names = tuple(robot.spec.joint_names)
        self._curve = FlowCurve(robot.spec)
        n = len(self._names)
        self._kind = np.full(n, EFFORT)
        self._value, self._at = np.zeros(n), np.full(n, -np.inf)
        self.stopped = False
        self.front_mode = 0 if profile.setting else -1
        """As the machine setting said last; −1: there is no such setting."""
        self.unknown: set[str] = set()
        """Joints that commands named and the machine does not have."""

    def command(
        self, source: Command, names: Sequence[str], control_type: int,
        values: Sequence[float], now: float,
    ) -> None:  # fmt: skip
        """Take the array that the control type selects, by joint names."""
        if len(values) != len(names) or not np.isfinite(values).all():
            return
        for name, value in zip(names, values, strict=True):
            own = self.profile.ours(name)
            if own not in self._names:
                if own == "" and name not in source.order:
                    self.unknown.add(name)
                continue
            j = self._names.index(own)
            self._kind[j], self._at[j] = control_type, now
            self._value[j] = value / source.full_effort if control_type == EFFORT else value

    def setpoint(self, joint: str, angle: float, now: float) -> None:
        """Take an angle as the simulators do [rad]."""
        j = self._names.index(joint)
        self._kind[j], self._value[j], self._at[j] = 0, angle, now

    def step(self, now: float) -> MachineState:
        """Advance one control period."""
        state = self.robot.read()
        self.robot.write(JointCommand(
            state.stamp, 0, "opera", CommandKind.VALVE, self._names, self.valves(now, state.q)
        ))  # fmt: skip
        return self.robot.advance()

    def valves(self, now: float, q: Array) -> Array:
        """Return what the valves get now, shape (n,)."""
        n = len(self._names)
        if self.stopped:
            return np.zeros(n)
        out = np.zeros(n)
        for j in range(n):
            off = self.front_mode == 0 and self._kind[j] != 0
            if off or now - self._at[j] > COMMAND_TIMEOUT:
                continue
            if self._kind[j] == EFFORT:
                out[j] = self._value[j]
            else:
                speed = self._value[j]
                if self._kind[j] != VELOCITY:
                    rest = self._value[j] - q[j]
                    speed = POSITION_GAIN * rest if abs(rest) > 0.002 else 0.0
                out[j] = self._curve.inverse(j, float(speed), float(q[j]))
        return np.clip(out, -1.0, 1.0)


@dataclass(frozen=True)
class MachineParameters:
    """Parameters of the emulated machine."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    plant: str = parameter("sim", "what is behind it", valid=("sim", "mock"))
    scenario: str = parameter("dig_trench", "scenario of the plant")
    seed: int = parameter(0, "seed of the plant", low=0, high=2**31 - 1)
    speed: float = parameter(1.0, "simulated seconds in a second", unit="s/s", low=0.01, high=100.0)
    states: str = parameter("joint_state", "topic of its joint states",
                            valid=("joint_state", "joint_states"))  # fmt: skip
    order: str = parameter("documents", "order of its joints", valid=ORDERS)
    site: str = parameter("", "namespace for ground, task and truth; empty: none of them")
    plant_joints: bool = parameter(
        False, "tell emulated sensors in the site's namespace where the plant's joints are"
    )


class OperaMachineNode(Node):
    """The machine's topics, in its own namespace; ends with its process."""

    def __init__(self) -> None:
        super().__init__("machine")
        declare(self, MachineParameters)
        p = self.p = read(self, MachineParameters)
        robots = make_robots(p.plant, p.machine, p.parameters, p.scenario, p.seed)
        robot = next(iter(robots.values()))
        if not isinstance(robot, SimulatedRobot):
            raise KuwaError(f"plant {p.plant!r} is no simulation; {choices(p.plant, ('sim',))}")
        robot.connect()
        robot.advance()  # what a plant compiles at its first tick is compiled now
        robot.reset(p.seed)
        self.machine = OperaMachine(robot, profile(robot.spec))
        self._handles: list[Callable[[], object]] = []
        self._on_network, self._guard = False, threading.Lock()
        self.join()
        self._plant_joints: PlantJoints | None = None
        if p.plant_joints:
            t = PLANT_JOINTS
            name = t.within("/" + p.site.strip("/"))
            publish = self.create_publisher(t.type, name, t.qos()).publish
            self._plant_joints = PlantJoints(publish, tuple(robot.spec.joint_names))
        self._tick = self._ticks = 0
        self._period = robot.control_period / p.speed
        self._began = time.monotonic()
        self._grid: tuple[float, ...] = ()
        self._loop = DeadlineLoop("machine", self._period, self._step, self._failed)
        self._loop.start()

    def join(self) -> None:
        """Come to the network with all topics."""
        with self._guard:
            self._subscribe()
            self._advertise()
            self._on_network = True

    def leave(self) -> None:
        """Leave the network, as when its cable is pulled or its programs end; the vehicle stays."""
        with self._guard:
            self._on_network = False
            while self._handles:
                self._handles.pop()()

    def finish(self) -> None:
        """Stop the loop and let the plant go."""
        self._loop.stop()
        self.machine.robot.close()

    # Topics ----------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        profile = self.machine.profile
        for command in profile.commands:
            for name in command.topics:
                self._hear(name, JointCmd, partial(self._command, command))
        for joint, name in profile.setpoints.items():
            if joint in self.machine.spec.joint_names:
                self._hear(name, Float64, partial(self._setpoint, joint))
        for name in table().stop:
            self._hear(name, Bool, self._stop)
        if profile.setting:
            kind = {"ExcavatorCom3MachineSetting": ExcavatorCom3MachineSetting}.get(
                profile.setting, CrawlerCarrierCom3MachineSetting
            )
            for name in table().settings:
                self._hear(name, kind, self._setting)

    def _hear(self, name: str, kind: Any, callback: Callable[[Any], None]) -> None:
        topic = Topic(name, kind, "OPERA", "", "", depth=QOS_DEPTH)
        subscription = self.create_subscription(kind, name, callback, topic.qos())
        self._handles.append(lambda: self.destroy_subscription(subscription))

    def _say(self, name: str, kind: Any, depth: int = QOS_DEPTH) -> Callable[[Any], None]:
        return self._publisher(Topic(name, kind, "OPERA", "", "", depth=depth), name)

    def _publisher(self, topic: Topic, name: str) -> Callable[[Any], None]:
        publisher = self.create_publisher(topic.type, name, topic.qos())
        self._handles.append(lambda: self.destroy_publisher(publisher))
        publish: Callable[[Any], None] = publisher.publish
        return publish

    def _advertise(self) -> None:
        spec, profile, p = self.machine.spec, self.machine.profile, self.p
        order = list(range(len(spec.joints)))
        if p.order == "documents":
            listed = [profile.ours(name) for c in profile.commands for name in c.order]
            order = [spec.joint_names.index(n) for n in listed if n in spec.joint_names]
        elif p.order == "permuted":
            order = np.random.default_rng(p.seed + 1).permutation(order).tolist()
        self._order = order
        self._said = [profile.joints[spec.joint_names[j]][0] for j in order]
        self._joints = self._say(p.states, JointState)
        self._odom, self._global = (
            self._say("odom_pose", Odometry),
            self._say("global_pose", Odometry),
        )
        self._body, self._soil = self._say("upper_body_rot", Imu), self._say("soil_volume", Float64)
        self._pressures = self._say("main_fluid_pressure", FluidPressureArray)
        self._tell_time = self._say("/clock", Clock)
        if p.site:
            site = "/" + p.site.strip("/")

            def latched(topic: Topic) -> Callable[[Any], None]:
                return self._publisher(topic, topic.within(site))

            self._map, self._terrain = latched(topics.TERRAIN_MAP), latched(topics.TERRAIN)
            self._truth = latched(topics.GROUND_TRUTH)
            task = getattr(self.machine.robot, "task", None)
            if task is not None:
                latched(topics.TASK)(task_msg(task))

    # What comes in ---------------------------------------------------------------------------

    def _command(self, command: Command, message: JointCmd) -> None:
        arrays = {0: message.position, 1: message.velocity, 2: message.effort}
        values = arrays.get(message.control_type)
        if values is not None:
            self.machine.command(
                command, message.joint_name, message.control_type, values, time.monotonic()
            )
        if self.machine.unknown:
            self.get_logger().warning(
                f"commands for joints that this machine has not: {sorted(self.machine.unknown)}",
                throttle_duration_sec=5.0,
            )

    def _setpoint(self, joint: str, message: Float64) -> None:
        self.machine.setpoint(joint, float(message.data), time.monotonic())

    def _stop(self, message: Bool) -> None:
        if message.data is not self.machine.stopped:
            self.machine.stopped = bool(message.data)
            self.get_logger().warning("stopped" if message.data else "the stop is withdrawn")

    def _setting(self, message: Any) -> None:
        mode = getattr(message, "front_control_mode", None)
        self.machine.front_mode = int(mode) if mode is not None else 1

    # What goes out ---------------------------------------------------------------------------

    def _step(self, now: float) -> None:
        # A machine does not slow down with the computer: what was held up is caught up with.
        behind = int((now - self._began) / self._period) - self._ticks
        if not 0 <= behind <= CATCH_UP:
            self._began = now - self._ticks * self._period
            behind = 0
        for _ in range(1 + behind):
            state = self.machine.step(now)
        self._ticks += 1 + behind
        if self._plant_joints is not None:
            self._plant_joints.tell(state)
        with self._guard:
            if self._on_network:
                self._tell(state)

    def _tell(self, state: MachineState) -> None:
        stamp = time_msg(state.stamp)
        message = JointState(name=list(self._said))
        message.header.stamp = stamp
        message.position = array("d", state.q[self._order].tolist())
        message.velocity = array("d", state.qd[self._order].tolist())
        self._joints(message)
        self._tell_time(Clock(clock=stamp))
        self._tick += 1
        if self._tick % 2 == 0:
            odometry = odometry_msg(state)
            self._odom(odometry)
            self._global(odometry)
            self._body(self._turned(state))
            self._tell_pressures(state)
            if np.isfinite(state.tool_load):
                self._soil(Float64(data=float(state.tool_load) / table().soil_density))
        if self.p.site:
            self._tell_site(state)

    def _turned(self, state: MachineState) -> Imu:
        """Return the inertial unit of the upper body: the undercarriage's, turned by the swing."""
        message = imu_msg(state)
        swing = Body(self.machine.spec).swing
        angle = float(state.q[swing]) if swing >= 0 else 0.0
        c, s = np.cos(angle), np.sin(angle)
        o, a = message.orientation, message.linear_acceleration
        turned = product(state.base_quaternion_wxyz,
                         np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)]))  # fmt: skip
        o.w, o.x, o.y, o.z = turned.tolist()
        a.x, a.y = float(c * a.x + s * a.y), float(-s * a.x + c * a.y)
        return message

    def _tell_pressures(self, state: MachineState) -> None:
        profile = self.machine.profile
        if not profile.pressure_count or not np.isfinite(state.pressure).any():
            return
        values = [0.0] * profile.pressure_count
        for j, name in enumerate(self.machine.spec.joint_names):
            for k, place in enumerate(profile.pressures.get(name, ())):
                values[place] = float(state.pressure[j, k])
        self._pressures(FluidPressureArray(array=[FluidPressure(fluid_pressure=v) for v in values]))

    def _tell_site(self, state: MachineState) -> None:
        if self._tick % 2 == 0:
            self._truth(truth_msg(self.machine.robot.truth(), state.stamp))
        if state.terrain is None:
            return
        grid = (state.terrain.x0, state.terrain.y0, state.terrain.cell)
        if grid != self._grid:
            self._map(terrain_map_msg(state.terrain))
            self._grid = grid
        self._terrain(terrain_msg(state.terrain, state.stamp))

    def _failed(self, error: Exception) -> None:
        self.get_logger().error(f"the machine broke down: {error}")


def main() -> None:
    """Run the machine."""
    run(OperaMachineNode)
