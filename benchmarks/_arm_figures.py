"""Figures of the arm: every method on the same trials, what the neurons do, what they survive.

Each trial runs in a process of its own pool; figures are means over trials with 95 % intervals by
the bootstrap over trials, and ratios are those of pairs.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

import numpy as np
from _arm import SECONDS, Trial, rmse, run
from _arm_methods import NETWORK, TUNED, ebn, method, nengo_python

from kuwa_cli.figure import Figure
from kuwa_machines.contracts import Array
from kuwa_policies.control.adaptive.backends import Network, NetworkMaker
from kuwa_policies.control.adaptive.feedforward import AdaptiveFeedforward
from kuwa_policies.control.adaptive.sliding import SlidingController
from kuwa_policies.devices.device import Device
from kuwa_policies.devices.mapping import fit
from kuwa_policies.devices.mapping import measure as measure_device
from kuwa_policies.devices.network import NoisyEbn
from kuwa_policies.devices.nonidealities import Flaws
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.stats import figures

TRIALS = 20
RESAMPLES = 10_000
KILL_AT, RECOVERY = 20.0, 5.0
"""When half of the neurons fall silent, and how long it may be felt [s]."""
MISMATCH = Flaws(mismatch=0.2, threshold_spread=0.2, tau_spread=0.2)
PEERS = {
    # What an earlier measurement of another arm and other references gave, for orientation.
    "pd": 28.1, "pid": 1.44, "nengo_pes_200": 1.69, "nengo_pes_1000": 0.87, "slotine_li": 0.20,
}  # fmt: skip
GOALS = {"ebn": "<= 0.25", "ebn_fixed": "<= 0.25"}


def noisy(p: EbnParameters, seed: int) -> Network:
    """Return the network on a device with 20 % mismatch, another for every seed."""
    return NoisyEbn(p, Device(p, MISMATCH, seed), seed=seed)


def mapped(p: EbnParameters, seed: int) -> Network:
    """Return the same, on the same device, once the device was measured and mapped onto."""
    device = Device(p, MISMATCH, seed)
    mapping = fit(p, device, measure_device(device, seed=seed))
    return NoisyEbn(p, mapping.device, mapping.program, seed)


def silence_half(controller: SlidingController) -> None:
    """Let half of the neurons fall silent; nothing is told of it, nothing is rebuilt."""
    assert controller.feedforward is not None
    alive = controller.feedforward.network.alive
    alive[np.random.default_rng(0).permutation(len(alive))[: len(alive) // 2]] = False


BACKENDS: dict[str, str | NetworkMaker] = {
    "ebn": "float64", "ebn_fixed": "fixed", "ebn_lesion": "float64",
    "ebn_mismatch_mapped": mapped, "ebn_mismatch": noisy,
}  # fmt: skip
NETWORKS = tuple(BACKENDS)


def attempt(name: str, seed: int) -> dict[str, float]:
    """Run one method on one trial; return its figures."""
    trial, made = Trial(seed), []
    event = silence_half if name == "ebn_lesion" else None
    if name in NETWORKS:
        make = ebn(TUNED["ebn"], BACKENDS[name])
    else:
        make = method(name, TUNED[name], nengo_python())

    def remember(trial: Trial) -> SlidingController:
        made.append(make(trial))
        return made[0]

    errors = run(remember, trial, event, KILL_AT)
    result = {"rmse": rmse(errors), "late": rmse(errors, KILL_AT + RECOVERY, SECONDS)}
    if name in NETWORKS:
        seen = figures(made[0].feedforward.network.activity, NETWORK.dt)
        result |= {
            "rate": seen.mean_rate,
            "rate_max": seen.max_rate,
            "isi_cv": seen.isi_cv,
            "ei_correlation": seen.ei_correlation,
        }
    return result


def interval(values: Array, statistic: Callable[[Array], Array] | None = None) -> tuple[Any, ...]:
    """Return the mean over trials and its 95 % interval by the bootstrap.

    Args:
        values: of each trial, shape (trials,) or (trials, k).
        statistic: of means, shape (k,); by default the mean itself.
    """
    of = statistic or (lambda mean: mean)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(values), (RESAMPLES, len(values)))
    means = values[draws].mean(axis=1)
    low, high = np.percentile([of(m) for m in means], [2.5, 97.5])
    return float(of(values.mean(axis=0))), float(low), float(high)


def measure_arm() -> Iterator[Figure]:
    """Run everything and give the figures."""
    names = [name for name in TUNED if nengo_python() or not name.startswith("nengo")]
    if not nengo_python():
        print("  Nengo: peer not installed (KUWA_PEERS_NENGO)", file=sys.stderr)
    names = [*names, *NETWORKS[1:]]
    results = _all(names)
    for name in names:
        mean, low, high = interval(_column(results, name, "rmse"))
        peer = {"what": "measured earlier on another arm", "rmse": PEERS.get(name)}
        stem = f"control.arm.{name}.rmse"
        yield Figure(stem, mean, "°", GOALS.get(name, ""), peer if name in PEERS else None)
        yield Figure(f"{stem}_ci_low", low, "°")
        yield Figure(f"{stem}_ci_high", high, "°")
    pairs = [
        ("ebn_fixed", "rmse", "fixed_over_float", "<= 1.2"),
        ("ebn_lesion", "late", "lesion_over_whole", "<= 1.1"),
        ("ebn_mismatch_mapped", "rmse", "mismatch_over_ideal", "<= 1.1"),
        ("ebn_mismatch", "rmse", "mismatch_unmapped_over_ideal", ""),
    ]
    for name, key, what, goal in pairs:
        pair = np.stack([_column(results, name, key), _column(results, "ebn", key)], axis=1)
        mean, low, high = interval(pair, lambda m: m[0] / m[1])
        yield Figure(f"control.arm.{what}", mean, "1", goal)
        yield Figure(f"control.arm.{what}_ci_low", low, "1")
        yield Figure(f"control.arm.{what}_ci_high", high, "1")
    for name in ("ebn", "ebn_fixed"):
        stem = f"control.arm.{name}"
        for key, unit, goal in (
            ("rate", "Hz", "<= 20"), ("rate_max", "Hz", ""), ("isi_cv", "1", ">= 0.8"),
            ("ei_correlation", "1", ">= 0.95"),
        ):  # fmt: skip
            mean, low, high = interval(_column(results, name, key))
            yield Figure(f"{stem}.{key}", mean, unit, goal)
            if key == "isi_cv":
                yield Figure(f"{stem}.{key}_not_above", mean, unit, "<= 1.2")


def measure_step() -> Iterator[Figure]:
    """Time the network in processor time: 200 neurons, 4 joints, 10 neuron steps a tick."""
    joints = 4
    settings = replace(
        NETWORK, input_scale=(1.0,) * 3 * joints, output_scale=(1.0,) * joints,
        error_scale=(1.0,) * joints, period=0.01, dt=1e-3, norm=0.15,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    z, e = rng.uniform(-1.0, 1.0, (1000, 3 * joints)), rng.uniform(-0.1, 0.1, (1000, joints))
    for backend in ("float64", "float32", "fixed"):
        f = AdaptiveFeedforward(settings, backend)
        seconds = []
        for k in range(4000):
            began = time.thread_time()
            f.step(z[k % 1000], e[k % 1000])
            seconds.append(time.thread_time() - began)
        p50, p99 = 1e6 * np.percentile(seconds[1000:], [50, 99])
        yield Figure(f"control.step.{backend}.p50", p50, "µs")
        yield Figure(f"control.step.{backend}.p99", p99, "µs", "<= 200")


def _column(results: dict[str, dict[int, dict[str, float]]], name: str, key: str) -> Array:
    return np.array([results[name][seed][key] for seed in range(TRIALS)])


def _all(names: list[str]) -> dict[str, dict[int, dict[str, float]]]:
    results: dict[str, dict[int, dict[str, float]]] = {name: {} for name in names}
    # Spawned, not forked: numba's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context) as pool:
        # The slow ones first, so that no core waits for them at the end.
        slow = sorted(names, key=lambda name: not name.startswith(("nengo", "ebn")))
        jobs = {pool.submit(attempt, n, seed): (n, seed) for n in slow for seed in range(TRIALS)}
        for done, job in enumerate(as_completed(jobs), 1):
            name, seed = jobs[job]
            results[name][seed] = job.result()
            if done % 10 == 0:
                print(f"  {done} of {len(jobs)} runs", file=sys.stderr, flush=True)
    return results
