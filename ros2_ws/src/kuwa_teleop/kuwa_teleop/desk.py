"""The operator's desk without ROS: seats, sticks and buttons of all pages and of the joystick.

Pages speak from the server's thread, the joystick and the clock from the node's; a lock makes one
of them. What only ROS can do is left in :attr:`Desk.asked`, for the node to take.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kuwa_hardware.modes import PROGRAMS
from kuwa_hardware.operator.controls import controls
from kuwa_hardware.operator.core import BLIND, Handing, Operator, Phase, Sticks, Wish
from kuwa_hardware.operator.layouts import CLICKS, EPISODE_BUTTONS
from kuwa_hardware.operator.seats import Seats
from kuwa_hardware.operator.shaping import Shaping
from kuwa_machines.errors import KuwaError
from kuwa_machines.operator import LEVERS, OperatorFile, Pattern
from kuwa_machines.spec import MachineSpec

JOYSTICK: Final = "joystick"
LIVE: Final = 1.0
"""A page that says nothing for this long is not live: others may take the controls at once [s]."""
NAME: Final = 24
"""Characters of a name."""
ECHOES: Final = 200
SCALES: Final = (0.25, 0.5, 1.0)
DRIVER_ONLY: Final = frozenset(
    {"arm", "disarm", "release", "auto", "back", "pattern", "scale", "episode", "reset", "give",
     "keep", "lost"}
)  # fmt: skip
EPISODE: Final = frozenset(
    {"start", "stop", "success", "failure", "discard", "redo", "undo", "task"}
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Something for the node to do.

    Args:
        what: mode, stop, release, episode or reset. value: e.g. the mode. who: the person.
        text: of an episode's command.
    """

    what: str
    value: str
    who: str
    text: str = ""


