"""Writes a LeRobot v3.0 data set, one episode at a time: each is saved whole or not at all.

Everything of an episode is written and flushed to the disk in a folder of its own, then renamed
into place in an order in which every crash leaves a set that loads: pictures and notes, which
nobody looks for yet; the tasks and the statistics, which may speak of more than there is; the
episode's data, then its row; ``info.json`` last. Taking an episode back goes the other way.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.atomic import (
    make_folder,
    replace_file,
    sync_file,
    sync_folders,
    write_durable,
)
from kuwa_policies.datasets import layout, tables
from kuwa_policies.datasets.features import (
    ACTION,
    COLUMNS,
    INTERVENTION,
    DatasetInfo,
    interventions,
    meanings,
)
from kuwa_policies.datasets.layout import DatasetError, Place
from kuwa_policies.datasets.open_episode import OpenEpisode
from kuwa_policies.datasets.stats import Stats, as_lists, from_lists, of_array, together
from kuwa_policies.datasets.video import CODEC

BEFORE = "before.part"
"""In :data:`layout.PARTIAL`, ``info.json`` as it was before an episode is saved."""
MAX_TASK = 1000
"""Characters of a task's text."""


class DatasetWriter:
    """Writes episodes; opening an existing folder goes on after its last one.

    Args:
        folder: of the set; made if it is not there.
        info: of all episodes.

    Raises:
        DatasetError: somebody else writes there, or the set that is there differs from ``info``.
    """

    def __init__(self, folder: Path, info: DatasetInfo) -> None:
        self.folder, self.info = Path(folder), info
        self._partial = self.folder / layout.PARTIAL
        self._features = {
            name: each.info(info.fps, CODEC) for name, each in {**info.features, **COLUMNS}.items()
        }
        self.episodes = self.frames = 0
        self.tasks: list[str] = []
        self._stats: dict[str, Stats] = {}
        # What frames and statistics were before each of the last episodes, for taking those back.
        self._earlier: list[tuple[int, dict[str, Stats]]] = []
        self._open: OpenEpisode | None = None
        make_folder(self.folder)
        self._lock = self._locked()
        try:
            if (self.folder / layout.INFO).exists():
                self._take_up()
            else:
                self._begin_set()
        except BaseException:
            self._lock.close()
            raise

    # Episodes --------------------------------------------------------------------------------

    @property
    def recording(self) -> bool:
        """Whether an episode is open."""
        return self._open is not None

    @property
    def length(self) -> int:
        """Frames of the open episode."""
        return 0 if self._open is None else self._open.length

    def begin(self, task: str, **notes: Any) -> None:
        """Open an episode.

        Args:
            task: what is to be done, in words.
            notes: what else its notes should say, e.g. ``scenario="dig_trench", seed=3``.

        Raises:
            DatasetError: one is open already, or the task says nothing.
        """
        if self._open is not None:
            raise DatasetError(f"episode {self.episodes} is open; save or discard it first")
        if not 0 < len(task.strip()) <= MAX_TASK:
            raise DatasetError(f"task {task[:40]!r}: expected 1 to {MAX_TASK} characters")
        self._clear_partial()
        make_folder(self._partial)
        self._open = OpenEpisode(self.info, self._partial, task.strip(), notes)

    def add(self, frame: Mapping[str, Any]) -> None:
        """Add a frame: every feature of the set by name, and nothing else.

        Raises:
            DatasetError: a feature is missing or unknown, has another shape or is not finite.
            OSError: an earlier picture could not be written.
        """
        self._opened().add(frame)

    def control(self, stamp: float, action: NDArray[np.float64], source: int = 0) -> None:
        """Add an action at control rate, shape (n,), with its stamp [s], for exact replay."""
        self._opened().control(stamp, action, source)

    def note(self, **notes: Any) -> None:
        """Add to the notes of the open episode."""
        self._opened().notes.update(notes)

    def save(self, success: bool | None, **notes: Any) -> int:
        """Save the open episode; return its index. When this has returned, it is saved.

        If it raises, the set is what it was before, and the episode is gone.

        Args:
            success: label; None where nobody said.
            notes: what else its notes should say.

        Raises:
            DatasetError: no frames, or the disk is full.
        """
        episode = self._opened()
        if not episode.length:
            self.discard()
            raise DatasetError(f"episode {self.episodes} has no frame; it is not saved")
        place = Place(self.episodes)
        try:
            staged = self._staged(place, episode, success, notes)
        except (OSError, DatasetError) as error:
            self.discard()
            raise DatasetError(f"episode {place.index} is not saved: {_words(error)}") from None
        except BaseException:
            self.discard()
            raise
        self._open = None
        try:
            self._publish(place, staged)
        except OSError as error:
            self._withdraw(place, self._partial / BEFORE)
            raise DatasetError(f"episode {place.index} is not saved: {_words(error)}") from None
        self._count(episode.length, staged.stats, staged.tasks)
        return place.index

    def discard(self) -> None:
        """Forget the open episode, if there is one."""
        if self._open is not None:
            self._open.cancel()
            self._open = None
        self._clear_partial()

    def undo(self) -> int:
        """Take back the last saved episode; return its index.

        Raises:
            DatasetError: an episode is open, or none is saved.
        """
        if self._open is not None:
            raise DatasetError(f"episode {self.episodes} is open; save or discard it first")
        if not self.episodes:
            raise DatasetError(f"{self.folder}: there is no saved episode to take back")
        place = Place(self.episodes - 1)
        if not self._earlier:
            self._earlier.append(self._before(place.index))
        frames, earlier = self._earlier[-1]
        make_folder(self._partial)
        info, stats = self._partial / "info.part", self._partial / "stats.part"
        try:
            write_durable(info, self._info_bytes(place.index, frames, self.tasks))
            write_durable(stats, layout.json_bytes(as_lists(earlier)))
        except OSError as error:
            raise DatasetError(
                f"episode {place.index} is not taken back: {_words(error)}"
            ) from None
        # From here on nothing needs room on the disk.
        self._withdraw(place, info)
        self._rename([(stats, layout.STATS)])
        self.episodes, self.frames, self._stats = place.index, frames, earlier
        self._earlier.pop()
        return place.index

    def close(self) -> None:
        """Discard what is open and let others write."""
        if not self._lock.closed:
            self.discard()
            self._lock.close()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Saving ----------------------------------------------------------------------------------

    def _staged(
        self, place: Place, episode: OpenEpisode, success: bool | None, notes: Mapping[str, Any]
    ) -> _Staged:
        """Write everything of an episode beside; return what was written and what it makes new."""
        columns, stats = episode.finished(place.index, self.frames)
        tasks = [*self.tasks] if episode.task in self.tasks else [*self.tasks, episode.task]
        columns["task_index"] = np.full(episode.length, tasks.index(episode.task), np.int64)
        stats["task_index"] = of_array(columns["task_index"])
        text = self._notes(place, episode, columns, success, notes)
        every = together([self._stats, stats]) if self._stats else stats
        files = {place.notes: layout.json_bytes(text)}
        if episode.stamps:
            files[place.actions] = episode.actions_bytes()
        sizes = (self.episodes + 1, self.frames + episode.length)
        row = tables.row_bytes(self.info, place, episode.task, self.frames, episode.length, stats)
        files |= {
            layout.TASKS: tables.tasks_bytes(tasks),
            layout.STATS: layout.json_bytes(as_lists(every)),
            place.row: row,
            place.data: tables.data_bytes(self.info, columns),
            layout.INFO: self._info_bytes(*sizes, tasks),
        }
        moves = [(video.path, place.video(key)) for key, video in episode.videos.items()]
        for video in episode.videos.values():
            sync_file(video.path)
        for number, (target, data) in enumerate(files.items()):
            path = self._partial / f"{number}.part"
            write_durable(path, data)
            moves.append((path, target))
        # In case it must be taken back: then there may be no room to write it.
        before = self._info_bytes(self.episodes, self.frames, self.tasks)
        write_durable(self._partial / BEFORE, before)
        for _, target in moves:
            make_folder((self.folder / target).parent)
        return _Staged(moves, every, tasks)

    def _publish(self, place: Place, staged: _Staged) -> None:
        """Rename what is staged into place.

        The data come before the row: readers reach frames by what ``info.json`` counts, or by the
        rows, so data without a row are never looked for; a row without data would be.
        """
        last = (place.data, place.row, layout.INFO)
        before = [move for move in staged.moves if move[1] not in last]
        self._rename(before)
        moves = {target: (path, target) for path, target in staged.moves}
        for target in last:
            self._rename([moves[target]])

    def _rename(self, moves: list[tuple[Path, str]]) -> None:
        for path, target in moves:
            os.replace(path, self.folder / target)
        sync_folders((self.folder / target).parent for _, target in moves)

    def _withdraw(self, place: Place, info: Path | None = None) -> None:
        """Remove whatever is in the place of an episode, the row first.

        Args:
            info: is there already, and becomes ``info.json`` before anything is removed.
        """
        if info is not None:
            self._rename([(info, layout.INFO)])
        row = self.folder / place.row
        if row.exists():
            row.unlink()
            sync_folders([row.parent])
        paths = [self.folder / place.data]
        paths += [self.folder / place.video(key) for key in self.info.videos]
        paths += [self.folder / target for target in (place.notes, place.actions)]
        for path in paths:
            path.unlink(missing_ok=True)
        sync_folders(path.parent for path in paths if path.parent.is_dir())

    def _replace(self, target: str, data: bytes) -> None:
        make_folder(self._partial)
        replace_file(self.folder / target, data, self._partial / "replaced.part")

    def _count(self, length: int, stats: dict[str, Stats], tasks: list[str]) -> None:
        self._earlier.append((self.frames, self._stats))
        self.episodes, self.frames, self.tasks = self.episodes + 1, self.frames + length, tasks
        self._stats = stats

    def _notes(
        self,
        place: Place,
        episode: OpenEpisode,
        columns: Mapping[str, NDArray[Any]],
        success: bool | None,
        notes: Mapping[str, Any],
    ) -> dict[str, Any]:
        action = columns.get(ACTION)
        values = {
            "episode": place.index, "task": episode.task, "success": success,
            "began": episode.began, "saved": time.time(), "length": episode.length,
            "control_ticks": len(episode.stamps),
            **episode.notes, **notes,
        }  # fmt: skip
        if action is not None:
            values["action_sha256"] = hashlib.sha256(action.tobytes()).hexdigest()
        if INTERVENTION in columns:
            values["interventions"] = interventions(columns[INTERVENTION])
        return values

    def _info_bytes(self, episodes: int, frames: int, tasks: list[str]) -> bytes:
        info = self.info
        return layout.json_bytes(
            layout.info_json(
                info.robot_type, info.fps, self._features, episodes, frames, len(tasks)
            )
        )

    # Opening ---------------------------------------------------------------------------------

    def _locked(self) -> IO[str]:
        lock = (self.folder / layout.LOCK).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise DatasetError(f"{self.folder}: somebody else is writing to it") from None
        return lock

    def _begin_set(self) -> None:
        strange = [p.name for p in self.folder.iterdir() if p.name not in (
            layout.LOCK, layout.PARTIAL, "meta")]  # fmt: skip
        if strange:
            raise DatasetError(
                f"{self.folder} is no data set and holds {strange[0]!r}; give an empty folder"
            )
        make_folder(self.folder / "meta" / "kuwa")
        values = {
            "format": 1, "machine": self.info.robot_type, "joints": list(self.info.joints),
            "created": time.time(), **self.info.kuwa,
        }  # fmt: skip
        self._replace(layout.KUWA, layout.json_bytes(values))
        self._replace(layout.INFO, self._info_bytes(0, 0, []))

    def _take_up(self) -> None:
        """Go on with the set that is there, without what a crash left of an unfinished episode."""
        found = layout.read_json(self.folder / layout.INFO)
        wanted = layout.info_json(self.info.robot_type, self.info.fps, self._features, 0, 0, 0)
        for key in ("codebase_version", "robot_type", "fps", "features"):
            if found.get(key) != wanted[key]:
                raise DatasetError(
                    f"{self.folder}: {_difference(key, found.get(key), wanted[key])}"
                )
        kuwa = self.folder / layout.KUWA
        if kuwa.exists():
            for what, there, now in meanings(layout.read_json(kuwa), self.info.kuwa):
                raise DatasetError(f"{self.folder}: {_difference(what, there, now)}")
        self.episodes = int(found["total_episodes"])
        self._check_rows()
        if self.episodes:
            last = self._row(self.episodes - 1, ["dataset_to_index"])
            self.frames = int(last["dataset_to_index"])
        if (self.folder / layout.TASKS).exists():
            self.tasks = tables.read_tasks(self.folder / layout.TASKS)
        self._clear_partial()
        if self._anything_at(Place(self.episodes)):
            self._withdraw(Place(self.episodes))
        self._take_up_stats()

    def _check_rows(self) -> None:
        """Refuse a set whose rows are not ours, or are torn.

        Of so many files as there are episodes, each with a row at least, none has two. To parse
        them all would take 13 ms each.
        """
        if self.episodes:
            self._row(0, ["length"])
        for index in range(self.episodes):
            tables.check_whole(self.folder / Place(index).row)

    def _row(self, index: int, columns: list[str] | None = None) -> dict[str, Any]:
        path = Place(index).row
        table = tables.read_table(self.folder / path, columns)
        if table.num_rows != 1:
            raise DatasetError(
                f"{self.folder}: {path} holds {table.num_rows} episodes, "
                "so this set was not written by Kuwa; merge it into a new one instead"
            )
        row: dict[str, Any] = table.to_pylist()[0]
        return row

    def _before(self, index: int) -> tuple[int, dict[str, Stats]]:
        """Return what frames and statistics were before an episode was saved."""
        first = self._row(index, ["dataset_from_index"])["dataset_from_index"]
        return int(first), self._stats_of_rows(index)

    def _take_up_stats(self) -> None:
        """Take the statistics of the whole; those of its rows where a crash left others."""
        try:
            found = from_lists(layout.read_json(self.folder / layout.STATS))
            count, last = found["index"]["count"][0], found["index"]["max"][0]
            if found.keys() == self._features.keys() and count == self.frames == last + 1:
                self._stats = found
                return
        except (DatasetError, KeyError, TypeError, ValueError, IndexError):
            pass
        self._stats = self._stats_of_rows(self.episodes)
        if self.episodes or (self.folder / layout.STATS).exists():
            self._replace(layout.STATS, layout.json_bytes(as_lists(self._stats)))

    def _stats_of_rows(self, episodes: int) -> dict[str, Stats]:
        """Return the statistics of the first so many episodes; slow where they are many."""
        return together(tables.stats_of_row(self._row(index)) for index in range(episodes))

    def _anything_at(self, place: Place) -> bool:
        targets = [place.data, place.row, place.notes, place.actions]
        targets += [place.video(key) for key in self.info.videos]
        return any((self.folder / target).exists() for target in targets)

    def _clear_partial(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)

    def _opened(self) -> OpenEpisode:
        if self._open is None:
            raise DatasetError("no episode is open; begin one first")
        return self._open


class _Staged:
    """What of an episode was written beside: (path, target) in order, and what it makes new."""

    def __init__(
        self, moves: list[tuple[Path, str]], stats: dict[str, Stats], tasks: list[str]
    ) -> None:
        self.moves, self.stats, self.tasks = moves, stats, tasks


def _words(error: Exception) -> str:
    return str(error.strerror) if isinstance(error, OSError) and error.strerror else str(error)


def _difference(key: str, found: Any, wanted: Any) -> str:
    if key == "features" and isinstance(found, dict):
        for name in sorted(found.keys() | wanted.keys()):
            if found.get(name) != wanted.get(name):
                key, found, wanted = f"feature {name!r}", found.get(name), wanted.get(name)
                break
    return f"{key} is {found!r} there and {wanted!r} now; record into another folder"
