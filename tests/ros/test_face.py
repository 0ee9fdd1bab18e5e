"""What a robot measures goes out on its topics, and the planner puts it together again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from rclpy.parameter import Parameter

from kuwa_hardware.watchdog import Watchdog
from kuwa_machines import load_machine
from kuwa_machines.contracts import CommandKind, JointCommand, MachineState
from kuwa_planning.node import PlanningNode
from kuwa_robot.face import Face
from kuwa_robot.node import RobotNode, RobotParameters
from kuwa_ros import topics
from kuwa_ros.conversions import JointOrder, JointStateReader, command_msg, seconds
from kuwa_ros.lifecycle import SUCCESS
from kuwa_ros.status import LOST, StatusMemory
from stack_rig import wait_for

pytestmark = pytest.mark.ros

SPEC = load_machine("zx200")
N = len(SPEC.joints)
RNG = np.random.default_rng(2)
STATE = MachineState(
    stamp=4.2,
    q=RNG.normal(size=N),
    qd=RNG.normal(size=N),
    effort=RNG.normal(size=N),
    pressure=1e6 * RNG.random((N, 2)),
    pump_pressure=2e7,
    pump_flow=0.007,
    pump_power=9e4,
    base_position=np.array([1.0, 2.0, 0.5]),
    base_quaternion_wxyz=np.array([0.5, 0.5, -0.5, 0.5]),
    base_velocity=RNG.normal(size=6),
    tool_load=812.0,
    base_stamp=4.11,
    acceleration=np.array([0.1, 0.2, 9.7]),
    tool_force=np.array([1e3, 2e3, 3e3]),
)


class Commands:
    """Applied commands that wait to be taken."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def take_aged(self) -> tuple[Any, float] | None:
        return (self.waiting.pop(), 0.0) if self.waiting else None

    def take(self) -> Any:
        return self.waiting.pop() if self.waiting else None


class Node:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Any]] = defaultdict(list)
        self.commands = Commands()
        self.complaints: list[str] = []

    def writer(self, topic: topics.Topic, namespace: str = "") -> Any:
        return self.sent[topic.within(namespace)].append

    def reader(self, topic: topics.Topic, depth: int = 1, namespace: str = "") -> Any:
        assert topic is topics.APPLIED
        return self.commands

    def complain(self, what: str, error: Exception) -> None:
        self.complaints.append(str(error))


class Robot:
    spec = SPEC

    def __init__(self) -> None:
        self.told: list[Any] = []

    def neutral(self) -> None:
        self.told.append(None)

    def write(self, command: JointCommand) -> JointCommand:
        self.told.append(command.sequence)
        return command


def face(namespace: str = "", node: Any = None) -> tuple[Face, dict[str, list[Any]]]:
    node = node or Node()
    dog = Watchdog(SPEC.joint_names, 0.1)
    return Face(node, Robot(), "mock", namespace, dog), node.sent  # type: ignore[arg-type]


def at(tick: int, **changes: Any) -> MachineState:
    return replace(STATE, stamp=STATE.stamp + 0.01 * tick, **changes)


def test_every_instrument_has_its_topic_and_rate() -> None:
    front, sent = face("/truck")
    picture = RNG.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    for tick in range(10):
        front.publish(at(tick, images={"cab": picture} if tick == 5 else {}))
    counts = {name: len(messages) for name, messages in sent.items() if messages}
    assert counts == {
        "/truck/joint_states": 10, "/truck/imu": 10, "/truck/odom": 5, "/truck/tool_force": 5,
        "/truck/pressures": 5, "/truck/robot_status": 5, "/truck/camera/cab/image_raw": 1,
    }  # fmt: skip


def test_a_machine_without_instruments_is_silent() -> None:
    front, sent = face()
    unknown = np.full(3, np.nan)
    for tick in range(4):
        front.publish(at(tick, acceleration=unknown, tool_force=unknown))
    assert not sent["imu"] and not sent["tool_force"] and len(sent["odom"]) == 2


