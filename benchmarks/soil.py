"""The soil: forces against published values, volume under 10⁵ random strokes, time of a step.

Forces: every row of sim/checks/forces.yaml, the worst relative error of each model. Volume: 20,000
strokes of bucket, blade, plough, dump body and wheel at random on a ground of each soil. Time: a
bucket digs, lifts and dumps on 161² cells of 5 cm; a step is 10 ms of tool and levelling, in
processor time of its one thread. Of three runs the middle one counts, by mean and by maximum.
Ruts: what the tracks of a dump truck press while it drives.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_machines import load_machine
from kuwa_sim.checks.strokes import BUCKET, TICK, Strokes, tool_pose
from kuwa_sim.checks.table import load_checks, outcomes
from kuwa_sim.scenery import Grid
from kuwa_sim.site import lone_plant
from kuwa_sim.soil import Terrain, load_soil
from kuwa_sim.soil.parameters import SOILS

STROKES = 100_000
CELLS = 161
RUNS = 3
PEER = {"what": "a public soil automaton, same grid", "mean_ms": 5.9, "max_ms": 23}
CYCLE = np.array([
    # time, x, z of the edge, pitch in degrees; yaw turns the whole cycle
    (0.0, 1.8, 0.2, 90), (0.5, 1.8, 0.0, 90), (1.2, 1.5, -0.2, 105), (4.0, -0.5, -0.2, 125),
    (5.0, -0.8, -0.05, 150), (5.5, -0.8, 0.6, 172), (6.5, 0.0, 1.5, 172), (8.0, 0.0, 1.5, 15),
    (9.5, 0.0, 1.5, 15), (10.0, 1.8, 0.6, 90),
])  # fmt: skip
CYCLES = 6
RUT_TICKS = 1000


def measure() -> Iterator[Figure]:
    """Evaluate the table, make the strokes, time the digging."""
    yield from _forces()
    yield from _volume()
    yield from _time()
    yield from _ruts()


def _forces() -> Iterator[Figure]:
    worst: dict[str, float] = {}
    checks = list(outcomes(load_checks()))
    for row in checks:
        worst[row.check.model] = max(worst.get(row.check.model, 0.0), row.error)
    for model, error in worst.items():
        yield Figure(f"soil.force.{model}", 100 * error, "%", "<= 1")
    yield Figure("soil.force.worst", 100 * max(worst.values()), "%", "<= 1")
    yield Figure("soil.force.values", len(checks), "1")
    differ = sum(not row.as_printed for row in checks)
    yield Figure("soil.force.not_as_printed", differ, "1", "== 0")


def _volume() -> Iterator[Figure]:
    names = sorted(path.stem for path in SOILS.glob("*.yaml"))
    errors, moved = [], 0.0
    for seed, name in enumerate(names):
        strokes = Strokes(name, seed)
        strokes.run(STROKES // len(names))
        errors.append(strokes.ground.volume_error())
        moved += sum(tool.moved for tool in strokes.ground.tools)
    yield Figure("soil.volume.error", max(errors), "1", "<= 1e-9")
    yield Figure("soil.volume.strokes", len(names) * (STROKES // len(names)), "1", "== 100000")
    yield Figure("soil.volume.moved", moved, "m³")


def _time() -> Iterator[Figure]:
    runs = 1e3 * np.array([_digging() for _ in range(RUNS)])
    mean = float(np.median(runs.mean(axis=1)))
    yield Figure("soil.step.mean", mean, "ms", "<= 1", PEER)
    yield Figure("soil.step.p99", float(np.median(np.percentile(runs, 99, axis=1))), "ms")
    yield Figure("soil.step.max", float(np.median(runs.max(axis=1))), "ms", "<= 3", PEER)


def _digging() -> list[float]:
    """Return the time of every step [s]; the first cycle, which loads kernels, is left out."""
    terrain = Terrain(load_soil("sandy_loam"), BUCKET, (CELLS, CELLS))
    seconds = []
    for cycle in range(CYCLES + 1):
        yaw = 0.4 * cycle
        c, s = np.cos(yaw), np.sin(yaw)
        for t in np.arange(0.0, CYCLE[-1, 0], TICK):
            x, z, pitch = (np.interp(t, CYCLE[:, 0], column) for column in CYCLE.T[1:])
            pose = tool_pose(c * x, s * x, z, yaw, np.radians(pitch), 0.0)
            began = time.thread_time()
            terrain.tick(pose, TICK)
            seconds.append(time.thread_time() - began)
    return seconds[len(seconds) // (CYCLES + 1) :]


def _ruts() -> Iterator[Figure]:
    """Time what a driving dump truck's tracks press in a tick."""
    plant = lone_plant(load_machine("ic120"), load_soil("loam"), Grid(-5.0, -3.0, 0.05, 400, 120))
    plant.reset()
    plant.write(np.array([0.5, 0.5, 0.0]))
    mark, seconds = plant.standing.mark, []

    def timed() -> None:
        began = time.thread_time()
        mark()
        seconds.append(time.thread_time() - began)

    setattr(plant.standing, "mark", timed)  # noqa: B010 a method in the place of a method
    for _ in range(RUT_TICKS):
        plant.advance()
    yield Figure("soil.ruts.mean", 1e6 * float(np.mean(seconds)), "µs", "<= 20")
