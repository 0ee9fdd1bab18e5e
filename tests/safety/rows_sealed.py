"""Strangers who steer, send chunks or hold the deadman where there is a key.

They send without a code, with one of another key or for another topic, change what is under it, and
send recordings. Control and safety run in this process, in time, as for the rows about policies.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from kuwa_msgs.msg import Sealed
from std_msgs.msg import Bool

from failure_rows import Seen, row
from kuwa_control.node import ControlNode
from kuwa_hardware.envelope import Envelope
from kuwa_machines.contracts import CommandKind, JointCommand, Mode
from kuwa_ros import topics
from kuwa_ros.conversions import command_msg, seconds, time_msg
from kuwa_ros.loop import Reader
from kuwa_ros.sealing import SealedReader, sealed_from, sealed_msg
from kuwa_safety.node import SafetyNode
from rows_policy import NAMES, ROS, SPEC, SWING, Around, at_best, beside, milliseconds

KEY = bytes(range(32))
STEER = np.array([0.4, 0.0, 0.0, 0.0])
WITHIN = 50.0
"""Of all three rows [ms]."""
LONG_AGO = 60.0
"""Age of a recording [s]."""


@contextmanager
def keyed(make: Callable[[], Any], mode: Mode, folder: Path, **more: Any) -> Iterator[Any]:
    """Run a node that has the key."""
    key = folder / "key"
    key.touch(0o600)
    key.write_text(KEY.hex())
    with beside(make, mode, **more, key_file=str(key)) as (node, around):
        yield node, around


class Senders:
    """Somebody with the key, and strangers, on one topic.

    Args:
        reader: of the node that listens. make: what they want to say at the moment.
    """

    def __init__(self, around: Around, reader: SealedReader, make: Callable[[], Any]) -> None:
        self._around, self._judge, self._make = around, reader.judge, make
        plain, sealed = reader.topic, topics.SEALED[reader.topic]
        node = around.node
        self._plain = node.create_publisher(plain.type, plain.name, plain.qos())
        self._sealed = node.create_publisher(sealed.type, sealed.name, sealed.qos())
        self._machine = node.get_namespace()
        self._taken: Sealed | None = None

    def genuine(self) -> None:
        """Send as who has the key does."""
        self._taken = self._seal()
        self._sealed.publish(self._taken)

    def strange(self) -> None:
        """Send all that strangers could."""
        for _, send in self._forgeries():
            send()

    def refused(self) -> tuple[float, str]:
        """Let strangers send; return the longest time until it was refused [ms], and the words."""
        self.genuine()
        self.pause(0.1)
        times, words = [], []
        for wanted, send in self._forgeries():
            times.append(at_best(lambda send=send: self._time(send), WITHIN))
            assert wanted in self._judge.refused, (wanted, self._judge.refused)
            words.append(self._judge.refused)
        return max(times), "; ".join(words)

    def pause(self, length: float) -> None:
        """Go on for a while [s]."""
        end = time.monotonic() + length
        self._around.until("a while", lambda: time.monotonic() > end)

    def _time(self, send: Callable[[], None]) -> float:
        before, since = self._judge.refused_at, time.monotonic()
        send()
        self._around.until("the refusal", lambda: self._judge.refused_at > before)
        return milliseconds(since)

    def _forgeries(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        send = self._sealed.publish
        return (
            # First: a second later it would be refused for its age.
            ("", lambda: send(self._taken)),
            ("it carries no code, which", lambda: self._plain.publish(self._make())),
            ("it carries no code", lambda: send(self._changed(mac=array("B")))),
            ("its code is wrong", lambda: send(self._changed(source="/stranger"))),
            ("its code is wrong", lambda: send(self._seal(key=KEY[::-1]))),
            ("its code is wrong", lambda: send(self._seal(topic="/truck/deadman/sealed"))),
            ("its code is wrong", lambda: send(self._seal(machine="/truck"))),
            (f"it was made {LONG_AGO} s ago", lambda: send(self._recording())),
        )

    def _seal(self, key: bytes = KEY, topic: str = "", machine: str = "") -> Sealed:
        topic = topic or self._sealed.topic_name
        envelope = Envelope(key, machine or self._machine)
        return sealed_msg(self._make(), topic, "/teleop", envelope)

    def _changed(self, **changes: Any) -> Sealed:
        message = self._seal()
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def _recording(self) -> Sealed:
        message = self._seal()
        message.stamp = time_msg(seconds(message.stamp) - LONG_AGO)
        envelope = Envelope(KEY, self._machine)
        proof = envelope.seal_message(sealed_from(message, self._sealed.topic_name))
        message.mac = array("B", proof.mac)
        return message


def followed(
    control: ControlNode, around: Around, senders: Senders, code: str, fast: float
) -> Seen:
    """Motion for who has the key, none for strangers, and motion again."""
    around.until("motion", lambda: around.speed() > fast, senders.genuine)
    after, said = senders.refused()
    assert code in str(control.report()["alarms"]).split()
    assert "refused" in str(control.report()["forged"])
    senders.pause(1.5)  # until it rests
    end, fastest = time.monotonic() + 0.5, [0.0]

    def watched() -> None:
        senders.strange()
        fastest.append(around.speed())

    around.until("strangers give up", lambda: time.monotonic() > end, watched)
    assert max(fastest) < 0.1 * fast, max(fastest)
    around.until("motion again", lambda: around.speed() > fast, senders.genuine)
    return Seen("refuse", after, True, said)


@row("reference_forged", ROS)
def reference_forged(tmp_path: Path) -> Seen:
    with keyed(ControlNode, Mode.TELEOP, tmp_path, controller="pid") as (control, around):

        def steer() -> Any:
            return command_msg(JointCommand(
                around.state.stamp, 1, "teleop", CommandKind.VELOCITY_FRACTION, NAMES, STEER
            ))  # fmt: skip

        senders = Senders(around, control._velocities, steer)
        fast = 0.8 * STEER[0] * SPEC.qd_max[0]
        return followed(control, around, senders, "reference_forged", fast)


@row("trajectory_forged", ROS)
def trajectory_forged(tmp_path: Path) -> Seen:
    with keyed(ControlNode, Mode.AUTO, tmp_path, controller="pid") as (control, around):
        # Short chunks: who sends no more of them rests soon.
        senders = Senders(around, control._trajectories, lambda: around.chunk(length=0.5))
        return followed(control, around, senders, "trajectory_forged", 0.8 * SWING[0])


@row("deadman_forged", ROS)
def deadman_forged(tmp_path: Path) -> Seen:
    """Nobody gets into mode teleop by a stranger's deadman, nor stays in it."""
    with keyed(SafetyNode, Mode.OFF, tmp_path, preflight="none") as (safety, around):
        told = Reader(around.node, topics.SAFETY, 100)
        senders = Senders(around, safety._deadman, lambda: Bool(data=True))

        def granted(mode: Mode) -> bool:
            with safety._lock:
                return bool(safety.gate.set_mode(mode, "Ada")[0])

        around.until("ready", lambda: granted(Mode.READY))
        around.until("armed", lambda: granted(Mode.ARMED))
        around.until("teleop", lambda: granted(Mode.TELEOP), senders.genuine)
        after, said = senders.refused()
        around.until("the deadman is released", lambda: safety.gate.mode is Mode.ARMED,
                     senders.strange)  # fmt: skip
        words = [m for m in told.drain() if "deadman_forged" in m.alarms]
        assert any("a message was refused" in reason for m in words for reason in m.reasons)
        assert "refused" in str(safety.report()["forged"])
        end = time.monotonic() + 0.3
        around.until("strangers give up", lambda: time.monotonic() > end, senders.strange)
        assert not granted(Mode.TELEOP)
        around.until("teleop again", lambda: granted(Mode.TELEOP), senders.genuine)
        return Seen("refuse", after, True, said)
