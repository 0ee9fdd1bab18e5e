"""Mathematics of the kinematics: inverse of forward, Jacobian, frames, messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuwa_machines import load_machine
from kuwa_machines.kinematics import (
    ExcavatorKinematics,
    ReachError,
    apply,
    inverse_transform,
    transform,
)

SPEC = load_machine("zx200")
KIN = ExcavatorKinematics(SPEC)
UNIT = st.floats(0.0, 1.0, allow_nan=False)
POSES = st.tuples(UNIT, UNIT, UNIT, UNIT)


def within_limits(fractions: tuple[float, ...]) -> np.ndarray:
    return SPEC.q_min + np.array(fractions) * (SPEC.q_max - SPEC.q_min)


@given(POSES)
def test_inverse_returns_a_branch_that_forward_maps_back(fractions: tuple[float, ...]) -> None:
    edge, pitch = KIN.forward(within_limits(fractions))
    found = KIN.inverse(edge, float(pitch))
    again, pitch_again = KIN.forward(found)
    assert np.allclose(again, edge, atol=1e-9)
    assert np.isclose(np.cos(pitch_again - pitch), 1.0)
    assert np.all(found >= SPEC.q_min - 1e-8) and np.all(found <= SPEC.q_max + 1e-8)


@given(POSES)
def test_every_pose_is_among_its_own_branches(fractions: tuple[float, ...]) -> None:
    q = within_limits(fractions)
    edge, pitch = KIN.forward(q)
    branches, _ = KIN.inverse_branches(edge[None], np.array([pitch]))
    error = np.abs(np.exp(1j * branches[:, 0]) - np.exp(1j * q)).max(-1)
    assert np.nanmin(error) < 1e-6


@given(POSES)
def test_jacobian_is_the_derivative_of_forward(fractions: tuple[float, ...]) -> None:
    q = within_limits(fractions)
    h = 1e-6
    steps = q + h * np.vstack([np.eye(4), -np.eye(4)])
    edge, pitch = KIN.forward(steps)
    numeric = np.column_stack([edge[:4] - edge[4:], pitch[:4] - pitch[4:]]).T / (2 * h)
    assert np.allclose(KIN.jacobian(q), numeric, atol=1e-6)


@given(POSES)
def test_frames_end_at_the_edge_and_outline_passes_through_it(
    fractions: tuple[float, ...],
) -> None:
    q = within_limits(fractions)
    frames = KIN.frames(q)
    edge, pitch = KIN.forward(q)
    T_base_edge = frames["edge"]
    assert np.allclose(T_base_edge[:3, 3], edge)
    # The bucket's x axis points from pin to edge: pitch p below the horizontal.
    assert np.isclose(T_base_edge[2, 0], -np.sin(pitch))
    outline = KIN.bucket_outline(q)
    assert np.isclose(outline[-1, 1], edge[2])
    pin, joint = frames["bucket_joint"], np.array([*SPEC.tool.profile[0]])
    lip = pin @ np.array([joint[0], 0.0, joint[1], 1.0])
    assert np.isclose(outline[0, 1], lip[2])


def test_positive_angles_lower_the_boom_and_fold_arm_and_bucket_in() -> None:
    edge, _ = KIN.forward(SPEC.home)
    step = np.eye(4) * 0.01
    lowered, _ = KIN.forward(SPEC.home + step[1])
    crowded, _ = KIN.forward(SPEC.home + step[2])
    curled, _ = KIN.forward(SPEC.home + step[3])
    swung, _ = KIN.forward(SPEC.home + step[0])
    assert lowered[2] < edge[2]
    assert crowded[0] < edge[0] and curled[0] < edge[0]
    assert swung[1] > edge[1]


def test_path_equals_points_one_by_one() -> None:
    edge = np.column_stack([np.linspace(7.5, 5.0, 9), np.zeros(9), np.full(9, -0.4)])
    pitch = np.linspace(1.6, 2.2, 9)
    path = KIN.inverse_path(edge, pitch)
    for k in range(9):
        assert np.allclose(path[k], KIN.inverse(edge[k], pitch[k]))


def test_errors_name_the_joint_and_its_limits() -> None:
    with pytest.raises(ReachError, match="cannot meet"):
        KIN.inverse(np.array([20.0, 0.0, 0.0]), 1.5)
    with pytest.raises(ReachError, match=r"bucket_joint at .* would leave its limits \[-35\.6°"):
        KIN.inverse(np.array([6.0, 0.0, 0.5]), np.radians(30.0))
    with pytest.raises(ReachError, match="point 1 of 2"):
        KIN.inverse_path(np.array([[6.0, 0, 0], [20.0, 0, 0]]), np.array([1.5, 1.5]))


@given(st.tuples(*[st.floats(-1, 1)] * 4), st.tuples(*[st.floats(-5, 5)] * 3))
def test_transforms_are_rigid_and_invert(
    quaternion: tuple[float, ...], position: tuple[float, ...]
) -> None:
    w = np.array(quaternion)
    if np.linalg.norm(w) < 1e-3:
        w = np.array([1.0, 0, 0, 0])
    T = transform(np.array(position), w / np.linalg.norm(w))
    assert np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.isclose(np.linalg.det(T[:3, :3]), 1.0)
    points = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    assert np.allclose(apply(inverse_transform(T), apply(T, points)), points, atol=1e-9)


def test_quaternion_of_a_yaw_turns_about_z() -> None:
    T = transform(np.array([1.0, 2.0, 0.0]), np.array([np.cos(0.25), 0, 0, np.sin(0.25)]))
    assert np.allclose(apply(T, np.array([1.0, 0, 0])), [1 + np.cos(0.5), 2 + np.sin(0.5), 0.0])
