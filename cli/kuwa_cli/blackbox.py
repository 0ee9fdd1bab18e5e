"""``kuwa blackbox``: what the black box holds, as a line of time that a person can read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from kuwa_hardware.blackbox import Record, read
from kuwa_machines.contracts import Level

LATE = 0.15
"""A heartbeat this long after the one before is told as missing [s]."""
QUIET = 0.2
"""So is a pause of commands or joint states."""
COMMANDS = 5
"""Last commands that are shown."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the timeline.

    Args:
        time: system time [s]. what: kind of event, in a word. words: for people.
    """

    time: float
    what: str
    words: str


def command(
    path: Path = typer.Argument(..., help="A file *.kbb, or a folder with some."),
    last: float = typer.Option(0.0, help="Only the last so many seconds. [default: all]"),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line."),
) -> None:
    """Tell what a black box holds: modes, levels, alarms, missing heartbeats, the last commands.

    A file that is torn, after a power cut say, is read as far as it is whole.
    """
    found = read(path)
    records = sorted(found.records, key=lambda record: record.time)
    if last > 0.0 and records:
        records = [r for r in records if r.time >= records[-1].time - last]
    events = list(timeline(records))
    if as_json:
        for event in events:
            print(json.dumps(asdict(event), ensure_ascii=False))
        return
    if not records:
        print(f"{path}: no whole record; {found.torn} bytes are torn")
        return
    first, end = records[0].time, records[-1].time
    day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(end))
    torn = f", {found.torn} bytes torn" if found.torn else ""
    print(f"{path}: {len(records)} records in {end - first:.1f} s, the last at {day}{torn}")
    for event in events:
        print(f"{event.time - end:9.3f} s  {event.what:9s} {event.words}")
    for line in last_commands(records):
        print(line)


def timeline(records: list[Record]) -> Iterator[Event]:
    """Yield what changed, in the order of time."""
    teller = _Teller()
    for record in records:
        if not record.topic:
            yield Event(record.time, "note", record.data.decode(errors="replace"))
            continue
        yield from teller.look(record)
    yield from teller.end(records[-1].time if records else 0.0)


def last_commands(records: list[Record]) -> Iterator[str]:
    """Yield the last requests and applied commands."""
    for name in ("request", "applied"):
        chosen = [r for r in records if r.topic.endswith(f"joint_command/{name}")][-COMMANDS:]
        for record in chosen:
            message = message_of(record)
            if message is not None:
                values = "  ".join(
                    f"{joint.removesuffix('_joint')} {value:+.3f}"
                    for joint, value in zip(message.joint_name, message.value, strict=False)
                )
                age = record.time - records[-1].time
                yield f"{age:9.3f} s  {name:9s} {message.sequence} of {message.source}: {values}"


def message_of(record: Record) -> Any | None:
    """Return a record as the message that it was, or None where that is not known here.

    One that was sealed is opened; its code was the receiver's to look at.
    """
    from rclpy.serialization import deserialize_message

    from kuwa_ros.sealing import opened
    from kuwa_ros.topics import SEALED

    try:
        package, kind, name = record.type.split("/")
        found = deserialize_message(record.data, getattr(import_module(f"{package}.{kind}"), name))
        for plain, sealed in SEALED.items():
            if record.topic.endswith(f"/{sealed.name}"):
                return opened(found, plain)
        return found
    except Exception:
        # Of another version, or damaged in a way that the check sum did not see.
        return None


class _Teller:
    """Remembers what was so far, to tell only changes."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}
        self._heard: dict[str, float] = {}
        self._tell: dict[str, Callable[[float, Any], Iterator[Event]]] = {
            "safety": self._safety,
            "alarms": self._alarms,
            "robot_status": self._faults,
            "plan_status": self._plan,
            "emergency_stop": self._stop,
            "deadman": partial(self._deadman, ""),
            # Told apart: of a plain one nobody knows whose it was.
            "deadman/sealed": partial(self._deadman, "sealed"),
        }

    def look(self, record: Record) -> Iterator[Event]:
        """Yield what a record changes."""
        parts = record.topic.strip("/").split("/")
        name = "/".join(parts[-2:]) if parts[-1] == "sealed" else parts[-1]
        if "heartbeat" in parts:
            yield from self._gap(f"heartbeat of {name}", record.time, LATE)
            message = message_of(record)
            if message is not None:
                words = ": ".join(filter(None, (message.state, message.problem)))
                yield from self._changed(record.time, "node", f"{name} is", words)
        elif name in ("request", "applied", "joint_states"):
            yield from self._gap(name, record.time, QUIET)
        elif name in self._tell:
            message = message_of(record)
            if message is not None:
                yield from self._tell[name](record.time, message)

    def end(self, now: float) -> Iterator[Event]:
        """Yield what stayed away until the end."""
        for what, at in self._heard.items():
            if now - at > 2.0 * QUIET:
                yield Event(at, "silence", f"the last {what}")

    def _gap(self, what: str, now: float, most: float) -> Iterator[Event]:
        before = self._heard.get(what)
        self._heard[what] = now
        if before is not None and now - before > most:
            yield Event(now, "silence", f"no {what} for {now - before:.3f} s")

    def _changed(self, now: float, what: str, key: str, words: str) -> Iterator[Event]:
        if self._last.get(f"{what} {key}") != words:
            self._last[f"{what} {key}"] = words
            yield Event(now, what, f"{key} {words}".strip())

    def _safety(self, now: float, message: Any) -> Iterator[Event]:
        yield from self._changed(now, "mode", "", message.mode)
        level = Level(message.level).name.lower()
        why = "" if message.level == 0 else f": {'; '.join(message.reasons)}"
        if self._last.get("level") != level:
            self._last["level"] = level
            yield Event(now, "level", level + why)

    def _alarms(self, now: float, message: Any) -> Iterator[Event]:
        before: dict[str, str] = self._last.get("alarms", {})
        alarms = {alarm.code: f"{alarm.source}: {alarm.reason}" for alarm in message.alarms}
        self._last["alarms"] = alarms
        for code, words in alarms.items():
            if code not in before:
                yield Event(now, "alarm", f"{code} ({words})")
        for code in before:
            if code not in alarms:
                yield Event(now, "alarm", f"{code} is over")

    def _faults(self, now: float, message: Any) -> Iterator[Event]:
        yield from self._changed(now, "driver", "", ", ".join(message.faults) or "no fault")

    def _plan(self, now: float, message: Any) -> Iterator[Event]:
        yield from self._changed(now, "plan", "", f"{message.phase}, cycle {message.cycle}")

    def _stop(self, now: float, message: Any) -> Iterator[Event]:
        yield Event(now, "stop", "demanded" if message.data else "no longer demanded")

    def _deadman(self, how: str, now: float, message: Any) -> Iterator[Event]:
        yield from self._changed(now, "deadman", how, "held" if message.data else "released")
