"""A key that must be held: the terminal's deadman. While it is held it repeats."""

from __future__ import annotations

import sys
import time

from kuwa_cli.data.opening import DataError
from kuwa_cli.terminal import Terminal

FIRST = 0.8
"""A terminal repeats a key that is held after at most this [s]."""
NEXT = 0.25
"""And from then on more often than this [s]."""


class HeldKey:
    """Whether the space bar is held; a context manager.

    Raises:
        DataError: standard input is no terminal, so that nobody can hold anything.
    """

    def __init__(self) -> None:
        if not sys.stdin.isatty():
            raise DataError(
                "--robot: a person holds the space bar while the machine moves; standard input is "
                "no terminal"
            )
        self._terminal = Terminal()
        self._pressed = self._before = -1e9

    def __enter__(self) -> HeldKey:
        self._terminal.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._terminal.__exit__()

    def __call__(self) -> bool:
        """Return whether it is held now."""
        now = time.monotonic()
        while keys := self._terminal.read():
            for _ in range(keys.count(" ")):
                self._before, self._pressed = self._pressed, now
        return held(now, self._pressed, self._before)


def held(now: float, pressed: float, before: float) -> bool:
    """Return whether a key is held that came last at ``pressed``, and before that at ``before``.

    Until it repeats a single press counts for the time until a terminal repeats it.
    """
    patience = NEXT if pressed - before < FIRST else FIRST
    return now - pressed < patience
