"""Which mode may follow which, who may ask, and which source may move the machine in it.

``off -> ready -> armed -> teleop | auto``, and ``stopped``, which is latched: it is left only
when nobody demands the stop any more and a person, not a program, releases it. Between teleop and
auto the machine passes from planner to operator and back without a rest in between.
"""

from __future__ import annotations

from typing import Final

from kuwa_machines.contracts import Mode
from kuwa_machines.errors import choices

NEXT: Final[dict[Mode, tuple[Mode, ...]]] = {
    Mode.OFF: (Mode.READY,),
    Mode.READY: (Mode.OFF, Mode.ARMED),
    Mode.ARMED: (Mode.OFF, Mode.READY, Mode.TELEOP, Mode.AUTO),
    Mode.TELEOP: (Mode.OFF, Mode.READY, Mode.ARMED, Mode.AUTO),
    Mode.AUTO: (Mode.OFF, Mode.READY, Mode.ARMED, Mode.TELEOP),
    Mode.STOPPED: (Mode.READY, Mode.OFF),
}
"""Modes that may be asked for. ``STOPPED`` is not among them: every mode may be stopped."""

PREFLIGHT: Final = "preflight"
SOURCE: Final[dict[Mode, str]] = {
    Mode.ARMED: PREFLIGHT,
    Mode.TELEOP: "teleop",
    Mode.AUTO: "control",
}
"""The only source whose requests move the machine, in the modes in which anything moves. In
``ARMED`` that is the preflight's guided motions, slow and small."""

PROGRAMS: Final = frozenset(
    {
        "", "robot", "perception", "planning", "control", "safety", "supervisor", "teleop",
        PREFLIGHT,
    }
)  # fmt: skip
"""Names under which our own programs ask; they may stop the machine but never release it."""


VALID: Final = tuple(mode.value for mode in Mode)


class ModeMachine:
    """The mode in force, and who demands a stop."""

    def __init__(self) -> None:
        self.mode = Mode.OFF
        self.why = "switched on"
        self._demands: set[str] = set()

    def refusal(self, mode: Mode | str, who: str) -> str:
        """Return why a mode would not be granted, or ``""``."""
        try:
            mode = Mode(mode)
        except ValueError:
            return f"there is no mode {mode!r}; {choices(str(mode), VALID)}"
        if mode is Mode.STOPPED or mode is self.mode:
            return ""
        if self.mode is Mode.STOPPED:
            if self._demands:
                return f"{', '.join(sorted(self._demands))} still demands the stop"
            if who in PROGRAMS:
                return f"a stop is released by a person, not by {who or 'nobody'!r}"
        if mode not in NEXT[self.mode]:
            return (
                f"{mode.value!r} cannot follow {self.mode.value!r}; "
                f"{choices(mode.value, [m.value for m in NEXT[self.mode]])}"
            )
        return ""

    def request(self, mode: Mode | str, who: str) -> tuple[bool, str]:
        """Ask for a mode; return (granted, why)."""
        refused = self.refusal(mode, who)
        if refused:
            return False, refused
        mode = Mode(mode)
        if mode is Mode.STOPPED:
            self.stop(who)
            self._demands.discard(who)
        elif mode is self.mode:
            return True, f"the mode is {mode.value!r} already"
        else:
            self.mode, self.why = mode, f"{who or 'somebody'} asked for {mode.value!r}"
        return True, self.why

    def fall_back(self, why: str) -> None:
        """Leave a mode in which things move for ``ARMED``: somebody has to ask again."""
        if self.mode in (Mode.TELEOP, Mode.AUTO):
            self.mode, self.why = Mode.ARMED, why

    def stop(self, who: str, why: str = "") -> None:
        """Stop at once; holds until ``withdraw`` by the same ``who`` and a release by a person."""
        self._demands.add(who)
        if self.mode is not Mode.STOPPED:
            self.mode, self.why = Mode.STOPPED, f"stopped by {who or 'somebody'}"
            if why:
                self.why += f": {why}"

    def withdraw(self, who: str) -> None:
        """``who`` no longer demands the stop. The mode stays ``STOPPED``."""
        self._demands.discard(who)
