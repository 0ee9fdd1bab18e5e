"""Figures of the excavator's tip: every controller on the same twenty worn machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _excavator import DEAD_TIME, Case

from kuwa_cli.figure import Figure
from kuwa_machines.contracts import Array, Controller, MachineState, Trajectory
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.adaptive.tracking import SpikingTracking
from kuwa_policies.control.controllers import make_controller
from kuwa_policies.control.gains import Gains
from kuwa_policies.control.tracking import TrackingController
from kuwa_policies.ebn.stats import figures

SEEDS = 20
PERIOD = 0.01
TUNED = Gains(
    k_p=2.83, k_p_slewing=2.44, held=0.00335, give=0.00111, k_p_max=4.85, k_g=0.254, g_max=1.05
)
"""Best of 25 trials of benchmarks/_tuning.py for ``pid``. What learns runs as it is shipped, with
no trial at all."""
BASELINE = "pid_tuned"
NAMES = (BASELINE, "pid", "pid_adaptive", "ebn", "ebn_fixed")
PEAK_GOAL = 0.1
"""Largest tip error of what spikes, on every machine [m]."""


def measure_controllers() -> Iterator[Figure]:
    """Time whole steps of each controller at work, in processor time."""
    for name in NAMES[1:]:
        case = Case(0, seconds=60.0)
        timed = _Timed(_make(name, case.spec))
        case.run(timed)
        p50, p99 = 1e6 * np.percentile(timed.seconds[200:], [50, 99])
        yield Figure(f"controllers.{name}.p50", float(p50), "µs")
        yield Figure(f"controllers.{name}.p99", float(p99), "µs", "<= 200")


class _Timed:
    """A controller whose steps are timed."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.reset = controller.reset
        self.seconds: list[float] = []

    def step(
        self, state: MachineState, reference: Trajectory | Array | None, applied: Array
    ) -> Array:
        """Step and note how long it took."""
        began = time.thread_time()
        values = self._controller.step(state, reference, applied)
        self.seconds.append(time.thread_time() - began)
        return values


def measure_excavator() -> Iterator[Figure]:
    """Run every controller on every machine, on all cores."""
    rmse: dict[str, list[float]] = {name: [] for name in NAMES}
    peak: dict[str, list[float]] = {name: [] for name in NAMES}
    stats: dict[str, list[tuple[float, ...]]] = {name: [] for name in NAMES}
    with ProcessPoolExecutor() as pool:
        for seed, found in enumerate(pool.map(_trial, range(SEEDS))):
            for name, (error, most, activity) in found.items():
                rmse[name].append(error)
                peak[name].append(most)
                if activity is not None:
                    stats[name].append(activity)
            print(f"machine {seed + 1} of {SEEDS}", file=sys.stderr)
    base = np.array(rmse[BASELINE])
    head = "excavator.tip"
    yield Figure(f"{head}.dead_time", DEAD_TIME, "s")
    for name in NAMES:
        errors, peaks = np.array(rmse[name]), np.array(peak[name])
        ours = name.startswith("ebn")
        yield Figure(f"{head}.{name}.rmse", float(errors.mean()), "m")
        yield from _interval(f"{head}.{name}.rmse", errors, np.ones(SEEDS), 1.0, "m")
        yield Figure(f"{head}.{name}.peak_median", float(np.median(peaks)), "m")
        goal = f"<= {PEAK_GOAL:g}" if ours else ""
        yield Figure(f"{head}.{name}.peak_worst", float(peaks.max()), "m", goal)
        yield Figure(f"{head}.{name}.peaks_above_goal", int((peaks > PEAK_GOAL).sum()), "1")
        if name != BASELINE:
            less = 100.0 * (1.0 - errors.mean() / base.mean())
            yield Figure(f"{head}.{name}.less_than_tuned_pid", less, "%", ">= 40" if ours else "")
            yield from _interval(f"{head}.{name}.less_than_tuned_pid", errors, base, 100.0, "%")
        if stats[name]:
            rate, cv, local, balance = np.mean(stats[name], axis=0)
            yield Figure(f"{head}.{name}.mean_rate", float(rate), "Hz", "<= 20")
            yield Figure(f"{head}.{name}.isi_cv", float(cv), "1", ">= 0.8")
            yield Figure(f"{head}.{name}.isi_cv_not_above", float(cv), "1", "<= 1.2")
            yield Figure(f"{head}.{name}.isi_cv2", float(local), "1")
            yield Figure(f"{head}.{name}.ei_correlation", float(balance), "1", ">= 0.95")
    ratio = np.mean(rmse["ebn_fixed"]) / np.mean(rmse["ebn"])
    yield Figure(f"{head}.fixed_over_float", float(ratio), "1", "<= 1.2")


def _trial(seed: int) -> dict[str, tuple[float, float, tuple[float, ...] | None]]:
    """Return tip RMSE and peak [m] of each controller on one machine, and what its neurons did."""
    case = Case(seed)
    out = {}
    for name in NAMES:
        controller = _make(name, case.spec)
        run = case.run(controller)
        activity = None
        if isinstance(controller, SpikingTracking):
            s = controller.spike_stats()
            local = np.mean([figures(n.activity, n.p.dt).isi_cv2 for n in controller.networks])
            activity = s.mean_rate, s.isi_cv, float(local), s.ei_correlation
        out[name] = run.rmse(), run.peak(), activity
    return out


def _make(name: str, spec: MachineSpec) -> Controller:
    if name == BASELINE:
        return TrackingController(spec, PERIOD, TUNED)
    return make_controller(name, spec, PERIOD)


def _interval(name: str, ours: Array, base: Array, scale: float, unit: str) -> Iterator[Figure]:
    """Bootstrap over machines: 95 % interval of a mean, or of what is saved against a base."""
    rng = np.random.default_rng(0)
    pick = rng.integers(len(ours), size=(10_000, len(ours)))
    ratio = ours[pick].mean(axis=1) / base[pick].mean(axis=1)
    values = scale * (ratio if unit == "m" else 1.0 - ratio)
    for end, share in (("low", 2.5), ("high", 97.5)):
        yield Figure(f"{name}.ci_{end}", float(np.percentile(values, share)), unit)
