"""Takes the pictures of the operator's page that the documentation shows.

    ./kuwa exec python tests/ros/console_pictures.py [NAME ...]

It starts the simulated excavator in ``dig_trench`` with planner and recorder, brings the page in a
real browser into each state, holds the page still there, and writes
``docs/images/console/NAME.jpg``; without names all of them. A picture on which the machine is not
drawn, or whose state did not come about, is tried again, and at last left as it was. Without a
graphics card give it a computer with nothing else to do. Look at every picture before you keep it.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Error

from console_rig import CHROMIUM, Hand, chromium, wait_pumping
from kuwa_bringup.processes import Processes
from kuwa_bringup.stack import stack
from kuwa_cli.ros_run import free_domain
from stack_rig import MACHINE, wait_for

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images" / "console"
QUALITY = 85
TRIES = 5
SCREEN, ACROSS, UPRIGHT = (1280, 800), (1024, 768), (800, 1280)
START = 180.0
"""The stack must be up within this, on a busy computer [s]."""
SLOW = 30.0
"""The page may draw this seldom and still drive: nothing real moves here [s]."""
PAINT, GROUND = 0.01, 0.02
"""Shares of the view that are the machine's orange and the soil's brown at least."""

CALM = "!last.m.alarms.some((a) => a.code !== 'deadman_released')"
WELL = f"{CALM} && !document.querySelector('.bad')"
"""No alarm, no red word."""
NEUTRAL = "![...last.m.applied, ...(last.m.requested || [])].some((v) => Math.abs(v) > 0.004)"
ARMED = "last.m.mode === 'armed' && last.desk.phase === 'ready'"
DRIVES = "last.m.mode === 'teleop' && last.desk.held"

SELDOM = """
if (window !== top) {
  const soon = requestAnimationFrame;
  const later = (f) => top.kuwaDraws === false ? setTimeout(later, 100, f) : soon(f);
  window.requestAnimationFrame = (f) => setTimeout(later, 500, f);
  window.cancelAnimationFrame = clearTimeout;
}
"""
"""Without a graphics card the scene takes the sticks' time: it is drawn for the pictures only."""
DRAWING = 3.0
"""After this it shows what is now [s]."""
STILL = """(() => {{
  if (!last || !({when})) return false;
  plottedAt = 0;
  show();
  showHands(hands.read());
  window.kept = [show, showHands, note];
  show = showHands = note = () => {{}};
  return true;
}})()"""
"""Draws the page when something holds, and then draws no more: a picture takes a moment."""
GO_ON = """
if (window.kept) [show, showHands, note] = kept;
window.kept = null;
shownHands = "";
dirty = true;
"""


