"""The operator's page in a browser: what moves the machine, and that every loss is neutral."""

from __future__ import annotations

import os
import signal
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kuwa_msgs.msg import Recording
from sensor_msgs.msg import Image

from console_rig import (
    BLIND,
    BOOM,
    BUSY,
    LOSSES,
    NEUTRAL,
    Console,
    Hand,
    chromium,
    console,
    needs_browser,
    renderer,
    wait_pumping,
)
from kuwa_ros import topics
from kuwa_ros.conversions import time_msg
from stack_rig import wait_for

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def run(ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console(tmp_path_factory.mktemp("console"), planner="expert") as run:
        yield run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


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

    def armed() -> None:
        """Arm again where the sticks were lost on a busy computer."""
        if page.evaluate("['disarmed', 'lost'].includes(last.desk.phase)"):
            page.evaluate("act('arm')")
            page.wait_for_timeout(200)

    def give() -> bool:
        armed()
        page.keyboard.press("p")
        page.wait_for_timeout(400)
        return bool(run.probe.mode == "auto")

    wait_pumping(page, "the planner drives", give, 20.0)

    def hold() -> bool:
        hand.pad()
        page.wait_for_timeout(100)
        armed()
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


# What a page says that hears nothing any more ----------------------------------------------------


def parted(
    hand: Hand, when: str, first: str = "null", drive: Callable[[], None] = lambda: None
) -> tuple[str, str]:
    """Close a page's socket for good; return what then stands as the mode and as the banner.

    Args:
        when: it is closed at the very moment at which this holds. first: what is done before.
        drive: called before each look, as on a busy computer sticks are soon lost.
    """

    def closed() -> bool:
        drive()
        closing = f"{when} && (setTimeout = () => 0, {first}, socket.close(), true)"
        return bool(hand.page.evaluate(closing))

    wait_pumping(hand.page, when, closed, 20.0)
    hand.until("last === null && document.getElementById('mode').dataset.mode === ''")
    mode, banner = hand.page.inner_text("#mode"), hand.page.inner_text("#banner")
    assert hand.page.inner_text("#hint") == "No connection"
    assert "No connection" in mode and "No connection" in banner
    assert "emergency stop is on the machine itself" in banner
    return mode, banner


@needs_browser
def test_a_page_that_drove_says_that_the_valves_went_to_neutral(run: Console, hand: Hand) -> None:
    hand.arm()
    mode, banner = parted(hand, "last.m.mode === 'teleop'", drive=hand.drive)
    assert "its valves went to neutral" in mode and "its valves went to neutral" in banner
    assert "others may drive it by now" in banner
    wait_for("and so they did", lambda: run.probe.mode == "armed", 4.0)


@needs_browser
def test_while_the_gate_holds_the_machine_nobody_is_said_to_drive(run: Console, hand: Hand) -> None:
    hand.arm()
    hand.drive()
    control = run.rig.processes.pid("control")
    os.kill(control, signal.SIGSTOP)
    try:
        hand.until("last.m.mode === 'teleop' && last.m.level === 'neutral'", 2.0)
        hand.until("document.getElementById('mode').dataset.mode === 'held'", 2.0)
        shown = hand.page.inner_text("#mode")
        assert "Held" in shown and "drive" not in shown, shown
        assert "The gate holds the machine" in hand.page.inner_text("#hint")
    finally:
        os.kill(control, signal.SIGCONT)


@needs_browser
def test_a_page_without_news_says_that_the_planner_goes_on(run: Console, hand: Hand) -> None:
    hand.arm()

    def given() -> bool:
        hand.page.evaluate("act('auto')")
        hand.page.wait_for_timeout(200)
        return run.probe.mode == "auto"

    wait_pumping(hand.page, "the planner drives", given)
    hand.page.wait_for_timeout(1200)
    mode, banner = parted(hand, "last.m.mode === 'auto'")
    assert run.probe.mode == "auto", "the gate misses no page while the planner drives"
    for words in (mode, banner):
        assert "may be moving: the planner drives" in words and "neutral" not in words


@needs_browser
def test_a_page_that_has_just_given_the_machine_away_claims_nothing(
    run: Console, hand: Hand
) -> None:
    hand.arm()
    for words in parted(hand, "last.m.mode === 'teleop'", "act('auto')", hand.drive):
        assert "may be moving" in words and "neutral" not in words


@needs_browser
def test_a_page_that_only_looked_on_says_who_drives(run: Console, hand: Hand) -> None:
    hand.arm()
    onlooker = Hand(hand.page.context.new_page(), run)
    hand.page.bring_to_front()
    when = "last.m.mode === 'teleop' && last.desk.driver !== me"
    for words in parted(onlooker, when, drive=hand.drive):
        assert "may be moving: Ada drives" in words and "neutral" not in words


@needs_browser
def test_a_page_that_hears_nothing_for_a_while_says_so_at_the_mode(
    run: Console, hand: Hand
) -> None:
    hand.arm()
    # As if there was a view in three dimensions: it comes from where the news come from.
    hand.page.evaluate("document.getElementById('scene').hidden = false; socket.onmessage = null")
    hand.until("document.getElementById('mode').innerText.includes('no news for 1 s')")
    assert hand.page.inner_text("#oldscene").startswith("Old: no news for")


@needs_browser
def test_a_page_that_comes_back_shows_the_pattern_in_force_and_the_scene(
    run: Console, hand: Hand
) -> None:
    page = hand.page
    hand.arm()
    page.select_option("#pattern", "sae")
    try:
        hand.until("last.desk.pattern === 'sae'")
        wait_pumping(page, "SAE", lambda: page.inner_text("#patternline") == "SAE pattern")
        page.evaluate(
            "const heardAll = heard;"
            "heard = (m) => { if (m.t === 'hello') m.scene = three = true;"
            "if (m.t === 's') m.desk.scene = true; heardAll(m); }; socket.close()"
        )
        hand.until("last === null")
        hand.until("last !== null && last.desk.pattern === 'sae'", 10.0)
        page.wait_for_timeout(300)
        assert page.inner_text("#patternline") == "SAE pattern"
        assert page.input_value("#pattern") == "sae"
        assert page.inner_text("#left .up").startswith("boom down")
        assert page.is_visible("#scene")
        # And once more, now that the scene was there.
        page.evaluate("socket.close()")
        hand.until("last === null")
        hand.until("last !== null", 10.0)
        wait_pumping(page, "the scene again", lambda: page.is_visible("#scene"))
        assert page.inner_text("#patternline") == "SAE pattern"
    finally:
        hand.until("last.desk.driver === '' || act('take') || last.desk.driver === me")
        page.evaluate("act('pattern', {value: 'iso'})")
        hand.until("last.desk.pattern === 'iso'")


# What else is seen and pressed -------------------------------------------------------------------


@contextmanager
def publishing(run: Console, topic: topics.Topic, make: Callable[[], Any]) -> Iterator[None]:
    """Publish what ``make`` returns at 10 Hz."""
    # It is not destroyed before its node: the probe's executor may be waiting on it just then.
    out = run.probe.node.create_publisher(topic.type, topic.name, topic.qos())
    with run.probe.repeating(lambda: out.publish(make()), 0.1):
        yield


@needs_browser
def test_a_camera_that_stands_still_is_shown_as_old(run: Console, hand: Hand) -> None:
    page = hand.page
    grey = Image(height=24, width=32, encoding="rgb8", step=96, data=array("B", [90] * 2304))
    camera = topics.camera("cab")
    said = "#cameras figcaption"
    with publishing(run, camera, lambda: grey):
        wait_pumping(page, "a picture", lambda: page.is_visible(said), 10.0)
        page.wait_for_timeout(1500)
        wait_pumping(page, "new", lambda: page.inner_text(said) == "Camera cab", 1.0)
        assert page.locator("#cameras .old").count() == 0
    wait_pumping(page, "old", lambda: page.inner_text(said) == "Camera cab: old, 1 s")
    wait_pumping(page, "older", lambda: page.inner_text(said) == "Camera cab: old, 3 s")
    look = "getComputedStyle(document.querySelector('#cameras img')).filter"
    assert "grayscale" in page.evaluate(look)
    ends = [page.evaluate(f"document.querySelector('{what}').getBoundingClientRect().bottom")
            for what in (said, "#view")]  # fmt: skip
    assert ends[0] < ends[1], "in a low window, too, it is seen"
    with publishing(run, camera, lambda: grey):
        wait_pumping(page, "new again", lambda: page.inner_text(said) == "Camera cab")
        assert page.evaluate(look) == "none"


@needs_browser
def test_valves_are_plotted_as_requested_and_as_applied(run: Console, hand: Hand) -> None:
    page = hand.page
    hand.arm()
    tab = page.get_by_role("tab", name="Valves")
    tab.press("Enter")
    assert tab.get_attribute("aria-selected") == "true"
    page.set_viewport_size({"width": 1024, "height": 768})
    bar = "document.querySelector('.tabs')"
    assert page.evaluate(f"{bar}.scrollWidth <= {bar}.clientWidth"), "all tabs fit on a tablet"
    hand.drive()
    page.wait_for_timeout(500)
    lines, rows = page.evaluate(
        "[plots.content('Valves').lines.map((l) => [Boolean(l.dash), l.values]),"
        " plots.rows.map((r) => [r.m.applied, r.m.requested])]"
    )
    joints = len(lines) // 2
    assert [dashed for dashed, _ in lines] == joints * [False] + joints * [True]
    for dashed in (0, 1):
        drawn = lines[dashed * joints + BOOM][1]
        heard = [row[dashed] and row[dashed][BOOM] for row in rows]
        assert drawn == heard, "applied is solid, requested dashed"
        assert any(drawn)
    wait_pumping(page, "words", lambda: "dashed: requested" in page.inner_text("#legend"))


@needs_browser
def test_the_view_in_three_dimensions_is_switched_by_keys_alone(run: Console, hand: Hand) -> None:
    page = hand.page
    page.evaluate("hello.scene = true; showScene()")
    button = page.locator("#three")
    pressed = [button.get_attribute("aria-pressed")]
    page.keyboard.press("v")
    pressed.append(button.get_attribute("aria-pressed"))
    button.press("Enter")
    pressed.append(button.get_attribute("aria-pressed"))
    assert pressed == ["false", "true", "false"]
    assert page.evaluate("localStorage.getItem('kuwa-scene')") == "off"
    # Space stays the deadman wherever the focus is.
    page.evaluate("kuwaPad = null")
    hand.until("hands.source === 'keys'")
    page.keyboard.down("Space")
    wait_pumping(page, "held", lambda: page.get_attribute("#deadman", "aria-pressed") == "true")
    page.keyboard.up("Space")
    assert button.get_attribute("aria-pressed") == "false"
    assert "View in three dimensions, on and off" in (page.text_content("#keys") or "")


@needs_browser
def test_an_episode_is_ended_now_and_labelled_later(run: Console, hand: Hand) -> None:
    """With somebody who answers as a recorder does."""
    page, asked, state = hand.page, [], ["recording"]

    def answer(request: Any, response: Any) -> Any:
        asked.append(request.command)
        state[0] = {"recording": "review", "review": "idle"}[state[0]]
        response.done, response.why = True, "as said"
        return response

    run.probe.node.create_service(topics.EPISODE[1], topics.EPISODE[0], answer)
    with publishing(
        run, topics.RECORDING,
        lambda: Recording(stamp=time_msg(time.time()), state=state[0], task="dig"),
    ):  # fmt: skip
        hand.arm()
        hand.until("last.m.recording && last.m.recording.state === 'recording'")
        button = page.get_by_role("button", name="End, label it later")
        wait_pumping(page, "it may be pressed", button.is_enabled)
        page.keyboard.press("7")
        wait_pumping(page, "ended", lambda: asked == ["stop"])
        page.get_by_role("button", name="Save without a label").click()
        wait_pumping(page, "saved", lambda: asked == ["stop", "stop"])


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
