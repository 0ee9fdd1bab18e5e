"""Every scenario by its experts on several seeds: which succeed, and the figures that are promised.

In lock-step, so that anyone gets the same numbers; seeds change ground, soil strength, start pose
and sensor noise. One run a core.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_sim.scenario import scenario_names

SEEDS = range(3)

# Scenario, machine, figure, worst of the seeds, factor, unit, goal.
PROMISED = (
    ("dig_trench", "zx200", "share_within_tolerance", min, 100, "%", ">= 95"),
    ("dig_trench", "zx200", "rmse_m", max, 100, "cm", ""),
    ("dig_trench", "zx200", "cycle_mean_s", max, 1, "s", "<= 22"),
    ("dig_trench", "zx200", "energy_per_volume_kwh_m3", max, 1, "kWh/m³", ""),
    ("trench_zx120", "zx120", "share_within_tolerance", min, 100, "%", ">= 93"),
    ("grade_flat", "zx200", "rmse_m", max, 100, "cm", "<= 1.8"),
    ("grade_slope", "zx200", "rmse_m", max, 100, "cm", "<= 1.8"),
    ("dig_swing_dump", "zx200", "fill_factor", min, 100, "%", ">= 85"),
    ("dig_swing_dump", "zx200", "rate_m3_h", min, 1, "m³/h", ""),
    ("load_truck", "ic120", "delivered_share", min, 100, "%", ">= 95"),
    ("level_pad", "d37", "rmse_m", max, 100, "cm", "<= 4.7"),
    ("plough_straight", "tractor_plough", "cross_track_sd_m", max, 100, "cm", "<= 2"),
    ("plough_straight", "tractor_plough", "depth_rms_m", max, 100, "cm", ""),
    ("spray_rough", "tractor_sprayer", "cross_track_sd_m", max, 100, "cm", "<= 2"),
    ("spray_rough", "tractor_sprayer", "height_share", min, 100, "%", ">= 95"),
)  # fmt: skip


def measure() -> Iterator[Figure]:
    """Run all scenarios."""
    names = scenario_names()
    jobs = [(name, seed) for name in names for seed in SEEDS]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = dict(zip(jobs, pool.map(lambda job: _run(*job), jobs), strict=True))
    for name in names:
        successes = sum(bool(results[name, seed]["success"]) for seed in SEEDS)
        yield Figure(f"{name}.successes", successes, f"of {len(SEEDS)}", f">= {len(SEEDS)}")
    for name, machine, key, worst, factor, unit, goal in PROMISED:
        scores = [results[name, seed]["machines"][machine]["score"] or {} for seed in SEEDS]
        values = [score.get(key) for score in scores]
        known = [factor * value for value in values if value is not None]
        value = worst(known) if len(known) == len(SEEDS) else float("nan")
        yield Figure(f"{name}.{key}.worst", value, unit, goal)
    everyone = [m["score"] for result in results.values() for m in result["machines"].values()]
    violations = sum(score["limit_violations"] for score in everyone if score)
    yield Figure("limit_violations", violations, "ticks", "== 0")
    factors = [result["timing"]["real_time_factor"] for result in results.values()]
    yield Figure("real_time_factor.median", float(np.median(factors)), "1")


def _run(name: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [sys.executable, "-m", "kuwa_cli.main", "sim", name, "--lockstep", "--seed", str(seed),
             "--no-report", "--json", "--out", folder],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if not run.stdout:
        raise RuntimeError(f"{name}, seed {seed}: {run.stderr}")
    return dict(json.loads(run.stdout))
