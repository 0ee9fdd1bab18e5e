"""Blade, plough, dump body and bucket on one ground: whatever they do, no soil is lost."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_sim.soil import BucketTool, Ground, SoilError, bucket_tick, load_soil
from kuwa_sim.soil.blade import BladeTool, blade_tick
from kuwa_sim.soil.dump import DumpTool
from kuwa_sim.soil.layout import WIDTH
from kuwa_sim.soil.parameters import SOILS
from kuwa_sim.soil.plough import PloughTool, plough_forces, plough_tick
from soil_rig import BUCKET, TICK, bucket_pose

BODY = np.array([[3.30, 1.30], [3.25, 0.25], [0.10, 0.15], [-0.75, 0.50]])
NUMBERS = (652.0, 0.0, 5.1, 0.7, 0.5, 0.15, 0.14)


def straight_pose(x: float, y: float, z: float, yaw: float) -> np.ndarray:
    """Return a pose with x ahead, y left, z up."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.concatenate([(x, y, z), np.zeros(6), (c, s, 0), (-s, c, 0), (0, 0, 1)])


@pytest.mark.parametrize("soil", sorted(file.stem for file in SOILS.glob("*.yaml")))
def test_volume_is_exact_whatever_the_tools_do(soil: str) -> None:
    ground = Ground(load_soil(soil), (160, 160))
    bucket = BucketTool(ground, BUCKET)
    blade = BladeTool(ground, 1.5, 0.5, 0.96, 0.02)
    plough = PloughTool(ground, 3, 0.4, 0.6, NUMBERS)
    dump = DumpTool(ground, BODY, 2.3, 6.3)
    ground.reset(seed=1, roughness=0.03)
    rng = np.random.default_rng(4)
    at = np.zeros((3, 5))
    for k in range(1500):
        if k % 60 == 0:
            goal = rng.uniform([-3, -3, -0.3, 60, -180], [3, 3, 0.9, 190, 180], (3, 5))
        at += 0.03 * (goal - at)
        bucket_tick(*bucket.tick_args, bucket_pose(at[0, :3], at[0, 3], at[0, 4]), TICK)
        yaw = np.radians(at[1, 4])
        blade_tick(*blade.tick_args, straight_pose(*at[1, :3], yaw), TICK)
        yaw = np.arctan2(*(goal - at)[2, 1::-1])
        at[2, 2] = -0.15
        plough_tick(*plough.tick_args, straight_pose(*at[2, :3], yaw), TICK)
        tilt = -0.9 * (k % 500 > 350)
        c, s = np.cos(tilt), np.sin(tilt)
        dump.tick(np.array([-1.0, 0.0, 0.2]), np.array([c, 0, s, 0, 1, 0, -s, 0, c]), TICK)
        ground.level()
    assert ground.volume_error() < 1e-12
    assert bucket.moved > 0.1 and blade.moved > 0.05 and plough.moved > 0.05


def test_the_plough_turns_each_slice_one_width_to_the_right() -> None:
    ground = Ground(load_soil("loam"), (200, 160))
    tool = PloughTool(ground, 1, 0.4, 1.0, NUMBERS)
    ground.reset()
    for x in np.arange(-3.0, 3.0, 0.02):
        plough_tick(*tool.tick_args, straight_pose(x, 0.0, -0.2, 0.0), TICK)
    middle = ground.height[100]
    y = -3.975 + 0.05 * np.arange(160)
    assert middle[np.abs(y) < 0.15].max() < -0.19
    laid = ground.loose[100]
    assert laid.sum() * 0.05 == pytest.approx(0.4 * 0.2, rel=1e-9)
    assert (laid * y).sum() / laid.sum() == pytest.approx(-0.4, abs=0.03)
    assert ground.volume_error() < 1e-12


