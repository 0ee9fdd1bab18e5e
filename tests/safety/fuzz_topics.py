"""Fuzzing of every topic and of the mode service of a running stack, by a stranger without its key.

The stack works (mock robot, mode auto, a planner that sends chunks) while strange messages come on
every topic. Everybody may stop a machine, so most of the time a period has no messages that only do
so, and the machine works under all others. After each period nothing may have crashed, every
command that the gate sealed must have been safe, and a person must be able to put the machine to
work again.

It needs tests/ros and tests/safety on PYTHONPATH; arguments: [seconds] [seed].
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from kuwa_msgs.srv import SetMode

from fuzz_messages import damaged, message
from kuwa_hardware.envelope import Envelope, load_key
from kuwa_machines.contracts import JointCommand
from kuwa_ros import topics
from kuwa_ros.conversions import command_from
from stack_rig import MACHINE, NAMES, Rig, mock_stack, running, wait_for

RATE = 200.0
"""Strange messages a second: twice as many as the machine's own joint states."""
PERIOD, PEACE = 20.0, 15.0
"""Until a person looks after the machine, and of it without messages that only stop [s]."""
NODES = ("robot", "safety", "control", "planning", "supervisor")
STILL = frozenset({"off", "ready", "stopped"})


@dataclass
class Found:
    """What came of it.

    Args:
        sent: strange messages. granted: modes that a stranger was granted beyond stopping.
        unsafe: what was wrong with sealed commands, how often. crashed: what ended or wrote a
            traceback. modes: that were seen.
    """

    sent: int = 0
    granted: Counter[str] = field(default_factory=Counter)
    unsafe: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)

    @property
    def bad(self) -> int:
        """How much was wrong."""
        return self.unsafe.total() + self.crashed.total() + self.granted.total()

    @property
    def working(self) -> float:
        """Of the time the machine worked."""
        return self.modes["auto"] / max(self.modes.total(), 1)


class Stranger:
    """Sends what nobody should, and judges what the gate lets through."""

    def __init__(self, rig: Rig, envelope: Envelope, seed: int) -> None:
        self.rig, self.envelope = rig, envelope
        self.rng = random.Random(seed)
        self.found = Found()
        self.last: dict[str, Any] = {}
        node = rig.probe.node
        self.topics = [t for t in topics.TOPICS if "<" not in t.name]
        self.topics += [topics.heartbeat(name) for name in NODES]
        self.out = {t.name: node.create_publisher(t.type, t.name, t.qos()) for t in self.topics}
        for topic in self.topics:
            node.create_subscription(
                topic.type, topic.name, lambda m, n=topic.name: self._heard(n, m), topic.qos(1)
            )
        stops = {topics.EMERGENCY_STOP.name, *(topics.heartbeat(name).name for name in NODES)}
        self.peaceful = [topic for topic in self.topics if topic.name not in stops]
        self.client = node.create_client(SetMode, topics.SET_MODE[0])

    def _heard(self, name: str, msg: Any) -> None:
        self.last[name] = msg
        if name == topics.APPLIED.name:
            self._judge(msg)

    def _judge(self, msg: Any) -> None:
        try:
            command = command_from(msg)
        except Exception:
            return  # one of ours
        if self.envelope.check(command):
            return
        for what in unsafe(command):
            self.found.unsafe[what] += 1

    def send(self, peace: bool) -> None:
        """Send one strange message; in ``peace`` none that only stops."""
        topic = self.rng.choice(self.peaceful if peace else self.topics)
        good = self.last.get(topic.name)
        strange = (
            damaged(self.rng, good)
            if good is not None and self.rng.random() < 0.6
            else message(self.rng, topic.type)
        )
        self.out[topic.name].publish(strange)
        self.found.sent += 1

    def ask(self) -> None:
        """Ask for a mode without a code."""
        mode = self.rng.choice(("ready", "armed", "auto", "teleop", "off", "", "AUTO", "x" * 9999))
        who = self.rng.choice(("Ada", "supervisor", "", "🚜", "x" * 9999))
        request = SetMode.Request(mode=mode, who=who, sequence=self.rng.getrandbits(63))
        request.mac = array("B", self.rng.randbytes(self.rng.choice((0, 31, 32))))

        def answered(future: Any) -> None:
            if future.result() is not None and future.result().granted and mode != "stopped":
                self.found.granted[mode] += 1

        self.client.call_async(request).add_done_callback(answered)


