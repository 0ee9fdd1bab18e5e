"""A stack with an operator's page, a probe that times what comes of it, and a browser."""

from __future__ import annotations

import http.client
import itertools
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from sensor_msgs.msg import Joy
from websockets.sync.client import ClientConnection, connect

from kuwa_bringup.stack import stack
from kuwa_ros import topics
from stack_rig import MACHINE, NAMES, Rig, running, wait_for

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome")
                 if (p := shutil.which(n))), "")  # fmt: skip
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this computer")
BOOM = NAMES.index("boom_joint")
NEUTRAL = 0.25
"""From a loss to neutral valves [s]."""
BUSY = 0.25
"""What a loaded build server may add: the test's own clock runs in the same two cores [s]."""

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
    """Times what goes to control and to the robot, by receipt on the steady clock.

    The middleware says when it received something: this process has a browser to drive besides.
    """

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
        def callback(message: Any, info: Any) -> None:
            into, value = keep(message)
            age = time.time() - 1e-9 * info["received_timestamp"]
            into.append((time.monotonic() - age, value))

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

    def drive_with_keys(self, key: str) -> None:
        """Arm, hold the deadman and a lever's key down, until the boom is asked for."""
        keys = self.page.keyboard
        self.page.evaluate("kuwaPad = null")
        self.until("last.desk.phase === 'disarmed' && last.desk.source === 'keys'")
        end = time.monotonic() + 30.0
        while True:
            # As in arm(): it is pressed again where the gate had a reason to refuse.
            keys.press("z")
            try:
                self.until("last.m.mode === 'armed'", 1.5)
                keys.down("Space")
                self.until("last.m.mode === 'teleop'", 2.0)
                keys.down(key)
                wait_pumping(self.page, "the boom", lambda: abs(self.console.ears.boom()) > 0.95)
                return
            except AssertionError:
                if time.monotonic() > end:
                    raise
                keys.up(key)
                keys.up("Space")


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


# Who gets in -----------------------------------------------------------------------------------

ORIGINS = (
    "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "null",
    "http://127.0.0.1.evil.example:{port}", "http://localhost:{port}", "", None,
)  # fmt: skip


def session(run: Console, token: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Ask for a page's keys; return the status and the answer."""
    link = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
    link.request("GET", "/session", headers={"Authorization": f"Bearer {token}", **(headers or {})})
    answer = link.getresponse()
    return answer.status, answer.read()


def keys_of(run: Console) -> dict[str, str]:
    """Return the two keys of a new page."""
    status, body = session(run, run.token)
    assert status == 200
    keys: dict[str, str] = json.loads(body)
    return keys


def connected(run: Console) -> ClientConnection:
    """Return a page's WebSocket, let in with keys of its own."""
    offer: Any = ["kuwa", f"key.{keys_of(run)['drive']}"]
    origin: Any = f"http://127.0.0.1:{run.port}"
    return connect(
        f"ws://127.0.0.1:{run.port}/ws", origin=origin, subprotocols=offer, close_timeout=0.2
    )


def upgrade(run: Console, path: str, origin: str | None, protocols: list[str], host: str) -> bool:
    """Return whether a WebSocket was let in."""
    with socket.create_connection(("127.0.0.1", run.port), timeout=5) as link:
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
        if origin is not None:
            lines.append(f"Origin: {origin}")
        if protocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(protocols)}")
        link.sendall("\r\n".join([*lines, "", ""]).encode())
        return b" 101 " in link.recv(4096).split(b"\r\n")[0]


def strangers(run: Console) -> Iterator[tuple[str, bool]]:
    """Try to get in with foreign origins, hosts, paths, keys and tokens.

    Yields:
        What was tried, in words, and whether it was let in. Four of the tokens are wrong; ten
        wrong ones in a minute lock the door.
    """
    keys, port = keys_of(run), run.port
    own, host, scene = f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", f"/scene/{keys['view']}"
    right = ["kuwa", f"key.{keys['drive']}"]
    offers = ([], ["kuwa"], ["kuwa", "key."], ["kuwa", "key.x"], ["kuwa", f"key.{run.token}"],
              ["kuwa", f"key.{keys['view']}"], [f"key.{keys['drive']}"], ["viser-v1.1.1"],
              right)  # fmt: skip
    paths = ("/ws", scene, "/scene/x", "/")
    for origin, path, offer in itertools.product((*ORIGINS, own), paths, offers):
        if origin == own and (path == scene or (path == "/ws" and offer is right)):
            continue  # these are no strangers
        place = None if origin is None else origin.format(port=port)
        yield f"{path} of {place} with {offer}", upgrade(run, path, place, offer, host)
    for name in (f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", f"0.0.0.0:{port}"):
        yield f"host {name}", upgrade(run, "/ws", f"http://{name}", right, name)
    for path in ("/scene", "/scene/", "/ws/x", "//ws", "/scene/../ws"):
        yield f"path {path}", upgrade(run, path, own, right, host)
    for token in ("", "x", run.token[:-1], run.token.swapcase()):
        yield f"token {token!r}", session(run, token)[0] == 200
    for headers in ({"Origin": "http://evil.example"}, {"Host": f"evil.example:{port}"},
                    {"Sec-Fetch-Site": "cross-site"}):  # fmt: skip
        yield f"token from {headers}", session(run, run.token, headers)[0] == 200


@contextmanager
def chromium() -> Iterator[Any]:
    """Return a browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


# What a hand or a browser does -------------------------------------------------------------------


def _hide(hand: Hand) -> None:
    hand.page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def renderer(hand: Hand) -> int:
    """Return the process that runs the page's scripts: it is the one that then uses the time."""
    mark = f"kuwa-{time.monotonic_ns()}"
    hand.page.evaluate(f"document.title = '{mark}'")
    found = [p for p in psutil.process_iter(["pid", "cmdline"])
             if "--type=renderer" in (p.info["cmdline"] or [])]  # fmt: skip
    before = {p.pid: sum(p.cpu_times()[:2]) for p in found}
    hand.page.evaluate(
        "(() => { const t = performance.now(); while (performance.now() - t < 80); })()"
    )
    after = {p.pid: sum(p.cpu_times()[:2]) - before[p.pid] for p in found if p.is_running()}
    return max(after, key=lambda pid: after[pid])


LOSSES: dict[str, Any] = {
    "pad unplugged": lambda h: h.page.evaluate("kuwaPad = null"),
    "tab hidden": _hide,
    "tab closed": lambda h: h.page.close(),
    "page hangs": lambda h: h.page.evaluate(
        "setTimeout(() => { const t = performance.now(); while (performance.now() - t < 900); }, 0)"
    ),
    "sticks stall": lambda h: h.page.evaluate("socket.send = () => {}"),
    "news stall": lambda h: h.page.evaluate("socket.onmessage = null"),
    "page draws no more": lambda h: h.page.evaluate(
        "draw = () => {}; window.requestAnimationFrame = () => 0"
    ),
    "socket closed": lambda h: h.page.evaluate("setTimeout = () => 0; socket.close()"),
}
"""What is done to a page that drives, by what it is called."""
BLIND = ("news stall", "page draws no more")
"""Losses after which the page may drive on for ``picture_timeout``, as it does not see them."""
