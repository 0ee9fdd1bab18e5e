"""One running stack with the mock robot for all rows that need processes.

It is started by the first row that asks for it and ends with the last row.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

_BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")
if _BENCHMARKS not in sys.path:
    sys.path.insert(0, _BENCHMARKS)

from _forked import Forked, running  # noqa: E402
from _listener import Listener, at_least, neutral  # noqa: E402
from _reactions import reaction  # noqa: E402

__all__ = ["Shared", "at_least", "close", "neutral", "reaction", "shared"]

TRIES = 3
"""A measurement on a busy computer may be repeated: a reaction that is late by design is late each
time."""


class Shared:
    """The stack, its listener, and where the black box is."""

    def __init__(self, listener: Listener, processes: Forked, folder: Path) -> None:
        self.listener, self.processes, self.folder = listener, processes, folder

    @property
    def blackbox(self) -> Path:
        return self.folder / "blackbox" / "zx200"

    def healthy(self) -> None:
        """Bring everything up again, whatever the row before did."""
        for name in self.processes.specs:
            self.processes.send(name, signal.SIGCONT)
        self.processes.start()
        self.listener.stop(False)
        self.listener.drive()

    def restart(self, name: str) -> bool:
        """Start a killed node again; return whether the machine stayed stopped until a person
        released it, and moved after."""
        listener = self.listener
        if name == "supervisor":
            # Nobody else may take its place for as long as it takes to miss it for good.
            listener.wait("the stop", lambda: listener.mode == "stopped")
        self.processes.start_one(name)
        listener.wait("the stop", lambda: listener.mode == "stopped")
        # The supervisor brings it up; only then a person may release the stop.
        listener.drive()
        return listener.works()

    def fastest(self, once: Callable[[], float], within_ms: float) -> float:
        """Return a time that is within its bound, or the last of several tries [ms]."""
        after = once()
        for _ in range(TRIES - 1):
            if after <= within_ms:
                break
            self.healthy()
            after = once()
        return after


_open = ExitStack()
_shared: list[Shared] = []


def shared() -> Shared:
    """Return the stack, in full motion."""
    if "KUWA_ROOT" not in os.environ:
        raise RuntimeError("this test needs Kuwa's environment: ./kuwa test")
    if not _shared:
        folder = Path(_open.enter_context(tempfile.TemporaryDirectory()))
        box = str(folder / "blackbox")
        listener, processes = _open.enter_context(running(folder, blackbox=box))
        _shared.append(Shared(listener, processes, folder))
    _shared[0].healthy()
    return _shared[0]


def close() -> None:
    """End the stack, where it was started."""
    _shared.clear()
    _open.close()
