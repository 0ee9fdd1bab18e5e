"""A newcomer records, looks, replays and exports, with no more than ten commands."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from kuwa_policies.datasets import Dataset

COMMANDS = (
    "setup",
    "demo dig_trench -n 2 --noise low --out {folder}/trench",
    "data info {folder}/trench",
    "data doctor {folder}/trench",
    "data view {folder}/trench",
    "data replay {folder}/trench -e 0",
    "data export {folder}/trench --to hdf5",
)
"""After `git clone`, which is one more."""
TIME = 900.0
"""All of them, on two cores with what setup makes already there [s]."""


@pytest.mark.full
@pytest.mark.timeout(2 * TIME)
def test_from_a_clone_to_an_exported_episode(root: Path, tmp_path: Path) -> None:
    assert len(COMMANDS) + 1 <= 10
    began = time.monotonic()
    for command in COMMANDS:
        words = command.format(folder=tmp_path).split()
        at = time.monotonic()
        done = subprocess.run(
            [str(root / "kuwa"), *words], cwd=root, capture_output=True, text=True, check=False
        )
        print(f"{time.monotonic() - at:6.1f} s  ./kuwa {command}")
        assert done.returncode == 0, f"./kuwa {command}: {done.stderr[-2000:]}"
        if words[:2] == ["data", "replay"]:
            assert "state error 0" in done.stderr
    took = time.monotonic() - began
    print(f"{took:6.1f} s  in all")
    found = Dataset(tmp_path / "trench")
    assert len(found.episodes) == 2 and found.frames_total > 1000
    assert (tmp_path / "trench.html").stat().st_size > 100_000
    assert (tmp_path / "trench.hdf5").stat().st_size > 100_000
    assert took < TIME