class Studio:
    """A stack, a browser and the page that is photographed.

    Args:
        url: of the page. processes: the stack. browser: of Playwright.
    """

    def __init__(self, url: str, processes: Processes, browser: Any) -> None:
        self.url, self.processes, self.browser = url, processes, browser
        self._hand: Hand | None = None

    @property
    def hand(self) -> Hand:
        """The driver's page on a screen, with a gamepad; opened when it is needed first."""
        if self._hand is None:
            context = self.open(SCREEN)
            self._hand = Hand(context.new_page(), self)
            self._hand.pad()
            self.furnish(self._hand)
        return self._hand

    def close(self) -> None:
        """Close the page on the screen."""
        if self._hand is not None:
            self._hand.page.context.close()
            self._hand = None

    def open(self, size: tuple[int, int], **more: Any) -> Any:
        """Return a browser without memory, of a size."""
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, **more)
        context.add_init_script(SELDOM)
        return context

    def furnish(self, hand: Hand) -> None:
        """Switch the scene on, wait until it is drawn, and take the controls."""
        hand.page.evaluate(
            "window.kuwaDraws = true; three || document.getElementById('three').click()"
        )
        hand.until("last.desk.scene && last.m.heard && MODES[last.m.mode]", START)
        end = time.monotonic() + 60.0
        while not drawn(shot(hand), hand):
            assert time.monotonic() < end, "no scene"
            hand.page.wait_for_timeout(1000)
        hand.page.evaluate("window.kuwaDraws = false")
        self.take(hand)

    @staticmethod
    def take(hand: Hand) -> None:
        """Take the controls, if another page or nobody has them."""
        if hand.page.evaluate("last.desk.driver !== me"):
            hand.page.evaluate("act('take')")
        hand.until("last.desk.driver === me", 20.0)

    def rest(self, hand: Hand) -> None:
        """Let go and bring the gate back to ready, without old words on the page."""
        page = hand.page
        page.evaluate(GO_ON)
        page.evaluate("hands.letGo(); act('episode', {value: 'discard'})")
        self.take(hand)
        end = time.monotonic() + 30.0
        while not page.evaluate("last.desk.phase === 'disarmed' && last.m.mode === 'ready'"):
            assert time.monotonic() < end, "not at rest"
            stopped = page.evaluate("last.m.mode === 'stopped'")
            page.evaluate("act('release')" if stopped else "act('disarm')")
            page.wait_for_timeout(1000)
        tab(hand, "Joints")
        page.evaluate("document.querySelector('aside').scrollTop = 0")
        hand.until("last.m.recording.state === 'idle'", 20.0)
        page.evaluate("document.getElementById('notes').replaceChildren()")

    def arm(self, hand: Hand) -> None:
        """Arm with what is held centred, if it is not armed."""
        end = time.monotonic() + 30.0
        while not hand.page.evaluate(ARMED):
            assert time.monotonic() < end, "it cannot be armed"
            # On a busy computer the gate may have a reason to refuse just now.
            hand.page.evaluate("act('arm')")
            with suppress(AssertionError):
                hand.until(ARMED, 1.5)

    def drive(self, hand: Hand, axes: list[float], seconds: float = 0.0, when: str = "") -> None:
        """Drive with the pad; without ``when`` for a while, else until the page is held still.

        Args:
            axes: of the pad: left to the right, left to you, right to the right, right to you.
            seconds: for so long at least. when: in the page's words.
        """
        end = time.monotonic() + 60.0
        while time.monotonic() < end:
            hand.pad()
            hand.page.wait_for_timeout(300)
            self.arm(hand)
            hand.page.evaluate("document.getElementById('notes').replaceChildren()")
            hand.pad(0.0, True)
            try:
                hand.until(DRIVES, 2.0)
                hand.page.evaluate(f"pad({axes}, true)")
                _lasting(hand, seconds)
                if not when:
                    return
                still(hand, f"{DRIVES} && {when}", 4.0)
                return
            except AssertionError:
                axes = [-v for v in axes]  # It may be at the end of a joint's range.
        raise AssertionError("the sticks were lost again and again")