def test_the_blade_takes_what_it_cuts_and_sheds_what_it_cannot_hold() -> None:
    ground = Ground(load_soil("sandy_loam"), (200, 160))
    blade = BladeTool(ground, 1.5, 0.5, 0.96, 0.02)
    ground.reset()
    most = 0.0
    for x in np.arange(-3.0, 3.0, 0.02):
        blade_tick(*blade.tick_args, straight_pose(x, 0.0, -0.05, 0.0), TICK)
        ground.level()
        most = max(most, blade.volume)
    soil = ground.soil
    full = 1.5 * 0.5**2 / (2 * np.tan(soil.repose)) / soil.swell
    # What it cuts in the 0.3 s that shedding takes comes on top.
    assert full < most < full + 0.35 * 2.0 * 0.05 * 1.5
    y = -3.975 + 0.05 * np.arange(160)
    sides = ground.loose[:, (np.abs(y) > 0.75) & (np.abs(y) < 1.3)]
    assert sides.sum() * 0.05**2 > 0.05, "windrows at both ends"
    assert ground.height[60:120][:, np.abs(y) < 0.6].std() < 1e-6, "a level cut"
    left = ground.loose[:, y > 0.75].sum()
    assert ground.loose[:, y < -0.75].sum() == pytest.approx(left, rel=0.01)


def test_along_an_angled_blade_soil_slides_to_the_trailing_end_if_steel_lets_it() -> None:
    windrows = {}
    for soil in ("loam", "sandy_loam"):  # metal friction of 10 and of 22 degrees
        ground = Ground(load_soil(soil), (200, 160))
        blade = BladeTool(ground, 1.5, 0.5, 0.96, 0.02)
        ground.reset()
        for x in np.arange(-3.0, 2.0, 0.02):
            blade_tick(*blade.tick_args, straight_pose(x, 0.0, -0.02, np.radians(20)), TICK)
            ground.level()
        y = -3.975 + 0.05 * np.arange(160)
        ends = (y > 0.75, y < -0.75)
        windrows[soil] = [ground.loose[:, end].sum() * ground.cell**2 for end in ends]
        assert ground.volume_error() < 1e-12
    # Facing to the left, it leaves its soil there; a fifth of its way soil slides along it.
    left, right = windrows["loam"]
    assert left > 0.015 and right == 0.0
    assert windrows["sandy_loam"] == [0.0, 0.0]


def test_a_dump_body_holds_level_and_empties_tilted() -> None:
    ground = Ground(load_soil("sandy_loam"), (200, 160))
    dump = DumpTool(ground, BODY, 2.3, 6.3)
    ground.reset()
    place = np.array([0.0, 0.0, 0.9])
    level = np.eye(3).ravel()
    dump.place(place, level)
    ground.bodies[0, -1] = 3.0  # three cubic metres fall in
    start = ground.total_volume()
    for _ in range(200):
        dump.tick(place, level, TICK)
    assert dump.volume == pytest.approx(3.0)
    c, s = np.cos(-1.0), np.sin(-1.0)
    for _ in range(1500):
        dump.tick(place, np.array([c, 0, s, 0, 1, 0, -s, 0, c]), TICK)
        ground.level()
    assert dump.volume < 0.01
    assert ground.total_volume() == pytest.approx(start, abs=1e-9)


def test_there_is_room_for_four_dump_bodies() -> None:
    ground = Ground(load_soil("loam"), (40, 40))
    for _ in range(4):
        DumpTool(ground, BODY, 2.3, 6.3)
    with pytest.raises(SoilError, match="more than 4 dump bodies"):
        DumpTool(ground, BODY, 2.3, 6.3)
    assert ground.prm[WIDTH] == 0.0, "the ground's numbers hold no tool's"


def test_a_plough_that_drifts_is_pushed_back_with_its_lateral_velocity() -> None:
    """Tyre-like, and never more than its share of the draft (Pearson and Bevly, 2007)."""
    ground = Ground(load_soil("loam"), (160, 160))
    tool = PloughTool(ground, 1, 0.4, 1.0, NUMBERS)
    ground.reset()
    pose = straight_pose(0.0, 0.0, -0.2, 0.0)
    out = np.zeros(16)
    sides = []
    for drift in (-0.5, -0.02, 0.0, 0.02, 0.04, 0.5):
        pose[3], pose[4] = 2.0, 2.0 * np.tan(drift)
        plough_forces(*tool.force_args, pose, out)
        assert out[14] > 2e3
        sides.append(out[1] / out[14])
    sides = np.array(sides)
    assert sides == pytest.approx(-0.5 * np.tanh(np.tan([-0.5, -0.02, 0, 0.02, 0.04, 0.5]) / 0.14))
    assert sides[4] == pytest.approx(2 * sides[3], rel=0.03)
