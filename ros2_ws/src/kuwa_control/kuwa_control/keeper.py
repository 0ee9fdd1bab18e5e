"""Keeps what a controller learns on disk while it works: a node that is killed loses a minute."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from kuwa_machines.contracts import Learner
from kuwa_policies.control.saved import keep

PATIENCE = 1.0
"""A disk that takes longer than this must not keep a machine from being stopped [s]."""


class Keeper:
    """Saves now and then, in a thread of its own: the loop waits for no disk.

    The thread reads weights while the loop changes them. Each weight is whole, and those of one
    tick and of the next are equally good; a file is replaced as a whole or not at all.

    Args:
        core: what learns. path: of the file.
        period: between two saves [s]; 0: only at the end.
        complain: is told why nothing could be saved, once until it can be again.
    """

    def __init__(
        self, core: Learner, path: Path, period: float, complain: Callable[[str], object]
    ) -> None:
        self._core, self._path, self._period, self._complain = core, path, period, complain
        self._over = threading.Event()
        self._failed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to save."""
        self._over.clear()
        hangs = self._thread is not None and self._thread.is_alive()
        if self._period > 0.0 and not hangs:
            self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Save for the last time, unless an earlier save still hangs."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                self._complain(f"{self._path}: the disk does not answer; the last save is lost")
                return
            self._thread = None
        self._save()

    def _run(self) -> None:
        while not self._over.wait(self._period):
            self._save()

    def _save(self) -> None:
        try:
            keep(self._core, self._path)
        except Exception as error:  # whatever it is: a thread that ends would end unheard
            if not self._failed:
                self._complain(f"what the controller has learnt is not saved: {error}")
            self._failed = True
        else:
            self._failed = False
