"""The trench on five seeds: share of the profile, cycle time, energy, limits.

In lock-step, so that anyone gets the same numbers; seeds change ground, soil strength, start pose
and sensor noise.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np

from kuwa_cli.figure import Figure

SEEDS = range(5)


def measure() -> Iterator[Figure]:
    """Dig five trenches."""
    scores = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(
                [sys.executable, "-m", "kuwa_cli.main", "sim", "dig_trench", "--lockstep",
                 "--seed", str(seed), "--no-report", "--json", "--out", folder],
                stdout=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        score = json.loads(run.stdout)["score"]
        scores.append(score)
        share = score["share_within_tolerance"]
        yield Figure(f"trench.seed{seed}.share", 100 * share, "%", ">= 90")
    column = {name: np.array([s[name] for s in scores], float) for name in scores[0]}
    yield Figure("trench.successes", float(column["success"].sum()), "of 5", "== 5")
    share_min = 100 * column["share_within_tolerance"].min()
    yield Figure("trench.share_min", share_min, "%", ">= 90")
    yield Figure("trench.cycle_min", np.nanmin(column["cycle_min_s"]), "s", ">= 13")
    yield Figure("trench.cycle_max", np.nanmax(column["cycle_max_s"]), "s", "<= 22")
    yield Figure("trench.cycle_mean", np.nanmean(column["cycle_mean_s"]), "s")
    yield Figure("trench.duration_mean", column["duration_s"].mean(), "s")
    energy = column["energy_per_volume_kwh_m3"].mean()
    yield Figure("trench.energy_per_volume_mean", energy, "kWh/m³")
    yield Figure("trench.limit_violations", column["limit_violations"].sum(), "ticks", "== 0")
