"""A stack with a key, as processes: who has the key drives, strangers do not, and are told why."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kuwa_msgs.msg import JointCommand, Sealed
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool

from kuwa_bringup.stack import stack
from kuwa_hardware.envelope import Envelope
from kuwa_ros import topics
from kuwa_ros.sealing import SealedWriter
from stack_rig import MACHINE, NAMES, Rig, running, wait_for

pytestmark = pytest.mark.ros

KEY = bytes(range(32))
ENVELOPE = Envelope(KEY, f"/{MACHINE}")
BOOM = NAMES.index("boom_joint")
DEADMAN, ARM = 9, 6
"""Buttons of a game controller."""


def started(folder: Path, **console: Any) -> Any:
    """Return a stack with a key and an operator's node without a page."""
    key = folder / "key"
    key.touch(0o600)
    key.write_text(KEY.hex())
    operator = {"page": False, "scene": False, "person": "Ada", **console}
    specs = stack(
        MACHINE,
        "mock",
        planner="",
        controller="pid",
        auto_arm=False,
        key_file=str(key),
        console=operator,
    )
    return running(specs, folder / "logs")


@pytest.fixture(scope="module")
def rig(ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with started(tmp_path_factory.mktemp("sealed")) as rig:
        yield rig


class Joystick:
    """Somebody's hands on a joystick, whose words are sent at 50 Hz."""

    def __init__(self, send: Callable[[Joy], None]) -> None:
        self._send, self._lock = send, threading.Lock()
        self._axes, self._buttons = [0.0] * 6, [0] * 21

    def say(self) -> None:
        with self._lock:
            self._send(Joy(axes=list(self._axes), buttons=list(self._buttons)))

    def hold(self, stick: float, *buttons: int) -> None:
        """Hold boom's stick and these buttons."""
        with self._lock:
            self._axes[3] = stick
            self._buttons = [int(k in buttons) for k in range(21)]
        time.sleep(0.2)

    def arm(self) -> None:
        """Arm with the stick centred, and press the deadman."""
        self.hold(0.0)
        self.hold(0.0, ARM)
        self.hold(0.0)
        self.hold(0.0, DEADMAN)


@contextmanager
def joystick(rig: Rig, envelope: Envelope | None) -> Iterator[Joystick]:
    """A joystick of somebody who has a key, or of a stranger."""
    writer = SealedWriter(rig.probe.node, topics.JOY, envelope)
    stick = Joystick(writer)
    with rig.probe.repeating(stick.say):
        yield stick
    rig.probe.node.destroy_publisher(writer.publisher)


class Strangers:
    """They steer the boom and hold the deadman: plainly, under another key, and by recordings."""

    def __init__(self, rig: Rig) -> None:
        node = rig.probe.node
        steering = JointCommand(joint_name=list(NAMES), kind=JointCommand.VELOCITY_FRACTION,
                                source="teleop", value=array("d", [0.0] * len(NAMES)))  # fmt: skip
        steering.value[BOOM] = -1.0
        self._said = {topics.VELOCITY_REFERENCE: steering, topics.DEADMAN: Bool(data=True)}
        self._plain = {t: SealedWriter(node, t, None) for t in self._said}
        self._sealed = {
            t: SealedWriter(node, t, Envelope(KEY[::-1], f"/{MACHINE}")) for t in self._said
        }
        self._heard: dict[topics.Topic, list[Sealed]] = {t: [] for t in self._said}
        for topic, heard in self._heard.items():
            sealed = topics.SEALED[topic]
            node.create_subscription(sealed.type, sealed.name, heard.append, sealed.qos(50))

    def speak(self) -> None:
        for topic, message in self._said.items():
            self._plain[topic](message)
            self._sealed[topic](message)
            for old in self._heard[topic][-50:-49]:
                self._sealed[topic].publisher.publish(old)


def rest(rig: Rig) -> None:
    """Bring the gate back to ready."""
    wait_for("ready", lambda: rig.probe.set_mode("ready", envelope=ENVELOPE)[0], 10.0)
    wait_for("mode ready", lambda: rig.probe.mode == "ready", 5.0)


def up(rig: Rig, stick: Joystick) -> bool:
    """Arm, and pull the stick towards the operator; a busy computer may need several tries."""
    stick.arm()
    stick.hold(-1.0, DEADMAN)
    time.sleep(0.3)
    return rig.probe.mode == "teleop"


def test_a_sealed_joystick_drives_and_strangers_beside_it_do_not(rig: Rig) -> None:
    probe = rig.probe
    rest(rig)
    # Made beforehand: while nodes get to know one another this process has no time for a joystick.
    strangers = Strangers(rig)
    with joystick(rig, ENVELOPE) as stick:
        wait_for("boom up", lambda: up(rig, stick), 20.0)
        start = probe.position("boom_joint")
        wait_for("it moves up", lambda: probe.position("boom_joint") < start - 0.02, 5.0)

        def stays() -> bool:
            """Nothing moves; a busy computer may not keep up the joystick for long enough."""
            up(rig, stick)
            stick.hold(0.0, DEADMAN)
            wait_for("rest", lambda: probe.speed() < 1e-3, 10.0)
            where = probe.position("boom_joint")
            with probe.repeating(strangers.speak, 0.05):
                time.sleep(1.5)
                assert probe.out() == 0.0
                assert probe.position("boom_joint") == pytest.approx(where, abs=1e-3)
                return probe.mode == "teleop"

        wait_for("a held deadman, and strangers beside it", stays, 30.0)
        with probe.repeating(strangers.speak, 0.05):
            for node in ("control", "safety"):
                wait_for(f"{node} says so", lambda n=node: probe.says(n, "forged"), 3.0)
            assert "reference_forged" in probe.says("control", "alarms")
            wait_for("the alarm", lambda: "deadman_forged" in probe.safety.alarms, 3.0)
            stick.hold(0.0)
            wait_for("the deadman is let go", lambda: probe.mode == "armed", 3.0)
            time.sleep(0.5)
            granted, why = probe.set_mode("teleop", envelope=ENVELOPE)
            assert not granted and "deadman" in why


def test_a_joystick_without_the_key_is_told_so_and_drives_nothing(rig: Rig) -> None:
    probe = rig.probe
    rest(rig)
    with joystick(rig, None) as stick:
        assert not up(rig, stick)
        wait_for("the words", lambda: "no code" in probe.says("teleop", "forged"), 3.0)
        assert probe.mode == "ready" and probe.out() == 0.0
    assert "joystick: a message was refused: it carries no code" in rig.processes.tail("teleop", 50)
