"""Published equations of terramechanics and their check values; tracks agree with them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from kuwa_machines import load_machine
from kuwa_sim.soil import Ground, load_soil
from kuwa_sim.terramechanics import (
    bekker_sinkage,
    compaction_resistance,
    gross_traction,
    janosi,
    mobility_number,
    motion_resistance,
    track_thrust,
)
from kuwa_sim.tracks import (
    COHESION_AREA,
    POINTS_PER_TRACK,
    RESISTANCE,
    SINK,
    STIFFNESS,
    TAN_FRICTION,
    THRUST,
    TrackContact,
    track_forces,
)

SPEC = load_machine("zx200")
SOIL = load_soil("sandy_loam")


def test_brixius_check_values() -> None:
    """B_n 32 at 10 % slip: net traction 0.40, tractive efficiency 0.75."""
    gross, resistance = gross_traction(32.0, 0.1), motion_resistance(32.0, 0.1)
    net = gross - resistance
    assert net == pytest.approx(0.405, rel=0.01)  # printed as 0.40
    assert 0.9 * net / gross == pytest.approx(0.75, rel=0.01)


def test_mobility_number_by_hand() -> None:
    # CI 1 MPa, b 0.5 m, d 1.8 m, W 25 kN, δ/h 0.2: 36 · 2 / (1 + 0.8333).
    value = mobility_number(1e6, 0.5, 1.8, 25e3, 0.08, 0.4)
    assert value == pytest.approx(36 * 2.0 / (1 + 3 * 0.5 / 1.8), rel=1e-9)


def test_sinkage_inverts_bekker_and_resistance_is_its_integral() -> None:
    n, k_c, k_phi, b = 0.7, 5.27e3, 1515.04e3, 0.6
    z = bekker_sinkage(50e3, n, k_c, k_phi, b)
    assert (k_c / b + k_phi) * z**n == pytest.approx(50e3, rel=1e-9)
    work = quad(lambda s: b * (k_c / b + k_phi) * s**n, 0, z)[0]
    assert compaction_resistance(z, n, k_c, k_phi, b) == pytest.approx(work, rel=1e-6)


def test_track_thrust_is_the_integral_of_janosi() -> None:
    tau, area, slip, length, K = 45e3, 2.0, 0.08, 3.4, 0.015
    mean = quad(lambda x: janosi(tau, slip * x, K), 0, length)[0] / length
    assert track_thrust(tau, area, slip, length, K) == pytest.approx(area * mean, rel=1e-6)


def _drawbar(slip: float, speed: float = 1.0) -> tuple[float, float]:
    """Return thrust of the contact model and of the closed form at a steady slip [N]."""
    ground = Ground(SOIL, (160, 160))
    ground.reset()
    contact = TrackContact(SPEC, ground)
    contact.reset()
    p = contact.parameters
    load = 16e3
    z = -contact.sides[0, SINK] - load / p[STIFFNESS]
    tracks = SPEC.undercarriage
    spin = np.full(2, speed / (1 - slip) / tracks.sprocket_radius)
    wrench, reaction = np.zeros(6), np.zeros(2)
    position, rotation = np.array([-3.0, 0.0, z]), np.eye(3).ravel()
    for _ in range(4000):
        # The sinkage follows the load; hold the load instead of the height.
        position[2] = -contact.sides[0, SINK] - load / p[STIFFNESS]
        track_forces(
            contact.points, contact.shear, contact.sides, p, position, rotation,
            np.array([speed, 0.0, 0.0]), np.zeros(3), position, spin, reaction,
            *contact.ground_args, wrench, 0.002,
        )  # fmt: skip
    area = tracks.length * tracks.shoe_width
    strength = POINTS_PER_TRACK * (load * p[TAN_FRICTION] + p[COHESION_AREA])
    # Shear displacement grows with the shoe's way over the ground: slip of the shoe's own speed.
    expected = track_thrust(strength / area, area, slip, tracks.length, SOIL.shear_deformation)
    return float(contact.sides[0, THRUST]), float(expected)


@pytest.mark.parametrize("slip", [0.01, 0.03, 0.1, 0.3, 0.6])
def test_track_at_steady_slip_gives_the_published_thrust(slip: float) -> None:
    thrust, expected = _drawbar(slip)
    assert thrust == pytest.approx(expected, rel=0.01)


def test_track_sinks_and_resists_as_bekker_says() -> None:
    ground = Ground(SOIL, (160, 160))
    ground.reset()
    contact = TrackContact(SPEC, ground)
    contact.reset()
    p, tracks = contact.parameters, SPEC.undercarriage
    load = 20e3
    wrench, reaction = np.zeros(6), np.zeros(2)
    position = np.zeros(3)
    for _ in range(3000):
        position[2] = -contact.sides[0, SINK] - load / p[STIFFNESS]
        track_forces(
            contact.points, contact.shear, contact.sides, p, position, np.eye(3).ravel(),
            np.array([2.0, 0.0, 0.0]), np.zeros(3), position,
            np.full(2, 2.0 / tracks.sprocket_radius), reaction, *contact.ground_args, wrench, 0.002,
        )  # fmt: skip
    pressure = load * POINTS_PER_TRACK / (tracks.length * tracks.shoe_width)
    z = bekker_sinkage(
        pressure, SOIL.sinkage_exponent, SOIL.cohesive_modulus, SOIL.frictional_modulus,
        tracks.shoe_width,
    )  # fmt: skip
    assert contact.sides[0, SINK] == pytest.approx(z, rel=0.01)
    expected = compaction_resistance(
        z, SOIL.sinkage_exponent, SOIL.cohesive_modulus, SOIL.frictional_modulus, tracks.shoe_width
    )
    assert contact.sides[0, RESISTANCE] == pytest.approx(expected, rel=0.011)


def test_a_pulled_track_follows_janosi_and_does_not_creep() -> None:
    """Standing: the force over the displacement is Janosi's; pulls to and fro leave it there."""
    ground = Ground(SOIL, (160, 160))
    ground.reset()
    contact = TrackContact(SPEC, ground)
    contact.reset()
    p = contact.parameters
    load, dt, v = 16e3, 0.002, 0.01
    z = -contact.sides[0, SINK] - load / p[STIFFNESS]
    wrench, reaction = np.zeros(6), np.zeros(2)
    strength = POINTS_PER_TRACK * (load * p[TAN_FRICTION] + p[COHESION_AREA])
    position = np.array([0.0, 0.0, z])

    def move(distance: float) -> None:
        speed = math.copysign(v, distance)
        for _ in range(round(abs(distance) / v / dt)):
            position[0] += speed * dt
            position[2] = -contact.sides[0, SINK] - load / p[STIFFNESS]
            track_forces(
                contact.points, contact.shear, contact.sides, p, position, np.eye(3).ravel(),
                np.array([speed, 0.0, 0.0]), np.zeros(3), position, np.zeros(2), reaction,
                *contact.ground_args, wrench, dt,
            )  # fmt: skip

    move(0.02)
    expected = janosi(strength, 0.02, SOIL.shear_deformation)
    assert -contact.sides[0, THRUST] == pytest.approx(expected, rel=0.02)
    reached = contact.sides[0, THRUST]
    for _ in range(5):
        move(-0.001)
        move(0.001)
    assert contact.sides[0, THRUST] == pytest.approx(reached, rel=0.05)


