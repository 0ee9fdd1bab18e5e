"""Loads data sets with an unmodified LeRobotDataset; runs in LeRobot's own interpreter.

It reads one folder a line from its input and answers with one line of JSON: episodes, frames and a
check sum of all actions, or what went wrong. Every frame of every episode is taken, videos too
where the command line says ``--videos``.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}
os.environ.setdefault("HF_HOME", tempfile.mkdtemp())


def load(folder: str, videos: bool) -> dict[str, Any]:
    """Return what LeRobot finds in a data set."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset("kuwa/test", root=folder, video_backend="pyav")
    action = hashlib.sha256()
    keys = dataset.meta.video_keys
    episodes = dataset.meta.total_episodes
    frames = 0
    for index in range(len(dataset)):
        if videos:
            item = dataset[index]
            if index % 20 == 0:
                frames += sum(float(item[key].max()) <= 1.0 for key in keys)
        else:
            item = dataset.hf_dataset[index]
        if int(item["episode_index"]) < episodes:
            action.update(item["action"].numpy().tobytes())
    return {
        "episodes": episodes,
        "frames": len(dataset),
        "tasks": [str(task) for task in dataset.meta.tasks.index],
        "action_sha256": action.hexdigest(),
        "videos": frames,
    }


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        try:
            answer = load(line.strip(), "--videos" in sys.argv)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
