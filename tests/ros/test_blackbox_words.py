"""Alarms in words, and what ``kuwa blackbox`` makes of records."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kuwa_msgs.msg import Alarm, Alarms, Heartbeat
from rclpy.serialization import serialize_message
from std_msgs.msg import Bool

from kuwa_bringup import recorder
from kuwa_bringup.alarms import AlarmBook, of_box, of_gate
from kuwa_bringup.recorder import LEFT_OUT, RECORDED
from kuwa_cli.blackbox import last_commands, timeline
from kuwa_hardware.blackbox import BlackBox, Record, read
from kuwa_hardware.envelope import Envelope
from kuwa_hardware.failures import failure
from kuwa_machines.contracts import CommandKind, JointCommand, Level, Mode, SafetyState
from kuwa_ros import topics
from kuwa_ros.conversions import command_msg, safety_msg
from kuwa_ros.sealing import sealed_msg

pytestmark = pytest.mark.ros

KEY = Envelope(bytes(32))


def record(at: float, topic: topics.Topic, message: Any) -> Record:
    return Record(
        at, f"/zx200/{topic.name}", topics.type_name(topic.type), serialize_message(message)
    )


def test_an_alarm_has_level_reason_and_remedy_of_its_row() -> None:
    book = AlarmBook()
    assert book.news() == ()
    assert book.news() is None
    book.say("gate", of_gate(SafetyState(
        Mode.AUTO, ("neutral: no request",), level=Level.NEUTRAL, alarms=("request_lost",)
    )))  # fmt: skip
    book.say("supervisor", {"node_problem": "planning: it raised", "request_lost": "later"})
    news = book.news()
    assert news is not None
    assert [(a.code, a.level, a.source) for a in news] == [
        ("node_problem", Level.STOPPED, "supervisor"),
        ("request_lost", Level.NEUTRAL, "gate"),
    ]
    assert news[1].reason == "neutral: no request"
    assert news[1].remedy == failure("request_lost").remedy
    book.say("gate", {"request_lost": "for longer"})
    assert book.news() is None
    book.say("gate", {"jerk_limit": "swing_joint"})
    book.say("driver", {"smoke": ""})
    assert [a.code for a in book.news() or ()] == ["node_problem", "request_lost", "smoke"]


def test_the_black_box_has_alarms_of_its_own(tmp_path: Path) -> None:
    box = BlackBox(tmp_path)
    assert of_box(box, 0.0) == {}
    box.failure, box.torn = "no room", "7 bytes"
    assert of_box(box, 1.0) == {"disk_full": "no room", "black_box_torn": "7 bytes"}
    box.unfed = "imu is not recorded"
    assert of_box(box, 100.0) == {
        "disk_full": "no room", "black_box_idle": "imu is not recorded"
    }  # fmt: skip


def test_the_timeline_tells_what_changed_and_what_was_missing() -> None:
    beat = topics.heartbeat("control")
    alarms = Alarms(alarms=[Alarm(code="control_killed", source="supervisor", reason="silent")])
    stopped = SafetyState(Mode.STOPPED, ("told to",), level=Level.STOPPED)
    command = JointCommand(1.0, 7, "gate", CommandKind.VALVE, ("swing_joint",), _half())
    records = [
        record(1.00, beat, Heartbeat(state="active")),
        record(1.05, beat, Heartbeat(state="active")),
        record(1.10, topics.SAFETY, safety_msg(SafetyState(Mode.AUTO), 1.0)),
        record(1.12, topics.APPLIED, command_msg(command)),
        record(1.20, topics.SAFETY, safety_msg(SafetyState(Mode.AUTO), 1.1)),
        record(1.45, beat, Heartbeat(state="active", problem="it hangs")),
        record(1.50, topics.ALARMS, alarms),
        record(1.60, topics.SAFETY, safety_msg(stopped, 1.5)),
        record(1.70, topics.ALARMS, Alarms()),
        Record(1.80, "", "", b"a word"),
        Record(1.90, "/zx200/safety", "kuwa_msgs/msg/SafetyState", b"\x00"),
        Record(2.90, "/zx200/other", "none/msg/Such", b"\x00"),
    ]
    told = [(event.time, event.what, event.words) for event in timeline(records)]
    assert told == [
        (1.00, "node", "control is active"),
        (1.10, "mode", "auto"),
        (1.10, "level", "none"),
        (1.45, "silence", "no heartbeat of control for 0.400 s"),
        (1.45, "node", "control is active: it hangs"),
        (1.50, "alarm", "control_killed (supervisor: silent)"),
        (1.60, "mode", "stopped"),
        (1.60, "level", "stopped: told to"),
        (1.70, "alarm", "control_killed is over"),
        (1.80, "note", "a word"),
        (1.45, "silence", "the last heartbeat of control"),
        (1.12, "silence", "the last applied"),
    ]
    (line,) = last_commands(records)
    assert "applied" in line and "7 of gate: swing +0.500" in line


def test_a_sealed_deadman_is_told_apart_from_a_plain_one() -> None:
    sealed = topics.SEALED[topics.DEADMAN]

    def word(held: bool) -> Any:
        return sealed_msg(Bool(data=held), f"/zx200/{sealed.name}", "/zx200/teleop", KEY)

    records = [
        record(1.0, sealed, word(True)),
        record(1.1, topics.DEADMAN, Bool(data=False)),
        record(1.2, sealed, word(True)),
        record(1.3, sealed, word(False)),
    ]
    assert [(event.time, event.what, event.words) for event in timeline(records)] == [
        (1.0, "deadman", "sealed held"),
        (1.1, "deadman", "released"),
        (1.3, "deadman", "sealed released"),
    ]


def test_every_topic_is_recorded_or_left_out_for_a_reason() -> None:
    assert set(RECORDED).isdisjoint(LEFT_OUT)
    assert set(RECORDED) | set(LEFT_OUT) == set(topics.TOPICS)
    # What somebody sees who asks why it moved: what was asked, by whom, and what it felt.
    for topic in (topics.IMU, topics.TOOL_FORCE, topics.JOY, topics.REFERENCE, topics.SPIKES):
        assert topic in RECORDED


class Topic:
    """A reader of one topic: what waits, or the error that it raises."""

    def __init__(self, topic: topics.Topic, waiting: list[tuple[bytes, float]] | None) -> None:
        self.topic, self.waiting = topic, waiting
        self.subscription = SimpleNamespace(topic_name=f"/zx200/{topic.name}")

    def take_raw(self) -> tuple[bytes, float] | None:
        if self.waiting is None:
            raise RuntimeError("the middleware is at odds")
        return self.waiting.pop(0) if self.waiting else None


def test_a_topic_that_cannot_be_taken_from_is_an_alarm_and_the_others_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: dict[str, Topic] = {}

    def reader(node: Any, topic: topics.Topic, depth: int = 1) -> Topic:
        readers[topic.name] = made = Topic(topic, [])
        return made

    monkeypatch.setattr(recorder, "Reader", reader)
    node: Any = SimpleNamespace(context=SimpleNamespace(ok=lambda: True))
    recording = recorder.Recorder(node, tmp_path, ("control",))
    try:
        readers["joint_states"].waiting = None
        readers["imu"].waiting = [(b"felt", 7.0)]
        until(lambda: "joint_states is not recorded" in recording.box.problem)
        assert of_box(recording.box, 0.0) == {"black_box_idle": recording.box.problem}
        until(lambda: readers["imu"].waiting == [])
        readers["joint_states"].waiting = [(b"stood", 8.0)]
        until(lambda: not of_box(recording.box, 0.0))
    finally:
        recording.stop()
    assert [(r.topic, r.data) for r in read(tmp_path).records] == [
        ("/zx200/imu", b"felt"), ("/zx200/joint_states", b"stood"),
    ]  # fmt: skip


def test_a_recorder_whose_thread_has_ended_is_an_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "Reader", lambda node, topic, depth=1: Topic(topic, []))
    node: Any = SimpleNamespace(context=SimpleNamespace(ok=lambda: False))
    recording = recorder.Recorder(node, tmp_path, ())
    until(lambda: "thread recorder" in of_box(recording.box, 0.0).get("black_box_idle", ""))
    recording.stop()
    assert of_box(recording.box, 0.0) == {}


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 5.0
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_messages_go_through_the_box_unchanged(tmp_path: Path) -> None:
    box = BlackBox(tmp_path)
    sent = record(5.0, topics.SAFETY, safety_msg(SafetyState(Mode.AUTO), 1.0))
    box.record(sent.topic, sent.type, sent.time, sent.data)
    box.work()
    assert read(tmp_path).records == (sent,)


def _half() -> Any:
    import numpy as np

    return np.array([0.5])
