"""A stack with an operator's page, a probe that times what comes of it, and a browser."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sensor_msgs.msg import Joy

from kuwa_bringup.stack import stack
from kuwa_ros import topics
from stack_rig import MACHINE, NAMES, Rig, running, wait_for

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome")
                 if (p := shutil.which(n))), "")  # fmt: skip
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this computer")
BOOM = NAMES.index("boom_joint")

PAD = """
window.kuwaPad = null;
navigator.getGamepads = () => [window.kuwaPad, null, null, null];
window.pad = (axes, deadman, more) => {
  const buttons = Array.from({length: 17}, () => ({pressed: false, value: 0}));
  if (deadman) buttons[5].pressed = true;
  for (const k of more || []) buttons[k].pressed = true;
  window.kuwaPad = {index: 0, id: "test pad", mapping: "standard", connected: true, axes, buttons};
};
localStorage.setItem("kuwa-scene", "off");
"""


class Ears:
    """Times what goes to control and to the robot, by receipt on the steady clock."""

    def __init__(self, rig: Rig) -> None:
        node = rig.probe.node
        self.references: list[tuple[float, list[float]]] = []
        self.applied: list[tuple[float, list[float]]] = []
        self.deadman: list[tuple[float, bool]] = []
        for topic, keep in (
            (topics.VELOCITY_REFERENCE, lambda m: (self.references, list(m.value))),
            (topics.APPLIED, lambda m: (self.applied, list(m.value))),
            (topics.DEADMAN, lambda m: (self.deadman, bool(m.data))),
        ):
            node.create_subscription(topic.type, topic.name, self._keeping(keep), topic.qos(50))
        self.followed = ("", False)
        """Whose action control follows now, and whether it asks for motion."""
        node.create_subscription(
            topics.REFERENCE.type, topics.REFERENCE.name,
            lambda m: setattr(self, "followed", (m.source, any(m.value))), topics.REFERENCE.qos(),
        )  # fmt: skip
        self.joy = node.create_publisher(Joy, topics.JOY.name, topics.JOY.qos())

    @staticmethod
    def _keeping(keep: Any) -> Any:
        def callback(message: Any) -> None:
            into, value = keep(message)
            into.append((time.monotonic(), value))

        return callback

    def boom(self) -> float:
        return self.references[-1][1][BOOM] if self.references else 0.0

    def last_motion(self, since: float) -> float:
        """Return how long after ``since`` anything but neutral was still asked for or applied."""
        moving = [t for t, v in (*self.references, *self.applied) if t > since and any(v)]
        return max(moving, default=since) - since


class Console:
    """A stack of the mock robot with the page."""

    def __init__(self, rig: Rig, url: str) -> None:
        self.rig, self.probe, self.url = rig, rig.probe, url
        self.ears = Ears(rig)

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    @property
    def token(self) -> str:
        return self.url.partition("#")[2]

    def rest(self) -> None:
        """Bring the gate back to ready."""
        wait_for("ready", lambda: self.probe.set_mode("ready")[0], 5.0)
        wait_for("mode ready", lambda: self.probe.mode == "ready", 5.0)


@contextmanager
def console(folder: Path, robot: str = "mock", **options: Any) -> Iterator[Console]:
    """Run a stack with the page; its address is read from the file that only we may read."""
    file = folder / "page.url"
    more = {"port": 0, "scene": False, "url_file": str(file), "picture_timeout": 1.0,
            "person": "Ada"}  # fmt: skip
    specs = stack(MACHINE, robot, planner=options.pop("planner", ""), auto_arm=False,
                  console=more | options)  # fmt: skip
    with running(specs, folder / "logs") as rig:
        wait_for("the page's address", file.is_file)
        assert file.stat().st_mode & 0o077 == 0, "others may read the token"
        yield Console(rig, file.read_text().strip())


class Hand:
    """A page in a browser with a gamepad that the test holds."""

    def __init__(self, page: Any, console: Console) -> None:
        self.page, self.console = page, console
        self.errors: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.on("request", lambda r: self.asked.append(r.url))
        page.add_init_script(PAD)
        page.goto(console.url)
        self.until("last !== null", 15.0)

    def pad(self, y: float = 0.0, deadman: bool = False, *more: int) -> None:
        """Hold the pad's right stick at ``y``, forward positive."""
        self.page.evaluate(f"pad([0, 0, 0, {-y}], {json.dumps(deadman)}, {list(more)})")

    def until(self, what: str, timeout: float = 5.0) -> None:
        # Not wait_for_function: the page's policy forbids what that is made of.
        wait_pumping(self.page, what, lambda: self.page.evaluate(f"Boolean({what})"), timeout)

    def arm(self) -> None:
        """Press Arm with the sticks centred, and wait for it."""
        if self.page.evaluate("last.desk.driver !== me"):
            self.page.evaluate("act('take')")
        self.until("last.desk.driver === me && ['disarmed', 'lost'].includes(last.desk.phase)")
        end = time.monotonic() + 30.0
        while True:
            # On a busy computer the gate may have a reason to refuse just now.
            self.page.evaluate("act('arm')")
            try:
                self.until("last.desk.phase === 'ready' && last.m.mode === 'armed'", 1.5)
                return
            except AssertionError:
                if time.monotonic() > end:
                    raise

    def drive(self, y: float = 0.0) -> None:
        """Press the deadman, then move the boom's stick, until it is applied.

        Without ``y`` fully towards the middle of the boom's range: at its end the gate lets
        nothing pass.

        Where the computer is so busy that the sticks are lost meanwhile, it begins anew.
        """
        ears = self.console.ears
        y = y or (1.0 if self.console.probe.position("boom_joint") < -0.6 else -1.0)
        end = time.monotonic() + 20.0
        while time.monotonic() < end:
            self.pad()
            try:
                if self.page.evaluate("['disarmed', 'lost'].includes(last.desk.phase)"):
                    self.arm()
                self.until("last.desk.phase === 'ready'", 2.0)
                self.pad(0.0, True)
                self.until("last.m.mode === 'teleop' && last.desk.held", 2.0)
                self.pad(y, True)
                wait_pumping(
                    self.page, "the boom is asked for, and that is applied",
                    lambda: ears.boom() * y > 0.6 * y * y and any(ears.applied[-1][1]), 2.0,
                )  # fmt: skip
                return
            except AssertionError:
                continue
        raise AssertionError("the sticks were lost again and again")


def wait_pumping(page: Any, what: str, holds: Any, timeout: float = 5.0) -> None:
    """Wait for a condition while the browser's events are dispatched."""
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        page.wait_for_timeout(10)


class Repeating:
    """Publishes a joystick's state at 50 Hz, as its node does, until told to stop."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self.axes, self.buttons = [0.0] * 6, [0] * 21
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.02):
            self._ears.joy.publish(Joy(axes=list(self.axes), buttons=list(self.buttons)))

    def stop(self) -> float:
        """Stop; return when."""
        self._end.set()
        self._thread.join()
        return time.monotonic()
