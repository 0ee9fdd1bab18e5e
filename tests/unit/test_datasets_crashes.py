"""Data sets: no crash, kill or full disk costs a saved episode."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_double import fill, plain
from kuwa_policies.datasets import Dataset, DatasetError, DatasetWriter
from kuwa_policies.datasets.video import WAITING, VideoWriter

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import _record_faults as faults  # noqa: E402
from _record_faults import INFO, KINDS, Faults, actions, record  # noqa: E402

FULL_AT_THE_END = """
import resource, sys
from pathlib import Path
import numpy as np
from kuwa_policies.datasets.video import VideoWriter
writer = VideoWriter(Path(sys.argv[1]), (48, 64, 3), 20)
rng = np.random.default_rng(0)
for _ in range(6):
    writer.add(rng.integers(0, 255, (48, 64, 3)).astype(np.uint8))
# So little was written until now that the encoder fails only when it finishes the file.
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
try:
    writer.close()
except OSError as error:
    print("refused:", error)
    writer.cancel()
    print("left:", Path(sys.argv[1]).exists())
"""


def test_a_disk_that_fills_at_the_end_of_a_video_is_told_of_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_AT_THE_END, str(tmp_path / "cab.mp4")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "refused:" in done.stdout and "left: False" in done.stdout


def test_a_video_whose_encoder_fails_is_left_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = threading.Event()

    def encode(writer: VideoWriter) -> None:
        fail.wait(10.0)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(VideoWriter, "_encode", encode)
    writer = VideoWriter(tmp_path / "cab.mp4", (48, 64, 3), 20)
    for _ in range(WAITING):
        writer.add(np.zeros((48, 64, 3), np.uint8))
    # Nobody empties the queue, which is full.
    leaves = threading.Thread(target=writer.cancel, daemon=True)
    leaves.start()
    while not writer._cancelled:
        time.sleep(0.001)
    fail.set()
    leaves.join(5.0)
    assert not leaves.is_alive()
    with pytest.raises(OSError, match="No space"):
        writer.add(np.zeros((48, 64, 3), np.uint8))


class Crash(BaseException):
    """Stands for a process that ends here."""


def steps(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any], fail: Callable[[], Exception | Crash]
) -> Callable[[int], bool]:
    """Return what does ``work`` and lets its k-th flush, rename or removal fail."""

    def at(k: int) -> bool:
        left = [k]

        def guarded(call: Any) -> Any:
            def inner(*args: Any, **more: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    raise fail()
                return call(*args, **more)

            return inner

        with monkeypatch.context() as patch:
            for name in ("replace", "fsync", "unlink"):
                patch.setattr(os, name, guarded(getattr(os, name)))
            try:
                work()
            except (Crash, DatasetError):
                return False
        return True

    return at


@pytest.mark.parametrize("what", ["save", "undo"])
def test_wherever_it_crashes_every_saved_episode_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    folder, k, done = tmp_path / "set", 0, False
    with DatasetWriter(folder, INFO) as writer:
        for tag in range(2):
            record(writer, tag)
            writer.save(True)
    while not done:
        writer = DatasetWriter(folder, INFO)
        assert [e.tobytes() for e in faults.load(folder)] == [actions(t).tobytes() for t in (0, 1)]
        if what == "save":
            record(writer, 2, f"task {k}")
        work = writer.undo if what == "undo" else lambda w=writer: w.save(True)
        done = steps(monkeypatch, work, Crash)(k)
        found = [e.tobytes() for e in faults.load(folder)]
        valid = [[0, 1], [0, 1, 2] if what == "save" else [0]]
        assert found in [[actions(t).tobytes() for t in tags] for tags in valid], f"step {k}"
        writer._lock.close()
        with DatasetWriter(folder, INFO) as again:
            assert again.episodes == len(found)
            if what == "save" and again.episodes == 3:
                again.undo()
            elif what == "undo" and again.episodes == 1:
                record(again, 1)
                again.save(True)
        k += 1
    assert k > 12


@pytest.mark.parametrize("what", ["save", "undo"])
def test_a_full_disk_refuses_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    full, k, done = lambda: OSError(errno.ENOSPC, "No space left on device"), 0, False
    with DatasetWriter(tmp_path / "set", plain()) as writer:
        fill(writer, 0)
        writer.save(True)
        original = os.fsync
        while not done:
            fill(writer, 1)
            left = k

            def fsync(handle: int) -> None:
                nonlocal left
                left -= 1
                if left == -1:
                    raise full()
                original(handle)

            if what == "undo":
                writer.save(True)
            before = writer.episodes
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", fsync)
                try:
                    writer.save(True) if what == "save" else writer.undo()
                    done = True
                except (DatasetError, OSError) as error:
                    assert "space" in str(error)
            dataset = Dataset(tmp_path / "set")
            if done or (what == "save" and writer.episodes == before):
                assert len(dataset.episodes) == writer.episodes
            while writer.episodes > 1:
                writer.undo()
            k += 1
    assert k > 3


@pytest.mark.parametrize("kind", KINDS)
def test_killed_torn_and_full_writers_lose_nothing_that_was_saved(
    tmp_path: Path, kind: str
) -> None:
    saved = 0
    with Faults(tmp_path) as each:
        for seed in range(2):
            with each.one(kind, seed) as left:
                assert left.loaded == left.saved and not left.problems, left
                saved += left.saved
                if (left.folder / "meta/info.json").exists() and kind != "full":
                    with DatasetWriter(left.folder, INFO) as writer:
                        record(writer, 7)
                        writer.save(True)
                    assert len(faults.load(left.folder)) == left.total + 1
    assert saved > 0