def test_the_planner_puts_the_state_together_again() -> None:
    front, sent = face()
    front.publish(STATE)
    turned = replace(STATE, base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]))
    front.publish(replace(turned, stamp=4.21, base_velocity=np.arange(6.0)))  # no odom at this tick
    planner = PlanningNode.__new__(PlanningNode)
    planner._extra, planner._order = {}, JointOrder(SPEC.joint_names)
    for topic in (topics.ODOM, topics.IMU, topics.TOOL_FORCE, topics.PRESSURES):
        planner._take(topic, sent[topic.name][-1])
    state = replace(JointStateReader(SPEC.joint_names)(sent["joint_states"][-1]), **planner._extra)
    assert state.base_stamp == pytest.approx(STATE.base_stamp, abs=1e-9)
    assert np.array_equal(state.base_position, STATE.base_position)
    assert np.array_equal(state.base_quaternion_wxyz, [1.0, 0.0, 0.0, 0.0])
    assert state.base_velocity[:3] == pytest.approx(STATE.base_velocity[:3])
    assert state.base_velocity[3:] == pytest.approx([3.0, 4.0, 5.0])
    assert np.array_equal(state.acceleration, STATE.acceleration)
    assert np.array_equal(state.tool_force, STATE.tool_force)
    assert np.array_equal(state.pressure, STATE.pressure)


def test_what_a_driver_says_again_is_not_told_as_news_but_its_faults_are() -> None:
    front, sent = face()
    for _ in range(10):
        front.publish(replace(STATE, faults=("driver_disconnected",)))
    assert len(sent["joint_states"]) == len(sent["odom"]) == 1
    assert len(sent["robot_status"]) == 5
    assert sent["robot_status"][-1].faults == ["driver_disconnected"]


def test_the_status_reaches_the_gate_with_the_joint_states() -> None:
    front, sent = face()
    told = replace(
        STATE, engine_speed=180.0, oil_temperature=55.0, faults=("bus_passive", "frame_corrupt")
    )
    front.publish(told)
    memory = StatusMemory(0.2, SPEC.joint_names)
    bare = JointStateReader(SPEC.joint_names)(sent["joint_states"][-1])
    assert memory.merged(0.0, bare) is bare
    memory.take(1.0, sent["robot_status"][-1])
    state = memory.merged(1.1, bare)
    assert (state.engine_speed, state.oil_temperature, state.pump_pressure, state.tool_load) == (
        180.0, 55.0, 2e7, 812.0,
    )  # fmt: skip
    assert state.faults == told.faults and memory.kind == "mock"
    assert np.array_equal(state.base_quaternion_wxyz, STATE.base_quaternion_wxyz)
    old = memory.merged(1.3, bare)
    assert old.faults == (LOST,) and np.isnan(old.engine_speed)


def test_pressures_and_place_reach_the_gate_with_the_joint_states_while_they_are_young() -> None:
    front, sent = face()
    at = np.array([12.0, -7.0, 0.4])
    measured = replace(STATE, base_position=at, base_stamp=1.95, pressure=np.full((4, 2), 9e6))
    front.publish(measured)
    memory = StatusMemory(0.2, SPEC.joint_names)
    bare = JointStateReader(SPEC.joint_names)(sent["joint_states"][-1])
    assert np.isnan(bare.base_position).all() and np.isnan(bare.pressure).all()
    memory.odometry(1.0, sent["odom"][-1])
    memory.pressures(1.1, sent["pressures"][-1])
    state = memory.merged(1.15, bare)
    assert np.array_equal(state.base_position, at) and state.base_stamp == pytest.approx(1.95)
    assert np.array_equal(state.pressure, measured.pressure)
    state = memory.merged(1.25, bare)
    assert np.isnan(state.base_position).all() and not np.isnan(state.pressure).any()
    assert np.isnan(memory.merged(1.4, bare).pressure).all()


