"""Writes data sets in processes that are killed, torn, or run out of disk, and looks what is left.

A server imports everything once and forks a writer for each fault. The writer says in a file what
it has saved and taken back; whatever it said must be there afterwards, byte for byte, without any
repair. Four kinds of fault, all seeded:

- ``kill``, ``term``: SIGKILL or SIGTERM at a random moment;
- ``full``: a disk of a few megabytes (a tmpfs where mounting is permitted; else every call that
  needs room fails from a random one on, with ENOSPC);
- ``torn``: the power fails at a random flush or rename: what was not flushed is torn at a random
  byte, and of the renames and removals whose folder was not flushed yet a random tail never was.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kuwa_policies.datasets import DatasetError, DatasetInfo, DatasetWriter, video
from kuwa_policies.datasets.features import ACTION, IMAGES

KINDS = ("kill", "term", "full", "torn")
JOINTS = ("swing", "boom", "arm", "bucket")
HEIGHT, WIDTH, FPS = 48, 64, 20
INFO = DatasetInfo.of_machine("zx200", JOINTS, FPS, cameras={"cab": (HEIGHT, WIDTH)})
LONGEST = 1.5
"""A writer that is not killed is ended after this long [s]."""


def actions(tag: int) -> np.ndarray:
    """Return the actions of an episode, by which it is known again."""
    rng = np.random.default_rng(tag)
    return rng.uniform(-1.0, 1.0, (int(rng.integers(3, 25)), len(JOINTS))).astype(np.float32)


def record(writer: DatasetWriter, tag: int, task: str = "dig") -> None:
    """Record an episode without saving it."""
    writer.begin(task, tag=tag)
    for k, action in enumerate(actions(tag)):
        frame: dict[str, Any] = {
            name: np.zeros(each.shape, each.dtype) for name, each in INFO.vectors.items()
        }
        picture = np.full((HEIGHT, WIDTH, 3), (tag + k) % 256, np.uint8)
        writer.add(frame | {ACTION: action, f"{IMAGES}cab": picture})
        writer.control(k / FPS, action.astype(np.float64), 2)


def write_until_the_end(folder: Path, said: Callable[[str], None], seed: int) -> None:
    """Save episodes, and take some back, until something ends it."""
    rng = np.random.default_rng(seed)
    refused = 0
    with DatasetWriter(folder, INFO) as writer:
        for count in range(200):
            if writer.episodes and rng.random() < 0.2:
                said("undoing")
                writer.undo()
                said("undone")
                continue
            tag = 1000 * seed + count
            record(writer, tag, f"task {count % 3}")
            said(f"saving {tag}")
            try:
                writer.save(bool(count % 2))
            except DatasetError:
                refused += 1
                said("refused")
                if refused > 2:
                    return
                continue
            said(f"saved {tag}")


# Faults --------------------------------------------------------------------------------------


class Fault:
    """Lets calls of the operating system fail from a random one on, or the power.

    Args:
        rng: chooses. power: the power fails; else the disk is full.
    """

    def __init__(self, rng: np.random.Generator, power: bool) -> None:
        self._rng, self._power = rng, power
        self._left = int(rng.integers(1, 250))
        self._replace, self._fsync, self._unlink = os.replace, os.fsync, os.unlink
        self._kept = Path(f"{os.environ['KUWA_FAULT_FOLDER']}.kept")
        self._kept.mkdir(parents=True, exist_ok=True)
        self._open: list[tuple[Path, Callable[[], None]]] = []
        """Changes of folders that were not flushed yet, and how to take each back."""

    def install(self) -> None:
        """Take the place of the calls."""
        os.replace, os.fsync, os.unlink = self.replace, self.fsync, self.unlink  # type: ignore

    def _due(self) -> None:
        self._left -= 1
        if self._left <= 0:
            if self._power:
                self._cut()
            raise OSError(errno.ENOSPC, "No space left on device")

    def replace(self, source: Any, target: Any) -> None:
        """Rename; as it needs no room, only the power can fail."""
        if self._power:
            self._due()
        source, target = Path(source), Path(target)
        before = self._keep(target)
        after = self._kept / f"{len(self._open)}.new"
        self._replace(source, target)
        if not self._power:
            return

        def back() -> None:
            after.unlink(missing_ok=True)
            os.link(target, after)
            self._put_back(target, before)

        self._open.append((target.parent, back))

    def unlink(self, path: Any, **more: Any) -> None:
        """Remove."""
        path = Path(path)
        before = self._keep(path)
        self._unlink(path, **more)
        if self._power and before is not None:
            self._open.append((path.parent, lambda: self._put_back(path, before)))

    def fsync(self, handle: int) -> None:
        """Flush a file or a folder."""
        self._due()
        self._fsync(handle)
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        self._open = [each for each in self._open if each[0] != path]

    def _keep(self, path: Path) -> Path | None:
        if not self._power or not path.exists():
            return None
        kept = self._kept / f"{time.monotonic_ns()}"
        os.link(path, kept)
        return kept

    def _put_back(self, target: Path, before: Path | None) -> None:
        if target.exists():
            self._unlink(target)
        if before is not None:
            os.link(before, target)

    def _cut(self) -> None:
        """The power fails now; never returns."""
        lost = int(self._rng.integers(0, len(self._open) + 1))
        for _, back in reversed(self._open[len(self._open) - lost :]):
            back()
        root = Path(os.environ["KUWA_FAULT_FOLDER"])
        for path in (root / ".partial").glob("*"):
            size = path.stat().st_size
            os.truncate(path, int(self._rng.integers(0, size + 1)))
        os._exit(9)


def serve() -> None:
    """Fork a writer for each line of the input: JSON with folder, said, seed and fault."""
    import gc

    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
        print(pid, flush=True)


def _become(order: dict[str, Any]) -> None:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ["KUWA_FAULT_FOLDER"] = order["folder"]
        handle = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def said(text: str) -> None:
            os.write(handle, f"{text}\n".encode())

        said("began")
        if order["fault"]:
            Fault(np.random.default_rng(order["seed"]), order["fault"] == "power").install()
        write_until_the_end(Path(order["folder"]), said, order["seed"])
        code = 0
    except DatasetError:
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    finally:
        os._exit(code)


# What is left ----------------------------------------------------------------------------------


@dataclass
class Left:
    """What was found after a fault.

    Args:
        kind, seed: of the fault.
        saved: episodes that the writer had said were saved.
        loaded: of these, how many load with the very actions and pictures.
        folder: of the data set. sha: of the actions of all episodes that ``info.json`` counts.
    """

    kind: str
    seed: int
    saved: int
    loaded: int
    folder: Path
    total: int = 0
    sha: str = ""
    problems: list[str] = field(default_factory=list)


def expected(text: str) -> tuple[list[int], list[list[int]]]:
    """Return the tags that must be there, and what else may be instead, from what was said."""
    sure: list[int] = []
    may: list[list[int]] = []
    for line in text.splitlines():
        word, _, number = line.partition(" ")
        may = []
        if word == "saved":
            sure.append(int(number))
        elif word == "undone":
            sure.pop()
        elif word == "saving":
            may = [[*sure, int(number)]]
        elif word == "undoing":
            may = [sure[:-1]]
    return sure, may


def load(folder: Path) -> list[np.ndarray]:
    """Load a data set as LeRobot does, and return each episode's actions.

    It reads every Parquet file that it finds, and believes ``info.json`` only for the number of
    episodes; it shares no code with Kuwa's reader.
    """
    info = json.loads((folder / "meta/info.json").read_text())
    json.loads((folder / "meta/stats.json").read_text())
    count = info["total_episodes"]
    rows = pa.concat_tables(
        [pq.read_table(p) for p in sorted((folder / "meta/episodes").glob("*/*.parquet"))]
    ).to_pylist()
    data = pa.concat_tables(
        [pq.read_table(p) for p in sorted((folder / "data").glob("*/*.parquet"))]
    )
    tasks = pq.read_table(folder / "meta/tasks.parquet").to_pylist()
    numbers = {task["__index_level_0__"]: task["task_index"] for task in tasks}
    # EpisodeAwareSampler believes every row.
    assert all(row["dataset_to_index"] <= data.num_rows for row in rows), "a row without frames"
    found = []
    for episode, row in enumerate(rows[:count]):
        first, end = row["dataset_from_index"], row["dataset_to_index"]
        part = data.slice(first, end - first)
        assert row["episode_index"] == episode and row["length"] == end - first == part.num_rows
        assert part["episode_index"].to_pylist() == [episode] * part.num_rows
        assert part["index"].to_pylist() == list(range(first, end))
        assert part["frame_index"].to_pylist() == list(range(part.num_rows))
        np.testing.assert_allclose(
            part["timestamp"].to_numpy(), np.arange(part.num_rows) / info["fps"], atol=1e-6
        )
        assert set(part["task_index"].to_pylist()) == {numbers[row["tasks"][0]]}
        key = f"{IMAGES}cab"
        path = folder / info["video_path"].format(
            video_key=key, chunk_index=row[f"videos/{key}/chunk_index"],
            file_index=row[f"videos/{key}/file_index"],
        )  # fmt: skip
        pictures = sum(1 for _ in video.decode(path))
        assert pictures == part.num_rows, f"{pictures} pictures of {part.num_rows}"
        found.append(np.array(part["action"].to_pylist(), np.float32))
    assert len(found) == count and sum(map(len, found)) == info["total_frames"]
    return found


def look(kind: str, seed: int, folder: Path, said: Path) -> Left:
    """Load what a fault left and compare it with what was said to be saved."""
    text = said.read_text() if said.exists() else ""
    sure, may = expected(text)
    left = Left(kind, seed, len(sure), 0, folder)
    if not (folder / "meta/info.json").exists():
        if sure:
            left.problems.append("no info.json")
        return left
    if not sure and not json.loads((folder / "meta/info.json").read_text())["total_episodes"]:
        return left  # a set of no episode, which LeRobot does not know
    try:
        found = load(folder)
    except Exception as error:
        left.problems.append(f"does not load: {error!r}")
        return left
    left.total = len(found)
    left.sha = hashlib.sha256(b"".join(each.tobytes() for each in found)).hexdigest()
    for tags in (sure, *may):
        wanted = [actions(tag) for tag in tags]
        same = [np.array_equal(a, b) for a, b in zip(wanted, found, strict=False)]
        if len(tags) == len(found) and all(same):
            left.loaded = len(sure)
            return left
    left.loaded = sum(
        np.array_equal(actions(tag), each) for tag, each in zip(sure, found, strict=False)
    )
    left.problems.append(f"{len(found)} episodes; said {len(sure)}, or {[len(m) for m in may]}")
    return left


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a disk of so many bytes, if that is permitted; yield whether it is."""
    folder.mkdir(parents=True)
    mounted = False
    if os.geteuid() == 0 and shutil.which("mount"):
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False)


