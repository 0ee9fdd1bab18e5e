"""Tuning with a budget: each controller gets the same number of trials on the same machines.

    ./kuwa exec python benchmarks/_tuning.py [pid|pid_adaptive|ebn …]

prints the best settings; those in benchmarks/_excavator.py come from it. Random search, log-uniform
about the default; the first trial is the default itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _excavator import Case

from kuwa_machines.contracts import Controller
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.adaptive.learner import Rule
from kuwa_policies.control.adaptive.tracking import GAINS, SpikingTracking, linear_tracking
from kuwa_policies.control.gains import Gains
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.tracking import TrackingController
from kuwa_policies.ebn.network import Ebn

TRIALS, SEEDS, SECONDS = 25, (1000, 1001, 1002), 180.0
"""Trials of each controller, on these machines, none of which is measured later."""
FACTOR = 3.0
"""A setting is drawn from a third to three times its default."""
PERIOD = 0.01

Settings = Mapping[str, float]


def pid(spec: MachineSpec, s: Settings) -> Controller:
    """Return the conventional controller with these settings."""
    return TrackingController(spec, PERIOD, replace(Gains(), **s))


def pid_adaptive(spec: MachineSpec, s: Settings) -> Controller:
    """Return the learner without spikes with these settings."""
    gains, rule = _split(s)
    return linear_tracking(spec, PERIOD, rule, gains)


def ebn(spec: MachineSpec, s: Settings) -> Controller:
    """Return the spiking controller with these settings."""
    gains, rule = _split(s)
    return SpikingTracking(spec, PERIOD, "ebn", Ebn, ControllerOptions(), None, rule, gains)


def _split(s: Settings) -> tuple[Gains, Rule]:
    own = {key: value for key, value in s.items() if key in asdict(Rule())}
    rest = {key: value for key, value in s.items() if key not in own}
    return replace(GAINS, **rest), replace(Rule(), **own)


COMMON = {name: getattr(GAINS, name) for name in ("k_p", "k_p_slewing", "held", "give", "k_p_max")}
MAKERS: dict[str, tuple[Callable[[MachineSpec, Settings], Controller], dict[str, float]]] = {
    "pid": (pid, {**COMMON, "k_g": Gains().k_g, "g_max": Gains().g_max}),
    "pid_adaptive": (pid_adaptive, {**COMMON, "pace": Rule().pace, "dead_zone": Rule().dead_zone}),
    "ebn": (ebn, {**COMMON, "pace": Rule().pace, "dead_zone": Rule().dead_zone}),
}
"""By name: its maker and its settings by default."""


def tune(name: str, trials: int = TRIALS) -> tuple[dict[str, float], float]:
    """Return the settings with the least tip RMSE over the tuning machines, and that RMSE [m]."""
    make, default = MAKERS[name]
    cases = [Case(seed, seconds=SECONDS) for seed in SEEDS]
    rng = np.random.default_rng(0)
    best, least = dict(default), np.inf
    for trial in range(trials):
        settings = {
            key: value * (1.0 if trial == 0 else FACTOR ** rng.uniform(-1.0, 1.0))
            for key, value in default.items()
        }
        if "g_max" in settings:
            settings["g_max"] = max(settings["g_max"], 1.05)
        runs = [case.run(make(case.spec, settings)) for case in cases]
        rmse = float(np.sqrt(np.mean([run.rmse() ** 2 for run in runs])))
        print(
            f"{name} {trial} {rmse:.4f} " + " ".join(f"{k}={v:.4g}" for k, v in settings.items()),
            flush=True,
        )
        if rmse < least:
            best, least = settings, rmse
    return best, least


if __name__ == "__main__":
    for each in sys.argv[1:] or MAKERS:
        found, error = tune(each)
        print(f"best {each} {error:.4f}", {key: float(f"{v:.3g}") for key, v in found.items()})
