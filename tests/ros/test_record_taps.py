"""Messages that nobody took in time are counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import JointState

from kuwa_record.taps import DEPTH, Arrivals, Taps
from kuwa_ros import topics

pytestmark = pytest.mark.ros


@pytest.fixture
def node(ros_domain: int) -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context, domain_id=ros_domain)
    made = Node("taps", namespace="/m", context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


def test_what_a_tap_has_no_room_for_is_counted(node: Node) -> None:
    taps = Taps(node)
    writers: list[Any] = [
        node.create_publisher(JointState, topics.JOINT_STATES.name, topics.JOINT_STATES.qos(500))
        for _ in range(2)
    ]
    tap = taps.by_local("joint_states")
    assert tap is not None
    took = 0

    def take(expected: int) -> None:
        nonlocal took
        took, until = 0, time.monotonic() + 20.0
        while took < expected:
            took += sum(each.tap is tap for each in taps.take())
            assert time.monotonic() < until, (took, expected)

    until = time.monotonic() + 20.0
    while min(writer.get_subscription_count() for writer in writers) == 0:
        assert time.monotonic() < until
        time.sleep(0.01)
    for writer in writers:
        writer.publish(JointState())
    take(2)
    for _ in range(DEPTH - 1):
        writers[0].publish(JointState())
    take(DEPTH - 1)
    assert taps.lost == 0
    for _ in range(DEPTH):
        for writer in writers:
            writer.publish(JointState())
    # As many as may wait: half of them are gone.
    deadline = time.monotonic() + 20.0
    while taps.lost < DEPTH and time.monotonic() < deadline:
        time.sleep(0.2)
        writers[0].publish(JointState())
        taps.take()
    assert taps.lost == tap.lost >= DEPTH


def look(arrivals: Arrivals, *numbers: int | None) -> int:
    before = arrivals.lost
    arrivals.look(list(numbers))
    return arrivals.lost - before


def test_only_a_full_queue_loses_and_the_first_look_none() -> None:
    arrivals = Arrivals(3)
    assert look(arrivals, 70, 71, 72, 73) == 0, "nobody listened before"
    assert look(arrivals, 74) == 0
    assert look(arrivals, 90, 91) == 0, "there was room: another writer"
    assert look(arrivals, 95, 96, 97) == 3
    assert look(arrivals) == 0
    assert look(arrivals, 1, 2, 3) == 0, "it was started anew"
    assert look(arrivals, 4, 5, 8) == 2
    assert look(arrivals, 1_000_000, 1_000_001, 1_000_002) == 0, "another writer, not a day's loss"
    assert look(arrivals, None, None, None) == 0, "a middleware that numbers nothing"


def test_what_several_writers_lost_adds_up() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        arrivals, lost = Arrivals(20), 0
        counts = rng.integers(1, 2000, 3)
        arrivals.look(counts.tolist())
        for _ in range(5):
            burst = []
            for writer in rng.integers(0, 3, int(rng.integers(0, 60))):
                counts[writer] += 1
                burst.append(int(counts[writer]))
            lost += max(len(burst) - 20, 0)
            arrivals.look(burst[-20:])
        assert arrivals.lost == lost
