"""Arc length and cross-track error on polylines, as ISO 12188-2 interpolates them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuwa_machines.contracts import Task
from kuwa_machines.paths import PathError, Polyline, cross_track, inside

SQUARE = Polyline([(0, 0), (10, 0), (10, 10), (0, 10)])


def test_arc_length_points_and_directions() -> None:
    assert SQUARE.length == pytest.approx(30)
    assert SQUARE.at([5, 15, 99, -1]) == pytest.approx(np.array([[5, 0], [10, 5], [0, 10], [0, 0]]))
    assert SQUARE.direction([5, 15, 25]) == pytest.approx([0, np.pi / 2, np.pi])


def test_left_is_positive_and_ends_go_on() -> None:
    assert SQUARE.project((4, 0.2)) == pytest.approx((4, 0.2))
    assert SQUARE.project((4, -0.2)) == pytest.approx((4, -0.2))
    assert SQUARE.project((-3, 0.5)) == pytest.approx((-3, 0.5))
    assert SQUARE.project((-2, 9.5)) == pytest.approx((32, 0.5))


def test_outside_a_corner_the_distance_to_it_counts() -> None:
    s, e = SQUARE.project((10.3, -0.4))
    assert s == pytest.approx(10) and e == pytest.approx(-0.5)


def test_the_path_is_interpolated_between_its_points() -> None:
    """The nearest point of a path with points 1 m apart would be up to 0.5 m away."""
    path = Polyline([(k, 0.0) for k in range(20)])
    x = np.linspace(0.3, 18.7, 200)
    s, e = cross_track(path, np.column_stack([x, np.full(200, 0.02)]))
    assert s == pytest.approx(x) and e == pytest.approx(np.full(200, 0.02))


def test_an_arc_is_met_to_its_sagitta() -> None:
    angle = np.arange(0, 1.5, 1 / 50)
    arc = Polyline(50 * np.column_stack([np.sin(angle), 1 - np.cos(angle)]))
    fine = np.linspace(0.01, 1.4, 500)
    _, e = cross_track(arc, 50 * np.column_stack([np.sin(fine), 1 - np.cos(fine)]))
    assert e.min() > -1 / (8 * 50) - 1e-6 and e.max() < 1e-9


@given(st.floats(0.2, 29.8), st.floats(-0.15, 0.15))
def test_a_point_set_off_sideways_comes_back(s: float, e: float) -> None:
    direction = float(SQUARE.direction(s))
    point = SQUARE.at(s) + e * np.array([-np.sin(direction), np.cos(direction)])
    found = SQUARE.project(point, near=s)
    if min(abs(s - 10), abs(s - 20)) > 0.2:
        assert found == pytest.approx((s, e), abs=1e-9)
    else:
        assert abs(found[1]) <= abs(e) + 1e-9


def test_a_path_that_comes_back_to_itself_keeps_its_place() -> None:
    """Each way is nearer to the other pass than to its own."""
    there_and_back = Polyline([(0, 0), (40, 0), (48, 0), (48, 1.6), (40, 1.6), (0, 1.6)])
    x = np.linspace(0, 40, 81)
    there = np.column_stack([x, np.full(81, 0.9)])
    turn = np.column_stack([[42, 44, 46, 48, 48, 46, 44, 42], [0, 0, 0, 0, 1.6, 1.6, 1.6, 1.6]])
    back = np.column_stack([x[::-1], np.full(81, 0.6)])
    s, e = cross_track(there_and_back, np.concatenate([there, turn, back]))
    assert np.all(np.diff(s) > 0)
    assert e[:81] == pytest.approx(np.full(81, 0.9))
    assert e[-81:] == pytest.approx(np.full(81, 1.0))


def test_repeated_points_are_one_point() -> None:
    path = Polyline([(0, 0), (0, 0), (5, 0), (5, 0), (5, 5)])
    assert path.points.shape == (3, 2) and path.length == pytest.approx(10)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([], "at least two"),
        ([(1.0, 2.0)], "at least two"),
        ([(1.0, 2.0)] * 3, "of which 1 differ"),
        ([(0, 0), (1, float("nan"))], "point 1 .*finite"),
        ([(0, 0), (float("inf"), 1)], "finite"),
        ([(0, 0, 0), (1, 1, 1)], r"\(2, 3\)"),
        ([("a", 0), (1, 1)], "pairs of numbers"),
    ],
)
def test_paths_that_are_none_are_refused(points: list, why: str) -> None:
    with pytest.raises(PathError, match=why):
        Polyline(points)


def test_a_track_must_be_finite() -> None:
    with pytest.raises(PathError, match="finite"):
        cross_track(SQUARE, [[0, 0], [np.nan, 0]])


def test_the_rectangle_of_a_task_may_be_turned_or_absent() -> None:
    points = np.array([[1, 1], [1 + 2, 1 + 2], [1 + 2, 1 - 2]])
    task = Task("plough", x=1, y=1, yaw=np.pi / 4, length=6, width=1)
    assert inside(task, points).tolist() == [True, True, False]
    assert inside(Task("plough"), points).all()
