"""The score of a dig: exact on ground whose shape is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuwa_machines import load_machine
from kuwa_machines.contracts import HeightMap, Task
from kuwa_sim.scenario import load_scenario
from kuwa_sim.score.earthwork import footprint, score_earthwork, target_surface
from kuwa_sim.score.judge import Score, score_run
from kuwa_sim.score.log import ScoreError, Values, WorkLog, cycle_times, energy
from kuwa_sim.score.maps import Maps
from kuwa_sim.soil import load_soil
from kuwa_sim.soil.obstacles import Obstacle

SPEC = load_machine("zx200")
SOIL = load_soil("sandy_loam")
STATION = load_scenario("dig_trench").lead
TASK = Task("dig_trench", 6.5, 0.0, 0.0, 3.0, 1.0, 0.5, 1.0, 6.0, 0.05)


def ground(level: float = 0.0) -> HeightMap:
    height = np.full((270, 270), level)
    return HeightMap(height, -2.475, -3.975, 0.05)


def dug(task: Task, start: HeightMap, depth: float | None = None) -> HeightMap:
    height = start.height.copy()
    height[footprint(task, start)] -= task.depth if depth is None else depth
    return replace(start, height=height)


def log(duration: float = 60.0, power: float = 36_000.0, rows: int = 601) -> WorkLog:
    t = np.linspace(0.0, duration, rows)
    cycle = np.minimum(1 + (t // 20.0), 3).astype(np.int64)
    done = t >= duration
    return WorkLog(t, np.tile(SPEC.home, (rows, 1)), cycle, done, np.full(rows, power))


def figures(task: Task, start: HeightMap, final: HeightMap, rows: WorkLog) -> Values:
    return score_earthwork(task, Maps(start, final), rows, SPEC, SOIL)


def judged(final: HeightMap, rows: WorkLog) -> Score:
    return score_run(STATION, Maps(ground(), final), rows, SPEC, SOIL)


def test_a_perfect_trench_scores_one() -> None:
    start = ground(0.2)
    score = figures(TASK, start, dug(TASK, start), log())
    assert score["share_within_tolerance"] == 1.0
    assert score["rmse_m"] == pytest.approx(0.0, abs=1e-12)
    assert score["volume_moved_m3"] == pytest.approx(3.0 * 1.0 * 0.5, rel=0.02)
    assert score["volume_moved_m3"] == pytest.approx(score["volume_target_m3"])
    assert score["over_dig_m3"] == score["ramp_volume_m3"] == score["spoil_volume_m3"] == 0.0
    assert score["energy_kwh"] == pytest.approx(36_000 * 60 / 3.6e6)
    assert score["rate_m3_h"] == pytest.approx(score["volume_moved_m3"] * 60)
    whole = judged(dug(TASK, ground()), log())
    assert whole.success and whole.done and whole.missed == ()
    assert (score["cycles"], score["cycle_mean_s"]) == (3, pytest.approx(20.0, abs=0.11))


def test_untouched_ground_scores_nothing() -> None:
    start = ground()
    score = figures(TASK, start, start, log())
    assert score["share_within_tolerance"] == 0.0
    assert score["rmse_m"] == pytest.approx(0.5)
    assert score["volume_moved_m3"] == 0.0
    assert score["energy_per_volume_kwh_m3"] is None and score["rate_m3_h"] is None


@given(st.floats(0.0, 0.1), st.floats(-0.3, 0.3))
def test_a_floor_off_by_less_than_the_tolerance_counts(off: float, level: float) -> None:
    start = ground(level)
    for depth in (TASK.depth - off, TASK.depth + off):
        score = figures(TASK, start, dug(TASK, start, depth), log())
        if abs(off - TASK.tolerance) > 1e-9:
            assert score["share_within_tolerance"] == (1.0 if off < TASK.tolerance else 0.0)
        assert score["rmse_m"] == pytest.approx(off, abs=1e-9)


def test_ramp_over_dig_and_spoil_are_told_apart() -> None:
    start = ground()
    final = dug(TASK, start)
    xs, ys = final.xs()[:, None], final.ys()[None, :]
    ramp = (xs > 4.0) & (xs < 4.8) & (np.abs(ys) < 0.5)
    hole = (np.abs(xs - 8.0) < 0.3) & (np.abs(ys - 3.0) < 0.3)
    heap = np.hypot(xs - 1.0, ys - 6.0) < 0.8
    stray = np.hypot(xs - 6.5, ys - 4.0) < 0.3
    final.height[ramp] -= 0.2
    final.height[hole] -= 0.4
    final.height[heap] += 0.7
    final.height[stray] += 0.1
    area = final.cell**2
    score = figures(TASK, start, final, log())
    assert score["ramp_volume_m3"] == pytest.approx(ramp.sum() * area * 0.2)
    assert score["over_dig_m3"] == pytest.approx(hole.sum() * area * 0.4)
    assert score["volume_moved_m3"] == pytest.approx(
        score["volume_target_m3"] + score["ramp_volume_m3"]
    )
    assert score["spoil_volume_m3"] == pytest.approx(area * (heap.sum() * 0.7 + stray.sum() * 0.1))
    assert score["spoil_off_heap_m3"] == pytest.approx(area * stray.sum() * 0.1)


def test_digging_too_deep_in_the_rectangle_is_over_dig() -> None:
    start = ground()
    score = figures(TASK, start, dug(TASK, start, 0.65), log())
    assert score["over_dig_m3"] == pytest.approx(footprint(TASK, start).sum() * 0.05**2 * 0.10)


@given(st.floats(-math.pi, math.pi))
def test_the_score_turns_with_the_task(yaw: float) -> None:
    task = replace(TASK, x=4.0, y=2.5, yaw=yaw)
    start = ground(0.1)
    score = figures(task, start, dug(task, start), log())
    assert score["share_within_tolerance"] == 1.0
    assert score["volume_moved_m3"] == pytest.approx(1.5, rel=0.05)


def test_joints_outside_their_range_fail_the_run() -> None:
    start, rows = ground(), log()
    rows.q[100:107, 1] = SPEC.q_max[1] + 0.02
    score = judged(dug(TASK, start), rows)
    assert score.figures["limit_violations"] == 7 and not score.success
    assert score.missed == ("limit_violations 7, needs ≤ 0",)


def test_only_finished_cycles_count() -> None:
    t = np.arange(0.0, 50.0, 0.1)
    cycle = np.where(t < 5, 0, np.where(t < 21, 1, np.where(t < 38, 2, 3))).astype(np.int64)
    never = np.zeros(t.size, bool)
    assert cycle_times(t, cycle, never) == pytest.approx([16.0, 17.0], abs=0.11)
    assert cycle_times(t, cycle, t > 48.0) == pytest.approx([16.0, 17.0, 10.1], abs=0.11)
    assert cycle_times(t, np.zeros(t.size, np.int64), never).size == 0
    assert cycle_times(t[:0], cycle[:0], never[:0]).size == 0


def test_energy_of_uneven_rows() -> None:
    t = np.array([0.0, 1.0, 1.5, 4.0])
    assert energy(t, 2.0 * t) == pytest.approx(16.0)
    assert energy(t[:1], t[:1]) == 0.0


def test_what_cannot_be_scored_says_why() -> None:
    start = ground()
    small = HeightMap(np.zeros((10, 10)), 0.0, 0.0, 0.05)
    with pytest.raises(ScoreError, match="same extent"):
        figures(TASK, start, small, log())
    with pytest.raises(ScoreError, match="covers no cell"):
        target_surface(replace(TASK, x=50.0), start)
    spoilt = dug(TASK, start)
    spoilt.height[3, 3] = np.nan
    with pytest.raises(ScoreError, match="final map: 1 of 72900"):
        figures(TASK, start, spoilt, log())


def test_a_slope_is_judged_against_its_plane() -> None:
    task = Task("grade", 6.0, 0.0, 0.0, 5.0, 1.0, slope=0.1, tolerance=0.03)
    start = ground()
    final = replace(start, height=target_surface(task, start) + 0.02)
    score = figures(task, start, final, log())
    assert score["rmse_m"] == pytest.approx(0.02) == score["bias_m"]
    assert score["rmse_before_m"] == pytest.approx(0.1 * 5.0 / math.sqrt(12), rel=0.02)


def test_the_fill_is_that_of_the_fullest_moment_of_each_cycle() -> None:
    rows = log()
    full = SPEC.bucket.heaped_capacity * SOIL.specific_weight / 9.81 / SOIL.swell
    load = np.where(rows.cycle == 1, full, np.where(rows.cycle == 2, full / 2, 0.0))
    score = figures(TASK, ground(), ground(), replace(rows, load=load))
    assert score["fill_factor"] == pytest.approx(0.75)
    assert score["carried_m3"] == pytest.approx(1.5 * SPEC.bucket.heaped_capacity)


def test_what_a_boulder_blocks_does_not_count() -> None:
    start = ground()
    final = dug(TASK, start)
    boulder = Obstacle("ellipsoid", (6.5, 0.0, -0.4), (0.3, 0.3, 0.3))
    near = np.hypot(final.xs()[:, None] - 6.5, final.ys()[None, :]) <= 0.45
    final.height[near] = -0.1
    assert (figures(TASK, start, final, log())["share_within_tolerance"] or 0) < 0.9
    maps = Maps(start, final, [boulder])
    values = score_earthwork(TASK, maps, log(), SPEC, SOIL)
    assert values["share_within_tolerance"] == 1.0
    deep = Maps(start, final, [Obstacle("box", (6.5, 0.0, -1.5), (0.3, 0.3, 0.3))])
    assert not deep.blocked(target_surface(TASK, start)).any()
