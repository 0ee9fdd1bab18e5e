"""Keys of the terminal as they are pressed, without Enter and without an echo."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty


class Terminal:
    """Standard input as a raw terminal; a context manager. Ctrl-C still interrupts.

    It is read past Python's buffer: what that has taken in, ``select`` does not know of.
    """

    def __init__(self) -> None:
        self._handle = sys.stdin.fileno()

    def __enter__(self) -> Terminal:
        self._before = termios.tcgetattr(self._handle)
        # What was typed before is thrown away.
        tty.setcbreak(self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        termios.tcsetattr(self._handle, termios.TCSADRAIN, self._before)

    def read(self, patience: float = 0.0, most: int = 64) -> str:
        """Return keys that wait, or ``""`` if none comes, or the terminal is gone.

        Args:
            patience: for the first one [s]. most: bytes of them.
        """
        if not select.select([self._handle], [], [], patience)[0]:
            return ""
        try:
            found = os.read(self._handle, most)
        except OSError:
            found = b""
        if not found:
            # A terminal that is gone is always ready to be read.
            time.sleep(patience)
        return found.decode(errors="replace")
