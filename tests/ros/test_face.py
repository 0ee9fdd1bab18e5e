"""What a robot measures goes out on its topics, and the planner puts it together again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kuwa_hardware.watchdog import Watchdog
from kuwa_machines import load_machine
from kuwa_machines.contracts import CommandKind, JointCommand, MachineState
from kuwa_planning.node import PlanningNode
from kuwa_robot.face import Face
from kuwa_ros import topics
from kuwa_ros.conversions import JointOrder, JointStateReader, command_msg
from kuwa_ros.status import LOST, StatusMemory

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
    memory, bare = StatusMemory(0.2), JointStateReader(SPEC.joint_names)(sent["joint_states"][-1])
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


def test_without_the_gate_the_valves_are_neutral_and_the_status_says_so() -> None:
    node = Node()
    front, sent = face(node=node)
    robot: Any = front.robot

    def told(now: float, sequence: int | None = None, value: float = 0.1) -> Any:
        if sequence is not None:
            values = np.full(N, value)
            command = JointCommand(
                0.0, sequence, "gate", CommandKind.VALVE, SPEC.joint_names, values
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
    node.commands.waiting.append(command_msg(JointCommand(
        0.0, 9, "gate", CommandKind.VALVE, SPEC.joint_names, np.zeros(N))))  # fmt: skip
    front.forget()
    assert told(0.54) == (2, [])
