"""Routes and turns: smooth, drivable by the machine, and refused where they are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kuwa_machines import load_machine
from kuwa_machines.contracts import Task
from kuwa_machines.errors import KuwaError, MachineError
from kuwa_machines.paths import PathError, Polyline, cross_track
from kuwa_policies.guidance.route import Limits, make_route
from kuwa_policies.guidance.turns import Pose, turn
from kuwa_policies.guidance.vehicle import Vehicle

LIMITS = Limits(20.0, 4.6, 0.1, 2.5, 1.4, 0.5, 5.0)
VEHICLE = Vehicle.from_spec(load_machine("tractor_plough"))


def arc(radius: float, angle: float, every: float = 1.0) -> tuple[tuple[float, float], ...]:
    a = np.arange(0.0, angle, every / radius)
    points = radius * np.column_stack([np.sin(a), 1 - np.cos(a)])
    return tuple((round(float(x), 2), round(float(y), 2)) for x, y in points)


@given(st.floats(-25, 25), st.floats(-25, 25), st.floats(-math.pi, math.pi))
@settings(max_examples=25, deadline=None)
def test_a_turn_meets_its_goal_within_the_steering(x: float, y: float, yaw: float) -> None:
    assume(math.hypot(x, y) > 1.0)
    points = turn(Pose(0, 0, 0), Pose(x, y, yaw), 0.22, 0.1, 0.1)
    step = np.diff(points, axis=0)
    length = np.hypot(*step.T)
    heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    assert np.hypot(*(points[-1] - (x, y))) < 1e-3
    assert abs(math.remainder(heading[-1] - yaw, 2 * math.pi)) < 0.03
    curvature = np.diff(heading) / length.mean()
    assert np.abs(curvature).max() < 0.225
    assert np.abs(np.diff(curvature)).max() < 1.3 * 0.1 * length.mean()


@pytest.mark.parametrize("width", [1.6, 5.0, 10.0, 14.0])
def test_a_turn_to_the_next_row_is_no_longer_than_it_must_be(width: float) -> None:
    """Half a circle and what is left of it, a bulb where the rows are near."""
    points = turn(Pose(0, 0, 0), Pose(0, width, math.pi), 0.22, 0.1, 0.1)
    length = np.hypot(*np.diff(points, axis=0).T).sum()
    half = math.pi / 0.22
    assert half + abs(width - 2 / 0.22) - 0.1 < length < half + 22


def test_an_arc_rounded_to_centimetres_is_smooth_again() -> None:
    route = make_route(Task("plough", path=arc(60, 1.0)), LIMITS)
    inner = route.curvature[20:-20]
    assert inner == pytest.approx(np.full(len(inner), 1 / 60), rel=0.1)
    away = np.hypot(route.x, route.y - 60) - 60
    assert np.abs(away).max() < 0.02


def test_rows_are_driven_straight_and_joined_by_turns() -> None:
    task = Task("plough", x=25, y=7, length=40, width=40, path=((0, 0), (50, 0), (50, 14), (0, 14)))
    route = make_route(task, LIMITS)
    assert route.rows.shape == (2, 2)
    assert np.diff(route.rows, axis=1).ravel() == pytest.approx([40, 40], abs=0.2)
    for a, b in route.rows:
        s = np.linspace(a, b, 50)
        assert np.abs(route.sample(s, route.curvature)).max() < 1e-3
    assert np.abs(route.curvature).max() < 1 / LIMITS.turn + 0.005
    between = (route.rows[0, 1] + route.rows[1, 0]) / 2
    assert route.sample(between, route.speed) <= LIMITS.turn_speed + 1e-9
    assert route.speed[-1] == 0.0
    _, error = cross_track(Polyline(task.path), np.column_stack([route.x, route.y])[:450])
    assert np.abs(error).max() < 1e-6


def test_a_way_that_is_too_tight_is_refused_with_both_radii() -> None:
    with pytest.raises(PathError, match=r"radius of [\d.]+ m at .*smallest radius .* 20\.00 m"):
        make_route(Task("plough", path=((0, 0), (10, 0), (10, 10))), LIMITS)
    with pytest.raises(PathError, match="radius of 1"):
        make_route(Task("plough", path=arc(12, 2.0)), LIMITS)
    make_route(Task("plough", path=arc(25, 2.0)), LIMITS)


def test_a_rectangle_beside_the_path_is_refused() -> None:
    with pytest.raises(PathError, match="never inside"):
        make_route(Task("plough", x=0, y=50, length=5, width=5, path=((0, 0), (9, 0))), LIMITS)


def test_a_place_on_the_route_is_found_again_and_beyond_its_ends() -> None:
    route = make_route(Task("plough", path=arc(40, 1.2)), LIMITS)
    for s, e in ((5.0, 0.3), (20.0, -0.5), (40.0, 0.0)):
        x, y, yaw = (float(route.sample(s, v)) for v in (route.x, route.y, route.yaw))
        found = route.project(x - e * math.sin(yaw), y + e * math.cos(yaw), s + 1.0)
        assert found == pytest.approx((s, e), abs=0.02)
    assert route.project(-2.0, 0.1, 0.0) == pytest.approx((-2.0, 0.1), abs=0.01)


def test_the_steering_and_its_curvature_are_inverse_and_the_led_wheel_limits_one_side() -> None:
    k = np.linspace(-VEHICLE.right, VEHICLE.left, 21)
    assert VEHICLE.curvature(VEHICLE.angle(k)) == pytest.approx(k)
    assert VEHICLE.left == pytest.approx(1 / (2.7 / math.tan(math.radians(40)) + 0.8))
    assert VEHICLE.right == pytest.approx(1 / (2.7 + 0.8)), "the right wheel stops at 45°"
    assert VEHICLE.min_radius == pytest.approx(4.23, abs=0.01)
    speeds = VEHICLE.wheel_speeds(np.array([2.0]), np.array([0.2]))
    assert speeds[0, 0] == pytest.approx(2.0 / 0.9)
    assert speeds[0, 2] == pytest.approx(2.0 * math.hypot(1, 0.54) / 0.65)


def test_machines_that_do_not_steer_are_refused() -> None:
    with pytest.raises(MachineError, match="stands on tracks"):
        Vehicle.from_spec(load_machine("zx200"))
    assert issubclass(PathError, KuwaError)
