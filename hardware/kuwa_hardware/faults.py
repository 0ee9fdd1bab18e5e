"""Which rows of the failure table are in force, and how far they make the gate step down."""

from __future__ import annotations

from typing import Final

from kuwa_machines.contracts import Level

SHOWN: Final = 0.5
"""What is over in an instant, a refusal or a limit, is shown for this long [s]."""


class Faults:
    """Faults that last, by code, and those of an instant."""

    def __init__(self) -> None:
        self._lasting: dict[str, tuple[Level, str]] = {}
        self._instant: dict[str, float] = {}
        self.level = Level.NONE
        """The highest level that a fault in force demands."""
        self._codes: tuple[str, ...] = ()

    def put(self, code: str, level: Level, why: str) -> None:
        """The fault ``code`` is in force."""
        if self._lasting.get(code) != (level, why):
            self._lasting[code] = (level, why)
            self._count()

    def take(self, code: str) -> bool:
        """The fault is gone; return whether it was in force."""
        if self._lasting.pop(code, None) is None:
            return False
        self._count()
        return True

    def note(self, code: str, now: float) -> None:
        """Something happened at this instant, at steady time ``now`` [s]."""
        self._instant[code] = now + SHOWN

    def __contains__(self, code: str) -> bool:
        return code in self._lasting

    def level_of(self, code: str) -> Level:
        """Return the level that a fault in force demands; NONE where it is not in force."""
        return self._lasting.get(code, (Level.NONE, ""))[0]

    def reasons(self, level: Level) -> list[str]:
        """Return the words of the faults that demand at least ``level``."""
        return [why for have, why in self._lasting.values() if have >= level]

    def codes(self, now: float) -> tuple[str, ...]:
        """Return what to show at steady time ``now`` [s]."""
        if not self._instant:  # no guard: a short cut
            return self._codes
        over = [code for code, until in self._instant.items() if until < now]
        for code in over:
            del self._instant[code]
        return (*self._codes, *(code for code in self._instant if code not in self._lasting))

    def _count(self) -> None:
        self.level = max((level for level, _ in self._lasting.values()), default=Level.NONE)
        self._codes = tuple(self._lasting)
