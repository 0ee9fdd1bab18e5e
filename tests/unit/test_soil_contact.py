"""The ground resists, holds and never pushes back more energy than it was given."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_sim.soil import Terrain
from kuwa_sim.soil.spring import N_CONTACT, elastic_plastic
from soil_rig import TICK, bucket_pose, terrain

DT = 0.002
K, D = 1.5e6, 1e4


def drag(ground: Terrain, depth: float, pitch: float = 100.0, distance: float = 0.4) -> np.ndarray:
    """Pull the bucket level towards -x at 0.5 m/s without cutting; return the last ``out``."""
    out = np.zeros(16)
    steps = round(distance / 0.5 / DT)
    for n in range(steps):
        ground.forces(bucket_pose((-0.5 * DT * n, 0, -depth), pitch, velocity=(-0.5, 0, 0)), out)
    return out


@pytest.mark.parametrize("soil", ["sandy_loam", "clay_loam", "dry_sand"])
def test_cutting_force_opposes_the_motion_and_grows_with_depth(soil: str) -> None:
    forces = [drag(terrain(soil), depth)[0] for depth in (0.05, 0.1, 0.2, 0.3)]
    assert np.all(np.diff(forces) > 0)
    assert forces[0] > 0.3e3
    assert forces[-1] < 60e3


def test_the_force_on_the_edge_is_that_of_the_equation() -> None:
    ground = terrain()
    out = drag(ground, 0.2)
    rake, cut = out[13], out[14]
    assert math.degrees(rake) == pytest.approx(100 - 90 + 45.6 - 20, abs=1.0)  # floor at 44.4°
    # Normal to the floor P cos(delta), along it P sin(delta) + bearing + side friction.
    floor = np.array([math.cos(rake), math.sin(rake)])  # from tip to heel: away from the motion, up
    mouth = np.array([-math.sin(rake), math.cos(rake)])
    force = out[[0, 2]]
    delta = ground.soil.metal_friction
    assert -force @ mouth == pytest.approx(cut * math.cos(delta), rel=1e-6)
    assert force @ floor == pytest.approx(cut * math.sin(delta) + out[15], rel=0.1)


def test_in_the_air_there_is_no_force() -> None:
    ground, out = terrain(), np.ones(16)
    ground.forces(bucket_pose((0, 0, 0.05), 90, velocity=(-1, 0, -1)), out)
    assert not out[:12].any()


def test_at_rest_it_keeps_its_force_and_does_not_creep() -> None:
    ground = terrain()
    out = drag(ground, 0.2)
    still = bucket_pose((-0.4, 0, -0.2), 100)
    held = ground.forces(still, out).copy()
    for _ in range(5000):
        ground.forces(still, out)
    assert out == pytest.approx(held, rel=1e-9)
    assert held[0] > 5e3


def test_the_shell_resists_far_more_than_the_edge() -> None:
    teeth, shell, out = terrain(), terrain(), np.zeros(16)
    for n in range(51):
        teeth.forces(bucket_pose((0, 0, -0.002 * n), 60, velocity=(0, 0, -1)), out)
    by_teeth = out[2]
    for n in range(51):  # mouth up, floor and back on the ground: 0.66 m below the tip
        shell.forces(bucket_pose((0, 0, 0.66 - 0.002 * n), 180, velocity=(0, 0, -1)), out)
    assert 5e3 < by_teeth < 40e3
    assert out[2] > 5 * by_teeth


def test_sideways_the_buried_bucket_is_held_and_a_free_one_is_not() -> None:
    out = np.zeros(16)
    forces = []
    for depth in (-0.1, 0.1, 0.3):
        ground = terrain()
        for n in range(100):
            ground.forces(bucket_pose((0, 0.001 * n, -depth), 100, velocity=(0, 0.5, 0)), out)
        forces.append(-out[1])
    assert forces[0] == 0.0
    assert 1e3 < forces[1] < forces[2] < 100e3


def test_the_force_turns_with_the_machine() -> None:
    along, across = np.zeros(16), np.zeros(16)
    for yaw, out in ((0.0, along), (90.0, across)):
        ground = terrain()
        c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
        for n in range(100):
            r = -0.001 * n
            ground.forces(
                bucket_pose((r * c, r * s, -0.2), 100, yaw, velocity=(-0.5 * c, -0.5 * s, 0)), out
            )
    assert across[[1, 2]] == pytest.approx(along[[0, 2]], rel=1e-9)
    assert across[3] == pytest.approx(-along[4], abs=1e-3)


def test_the_load_weighs_on_its_centre() -> None:
    ground, out = terrain(), np.zeros(16)
    ground.load[1:4] = 1000.0, 0.8, 0.0  # mass; 0.762 m from the tip towards the pin
    ground.forces(bucket_pose((0, 0, 2.0), 180), out)
    assert out[8] == pytest.approx(-9810.0)
    # Mouth up, the pin lies at +x of the tip: the weight turns the bucket's pin side down.
    assert out[10] == pytest.approx(0.762 * 9810.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 2e4))
def test_an_elastic_plastic_contact_never_gives_energy(seed: int, damping: float) -> None:
    """Work done on the tool over any path, from a relaxed start, is never positive.

    Turning axes and yields that change at every step included. A spring's force at the end of a
    step does up to k dx² more than the path integral, so the bound holds with the mean force.
    """
    rng = np.random.default_rng(seed)
    state, force, last = np.zeros(N_CONTACT), np.zeros(3), np.zeros(3)
    x = np.zeros(3)
    velocity = np.zeros(3)
    work = 0.0
    for _ in range(400):
        velocity = 0.95 * velocity + 0.3 * rng.standard_normal(3)
        step = velocity * DT
        x = x + step
        axes = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        low, high = -3e4 * rng.random(3), 3e4 * rng.random(3)
        elastic_plastic(state, *x, *velocity, axes, low, high, K, damping, force)
        # What the step releases from the spring at most: its energy before it yielded.
        work += force @ step
        stored = 0.5 * K * float(np.sum((state[1:] - x) ** 2))
        assert work + stored <= 1e-6
        last[:] = force


def test_a_mass_on_the_ground_comes_to_rest() -> None:
    """300 kg on the edge, stepped at 2 ms: no chatter, no creep, energy only falls."""
    ground, out = terrain("clay_loam"), np.zeros(16)
    z, v, mass = 0.02, 0.0, 300.0
    heights = []
    for n in range(2000):
        pose = bucket_pose((0, 0, z), 60, velocity=(0, 0, v))
        ground.forces(pose, out)
        v += DT * (out[2] / mass - 9.81)
        z += DT * v
        heights.append(z)
        if n % 5 == 4:
            ground.tick(bucket_pose((0, 0, z), 60), TICK)
    assert np.ptp(heights[-500:]) < 1e-5
    assert -0.05 < heights[-1] < 0.0
    assert out[2] == pytest.approx(mass * 9.81, rel=1e-3)


def test_pushing_to_and_fro_only_costs_energy() -> None:
    ground, out = terrain(), np.zeros(16)
    work, previous = 0.0, 0.0
    for n in range(3000):
        t = n * DT
        x, v = 0.05 * math.sin(6 * t), 0.3 * math.cos(6 * t)
        ground.forces(bucket_pose((x, 0, -0.15), 100, velocity=(v, 0, 0)), out)
        work += out[0] * (x - previous)
        previous = x
    assert work < 0.0
