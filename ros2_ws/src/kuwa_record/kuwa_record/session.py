"""Episodes: who may ask for what when, and the thread that makes a data set of what arrives.

Whoever asks is answered at once; the data set is opened and worked on in a thread of its own, which
takes messages and requests from one queue, so that their order stays. Nobody holds the lock while
the disk is asked for anything: whoever takes messages needs it fifty times a second.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kuwa_machines.errors import KuwaError, choices
from kuwa_policies.datasets import DatasetWriter
from kuwa_policies.datasets.grid import Grid
from kuwa_record.disk import Disk
from kuwa_record.feed import Feed
from kuwa_ros import topics

IDLE, COUNTDOWN, RECORDING, REVIEW, SAVING, FULL = (
    "idle", "countdown", "recording", "review", "saving", "full",
)  # fmt: skip
LABELS: Final = {"success": True, "failure": False}
LABEL_WORDS: Final = {True: "success", False: "failure", None: "without a label"}
COMMANDS: Final = ("start", "stop", "success", "failure", "discard", "redo", "undo", "task")
SHORTEST: Final = 30.0
"""An episode is not begun if the disk has room for less [s]."""
PATIENCE: Final = 2.0
"""Who asks first waits so long for the data set to be opened, then is told to ask again [s]."""
ALWAYS: Final = frozenset({topics.SAFETY.name})
"""Topics that are followed between episodes, too."""
MOST: Final = 256 * 2**20
"""Bytes of pictures that may wait for the encoder; what comes beyond is dropped and counted."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the session is doing; see ``kuwa_msgs/Recording``."""

    state: str
    task: str
    episode: int
    saved: int
    elapsed: float
    countdown: float
    success: bool
    dropped: int
    message: str


@dataclass
class _Work:
    """One thing for the thread: a message, or something to do."""

    do: Callable[[], None] | None = None
    topic: str = ""
    receipt: float = 0.0
    data: bytes = b""


class LostError(KuwaError):
    """The data set cannot take the rest of an episode."""


class _Sink:
    """The data set as a grid sees it: what goes wrong in it is told from what a message has."""

    def __init__(self, writer: DatasetWriter) -> None:
        self._writer = writer

    def add(self, frame: Mapping[str, Any]) -> None:
        try:
            self._writer.add(frame)
        except Exception as error:
            raise LostError(str(error)) from error

    def control(self, stamp: float, action: Any, source: int = 0) -> None:
        try:
            self._writer.control(stamp, action, source)
        except Exception as error:
            raise LostError(str(error)) from error


@dataclass
class _Open:
    """The episode that is open."""

    began: float = 0.0
    ended: float = 0.0
    dropped: int = 0
    notes: dict[str, Any] = field(default_factory=dict)


