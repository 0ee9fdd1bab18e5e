"""When the operator's sticks may move the machine: deadman, centring, arming, loss.

The sticks move something only while all of this holds: they are heard, they were armed since the
last loss, and the deadman is held and was pressed with the sticks centred. Any loss, of the pad,
the page, the browser, the network or the driver, takes the arming away; neutral follows at once
and stays until a person centres the sticks, lets go of the deadman and arms again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from kuwa_hardware.operator.shaping import Shaping
from kuwa_machines.arrays import Array
from kuwa_machines.errors import CommandError
from kuwa_machines.operator import LEVERS, Pattern, Takeover, matrix

STALE = 0.12
"""Sticks that say nothing for longer are lost [s]. With the gate's slope to neutral, 50 ms for a
whole stroke, this leaves the machine's valves in neutral well within a quarter of a second."""
BLIND = 0.14
"""A page that shows an older state of the machine is blind, and does not drive [s]. News come every
50 ms; with a word of the sticks every 33 ms and the slope to neutral, the valves are in neutral a
quarter of a second after the last that was seen."""
QUIET = 1.0
"""While the deadman is not held nothing moves; only a silence of this length is a loss then [s]."""


class Phase(StrEnum):
    """What the sticks may do, and what the operator has to do next."""

    ABSENT = "absent"
    """No sticks are heard."""
    LOST = "lost"
    """They were lost while armed; a person has to arm again."""
    DISARMED = "disarmed"
    """Heard, not armed."""
    CENTRE = "centre"
    """Armed; the sticks must be centred and the deadman let go before it counts."""
    READY = "ready"
    """Armed; waiting for the deadman."""
    HELD = "held"
    """The deadman is held: the sticks move the machine."""