def test_a_track_that_starts_from_rest_pulls_before_it_has_slipped_along_its_length() -> None:
    """Shoes that were there all along have slipped alike; only new ones less: Janosi's integral."""
    ground = Ground(SOIL, (160, 160))
    ground.reset()
    contact = TrackContact(SPEC, ground)
    contact.reset()
    p, tracks, K = contact.parameters, SPEC.undercarriage, SOIL.shear_deformation
    load, dt, speed = 16e3, 0.002, 0.01
    z = -contact.sides[0, SINK] - load / p[STIFFNESS]
    wrench, reaction, position = np.zeros(6), np.zeros(2), np.array([0.0, 0.0, z])
    strength = POINTS_PER_TRACK * (load * p[TAN_FRICTION] + p[COHESION_AREA])
    slipped = 0.0
    for share in (0.2, 0.5, 1.0, 2.0, 4.0):
        while slipped < share * K:
            slipped += speed * dt
            position[2] = -contact.sides[0, SINK] - load / p[STIFFNESS]
            track_forces(
                contact.points, contact.shear, contact.sides, p, position, np.eye(3).ravel(),
                np.zeros(3), np.zeros(3), position, np.full(2, speed / tracks.sprocket_radius),
                reaction, *contact.ground_args, wrench, dt,
            )  # fmt: skip
        fresh = quad(lambda x: janosi(strength, x, K), 0, slipped)[0] / tracks.length
        expected = fresh + janosi(strength, slipped, K) * (1 - slipped / tracks.length)
        assert contact.sides[0, THRUST] == pytest.approx(expected, rel=0.05)