def test_without_the_gate_the_valves_are_neutral_and_the_status_says_so() -> None:
    node = Node()
    front, sent = face(node=node)
    robot: Any = front.robot

    def told(now: float, sequence: int | None = None, value: float = 0.1, late: float = 0.0) -> Any:
        if sequence is not None:
            values = np.full(N, value)
            stamp = sent["joint_states"][-1].header.stamp if sent["joint_states"] else Time()
            command = JointCommand(
                seconds(stamp) - late, sequence, "gate", CommandKind.VALVE, SPEC.joint_names, values
            )
            node.commands.waiting.append(command_msg(command))
        front.drive(now)
        front.publish(at(round(100 * now)))
        front.publish(at(round(100 * now)))  # so that one of the two tells the status
        return robot.told[-1], list(sent["robot_status"][-1].faults)

    assert told(0.0) == (None, [])
    assert told(0.01, 1) == (1, [])
    assert told(0.10) == (1, [])
    assert told(0.12) == (None, ["safety_killed"])
    assert told(0.5) == (None, ["safety_killed"])
    assert told(0.51, 2) == (2, [])
    assert told(0.52, 2, value=0.5) == (2, []) and "2 was taken before" in node.complaints[-1]
    assert told(0.53, 3, value=np.nan) == (2, []) and len(node.complaints) == 2
    assert told(0.535, 9, late=3600.0) == (2, []) and "before the newest" in node.complaints[-1]
    node.commands.waiting.append(command_msg(JointCommand(
        0.0, 9, "gate", CommandKind.VALVE, SPEC.joint_names, np.zeros(N))))  # fmt: skip
    front.forget()
    assert told(0.54) == (2, [])


def full(values: np.ndarray) -> JointCommand:
    return JointCommand(0.0, 1, "gate", CommandKind.VALVE, SPEC.joint_names, values)


def broken(*_: Any) -> Any:
    raise ZeroDivisionError("in what is only told")


@pytest.mark.parametrize("when", ["publish", "advance", "drive"])
def test_a_loop_that_breaks_down_leaves_the_valves_neutral(
    ros_domain: int, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    rclpy.init()
    node = RobotNode()
    try:
        node.set_parameters([Parameter("robot", value="mock")])
        assert node.trigger_configure() == SUCCESS
        front = node.faces[0]
        robot: Any = front.robot
        command = full(np.full(N, 0.4))
        monkeypatch.setattr(front.watchdog, "current", lambda now: command)
        assert node.trigger_activate() == SUCCESS
        wait_for("motion", lambda: robot._u.any(), 5.0)
        monkeypatch.setattr(robot if when == "advance" else front, when, broken)
        wait_for("the loop's end", lambda: "only told" in node._problem, 5.0)
        assert not robot._u.any()
    finally:
        node.finish()
        node.destroy_node()
        rclpy.try_shutdown()


def test_one_robot_that_cannot_be_told_keeps_no_other_from_neutral_and_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = RobotNode.__new__(RobotNode)
    robots: list[Any] = [Robot(), Robot()]
    node.faces = [Face(Node(), r, "mock", "", Watchdog(SPEC.joint_names, 0.1)) for r in robots]  # type: ignore[arg-type]
    for each in robots:
        each.write(full(np.full(N, 0.4)))
        each.close = lambda each=each: each.told.append("closed")
    for broke in range(2):
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(robots[broke], "neutral", broken)
            node.deactivate()
        assert robots[1 - broke].told[-1] is None
    monkeypatch.setattr(robots[0], "close", broken)
    with pytest.raises(ZeroDivisionError):
        node.cleanup()
    assert robots[1].told[-1] == "closed"


def test_a_full_disk_at_the_end_keeps_no_robot_open(tmp_path: Path) -> None:
    node = RobotNode.__new__(RobotNode)
    front, _ = face()
    robot: Any = front.robot
    robot.close = lambda: robot.told.append("closed")
    node.faces, node._counts = [front], {}
    node.p = RobotParameters(stats_file=str(tmp_path / "no" / "folder"))
    (tmp_path / "no").write_text("")
    with pytest.raises(OSError):
        node.cleanup()
    assert robot.told == ["closed"] and not node.faces
