"""Takes saved episodes over from one data set into another, without encoding their videos again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_policies.datasets import tables, video
from kuwa_policies.datasets.features import COLUMNS, DatasetInfo, Feature, agreed, meanings
from kuwa_policies.datasets.layout import DatasetError
from kuwa_policies.datasets.reader import Dataset, Episode
from kuwa_policies.datasets.stats import Stats
from kuwa_policies.datasets.writer import DatasetWriter

OF_A_SET = ("format", "machine", "joints", "created")
"""What ``meta/kuwa.json`` says by itself of every set."""
BY_THE_WRITER = (
    "episode", "task", "success", "length", "control_ticks", "action_sha256", "interventions",
)  # fmt: skip
"""What a writer puts into an episode's notes by itself."""


def info_of(dataset: Dataset, *others: Dataset) -> DatasetInfo:
    """Return what a new set needs to take the episodes of these, which do not differ.

    Of where they come from it says only what all of them say, and not that it is a recording of
    ``kuwa demo``, which could be gone on with.
    """
    features: Mapping[str, Feature] = {
        name: each for name, each in dataset.features.items() if name not in COLUMNS
    }
    said = agreed([each.kuwa for each in (dataset, *others)])
    kuwa = {name: value for name, value in said.items() if name not in (*OF_A_SET, "demo")}
    return DatasetInfo(dataset.robot_type, dataset.joints, dataset.fps, features, kuwa)


def differences(one: Dataset, other: Dataset) -> list[str]:
    """Say in words what keeps two sets from being one; empty where nothing does."""
    found = [
        f"{what}: {a!r} and {b!r}"
        for what, a, b in (
            ("machine", one.robot_type, other.robot_type),
            ("fps", one.fps, other.fps),
            ("joints", one.joints, other.joints),
        )
        if a != b
    ]
    found += [f"{what}: {a!r} and {b!r}" for what, a, b in meanings(one.kuwa, other.kuwa)]
    for name in sorted(one.features.keys() | other.features.keys()):
        a, b = one.features.get(name), other.features.get(name)
        if a != b:
            words = ["none" if f is None else f"{f.dtype} {f.shape} {f.names}" for f in (a, b)]
            found.append(f"feature {name!r}: {words[0]} and {words[1]}")
    return found


def adopt(writer: DatasetWriter, dataset: Dataset, index: int, **notes: Any) -> int:
    """Save an episode of another set as the writer's next one; return its new index.

    Args:
        notes: what its notes should say besides what they said.

    Raises:
        DatasetError: it does not fit, it is torn, or it cannot be saved.
    """
    episode = dataset.episodes[index]
    said = {name: value for name, value in episode.notes.items() if name not in BY_THE_WRITER}
    columns = dataset.episode(index)
    missing = writer.info.vectors.keys() - columns.keys()
    if missing:
        raise DatasetError(f"{dataset.folder}: episode {index} lacks {sorted(missing)}")
    writer.begin(episode.tasks[0] if episode.tasks else "unknown", **said)
    try:
        opened = writer._opened()
        for name, feature in writer.info.vectors.items():
            values = np.asarray(columns[name], feature.dtype).reshape(episode.length, -1)
            if values.shape[1:] != feature.shape:
                raise DatasetError(f"{name} has shape {values.shape[1:]}; expected {feature.shape}")
            opened._rows[name] = list(values)
        for name in writer.info.videos:
            opened.videos[name].cancel()
            path = opened.videos[name].path
            taken = _video(dataset, episode, name, path, writer.info)
            opened.videos[name] = taken  # type: ignore[assignment]
            opened._images[name] = _Known(_image_stats(dataset, index, name))  # type: ignore[assignment]
        opened.length = episode.length
        _take_actions(writer, dataset, index)
        began = said.pop("began", None)
        if began is not None:
            opened.began = began
    except BaseException:
        writer.discard()
        raise
    return writer.save(episode.success, **notes)


def _take_actions(writer: DatasetWriter, dataset: Dataset, index: int) -> None:
    actions = dataset.actions(index)
    if actions is not None:
        for row in zip(actions["stamp"], actions["action"], actions["source"], strict=True):
            writer.control(float(row[0]), row[1], int(row[2]))


class _Taken:
    """A video that is whole already; stands where a :class:`VideoWriter` does."""

    def __init__(self, path: Path, count: int) -> None:
        self.path, self.count = path, count

    def close(self) -> None:
        found = video.frames_in(self.path)
        if found != self.count:
            raise DatasetError(f"{self.path.name} holds {found} pictures of {self.count}")

    def cancel(self) -> None:
        self.path.unlink(missing_ok=True)


class _Known:
    """Statistics that are known already; stands where :class:`ImageStats` does."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def result(self) -> Stats:
        return self._stats


def _video(
    dataset: Dataset, episode: Episode, name: str, path: Path, info: DatasetInfo
) -> _Taken | video.VideoWriter:
    """Copy a video that holds this episode only; cut it out of one that holds several."""
    source, start = episode.videos[name]
    file = dataset.folder / source
    if start == 0.0 and video.frames_in(file) == episode.length:
        shutil.copyfile(file, path)
        return _Taken(path, episode.length)
    written = video.VideoWriter(path, info.features[name].shape, info.fps)
    for image in video.decode(file, start, episode.length):
        written.add(image)
    return written


def _image_stats(dataset: Dataset, index: int, name: str) -> Stats:
    """Return what the set says of an episode's pictures, as arrays of shape (3, 1, 1)."""
    for path in sorted((dataset.folder / "meta" / "episodes").glob("*/*.parquet")):
        table = tables.read_table(path)
        for row in table.to_pylist():
            if int(row["episode_index"]) == index:
                found = tables.stats_of_row(row).get(name)
                if found is None:
                    raise DatasetError(f"{path}: no statistics of {name!r} of episode {index}")
                return {
                    key: np.asarray(each).reshape((1,) if key == "count" else (3, 1, 1))
                    for key, each in found.items()
                }
    raise DatasetError(f"{dataset.folder}: no row of episode {index}")
