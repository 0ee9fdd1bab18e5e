"""Limits of commands and of space: the compiled kernels against mathematics of the test's own."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_rig import PERIOD, Rig, Spec, state_at
from kuwa_hardware.bodies import Bodies
from kuwa_hardware.bounds import Bounds
from kuwa_hardware.keepout import KeepOut, Zone, ZoneError
from kuwa_hardware.kernels.motion import CARRIED, DOWN, UP, V, shape
from kuwa_hardware.kernels.postures import G_REACH, G_SELF, G_TIP, G_ZONE, distances, zone_distance
from kuwa_hardware.kernels.resting import LEAST_STEP, comes_to_rest
from kuwa_hardware.limits import GateLimits
from kuwa_machines import load_machine
from kuwa_machines.chain import Chain
from kuwa_machines.contracts import Array
from kuwa_machines.safety import convex_hull, support_polygon, tool_points

SLOPE, NEUTRAL, JERK = 10.0, 20.0, 400.0
ZX = load_machine("zx200")
strokes = st.floats(-1.0, 1.0)


@settings(deadline=None)
@given(st.lists(strokes, min_size=1, max_size=40), st.sampled_from([0.005, 0.01, 0.02]))
def test_growth_has_a_slope_and_a_jerk_and_never_passes_what_was_asked(
    wanted: list[float], dt: float
) -> None:
    u = growth = 0.0
    for w in wanted:
        before, slope_before = u, growth
        u, _ = shape(w, before, slope_before, dt, SLOPE, NEUTRAL, JERK, False)
        same = u * before >= 0.0
        growth = max((abs(u) - (abs(before) if same else 0.0)) / dt, 0.0)
        assert growth <= SLOPE + 1e-9
        assert growth <= slope_before + JERK * dt + 1e-3
        assert abs(u - before) <= SLOPE * dt + 1e-9
        # Nearer to what was asked, and not past it.
        assert abs(u - w) <= abs(before - w) + 1e-12
        assert (u - w) * (before - w) >= -1e-12


@settings(deadline=None)
@given(strokes, strokes)
def test_what_is_asked_for_is_reached(start: float, wanted: float) -> None:
    u, growth = start, 0.0
    for _ in range(40):
        before = u
        u, _ = shape(wanted, u, growth, 0.01, SLOPE, NEUTRAL, JERK, False)
        same = u * before >= 0.0
        growth = max((abs(u) - (abs(before) if same else 0.0)) / 0.01, 0.0)
    assert u == wanted


def measured(q: Array, zones: KeepOut | None = None, spec: Any = ZX) -> Array:
    """The four distances of a posture, with nothing kept away."""
    b = Bodies(spec, zones)
    b.weight[-4:] = 0.0
    k, out = len(b.links), np.zeros(4)
    scratch = np.zeros((k, 3, 3)), np.zeros((k, 3)), np.zeros((k + 1, 3)), np.zeros((k + 1, 3))
    world = (b.links, b.led, b.led_grid, b.points, b.tools, b.balls, b.boxes, b.space, b.zones,
             b.edges, b.base, b.weight, b.support, *scratch)  # fmt: skip
    distances(np.asarray(q, dtype=float), 0.0, world, out)
    return out


postures = st.tuples(
    *(st.floats(low, high) for low, high in zip(ZX.q_min, ZX.q_max, strict=True))
).map(np.array)


@settings(deadline=None, max_examples=60)
@given(postures)
def test_distances_are_those_of_the_machines_own_kinematics(q: Array) -> None:
    found = measured(q)
    link, points = tool_points(ZX)
    tool = np.array([Chain(ZX, link).place(q, p) for p in points])
    space, root = ZX.safety.workspace, np.array(ZX.joints["swing_joint"].origin)
    assert space.radius and space.height and space.depth
    radius = np.hypot(*(tool[:, :2] - root[:2]).T)
    reach = np.concatenate(
        [space.radius - radius, space.height - tool[:, 2], tool[:, 2] + space.depth]
    ).min()
    # Far away a ball around the tool stands for it: never farther than the truth.
    assert found[G_REACH] <= reach + 1e-9
    if found[G_REACH] < 0.0 or reach < 0.3:
        assert found[G_REACH] == pytest.approx(reach, abs=1e-9)
    total, moment = 0.0, np.zeros(3)
    for name, part in ZX.links.items():
        at = np.array(part.com)
        moment += part.mass * (at if name == "track_link" else Chain(ZX, name).place(q, at))
        total += part.mass
    x, y, _ = moment / total
    low, high = support_polygon(ZX).min(0), support_polygon(ZX).max(0)
    assert found[G_TIP] == pytest.approx(min(x - low[0], high[0] - x, y - low[1], high[1] - y))


def test_the_tool_inside_the_house_is_a_negative_distance() -> None:
    assert measured(np.array([0.3, -0.17, 2.62, 0.46]))[G_SELF] < 0.0
    assert measured(ZX.home)[G_SELF] > 1.0


@settings(deadline=None)
@given(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.floats(-3.0, 3.0))
def test_a_zone_is_as_far_as_a_box_is(x: float, y: float, z: float) -> None:
    square = Zone(
        frame="base", polygon_m=((-1, -1), (1, -1), (1, 1), (-1, 1)), z_min_m=-1, z_max_m=1
    )
    zones, edges = KeepOut({"box": square}).arrays()
    gap = np.abs([x, y, z]) - 1.0
    outside = float(np.linalg.norm(np.maximum(gap, 0.0)))
    wanted = outside if outside > 0.0 else float(gap.max())
    assert zone_distance(x, y, z, zones, 0, edges) == pytest.approx(wanted, abs=1e-9)


def test_a_zone_over_a_joint_is_seen_by_the_boom_not_only_by_the_tool() -> None:
    far = Zone(frame="base", polygon_m=((2, -0.2), (3, -0.2), (3, 0.2), (2, 0.2)))
    assert measured(ZX.home, KeepOut({"pole": far}))[G_ZONE] < 0.0


def test_wheels_tip_over_the_lines_between_them() -> None:
    corners = support_polygon(load_machine("tractor_plough"))
    assert len(corners) == 4
    np.testing.assert_allclose(convex_hull(corners), convex_hull(corners[::-1]))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("zones: {a: {polygon_m: [[0, 0], [1, 0], [2, 0]]}}", "no area"),
        ("zones: {a: {polygon_m: [[0, 0], [1, 0], [1, .nan]]}}", "polygon_m"),
        ("zones: {a: {polygon_m: [[0, 0], [1, 0], [1, 1]], z_min_m: 2, z_max_m: 1}}", "below"),
        ("zones: {a: {poligon_m: []}}", "poligon_m"),
        ("clearance_m: 0", "clearance_m"),
    ],
)
def test_a_wrong_file_of_zones_is_refused(tmp_path: Any, text: str, why: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(ZoneError, match=why):
        KeepOut.load(path)


@st.composite
def machines(draw: Any) -> Spec:
    """Joints of any dead time, speed and acceleration."""

    def four(low: float, high: float) -> list[float]:
        return [draw(st.floats(low, high)) for _ in range(4)]

    return Spec(
        q_min=[-1.5] * 4, q_max=[1.5] * 4, qd_max=four(0.1, 1.5), qdd_max=four(0.2, 5.0),
        dead_time=[round(t, 2) for t in four(0.0, 1.2)],
    )  # fmt: skip


@settings(deadline=None, max_examples=12)
@given(machines(), st.lists(st.tuples(strokes, strokes, strokes, strokes), min_size=1, max_size=5))
def test_no_machine_of_such_joints_passes_a_limit(spec: Spec, values: list[Any]) -> None:
    rig = Rig(spec=spec)
    pipes = [deque([0.0] * round(t / PERIOD)) for t in spec.dead_time]
    q, qd = np.zeros(4), np.zeros(4)
    for value in values:
        for _ in range(120):
            rig.q, rig.qd = q, qd
            u = rig.tick(rig.request(np.array(value))).applied.values
            acting = np.empty(4)
            for j, pipe in enumerate(pipes):
                pipe.append(u[j])
                acting[j] = pipe.popleft()
            step = spec.qdd_max * PERIOD
            v = qd + np.clip(acting * spec.qd_max - qd, -step, step)
            q, qd = q + 0.5 * PERIOD * (qd + v), v
            assert (np.abs(q) <= 1.5).all()


def driven(stretches: list[tuple[list[float], int]], qd: list[float], zones: KeepOut) -> Bounds:
    """The excavator's limits after commands for so many ticks each, at these velocities."""
    bounds = Bounds(ZX, GateLimits(), zones)
    state = state_at(0.0, ZX.home, qd)
    for values, ticks in stretches:
        told = np.array(values)
        for _ in range(ticks):
            bounds.bound(told, told, state, np.ones(4), False, 0.01)
            bounds.advance(0.01, told)
    return bounds


