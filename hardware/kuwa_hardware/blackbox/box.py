"""The running black box: what it is given goes to disk within a quarter of a second.

Who records only puts bytes into a queue. A thread of its own writes them into the newest segment,
waits for the disk, begins a new segment every few seconds and takes old ones away. A disk that is
full or hangs costs nobody else a moment: the queue keeps the last half minute, and what it still
keeps is written when the disk takes it again. No error ends the thread; should it or one that feeds
it end nevertheless, :attr:`BlackBox.problem` says so.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from kuwa_hardware.blackbox.files import (
    ASIDE,
    Segment,
    flush_folder,
    out_of_the_way,
    put_aside,
    read_each,
    segments_of,
)
from kuwa_hardware.blackbox.records import MESSAGE, NOTE, channel_frame, frame

SPAN: Final = 30.0
"""What is kept [s]."""
SEGMENT: Final = 5.0
"""Length of a segment [s]."""
FLUSH: Final = 0.25
"""What was recorded longer ago than this is on the disk [s]."""
MAX_QUEUE: Final = 64 * 2**20
"""Of what waits for the disk [bytes]."""
MAX_SEGMENT: Final = 64 * 2**20
KEEP: Final = 20
"""Folders put aside; when there are as many, nothing more is put aside until a person clears up."""
ENDED: Final = "ended"
"""File that says that the run before ended in order."""
RETRY: Final = 1.0
"""A disk that failed is tried again after [s]."""


class BlackBox:
    """Records into a folder.

    Args:
        folder: made if it is not there. What a run left in it that did not end in order is put
            aside.
        span: what is kept [s]. segment: length of a file [s]. keep: most folders put aside.
        clock: steady [s].
    """

    def __init__(
        self,
        folder: Path,
        *,
        span: float = SPAN,
        segment: float = SEGMENT,
        keep: int = KEEP,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = Path(folder)
        self.unfed = ""
        """Why what should be recorded does not come, in words, by who records; empty: it does."""
        self.full = ""
        """Why nothing more is put aside, in words; empty: it is."""
        self.torn = ""
        """What an earlier run left torn or unreadable, in words; empty: nothing."""
        self.failure = ""
        """Why it cannot be written, in words; empty: it is."""
        self._span, self._length, self._keep, self._clock = span, segment, keep, clock
        self._lock = threading.Lock()
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued = 0
        self._channels: dict[tuple[str, str], int] = {}
        self._named = 0
        self._asked: deque[str] = deque()
        self._file: Segment | None = None
        self._begun = 0.0
        self._ends: dict[Path, float] = {}
        self._number = 0
        self._tail: tuple[Path, int] | None = None
        self._retry_at = 0.0
        self._earlier = True
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._watched: list[threading.Thread] = []

    # What others call ------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread that writes."""
        self._thread = threading.Thread(target=self._run, name="blackbox", daemon=True)
        self._thread.start()
        self.watch(self._thread)

    def watch(self, thread: threading.Thread) -> None:
        """Count it as a problem when a thread, one that records say, ends before :meth:`stop`."""
        self._watched.append(thread)

    @property
    def problem(self) -> str:
        """Why nothing or not all is recorded, in words; empty: all is."""
        return self.idle or self.failure

    @property
    def idle(self) -> str:
        """Why nothing or not all comes to be written, in words; empty: all does."""
        ended = [t.name for t in self._watched if not t.is_alive()]
        if ended and not self._end.is_set():
            return (
                f"{self.folder}: thread {' and '.join(ended)} of the black box has ended, nothing "
                f"is recorded; start the supervisor again ({self.failure or 'it gave no reason'})"
            )
        return self.unfed

    def stop(self) -> None:
        """Write what waits, end the thread, and say that this was in order."""
        self._end.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def record(self, topic: str, kind: str, stamp: float, data: bytes) -> None:
        """Keep a message of a topic; ``stamp``: system time of its receipt [s]."""
        with self._lock:
            channel = self._channels.get((topic, kind))
            if channel is None:
                channel = self._channels[topic, kind] = len(self._channels)
            self._put(frame(MESSAGE, channel, stamp, data))

    def note(self, words: str, stamp: float) -> None:
        """Keep a line of words."""
        with self._lock:
            self._put(frame(NOTE, 0, stamp, words.encode()))

    def put_aside(self, why: str) -> None:
        """Keep for good what is there now, and what comes until the segment after ends."""
        self._asked.append(why)
        self._wake.set()

    # The thread ------------------------------------------------------------------------------

    def _put(self, data: bytes) -> None:
        now = self._clock()
        self._queue.append((now, data))
        self._queued += len(data)
        while self._queue[0][0] < now - self._span or self._queued > MAX_QUEUE:
            self._queued -= len(self._queue.popleft()[1])

    def _run(self) -> None:
        while not self._end.is_set():
            self._wake.wait(FLUSH)
            self._wake.clear()
            self.work()
        self.work()
        if self._file is not None:
            with suppress(OSError):
                self._close(self._clock())
                (self.folder / ENDED).touch()

    def work(self) -> None:
        """Write what waits; the thread's only work, and that of a test."""
        now = self._clock()
        if self.failure and now < self._retry_at:
            return
        waiting: list[tuple[float, bytes]] = []
        try:
            file = self._segment(now)
            with self._lock:
                waiting = list(self._queue)
                self._queue.clear()
                self._queued = 0
                channels = list(self._channels)[self._named :]
            names = [channel_frame(self._named + n, *name) for n, name in enumerate(channels)]
            if waiting:
                file.append(b"".join(names) + b"".join(data for _, data in waiting))
                file.flush()
                self._named += len(names)
                waiting.clear()
            while self._asked:
                self._set_aside(self._asked[0])
                self._asked.popleft()
            self.failure = ""
        except Exception as error:  # the next half minute may be the one that counts
            self._failed(now, waiting, error)

    def _segment(self, now: float) -> Segment:
        """Return the segment to write into; begin a new one when it is time."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
        if self._earlier:
            self._take_over()
            self._earlier = False
        file = self._file
        if file is not None and (now - self._begun >= self._length or file.size > MAX_SEGMENT):
            self._close(now)
            file = None
        if file is None:
            self._number += 1
            file = self._file = Segment(self.folder, self._number)
            self._begun, self._named = now, 0
            self._forget_old(now)
        return file

    def _take_over(self) -> None:
        """Look at what an earlier process left: it may not have ended of its own will."""
        left, ended = segments_of(self.folder), self.folder / ENDED
        self._number = max((int(path.stem) for path in left), default=0)
        if left and not ended.exists():
            found, unreadable = read_each(left)
            if found.torn:
                self._left(
                    f"{found.torn} bytes at the end of an earlier run are torn; "
                    f"{len(found.records)} records before them are whole"
                )
            for path, why in unreadable.items():
                left.remove(path)
                with suppress(OSError):
                    why += f"; kept as {out_of_the_way(path).name}"
                self._left(why)
            if left:
                self._set_aside("an earlier run was cut off", left)
        for path in left:
            path.unlink(missing_ok=True)
        ended.unlink(missing_ok=True)

    def _left(self, words: str) -> None:
        """Tell what an earlier run left in disorder, once though the disk makes us try again."""
        if words not in self.torn:
            self.torn = "; ".join(filter(None, (self.torn, words)))
            self.note(words, time.time())

    def _close(self, now: float) -> None:
        assert self._file is not None
        self._file.close()
        path = self._file.path
        self._ends[path], self._file = now, None
        if self._tail is not None:
            folder, more = self._tail
            put_aside([path], folder)
            self._tail = (folder, more - 1) if more > 1 else None

    def _forget_old(self, now: float) -> None:
        for path, end in list(self._ends.items()):
            if end < now - self._span:
                path.unlink(missing_ok=True)
                del self._ends[path]

    def _set_aside(self, why: str, segments: list[Path] | None = None) -> None:
        if segments is None and self._tail is not None:
            # What comes now is put aside already; it says why by itself.
            return
        place = self.folder / ASIDE
        place.mkdir(parents=True, exist_ok=True)
        there = sum(1 for path in place.iterdir() if path.is_dir())
        if there >= self._keep:
            self.full = (
                f"{place} holds {there} recordings, at most {self._keep} are kept: "
                "look at them and take them away"
            )
            return
        self.full = ""
        words = re.sub(r"[^a-z0-9]+", "-", why.lower()).strip("-")[:60] or "asked"
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        folder, count = place / f"{stamp}-{words}", 1
        while folder.exists():
            count += 1
            folder = place / f"{stamp}-{words}-{count}"
        put_aside(segments_of(self.folder) if segments is None else segments, folder)
        if segments is None and self._file is not None:
            # The newest segment has its second name already and goes on; then one more.
            self._tail = (folder, 2)
        flush_folder(place)

    def _failed(self, now: float, waiting: list[tuple[float, bytes]], error: Exception) -> None:
        """Keep in memory what the disk did not take; begin a new file when it does again."""
        what = error.strerror if isinstance(error, OSError) else None
        self.failure = f"{self.folder}: {what or f'{type(error).__name__}: {error}'}"
        self._retry_at = now + RETRY
        with self._lock:
            self._queue.extendleft(reversed(waiting))
            self._queued += sum(len(data) for _, data in waiting)
            while self._queue and (
                self._queue[0][0] < now - self._span or self._queued > MAX_QUEUE
            ):
                self._queued -= len(self._queue.popleft()[1])
        file, self._file, self._named = self._file, None, 0
        if file is not None:
            self._ends[file.path] = now
        # A disk that failed may refuse these as well: the next try begins without them.
        with suppress(OSError):
            # Room for what is new comes from what is old.
            self._forget_old(now)
        with suppress(OSError):
            if file is not None:
                file.close()