def _lasting(hand: Hand, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        hand.page.wait_for_timeout(50)
        if not hand.page.evaluate(DRIVES):
            raise AssertionError("the sticks were lost")


def tab(hand: Hand, name: str) -> None:
    """Choose what is plotted."""
    found = "[...document.querySelectorAll('.tabs button')].find"
    hand.page.evaluate(f"{found}((b) => b.textContent === '{name}').click()")


def still(hand: Hand, when: str, timeout: float = 15.0) -> None:
    """Wait for something, and hold the page still at this moment."""
    held = STILL.format(when=when)
    wait_pumping(hand.page, when, lambda: hand.page.evaluate(held), timeout)


def shot(hand: Hand) -> Image.Image:
    """Return what the page looks like now."""
    return Image.open(io.BytesIO(hand.page.screenshot())).convert("RGB")


def drawn(picture: Image.Image, hand: Hand) -> bool:
    """Return whether the view shows a machine on its ground."""
    box = hand.page.locator("#view").bounding_box()
    corners = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
    r, g, b = np.moveaxis(np.asarray(picture.crop(corners), float), 2, 0)
    orange = (r > 180) & (g > 50) & (g < 170) & (b < 90)
    brown = (r > g + 20) & (g > b + 10) & (r < 180)
    return bool(orange.mean() > PAINT and brown.mean() > GROUND)


# The pictures ------------------------------------------------------------------------------------


def ready(studio: Studio, hand: Hand) -> None:
    still(hand, f"last.m.mode === 'ready' && last.desk.source === 'pad' && {WELL}")


def armed(studio: Studio, hand: Hand) -> None:
    studio.arm(hand)
    still(hand, f"{ARMED} && {WELL}", 5.0)


def driving(studio: Studio, hand: Hand) -> None:
    tab(hand, "Valves")
    limited = "last.m.limited.some(Boolean) && last.m.reasons.length"
    moving = "last.m.applied.some((v) => Math.abs(v) > 0.15)"
    studio.drive(hand, [0.0, 0.55, 0.0, -0.45], 0.3, f"{CALM} && {moving} && {limited}")


def recording(studio: Studio, hand: Hand) -> None:
    studio.arm(hand)
    hand.page.keyboard.press("1")
    hand.until("last.m.recording.state === 'recording'")
    moving = "last.m.applied.some((v) => Math.abs(v) > 0.1)"
    long = "last.m.recording.elapsed > 8"
    hand.until(long, 30.0)
    studio.drive(hand, [0.0, -0.5, -0.3, -0.4], 0.2, f"{CALM} && {moving} && {long}")
    hand.page.evaluate("document.getElementById('episodes').scrollIntoView({block: 'end'})")


def lost(studio: Studio, hand: Hand) -> None:
    studio.drive(hand, [0.5, 0.0, 0.0, 0.4], 0.3)
    hand.page.evaluate("kuwaPad = null")
    # That it was driven a moment ago is what the gamepad's loss ended.
    gone = "last.desk.phase === 'lost' && last.desk.hint.includes('gamepad')"
    still(hand, f"{gone} && last.m.mode === 'armed' && {NEUTRAL} && {CALM}", 5.0)


def stopped(studio: Studio, hand: Hand) -> None:
    studio.drive(hand, [-0.5, 0.0, 0.0, -0.4], 0.3)
    hand.page.keyboard.press("Escape")
    hand.pad()
    # What was on its way is refused at first, with an alarm of its own.
    still(hand, f"last.m.mode === 'stopped' && last.m.alarms.length === 1 && {NEUTRAL}")


def planner(studio: Studio, hand: Hand) -> None:
    studio.arm(hand)
    hand.page.keyboard.press("p")
    hand.until("last.m.mode === 'auto'")
    moving = "last.m.applied.some((v) => Math.abs(v) > 0.15)"
    digs = "last.m.mode === 'auto' && last.m.plan && /dig|drag|curl/.test(last.m.plan.phase)"
    still(hand, f"{digs} && {moving} && {WELL}", 60.0)


def handover(studio: Studio, hand: Hand) -> None:
    studio.arm(hand)
    context = studio.open((640, 480))
    try:
        context.add_init_script("localStorage.setItem('kuwa-name', 'Bo')")
        other = Hand(context.new_page(), studio)
        hand.page.bring_to_front()
        hand.page.evaluate("document.getElementById('notes').replaceChildren()")
        other.page.evaluate("act('take')")
        hand.until("document.getElementById('handover').open")
        still(hand, f"last.m.mode === 'armed' && last.desk.asker_name === 'Bo' && {WELL}")
        keep(hand, "handover")
    finally:
        context.close()


def alarm(studio: Studio, hand: Hand) -> None:
    """Control's process stands still for a moment, as on a computer with too much to do."""
    studio.drive(hand, [-0.6, 0.3, 0.0, 0.5], 0.3)
    pid = studio.processes.pid("control")
    os.kill(pid, signal.SIGSTOP)
    try:
        silent = "last.m.alarms.some((a) => a.level !== 'none' && /request_lost/.test(a.code))"
        still(hand, f"{silent} && last.m.applied.every((v) => Math.abs(v) < 0.004)", 3.0)
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _tablet(studio: Studio, size: tuple[int, int]) -> Iterator[Hand]:
    """Give a tablet on which two fingers drive, held still."""
    studio.close()
    context = studio.open(size, has_touch=True, is_mobile=True)
    try:
        hand = Hand(context.new_page(), studio)
        studio.furnish(hand)
        studio.rest(hand)
        fingers = context.new_cdp_session(hand.page)
        deadman, stick = _middle(hand, "#deadman", 0), _middle(hand, "#right .pad", 1)
        to = stick | {"x": stick["x"] + 12, "y": stick["y"] - 24}
        end = time.monotonic() + 60.0
        while True:
            studio.arm(hand)
            hand.page.evaluate("document.getElementById('notes').replaceChildren()")
            try:
                _touch(fingers, "touchStart", deadman)
                hand.until(DRIVES, 2.0)
                _touch(fingers, "touchStart", deadman, stick)
                _touch(fingers, "touchMove", deadman, to)
                hand.page.wait_for_timeout(700)
                still(hand, f"{DRIVES} && last.desk.source === 'touch' && {WELL}"
                      " && last.m.applied.some((v) => Math.abs(v) > 0.1)", 4.0)  # fmt: skip
                break
            except AssertionError:
                if time.monotonic() > end:
                    raise
            finally:
                if not hand.page.evaluate("Boolean(window.kept)"):
                    _touch(fingers, "touchEnd")
                    hand.page.wait_for_timeout(300)
        yield hand
    finally:
        context.close()


def _touch(fingers: Any, what: str, *points: dict[str, Any]) -> None:
    fingers.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": list(points)})


def _middle(hand: Hand, what: str, finger: int) -> dict[str, float]:
    box = hand.page.locator(what).bounding_box()
    return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "id": finger}


