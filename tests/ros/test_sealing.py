"""Plain and sealed messages between two nodes, with and without a key on either side."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.node import Node
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from kuwa_hardware.envelope import Envelope
from kuwa_machines.errors import CommandError
from kuwa_ros.sealing import SHOWN, SealedReader, SealedWriter, sealed_msg
from kuwa_ros.topics import DEADMAN, SEALED, TRAJECTORY, Topic
from stack_rig import wait_for

pytestmark = pytest.mark.ros

KEY = Envelope(bytes(range(32)))
OTHER = Envelope(bytes(32))
HELD = Bool(data=True)


class Pair:
    """Two nodes of one machine, and what the one that reads complains of."""

    def __init__(self) -> None:
        self.sender = Node("sender", namespace="zx200")
        self.receiver = Node("receiver", namespace="zx200")
        self.complaints: list[str] = []

    def reader(self, envelope: Envelope | None, topic: Topic = DEADMAN) -> SealedReader:
        return SealedReader(
            self.receiver,
            topic,
            envelope,
            lambda what, why: self.complaints.append(f"{what}: {why}"),
        )

    def writer(self, envelope: Envelope | None, topic: Topic = DEADMAN) -> SealedWriter:
        writer = SealedWriter(self.sender, topic, envelope)
        wait_for("a reader", lambda: writer.publisher.get_subscription_count() == 1)
        return writer

    def refused(self, reader: SealedReader) -> str:
        """Return why the next message is refused."""
        before = reader.judge.refused_at

        def refused() -> bool:
            assert reader.take() is None
            return reader.judge.refused_at > before

        wait_for("a refusal", refused, 5.0)
        return reader.judge.refused


@pytest.fixture
def pair(ros_domain: int) -> Iterator[Pair]:
    rclpy.init()
    pair = Pair()
    yield pair
    pair.sender.destroy_node()
    pair.receiver.destroy_node()
    rclpy.try_shutdown()


def taken(reader: SealedReader) -> Any:
    """Return the next message."""
    found: list[Any] = []

    def look() -> bool:
        found.append(reader.take())
        return found[-1] is not None

    wait_for("a message", look, 5.0)
    return found[-1]


@pytest.mark.parametrize("sender", [None, KEY], ids=["plain", "sealed"])
def test_who_has_no_key_takes_both(pair: Pair, sender: Envelope | None) -> None:
    reader, writer = pair.reader(None), pair.writer(sender)
    writer(HELD)
    assert taken(reader).data is True
    writer(Bool(data=False))
    assert taken(reader).data is False
    assert not pair.complaints and not reader.judge.lately()


def test_a_plain_writer_is_as_any_other_program_of_ros(pair: Pair) -> None:
    pair.reader(None)
    assert pair.writer(None).publisher.topic_name == "/zx200/deadman"
    foreign = pair.sender.create_publisher(JointTrajectory, "joint_trajectory", 10)
    reader = pair.reader(None, TRAJECTORY)
    wait_for("a reader", lambda: foreign.get_subscription_count() == 1)
    foreign.publish(JointTrajectory(joint_names=["a", "b"]))
    assert taken(reader).joint_names == ["a", "b"]


def test_who_has_a_key_takes_what_is_sealed_with_it(pair: Pair) -> None:
    reader, writer = pair.reader(KEY, TRAJECTORY), pair.writer(KEY, TRAJECTORY)
    for name in "abc":
        writer(JointTrajectory(joint_names=[name]))
        assert taken(reader).joint_names == [name]
    assert not pair.complaints


def test_a_refusal_is_told_in_words_for_a_while(pair: Pair) -> None:
    reader = pair.reader(KEY)
    pair.writer(None)(HELD)
    assert "it carries no code" in pair.refused(reader)
    assert "same key file" in reader.judge.lately()
    pair.writer(OTHER)(HELD)
    assert "'/zx200/sender': its code is wrong" in pair.refused(reader)
    assert [line.partition(":")[0] for line in pair.complaints] == ["deadman", "deadman"]
    time.sleep(SHOWN)
    assert reader.judge.lately() == ""


def test_strangers_do_not_hide_the_genuine_message_that_came_before(pair: Pair) -> None:
    reader, writer = pair.reader(KEY), pair.writer(KEY)
    stranger, bare = pair.writer(OTHER), pair.writer(None)
    writer(HELD)
    for _ in range(5):
        stranger(HELD)
        bare(HELD)
    time.sleep(0.2)
    assert reader.take().data is True
    assert len(pair.complaints) >= 6


def test_a_receiver_that_was_late_takes_what_was_in_time(pair: Pair) -> None:
    reader, writer = pair.reader(KEY), pair.writer(KEY)
    writer(HELD)
    time.sleep(1.0)
    assert reader.take().data is True


def test_what_lay_on_its_way_for_long_is_refused(pair: Pair) -> None:
    reader, writer = pair.reader(KEY), pair.writer(KEY)
    message = sealed_msg(HELD, writer.publisher.topic_name, "/zx200/sender", KEY)
    time.sleep(0.7)
    writer.publisher.publish(message)
    assert "look at the clocks" in pair.refused(reader)


@pytest.mark.parametrize("envelope", [None, KEY], ids=["no key", "key"])
def test_what_is_sealed_but_of_no_such_type_is_an_error_of_the_message(
    pair: Pair, envelope: Envelope | None
) -> None:
    reader, writer = pair.reader(envelope, TRAJECTORY), pair.writer(KEY, TRAJECTORY)
    where = writer.publisher.topic_name
    wrong = sealed_msg(HELD, where, "/zx200/sender", KEY)
    writer.publisher.publish(wrong)
    with pytest.raises(CommandError, match="no JointTrajectory"):
        taken(reader)
    if envelope is None:
        writer.publisher.publish(SEALED[TRAJECTORY].type(message=array("B", b"\xff" * 40)))
        with pytest.raises(CommandError, match="no JointTrajectory"):
            taken(reader)
    writer(JointTrajectory(joint_names=["a"]))
    assert taken(reader).joint_names == ["a"]
