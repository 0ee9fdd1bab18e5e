"""The conventional controller on a plant without forces: accuracy, rest, saturation, recovery."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import Array, Trajectory
from kuwa_machines.errors import CommandError
from kuwa_policies.control.slewing import SlewingGive, slewing_inertia
from kuwa_policies.control.tracking import TrackingController
from plant_double import JointDouble

# The stand-in has no springs, so it gets oil that does not give.
REAL = load_machine("zx200")
SPEC = REAL.model_copy(
    update={"hydraulics": REAL.hydraulics.model_copy(update={"bulk_modulus": 1e15})}
)
PERIOD = 0.01


def smooth_step(start: Array, goal: Array, duration: float, lead: float = 1.2) -> Trajectory:
    t = np.arange(0.0, lead + duration + 0.05, 0.1)
    u = np.clip((t - lead) / duration, 0, 1)[:, None]
    q = start + (goal - start) * (10 * u**3 - 15 * u**4 + 6 * u**5)
    qd = (goal - start) * (30 * u**2 - 60 * u**3 + 30 * u**4) / duration
    return Trajectory(0.0, t, q, qd)


def run(
    plant: JointDouble, reference: Trajectory | Array | None, duration: float
) -> tuple[Array, Array, Array]:
    controller = TrackingController(SPEC, PERIOD)
    state = plant.state()
    controller.reset(state)
    applied = np.zeros(len(plant.q))
    times, angles, commands = [], [], []
    for _ in range(round(duration / PERIOD)):
        applied = controller.step(plant.state(), reference, applied)
        plant.advance(applied)
        times.append(plant.time)
        angles.append(plant.q.copy())
        commands.append(applied)
    return np.array(times), np.array(angles), np.array(commands)


def tracking_error(reference: Trajectory, times: Array, angles: Array) -> Array:
    return angles - np.array([reference.sample(t)[0] for t in times])


GOAL = SPEC.home + np.array([0.8, 0.2, 0.4, 0.6])


@pytest.mark.parametrize(("gain", "bound"), [(1.0, 0.004), (0.9, 0.07), (1.1, 0.07)])
def test_follows_a_smooth_motion_of_all_joints(gain: float, bound: float) -> None:
    plant = JointDouble(SPEC, PERIOD, gain=gain, noise=np.radians(0.02))
    reference = smooth_step(SPEC.home, GOAL, 4.0)
    times, angles, _ = run(plant, reference, 8.0)
    error = tracking_error(reference, times, angles)
    assert np.abs(error).max() < bound
    assert np.abs(error[-1]).max() < 0.015


def test_learns_what_the_joints_make_of_a_command() -> None:
    plant = JointDouble(SPEC, PERIOD, gain=0.9)
    controller = TrackingController(SPEC, PERIOD)
    controller.reset(plant.state())
    applied = np.zeros(4)
    worst = []
    for motion in range(6):
        here, there = (SPEC.home, GOAL) if motion % 2 == 0 else (GOAL, SPEC.home)
        reference = replace(smooth_step(here, there, 4.0), stamp=plant.time)
        error = 0.0
        for _ in range(600):
            applied = controller.step(plant.state(), reference, applied)
            plant.advance(applied)
            error = max(error, np.abs(plant.q - reference.sample(plant.time)[0]).max())
        worst.append(error)
    assert worst[-1] < 0.6 * worst[0]


def test_is_exactly_neutral_at_rest_in_spite_of_noise() -> None:
    plant = JointDouble(SPEC, PERIOD, noise=np.radians(0.02))
    hold = Trajectory(0.0, np.array([0.0, 1.0]), np.tile(SPEC.home, (2, 1)), np.zeros((2, 4)))
    _, _, commands = run(plant, hold, 3.0)
    assert np.all(commands == 0.0)


def test_crosses_zero_velocity_without_hunting() -> None:
    plant = JointDouble(SPEC, PERIOD, noise=np.radians(0.02))
    t = np.arange(0.0, 8.01, 0.1)
    wave = 0.05 * np.array([1.0, 1.0, 1.0, 1.0])
    phase = 2 * np.pi * np.clip(t - 1.5, 0, None) / 5.0
    q = SPEC.home + np.outer(1 - np.cos(phase), wave)
    qd = np.outer(np.sin(phase) * (2 * np.pi / 5.0), wave)
    reference = Trajectory(0.0, t, q, qd)
    times, angles, commands = run(plant, reference, 7.0)
    error = tracking_error(reference, times, angles)
    assert np.abs(error[times > 1.5]).max() < 0.004
    flips = (np.diff(np.sign(commands[times > 1.5]), axis=0) != 0).sum(0)
    assert flips.max() < 30


def test_no_reference_means_neutral() -> None:
    plant = JointDouble(SPEC, PERIOD)
    _, _, commands = run(plant, None, 0.5)
    assert np.all(commands == 0.0)


def test_velocity_fractions_become_velocities() -> None:
    plant = JointDouble(SPEC, PERIOD)
    fraction = np.array([0.3, -0.2, 0.25, 0.3])
    times, angles, _ = run(plant, fraction, 2.5)
    late = (times > 1.8) & (times < 2.4)
    velocity = np.polyfit(times[late], angles[late], 1)[0]
    assert np.allclose(velocity, fraction * SPEC.qd_max, rtol=0.04)


def test_recovers_from_a_block_without_overshoot() -> None:
    plant = JointDouble(SPEC, PERIOD)
    reference = smooth_step(SPEC.home, GOAL, 4.0)
    controller = TrackingController(SPEC, PERIOD)
    controller.reset(plant.state())
    applied = np.zeros(4)
    for tick in range(1200):
        plant.blocked[:] = 250 <= tick < 350
        applied = controller.step(plant.state(), reference, applied)
        plant.advance(applied)
        assert np.all(plant.q < GOAL + 0.1)
    # A slewing joint that was held is not chased for less than Gains.held.
    assert np.all(np.abs(plant.q - GOAL) < np.radians([0.6, 0.25, 0.25, 0.25]))


def test_missed_ticks_age_the_pipe() -> None:
    plant = JointDouble(SPEC, PERIOD)
    reference = smooth_step(SPEC.home, GOAL, 4.0)
    controller = TrackingController(SPEC, PERIOD)
    controller.reset(plant.state())
    applied = np.zeros(4)
    for tick in range(700):
        if tick % 7 != 3:
            applied = controller.step(plant.state(), reference, applied)
        plant.advance(applied)
        if tick > 150:
            assert np.abs(plant.q - reference.sample(plant.time)[0]).max() < 0.02


def test_same_inputs_give_the_same_bits() -> None:
    reference = smooth_step(SPEC.home, GOAL, 4.0)
    first = run(JointDouble(SPEC, PERIOD, noise=1e-4), reference, 3.0)[2]
    second = run(JointDouble(SPEC, PERIOD, noise=1e-4), reference, 3.0)[2]
    assert np.array_equal(first, second)


def test_refuses_references_of_the_wrong_shape() -> None:
    plant = JointDouble(SPEC, PERIOD)
    controller = TrackingController(SPEC, PERIOD)
    controller.reset(plant.state())
    with pytest.raises(CommandError, match="expected 4"):
        controller.step(plant.state(), np.zeros(3), np.zeros(4))
    bad = Trajectory(0.0, np.array([0.0, 1.0]), np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(CommandError, match=r"\(2, 4\)"):
        controller.step(plant.state(), bad, np.zeros(4))


def test_oil_led_ahead_moves_a_springy_front_along_its_reference() -> None:
    """Integrate I(t) q'' = K (oil − q) + K T_d (oil' − q'), the motor's oil column."""
    start = REAL.home + np.array([0.0, 0.2, -0.3, 0.0])
    reference = smooth_step(start, start + np.array([1.4, 0.15, -0.3, 0.0]), 5.0)
    give = SlewingGive(REAL)
    lead, rate = give.lead(reference.t, reference.q, reference.qd, 500.0)
    drive = REAL.joints["swing_joint"].drive
    K = 2 * REAL.hydraulics.bulk_modulus * drive.displacement**2 / drive.dead_volume
    h, errors = 1e-3, {}
    for led in (False, True):
        x, v, worst, momentum = start[0], 0.0, 0.0, 0.0
        for time in np.arange(0.0, 7.0, h):
            q, qd = reference.sample(time)
            oil = q[0] + led * np.interp(time, reference.t, lead)
            oil_rate = qd[0] + led * np.interp(time, reference.t, rate)
            momentum += h * K * (oil - x + drive.damping_time * (oil_rate - v))
            v = momentum / slewing_inertia(q, give._mass, give._com, give._next, give._own, 500.0)
            x += h * v
            worst = max(worst, abs(x - q[0]))
        errors[led] = worst
    assert errors[True] < 0.15 * errors[False]


def test_load_and_reach_raise_the_inertia() -> None:
    give = SlewingGive(REAL)
    arrays = (give._mass, give._com, give._next, give._own)
    near = slewing_inertia(REAL.home, *arrays, 0.0)
    far = slewing_inertia(np.array([0.0, -0.25, 1.2, 0.1]), *arrays, 0.0)
    assert near < far < slewing_inertia(np.array([0.0, -0.25, 1.2, 0.1]), *arrays, 900.0)
    # By the rigid-body model of the same machine: 87.7 and 129.3 t·m².
    assert np.isclose(near, 87_700, rtol=0.05) and np.isclose(far, 129_300, rtol=0.05)
