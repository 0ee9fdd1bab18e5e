"""Geometry of a blade's edge, lanes and ways between them, load control, and refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from kuwa_machines import KuwaError, load_machine
from kuwa_machines.contracts import HeightMap, MachineState, Task
from kuwa_policies.planning.blade.edge import BladeEdge
from kuwa_policies.planning.blade.load import MOST, LoadControl
from kuwa_policies.planning.blade.passes import Level, Pass, Push, lanes
from kuwa_policies.planning.blade.planner import Dozer
from kuwa_policies.planning.blade.route import back_way, lane_way
from kuwa_policies.planning.blade.surface import Surface
from kuwa_policies.planning.driving.pose import Pose
from kuwa_policies.planning.experts import make_expert

SPEC = load_machine("d37")
EDGE = BladeEdge(SPEC)
TASK = Task("level", 9.0, 1.0, 0.3, 10.0, 6.0, tolerance=0.03, slope=0.05, speed=0.8)


def ground(height: float = 0.0) -> HeightMap:
    return HeightMap(np.full((300, 200), height), -5.0, -9.0, 0.1)


def pose(x: float, y: float, yaw: float) -> Pose:
    c, s = math.cos(yaw), math.sin(yaw)
    R = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return Pose(np.array([x, y, 0.0]), R, yaw, 0.0, 0.0, 2.7, False)


def state(load: float = 0.0, **change: object) -> MachineState:
    n = len(SPEC.joint_names)
    made = MachineState(
        0.0, SPEC.home.copy(), np.zeros(n), np.zeros(n), np.zeros((n, 2)), 0.0, 0.0, 0.0,
        np.zeros(3), np.array([1.0, 0, 0, 0]), np.zeros(6), load,
    )  # fmt: skip
    return replace(made, **change)  # type: ignore[arg-type]


def test_the_joints_bring_the_edge_to_its_height_and_level_across() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        pitch, roll = rng.uniform(-0.08, 0.08, 2)
        up = np.array([[-math.sin(pitch), math.sin(roll), 1.0]])
        up /= np.linalg.norm(up)
        height = rng.uniform(-0.15, 0.25, 1)
        q = EDGE.solve(SPEC.home[None], up, np.zeros(1), height, np.zeros(1))
        half = 0.5 * EDGE.tool.width
        ends = [
            EDGE._chain.place(q, np.add(EDGE.tool.edge, (0.0, side, 0.0))) @ up[0]
            for side in (half, -half)
        ]
        assert float(EDGE.middle(q)[0] @ up[0]) == pytest.approx(height[0], abs=2e-4)
        assert ends[0] == pytest.approx(ends[1], abs=5e-4)


def test_out_of_reach_the_joints_stop_short_of_their_ends() -> None:
    up = np.array([[0.0, 0.0, 1.0]])
    for height in (-3.0, 5.0):
        q = EDGE.solve(SPEC.home[None], up, np.zeros(1), np.array([height]), np.zeros(1))
        assert np.all(q[0] > SPEC.q_min) and np.all(q[0] < SPEC.q_max)


def test_a_surface_is_the_same_whichever_way_it_is_driven() -> None:
    surface = Surface.of_task(TASK, ground(0.2))
    x, y = np.random.default_rng(0).uniform(-5, 15, (2, 50))
    for quarters in range(4):
        other = surface.turned(quarters)
        assert other.height(x, y) == pytest.approx(surface.height(x, y))
        along, across = other.frame(*other.point(1.5, -0.7))
        assert (float(along), float(across)) == pytest.approx((1.5, -0.7))
    assert surface.turned(1).length == surface.width


def test_lanes_cover_the_width_with_overlap() -> None:
    for width in (2.0, 3.2, 4.0, 6.3, 11.0):
        offsets = lanes(width, 3.2)
        assert offsets.max() + 1.6 >= width / 2 - 1e-9
        assert offsets.min() - 1.6 <= -width / 2 + 1e-9
        if len(offsets) > 1:
            assert np.diff(offsets).max() <= 3.2 - 0.5 + 1e-9
            between = lanes(width, 3.2, shifted=True)
            assert len(between) == len(offsets) - 1


def test_levelling_ends_when_even_and_gives_up_when_it_never_is() -> None:
    surface = Surface.of_task(replace(TASK, slope=0.0), ground())
    even = Level(TASK, surface, 3.2)
    passes = 0
    while even.next(ground(), np.zeros(2)) is not None:
        passes += 1
    assert passes == 3 + 2
    rough = Level(TASK, surface, 3.2)
    noise = ground()
    noise.height[:] += 0.2 * np.sign(np.random.default_rng(0).standard_normal((300, 200)))
    passes = 0
    while rough.next(noise, np.zeros(2)) is not None:
        passes += 1
    assert passes == 3 + 2 + 3 + 2


def test_soil_is_brought_from_the_high_end_to_the_low_one() -> None:
    surface = Surface.of_task(replace(TASK, slope=0.0, yaw=0.0), ground())
    for sign in (1.0, -1.0):
        tilted = ground()
        tilted.height[:] += sign * 0.01 * (tilted.xs()[:, None] - 9.0)
        job = Level(TASK, surface, 3.2)
        assert job.next(tilted, np.zeros(2)) is not None
        assert job.surface.yaw == pytest.approx(math.pi if sign > 0 else 0.0)


def test_a_push_takes_slices_that_the_blade_can_hold() -> None:
    task = Task(
        "push", 8.0, 0.0, 0.0, 6.0, 5.0, spoil_x=8.0, spoil_y=9.0, tolerance=0.05, speed=0.8
    )
    pile = ground()
    x, y = pile.xs()[:, None], pile.ys()[None, :]
    pile.height[:] = np.clip(1.5 * (1 - np.hypot(x - 8, y) / 3), 0, None)
    surface = Surface.of_task(task, pile).turned(1)
    job = Push(task, surface, 3.2, 1.8)
    first = job.next(pile, np.zeros(2))
    assert first is not None and first.above > 0.5
    over = surface.strip(pile, first.offset, 3.2) - first.above
    assert np.maximum(over, 0.0).sum() * 0.01 <= 0.8 * 1.8
    assert first.end == pytest.approx(9.0)
    assert job.next(ground(), np.zeros(2)) is None


def test_the_way_back_is_a_smooth_curve_into_the_next_lane() -> None:
    surface = Surface(9.0, 0.0, 0.0, 10.0, 6.0, 0.0, 0.0, 0.0)
    lane = Pass(1.5, -6.6, 5.4, 0.0)
    way = back_way(surface, lane, pose(11.9, -1.5, 0.0), 2.15, 1.3)
    assert way.reverse
    assert way.path.points[-1] == pytest.approx([9.0 - 6.6 - 2.15 - 0.6, 1.5])
    yaw = np.asarray(way.path.direction((way.path.s[1:] + way.path.s[:-1]) / 2))
    assert np.abs(np.remainder(yaw, 2 * np.pi) - np.pi).max() < 0.5
    assert np.abs(np.diff(np.unwrap(yaw))).max() < 0.12
    there = lane_way(surface, lane, 2.15, 0.8)
    assert there.path.points[0] == pytest.approx(way.path.points[-1])
    assert not there.reverse


def test_load_control_lifts_when_full_and_lets_down_when_free() -> None:
    control = LoadControl(2000.0)
    there = pose(0.0, 0.0, 0.0)
    for _ in range(100):
        control.update(state(load=2300.0), there, 0.0, 0.05)
    lifted = control.raised
    assert lifted > 0.1
    for _ in range(400):
        control.update(state(load=math.nan), there, 0.0, 0.05)
    assert control.raised == MOST
    for _ in range(400):
        control.update(state(load=0.0), there, 0.0, 0.05)
    assert control.raised == 0.0
    stalled = replace(there, speed=0.1)
    for _ in range(40):
        control.update(state(), stalled, 0.8, 0.05)
    assert control.raised > 0.0, "a machine that is stopped by its blade lifts it"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "dig_trench"}, "level"),
        ({"length": 0.0}, "length"),
        ({"width": math.nan}, "width"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"slope": math.inf}, "slope"),
        ({"speed": 0.0}, "speed"),
    ],
)
def test_impossible_tasks_are_refused_at_once(change: dict[str, object], words: str) -> None:
    with pytest.raises(KuwaError, match=words):
        Dozer(SPEC).reset(replace(TASK, **change))  # type: ignore[arg-type]


def test_nothing_moves_from_a_bad_state_or_off_the_map() -> None:
    planner = make_expert(SPEC)
    planner.reset(TASK)
    with pytest.raises(KuwaError, match="position"):
        planner.step(state(base_position=np.full(3, np.nan)), ground())
    with pytest.raises(KuwaError, match="joint"):
        planner.step(state(q=np.full(5, np.nan)), ground())
    holes = ground()
    holes.height[100:140, 80:100] = np.nan
    with pytest.raises(KuwaError, match="finite"):
        planner.step(state(), holes)
    planner.reset(replace(TASK, x=40.0))
    with pytest.raises(KuwaError, match="map"):
        planner.step(state(), ground())
    with pytest.raises(KuwaError, match="blade"):
        Dozer(load_machine("ic120"))
