"""The tractors' experts on the plant: furrows on the line at their depth, a level boom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kuwa_hardware.gate import Gate
from kuwa_machines import KuwaError, load_machine
from kuwa_machines.contracts import HeightMap, MachineState, Task
from kuwa_machines.paths import Polyline, cross_track
from kuwa_policies.control.tracking import TrackingController
from kuwa_policies.planning.experts import make_expert
from kuwa_policies.planning.plough import PloughPlanner
from kuwa_sim.lockstep import Tick, run_lockstep
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import Scenario

PLOUGH = {
    "kind": "plough", "path_m": [[0, 0], [36, 0]], "x_m": 20, "y_m": 0, "length_m": 20,
    "width_m": 6, "depth_m": 0.15, "speed_km_h": 8.5, "tolerance_m": 0.03,
}  # fmt: skip
SPRAY = {
    "kind": "spray", "path_m": [[0, 0], [15, 0], [30, 0.5]], "height_m": 0.8, "speed_km_h": 9,
    "tolerance_m": 0.1,
}  # fmt: skip


def run(
    machine: str, task: dict[str, Any], seed: int = 0, rough: float = 0.02,
    faults: tuple[dict[str, Any], ...] = (), y: float = 0.05, seconds: float = 30.0,
) -> dict[str, Any]:  # fmt: skip
    """Do a task; return the true track, the tool and the phases."""
    scenario = Scenario.model_validate({
        "name": "field", "title": "a field", "soil": "sandy_loam", "duration_s": 40,
        "ground": {"x_min_m": -8, "x_max_m": 42, "y_min_m": -14, "y_max_m": 14, "cell_m": 0.1},
        "machines": {machine: {"task": task, "faults": faults, "y_m": y}},
        "randomise": {"roughness_m": rough, "roughness_length_m": 3.0, "soil_strength": 0.1},
    })  # fmt: skip
    robot = SimRobot(scenario, seed=seed)
    robot.connect()
    start = robot.plant.terrain.height.copy()  # type: ignore[union-attr]
    expert = make_expert(robot.spec)
    rows: list[list[float]] = []
    phases: list[str] = []
    points: list[np.ndarray] = []
    out: dict[str, Any] = {"robot": robot, "expert": expert, "start": start, "phases": phases}

    def observe(tick: Tick) -> None:
        truth = robot.truth()
        rows.append([tick.state.stamp, *truth.position[:2], *truth.velocity[:2]])
        points.append(truth.points.copy())
        if not phases or phases[-1] != tick.plan.phase:
            phases.append(tick.plan.phase)

    gate, control = Gate(robot.spec), TrackingController(robot.spec, robot.control_period)
    assert robot.task is not None
    run_lockstep(robot, expert, control, gate, robot.task, seconds, observe)
    track = np.array(rows)
    s, e = cross_track(Polyline(robot.task.path), track[:, 1:3])
    return out | {"s": s, "e": e, "speed": np.hypot(*track[:, 3:5].T), "points": np.array(points)}


def above_ground(done: dict[str, Any], when: np.ndarray) -> np.ndarray:
    """Return how high the tool's points were over the ground of the start, (N, points) [m]."""
    grid = done["robot"].plant.grid
    points = done["points"][when]
    i = np.rint((points[..., 0] - grid.x0) / grid.cell).astype(int)
    j = np.rint((points[..., 1] - grid.y0) / grid.cell).astype(int)
    return np.asarray(points[..., 2] - done["start"][i, j])


def test_a_row_is_ploughed_on_the_line_at_its_depth() -> None:
    done = run("tractor_plough", PLOUGH, seed=3)
    assert done["phases"] == ["headland", "plough", "headland", "done"]
    row = (done["s"] > 14) & (done["s"] < 30)
    assert done["e"][row].std() < 0.02 and np.abs(done["e"][row]).max() < 0.06
    assert done["speed"][row].mean() > 2.0
    depth = -above_ground(done, row).mean(axis=1)
    assert np.sqrt(np.mean((depth - 0.15) ** 2)) < 0.03
    robot = done["robot"]
    grid = robot.plant.grid
    x = grid.x0 + grid.cell * np.arange(grid.nx)
    y = grid.y0 + grid.cell * np.arange(grid.ny)
    change = robot.plant.terrain.height - done["start"]
    # The last furrow stays open, on the left.
    furrow = change[np.ix_((x > 14) & (x < 26), (y > 0.5) & (y < 0.7))]
    assert furrow.min(axis=1).max() < -0.1
    untouched = (x < 5)[:, None] & (np.abs(y) < 0.5)[None, :]
    assert change[untouched].min() > -0.06, "no furrow before the row"
    assert robot.limit_violations == 0