class Desk:
    """Everything between people and the node.

    Args:
        spec: the machine. file: its patterns. pattern: the one to begin with.
        shaping: of the levers. stale: of the sticks [s].
        picture: a page whose picture of the machine is older than this does not drive [s].
        person: who is meant where a page gives no name.
        wake: called when there is something to do at once.
    """

    def __init__(
        self, spec: MachineSpec, file: OperatorFile, pattern: str, shaping: Shaping, stale: float,
        picture: float = BLIND, person: str = "operator", wake: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._spec, self._file, self.pattern = spec, file, pattern
        self._full = shaping
        self.core = Operator(file.patterns[pattern], spec.joint_names, shaping, stale)
        self._picture, self._person = picture, person
        self.wake: Callable[[], None] = wake or (lambda: None)
        self._lock = threading.RLock()
        self.seats, self._handing = Seats(), Handing()
        self._count = 0
        self._said_at: dict[str, float] = {}
        self._sources: dict[str, str] = {}
        self._pressed: frozenset[str] = frozenset()
        self._sent: dict[int, float] = {}
        self._number = 0
        self.asked: deque[Asked] = deque(maxlen=64)
        self.active = True
        """Whether the node takes what is asked for; else it is refused, not kept for later."""
        self.recording = False
        """Whether an episode is open."""
        self.scale = 1.0
        self._heard_at = 0.0
        self.delay = math.nan
        """From sending a state to the answer of the driver's page [s]."""
        self.mode = ""
        self.scene_ready = False
        self.facts: dict[str, Any] = {}
        """What a page is told once, beyond the machine."""

    # Pages -----------------------------------------------------------------------------------

    def join(self, name: str) -> str:
        """Somebody opened the page; return an id."""
        with self._lock:
            self._count += 1
            who = f"page{self._count}"
            self.seats.join(who, self._named(name))
            self._said_at[who] = time.monotonic()
            return who

    def leave(self, who: str) -> None:
        """That page is gone."""
        with self._lock:
            name = self.seats.name(who)
            self._said_at.pop(who, None)
            self._sources.pop(who, None)
            if self.seats.leave(who):
                self.core.lose(f"the page of {name} is gone")
        self.wake()

    def hello(self, who: str) -> dict[str, Any]:
        """Return what a page needs to know once."""
        spec = self._spec
        return {
            "machine": spec.name,
            "title": spec.title,
            "joints": [
                {
                    "name": name.removesuffix("_joint").replace("_", " "),
                    "min": _finite(joint.position.min),
                    "max": _finite(joint.position.max),
                    "speed": joint.velocity,
                }
                for name, joint in spec.joints.items()
            ],
            "levers": list(LEVERS),
            "patterns": {name: _words(p) for name, p in self._file.patterns.items()},
            "scales": SCALES,
            "stale": self.core.stale,
            "cameras": list(spec.sensors.cameras),
            "controls": [[c.does, c.keys, c.gamepad] for c in controls()],
            **self.facts,
        }

    def said(self, who: str, message: dict[str, Any]) -> dict[str, Any] | None:
        """A page said something; return an answer to it alone, or None."""
        now = time.monotonic()
        try:
            with self._lock:
                self._said_at[who] = now
                self.seats.live(who, True)
                if message.get("t") == "in":
                    self._page_sticks(now, who, message)
                    return None
                why = self._do(now, who, message)
        except (KuwaError, ValueError, TypeError, KeyError) as error:
            why = f"not understood: {error}"[:200]
        finally:
            self.wake()
        return {"t": "note", "text": why, "good": False} if why else None

    def _page_sticks(self, now: float, who: str, message: dict[str, Any]) -> None:
        if who != self.seats.driver:
            return
        levers = np.array([float(v) for v in message["l"]])
        if levers.shape != (len(LEVERS),) or not (np.abs(levers) <= 1.0).all():
            raise ValueError(f"levers {message['l']!r}")
        sent = self._sent.get(int(message.get("e", 0)))
        if sent is None or now - sent > self._picture:
            old = "" if sent is None else f" is {now - sent:.1f} s old"
            self.core.lose(f"the page's news of the machine{old or ' are too old'}")
            return
        drawn = float(message.get("a", 0.0))
        if not drawn <= self._picture:
            self.core.lose(f"the page has drawn nothing for {drawn:.1f} s")
            return
        self.delay = now - sent
        self._sources[who] = str(message.get("src", ""))[:12]
        self._heard_at = now
        self.core.heard(now, Sticks(levers, bool(message["d"])))

    def _do(self, now: float, who: str, message: dict[str, Any]) -> str:
        """Do what a button says; return why not, or ``""``."""
        what = str(message.get("do", ""))
        name = self.seats.name(who)
        if what == "stop":
            self.core.lose(f"{name} pressed stop")
            if not self.active:
                return "the console is not active: use the machine's own stop"
            self._ask("stop", "", name)
            return ""
        if what == "name":
            self.seats.rename(who, self._named(str(message.get("name", ""))))
            return ""
        if what == "take":
            if self.seats.driver == JOYSTICK and not self.core.step(now).held:
                # Nobody can answer at a joystick; as it takes from a page, so a page from it.
                self.seats.live(JOYSTICK, False)
            answer = self.seats.ask(now, who)
            if answer == "taken":
                self.core.lose(f"{name} has the controls")
            return "" if answer in ("taken", "asked") else answer
        if what not in DRIVER_ONLY:
            return f"no such button: {what[:20]!r}"
        if not self.active:
            return "the console is not active"
        if who != self.seats.driver:
            return f"{self.seats.name(self.seats.driver) or 'nobody'} has the controls; take them"
        return self._driver_does(now, who, name, what, message)

    def _driver_does(
        self, now: float, who: str, name: str, what: str, message: dict[str, Any]
    ) -> str:
        if what == "arm":
            return self._arm(now, name)
        if what == "lost":
            self.core.lose(str(message.get("why", "the page lost the sticks"))[:80])
        elif what == "disarm":
            self.core.disarm()
            self._ask("mode", "ready", name)
        elif what in ("release", "reset"):
            self.core.disarm()
            self._ask(what, "", name)
        elif what in ("auto", "back"):
            if not self.facts.get("planner"):
                return "no planner runs in this stack; start it with --planner"
            self._ask("mode", "auto" if what == "auto" else "armed", name)
        elif what == "pattern":
            self._use(str(message.get("value", "")))
        elif what == "scale":
            self._scale(float(message.get("value", 1.0)))
        elif what == "episode":
            command = str(message.get("value", ""))
            if command not in EPISODE:
                return f"no such command of the recorder: {command[:20]!r}"
            self._ask("episode", command, name, str(message.get("text", ""))[:500])
        elif what == "give":
            if self.seats.give(who):
                self.core.lose(f"{self.seats.name(self.seats.driver)} has the controls")
        elif what == "keep":
            self.seats.refuse(who)
        return ""

    def _arm(self, now: float, name: str) -> str:
        if self.mode == "stopped":
            return "release the stop first"
        why = self.core.arm(now)
        if why:
            return why
        if self.mode in ("off", "ready", ""):
            self._ask("mode", "armed", name)
        return ""

    def _use(self, pattern: str) -> None:
        if pattern not in self._file.patterns:
            raise ValueError(f"no pattern {pattern[:20]!r}")
        self.pattern = pattern
        self.core.use(self._file.patterns[pattern])

    def _scale(self, scale: float) -> None:
        if scale not in SCALES:
            raise ValueError(f"scale {scale!r}")
        full = self._full
        self.scale = scale
        self.core.shaping = Shaping(full.dead_zone, full.expo, full.scale * scale)

    def _ask(self, what: str, value: str, who: str, text: str = "") -> None:
        # A full queue loses what came last, never a stop.
        add = self.asked.appendleft if what == "stop" else self.asked.append
        if what == "stop" or len(self.asked) < (self.asked.maxlen or 0):
            add(Asked(what, value, who, text))

    def _named(self, name: str) -> str:
        """Return a name for people that is none of our programs'."""
        kept = "".join(c for c in name if c.isprintable() and c not in "<>&\"'")[:NAME].strip()
        kept = kept or self._person
        return f"{kept} (person)" if kept in PROGRAMS else kept

    # The joystick ----------------------------------------------------------------------------

    def joystick(self, now: float, sticks: Sticks, name: str = "Joystick") -> None:
        """The joystick's node said something at steady time ``now`` [s].

        It has a seat of its own and gets the controls when its deadman or its arm button is
        pressed while nobody else drives with a held deadman.
        """
        with self._lock:
            if not self.seats.name(JOYSTICK):
                self.seats.join(JOYSTICK, name)
            self._said_at[JOYSTICK] = now
            self.seats.live(JOYSTICK, True)
            fresh = sticks.actions - self._pressed
            self._pressed = sticks.actions
            if "stop" in fresh:
                self.core.lose("the joystick's stop was pressed")
                self._ask("stop", "", name)
            wants = "arm" in fresh or sticks.deadman
            if wants and self.seats.driver != JOYSTICK and not self.core.step(now).held:
                self.seats.driver, self.seats.asker = JOYSTICK, ""
                self.core.lose("the joystick has the controls")
            if self.seats.driver != JOYSTICK:
                return
            self._sources[JOYSTICK] = "joy"
            self._heard_at = now
            self.core.heard(now, sticks)
            if "arm" in fresh:
                self._arm(now, name)
            if "auto" in fresh and self.facts.get("planner"):
                self._ask("mode", "auto", name)
            if sticks.deadman:
                fresh -= CLICKS
            for action, commands in EPISODE_BUTTONS.items():
                if action in fresh:
                    self._ask("episode", commands[self.recording], name)

    # The clock -------------------------------------------------------------------------------

    def step(self, now: float, mode: str) -> tuple[Wish, str]:
        """Return what the operator asks for, and the mode to ask the gate for or ``""``.

        Args:
            mode: of the gate.
        """
        with self._lock:
            if mode != self.mode:
                if mode in ("off", "ready", "stopped"):
                    self.core.disarm()
                elif self.mode == "teleop" and mode == "armed":
                    # Asked for again at once, a machine would start anew under a held stick.
                    self.core.let_go()
                self.mode = mode
            for who, at in self._said_at.items():
                self.seats.live(who, now - at <= LIVE)
            self.seats.step(now)
            if self._said_at.get(JOYSTICK, now) < now - 10 * LIVE:
                self._said_at.pop(JOYSTICK)
                self.seats.leave(JOYSTICK)
            wish = self.core.step(now)
            return wish, self._handing.step(mode, wish)

    def number(self, now: float) -> int:
        """Return the number of the state that is sent to the pages at steady time ``now`` [s]."""
        with self._lock:
            self._number += 1
            self._sent[self._number] = now
            self._sent.pop(self._number - ECHOES, None)
            return self._number

    def view(self, now: float, wish: Wish) -> dict[str, Any]:
        """Return what the pages show of the desk itself."""
        with self._lock:
            driver = self.seats.driver
            return {
                "scene": self.scene_ready,
                "phase": wish.phase.value,
                "held": wish.held,
                "lost": wish.phase is Phase.LOST,
                "hint": wish.why,
                "driver": driver,
                "driver_name": self.seats.name(driver),
                "asker": self.seats.asker,
                "asker_name": self.seats.name(self.seats.asker),
                "people": self.seats.names(),
                "source": self._sources.get(driver, ""),
                "intervening": self._handing.intervening,
                "pattern": self.pattern,
                "scale": self.scale,
                "levers": [round(float(v), 3) for v in wish.levers],
                "wish": [round(float(v), 3) for v in wish.values],
                "delay": None if math.isnan(self.delay) else round(1e3 * self.delay, 1),
            }


def _words(pattern: Pattern) -> dict[str, Any]:
    return {
        "title": pattern.title,
        "follows": pattern.follows,
        "levers": {name: [use.negative, use.positive] for name, use in pattern.levers.items()},
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
