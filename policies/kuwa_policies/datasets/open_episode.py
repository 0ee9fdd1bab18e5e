"""The frames of an episode that is not saved yet; its videos are being encoded meanwhile."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_policies.datasets.features import DatasetInfo
from kuwa_policies.datasets.layout import DatasetError
from kuwa_policies.datasets.stats import ImageStats, Stats, of_array
from kuwa_policies.datasets.video import VideoWriter

IMAGE_STATS_S = 0.5
"""Pictures this far apart go into the statistics [s]."""


class OpenEpisode:
    """Takes frames and actions until the episode is saved or forgotten.

    Args:
        info: of the set.
        partial: folder in which the videos are written.
        task: in words. notes: what its notes should say.
    """

    def __init__(
        self, info: DatasetInfo, partial: Path, task: str, notes: Mapping[str, Any]
    ) -> None:
        self.task, self.notes, self.began = task, dict(notes), time.time()
        self.length = 0
        self.stamps: list[float] = []
        self._info = info
        self._actions: list[NDArray[np.float64]] = []
        self._sources: list[int] = []
        self._rows: dict[str, list[NDArray[Any]]] = {name: [] for name in info.vectors}
        self._every = max(round(IMAGE_STATS_S * info.fps), 1)
        self._images = {name: ImageStats() for name in info.videos}
        self.videos = {
            name: VideoWriter(partial / f"{name}.mp4", info.features[name].shape, info.fps)
            for name in info.videos
        }

    def add(self, frame: Mapping[str, Any]) -> None:
        """Take a frame; see :meth:`DatasetWriter.add`."""
        features = self._info.features
        if frame.keys() != features.keys():
            missing, unknown = features.keys() - frame.keys(), frame.keys() - features.keys()
            raise DatasetError(f"frame lacks {sorted(missing)} and has unknown {sorted(unknown)}")
        values = {name: self._info.checked(name, value) for name, value in frame.items()}
        for name, rows in self._rows.items():
            rows.append(np.array(values[name]))
        for name, video in self.videos.items():
            video.add(values[name])
            if self.length % self._every == 0:
                self._images[name].add(values[name])
        self.length += 1

    def control(self, stamp: float, action: NDArray[np.float64], source: int) -> None:
        """Take an action at control rate."""
        values = np.array(action, np.float64)
        if values.shape != (len(self._info.joints),) or not np.isfinite(values).all():
            raise DatasetError(f"action {values.tolist()} for {len(self._info.joints)} joints")
        self.stamps.append(float(stamp))
        self._actions.append(values)
        self._sources.append(int(source))

    def finished(
        self, episode: int, first: int
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Stats]]:
        """Finish the videos; return columns, shapes (frames, n), and statistics."""
        for video in self.videos.values():
            video.close()
        counted = np.arange(self.length)
        columns = {name: np.stack(rows) for name, rows in self._rows.items()}
        columns |= {
            "timestamp": (counted / self._info.fps).astype(np.float32),
            "frame_index": counted,
            "episode_index": np.full(self.length, episode, np.int64),
            "index": first + counted,
        }
        stats = {name: of_array(values) for name, values in columns.items()}
        return columns, stats | {name: each.result() for name, each in self._images.items()}

    def actions_bytes(self) -> bytes:
        """Return the actions at control rate as an ``.npz``: stamp, action, source."""
        sink = io.BytesIO()
        np.savez(
            sink, allow_pickle=False, stamp=np.array(self.stamps), action=np.stack(self._actions),
            source=np.array(self._sources, np.int64),
        )  # fmt: skip
        return sink.getvalue()

    def cancel(self) -> None:
        """End the videos without files."""
        for video in self.videos.values():
            video.cancel()