def test_the_boom_stays_level_over_rough_ground() -> None:
    done = run("tractor_sprayer", SPRAY, seed=2, rough=0.04)
    at_work = (done["s"] > 8) & (done["s"] < 28)
    height = above_ground(done, at_work)
    assert np.mean(np.abs(height - 0.8) <= 0.1) > 0.95
    assert done["e"][at_work].std() < 0.02
    assert done["phases"][-1] == "done"


def test_an_outage_of_four_seconds_is_driven_through() -> None:
    short = run(
        "tractor_sprayer", SPRAY,
        faults=({"sensor": "gnss", "kind": "outage", "from_s": 8, "to_s": 12},),
    )  # fmt: skip
    assert "lost" not in short["phases"] and short["phases"][-1] == "done"
    assert np.abs(short["e"][short["s"] > 8]).max() < 0.12


def test_an_outage_that_does_not_end_stops_the_machine() -> None:
    forever = run(
        "tractor_sprayer", SPRAY | {"path_m": [[0, 0], [400, 0]]},
        faults=({"sensor": "gnss", "kind": "outage", "from_s": 2},),
    )  # fmt: skip
    assert forever["phases"][-1] == "lost"
    assert forever["speed"][-1] < 0.05


FLAT = HeightMap(np.zeros((400, 200)), -10.0, -10.0, 0.1)


def standing(spec: Any, **changes: Any) -> MachineState:
    n = len(spec.joints)
    state = MachineState(
        0.0, spec.home.copy(), np.zeros(n), np.zeros(n), np.zeros((n, 2)), 0.0, 0.0, 0.0,
        np.zeros(3), np.array([1.0, 0, 0, 0]), np.zeros(6), 0.0, base_stamp=0.0,
    )  # fmt: skip
    return replace(state, **changes)


def task(**changes: Any) -> Task:
    return replace(Task("plough", path=((0.0, 0.0), (30.0, 0.0)), depth=0.15, speed=2.0), **changes)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kind": "dig"}, "valid: plough"),
        ({"path": ()}, "at least two"),
        ({"path": ((0.0, 0.0),)}, "at least two"),
        ({"path": ((1.0, 1.0), (1.0, 1.0))}, "of which 1 differ"),
        ({"path": ((0.0, 0.0), (np.nan, 1.0))}, "finite"),
        ({"path": ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0))}, r"radius of .* smallest radius .* 25\.00"),
        ({"speed": 0.0}, "works at 0.1 to"),
        ({"speed": 20.0}, "works at 0.1 to"),
        ({"speed": np.nan}, "works at 0.1 to"),
        ({"depth": 0.0}, "reaches down to"),
        ({"depth": 0.9}, "reaches down to"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(wrong: dict[str, Any], why: str) -> None:
    planner = make_expert(load_machine("tractor_plough"))
    with pytest.raises(KuwaError, match=why):
        planner.reset(task(**wrong))


def test_a_boom_has_its_range_and_its_own_task() -> None:
    planner = make_expert(load_machine("tractor_sprayer"))
    spray = Task("spray", path=((0.0, 0.0), (30.0, 0.0)), speed=2.0, height=0.8)
    planner.reset(spray)
    with pytest.raises(KuwaError, match="carries its boom at"):
        planner.reset(replace(spray, height=3.0))
    with pytest.raises(KuwaError, match="valid: spray"):
        planner.reset(task())


def test_states_that_are_not_finite_stop_the_plan_until_they_are() -> None:
    spec = load_machine("tractor_plough")
    planner = PloughPlanner(spec)
    with pytest.raises(KuwaError, match="no task"):
        planner.step(standing(spec), FLAT)
    planner.reset(task())
    assert planner.step(standing(spec, base_position=np.full(3, np.nan)), FLAT).trajectory is None
    plan = planner.step(standing(spec), FLAT)
    assert plan.trajectory is not None and np.isfinite(plan.trajectory.q).all()
    broken = spec.home.copy()
    broken[0] = np.nan
    assert planner.step(standing(spec, stamp=0.05, q=broken), FLAT).phase == "blind"
    plan = planner.step(standing(spec, stamp=0.1, base_quaternion_wxyz=np.full(4, np.nan)), FLAT)
    assert plan.trajectory is not None and np.isfinite(plan.trajectory.qd).all()


def test_a_machine_far_from_its_path_is_refused() -> None:
    spec = load_machine("tractor_plough")
    planner = PloughPlanner(spec)
    planner.reset(task(path=((0.0, 8.0), (30.0, 8.0))))
    with pytest.raises(KuwaError, match=r"8\.0 m beside the beginning"):
        planner.step(standing(spec), FLAT)
