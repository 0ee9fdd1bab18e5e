"""The expert hauls: waits for its load, drives, tips at the end of the way and comes back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tracked_rig import TrackedRig

from kuwa_machines import KuwaError, load_machine
from kuwa_machines.contracts import Task
from kuwa_policies.planning.experts import make_expert
from kuwa_policies.planning.haul.planner import Haul
from kuwa_sim.lockstep import Tick
from kuwa_sim.scenery import Grid
from kuwa_sim.soil.parameters import SoilError

SPEC = load_machine("ic120")
GRID = Grid(-5.95, -9.95, 0.1, 360, 200)
TASK = Task("haul", path=((0.0, 0.0), (10.0, 0.0), (18.0, 4.0)), speed=1.4, volume=4.0)


def heap(rig: TrackedRig, x: float, y: float, radius: float) -> float:
    """Volume that the ground gained there [m³]."""
    g = rig.plant.grid
    dx = g.x0 + g.cell * np.arange(g.nx)[:, None] - x
    dy = g.y0 + g.cell * np.arange(g.ny)[None, :] - y
    return float(rig.plant.terrain.height[np.hypot(dx, dy) < radius].sum() * g.cell**2)


def test_a_load_is_brought_to_the_end_of_the_way() -> None:
    rig = TrackedRig(SPEC, GRID, start=(0.0, 0.0, math.pi), seed=3)
    body = rig.plant.tool.tool  # type: ignore[attr-defined]
    phases: list[str] = []
    tipped_at: list[float] = []

    def observe(tick: Tick) -> None:
        # An excavator fills the body in three portions, and the receiver has an outage.
        if rig.tick in (100, 500, 900):
            body.fill(4.0 / 3)
        if not phases or phases[-1] != tick.plan.phase:
            phases.append(tick.plan.phase)
        if tick.state.q[2] < -0.2:
            tipped_at.append(float(rig.plant.base_velocity[0]))

    rig.blind = lambda time: 17.0 < time < 20.0
    end = rig.run(make_expert(SPEC), TASK, 150.0, observe)
    assert "lost" in phases
    work = [phase for phase in phases if phase not in ("lost", "turn", "shake")]
    assert [p for k, p in enumerate(work) if k == 0 or work[k - 1] != p] == [
        "load", "haul", "tip", "lower", "return", "done",
    ]  # fmt: skip
    assert phases[-1] == "done" and end.stamp < 120
    assert rig.plant.tool_load < 50
    assert heap(rig, 18.0, 4.0, 2.5) > 0.95 * 4.0
    assert np.abs(tipped_at).max() < 0.05, "it stands while it tips"
    assert np.hypot(*rig.plant.base_position[:2]) < 0.3
    assert rig.plant.terrain.volume_error() < 1e-9


def test_with_its_front_to_the_way_it_turns_at_the_end() -> None:
    rig = TrackedRig(SPEC, GRID, seed=1)
    rig.plant.tool.tool.fill(4.0)  # type: ignore[attr-defined]
    seen = set()
    rig.run(Haul(SPEC), TASK, 150.0, lambda tick: seen.add(tick.plan.phase))
    assert "turn" in seen and "done" in seen
    assert heap(rig, 18.0, 4.0, 2.5) > 0.95 * 4.0
    assert np.hypot(*rig.plant.base_position[:2]) < 0.3


def test_an_empty_body_waits() -> None:
    rig = TrackedRig(SPEC, GRID)
    plans = []
    rig.run(Haul(SPEC), TASK, 5.0, lambda tick: plans.append(tick.plan))
    assert {plan.phase for plan in plans} == {"load"}
    assert np.abs(rig.plant.base_position[:2]).max() < 0.01


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": ((1.0, 2.0),)}, "at least two"),
        ({"path": ()}, "path"),
        ({"path": ((0.0, 0.0), (math.nan, 1.0))}, "finite"),
        ({"speed": 0.0}, "speed"),
        ({"volume": math.nan}, "volume"),
        ({"kind": "level"}, "haul"),
    ],
)
def test_impossible_tasks_are_refused_at_once(change: dict[str, object], words: str) -> None:
    with pytest.raises(KuwaError, match=words):
        Haul(SPEC).reset(replace(TASK, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (((0.0, 0.0), (60.0, 0.0)), "map"),
        (((12.0, 0.0), (20.0, 0.0)), "beginning"),
        (((0.0, 0.0), (3.0, 0.0)), "long"),
    ],
)
def test_ways_that_do_not_fit_the_place_are_refused_before_anything_moves(
    path: tuple[tuple[float, float], ...], words: str
) -> None:
    rig = TrackedRig(SPEC, GRID)
    planner = Haul(SPEC)
    planner.reset(replace(TASK, path=path))
    with pytest.raises(KuwaError, match=words):
        planner.step(rig.read(), rig.scan())


def test_bad_states_and_machines_are_refused() -> None:
    rig = TrackedRig(SPEC, GRID)
    planner = Haul(SPEC)
    with pytest.raises(KuwaError, match="no task"):
        planner.step(rig.read(), rig.scan())
    planner.reset(TASK)
    for change, words in (
        ({"base_position": np.full(3, np.nan)}, "position"),
        ({"base_quaternion_wxyz": np.full(4, np.nan)}, "attitude"),
        ({"tool_load": math.nan}, "load"),
    ):
        with pytest.raises(KuwaError, match=words):
            planner.step(replace(rig.read(), **change), rig.scan())  # type: ignore[arg-type]
    with pytest.raises(KuwaError, match="dump body"):
        Haul(load_machine("d37"))


def test_a_body_takes_no_more_than_it_holds() -> None:
    body = TrackedRig(SPEC, GRID).plant.tool.tool  # type: ignore[attr-defined]
    for loose in (-1.0, 50.0, math.nan):
        with pytest.raises(SoilError, match="room"):
            body.fill(loose)
    assert body.volume == 0.0
