"""Recording: episodes that load after faults, what a crash costs, what it costs control, its rate.

Two hundred seeded faults strike a writer of episodes; a bag's recorder is killed at random moments
beside a running stack; and the control node's ticks are watched beside three cameras of 720p, now
with a recorder of them and now without. Where KUWA_PEERS_LEROBOT names a Python with LeRobot
0.4.4, every data set that a fault left is loaded with an unmodified LeRobotDataset as well.
KUWA_BENCH_FAULTS, KUWA_BENCH_SECONDS and KUWA_BENCH_SOAK make it shorter, for a look.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _record_faults import KINDS, Faults, Left
from _record_load import control_delays, killed_bags

from kuwa_cli.figure import Figure
from kuwa_record.bagfile import Bag, Channel
from kuwa_record.schemas import definition

FAULTS = int(os.environ.get("KUWA_BENCH_FAULTS", "200"))
SECONDS = float(os.environ.get("KUWA_BENCH_SECONDS", "60"))
SOAK = float(os.environ.get("KUWA_BENCH_SOAK", "3600"))
KILLS = max(min(FAULTS // 20, 10), 1)
LOADS = {"LeRobot 0.4.4, its own recorder": "after a SIGKILL none load"}
LOSES = {"MCAP's defaults": "6.9 s", "sqlite3": "everything"}
STALLS = {"LeRobot 0.4.4, three 720p cameras": "1721 ms"}


class LeRobot:
    """An unmodified LeRobotDataset in its own interpreter."""

    def __init__(self, python: str) -> None:
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
        script = Path(__file__).parent / "peers" / "lerobot_reader.py"
        self._process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=clean,
        )  # fmt: skip

    def __enter__(self) -> LeRobot:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30.0)

    def agrees(self, left: Left) -> bool:
        """Say whether it loads the same actions."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{left.folder}\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        same: bool = found.get("action_sha256") == left.sha and found["episodes"] == left.total
        return same


def crash() -> Iterator[Figure]:
    """What an open recording loses when its recorder is killed."""
    with tempfile.TemporaryDirectory() as folder:
        losses = killed_bags(Path(folder), KILLS)
    yield Figure("record.crash_loss", max(losses), "s", "<= 0.25", LOSES)
    yield Figure("record.crash_loss.kills", len(losses), "1")


def control() -> Iterator[Figure]:
    """How late control is beside a recorder of three cameras."""
    with tempfile.TemporaryDirectory() as folder:
        for name, value, unit, goal in control_delays(Path(folder), SECONDS):
            peer = STALLS if name.endswith("p999") else None
            yield Figure(f"record.{name}", value, unit, goal, peer)


def faults() -> Iterator[Figure]:
    """Saved episodes that load after faults."""
    python = os.environ.get("KUWA_PEERS_LEROBOT")
    saved = loaded = agreed = asked = 0
    peer: AbstractContextManager[LeRobot | None] = LeRobot(python) if python else nullcontext()
    with tempfile.TemporaryDirectory() as folder, Faults(Path(folder)) as hurt, peer as lerobot:
        for number in range(FAULTS):
            kind, seed = KINDS[number % len(KINDS)], number // len(KINDS)
            with hurt.one(kind, seed) as left:
                saved, loaded = saved + left.saved, loaded + left.loaded
                for problem in left.problems:
                    print(f"  {kind} {seed}: {problem}", file=sys.stderr)
                if lerobot is not None and left.total:
                    asked += 1
                    agrees = lerobot.agrees(left)
                    agreed += agrees
                    if not agrees:
                        print(f"  {kind} {seed}: LeRobot disagrees", file=sys.stderr)
    yield Figure("record.faults", FAULTS, "1")
    yield Figure("record.saved_episodes", saved, "1")
    yield Figure("record.load_after_fault", 100.0 * loaded / max(saved, 1), "%", "== 100", LOADS)
    if python:
        share = 100.0 * agreed / max(asked, 1)
        yield Figure("record.lerobot_loads_after_fault", share, "%", "== 100", LOADS)


def soak() -> Iterator[Figure]:
    """An hour of episodes, one after the other."""
    import _record_soak

    with tempfile.TemporaryDirectory() as folder:
        yield from _record_soak.soak(Path(folder), SOAK)


def rate() -> Iterator[Figure]:
    """Messages a second into a bag."""
    yield Figure("record.bag_rate", _rate(), "1/s", ">= 15000")


def _rate() -> float:
    """Return how many joint states a second go into a bag, flushed as the recorder does."""
    kind = "sensor_msgs/msg/JointState"
    channel, data = Channel("/zx200/joint_states", kind, definition(kind)), bytes(300)
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(5):
            bag = Bag(Path(folder) / f"{number}")
            began = time.perf_counter()
            for k in range(20_000):
                bag.write(channel, k, k, data)
                if k % 100 == 99:
                    bag.flush()
            bag.close()
            rates.append(20_000 / (time.perf_counter() - began))
    return float(np.median(rates))


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    part.__name__: part for part in (faults, crash, control, rate, soak)
}
