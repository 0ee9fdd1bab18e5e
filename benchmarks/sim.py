"""Speed of the simulation, headless on one thread: each machine at its own work, and two on a site.

Each machine repeats a schedule of joint positions and strokes that makes it do what it is for:
excavators dig, swing and dump, the dump truck hauls and tips, the bulldozer cuts and pushes, the
plough turns furrows, the sprayer drives over rough ground with its boom open. Advancing the site by
a tick is timed (hydraulics, undercarriage, MuJoCo, tool, levelling); of three runs the middle one
counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_machines import load_machine
from kuwa_machines.contracts import Array
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.scenario import rough_ground
from kuwa_sim.scenery import Grid
from kuwa_sim.site import Placement, Site
from kuwa_sim.soil import load_soil

RUNS = 3
SECONDS = 20.0
WARM_UP = 50
ROUGH = 0.02
GAIN, OPEN, DEAD_BAND = 1.5, 0.6, 0.06
"""Of the valves over the distance to a goal [1/rad], at most, and where they begin to flow."""
SOIL = "sandy_loam"
FIELD = Grid(-7.975, -4.975, 0.05, 560, 200)
SITE = Grid(-5.975, -5.975, 0.05, 320, 340)
PEER = {"what": "reported for a site of the same platform on AGX", "real_time_factor": 0.61}

Schedule = tuple[tuple[float, Mapping[str, float]], ...]
"""Steps: how long [s], and where joints shall be [rad] or how far open the valves of endless ones
are; a key stands for every joint whose name contains it."""

DIG: Schedule = (
    (4.0, {"swing": 0.0, "boom": -0.22, "arm": 0.93, "bucket": 1.2}),
    (4.0, {"boom": -0.32, "arm": 1.8, "bucket": 1.0}),
    (2.5, {"boom": -0.34, "arm": 1.8, "bucket": 2.1}),
    (3.5, {"swing": 1.57, "boom": -0.9, "arm": 1.6, "bucket": 2.1}),
    (3.0, {"arm": 1.2, "bucket": 0.2}),
)
WORK: dict[str, Schedule] = {
    "zx200": DIG,
    "zx120": DIG,
    "ic120": (
        (5.0, {"sprocket": 0.5}), (5.0, {"vessel": -1.0}), (5.0, {"vessel": 0.0}),
        (3.0, {"sprocket_left": -0.3, "sprocket_right": 0.3}),
    ),
    "d37": ((2.5, {"lift": 0.02}), (16.0, {"sprocket": 0.3, "lift": 0.012})),
    "tractor_plough": ((6.0, {"lift": -0.05}), (60.0, {"wheel": 0.4, "lift": -0.05})),
    "tractor_sprayer": ((60.0, {"wheel": 0.35, "lift": -0.2}),),
}  # fmt: skip


def measure() -> Iterator[Figure]:
    """Time every machine alone, then an excavator and a dump truck on one soil."""
    for name in WORK:
        placed = {"": Placement(load_machine(name))}
        yield from _figures(name, placed, FIELD, ">= 20")
    both = {
        "digger": Placement(load_machine("zx200")),
        "truck": Placement(load_machine("ic120"), x=1.7, y=7.7),
    }
    yield from _figures("zx200_and_ic120", both, SITE, ">= 8")


def _figures(name: str, placed: Mapping[str, Placement], grid: Grid, goal: str) -> Iterator[Figure]:
    site = Site(placed, load_soil(SOIL), grid)
    runs = sorted((_run(site) for _ in range(RUNS)), key=lambda ticks: float(ticks.mean()))
    ticks = runs[RUNS // 2]
    yield Figure(f"sim.{name}.real_time_factor", CONTROL_PERIOD / ticks.mean(), "1", goal, PEER)
    yield Figure(f"sim.{name}.tick_p99", 1e3 * float(np.percentile(ticks, 99)), "ms")


def _run(site: Site) -> Array:
    """Return the wall time of each tick [s]; the first ones, which load kernels, are left out."""
    grid = site.grid
    site.reset(height=rough_ground(grid, np.random.default_rng(0), ROUGH, 0.6))
    seconds = []
    for tick in range(WARM_UP + round(SECONDS / CONTROL_PERIOD)):
        for plant in site.plants:
            plant.write(_command(plant, tick * CONTROL_PERIOD))
        began = time.perf_counter()
        site.advance()
        seconds.append(time.perf_counter() - began)
    return np.array(seconds[WARM_UP:])


def _command(plant: Plant, now: float) -> Array:
    """Return the valves that lead the joints to where the schedule wants them."""
    schedule = WORK[plant.spec.name]
    now %= sum(seconds for seconds, _ in schedule)
    step = 0
    while now >= schedule[step][0]:
        now -= schedule[step][0]
        step += 1
    valves = np.zeros(len(plant.spec.joint_names))
    for key, goal in schedule[step][1].items():
        for i, name in enumerate(plant.spec.joint_names):
            if key in name and np.isinf(plant.spec.q_max[i]):
                valves[i] = goal
            elif key in name:
                error = goal - plant.q[i]
                opening = np.clip(GAIN * error, -OPEN, OPEN)
                valves[i] = opening + DEAD_BAND * np.sign(error) * (abs(error) > 0.01)
    return valves
