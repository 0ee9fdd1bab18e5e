"""The steering law on a machine that answers late, slips and is dragged by its tool."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import HeightMap, Task
from kuwa_policies.guidance.answer import Answer
from kuwa_policies.guidance.estimate import Estimate
from kuwa_policies.guidance.ground import follow, height_at
from kuwa_policies.guidance.route import Limits, Route, make_route
from kuwa_policies.guidance.steering import Helm
from kuwa_policies.guidance.suspension import Suspension
from kuwa_policies.guidance.vehicle import Vehicle

VEHICLE = Vehicle.from_spec(load_machine("tractor_plough"))
PERIOD, STEP = 0.05, 0.01


def drive(
    route: Route, gain: float = 1.0, offset: float = 0.0, e: float = 0.0, theta: float = 0.0
) -> tuple[np.ndarray, float]:
    """Drive a kinematic machine whose steering obeys the plan as the controller makes it.

    Returns:
        Cross-track errors at each period, (N, 2) with s, and the fastest turning of the steering.
    """
    helm = Helm(VEHICLE, route, 2.5, PERIOD)
    x, y = -e * math.sin(0.0), e * math.cos(0.0)
    yaw, q, kappa, speed, stamp = theta, 0.0, 0.0, 0.0, 0.0
    log, fastest = [], 0.0
    while helm.s < route.length - 2 and stamp < 120:
        estimate = Estimate(x, y, yaw, yaw, kappa * speed, speed, 0.0, 0.01, 0.05)
        plan = helm.plan(estimate, stamp, q)
        log.append((helm.s, helm.error))
        for k in range(round(PERIOD / STEP)):
            # The joint is where the plan of one dead time ago had it: the controller previews.
            before = q
            q = float(np.interp((k + 1) * STEP, plan.t, plan.steer))
            fastest = max(fastest, abs(q - before) / STEP)
            speed = float(np.interp((k + 1) * STEP, plan.t, plan.speed))
            way = speed * STEP
            wanted = gain * float(VEHICLE.curvature(q)) + offset
            kappa += (wanted - kappa) * (1 - math.exp(-way / 0.6))
            yaw += way * kappa
            x, y = x + way * math.cos(yaw), y + way * math.sin(yaw)
        stamp += PERIOD
    return np.array(log), fastest


def straight(length: float = 60.0, speed: float = 2.4) -> Route:
    return make_route(
        Task("plough", path=((0, 0), (length, 0))), Limits(20, 4.6, 0.1, speed, 1.4, 0.5, 5.0)
    )


def test_it_comes_back_to_the_line_without_overshooting_much() -> None:
    log, fastest = drive(straight(), e=1.0)
    assert np.abs(log[log[:, 0] > 25, 1]).max() < 0.01
    assert log[:, 1].min() > -0.1
    assert fastest < VEHICLE.steering_rate


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.01), (0.5, 0.0), (1.2, -0.01), (0.4, 0.005)])
def test_it_learns_what_the_ground_leaves_of_the_steering(gain: float, offset: float) -> None:
    x = np.arange(0, 90, 1.0)
    u = np.clip((x - 12) / 60, 0, 1)
    bend = 6 * (u - np.sin(2 * np.pi * u) / (2 * np.pi))
    route = make_route(
        Task("plough", path=tuple(zip(x.tolist(), bend.tolist(), strict=True))),
        Limits(20, 4.6, 0.1, 2.4, 1.4, 0.5, 5.0),
    )
    log, _ = drive(route, gain, offset)
    error = log[log[:, 0] > 25, 1]
    assert error.std() < 0.02 and np.abs(error).max() < 0.05


def test_it_turns_round_where_it_stands_the_wrong_way() -> None:
    log, _ = drive(straight(80.0, 1.4), theta=2.0)
    assert np.abs(log[log[:, 0] > 60, 1]).max() < 0.05


def test_the_answer_is_learnt_where_there_is_something_to_learn_from() -> None:
    rng = np.random.default_rng(0)
    answer = Answer()
    for k in range(2000):
        q = 0.05 * math.sin(0.02 * k)
        answer.learn(q, 0.6 * q + 0.004 + 0.001 * rng.standard_normal(), 0.1)
    assert answer.gain == pytest.approx(0.6, abs=0.1)
    assert answer.offset == pytest.approx(0.004, abs=0.002)
    for _ in range(50_000):
        answer.learn(0.0, 0.001 * rng.standard_normal(), 0.1)
    assert 0.25 <= answer.gain <= 1.3 and abs(answer.offset) < 0.002


def test_heights_are_bilinear_and_held_at_the_edges() -> None:
    x, y = np.meshgrid(np.arange(5.0), np.arange(4.0), indexing="ij")
    ground = HeightMap(0.1 * x - 0.2 * y, 10.0, -5.0, 1.0)
    at = np.array([[10.5, 12.3], [13.99, 5.0]]), np.array([[-4.5, -3.3], [-2.01, -99.0]])
    assert height_at(ground, *at) == pytest.approx(
        np.array([[0.05 - 0.1, 0.23 - 0.34], [0.399 - 0.598, 0.0]]), abs=1e-3
    )


def test_a_joint_follows_within_its_speed_from_the_first_free_knot_on() -> None:
    before, goal = np.linspace(0, 0.1, 11), np.full(11, 5.0)
    out = follow(before, goal, 4, 0.05, -1.0, 0.25)
    assert out[:4] == pytest.approx(before[:4])
    assert out[4:] == pytest.approx(np.minimum(before[3] + 0.05 * np.arange(1, 8), 0.25))


def test_the_plan_of_a_suspended_boom_is_what_the_boom_does() -> None:
    suspension = Suspension(2.1, 0.37)
    free, forced = suspension.response(40, 0.05)
    rng = np.random.default_rng(1)
    carrier = np.cumsum(0.01 * rng.standard_normal(40))
    suspension.state[:] = (0.02, -0.05)
    start = suspension.state.copy()
    rolls = []
    for k in range(40):
        rolls.append(suspension.state[0])
        if k < 39:
            rate = (carrier[k + 1] - carrier[k]) / 0.05
            suspension.advance((carrier[k + 1] + carrier[k]) / 2, rate, 0.05)
    assert free @ start + forced @ carrier == pytest.approx(np.array(rolls), abs=1e-3)
