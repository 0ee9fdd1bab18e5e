"""Identification of 20 machines whose valves differ at random, each from 10 minutes of log.

Flows and leakage differ by up to ± 40 % from the data file, dead bands lie between 3 and 10 %, dead
times between 0.1 and 1 s, lags between 50 and 150 ms, the curve's exponent between 1 and 1.8. What
identifies them knows the data file only. Encoders have the noise of the data file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_cli.identify import joint_log
from kuwa_cli.identify_record import record
from kuwa_machines import MachineSpec, load_machine
from kuwa_policies.identification import Identification, identify

MACHINE = "zx200"
MACHINES = 20
MINUTES = 10.0
DEAD_TIME_STEP = 0.002
"""The plant rounds a dead time to its step; the truth is what it does [s]."""
NAMES = {
    "dead_time": "dead_time", "time_constant": "lag", "dead_band": "dead_band", "curve": "curve",
    "max_flow_positive": "flow_positive", "max_flow_negative": "flow_negative",
}  # fmt: skip
GOAL = {"dead_time": "<= 5", "time_constant": "<= 5", "dead_band": "<= 5"}


def measure() -> Iterator[Figure]:
    """Simulate and identify; the worst error over all machines and functions counts."""
    claimed = load_machine(MACHINE)
    errors: dict[str, list[float]] = {key: [] for key in NAMES}
    inside: list[bool] = []
    leakage: list[float] = []
    seconds = []
    for seed in range(MACHINES):
        truth = randomised(claimed, seed)
        log = joint_log(record(truth, 60 * MINUTES, seed), f"seed {seed}")
        began = time.perf_counter()
        found = identify(log, claimed)
        seconds.append(time.perf_counter() - began)
        _compare(found, truth, errors, inside, leakage)
    for key, name in NAMES.items():
        percent = 100 * np.abs(errors[key])
        goal = GOAL.get(key, "")
        yield Figure(f"identify.{name}.worst_error", float(percent.max()), "%", goal)
        yield Figure(f"identify.{name}.median_error", float(np.median(percent)), "%")
    yield Figure("identify.identified", len(inside) / (MACHINES * 4 * len(NAMES)), "1", "== 1")
    yield Figure("identify.truth_in_interval", 100 * float(np.mean(inside)), "%", ">= 90")
    worst = 100 * float(np.max(leakage)) if leakage else float("nan")
    yield Figure("identify.leakage.worst_error", worst, "%")
    yield Figure("identify.leakage.identified", len(leakage), "1")
    yield Figure("identify.duration", float(np.median(seconds)), "s", "<= 30")


def randomised(spec: MachineSpec, seed: int) -> MachineSpec:
    """Return the machine with other valves; the same for the same seed."""
    rng = np.random.default_rng(seed)
    joints = {}
    for name, joint in spec.joints.items():
        drive = joint.oil
        valve = drive.valve
        numbers = {
            "dead_time": round(rng.uniform(0.1, 1.0) / DEAD_TIME_STEP) * DEAD_TIME_STEP,
            "dead_band": rng.uniform(0.03, 0.10),
            "time_constant": rng.uniform(0.05, 0.15),
            "curve": rng.uniform(1.0, 1.8),
            "max_flow_positive": valve.max_flow_positive * rng.uniform(0.6, 1.4),
            "max_flow_negative": valve.max_flow_negative * rng.uniform(0.6, 1.4),
        }
        changed = {
            "valve": valve.model_copy(update=numbers),
            "leakage": drive.leakage * rng.uniform(0.6, 1.4),
        }
        joints[name] = joint.model_copy(update={"drive": drive.model_copy(update=changed)})
    return spec.model_copy(update={"joints": joints})


def _compare(
    found: Identification, truth: MachineSpec, errors: dict[str, list[float]], inside: list[bool],
    leakage: list[float],
) -> None:  # fmt: skip
    for name, function in found.functions.items():
        drive = truth.joints[name].oil
        for key in NAMES:
            estimate, true = function.estimates[key], getattr(drive.valve, key)
            errors[key].append(estimate.value / true - 1)
            if estimate.identified:
                inside.append(estimate.low <= true <= estimate.high)
        drift = function.estimates["leakage"]
        if drift.identified:
            leakage.append(abs(drift.value / drive.leakage - 1))
