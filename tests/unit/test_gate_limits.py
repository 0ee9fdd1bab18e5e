"""Limits of commands and of space: the compiled kernels against mathematics of the test's own."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_rig import PERIOD, Rig, Spec, state_at
from kuwa_hardware.bodies import Bodies, _half_planes
from kuwa_hardware.bounds import LONGEST, Bounds
from kuwa_hardware.keepout import KeepOut, Zone, ZoneError
from kuwa_hardware.kernels.motion import (
    AHEAD,
    BAND,
    BRAKE,
    CARRIED,
    DEAD,
    DOWN,
    LEVER,
    QD_MAX,
    SPEEDUP,
    UP,
    V,
    shape,
    steady,
)
from kuwa_hardware.kernels.postures import (
    BOX_LINK,
    FAR,
    G_REACH,
    G_SELF,
    G_TIP,
    G_TURNED,
    G_ZONE,
    JOINT,
    LINK,
    LOAD,
    N_DISTANCES,
    SIZE,
    distances,
    place,
    zone_distance,
)
from kuwa_hardware.kernels.resting import LEAST_STEP, comes_to_rest, told
from kuwa_hardware.limits import GateLimits
from kuwa_machines import load_machine
from kuwa_machines.chain import Chain
from kuwa_machines.contracts import Array
from kuwa_machines.loader import machine_folders
from kuwa_machines.safety import (
    Box,
    Spot,
    convex_hull,
    heaviest_load,
    support_polygon,
    tool_points,
)
from kuwa_machines.viscosity import COLDEST, HOTTEST, slowing

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
    """The least distances on the way to rest from a command."""
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


def test_a_corner_between_the_two_models_of_a_turning_body_is_seen() -> None:
    tip = Chain(ZX, "bucket_link").place(ZX.home, (0.0, 0.0, 0.0))
    x, y = np.hypot(tip[0], tip[1]) * np.array([np.cos(0.5), np.sin(0.5)])
    pillar = Zone(frame="base", polygon_m=((x, y), (x + 0.2, y), (x + 0.2, y + 0.2)))
    for zones, harm in ((KeepOut({"pillar": pillar}), True), (KeepOut({}), False)):
        bounds = Bounds(ZX, GateLimits(), zones)
        swing = bounds._x[0]
        # One model puts it on this side of the pillar, the other on that.
        swing[AHEAD + UP], swing[AHEAD + DOWN] = 1.2, -0.2
        swing[V + UP] = swing[V + DOWN] = 0.01
        assert (least(bounds, [0.0] * 4)[G_ZONE] < 0.0) == harm
        swing[AHEAD + DOWN] = 1.2
        assert least(bounds, [0.0] * 4)[G_ZONE] > 0.0, "both say it is beyond"
        swing[AHEAD + UP] = swing[AHEAD + DOWN] = -0.2
        assert least(bounds, [0.0] * 4)[G_ZONE] > 0.0, "both say it does not come there"


def test_no_corner_of_the_undercarriage_counts_as_a_moving_part() -> None:
    bodies = Bodies(ZX)
    assert (bodies.boxes[:, BOX_LINK] < 0).any(), "the tracks are in the way of the tool"
    assert (bodies.points[:, LINK] >= 0).all(), "and go nowhere themselves"


def test_the_corners_of_what_turns_with_the_house_are_moving_parts() -> None:
    bodies = Bodies(ZX)
    turning = [box for box in ZX.safety.boxes.values() if box.link != "track_link"]
    assert turning
    parts = {(bodies.names[int(row[LINK])], *row[1:4].tolist()) for row in bodies.points}
    for box in turning:
        for x in (box.low[0], box.high[0]):
            for y in (box.low[1], box.high[1]):
                assert (box.link, x, y, box.low[2]) in parts


@pytest.mark.parametrize(
    ("on_its_way", "told"),
    [([0.0, 0.0, 1.0, 0.0], [0.0, 0.8, 0.0, 0.0]), ([0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -0.8, 0.0])],
)
def test_motion_that_would_help_but_may_not_come_is_not_counted_on(
    on_its_way: list[float], told: list[float]
) -> None:
    still = [0.0] * 4
    # For less than the dead time: nothing of it is seen yet.
    alone = least(driven([(still, 65)], still, KeepOut({})), told)
    helped = least(driven([(still, 30), (on_its_way, 35)], still, KeepOut({})), told)
    there = least(driven([(still, 30), (on_its_way, 35)], still, KeepOut({})), still)
    assert there[G_REACH] > alone[G_REACH] + 0.1, "it would help"
    assert helped[G_REACH] == pytest.approx(alone[G_REACH], abs=1e-6)


def test_the_model_that_stops_early_brakes_as_hard_as_it_may() -> None:
    bounds = Bounds(ZX, GateLimits())
    swing, p, table = bounds._x, bounds._parameters, bounds._table
    swing[0, [BRAKE, SPEEDUP]] = 0.3, 1.0
    for v, late, early in ((0.5, UP, DOWN), (-0.5, DOWN, UP)):
        swing[0, V : V + 2] = v
        assert told(0, late, 0.0, p, table, swing) == (v, 0.3)
        assert told(0, early, 0.0, p, table, swing) == (v, 1.0)


def test_a_joint_that_sinks_against_its_command_is_taken_to_go_on_sinking() -> None:
    up = [([0.0, 0.2, 0.0, 0.0], 300)]
    boom = driven(up, [0.0, -0.2, 0.0, 0.0], KeepOut({}))._x[1]
    assert boom[V + UP] > 0.0, "the model goes up"
    assert boom[CARRIED + UP] == pytest.approx(-0.18, abs=0.01)


@pytest.mark.parametrize("machine", sorted(machine_folders()))
def test_no_point_is_farther_from_a_joint_than_its_lever(machine: str) -> None:
    spec = load_machine(machine)
    bodies = Bodies(spec)
    chains = [Chain(spec, name) for name in bodies.names]
    rng = np.random.default_rng(0)
    low, high = np.maximum(spec.q_min, -3.2), np.minimum(spec.q_max, 3.2)
    for q in rng.uniform(low, high, (20, len(low))):
        places = [(int(row[0]), chains[int(row[0])].place(q, row[1:4])) for row in bodies.points]
        for k, chain in enumerate(chains):
            pin = chain.place(q, (0.0, 0.0, 0.0))
            beyond = [float(np.linalg.norm(at - pin)) for link, at in places if link >= k]
            if (joint := int(bodies.links[k, JOINT])) >= 0:
                assert max(beyond, default=0.0) <= bodies.levers[joint, G_ZONE] + 1e-6


def seen(bounds: Bounds, q: Array) -> Array:
    """The distances of a posture in which nothing moves."""
    out = np.zeros(N_DISTANCES)
    distances(q, 0.0, bounds._world, out)
    return out


@pytest.mark.parametrize("machine", sorted(machine_folders()))
def test_no_distance_changes_faster_with_a_joint_than_its_lever_says(machine: str) -> None:
    spec = load_machine(machine)
    bounds = Bounds(spec, GateLimits())
    levers = bounds._parameters[:, LEVER:]
    # The exact distances everywhere, not those from a ball around the tool.
    bounds._world[5][0, SIZE] = 10.0 * FAR
    rng = np.random.default_rng(1)
    low, high = np.maximum(spec.q_min, -3.2), np.minimum(spec.q_max, 3.2)
    groups = [G_REACH, G_TIP, G_SELF]
    for q in rng.uniform(low, high, (200, len(low))):
        bounds._weight[LOAD] = rng.uniform(0.0, heaviest_load(spec))
        step = np.clip(q + rng.uniform(-0.02, 0.02, len(q)), low, high) - q
        change = np.abs(seen(bounds, q + step) - seen(bounds, q))
        assert (change <= np.abs(step) @ levers + 1e-6)[groups].all()


@pytest.mark.parametrize("machine", sorted(machine_folders()))
def test_what_the_turning_of_the_whole_machine_cannot_change_it_does_not(machine: str) -> None:
    spec = load_machine(machine)
    bounds = Bounds(spec, GateLimits())
    levers = bounds._parameters[:, LEVER:]
    turning = spec.joint_names[0] == "swing_joint"
    assert (levers[0] == 0.0).any() == turning or not levers[0].any()
    rng = np.random.default_rng(2)
    low, high = np.maximum(spec.q_min, -3.2), np.minimum(spec.q_max, 3.2)
    for q in rng.uniform(low, high, (100, len(low))):
        here = seen(bounds, q)
        if not turning:
            assert here[G_TURNED] < 0.0, "never taken for clear"
            continue
        for angle in rng.uniform(-np.pi, np.pi, 20):
            turned = seen(bounds, np.array([angle, *q[1:]]))
            assert turned[[G_REACH, G_TURNED]] == pytest.approx(here[[G_REACH, G_TURNED]], abs=1e-9)
            assert here[G_TURNED] <= turned[G_SELF] + 1e-9


def test_in_a_work_space_with_corners_the_reach_changes_as_the_house_turns() -> None:
    safety = ZX.safety
    for half, same in ((10.5, True), (9.0, False)):
        space = safety.workspace.model_copy(
            update={"low": (-half, -half, -9.0), "high": (half, half, 9.0)}
        )
        spec = ZX.model_copy(update={"safety": safety.model_copy(update={"workspace": space})})
        assert (Bodies(spec).levers[0, G_REACH] == 0.0) == same


def test_what_has_nothing_below_its_house_is_clear_of_it_however_it_turns() -> None:
    boxes = {name: box for name, box in ZX.safety.boxes.items() if box.link != "track_link"}
    safety = ZX.safety.model_copy(update={"boxes": boxes})
    bounds = Bounds(ZX.model_copy(update={"safety": safety}), GateLimits())
    home = seen(bounds, np.asarray(ZX.home))
    assert home[G_TURNED] == home[G_SELF]


@pytest.mark.parametrize("shift", [(1.5, 0.0), (-1.5, 0.0), (0.0, 1.5), (0.0, -1.5)])
def test_an_undercarriage_that_stands_out_to_one_side_may_be_on_any(
    shift: tuple[float, float],
) -> None:
    def moved(box: Box) -> Box:
        low, high = np.add(box.low, (*shift, 0.0)), np.add(box.high, (*shift, 0.0))
        return box.model_copy(update={"low": tuple(low), "high": tuple(high)})

    boxes = {
        name: moved(box) if box.link == "track_link" else box
        for name, box in ZX.safety.boxes.items()
    }
    safety = ZX.safety.model_copy(update={"boxes": boxes})
    bounds = Bounds(ZX.model_copy(update={"safety": safety}), GateLimits())
    rng = np.random.default_rng(3)
    for q in rng.uniform(np.maximum(ZX.q_min, -3.2), np.minimum(ZX.q_max, 3.2), (500, 4)):
        distance = seen(bounds, q)
        assert distance[G_TURNED] <= distance[G_SELF] + 1e-9


class Endless:
    """The excavator with an arm that turns without end."""

    q_min = np.where([False, False, True, False], -np.inf, ZX.q_min)
    q_max = np.where([False, False, True, False], np.inf, ZX.q_max)

    def __getattr__(self, name: str) -> Any:
        return getattr(ZX, name)


def test_a_joint_without_end_moves_the_centre_of_mass_no_less_than_one_with_ends() -> None:
    with_ends, without = Bodies(ZX).levers, Bodies(Endless()).levers  # type: ignore[arg-type]
    assert np.isfinite(without).all()
    assert (without >= 0.95 * with_ends).all() and (without[1] >= with_ends[1]).all()


def test_a_tool_on_the_undercarriage_moves_with_no_joint() -> None:
    tool = ZX.tool.model_copy(update={"link": ZX.undercarriage.link})
    assert not Bodies(ZX.model_copy(update={"tool": tool})).levers.any()


def test_a_machine_of_which_nothing_is_known_may_have_an_unknown_load() -> None:
    bounds = Bounds(Spec(), GateLimits())  # type: ignore[arg-type]
    state = replace(state_at(1.0), tool_load=np.nan)
    bounds.learn(state)
    nothing, full = np.zeros(4), np.ones(4)
    assert not bounds.bound(nothing, nothing, state, full, False, 0.01).any()


def test_guided_strokes_are_slow_and_never_beyond_what_is_allowed() -> None:
    bounds = Bounds(ZX, GateLimits())
    assert (bounds.guided(0.3, 1e3) == 0.3).all()
    slow = bounds.guided(1.0, 0.1)
    for j, row in enumerate(bounds._parameters):
        speed = abs(steady(bounds._parameters, bounds._table, j, slow[j], ZX.home[j]))
        assert row[BAND] < slow[j] < 1.0
        assert speed <= 0.1 * row[QD_MAX] * (1.0 + 1e-9)


@pytest.mark.parametrize(("temperature", "known"), [(-90.0, COLDEST), (500.0, HOTTEST)])
def test_oil_beyond_what_is_known_counts_as_the_nearest_that_is(
    temperature: float, known: float
) -> None:
    bounds = Bounds(ZX, GateLimits())
    bounds.learn(replace(state_at(1.0), oil_temperature=temperature))
    assert bounds.slowing == slowing(ZX.hydraulics.oil, known)


def test_a_dead_time_beyond_the_models_memory_is_cut() -> None:
    bounds = Bounds(Spec(dead_time=(9.0, 0.6, 0.4, 0.3)), GateLimits())  # type: ignore[arg-type]
    bounds.learn(state_at(1.0))
    dead = bounds._parameters[:, DEAD]
    assert dead[0] < LONGEST and dead[1] == 0.6


@pytest.mark.parametrize(("told", "counts"), [(700.0, 700.0), (-300.0, 0.0), (np.nan, None)])
def test_a_load_is_never_less_than_none_and_the_heaviest_where_unknown(
    told: float, counts: float | None
) -> None:
    bounds = Bounds(ZX, GateLimits())
    bounds.learn(replace(state_at(1.0), tool_load=told))
    assert bounds.bodies is not None
    assert bounds._weight[LOAD] == (bounds.bodies.heaviest if counts is None else counts)


@pytest.mark.parametrize("machine", sorted(machine_folders()))
def test_every_moving_part_is_where_the_machines_file_puts_it(machine: str) -> None:
    spec = load_machine(machine)
    bodies = Bodies(spec)
    k = len(bodies.names)
    rot, pos = np.zeros((k, 3, 3)), np.zeros((k, 3))
    rng = np.random.default_rng(0)
    low, high = np.maximum(spec.q_min, -3.2), np.minimum(spec.q_max, 3.2)
    for q in rng.uniform(low, high, (20, len(low))):
        place(q, bodies.links, bodies.led, bodies.led_grid, rot, pos)
        for row, name in enumerate(bodies.names):
            wanted = Chain(spec, name).place(q, (0.4, -0.3, 0.2))
            # The angle of a link that follows another is between the points of a table.
            np.testing.assert_allclose(rot[row] @ (0.4, -0.3, 0.2) + pos[row], wanted, atol=2e-3)


def test_only_what_moves_has_points() -> None:
    spec = load_machine("zx200")
    assert any(box.link == spec.undercarriage.link for box in spec.safety.boxes.values())
    assert (Bodies(spec).points[:, 0] >= 0).all()


def test_points_of_several_links_are_looked_at_each() -> None:
    hook = Spot.model_construct(link="arm_link", at=(1.0, 0.0, -0.5))
    safety = ZX.safety.model_copy(update={"tool_points": {"hook": hook}})
    spec = ZX.model_copy(update={"safety": safety})
    assert Bodies(ZX).balls[0, SIZE] < 2.0 < FAR < Bodies(spec).balls[0, SIZE]


@pytest.mark.parametrize("turn", [1, -1])
def test_inside_is_inside_whichever_way_a_polygon_goes_round(turn: int) -> None:
    square = np.array([(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (0.0, 1.0)])[::turn]
    planes = _half_planes(square)
    assert sorted(planes[:, :2] @ (0.5, 0.4) + planes[:, 2]) == pytest.approx([0.4, 0.5, 0.6, 1.5])
