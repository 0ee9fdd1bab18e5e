"""Compiled paths: within every limit, smooth, at rest at both ends, and where the legs say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines import load_machine
from kuwa_machines.kinematics import ReachError
from kuwa_policies.control.drive import DriveModel
from kuwa_policies.planning.trajectory import DT, Leg, Margins, PathCompiler, moving_average

SPEC = load_machine("zx200")
COMPILER = PathCompiler(SPEC)
START = np.array([0.0, 6.0, 1.0, 1.8])
POINTS = st.tuples(st.floats(5.0, 7.0), st.floats(-0.5, 1.2), st.floats(1.5, 2.0))


def leg(points: list[tuple[float, float, float]], **kwargs: float | None) -> Leg:
    options = {"name": "leg", "speed": 1.0, **kwargs}
    return Leg(points=np.array(points), **options)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=25)
@given(st.lists(POINTS, min_size=1, max_size=4), st.floats(-1.5, 1.5), st.floats(0.2, 3.0))
def test_paths_stay_within_the_limits_of_joints_valves_and_pump(
    points: list[tuple[float, float, float]], swing: float, speed: float
) -> None:
    path = COMPILER.compile(START, [leg(points, speed=speed, swing_to=swing)])
    qd = np.gradient(path.q, DT, axis=0)
    qdd = np.gradient(qd, DT, axis=0)
    assert np.all(path.q >= SPEC.q_min) and np.all(path.q <= SPEC.q_max)
    assert np.all(np.abs(qd) <= SPEC.qd_max)
    assert np.all(np.abs(qdd) <= SPEC.qdd_max)
    drive = DriveModel(SPEC)
    flow = drive.flow(path.q, qd)
    assert np.all(flow.sum(-1) <= SPEC.hydraulics.pump_flow)
    for j, limit in enumerate(drive.max_flow):
        assert np.all(flow[:, j] <= np.where(qd[:, j] > 0, limit[1], limit[0]))


@settings(deadline=None, max_examples=10)
@given(POINTS, st.floats(-1.5, 1.5))
def test_paths_start_and_end_at_rest_where_they_should(
    point: tuple[float, float, float], swing: float
) -> None:
    path = COMPILER.compile(START, [leg([point], swing_to=swing)])
    assert np.allclose(path.edge[0], START, atol=1e-9)
    assert np.allclose(path.edge[-1], [swing, *point], atol=1e-6)
    assert np.abs(path.q[1] - path.q[0]).max() < 1e-3
    assert np.abs(path.q[-1] - path.q[-2]).max() < 1e-3


def test_edge_of_the_joint_path_is_the_edge_that_was_asked_for() -> None:
    path = COMPILER.compile(START, [leg([(7.0, -0.4, 1.7), (5.0, -0.4, 2.1)], swing_to=0.4)])
    edge, pitch = COMPILER.kin.forward(path.q)
    out = edge - COMPILER.kin.base
    assert np.allclose(np.hypot(out[:, 0], out[:, 1]), path.edge[:, 1], atol=1e-9)
    assert np.allclose(edge[:, 2], path.edge[:, 2], atol=1e-9)
    assert np.allclose(pitch, path.edge[:, 3], atol=1e-9)


def test_a_dwell_as_long_as_the_windows_reaches_the_corner() -> None:
    corner = (7.0, -0.4, 1.7)
    long = sum(Margins().windows) + 0.1
    for dwell, reached in ((long, True), (0.0, False)):
        path = COMPILER.compile(START, [leg([corner], dwell=dwell), leg([(5.0, -0.4, 1.7)])])
        nearest = np.linalg.norm(path.edge[:, 1:3] - corner[:2], axis=1).min()
        assert (nearest < 1e-6) == reached


@pytest.mark.parametrize("left", [0.0, 0.1, 0.6])
def test_a_leg_waits_until_the_swing_has_so_much_left(left: float) -> None:
    legs = [
        leg([(6.0, 1.0, 1.8001)], swing_to=1.4),
        Leg("late", np.array([[6.0, 0.0, 1.8001]]), 1.0, swing_left=left),
    ]
    path = COMPILER.compile(START, legs)
    moving = int(np.argmax(path.edge[:, 2] < 1.0 - 1e-3))
    # The windows let the front begin half their length before its time.
    early = sum(Margins().windows) / 2 * SPEC.qd_max[0]
    assert 1.4 - path.edge[moving, 0] < left + 0.6 * early
    assert path.phase(path.duration) == "late"


def test_sampling_is_continuous_and_held_at_the_ends() -> None:
    path = COMPILER.compile(START, [leg([(7.0, 0.0, 1.7)])])
    s = np.linspace(-1.0, path.duration + 1.0, 4001)
    q = path.sample(s)
    assert np.abs(np.diff(q, axis=0)).max() < SPEC.qd_max.max() * (s[1] - s[0])
    assert np.array_equal(q[0], path.q[0]) and np.array_equal(q[-1], path.q[-1])


def test_out_of_reach_names_the_phase() -> None:
    with pytest.raises(ReachError, match="phase 'leg': edge at"):
        COMPILER.compile(START, [leg([(12.0, 0.0, 1.7)])])
    with pytest.raises(ReachError, match=r"swing to .* leaves its limits \[-180°, 180°\]"):
        COMPILER.compile(START, [leg([(6.0, 0.0, 1.7)], swing_to=4.0)])


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=50), st.floats(0.0, 1.0))
def test_moving_average_stays_within_its_input(values: list[float], window: float) -> None:
    x = np.array(values)[:, None]
    smooth = moving_average(x, window)
    assert smooth.shape == x.shape
    assert smooth.max() <= x.max() + 1e-9 and smooth.min() >= x.min() - 1e-9
