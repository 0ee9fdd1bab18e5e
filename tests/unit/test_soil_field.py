"""The ground conserves volume, heaps to its repose, and stands or falls by its cohesion."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kuwa_sim.soil import SoilError, Terrain, surface_height, surface_normal
from kuwa_sim.soil.field import cut_column, put_down
from kuwa_sim.soil.layout import UNSETTLED
from soil_rig import BUCKET, terrain


def pour(ground: Terrain, x: float, y: float, volume: float, times: int = 50) -> None:
    for _ in range(times):
        put_down(
            ground.bank, ground.loose, ground.height, ground.tiles, ground.prm,
            x, y, 1.0, 0.0, 0.15, 0.15, volume / times,
        )  # fmt: skip
        ground.settle(1)
    ground.settle()


def cut_box(ground: Terrain, depth: float, half: int = 10) -> float:
    """Take a box out of the middle; return its bank volume."""
    n = ground.height.shape[0] // 2
    taken = 0.0
    for i in range(n - half, n + half):
        for j in range(n - half, n + half):
            taken += cut_column(
                ground.bank,
                ground.loose,
                ground.packed,
                ground.height,
                ground.tiles,
                ground.prm,
                i,
                j,
                -depth,
            )
    return taken * ground.cell**2


def steepest(height: NDArray[np.float64], cell: float) -> float:
    """Return the steepest slope along the axes [deg]."""
    gx = np.abs(np.diff(height, axis=0)).max() / cell
    gy = np.abs(np.diff(height, axis=1)).max() / cell
    return math.degrees(math.atan(max(gx, gy)))


@pytest.mark.parametrize("soil", ["sandy_loam", "dry_sand"])
def test_a_heap_is_a_round_cone_at_repose(soil: str) -> None:
    ground = terrain(soil)
    pour(ground, 0.0, 0.0, 1.0)
    repose = math.degrees(ground.soil.repose)
    assert steepest(ground.height, ground.cell) == pytest.approx(repose, abs=2.0)
    # A cone of this volume and slope, V = pi/3 tan(repose) r³, as wide across as along the axes.
    radius = (3 * ground.soil.swell / (math.pi * math.tan(ground.soil.repose))) ** (1 / 3)
    grid = ground.height_map()
    x, y = np.meshgrid(grid.xs(), grid.ys(), indexing="ij")
    flank = (ground.height > 0.1) & (ground.height < 0.3)
    slope = (radius - np.hypot(x, y)[flank]) * math.tan(ground.soil.repose)
    assert np.abs(slope - ground.height[flank]).mean() < 0.06
    axis = np.count_nonzero(ground.height[:, 60] > 0.02) * ground.cell
    diagonal = np.count_nonzero(np.diagonal(ground.height) > 0.02) * ground.cell * math.sqrt(2)
    assert diagonal == pytest.approx(axis, rel=0.12)


def test_pouring_conserves_volume_and_swells() -> None:
    ground = terrain()
    before = ground.total_volume()
    pour(ground, 0.3, -0.2, 0.7)
    assert ground.total_volume() - before == pytest.approx(0.7, rel=1e-12)
    assert ground.height.sum() * ground.cell**2 == pytest.approx(0.7 * ground.soil.swell, rel=1e-9)
    assert np.array_equal(ground.height, ground.bank + ground.soil.swell * ground.loose)
    assert ground.loose.min() >= 0.0


def test_a_wall_of_cohesive_soil_stands_and_one_of_sand_falls() -> None:
    loam, sand = terrain("sandy_loam"), terrain("dry_sand")
    for ground in (loam, sand):
        volume = cut_box(ground, 0.5)
        ground.settle()
        assert volume == pytest.approx(0.5)
        assert ground.total_volume() == pytest.approx(-0.5, rel=1e-12)
    assert loam.height.min() == -0.5
    assert np.count_nonzero(loam.height < -0.49) == 400
    assert not loam.unsettled
    assert steepest(sand.height, sand.cell) <= math.degrees(sand.soil.repose) + 2.0
    assert np.count_nonzero(sand.height < -0.01) > 500


def test_a_wall_higher_than_the_critical_height_falls() -> None:
    weak = terrain("sandy_loam").soil.model_copy(update={"cohesion": 500.0})
    assert weak.wall_height < 0.3
    ground = Terrain(weak, BUCKET, shape=(64, 64))
    cut_box(ground, 0.5)
    ground.settle()
    steps = np.abs(np.diff(ground.height, axis=0)).max()
    limit = weak.wall_height + ground.cell * math.tan(weak.internal_friction)
    assert steps <= limit + 2e-3
    assert ground.loose.max() > 0.0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-4, 4), st.floats(-4, 4), st.floats(0, 0.4), st.booleans()),
        min_size=1, max_size=12,
    ),
    st.sampled_from(["sandy_loam", "dry_sand"]),
)  # fmt: skip
def test_volume_is_conserved_whatever_is_cut_and_poured(
    acts: list[tuple[float, float, float, bool]], soil: str
) -> None:
    ground = terrain(soil, 64)
    volume = 0.0
    for x, y, amount, pouring in acts:
        if pouring:
            pour(ground, x, y, amount, times=3)  # also over the border: kept on its nearest cell
            volume += amount
        else:
            volume -= cut_box(ground, amount)
        ground.settle(3)
    ground.settle()
    assert ground.total_volume() == pytest.approx(volume, abs=1e-10)
    assert ground.loose.min() >= 0.0
    assert np.array_equal(ground.height, ground.bank + ground.soil.swell * ground.loose)


def test_settled_ground_costs_nothing_and_a_landslide_is_bounded() -> None:
    ground = terrain()
    assert not ground.tiles.any()
    pour(ground, 0.0, 0.0, 1.0)
    assert not ground.tiles.any()
    ground.loose[:] = np.random.default_rng(0).random(ground.loose.shape)
    ground.height[:] = ground.bank + ground.soil.swell * ground.loose
    ground.tiles[:] = 1
    ground.settle(1)
    assert ground.meta[UNSETTLED] == 1  # the rest waits for later ticks
    ground.settle()
    assert steepest(ground.height, ground.cell) <= math.degrees(ground.soil.repose) + 2.0


def test_surface_is_bilinear_and_its_normal_square_to_it() -> None:
    ground = terrain(cells=40)
    grid = ground.height_map()
    x, y = np.meshgrid(grid.xs(), grid.ys(), indexing="ij")
    ground.height[:] = 0.3 * x - 0.2 * y + 0.1
    normal = np.zeros(3)
    for px, py in [(0.0, 0.0), (0.123, -0.456), (-0.9, 0.9)]:
        assert surface_height(ground.height, ground.prm, px, py) == pytest.approx(
            0.3 * px - 0.2 * py + 0.1
        )
        surface_normal(ground.height, ground.prm, px * 0.5, py * 0.5, normal)
        expected = np.array([-0.3, 0.2, 1.0]) / np.linalg.norm([-0.3, 0.2, 1.0])
        assert normal == pytest.approx(expected)
    assert math.isfinite(surface_height(ground.height, ground.prm, 99.0, -99.0))


def test_reset_gives_the_same_bits_for_the_same_seed() -> None:
    first, second = terrain(), terrain()
    first.reset(seed=3, roughness=0.02)
    second.reset(seed=5, roughness=0.02)
    assert not np.array_equal(first.height, second.height)
    assert first.height.std() == pytest.approx(0.02, rel=0.2)
    pour(second, 0.0, 0.0, 0.3)
    second.reset(seed=3, roughness=0.02)
    assert np.array_equal(first.height, second.height)
    assert second.volume_error() == 0.0


def test_impossible_terrain_is_refused() -> None:
    with pytest.raises(SoilError, match="at least 16 cells"):
        Terrain(terrain().soil, BUCKET, shape=(5, 5))
    with pytest.raises(SoilError, match="not finite"):
        terrain().reset(height=math.nan)
