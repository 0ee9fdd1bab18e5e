"""Skid steering by the book, a pose from late noisy fixes, and chunks that end at rest."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from kuwa_machines import KuwaError, load_machine
from kuwa_machines.contracts import Array, MachineState
from kuwa_machines.paths import Polyline
from kuwa_policies.planning.driving.moves import Move
from kuwa_policies.planning.driving.pose import Pose, PoseFilter
from kuwa_policies.planning.driving.skid import SkidSteer, turning_gauge
from kuwa_policies.planning.driving.steer import Driver, Turn, Way

TRUCK = load_machine("ic120")
SKID = SkidSteer.from_spec(TRUCK)


def test_turning_gauge_balances_pull_and_drag_of_the_shoes() -> None:
    for gauge, length in ((1.9, 2.6), (2.0, 3.0)):
        a = (turning_gauge(gauge, length) - gauge) / 2
        half = length / 2
        pull = quad(lambda x, a=a: a / math.hypot(a, x), -half, half)[0] * gauge / 2
        drag = quad(lambda x, a=a: x * x / math.hypot(a, x), -half, half)[0]
        assert pull == pytest.approx(drag, rel=1e-6)


def test_only_machines_on_two_driven_tracks_steer_by_them() -> None:
    with pytest.raises(KuwaError, match="two tracks"):
        SkidSteer.from_spec(load_machine("tractor_plough"))
    with pytest.raises(KuwaError, match="two tracks"):
        SkidSteer.from_spec(load_machine("zx200"))


def test_too_fast_a_curve_is_slowed_and_stays_the_same_curve() -> None:
    left, right = SKID.sprockets(5.0, 1.0, SKID.gauge) * SKID.radius
    assert max(left, right) == pytest.approx(SKID.top_speed)
    assert (right - left) / (right + left) == pytest.approx(SKID.gauge / 10.0)


def state(stamp: float, x: float, y: float, yaw: float, speed: float = 0.0) -> MachineState:
    n = len(TRUCK.joint_names)
    qd = np.zeros(n)
    qd[[SKID.left, SKID.right]] = speed / SKID.radius
    v = speed * np.array([math.cos(yaw), math.sin(yaw)])
    return MachineState(
        stamp, np.zeros(n), qd, np.zeros(n), np.zeros((n, 2)), 0.0, 0.0, 0.0,
        np.array([x, y, 0.0]), np.array([math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)]),
        np.array([*v, 0.0, 0.0, 0.0, 0.0]), 0.0,
    )  # fmt: skip


def test_late_and_noisy_fixes_become_a_smooth_pose() -> None:
    rng = np.random.default_rng(0)
    follow = PoseFilter(SKID)
    errors = []
    for k in range(200):
        t = 0.1 * k
        late = state(t, 1.0 * (t - 0.05), 0.0, 0.0, 1.0)
        noisy = late.base_position + np.array([0.008, 0.008, 0.012]) * rng.standard_normal(3)
        pose = follow.update(replace(late, base_position=noisy, base_stamp=t - 0.05))
        errors.append(pose.position - [t, 0.0, 0.0])
    assert np.abs(np.std(errors[50:], axis=0)).max() < 0.004
    assert np.abs(np.mean(errors[50:], axis=0)).max() < 0.003


def test_an_outage_is_bridged_and_then_told() -> None:
    follow = PoseFilter(SKID)
    lost = {}
    for k in range(100):
        t = 0.1 * k
        fixed = min(t, 3.0)
        pose = follow.update(replace(state(t, fixed, 0.0, 0.0, 1.0), base_stamp=fixed))
        lost[k] = pose.lost
        if k == 45:
            assert pose.position[0] == pytest.approx(4.5, abs=0.02)
    assert not lost[48] and lost[55] and lost[99]


def test_nothing_starts_from_a_state_that_is_not_finite() -> None:
    follow = PoseFilter(SKID)
    bad = state(0.0, math.nan, 0.0, 0.0)
    with pytest.raises(KuwaError, match="position"):
        follow.update(bad)
    follow.update(state(0.0, 1.0, 2.0, 0.0))
    hole = replace(bad, stamp=0.1, qd=np.full(3, np.nan), base_velocity=np.full(6, np.nan))
    pose = follow.update(hole)
    assert pose.position[:2].tolist() == [1.0, 2.0]


def drive(goal: Way | Turn, x: float, y: float, yaw: float, seconds: float) -> tuple[Array, bool]:
    """Let an ideal machine, late by its lag, follow the chunks."""
    driver, track = Driver(SKID), []
    v = w = 0.0
    chunks: list[tuple[float, Array, Array]] = []
    done = False
    for k in range(round(seconds / 0.1)):
        t = 0.1 * k
        position = np.array([x - SKID.centre * math.cos(yaw), y - SKID.centre * math.sin(yaw), 0])
        c, s = math.cos(yaw), math.sin(yaw)
        R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        pose = Pose(position, R, yaw, v, SKID.centre, SKID.gauge, False)
        times, sprockets, done = driver.step(t, pose, goal)
        assert not sprockets[-1].any(), "a chunk ends at rest"
        chunks.append((t, times, sprockets))
        if done:
            break
        # What is felt now was read out of the newest chunk by a controller that looks ahead.
        left, right = (np.interp(0.1, times, sprockets[:, j]) * SKID.radius for j in (0, 1))
        v, w = (left + right) / 2, (right - left) / SKID.gauge
        x, y, yaw = x + 0.1 * v * c, y + 0.1 * v * s, yaw + 0.1 * w
        track.append((x, y, yaw))
    return np.array(track), done


@pytest.mark.parametrize("reverse", [False, True])
def test_a_way_is_followed_from_beside_it_and_ended_at_its_place(reverse: bool) -> None:
    path = Polyline([(0.0, 0.0), (10.0, 0.0), (18.0, 3.0)])
    way = Way(path, reverse, 1.2, path.length)
    track, done = drive(way, 0.0, 0.5, math.pi if reverse else 0.0, 60.0)
    assert done
    beside = np.array([path.project(p[:2])[1] for p in track])
    assert np.abs(beside[(track[:, 0] > 5.0) & (track[:, 0] < 9.0)]).max() < 0.05
    assert np.abs(beside).max() < 0.55
    heading = math.atan2(3, 8)
    origin = track[-1, :2] - SKID.centre * np.array(
        [math.cos(track[-1, 2]), math.sin(track[-1, 2])]
    )
    assert origin == pytest.approx([18.0, 3.0], abs=0.08)
    off = math.remainder(track[-1, 2] - heading - (math.pi if reverse else 0), 2 * math.pi)
    assert abs(off) < 0.05


def test_a_turn_on_the_spot_ends_at_its_heading() -> None:
    track, done = drive(Turn(2.5), 1.0, 2.0, 0.0, 30.0)
    assert done
    assert track[-1, 2] == pytest.approx(2.5, abs=0.06)
    assert np.abs(track[:, :2] - [1.0, 2.0]).max() < 1e-6


def test_moves_keep_their_limits() -> None:
    for way in (-1.1, 0.01, 0.5):
        move = Move.at(2.0, 0.3, 0.3 + way, 0.12, 0.3)
        t = np.linspace(1.5, move.end + 0.5, 4000)
        q, qd = move.sample(t)
        assert q[0] == 0.3 and q[-1] == pytest.approx(0.3 + way)
        assert np.abs(qd).max() <= 0.12 + 1e-9
        assert np.abs(np.diff(qd) / np.diff(t)).max() <= 0.3 * 1.01
        assert np.gradient(q, t) == pytest.approx(qd, abs=2e-3)
