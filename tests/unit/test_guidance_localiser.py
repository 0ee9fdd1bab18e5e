"""The localiser against a truth that slips, crabs and is measured late, and where nothing comes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import MachineState
from kuwa_policies.guidance.estimate import Estimate
from kuwa_policies.guidance.localiser import Localiser
from kuwa_policies.guidance.vehicle import Vehicle

SPEC = load_machine("tractor_plough")
VEHICLE = Vehicle.from_spec(SPEC)
SPEED, SLIP, PERIOD, LATE = 2.4, 0.12, 0.05, 0.06


def drive(
    seconds: float, crab: float = 0.03, bias: float = 0.0005, outage: tuple[float, float] = (0, 0),
    seed: int = 0, start: float = 0.0,
) -> tuple[list[MachineState], np.ndarray]:  # fmt: skip
    """A machine that wheels turn too fast and the ground pushes sideways, on a winding way.

    Returns:
        States every PERIOD, and the truth (x, y, course) at each, shape (N, 3).
    """
    rng = np.random.default_rng(seed)
    n = round(seconds / PERIOD)
    t = PERIOD * np.arange(n)
    rate = 0.05 * np.sin(0.3 * t)
    heading = start + np.concatenate([[0.0], np.cumsum(rate[:-1] * PERIOD)])
    course = heading + crab
    x = np.concatenate([[0.0], np.cumsum(SPEED * np.cos(course[:-1]) * PERIOD)])
    y = np.concatenate([[0.0], np.cumsum(SPEED * np.sin(course[:-1]) * PERIOD)])
    states, fix, when = [], np.array([x[0], y[0], 0.0]), 0.0
    for k in range(n):
        then = t[k] - LATE
        if then > 0 and not outage[0] <= then < outage[1]:
            noise = 0.008 * rng.standard_normal(2)
            fix = np.array([np.interp(then, t, x) + noise[0], np.interp(then, t, y) + noise[1], 0])
            when = then
        yaw = heading[k] + math.radians(0.1) * rng.standard_normal()
        qd = np.zeros(len(SPEC.joints))
        qd[VEHICLE.wheels] = SPEED / (1 - SLIP) / VEHICLE.radius
        turning = rate[k] + bias + math.radians(0.1) * rng.standard_normal()
        states.append(
            MachineState(
                stamp=float(t[k]), q=np.zeros(len(SPEC.joints)), qd=qd,
                effort=np.zeros(6), pressure=np.zeros((6, 2)), pump_pressure=0.0, pump_flow=0.0,
                pump_power=0.0, base_position=fix.copy(),
                base_quaternion_wxyz=np.array([math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)]),
                base_velocity=np.array([0, 0, 0, 0, 0, turning]), tool_load=math.nan,
                base_stamp=when,
            )
        )  # fmt: skip
    return states, np.column_stack([x, y, course])


def errors(estimates: list[Estimate], truth: np.ndarray) -> np.ndarray:
    """Along and across the course [m]."""
    d = np.array([(e.x, e.y) for e in estimates]) - truth[:, :2]
    c, s = np.cos(truth[:, 2]), np.sin(truth[:, 2])
    return np.column_stack([c * d[:, 0] + s * d[:, 1], c * d[:, 1] - s * d[:, 0]])


@pytest.mark.parametrize("start", [0.0, 3.1])
def test_it_knows_where_the_machine_is_now_from_late_fixes(start: float) -> None:
    states, truth = drive(40.0, start=start)
    localiser = Localiser(VEHICLE)
    estimates = [localiser.update(state) for state in states]
    late = slice(300, None)
    error = errors(estimates, truth)[late]  # type: ignore[arg-type]
    assert np.sqrt((error**2).mean(axis=0)) == pytest.approx([0, 0], abs=0.008)
    assert estimates[-1].slip == pytest.approx(SLIP, abs=0.01)  # type: ignore[union-attr]
    crab = [math.remainder(e.course - e.heading, 2 * math.pi) for e in estimates[300:]]  # type: ignore[union-attr]
    assert np.mean(crab) == pytest.approx(0.03, abs=0.004)
    # Taken as they come, the fixes are one delay of way behind.
    raw = np.array([s.base_position[:2] for s in states]) - truth[:, :2]
    assert np.hypot(*raw[late].T).mean() > 0.8 * LATE * SPEED


def test_an_outage_of_five_seconds_costs_centimetres() -> None:
    states, truth = drive(40.0, outage=(25.0, 30.0))
    localiser = Localiser(VEHICLE)
    estimates = [localiser.update(state) for state in states]
    error = errors(estimates, truth)  # type: ignore[arg-type]
    during = slice(500, 601)
    assert np.abs(error[during, 1]).max() < 0.12
    assert max(e.age for e in estimates[during]) > 4.9  # type: ignore[union-attr]
    sigma = [e.sigma for e in estimates[480:640]]  # type: ignore[union-attr]
    assert max(sigma) > 4 * sigma[0], "it knows that it does not know"
    assert np.abs(error[640:]).max() < 0.05


def test_a_fix_that_is_far_off_is_left_out_unless_it_stays() -> None:
    states, truth = drive(30.0)
    k = 400
    jumped = replace(states[k], base_position=states[k].base_position + np.array([3.0, 3.0, 0.0]))
    localiser = Localiser(VEHICLE)
    for state in [*states[:k], jumped, *states[k + 1 : k + 3]]:
        estimate = localiser.update(state)
    assert estimate is not None
    assert np.hypot(estimate.x - truth[k + 2, 0], estimate.y - truth[k + 2, 1]) < 0.05
    for state in states[k + 3 : k + 60]:
        moved = replace(state, base_position=state.base_position + np.array([3.0, 3.0, 0.0]))
        estimate = localiser.update(moved)
    assert estimate.x - truth[k + 59, 0] == pytest.approx(3.0, abs=0.3)


def test_what_is_not_finite_is_left_out() -> None:
    states, truth = drive(20.0)
    nothing = np.full(3, np.nan)
    localiser = Localiser(VEHICLE)
    assert localiser.update(replace(states[0], base_position=nothing)) is None
    for k, state in enumerate(states[1:], 1):
        if k % 7 == 0:
            state = replace(state, base_quaternion_wxyz=np.full(4, np.nan))
        if k % 11 == 0:
            state = replace(state, base_velocity=np.full(6, np.nan), qd=np.full(6, np.nan))
        if k % 5 == 0:
            state = replace(state, base_position=nothing)
        estimate = localiser.update(state)
    assert estimate is not None
    assert np.hypot(estimate.x - truth[-1, 0], estimate.y - truth[-1, 1]) < 0.05