def tablet(studio: Studio) -> None:
    with _tablet(studio, ACROSS) as hand:
        keep(hand, "tablet")


def tablet_upright(studio: Studio) -> None:
    with _tablet(studio, UPRIGHT) as hand:
        keep(hand, "tablet-upright")


def keep(hand: Hand, name: str) -> None:
    """Write a picture of the page, which is held still, if it shows the machine."""
    hand.page.evaluate("window.kuwaDraws = true")
    hand.page.wait_for_timeout(1000 * DRAWING)
    picture = shot(hand)
    hand.page.evaluate("window.kuwaDraws = false")
    assert drawn(picture, hand), "the machine is not drawn"
    assert not hand.errors, hand.errors
    picture.save(FOLDER / f"{name}.jpg", quality=QUALITY, progressive=True, optimize=True)


ON_SCREEN: tuple[Callable[[Studio, Hand], None], ...] = (
    ready, armed, driving, recording, lost, stopped, planner, handover, alarm,
)  # fmt: skip
ON_TABLET = {"tablet": tablet, "tablet-upright": tablet_upright}
NAMES = (*(f.__name__ for f in ON_SCREEN), *ON_TABLET)


def take(studio: Studio, name: str) -> None:
    """Bring the page into a state and take its picture."""
    if name in ON_TABLET:
        ON_TABLET[name](studio)
        return
    hand = studio.hand
    hand.pad()
    studio.rest(hand)
    next(f for f in ON_SCREEN if f.__name__ == name)(studio, hand)
    if name != "handover":  # taken while the other page is there
        keep(hand, name)


def main(names: list[str]) -> int:
    """Take pictures; return how many did not come about."""
    unknown = set(names) - set(NAMES)
    if unknown or not CHROMIUM:
        print(f"no pictures {sorted(unknown)}; there are {', '.join(NAMES)}" if unknown else
              "no Chromium on this computer", file=sys.stderr)  # fmt: skip
        return 1
    os.environ["ROS_DOMAIN_ID"] = str(free_domain())
    missing = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = Path(folder) / "page.url"
        specs = stack(
            MACHINE, "sim", "dig_trench", planner="expert", auto_arm=False,
            record=f"{folder}/my-dig", task="dig the trench", recording={"images": "none"},
            console={"port": 0, "url_file": str(file), "person": "Ada", "stale": 0.15,
                     "picture_timeout": SLOW},
        )  # fmt: skip
        with Processes(specs, Path(folder) / "logs") as processes:
            wait_for("the page's address", file.is_file, START)
            studio = Studio(file.read_text().strip(), processes, browser)
            for name in names or NAMES:
                for attempt in range(1, TRIES + 1):
                    try:
                        take(studio, name)
                        print(f"{name}: taken", flush=True)
                        break
                    except (AssertionError, Error) as error:
                        print(f"{name}, attempt {attempt}: {error}", flush=True)
                        if attempt % 2 == 0:
                            studio.close()
                else:
                    missing.append(name)
            studio.close()
    if missing:
        print(f"left as they were: {', '.join(missing)}", file=sys.stderr)
    return len(missing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