def least(bounds: Bounds, u: list[float]) -> Array:
    """The four least distances on the way to rest from a command."""
    worst, floor, _, posture = bounds._scratch
    floor[:] = -np.inf
    comes_to_rest(np.array(u), np.asarray(ZX.home), bounds._motion, bounds._world, worst, floor,
                  False, 0.0, LEAST_STEP, posture)  # fmt: skip
    return worst.copy()


def test_a_house_that_is_told_to_turn_about_may_go_on_for_as_long_as_it_brakes_slowly() -> None:
    behind = Zone(frame="base", polygon_m=((-12.0, -5.0), (-5.0, -5.0), (-5.0, 5.0), (-12.0, 5.0)))
    left, back = [-1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]
    bounds = driven([(left, 600), (back, 50)], [-1.0, 0.0, 0.0, 0.0], KeepOut({"yard": behind}))
    swing = bounds._x[0]
    assert swing[V + DOWN] < swing[V + UP] < 0.0
    now, turned = least(bounds, [0.0] * 4), least(bounds, back)
    assert now[G_ZONE] < 0.0 and turned[G_ZONE] <= now[G_ZONE] + 1e-9


def test_a_joint_that_sinks_against_its_command_is_taken_to_go_on_sinking() -> None:
    up = [([0.0, 0.2, 0.0, 0.0], 300)]
    boom = driven(up, [0.0, -0.2, 0.0, 0.0], KeepOut({}))._x[1]
    assert boom[V + UP] > 0.0, "the model goes up"
    assert boom[CARRIED + UP] == pytest.approx(-0.18, abs=0.01)
