"""The two-link arm obeys mechanics."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_machines.errors import KuwaError
from kuwa_sim.arm import GRAVITY, ArmModel, ArmParameters, TwoLinkArm

LOADED = ArmParameters(payload=10.0)
RNG = np.random.default_rng(3)
STATES = RNG.uniform(-2.0, 2.0, (5, 4))


def test_energy_is_kept_without_friction_and_torque() -> None:
    arm = TwoLinkArm(LOADED, substeps=4)
    arm.reset(np.array([0.3, 0.8]), np.array([1.0, -2.0]))
    before = arm.energy()
    for _ in range(2000):
        arm.step(np.zeros(2))
    assert arm.energy() == pytest.approx(before, abs=1e-4)


@pytest.mark.parametrize("x", STATES)
def test_the_inertia_changes_as_the_coriolis_matrix_says(x: np.ndarray) -> None:
    """Ṁ = C + Cᵀ, by finite differences."""
    model, h = ArmModel(LOADED), 1e-6
    q, qd = x[:2], x[2:]
    more = model(q + h * qd, qd)[0].copy()
    less = model(q - h * qd, qd)[0].copy()
    _, C, _ = model(q, qd)
    np.testing.assert_allclose((more - less) / (2 * h), C + C.T, atol=1e-6)


def test_a_payload_weighs_what_it_should() -> None:
    q = np.array([0.4, 0.5])
    bare, loaded = ArmModel(ArmParameters()), ArmModel(LOADED)
    extra = loaded(q, np.zeros(2))[2] - bare(q, np.zeros(2))[2]
    reach = 0.5 * np.cos(0.4) + 0.5 * np.cos(0.9)
    np.testing.assert_allclose(extra, 10.0 * GRAVITY * np.array([reach, 0.5 * np.cos(0.9)]))


def test_drives_have_limits_and_dead_time() -> None:
    arm = TwoLinkArm(ArmParameters(), dead_time=3)
    arm.reset(np.array([np.pi / 2, 0.0]))
    np.testing.assert_array_equal(arm.step(np.array([1e4, 0.0])), [400.0, 0.0])
    arm.step(np.zeros(2))
    arm.step(np.zeros(2))
    assert abs(arm.x[2]) < 1e-6
    arm.step(np.zeros(2))
    assert arm.x[2] > 0.01


def test_encoders_have_steps() -> None:
    arm = TwoLinkArm(ArmParameters(encoder_step=0.1, encoder_noise=0.0))
    arm.reset(np.array([0.12, -0.26]))
    np.testing.assert_allclose(arm.read(), [0.1, -0.3])
    with pytest.raises(KuwaError, match="above 0"):
        ArmParameters(length=(0.0, 1.0))