@dataclass(frozen=True, slots=True)
class Sticks:
    """One word of the sticks.

    Args:
        levers: in the order of ``LEVERS``, from -1 to 1, shape (m,).
        deadman: whether it is held. actions: buttons that are pressed, by what they do.
    """

    levers: Array
    deadman: bool
    actions: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.levers.shape != (len(LEVERS),) or not np.isfinite(self.levers).all():
            raise CommandError(
                f"levers {self.levers.tolist()}; expected {len(LEVERS)} finite numbers"
            )


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asks for at one instant.

    Args:
        values: fraction of each joint's greatest velocity, shape (n,).
        held: whether the deadman counts. moving: whether a lever is out of its dead zone.
        phase: see :class:`Phase`. why: what is missing, in words; empty while held.
        levers: shaped, as the values were made from, shape (m,).
    """

    values: Array
    held: bool
    moving: bool
    phase: Phase
    why: str
    levers: Array = field(default_factory=lambda: np.zeros(len(LEVERS)))


class Operator:
    """The sticks of whoever drives.

    Args:
        pattern: what the levers do. joint_names: of the machine, in its order.
        shaping: of every lever. stale: time without a word after which the sticks are lost [s].
    """

    def __init__(
        self,
        pattern: Pattern,
        joint_names: tuple[str, ...],
        shaping: Shaping | None = None,
        stale: float = STALE,
    ) -> None:
        self._names = joint_names
        self.shaping = shaping or Shaping()
        self.stale = stale
        self.reset()
        self.use(pattern)

    def reset(self) -> None:
        """Forget everything that was heard."""
        self.armed = False
        self._sticks: Sticks | None = None
        self._at = -np.inf
        self._clean = False
        self._held = False
        self._lost = ""

    def use(self, pattern: Pattern) -> None:
        """Take another pattern; the sticks must be armed again."""
        self._gains = matrix(pattern, self._names)
        self.lose("another control pattern")

    def heard(self, now: float, sticks: Sticks) -> None:
        """Sticks were heard at steady time ``now`` [s]."""
        # Nobody may have stepped in between: what was silent for too long was lost all the same.
        self._look(now)
        self._sticks, self._at = sticks, now
        if not sticks.deadman:
            self._held = False
            # Let go and centred: the next press counts.
            self._clean = self.shaping.centred(sticks.levers)
        elif self.armed and self._clean:
            self._held = True

    def lose(self, why: str) -> None:
        """The sticks are lost, or no longer to be trusted: neutral until they are armed again."""
        if self.armed:
            self._lost = why
        self.armed = self._held = self._clean = False
        self._sticks, self._at = None, -np.inf

    def arm(self, now: float) -> str:
        """A person arms the sticks at steady time ``now`` [s]; return why not, or ``""``."""
        if not self.fresh(now):
            return "no sticks are heard: connect a gamepad, or click into the page"
        assert self._sticks is not None
        if self._sticks.deadman:
            return "let go of the deadman first"
        if not self.shaping.centred(self._sticks.levers):
            return "centre the sticks first"
        self.armed, self._lost, self._clean, self._held = True, "", True, False
        return ""

    def disarm(self) -> None:
        """A person takes the arming back."""
        self.armed = self._held = False
        self._lost = ""

    def let_go(self) -> None:
        """The gate took the machine from the sticks: what is held counts when it is held anew."""
        self._held = self._clean = False

    def fresh(self, now: float) -> bool:
        """Return whether the sticks were heard a short while ago."""
        return self._sticks is not None and now - self._at <= self.stale

    def _look(self, now: float) -> None:
        """Find silence at steady time ``now`` [s]."""
        silent = now - self._at
        if self._sticks is None or silent <= self.stale:
            return
        if self._held or silent > QUIET:
            self.lose(f"no word of the sticks for {self.stale if self._held else QUIET:g} s")
        else:
            # What is pressed when they are heard again must be pressed anew.
            self._clean = False

    def step(self, now: float) -> Wish:
        """Return what the operator asks for at steady time ``now`` [s]."""
        self._look(now)
        none = np.zeros(len(self._names))
        sticks = self._sticks
        if sticks is None or not self.fresh(now):
            if self.armed:
                return Wish(none, False, False, Phase.CENTRE, "the sticks are silent")
            if self._lost:
                return Wish(none, False, False, Phase.LOST, f"{self._lost}; centre and arm again")
            return Wish(none, False, False, Phase.ABSENT, "no sticks are heard")
        levers = self.shaping(sticks.levers)
        moving = not self.shaping.centred(sticks.levers)
        if not self.armed:
            phase, why = Phase.DISARMED, "arm to drive"
            if self._lost:
                phase, why = Phase.LOST, f"{self._lost}; centre and arm again"
            return Wish(none, False, moving, phase, why, levers)
        if self._held:
            values = np.clip(self._gains @ levers, -1.0, 1.0)
            return Wish(values, True, moving, Phase.HELD, "", levers)
        if self._clean:
            return Wish(none, False, moving, Phase.READY, "hold the deadman to drive", levers)
        why = "centre the sticks and let go of the deadman"
        return Wish(none, False, moving, Phase.CENTRE, why, levers)


class Handing:
    """Between planner and operator: who takes over, and when the sticks count for that.

    In mode auto the operator takes over by moving a stick with the deadman held. After the planner
    was given the machine, the sticks must first come back to their middle, so that a stick still
    held does not take it away again at once.
    """

    def __init__(self) -> None:
        self._came_back = False
        self._takeover = Takeover()

    @property
    def intervening(self) -> bool:
        """The operator drives, and took over from the planner."""
        return self._takeover.on

    def step(self, mode: str, wish: Wish) -> str:
        """Return the mode to ask for now, or ``""``.

        Args:
            mode: of the gate.
        """
        if self._takeover.step(mode):
            self._came_back = False
        if mode == "armed" and wish.held:
            return "teleop"
        if mode == "auto":
            if not wish.moving:
                self._came_back = True
            elif wish.held and self._came_back:
                return "teleop"
        return ""
