"""The operator's page in a browser: what moves the machine, and that every loss is neutral."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from console_rig import (
    BLIND,
    BOOM,
    BUSY,
    CHROMIUM,
    LOSSES,
    NEUTRAL,
    Console,
    Hand,
    console,
    needs_browser,
    renderer,
    wait_pumping,
)
from stack_rig import wait_for

pytestmark = pytest.mark.ros


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


CI = ("pad unplugged", "tab hidden", "tab closed", "sticks stall")
"""The other losses are tried with --full only."""


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
    late = 1.0 if loss in BLIND else 0.0
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
    pid = renderer(hand)
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
    hand.drive_with_keys("i")
    assert run.ears.boom() > 0.95, "down"
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
def test_the_meta_key_lets_everything_go(run: Console, hand: Hand) -> None:
    """Under it some browsers report no other key's release, so that a lever would stay."""
    page = hand.page
    hand.drive_with_keys("i")
    assert run.ears.boom() > 0.95, "down"
    at = time.monotonic()
    page.keyboard.down("Meta")
    wait_pumping(page, "not driving", lambda: run.probe.mode == "armed")
    page.wait_for_timeout(300)
    assert run.ears.last_motion(at) < NEUTRAL + BUSY
    # Its own release is no word of the others: they are still down, and move nothing.
    after = time.monotonic()
    page.keyboard.up("Meta")
    page.wait_for_timeout(500)
    assert run.ears.last_motion(after) == 0.0 and run.probe.mode == "armed"
    for key in ("Space", "i"):
        page.keyboard.up(key)


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
