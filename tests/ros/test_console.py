"""The operator's page and joystick: what moves the machine, and that every loss ends in neutral."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect

from console_rig import (
    BOOM,
    CHROMIUM,
    Console,
    Hand,
    Repeating,
    console,
    needs_browser,
    wait_pumping,
)
from stack_rig import wait_for

pytestmark = pytest.mark.ros

NEUTRAL = 0.25
"""From a loss to neutral valves [s]."""
BUSY = 0.25
"""What a loaded build server may add: the test's own clock runs in the same two cores [s]."""


@pytest.fixture(scope="module")
def run(ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console(tmp_path_factory.mktemp("console"), planner="expert") as run:
        yield run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def hand(run: Console, browser: Any) -> Iterator[Hand]:
    run.rest()
    context = browser.new_context()
    hand = Hand(context.new_page(), run)
    hand.pad()
    yield hand
    context.close()
    assert not hand.errors
    foreign = [
        u for u in hand.asked if not u.startswith((f"http://127.0.0.1:{run.port}/", "blob:"))
    ]
    assert not foreign, "the page asks nobody else for anything"


# Joystick --------------------------------------------------------------------------------------


def test_a_joystick_drives_and_its_silence_is_neutral_until_armed_again(run: Console) -> None:
    run.rest()
    ears, joy = run.ears, Repeating(run.ears)

    def up() -> bool:
        """Arm, press the deadman, pull the stick; a busy computer may need more than one try."""
        joy.axes[3], joy.buttons[9], joy.buttons[6] = 0.0, 0, 0
        time.sleep(0.1)
        joy.buttons[6] = 1
        time.sleep(0.2)
        joy.buttons[6], joy.buttons[9] = 0, 0
        time.sleep(0.1)
        joy.buttons[9] = 1
        time.sleep(0.4)
        joy.axes[3] = -1.0  # towards the operator: boom up, which is negative
        time.sleep(0.3)
        return run.probe.mode == "teleop" and ears.boom() < -0.95

    try:
        wait_for("boom up", up, 20.0)
        start = run.probe.position("boom_joint")
        wait_for("it moves up", lambda: run.probe.position("boom_joint") < start - 0.02, 5.0)
    finally:
        at = joy.stop()
    wait_for("armed, not driving", lambda: run.probe.mode == "armed", 2.0)
    time.sleep(0.2)
    assert ears.last_motion(at) < NEUTRAL + BUSY
    # It comes back with stick and deadman as they were: nothing moves.
    joy, at = Repeating(ears), time.monotonic()
    joy.axes[3], joy.buttons[9] = -1.0, 1
    time.sleep(0.5)
    joy.stop()
    assert ears.last_motion(at) == 0.0 and run.probe.mode == "armed"


# Access ----------------------------------------------------------------------------------------

GOOD, WRONG = "good", "wrong"
ORIGINS = (
    "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "null",
    "http://127.0.0.1.evil.example:{port}", "http://localhost:{port}", "", None,
)  # fmt: skip


def _session(run: Console, token: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
    link.request("GET", "/session", headers={"Authorization": f"Bearer {token}", **(headers or {})})
    answer = link.getresponse()
    return answer.status, answer.read()


def _upgrade(run: Console, path: str, origin: str | None, protocols: list[str], host: str) -> bool:
    """Return whether a WebSocket was let in."""
    import socket

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


def test_no_foreign_origin_host_or_key_is_let_in(run: Console) -> None:
    import json

    status, body = _session(run, run.token)
    assert status == 200
    keys = json.loads(body)
    own = f"http://127.0.0.1:{run.port}"
    host = f"127.0.0.1:{run.port}"
    right = ["kuwa", f"key.{keys['drive']}"]
    assert _upgrade(run, "/ws", own, right, host), "the page itself is let in"
    let_in = 0
    offers = ([], ["kuwa"], ["kuwa", "key."], ["kuwa", "key.x"], ["kuwa", f"key.{run.token}"],
              ["kuwa", f"key.{keys['view']}"], [f"key.{keys['drive']}"], right)  # fmt: skip
    for origin, offer in itertools.product((*ORIGINS, own), offers):
        if origin == own and offer is right:
            continue
        place = None if origin is None else origin.format(port=run.port)
        let_in += _upgrade(run, "/ws", place, offer, host)
        let_in += _upgrade(run, f"/scene/{keys['view']}", place, ["viser-v1.1.1"], host)
    for name in (f"evil.example:{run.port}", "127.0.0.1", "127.0.0.1:1", f"0.0.0.0:{run.port}"):
        let_in += _upgrade(run, "/ws", f"http://{name}", right, name)
    for path in ("/", "/scene", "/scene/", "/scene/x", "/ws/x", "//ws", "/scene/../ws"):
        let_in += _upgrade(run, path, own, right, host)
    assert let_in == 0


def test_a_wrong_token_is_refused_and_many_lock_the_door_for_a_while(run: Console) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": f"evil.example:{run.port}"},
    ):
        assert _session(run, run.token, headers)[0] == 403, headers
    for wrong in ("", "x", run.token[:-1], run.token + "x", run.token.swapcase()):
        assert _session(run, wrong)[0] == 401
    for method in ("POST", "OPTIONS", "PUT"):
        link = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
        link.request(method, "/session", headers={"Authorization": f"Bearer {run.token}"})
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            assert link.getresponse().status >= 400
            raise http.client.HTTPException


def test_pages_say_who_may_frame_them_and_what_they_may_load(run: Console) -> None:
    for path in ("/", "/console.js"):
        link = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
        link.request("GET", path)
        answer = link.getresponse()
        policy = answer.headers["Content-Security-Policy"]
        assert answer.status == 200 and "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy and "unsafe" not in policy
    for path in ("/console.html", "/../node.py", "/%2e%2e/node.py", "/page.url", "/session/"):
        link = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
        link.request("GET", path)
        assert link.getresponse().status == 404, path


@pytest.mark.parametrize("words", ["{", "[1]", "3", '{"t":"in"}' * 500, "x" * 100_000])
def test_nonsense_puts_only_its_page_out(run: Console, words: str) -> None:
    import json

    keys = json.loads(_session(run, run.token)[1])
    own = f"http://127.0.0.1:{run.port}"
    with connect(
        f"ws://127.0.0.1:{run.port}/ws", origin=own, subprotocols=["kuwa", f"key.{keys['drive']}"]
    ) as page:  # type: ignore[list-item,arg-type]
        page.recv(5)
        try:
            page.send(words)
            until = time.monotonic() + 5.0
            while time.monotonic() < until:
                page.recv(5)
            raise AssertionError("it was kept")
        except (ConnectionError, InvalidHandshake, Exception) as error:
            assert "ConnectionClosed" in type(error).__name__, error


def test_a_flood_is_put_out_and_others_are_heard(run: Console) -> None:
    import json

    keys = json.loads(_session(run, run.token)[1])
    own = f"http://127.0.0.1:{run.port}"
    offer: Any = ["kuwa", f"key.{keys['drive']}"]
    origin: Any = own
    with (
        connect(
            f"ws://127.0.0.1:{run.port}/ws", origin=origin, subprotocols=offer, close_timeout=0.2
        ) as other,
        connect(
            f"ws://127.0.0.1:{run.port}/ws", origin=origin, subprotocols=offer, close_timeout=0.2
        ) as page,
    ):
        with pytest.raises(Exception, match="too many messages"):
            for _ in range(3000):
                page.send('{"t":"in","l":[0,0,0,0,0,0],"d":false,"e":1}')
            until = time.monotonic() + 30.0
            while time.monotonic() < until:
                page.recv(5)
        while json.loads(other.recv(5))["t"] != "s":
            pass


# The page --------------------------------------------------------------------------------------


@needs_browser
def test_a_gamepad_on_the_page_moves_the_boom_down_and_letting_go_stops_it(
    run: Console, hand: Hand
) -> None:
    hand.arm()
    hand.drive(0.8)
    q = run.probe.position("boom_joint")
    wait_pumping(
        hand.page, "the boom goes down", lambda: run.probe.position("boom_joint") > q + 0.02
    )
    assert all(v == 0.0 for k, v in enumerate(run.ears.references[-1][1]) if k != BOOM)
    at = time.monotonic()
    hand.pad(0.8, False)
    wait_pumping(hand.page, "armed", lambda: run.probe.mode == "armed")
    hand.page.wait_for_timeout(300)
    assert run.ears.last_motion(at) < NEUTRAL + BUSY
    # Letting go is no loss: the deadman alone, sticks centred, goes on.
    hand.pad()
    hand.until("last.desk.phase === 'ready'")
    hand.drive(-0.8)


def _hide(hand: Hand) -> None:
    hand.page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def _renderer(hand: Hand) -> int:
    """Return the process that runs the page's scripts: it is the one that then uses the time."""
    import psutil

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


CI = ("pad unplugged", "tab hidden", "tab closed", "sticks stall")
"""The other losses are tried with --full only."""
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


@needs_browser
@pytest.mark.parametrize(
    "loss", [pytest.param(n, marks=() if n in CI else pytest.mark.full) for n in LOSSES]
)
def test_every_loss_ends_in_neutral_and_must_be_armed_again(
    run: Console, hand: Hand, loss: str
) -> None:
    hand.arm()
    hand.drive()
    at = time.monotonic()
    LOSSES[loss](hand)
    # What the page no longer sees, it is allowed to drive on for picture_timeout, here 1 s.
    late = 1.0 if loss in ("news stall", "page draws no more") else 0.0
    wait_for("not driving", lambda: run.probe.mode == "armed", 4.0)
    time.sleep(0.4)
    assert run.ears.last_motion(at) < NEUTRAL + BUSY + late
    # The stick and the deadman are still where they were, for half a second more.
    after = time.monotonic()
    time.sleep(0.5)
    assert run.ears.last_motion(after) == 0.0 and run.probe.mode == "armed"


@needs_browser
def test_a_frozen_browser_ends_in_neutral_and_its_return_moves_nothing(
    run: Console, hand: Hand
) -> None:
    hand.arm()
    pid = _renderer(hand)
    hand.drive()
    at = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for("not driving", lambda: run.probe.mode == "armed", 4.0)
        time.sleep(0.5)
        assert run.ears.last_motion(at) < NEUTRAL + BUSY
    finally:
        os.kill(pid, signal.SIGCONT)
    after = time.monotonic()
    hand.page.wait_for_timeout(700)
    assert run.ears.last_motion(after) == 0.0 and run.probe.mode == "armed"
    hand.until("last.desk.phase === 'lost'")
    hand.pad()
    hand.arm()
    hand.drive()


@needs_browser
def test_keys_alone_arm_drive_stop_and_release(run: Console, hand: Hand) -> None:
    page = hand.page
    page.evaluate("kuwaPad = null")
    hand.until("last.desk.phase === 'disarmed' && last.desk.source === 'keys'")
    page.keyboard.press("z")
    hand.until("last.m.mode === 'armed'")
    page.keyboard.down("Space")
    hand.until("last.m.mode === 'teleop'")
    page.keyboard.down("i")
    wait_pumping(page, "boom down", lambda: run.ears.boom() > 0.95)
    page.keyboard.down("Shift")
    wait_pumping(page, "fine", lambda: 0.0 < run.ears.boom() < 0.4)
    at = time.monotonic()
    page.keyboard.press("Escape")
    wait_pumping(page, "stopped", lambda: run.probe.mode == "stopped")
    page.wait_for_timeout(300)
    assert run.ears.last_motion(at) < NEUTRAL + BUSY
    for key in ("Space", "i", "Shift"):
        page.keyboard.up(key)
    assert page.inner_text("#stop").startswith("STOPPED")
    page.keyboard.press("z")
    page.wait_for_timeout(300)
    assert run.probe.mode == "stopped", "arming does not release a stop"
    page.wait_for_timeout(400)
    page.keyboard.press("r")
    page.wait_for_timeout(200)
    assert run.probe.mode == "stopped", "once may be by accident"
    page.keyboard.press("r")
    wait_pumping(page, "released", lambda: run.probe.mode == "ready")


@needs_browser
def test_the_controls_pass_from_page_to_page_only_by_consent(run: Console, hand: Hand) -> None:
    second = Hand(hand.page.context.new_page(), run)
    second.pad()
    # Chromium counts the first tab as hidden now; what matters is who may do what.
    hand.page.bring_to_front()
    hand.arm()
    hand.drive()
    second.page.evaluate("act('disarm')")
    second.page.evaluate("act('take')")
    hand.until("document.getElementById('handover').open")
    assert abs(run.ears.boom()) > 0.9, "asking alone changes nothing"
    hand.page.keyboard.press("y")
    second.until("last.desk.driver === me")
    at = time.monotonic()
    hand.page.wait_for_timeout(400)
    assert run.ears.last_motion(at) < NEUTRAL + BUSY
    assert run.ears.boom() == 0.0 and run.probe.mode == "armed"
    hand.page.evaluate("act('stop')")
    wait_pumping(second.page, "anybody may stop", lambda: run.probe.mode == "stopped")
    second.page.wait_for_timeout(600)
    hand.page.evaluate("act('release')")
    hand.page.wait_for_timeout(300)
    assert run.probe.mode == "stopped", "only who drives releases"
    second.page.evaluate("act('release')")
    wait_pumping(second.page, "released", lambda: run.probe.mode == "ready")


@needs_browser
def test_the_operator_takes_over_from_the_planner_and_gives_back(run: Console, hand: Hand) -> None:
    page, ears = hand.page, run.ears
    hand.arm()
    page.keyboard.press("p")
    wait_pumping(page, "the planner drives", lambda: run.probe.mode == "auto")

    def hold() -> bool:
        """Press the deadman; where the sticks were lost on a busy computer, arm again first."""
        hand.pad()
        page.wait_for_timeout(100)
        if page.evaluate("['disarmed', 'lost'].includes(last.desk.phase)"):
            page.evaluate("act('arm')")
            page.wait_for_timeout(200)
        hand.pad(0.0, True)
        page.wait_for_timeout(400)
        return bool(page.evaluate("last.desk.phase === 'held'"))

    wait_pumping(page, "the deadman is held", hold, 20.0)
    assert run.probe.mode == "auto", "the deadman alone takes nothing over"
    hand.pad(0.7, True)
    wait_pumping(page, "taken over", lambda: run.probe.mode == "teleop")
    wait_pumping(page, "as the action", lambda: ears.followed == ("teleop", True))
    hand.until("last.desk.intervening")
    assert "intervention" in page.inner_text("#mode")
    page.keyboard.press("p")
    wait_pumping(page, "given back", lambda: run.probe.mode == "auto")
    page.wait_for_timeout(500)
    assert run.probe.mode == "auto", "the stick that is still held does not take it again"
    wait_pumping(page, "no more the operator's", lambda: ears.followed[0] != "teleop")
    wait_pumping(page, "the deadman is held again", hold, 20.0)
    hand.pad(-0.7, True)
    wait_pumping(page, "taken over again", lambda: run.probe.mode == "teleop")


@needs_browser
@pytest.mark.full
def test_a_simulation_is_set_back_and_a_person_releases_it(run: Console, hand: Hand) -> None:
    page = hand.page
    hand.arm()
    hand.drive()
    wait_pumping(page, "it has moved", lambda: run.probe.position("boom_joint") > -0.7, 10.0)
    hand.pad()
    page.evaluate("act('reset')")
    wait_pumping(page, "stopped", lambda: run.probe.mode == "stopped", 20.0)
    wait_pumping(page, "all back", lambda: run.probe.supervisor() in ("running", "stopped"), 30.0)
    wait_pumping(
        page, "at home", lambda: abs(run.probe.position("boom_joint") + 0.785) < 0.05, 10.0
    )
    page.wait_for_timeout(1000)
    page.evaluate("act('release')")
    wait_pumping(page, "released", lambda: run.probe.mode == "ready", 10.0)
    hand.arm()
    hand.drive()
