"""Data sets: demonstrations a minute, their size, replay to the bit, defects found, false alarms.

How many is set by KUWA_DATA_EPISODES (6: dig_trench demonstrations that are timed and replayed),
KUWA_DATA_CLEAN (50: clean episodes of several scenarios and machines, and a fifth more at the
console, where levers are thrown to their ends; all cut after KUWA_DATA_SECONDS, 20) and
KUWA_DATA_SEEDS (10: copies with each of the twelve defects).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _data_console import at_the_console
from _data_defects import CODES, seeded

from kuwa_cli.data.opening import size_of
from kuwa_cli.data.replay import replay
from kuwa_cli.figure import Figure
from kuwa_policies.datasets import Dataset
from kuwa_policies.datasets.doctor import examine

EPISODES = int(os.environ.get("KUWA_DATA_EPISODES", "6"))
CLEAN = int(os.environ.get("KUWA_DATA_CLEAN", "50"))
SECONDS = float(os.environ.get("KUWA_DATA_SECONDS", "20"))
SEEDS = int(os.environ.get("KUWA_DATA_SEEDS", "10"))
SCENARIOS = {
    "dig_trench": "human", "grade_flat": "human", "haul_dump": "low", "plough_straight": "low",
    "trench_worn": "high",
}  # fmt: skip
"""Of the clean episodes, with their noise."""


def demo() -> Iterator[Figure]:
    """Demonstrations of the trench with human noise: how fast, how large, and replayed."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _recorded(Path(folder))


def doctor() -> Iterator[Figure]:
    """False alarms on clean episodes, and defects that are found."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _clean(Path(folder))
        yield from _spoilt(Path(folder))


def _recorded(root: Path) -> Iterator[Figure]:
    began = time.monotonic()
    demos = _demo(root / "trench", "dig_trench", EPISODES, "human")
    minutes = (time.monotonic() - began) / 60
    seconds = demos.frames_total / demos.fps
    yield Figure("data.demo.rate", len(demos.episodes) / minutes, "1/min")
    yield Figure("data.demo.real_time_factor", seconds / (60 * minutes), "1", ">= 4")
    good = sum(bool(episode.success) for episode in demos.episodes)
    yield Figure("data.demo.success_share", good / len(demos.episodes), "1", ">= 0.5")
    yield Figure("data.demo.size", size_of(demos.folder) / len(demos.episodes), "B", "<= 5000000")
    results = [replay(demos, index) for index in range(len(demos.episodes))]
    yield Figure("data.replay.state_error", max(r.error for r in results), "rad", "== 0")
    same = sum(r.same_states is True for r in results)
    yield Figure("data.replay.identical", same / len(results), "1", "== 1")


def _clean(root: Path) -> Iterator[Figure]:
    alarms = episodes = 0
    took = 0.0
    each = -(-CLEAN // len(SCENARIOS))
    led = (
        (scenario, _demo(root / scenario, scenario, each, noise, f"--duration={SECONDS}"))
        for scenario, noise in SCENARIOS.items()
    )
    thrown = (("console", driven) for driven in at_the_console(root / "console", each, SECONDS))
    for scenario, clean in chain(led, thrown):
        began = time.monotonic()
        report = examine(clean)
        took += time.monotonic() - began
        for finding in report.findings:
            print(f"{scenario}: {finding.words}", file=sys.stderr)
        alarms += len({finding.episode for finding in report.findings})
        episodes += report.episodes
    yield Figure("data.doctor.clean_episodes", episodes, "1", f">= {CLEAN}")
    yield Figure("data.doctor.false_alarms", alarms, "1", "== 0")
    yield Figure("data.doctor.time", took / episodes, "s")


def _spoilt(root: Path) -> Iterator[Figure]:
    pictures = _demo(
        root / "pictures", "dig_trench", 2, "human", f"--duration={SECONDS}", "--cameras"
    )
    found, right = dict.fromkeys(CODES, 0), 0
    for code in CODES:
        for seed in range(SEEDS):
            spoilt = seeded(pictures, root / f"{code}-{seed}", code, seed)
            findings = examine(Dataset(root / f"{code}-{seed}")).findings
            hit = (code, spoilt) in {(f.code, f.episode) for f in findings}
            found[code] += hit
            right += hit and {f.episode for f in findings} == {spoilt}
            if not hit:
                print(f"{code} {seed}: {[f.words for f in findings]}", file=sys.stderr)
    whole = sum(count == SEEDS for count in found.values())
    yield Figure("data.doctor.defects_found", whole, "1", "== 12", {"LeRobot": "no such check"})
    yield Figure("data.doctor.found_share", sum(found.values()) / (12 * SEEDS), "1", "== 1")
    yield Figure("data.doctor.right_episode", right / (12 * SEEDS), "1")


def _demo(folder: Path, scenario: str, count: int, noise: str, *more: str) -> Dataset:
    command = [
        sys.executable, "-m", "kuwa_cli.main", "demo", scenario, "-n", str(count), "--noise", noise,
        "--out", str(folder), *more,
    ]  # fmt: skip
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(command[2:])}: {done.stderr[-2000:]}")
    return Dataset(folder)


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {"demo": demo, "doctor": doctor}
