"""Hours of learning: one worn excavator whose load and oil change every two minutes.

The controller is never reset, so that whatever adds up has time to: weights, counts, memory. Loads
and temperatures repeat every ten minutes, so that ten early and ten late minutes compare.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _excavator import Case

from kuwa_cli.figure import Figure
from kuwa_machines.contracts import Array
from kuwa_policies.control.adaptive.learner import Rule
from kuwa_policies.control.adaptive.tracking import SpikingTracking
from kuwa_policies.control.controllers import make_controller
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import keep
from kuwa_sim.condition import Condition, apply
from kuwa_sim.hydraulics import HydraulicCircuit
from kuwa_sim.plant import STEP

SEED, PERIOD = 0, 0.01
HOUR, SHIFT = 3600.0, 120.0
CONDITIONS = ((900.0, 40.0), (0.0, 50.0), (1400.0, 60.0), (400.0, 65.0), (1000.0, 45.0))
"""Loads that nobody tells [kg] and temperatures of the oil [°C], one a shift, in turn. The first is
the coldest: the plant's memory is laid out for its dead time."""
NAMES = ("ebn", "ebn_fixed")


@dataclass(frozen=True)
class Hours:
    """What came of it.

    Args:
        early, late: RMSE of the tip from a twelfth of the time to a quarter, and over the last
            sixth [m]; of an hour, minutes 5 to 15 and 50 to 60.
        peak: largest error of the tip since a quarter of the time [m].
        weight: largest weight that was seen, as a share of its bound.
        norms: norm of all weights at the end of each shift.
        memory: growth of the process from a twelfth of the time to the last shift [MB].
        steps: neuron steps counted. spikes: counted. rate: mean rate over the last shift [Hz].
        restored: whether the saved file gave another controller the same weights.
    """

    early: float
    late: float
    peak: float
    weight: float
    norms: Array
    memory: float
    steps: int
    spikes: int
    rate: float
    restored: bool


def hours(name: str, seconds: float = HOUR, shift: float = SHIFT) -> Hours:
    """Run one controller for so long [s]."""
    case = Case(SEED, seconds=seconds)
    controller = make_controller(name, case.spec, PERIOD)
    assert isinstance(controller, SpikingTracking)
    own = case.spec.links["bucket_link"].mass
    bound = [Rule().bound * n.p.leak * np.linalg.norm(n.p.D[:, 0]) for n in controller.networks]
    norms: list[float] = []
    counts: list[tuple[float, int]] = []
    largest, began, held = 0.0, math.nan, math.nan
    real = None

    def at(now: float) -> None:
        nonlocal largest, began, held, real
        if math.isnan(began) and now >= seconds / 12:
            began = resident()
        if round(now / PERIOD) % round(shift / PERIOD):
            return
        held = resident()
        plant = case.robot.plant
        real = real or plant.spec
        load, warmth = CONDITIONS[round(now / shift) % len(CONDITIONS)]
        bucket = plant.model.body("bucket_link").id
        plant.model.body_mass[bucket] = own + load
        oil = HydraulicCircuit(apply(real, Condition(oil_temperature_c=warmth)), STEP)
        plant.circuit.parameters[:] = oil.parameters
        stats = controller.spike_stats()
        norms.append(stats.weight_norm)
        counts.append((now, stats.spikes))
        for n, most in zip(controller.networks, bound, strict=True):
            w = n.weight_unit * np.abs(n.Omega_s.astype(float)).max()
            largest = max(largest, float(w / most))

    run = case.run(controller, at)
    end = controller.spike_stats()
    then, spikes = counts[-1]
    t, e = run.t, run.error
    return Hours(
        early=_rms(e[(t >= seconds / 12) & (t < seconds / 4)]),
        late=_rms(e[t >= seconds * 5 / 6]),
        peak=float(e[t >= seconds / 4].max()),
        weight=largest,
        norms=np.array([*norms, end.weight_norm]),
        memory=held - began,
        steps=int(controller.networks[0].activity.steps[0]),
        spikes=end.spikes,
        rate=(end.spikes - spikes) / (seconds - then) / end.neurons,
        restored=_comes_back(name, case, controller),
    )


def _rms(error: Array) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _comes_back(name: str, case: Case, controller: SpikingTracking) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "learnt.npz"
        keep(controller, path)
        other = make_controller(name, case.spec, PERIOD, ControllerOptions(saved=str(path)))
    assert isinstance(other, SpikingTracking)
    pairs = zip(controller.learning.learners, other.learning.learners, strict=True)
    return all(np.array_equal(a.learnt[k], b.learnt[k]) for a, b in pairs for k in a.learnt)


def resident() -> float:
    """Return the memory that this process holds [MB]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure_hour(name: str) -> Iterator[Figure]:
    """Run one of the spiking controllers for an hour."""
    done = hours(name)
    head = f"excavator.hours.{name}"
    yield Figure(f"{head}.minutes_5_to_15", done.early, "m")
    yield Figure(f"{head}.minutes_50_to_60", done.late, "m")
    yield Figure(f"{head}.late_over_early", done.late / done.early, "1", "<= 1.1")
    yield Figure(f"{head}.peak_after_minute_15", done.peak, "m")
    yield Figure(f"{head}.largest_weight", done.weight, "1", "<= 1")
    yield Figure(f"{head}.weights_norm", float(done.norms[-1]), "1")
    yield Figure(f"{head}.weights_norm_most", float(done.norms.max()), "1")
    yield Figure(f"{head}.memory_growth", done.memory, "MB", "<= 5")
    yield Figure(f"{head}.mean_rate", done.rate, "Hz", "<= 20")
    yield Figure(f"{head}.restored", float(done.restored), "1", "== 1")
