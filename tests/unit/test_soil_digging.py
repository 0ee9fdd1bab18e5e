"""The bucket cuts, fills, carries, spills and pushes, and no soil is lost on the way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_sim.soil.layout import CUT
from soil_rig import BUCKET, TICK, bucket_pose, dig_and_dump, drive, terrain


def test_a_dig_leaves_a_trench_of_the_path_and_a_heap_of_the_load() -> None:
    ground = terrain()
    dig_and_dump(ground)
    ground.settle()
    grid = ground.height_map()
    x, y = np.meshgrid(grid.xs(), grid.ys(), indexing="ij")
    floor = ground.height[(np.abs(y) < 0.5) & (x > -0.3) & (x < 1.3)]
    assert floor == pytest.approx(-0.2, abs=0.035)
    assert np.count_nonzero(ground.height[60, 40:80] < -0.1) == 20  # as wide as the bucket
    heap = ground.loose[(np.hypot(x + 0.05, y - 1.8) < 1.2) & (y > 0.8)].sum() * ground.cell**2
    assert 0.8 * ground.load[CUT] < heap < ground.load[CUT]
    assert ground.bucket_mass == 0.0
    assert ground.volume_error() < 1e-12


def test_the_bucket_fills_carries_and_empties() -> None:
    ground = terrain()
    fills: list[float] = []
    knots = [
        (0.0, 1.8, 0.0, 0.0, 70.0, 0.0), (1.0, 1.5, 0.0, -0.25, 80.0, 0.0),
        (4.0, -0.5, 0.0, -0.25, 110.0, 0.0), (5.0, -0.9, 0.0, 0.1, 160.0, 0.0),
        (6.0, 0.0, 0.0, 1.5, 172.0, 0.0), (9.0, 0.0, 1.9, 1.5, 172.0, 40.0),
        (10.0, 0.0, 1.9, 1.5, 20.0, 40.0), (12.0, 0.0, 1.9, 1.5, 20.0, 40.0),
    ]  # fmt: skip
    drive(ground, knots, lambda pose: fills.append(ground.bucket_volume))
    carried = fills[650]
    assert 0.7 * BUCKET.heaped < carried <= BUCKET.heaped + 1e-12
    assert fills[890] == carried  # nothing is lost on the way
    assert fills[-1] == 0.0
    assert np.all(np.diff(fills[900:]) <= 0.0)


def test_an_open_bucket_pushes_what_it_cannot_hold() -> None:
    ground = terrain()
    drive(ground, [(0, 1.5, 0, 0.05, 130, 0), (0.1, 1.5, 0, -0.1, 130, 0)])
    drive(ground, [(0, 1.5, 0, -0.1, 90, 0), (4, -1.5, 0, -0.1, 90, 0)])
    assert ground.bucket_volume < 0.3 * BUCKET.heaped  # hardly holds any with its floor so steep
    assert ground.height[20:32, 50:70].max() > 0.15  # x from -2 to -1.4, in front of the edge
    assert ground.volume_error() < 1e-12


def test_the_shell_makes_room_for_itself() -> None:
    ground = terrain()
    drive(ground, [(0, 0, 0, 0.7, 180, 0), (2, 0, 0, 0.5, 180, 0)])  # heel 0.66 below the tip
    assert ground.height.min() < -0.1
    assert ground.height.max() > 0.02
    assert ground.bucket_mass == 0.0
    assert ground.volume_error() < 1e-12


@pytest.mark.parametrize("speed", [0.2, 1.0, 5.0, 20.0])
def test_no_column_is_skipped_at_any_speed(speed: float) -> None:
    ground = terrain()
    drive(ground, [(0, 1.5, 0.02, -0.1, 130, 0), (3.0 / speed, -1.5, 0.02, -0.1, 130, 0)])
    cut = ground.bank < -0.099
    rows = cut[32:88].sum(axis=1)  # x from -1.4 to 1.4
    assert np.all(rows == 20)


def test_a_pass_is_the_same_width_in_any_direction() -> None:
    areas = []
    for yaw in range(0, 100, 15):
        ground = terrain()
        c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
        drive(
            ground,
            [(0, 1.5 * c, 1.5 * s, -0.1, 130, yaw), (3, -1.5 * c, -1.5 * s, -0.1, 130, yaw)],
        )
        areas.append(np.count_nonzero(ground.bank < -0.09) * ground.cell**2)
    assert areas == pytest.approx([3.0] * len(areas), rel=0.03)


def test_soil_does_not_run_through_the_bucket() -> None:
    """What is heaped in front of the edge must not reappear behind it."""
    ground = terrain()
    drive(ground, [(0, 1.5, 0, 0.0, 100, 0), (1, 1.5, 0, -0.15, 100, 0)])
    drive(ground, [(0, 1.5, 0, -0.15, 100, 0), (4, -1.0, 0, -0.15, 100, 0)])
    behind = ground.loose[41:80, 55:65]  # x from -0.95 to 1, out of reach of the sides
    assert behind.max() < 0.01
    assert ground.height.max() > 0.15


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["sandy_loam", "dry_sand"]))
def test_volume_is_conserved_under_any_motion(seed: int, soil: str) -> None:
    rng = np.random.default_rng(seed)
    ground = terrain(soil, 80)
    ground.reset(seed=seed, roughness=0.05)
    before = ground.total_volume()
    n = 12
    knots = np.column_stack([
        0.5 * np.arange(n), rng.uniform(-2.2, 2.2, n), rng.uniform(-2.2, 2.2, n),
        rng.uniform(-0.8, 0.8, n), rng.uniform(-60, 240, n), rng.uniform(-180, 180, n),
    ])  # fmt: skip
    out = np.zeros(16)

    def check(pose: np.ndarray) -> None:
        ground.forces(pose, out)
        assert np.all(np.isfinite(out))
        assert 0.0 <= ground.bucket_volume <= BUCKET.heaped * 1.0001

    drive(ground, [tuple(k) for k in knots], check)
    assert abs(ground.total_volume() - before) < 1e-9
    assert ground.volume_error() < 1e-9
    assert ground.loose.min() >= 0.0
    assert np.array_equal(ground.height, ground.bank + ground.soil.swell * ground.loose)


def test_the_same_motion_gives_the_same_bits() -> None:
    first, second = terrain(), terrain()
    dig_and_dump(second, 0.1)
    second.reset()
    for ground in (first, second):
        dig_and_dump(ground)
    assert np.array_equal(first.height, second.height)
    assert np.array_equal(first.load, second.load)


def test_a_bucket_on_its_side_drops_everything() -> None:
    ground = terrain()
    dig_and_carry = [(0.0, 1.5, 0.0, -0.2, 110.0, 0.0), (3.0, -0.5, 0.0, -0.2, 120.0, 0.0),
                     (4.0, -0.5, 0.0, 1.0, 172.0, 0.0)]  # fmt: skip
    drive(ground, dig_and_carry)
    assert ground.bucket_mass > 300.0
    pose = bucket_pose((0, 0, 1), 180)
    pose[9:18] = 0, 1, 0, 0, 0, 1, 1, 0, 0  # the edge upright
    for _ in range(300):
        ground.tick(pose, TICK)
    assert ground.bucket_mass == 0.0
    assert ground.volume_error() < 1e-12