class Faults:
    """Makes faults, one after the other, in folders below one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        self._server = subprocess.Popen(
            [sys.executable, "-c", "import _record_faults as f; f.serve()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
        self._answer()

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(10.0)

    def _answer(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()

    @contextmanager
    def one(self, kind: str, seed: int) -> Iterator[Left]:
        """Make a fault; yield what it left, which is there until the end of the block."""
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        place = self._folder / f"{kind}-{seed}"
        said = self._folder / f"{kind}-{seed}.said"
        fault = {"torn": "power", "full": "full"}.get(kind, "")
        if kind == "full":
            size = int(rng.integers(150_000, 2_000_000)) // 4096 * 4096
            with small_disk(place, size) as mounted:
                self._run(place / "set", said, seed, "" if mounted else fault, None, 0.0)
                yield look(kind, seed, place / "set", said)
        else:
            number = {"kill": signal.SIGKILL, "term": signal.SIGTERM}.get(kind)
            self._run(place, said, seed, fault, number, float(rng.uniform(0.02, 0.9)))
            yield look(kind, seed, place, said)
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(f"{place}.kept", ignore_errors=True)

    def _run(
        self, folder: Path, said: Path, seed: int, fault: str,
        number: signal.Signals | None, after: float,
    ) -> None:  # fmt: skip
        assert self._server.stdin is not None
        order = {"folder": str(folder), "said": str(said), "seed": seed, "fault": fault}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        pid = int(self._answer())
        while not said.exists():
            time.sleep(0.002)
        began = time.monotonic()
        while _alive(pid):
            passed = time.monotonic() - began
            if number is not None and passed > after:
                _signal(pid, number)
                number = None
            if passed > 20.0 * LONGEST or (fault == "" and passed > LONGEST and number is None):
                _signal(pid, signal.SIGKILL)
            time.sleep(0.002)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    serve()
