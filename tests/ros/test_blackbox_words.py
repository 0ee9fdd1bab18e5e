"""Alarms in words, and what ``kuwa blackbox`` makes of records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kuwa_msgs.msg import Alarm, Alarms, Heartbeat
from rclpy.serialization import serialize_message

from kuwa_bringup.alarms import AlarmBook, of_box, of_gate
from kuwa_cli.blackbox import last_commands, timeline
from kuwa_hardware.blackbox import BlackBox, Record, read
from kuwa_hardware.failures import failure
from kuwa_machines.contracts import CommandKind, JointCommand, Level, Mode, SafetyState
from kuwa_ros import topics
from kuwa_ros.conversions import command_msg, safety_msg

pytestmark = pytest.mark.ros


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
    box.problem, box.torn = "no room", "7 bytes"
    assert of_box(box, 1.0) == {"disk_full": "no room", "black_box_torn": "7 bytes"}
    assert of_box(box, 100.0) == {"disk_full": "no room"}


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


def test_messages_go_through_the_box_unchanged(tmp_path: Path) -> None:
    box = BlackBox(tmp_path)
    sent = record(5.0, topics.SAFETY, safety_msg(SafetyState(Mode.AUTO), 1.0))
    box.record(sent.topic, sent.type, sent.time, sent.data)
    box.work()
    assert read(tmp_path).records == (sent,)


def _half() -> Any:
    import numpy as np

    return np.array([0.5])
