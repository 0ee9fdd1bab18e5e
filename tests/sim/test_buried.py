"""Layers make digging harder, boulders stop the bucket; neither changes ground that has none."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.kinematics import ExcavatorKinematics
from kuwa_sim.plant import Plant
from kuwa_sim.scenery import Grid
from kuwa_sim.site import Placement, Site
from kuwa_sim.soil import Obstacle, SoilError, SoilParameters, load_soil
from kuwa_sim.soil.field import mean_cohesion
from kuwa_sim.soil.obstacles import depth_inside, obstacle_rows
from kuwa_sim.soil.parameters import Layer

GRID = Grid(-1.975, -2.975, 0.05, 240, 120)
SPEC = load_machine("zx200")


def layered(*layers: tuple[float, float]) -> SoilParameters:
    made = tuple(Layer.model_construct(top=top, cohesion=c) for top, c in layers)
    return load_soil("sandy_loam").model_copy(update={"layers": made})


def make(soil: SoilParameters, obstacles: tuple[Obstacle, ...] = ()) -> Plant:
    site = Site({"": Placement(SPEC)}, soil, GRID, obstacles)
    start = ExcavatorKinematics(SPEC).inverse(np.array([7.5, 0.0, 0.1]), np.radians(110))
    site.reset(starts=[start])
    return site.plants[0]


def dig_down(plant: Plant) -> tuple[float, float]:
    """Press the edge down, then pull with the arm; return depth beyond x = 6.8 m and pull."""
    deepest, pull = 0.0, 0.0
    for k in range(500):
        plant.write(np.array([0.0, 0.35 if k < 230 else 0.0, 0.0 if k < 150 else 0.5, 0.0]))
        plant.advance()
        if plant.edge[0] > 6.8:
            deepest = min(deepest, plant.edge[2])
        pull = max(pull, plant.pressures[2, 0])
    assert np.all(np.isfinite(plant.data.qpos))
    assert plant.terrain.volume_error() < 1e-9
    return deepest, pull


def test_mean_cohesion_is_the_thickness_weighted_mean() -> None:
    site = Site({"": Placement(SPEC)}, layered((0.2, 50e3), (0.5, 100e3)), GRID)
    prm = site.ground.prm
    assert mean_cohesion(prm, 0.0, 0.0, -0.1) == pytest.approx(10e3)
    assert mean_cohesion(prm, 0.0, 0.0, -0.4) == pytest.approx((0.2 * 10 + 0.2 * 50) / 0.4 * 1e3)
    assert mean_cohesion(prm, 0.0, -0.6, -0.8) == pytest.approx(100e3)
    assert mean_cohesion(prm, 1.0, 1.0, 0.9) == pytest.approx(10e3), "measured from the surface"


def test_a_hard_layer_needs_more_force_or_stops_the_cut() -> None:
    soft, soft_pull = dig_down(make(layered()))
    hard, hard_pull = dig_down(make(layered((0.1, 150e3))))
    assert hard > soft + 0.02 or hard_pull > 1.1 * soft_pull


def test_a_layer_that_is_never_reached_changes_no_bit() -> None:
    a, b = make(layered()), make(layered((3.0, 150e3)))
    dig_down(a)
    dig_down(b)
    assert a.edge == pytest.approx(b.edge, abs=1e-6)


def test_a_boulder_stops_the_bucket() -> None:
    boulder = Obstacle("ellipsoid", (7.2, 0.0, -0.45), (0.7, 0.6, 0.35))
    free, _ = dig_down(make(load_soil("sandy_loam")))
    stopped, pull = dig_down(make(load_soil("sandy_loam"), (boulder,)))
    assert free < -0.25
    assert stopped > -0.20, "the boulder's surface there lies 10 to 16 cm deep"
    assert pull > 0.0


def test_depth_inside_is_exact_on_axes() -> None:
    rows = obstacle_rows(
        [Obstacle("ellipsoid", (0, 0, 0), (1.0, 2.0, 0.5)), Obstacle("box", (0, 0, 0), (1, 2, 3))]
    )
    normal = np.zeros(3)
    assert depth_inside(rows[0], 0.9, 0.0, 0.0, normal) == pytest.approx(0.1)
    assert normal == pytest.approx([1, 0, 0])
    assert depth_inside(rows[0], 0.0, 0.0, 0.45, normal) == pytest.approx(0.05)
    assert depth_inside(rows[0], 1.1, 0.0, 0.0, normal) < 0.0
    assert depth_inside(rows[1], 0.0, -1.9, 0.0, normal) == pytest.approx(0.1)
    assert normal == pytest.approx([0, -1, 0])


def test_impossible_bodies_and_layers_are_refused() -> None:
    with pytest.raises(SoilError, match="positive half sizes"):
        Obstacle("box", (0, 0, 0), (1, -1, 1))
    with pytest.raises(SoilError, match="valid: box, ellipsoid"):
        Obstacle("sphere", (0, 0, 0), (1, 1, 1))  # type: ignore[arg-type]
