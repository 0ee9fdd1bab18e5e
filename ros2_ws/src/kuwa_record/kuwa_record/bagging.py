"""Writes a bag from a thread of its own, behind a queue that drops instead of waiting."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from kuwa_record.bagfile import Bag, Channel

FLUSH: Final = 0.12
"""Between two flushes to the disk [s]; with the look at the topics it bounds a crash's loss."""
MOST: Final = 256 * 2**20
"""Bytes that may wait for the disk."""


class Bagging:
    """A bag that nobody waits for.

    Args:
        bag: what is written.
        failed: told once, in words, why nothing more is written.
        most: bytes that may wait; what comes beyond is dropped and counted.
    """

    def __init__(self, bag: Bag, failed: Callable[[str], None], most: int = MOST) -> None:
        self.bag = bag
        self.dropped = self.written = 0
        self.problem = ""
        self.worst_flush = 0.0
        """Longest flush [s]."""
        self._failed, self._most = failed, most
        self._waiting: deque[tuple[Channel, int, int, bytes]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bag", daemon=True)
        self._thread.start()

    def put(self, channel: Channel, log: int, publish: int, data: bytes) -> bool:
        """Have a message written; False if it is dropped. Never waits for the disk."""
        with self._lock:
            if self.problem or self._bytes + len(data) > self._most:
                self.dropped += 1
                return False
            self._waiting.append((channel, log, publish, data))
            self._bytes += len(data)
        return True

    def stop(self) -> None:
        """Write what waits and finish the bag."""
        self._end.set()
        self._thread.join()
        if not self.problem:
            try:
                self._work()
                self.bag.close()
                return
            except Exception as error:
                self._fail(error)
        self.bag.abandon()

    def _run(self) -> None:
        due = time.monotonic() + FLUSH
        while not self._end.wait(max(due - time.monotonic(), 0.0)):
            due = time.monotonic() + FLUSH
            try:
                self._work()
            except Exception as error:  # whatever it is: nobody hears of a thread that ended
                self._fail(error)
                return

    def _work(self) -> None:
        while self._waiting:
            channel, log, publish, data = self._waiting.popleft()
            with self._lock:
                self._bytes -= len(data)
            self.bag.write(channel, log, publish, data)
            self.written += 1
        began = time.monotonic()
        self.bag.flush()
        self.worst_flush = max(self.worst_flush, time.monotonic() - began)

    def _fail(self, error: Exception) -> None:
        words = getattr(error, "strerror", None) or error
        with self._lock:
            self.problem = f"the bag is not written any more: {words}"
            self.dropped += len(self._waiting)
            self._waiting.clear()
        self._failed(self.problem)
