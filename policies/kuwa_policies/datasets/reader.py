"""Reads a LeRobot v3.0 data set, ours or anybody's, one episode at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import choices
from kuwa_machines.npz import read_npz
from kuwa_policies.datasets import layout, tables, video
from kuwa_policies.datasets.features import IMAGES, Feature
from kuwa_policies.datasets.layout import DatasetError, Place

MAX_ACTIONS = 1_000_000_000
"""More than ten hours of ten joints at 100 Hz; a larger file is refused [B]."""


@dataclass(frozen=True)
class Episode:
    """What is known of an episode before its frames are read.

    Args:
        index: of the episode. tasks: in words. length: frames.
        first: index of its first frame in the set.
        data: file of its rows, relative to the set; other episodes may be in it.
        videos: feature → (file, time of the first picture in it [s]).
        notes: ours, from ``meta/kuwa``; empty where there are none.
    """

    index: int
    tasks: tuple[str, ...]
    length: int
    first: int
    data: str
    videos: dict[str, tuple[str, float]]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def success(self) -> bool | None:
        """The label, or None where nobody said."""
        label = self.notes.get("success")
        return label if isinstance(label, bool) else None


class Dataset:
    """A data set that is read; only what ``info.json`` counts is seen.

    Args:
        folder: of the set.

    Raises:
        DatasetError: it is none of version 3.0, or its metadata are torn.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.info = layout.read_json(self.folder / layout.INFO)
        if self.info.get("codebase_version") != layout.VERSION:
            raise DatasetError(
                f"{self.folder}: version {self.info.get('codebase_version')!r}; "
                f"expected {layout.VERSION!r}"
            )
        kuwa = self.folder / layout.KUWA
        self.kuwa = layout.read_json(kuwa) if kuwa.exists() else {}
        try:
            self.fps = int(self.info["fps"])
            self.robot_type = str(self.info["robot_type"])
            self.features = {
                name: Feature(str(each["dtype"]), tuple(each["shape"]), _names(each.get("names")))
                for name, each in self.info["features"].items()
            }
            self.joints = tuple(map(str, self.kuwa.get("joints", ())))
            self.episodes = tuple(self._rows(int(self.info["total_episodes"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(
                f"{self.folder}: {layout.INFO} or an episode's row: {error!r}"
            ) from None

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras."""
        videos = [name for name, each in self.features.items() if each.is_video]
        return tuple(name.removeprefix(IMAGES) for name in videos)

    @property
    def frames_total(self) -> int:
        """Frames of all episodes."""
        return sum(episode.length for episode in self.episodes)

    @property
    def stats(self) -> dict[str, Any]:
        """Statistics of the whole set, as ``stats.json`` has them."""
        return layout.read_json(self.folder / layout.STATS)

    def episode(self, index: int) -> dict[str, NDArray[Any]]:
        """Return the columns of an episode: numbers of shape (frames,), vectors (frames, n).

        Raises:
            DatasetError: there is none, its file is torn or has another number of rows.
        """
        episode = self._known(index)
        table = tables.read_table(self.folder / episode.data)
        columns = {name: tables.numpy_of(table[name]) for name in table.column_names}
        rows = columns["episode_index"] == index
        if rows.sum() != episode.length:
            raise DatasetError(
                f"{self.folder / episode.data}: {rows.sum()} frames of episode {index}; "
                f"expected {episode.length}"
            )
        return {name: np.ascontiguousarray(values[rows]) for name, values in columns.items()}

    def frames(self, index: int, camera: str) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures of an episode, RGB, shape (height, width, 3).

        Raises:
            DatasetError: there is no such camera, or the video is torn.
        """
        episode = self._known(index)
        key = camera if camera in episode.videos else IMAGES + camera
        if key not in episode.videos:
            raise DatasetError(f"no camera {camera!r}; {choices(camera, self.cameras)}")
        path, start = episode.videos[key]
        yield from video.decode(self.folder / path, start, episode.length)

    def actions(self, index: int) -> dict[str, NDArray[Any]] | None:
        """Return what was followed at control rate: stamp (m,), action (m, n), source (m,).

        None where it was not recorded.

        Raises:
            DatasetError: there is no such episode, or its file is torn.
        """
        self._known(index)
        path = self.folder / Place(index).actions
        if not path.exists():
            return None
        arrays = read_npz(path, "actions of an episode", MAX_ACTIONS, DatasetError)
        missing = [name for name in ("stamp", "action", "source") if name not in arrays]
        if missing:
            raise DatasetError(f"{path}: no actions of an episode: {missing[0]} is missing")
        return {name: arrays[name] for name in ("stamp", "action", "source")}

    def _known(self, index: int) -> Episode:
        if not 0 <= index < len(self.episodes):
            raise DatasetError(f"{self.folder}: no episode {index}; it has {len(self.episodes)}")
        return self.episodes[index]

    def _rows(self, count: int) -> Iterator[Episode]:
        rows = []
        for path in sorted((self.folder / "meta" / "episodes").glob("*/*.parquet")):
            table = tables.read_table(path)
            kept = [n for n in table.column_names if not n.startswith("stats/")]
            rows += table.select(kept).to_pylist()
        rows = sorted(rows, key=lambda row: int(row["episode_index"]))[:count]
        if [int(row["episode_index"]) for row in rows] != list(range(count)):
            raise DatasetError(f"{self.folder}: {count} episodes, but rows of {len(rows)}")
        videos = [name for name, each in self.features.items() if each.is_video]
        for row in rows:
            index = int(row["episode_index"])
            notes = self.folder / Place(index).notes
            yield Episode(
                index,
                tuple(row["tasks"]),
                int(row["length"]),
                int(row["dataset_from_index"]),
                layout.DATA_PATH.format(
                    chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
                ),
                {name: self._video(row, name) for name in videos},
                layout.read_json(notes) if notes.exists() else {},
            )

    def _video(self, row: dict[str, Any], name: str) -> tuple[str, float]:
        path = layout.VIDEO_PATH.format(
            video_key=name,
            chunk_index=row[f"videos/{name}/chunk_index"],
            file_index=row[f"videos/{name}/file_index"],
        )
        return path, float(row[f"videos/{name}/from_timestamp"])


def _names(names: Any) -> tuple[str, ...]:
    """Return names of elements; some sets keep them in a mapping."""
    if isinstance(names, dict):
        names = next(iter(names.values()), ())
    return tuple(map(str, names or ()))