def unsafe(command: JointCommand) -> list[str]:
    """Say what is wrong with a command that goes to the valves."""
    wrong = []
    if sorted(command.names) != sorted(NAMES):
        wrong.append(f"joints {command.names}")
    if not np.isfinite(command.values).all():
        wrong.append("not finite")
    elif (np.abs(command.values) > 1.0).any():
        wrong.append("beyond full stroke")
    return wrong


def fuzz(seconds: float, seed: int) -> Found:
    """Run a stack, be a stranger to it for so long, and see whether it works afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder, "key")
        key.touch(0o600)
        key.write_text(random.Random(seed).randbytes(32).hex() + "\n")
        envelope = Envelope(load_key(key), f"/{MACHINE}")
        specs = mock_stack(key_file=str(key), auto_arm=True)
        with running(specs, Path(folder, "logs")) as rig:
            wait_for("mode auto", lambda: rig.probe.mode == "auto")
            stranger = Stranger(rig, envelope, seed)
            found = stranger.found
            until = time.monotonic() + seconds
            count = 0
            period = time.monotonic()
            while time.monotonic() < until:
                if time.monotonic() - period > PERIOD:
                    _goes_on(rig, envelope, found)
                    period = time.monotonic()
                stranger.send(time.monotonic() - period < PEACE)
                count += 1
                if count % 50 == 0:
                    stranger.ask()
                    found.modes[rig.probe.mode] += 1
                    for name, code in rig.processes.ended().items():
                        found.crashed[f"{name} ended with code {code}"] += 1
                    if found.crashed:
                        break
                time.sleep(1.0 / RATE)
            _goes_on(rig, envelope, found)
            for name in rig.processes.specs:
                text = rig.processes.tail(name, 100_000)
                if "Traceback" in text:
                    found.crashed[f"{name} wrote a traceback"] += text.count("Traceback")
                    print(text[text.index("Traceback") :][:3000], file=sys.stderr)
            return found


def _goes_on(rig: Rig, envelope: Envelope, found: Found) -> None:
    """A person releases the stop that strange messages may have led to, and the machine works."""
    try:
        rig.probe.stop(False)
        wait_for("the stack is well", lambda: rig.probe.supervisor() in ("running", "stopped"), 20)
        wait_for("mode auto", lambda: _climbed(rig, envelope), 20)
        count = len(rig.probe.applied)
        wait_for("commands", lambda: len(rig.probe.applied) > count + 50, 10)
    except AssertionError as error:
        why = _answers[-1] if _answers else rig.probe.supervisor()
        found.crashed[f"afterwards: {error}; in mode {rig.probe.mode!r}; {why}"[:500]] += 1


_answers: list[str] = []


def _climbed(rig: Rig, envelope: Envelope) -> bool:
    """Ask for the next mode on the way up; say if it is the last one."""
    if rig.probe.mode == "auto":
        return True
    wanted = {"ready": "armed", "armed": "auto"}.get(rig.probe.mode, "ready")
    _answers.append(rig.probe.set_mode(wanted, envelope=envelope)[1])
    return False


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    result = fuzz(given[0] if given else 20.0, int(given[1]) if len(given) > 1 else 0)
    print(f"{MACHINE}: {result.sent} strange messages; modes seen {dict(result.modes)}")
    for title, counts in (
        ("unsafe", result.unsafe), ("crashed", result.crashed), ("granted", result.granted)
    ):  # fmt: skip
        for what, number in counts.most_common(10):
            print(f"    {title}: {number} × {what}")
    sys.exit(1 if result.bad else 0)
