"""Machines leave ruts: as deep as published, once, with no soil lost; worked ground is softer."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import Array
from kuwa_machines.spec import Tracks
from kuwa_sim.plant import Plant
from kuwa_sim.scenery import Grid
from kuwa_sim.site import Placement, Site, lone_plant
from kuwa_sim.soil import Ground, load_soil, surface_height
from kuwa_sim.soil.field import PACKED_DEPTH, cut_column, put_down
from kuwa_sim.soil.ruts import press, support_height
from kuwa_sim.terramechanics import bekker_sinkage
from kuwa_sim.tracks import RESISTANCE
from kuwa_sim.tyres import MOBILITY

GRID = Grid(-5.975, -2.975, 0.05, 360, 120)


def drive(plant: Plant, seconds: float, stroke: float) -> None:
    """Drive straight on; the joints that turn without end are sprockets and wheels."""
    plant.write(np.where(np.isinf(plant.spec.q_max), stroke, 0.0))
    for _ in range(round(seconds / 0.01)):
        plant.advance()


def flat(soil: str = "loam") -> Ground:
    ground = Ground(load_soil(soil), (60, 60))
    ground.reset()
    return ground


def stamp(ground: Ground, sinkage: float, z: float = -1.0) -> None:
    """Press a footprint of 1 m by 0.6 m at the origin."""
    press(
        ground.bank, ground.loose, ground.packed, ground.height, ground.tiles, ground.prm,
        0.0, 0.0, z, 1.0, 0.0, 0.5, 0.3, 0.0, 0.0, sinkage,
    )  # fmt: skip


def holds(ground: Ground, sinkage: float) -> Array:
    """Return the support along x."""
    args = (ground.height, ground.loose, ground.packed, ground.prm)
    return np.array([support_height(*args, x, 0.0, sinkage) for x in np.linspace(-1, 1, 81)])


def heap(ground: Ground, volume: float) -> None:
    put_down(
        ground.bank, ground.loose, ground.height, ground.tiles, ground.prm,
        0.0, 0.0, 1.0, 0.0, 0.8, 0.8, volume,
    )  # fmt: skip


def test_pressing_moves_the_surface_to_the_support_and_the_support_not_at_all() -> None:
    ground = flat()
    heap(ground, 0.3)
    before, volume = holds(ground, 0.03), ground.total_volume()
    stamp(ground, 0.03)
    assert holds(ground, 0.03) == pytest.approx(before, abs=1e-12)
    surface = surface_height(ground.height, ground.prm, 0.0, 0.0)
    assert surface == pytest.approx(before[40], abs=1e-12)
    assert surface == pytest.approx(ground.bank[30, 30]), "pressed soil is no longer loose"
    assert ground.total_volume() == pytest.approx(volume, abs=1e-12)


def test_a_second_pass_presses_only_what_it_sinks_deeper() -> None:
    ground = flat()
    stamp(ground, 0.02)
    once = ground.height.copy()
    stamp(ground, 0.02)
    stamp(ground, 0.01)
    assert np.array_equal(ground.height, once)
    stamp(ground, 0.03)
    assert ground.height.min() == pytest.approx(-0.03)
    heap(ground, 0.2)
    top = ground.height[30, 30]
    stamp(ground, 0.03)
    swell = ground.soil.swell
    assert ground.height[30, 30] == pytest.approx(-0.03 + (top + 0.03) / swell), "fresh soil gives"


def test_nothing_below_the_footprint_is_pressed() -> None:
    ground = flat()
    stamp(ground, 0.05, z=-0.02)
    assert ground.height.min() == pytest.approx(-0.02)
    stamp(ground, 0.05, z=0.3)
    assert ground.height.min() == pytest.approx(-0.02)


def test_a_cut_takes_up_what_was_pressed_in() -> None:
    ground = flat()
    stamp(ground, 0.04)
    volume = ground.total_volume()
    args = (ground.bank, ground.loose, ground.packed, ground.height, ground.tiles, ground.prm)
    half = cut_column(*args, 30, 30, -0.04 - PACKED_DEPTH / 2)
    assert half == pytest.approx(PACKED_DEPTH / 2 + 0.02)
    rest = cut_column(*args, 30, 30, -0.5)
    assert half + rest == pytest.approx(0.5), "all that was there before the rut"
    lost = volume - ground.total_volume()
    assert lost == pytest.approx(0.5 * ground.cell**2, abs=1e-12)


@pytest.mark.parametrize("machine", ["ic120", "d37"])
def test_tracks_leave_ruts_as_deep_as_bekker_says_and_no_deeper_the_second_time(
    machine: str,
) -> None:
    soil = load_soil("dry_sand")
    plant = lone_plant(load_machine(machine), soil, GRID)
    plant.reset()
    drive(plant, 7.0, 0.4)
    assert plant.base_position[0] > 4.0
    tracks = plant.spec.undercarriage
    assert isinstance(tracks, Tracks)
    mass = sum(link.mass for link in plant.spec.links.values())
    pressure = mass * 9.81 / (2 * tracks.length * tracks.shoe_width)
    expected = bekker_sinkage(
        pressure, soil.sinkage_exponent, soil.cohesive_modulus, soil.frictional_modulus,
        tracks.shoe_width,
    )  # fmt: skip
    y = -2.975 + 0.05 * np.arange(GRID.ny)
    passed = slice(round(6 / 0.05), round(7 / 0.05))  # x from 0 to 1 m
    for side in (-1, 1):
        rut = plant.terrain.height[passed][:, np.abs(y - side * tracks.gauge / 2) < 0.15]
        assert -rut.mean() == pytest.approx(expected, rel=0.2)
    between = plant.terrain.height[passed][:, np.abs(y) < tracks.gauge / 2 - tracks.shoe_width]
    assert np.abs(between).max() == 0.0
    resisted = plant.standing.contact.sides[:, RESISTANCE].sum()  # type: ignore[attr-defined]
    first = plant.terrain.height[passed].copy()
    drive(plant, 5.0, -0.4)
    again = plant.standing.contact.sides[:, RESISTANCE].sum()  # type: ignore[attr-defined]
    assert np.abs(plant.terrain.height[passed] - first).max() < 0.2 * expected
    assert abs(again) < 0.3 * resisted, "its own rut holds it back less"
    assert plant.terrain.volume_error() < 1e-12


def test_tyres_sink_further_into_ploughed_ground_and_find_less_grip() -> None:
    plant = lone_plant(load_machine("tractor_sprayer"), load_soil("loam"), GRID)
    plant.reset()
    ground = plant.terrain
    x = GRID.x0 + GRID.cell * np.arange(GRID.nx)
    # As after ploughing: the upper 20 cm loosened where they lie.
    worked = (x > 3.5)[:, None] & np.ones(GRID.ny, bool)
    ground.bank[worked] -= 0.2
    ground.loose[worked] += 0.2
    ground.height[:] = ground.bank + ground.soil.swell * ground.loose
    volume = ground.total_volume()
    wheels = plant.standing.contact.states  # type: ignore[attr-defined]
    firm = wheels[0, MOBILITY]
    drive(plant, 6.0, 0.3)
    assert plant.base_position[0] > 4.5
    assert wheels[0, MOBILITY] < 0.85 * firm
    y = GRID.y0 + GRID.cell * np.arange(GRID.ny)
    gauge = 0.8
    track = np.abs(np.abs(y) - gauge) < 0.1
    on_firm = -ground.height[(x > 0.5) & (x < 2.5)][:, track].mean()
    top = 0.2 * (ground.soil.swell - 1.0)
    on_worked = top - ground.height[(x > 4.0) & (x < 5.0)][:, track].mean()
    assert on_worked > on_firm + 0.8 * top
    assert ground.total_volume() == pytest.approx(volume, abs=1e-9)


def test_a_parked_machine_does_not_dig_itself_in() -> None:
    site = Site({"": Placement(load_machine("zx200"))}, load_soil("wet_clay"), GRID)
    site.reset()
    before, height = site.plants[0].base_position, site.ground.height.copy()
    for _ in range(1000):
        site.advance()
    assert np.abs(site.plants[0].base_position - before).max() < 1e-3
    assert np.abs(site.ground.height - height).max() < 1e-3
