"""Where everything of a LeRobot v3.0 data set lies, and what its ``info.json`` says.

Ours beside it, which LeRobot ignores: ``meta/kuwa.json`` of the set and ``meta/kuwa/`` with what a
person should know of each episode and its actions at control rate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kuwa_machines.errors import KuwaError

VERSION: Final = "v3.0"
CHUNK: Final = 1000
"""Files in a folder."""
DATA_MB: Final = 100
VIDEO_MB: Final = 200
DATA_PATH: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH: Final = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH: Final = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
INFO: Final = "meta/info.json"
STATS: Final = "meta/stats.json"
TASKS: Final = "meta/tasks.parquet"
KUWA: Final = "meta/kuwa.json"
PARTIAL: Final = ".partial"
"""Folder of what is being written; nothing in it belongs to the set."""
LOCK: Final = ".lock"
MAX_JSON: Final = 50_000_000
"""A larger JSON file is refused."""


class DatasetError(KuwaError):
    """A data set, or what was to go into it, is not what it must be."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an episode of ours lies: one file each, in the order of episodes.

    Args:
        index: of the episode.
    """

    index: int

    @property
    def chunk(self) -> int:
        return self.index // CHUNK

    @property
    def file(self) -> int:
        return self.index % CHUNK

    @property
    def data(self) -> str:
        return DATA_PATH.format(chunk_index=self.chunk, file_index=self.file)

    @property
    def row(self) -> str:
        """Its row of metadata."""
        return EPISODES_PATH.format(chunk_index=self.chunk, file_index=self.file)

    @property
    def notes(self) -> str:
        return f"meta/kuwa/episode-{self.index:06d}.json"

    @property
    def actions(self) -> str:
        return f"meta/kuwa/episode-{self.index:06d}.actions.npz"

    def video(self, key: str) -> str:
        return VIDEO_PATH.format(video_key=key, chunk_index=self.chunk, file_index=self.file)


def info_json(
    robot_type: str, fps: int, features: dict[str, Any], episodes: int, frames: int, tasks: int
) -> dict[str, Any]:
    """Return ``info.json`` of a set of this size."""
    return {
        "codebase_version": VERSION,
        "robot_type": robot_type,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNK,
        "data_files_size_in_mb": DATA_MB,
        "video_files_size_in_mb": VIDEO_MB,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": features,
    }


def json_bytes(values: Any) -> bytes:
    """Return JSON as it is written; values that are not finite are refused."""
    return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DatasetError: it is not there, too large or none.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise DatasetError(f"{path}: larger than {MAX_JSON} bytes; no file of a data set is")
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise DatasetError(f"{path}: expected an object, found {type(values).__name__}")
    return values
