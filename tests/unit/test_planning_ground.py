"""What planners make of the ground: targets, rows, lanes, corrections, places for spoil."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import HeightMap, Task
from kuwa_machines.errors import KuwaError
from kuwa_machines.kinematics import transform
from kuwa_policies.planning.correction import Correction
from kuwa_policies.planning.empty import Emptying
from kuwa_policies.planning.hard import HardRows
from kuwa_policies.planning.lane import Field
from kuwa_policies.planning.spoil import Spoil
from kuwa_policies.planning.strip import Target
from kuwa_policies.planning.trajectory import PathCompiler

KIN = PathCompiler(load_machine("zx200")).kin
LEVEL = transform(np.array([0.0, 0.0, 0.2]), np.array([1.0, 0.0, 0.0, 0.0]))


def ground(height: float = 0.0, cell: float = 0.05) -> HeightMap:
    return HeightMap(np.full((240, 200), height), -2.0, -5.0, cell)


def test_the_target_is_a_plane_through_the_mean_of_the_start() -> None:
    rough = ground()
    rough.height[:] += np.random.default_rng(0).normal(0.0, 0.02, rough.height.shape)
    task = Task("grade", 6.0, 0.5, np.pi, 4.0, 2.0, depth=0.1, tolerance=0.03, slope=0.05)
    target = Target.of(task, rough)
    i, j = rough.index(6.0, 0.5)
    assert target.height[i, j] == pytest.approx(rough.height[target.inside].mean() - 0.1, abs=2e-3)
    k, _ = rough.index(4.0, 0.5)  # yaw points towards the machine: it rises that way
    assert target.height[k, j] - target.height[i, j] == pytest.approx(0.1, abs=1e-6)
    assert target.inside.sum() == pytest.approx(4.0 * 2.0 / 0.05**2, rel=0.03)
    with pytest.raises(KuwaError, match="lie on the map"):
        Target.of(Task("grade", 10.0, 0.0, 0.0, 6.0, 2.0), rough)


def test_lanes_cover_the_rectangle_and_one_is_enough_for_a_bucket() -> None:
    wide = Task("grade", 6.5, 0.0, 0.0, 5.0, 3.0, tolerance=0.03)
    field = Field(wide, ground(), LEVEL, KIN)
    lanes = field.lanes(1.0)
    covered = np.zeros(ground().height.size, dtype=bool)
    for lane in lanes:
        covered[lane.strip.cells] = True
    assert covered.reshape(ground().height.shape)[field.target.inside].mean() > 0.999
    assert 4 <= len(lanes) <= 7
    assert abs(lanes[0].swing - field.swing) <= min(abs(a.swing - field.swing) for a in lanes)
    narrow = Task("dig_trench", 6.5, 0.0, 0.0, 3.0, 1.0, 0.5, tolerance=0.03)
    assert len(Field(narrow, ground(), LEVEL, KIN).lanes(1.0)) == 1


def test_a_row_without_cells_lies_between_its_neighbours() -> None:
    turned = Task("dig_trench", 4.6, 4.6, np.pi / 4, 3.0, 1.0, 0.5, tolerance=0.03)
    # A map of coarse cells leaves diagonal rows empty.
    field = Field(turned, HeightMap(np.zeros((80, 100)), -2.0, -5.0, 0.15), LEVEL, KIN)
    strip = field.single().strip
    rows = strip.rows_of(strip.target)
    assert np.all(np.isfinite(rows)) and np.allclose(rows, -0.5, atol=1e-9)


def test_a_repeated_error_is_learnt_and_unworked_rows_teach_nothing() -> None:
    correction = Correction(40)
    gives = np.where(np.arange(40) < 20, -0.02, 0.01)
    for _ in range(12):
        surface = np.full(40, 0.05)
        correction.expect(surface, np.zeros(40))
        correction.learn(correction.value + gives)
    assert np.abs(correction.value[3:15] - 0.02).max() < 5e-3
    assert np.abs(correction.value[25:37] + 0.01).max() < 5e-3
    before = correction.value.copy()
    correction.expect(np.zeros(40), np.full(40, 0.02))
    correction.learn(np.full(40, 0.002))
    assert np.array_equal(correction.value, before)


def test_soil_that_slides_in_is_no_reason_to_dig_much_deeper() -> None:
    correction = Correction(10)
    for _ in range(20):
        correction.expect(np.full(10, 0.1), np.zeros(10))
        correction.learn(np.full(10, 0.06))
    assert correction.value.min() >= -0.02 - 1e-12


def test_spoil_goes_to_the_lowest_place_in_reach() -> None:
    cycle = Emptying(KIN)
    hill = ground()
    spoil = Spoil(Task("dig_trench", spoil_x=1.0, spoil_y=4.0), LEVEL, KIN.base)
    first = spoil.next(hill, cycle.can_empty)
    assert (first.swing, first.r) == (spoil.swing, spoil.r)
    hill.height[np.ix_(np.abs(hill.xs() - 1.0) < 0.6, np.abs(hill.ys() - 3.35) < 0.4)] = 1.0
    second = spoil.next(hill, cycle.can_empty)
    assert (second.swing, second.r) != (first.swing, first.r)
    far = Spoil(Task("dig_trench", spoil_x=0.0, spoil_y=8.2), LEVEL, KIN.base)
    assert not cycle.can_empty(far.next(ground(), lambda place: False))
    reached = far.next(ground(), cycle.can_empty)
    assert reached.r < far.r and cycle.can_empty(reached)


def test_rows_that_stay_high_twice_are_hard_up_to_their_peak() -> None:
    hard = HardRows(np.arange(60) * 0.05)
    left = np.zeros(60)
    left[20:40] = 0.2 * np.sin(np.linspace(0.0, np.pi, 20))
    for strike in range(2):
        hard.expect(left + 0.02, np.zeros(60))
        assert hard.judge(left) == (strike == 1)
    rows = np.flatnonzero(hard.rows)
    assert rows.min() in (29, 30) and rows.max() <= 37  # behind the peak it may only have ridden
    floor = hard.over(np.full(60, -0.3))
    assert np.all(floor[rows] > left[rows] + 0.04)
    assert floor[:20].max() == -0.3 and floor[50:].max() == -0.3
    assert np.abs(np.diff(floor)).max() < 0.15
    assert "1.4" in hard.words or "1.5" in hard.words


def test_rows_that_give_way_or_were_not_asked_are_not_hard() -> None:
    hard = HardRows(np.arange(60) * 0.05)
    for _ in range(5):
        hard.expect(np.full(60, 0.3), np.zeros(60))
        assert not hard.judge(np.full(60, 0.12))
        hard.expect(np.full(60, 0.05), np.zeros(60))
        assert not hard.judge(np.full(60, 0.05))
    assert hard.words == "" and np.array_equal(hard.over(np.zeros(60)), np.zeros(60))
