"""The expert levels a bumpy strip to centimetres and pushes a heap out of its rectangle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tracked_rig import TrackedRig

from kuwa_machines import load_machine
from kuwa_machines.contracts import HeightMap, Task
from kuwa_policies.planning.blade.planner import Dozer
from kuwa_policies.planning.blade.surface import Surface
from kuwa_sim.lockstep import Tick
from kuwa_sim.scenery import Grid

SPEC = load_machine("d37")
GRID = Grid(-5.95, -4.95, 0.1, 220, 100)


def error(rig: TrackedRig, surface: Surface) -> np.ndarray:
    g = rig.plant.grid
    ground = HeightMap(rig.plant.terrain.height, g.x0, g.y0, g.cell)
    return surface.strip(ground, 0.0, surface.width)


@pytest.mark.full
def test_a_bumpy_strip_becomes_even_to_two_centimetres() -> None:
    x = GRID.x0 + GRID.cell * np.arange(GRID.nx)[:, None] - 6.0
    y = GRID.y0 + GRID.cell * np.arange(GRID.ny)[None, :]
    noise = gaussian_filter(np.random.default_rng(4).standard_normal((220, 100)), 9.0)
    noise *= np.clip(1.25 * (1.0 - np.hypot(x, y) / 5.5), 0.0, 1.0)
    rig = TrackedRig(SPEC, GRID, 0.04 * noise / noise[90:150, 36:64].std(), seed=1)
    task = Task("level", 6.0, 0.0, 0.0, 6.0, 2.8, tolerance=0.03, speed=0.45)
    g = rig.plant.grid
    surface = Surface.of_task(task, HeightMap(rig.plant.terrain.height, g.x0, g.y0, g.cell))
    assert np.sqrt(np.mean(error(rig, surface) ** 2)) > 0.03
    plans = []
    rig.run(Dozer(SPEC), task, 160.0, lambda tick: plans.append(tick.plan))
    assert plans[-1].done
    assert np.sqrt(np.mean(error(rig, surface) ** 2)) < 0.02
    assert rig.plant.terrain.volume_error() < 1e-9


def test_a_heap_is_pushed_to_the_spoils_side() -> None:
    g = GRID
    x = g.x0 + g.cell * np.arange(g.nx)[:, None]
    y = g.y0 + g.cell * np.arange(g.ny)[None, :]
    heap = np.clip(0.6 * (1 - np.hypot(x - 6, y) / 1.4), 0, None)
    rig = TrackedRig(SPEC, GRID, heap, seed=2)
    task = Task(
        "push", 6.0, 0.0, 0.0, 4.0, 2.8, spoil_x=10.0, spoil_y=0.0, tolerance=0.05, speed=0.8
    )
    start = rig.plant.terrain.height.copy()
    g = rig.plant.grid
    surface = Surface.of_task(task, HeightMap(start, g.x0, g.y0, g.cell))
    carried = 0.0

    def observe(tick: Tick) -> None:
        nonlocal carried
        carried = max(carried, rig.plant.tool_load)

    rig.run(Dozer(SPEC), task, 120.0, observe)
    assert np.mean(np.abs(error(rig, surface)) < 0.05) > 0.95
    assert carried > 300
    gained = (rig.plant.terrain.height - start)[(x[:, 0] > 8.0), :]
    assert gained.sum() * 0.01 > 0.6 * heap.sum() * 0.01


def test_readings_that_fail_on_the_way_never_reach_the_chunks() -> None:
    rig = TrackedRig(SPEC, GRID)
    planner = Dozer(SPEC)
    planner.reset(Task("level", 6.0, 0.0, 0.0, 6.0, 2.8, tolerance=0.03, speed=0.8))
    state, ground = rig.read(), rig.scan()
    n = len(SPEC.joint_names)
    holes = {
        "base_position": np.full(3, np.nan), "base_quaternion_wxyz": np.full(4, np.nan),
        "base_velocity": np.full(6, np.nan), "q": np.full(n, np.nan), "qd": np.full(n, np.nan),
        "tool_load": np.nan,
    }  # fmt: skip
    phases = []
    for k in range(120):
        bad = {} if k < 20 else {name: holes[name] for name in list(holes)[: 1 + k % 6]}
        plan = planner.step(replace(state, stamp=0.05 * k, **bad), ground)
        assert plan.trajectory is not None
        assert np.isfinite(plan.trajectory.q).all() and np.isfinite(plan.trajectory.qd).all()
        assert not plan.trajectory.qd[-1].any()
        phases.append(plan.phase)
    assert phases[-1] == "lost"
    drives = [SPEC.joint_names.index(f"sprocket_{side}_joint") for side in ("left", "right")]
    assert not plan.trajectory.qd[:, drives].any(), "who is lost stands"