class Session:
    """The episodes of one recorder.

    Args:
        make_writer: opens the data set, when the first episode is asked for; it may refuse, and may
            take its time: it is called in the session's own thread.
        feed: translates messages.
        decode: (topic, bytes) → message.
        newest: returns (topic, receipt, bytes) of what was there before an episode begins.
        disk: of the data set.
        countdown: between start and recording [s].
        task: the first one; may be empty.
        notes: returns what the notes of an episode should say.
    """

    def __init__(
        self,
        make_writer: Callable[[], DatasetWriter],
        feed: Feed,
        decode: Callable[[str, bytes], Any],
        newest: Callable[[], list[tuple[str, float, bytes]]],
        disk: Disk,
        countdown: float = 0.0,
        task: str = "",
        notes: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._make_writer, self._feed, self._decode = make_writer, feed, decode
        self._newest, self._disk, self._pause, self._notes = newest, disk, countdown, notes
        self.task = task
        self.message = ""
        self.dropped = 0
        self._state = IDLE
        self._success = False
        self._begins = 0.0
        self._open = _Open()
        self._writer: DatasetWriter | None = None
        self._grid: Grid | None = None
        self._queue: deque[_Work] = deque()
        self._bytes = 0
        self._lock, self._counting = threading.RLock(), threading.Lock()
        self._opened = threading.Condition(self._lock)
        self._opening = False
        self._refused = ""
        self._some = threading.Semaphore(0)
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="data set", daemon=True)
        self._thread.start()

    # What is asked ---------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``idle``, ``countdown``, ``recording``, ``review``, ``saving`` or ``full``."""
        return self._state

    @property
    def taking(self) -> bool:
        """Whether an episode takes messages."""
        return self._state == RECORDING

    def command(self, command: str, text: str = "") -> tuple[bool, str]:
        """Do what a person asks; return (done, why)."""
        if command not in COMMANDS:
            return False, f"no command {command[:40]!r}; {choices(command, COMMANDS)}"
        with self._lock:
            try:
                if command in LABELS:
                    done, why = self._label(LABELS[command], text)
                else:
                    done, why = getattr(self, f"_{command}")(text)
            except Exception as error:  # an error here would end the recorder with its bag
                done, why = False, str(error) or repr(error)
            self.message = why
            return done, why

    def _task(self, text: str) -> tuple[bool, str]:
        if self._state == RECORDING:
            return False, "the task of an episode is said before it begins"
        text = " ".join(text.split())
        if not 0 < len(text) <= 1000:
            return False, "a task has 1 to 1000 characters"
        self.task = text
        return True, f"task: {text}"

    def _start(self, text: str) -> tuple[bool, str]:
        if self._state == REVIEW:
            return False, f"episode {self._index} waits: success, failure, stop or discard it first"
        if self._state != IDLE:
            return False, f"episode {self._index} is {self._state}"
        if text:
            self._task(text)
        if not self.task:
            return False, "say first what is to be done (command task)"
        if self._disk.full or self._disk.remaining < SHORTEST:
            return False, f"the disk is too full to begin: {self._disk.words()}"
        if self._writer is None:
            why = self._take_up()
            return (False, why) if why else self._start("")
        self._begins = time.monotonic() + self._pause
        self._state = COUNTDOWN
        self.tick(time.monotonic())
        return True, f"episode {self._index} begins"

    def _stop(self, text: str) -> tuple[bool, str]:
        if self._state == COUNTDOWN:
            return self._discard(text)
        if self._state == RECORDING:
            self._end()
            self._state = REVIEW
            return True, f"episode {self._index} waits: success, failure, stop or discard"
        if self._state == REVIEW:
            return self._save(None, text)
        return False, "no episode is being recorded"

    def _label(self, success: bool, text: str) -> tuple[bool, str]:
        if self._state == RECORDING:
            self._end()
        elif self._state != REVIEW:
            return False, "no episode to label; a saved one keeps its label"
        return self._save(success, text)

    def _discard(self, text: str) -> tuple[bool, str]:
        if self._state not in (COUNTDOWN, RECORDING, REVIEW):
            return False, "no episode to discard; undo takes back the last saved one"
        if self._state == RECORDING:
            self._end()
        if self._state != COUNTDOWN:
            self._do(self._discard_now)
        self._state = IDLE
        return True, f"episode {self._index} is discarded"

    def _redo(self, text: str) -> tuple[bool, str]:
        if self._state in (COUNTDOWN, RECORDING, REVIEW):
            self._discard(text)
            return self._start("")
        return False, "no episode to redo; undo takes back the last saved one"

    def _undo(self, text: str) -> tuple[bool, str]:
        if self._state != IDLE:
            return False, f"episode {self._index} is {self._state}; stop or discard it first"
        if self._writer is None:
            why = self._take_up()
            return (False, why) if why else self._undo("")
        if not self._writer.episodes:
            return False, "no episode is saved"
        self._state = SAVING
        self._do(self._undo_now)
        return True, f"episode {self._index - 1} is being taken back"

    def _save(self, success: bool | None, text: str) -> tuple[bool, str]:
        self._state = SAVING
        self._success = success is True
        if text:
            self._open.notes["note"] = text[:1000]
        self._do(lambda: self._save_now(success))
        return True, f"episode {self._index} is being saved"

    def _take_up(self) -> str:
        """Have the thread open the data set; return why it is not open yet, or ``""``.

        To wait on the condition lets go of the lock.
        """
        if not self._opening:
            self._opening, self._refused = True, ""
            self._do(self._open_now)
        if not self._opened.wait_for(lambda: not self._opening, PATIENCE):
            return "the data set is being opened; ask again in a moment"
        return self._refused

    def _end(self) -> None:
        self._open.ended = time.time()
        self._do(self._end_now)

    # What happens by itself ------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Begin what was counted down; end what the disk has no room for. Steady time [s]."""
        with self._lock:
            if self._state == COUNTDOWN and now >= self._begins:
                self._state = RECORDING
                self._open = _Open(time.time())
                self._do(self._begin_now)
            if self._disk.full and self._state not in (FULL, SAVING):
                self.fill(f"the disk is full: {self._disk.words()}")

    def fill(self, why: str) -> None:
        """Save what is open, unlabelled, and begin nothing any more."""
        with self._lock:
            if self._state == RECORDING:
                self._end()
            if self._state in (RECORDING, REVIEW):
                self._open.notes["ended_by"] = why
                self._save(None, "")
            elif self._state != SAVING:
                self._state = FULL
            self._do(self._full_now)
            self.message = why

    def put(self, topic: str, receipt: float, data: bytes, droppable: bool) -> None:
        """Have a message worked on; topic relative to the machine's namespace."""
        with self._counting:
            room = MOST if droppable else 2 * MOST
            if self._bytes + len(data) > room:
                self.dropped += 1
                self._open.dropped += 1
                return
            self._bytes += len(data)
        self._queue.append(_Work(None, topic, receipt, data))
        self._some.release()

    def miss(self, count: int) -> None:
        """Count messages that were lost before they could be put."""
        with self._counting:
            self.dropped += count
            if self._state == RECORDING:
                self._open.dropped += count

    def close(self) -> None:
        """Save what is open, unlabelled, and end."""
        with self._lock:
            if self._state == RECORDING:
                self._end()
            if self._state in (RECORDING, REVIEW):
                self._open.notes["ended_by"] = "the recorder was ended"
                self._save(None, "")
            self._ended = True
        self._some.release()
        self._thread.join()
        if self._writer is not None:
            self._writer.close()

    def snapshot(self) -> Snapshot:
        """Return what is being done."""
        with self._lock:
            now, state, episode = time.monotonic(), self._state, self._open
            until = time.time() if state == RECORDING else episode.ended
            is_open = state in (RECORDING, REVIEW, SAVING)
            return Snapshot(
                state, self.task, self._index, self._saved,
                max(until - episode.began, 0.0) if is_open and episode.began else 0.0,
                max(self._begins - now, 0.0) if state == COUNTDOWN else 0.0,
                self._success, self.dropped, self.message,
            )  # fmt: skip

    @property
    def _saved(self) -> int:
        return 0 if self._writer is None else self._writer.episodes

    @property
    def _index(self) -> int:
        return self._saved

    # In the thread ---------------------------------------------------------------------------

    def _do(self, work: Callable[[], None]) -> None:
        self._queue.append(_Work(work))
        self._some.release()

    def _run(self) -> None:
        while True:
            self._some.acquire()
            if not self._queue:
                if self._ended:
                    return
                continue
            work = self._queue.popleft()
            try:
                if work.do is not None:
                    work.do()
                else:
                    with self._counting:
                        self._bytes -= len(work.data)
                    self._give(work)
            except Exception as error:
                self._lose(error)

    def _give(self, work: _Work) -> None:
        """Hand a message to the grid; one that is none is left out, the episode goes on."""
        running = self._grid is not None and self._grid.running
        if not running and work.topic not in ALWAYS:
            return
        try:
            self._feed.give(work.topic, work.receipt, self._decode(work.topic, work.data))
        except LostError:
            raise
        except Exception as error:
            self._feed.problems[work.topic] = repr(error)

    def _lose(self, error: Exception) -> None:
        """An episode cannot go on; what is saved stays, and the bag has what was recorded."""
        assert self._writer is not None
        index = self._writer.episodes
        if self._grid is not None:
            self._grid.running = False
        why = f"episode {index} is lost for the data set: {error}"
        try:
            self._writer.discard()
        except Exception as worse:  # the thread goes on, or messages would pile up
            why += f"; nor could it be cleared away: {worse}"
        with self._lock:
            self._state = FULL if self._disk.full else IDLE
            self.message = why

    def _open_now(self) -> None:
        refused = ""
        try:
            writer = self._make_writer()
        except Exception as error:  # whatever it is: whoever asked is told, and may ask again
            refused = str(error) or repr(error)
        with self._lock:
            self._opening, self._refused = False, refused
            if refused:
                self.message = refused
            else:
                self._writer, self._grid = writer, Grid(writer.info, _Sink(writer))
                self._feed.grid = self._grid
            self._opened.notify_all()

    def _begin_now(self) -> None:
        assert self._writer is not None and self._grid is not None
        self._feed.problems.clear()
        for topic, receipt, data in self._newest():
            self._feed.give(topic, receipt, self._decode(topic, data))
        if self._grid.missing:
            raise KuwaError(f"no picture of {', '.join(self._grid.missing)}")
        self._writer.begin(self.task)
        self._grid.begin()

    def _end_now(self) -> None:
        if self._grid is not None and self._grid.running:
            self._open.notes |= self._grid.end()

    def _save_now(self, success: bool | None) -> None:
        assert self._writer is not None
        if not self._writer.recording:
            return  # it was lost on the way
        episode = self._open
        notes = {
            "began": episode.began, "ended": episode.ended, "dropped": episode.dropped,
            "bad_messages": dict(self._feed.problems),
            **self._notes(), **episode.notes,
        }  # fmt: skip
        index = self._writer.save(success, **notes)
        with self._lock:
            self._state = IDLE
            self.message = saved_words(index, success)

    def _discard_now(self) -> None:
        if self._writer is not None:
            self._writer.discard()

    def _undo_now(self) -> None:
        assert self._writer is not None
        index = self._writer.undo()
        with self._lock:
            self._state = IDLE
            self.message = f"episode {index} is taken back"

    def _full_now(self) -> None:
        with self._lock:
            self._state = FULL


def saved_words(index: int, success: bool | None) -> str:
    """Return what the recorder says when an episode is saved; conversions read it in bags."""
    return f"episode {index} is saved, {LABEL_WORDS[success]}"


def label_of(words: str) -> bool | None:
    """Return the label in :func:`saved_words`."""
    said = words.rpartition(", ")[2]
    return next((label for label, word in LABEL_WORDS.items() if word == said), None)
