"""What a robot measures goes out on its topics, and the planner puts it together again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import MachineState
from kuwa_planning.node import PlanningNode
from kuwa_robot.face import Face
from kuwa_ros import topics
from kuwa_ros.conversions import JointOrder, JointStateReader

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


class Node:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Any]] = defaultdict(list)

    def writer(self, topic: topics.Topic, namespace: str = "") -> Any:
        return self.sent[topic.within(namespace)].append

    def listen(self, topic: topics.Topic, callback: Any, namespace: str = "") -> None:
        pass


class Robot:
    spec = SPEC


def face(namespace: str = "") -> tuple[Face, dict[str, list[Any]]]:
    node = Node()
    return Face(node, Robot(), namespace, 0.2), node.sent  # type: ignore[arg-type]


def test_every_instrument_has_its_topic_and_rate() -> None:
    front, sent = face("/truck")
    picture = RNG.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    for tick in range(10):
        front.publish(replace(STATE, images={"cab": picture} if tick == 5 else {}))
    counts = {name: len(messages) for name, messages in sent.items() if messages}
    assert counts == {
        "/truck/joint_states": 10, "/truck/imu": 10, "/truck/odom": 5, "/truck/tool_force": 5,
        "/truck/pressures": 5, "/truck/camera/cab/image_raw": 1,
    }  # fmt: skip


def test_a_machine_without_instruments_is_silent() -> None:
    front, sent = face()
    unknown = np.full(3, np.nan)
    for _ in range(4):
        front.publish(replace(STATE, acceleration=unknown, tool_force=unknown))
    assert not sent["imu"] and not sent["tool_force"] and len(sent["odom"]) == 2


def test_the_planner_puts_the_state_together_again() -> None:
    front, sent = face()
    front.publish(STATE)
    turned = replace(STATE, base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]))
    front.publish(replace(turned, base_velocity=np.arange(6.0)))  # no odom at this tick
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
