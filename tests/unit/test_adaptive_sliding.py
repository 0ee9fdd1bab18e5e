"""Adaptive tracking of torque machines: physics of the law, learning, dead time, bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import CommandError, KuwaError
from kuwa_policies.control.adaptive.feedforward import AdaptiveFeedforward, FeedforwardSettings
from kuwa_policies.control.adaptive.momentum import MomentumObserver
from kuwa_policies.control.adaptive.observer import VelocityObserver
from kuwa_policies.control.adaptive.sliding import (
    OVERRIDDEN,
    STALE,
    UNREADABLE,
    Motion,
    SlidingController,
    SlidingGains,
)
from kuwa_policies.ebn.save import restore, save
from kuwa_sim.arm import ArmModel, ArmParameters, TwoLinkArm

T = 1e-3
GAINS = SlidingGains(slope=(3.5, 3.5), damping=(60.0, 30.0), limit=(400.0, 200.0))
COMPOSITE = replace(GAINS, prediction=(0.16, 0.32))
NETWORK = FeedforwardSettings(
    (1.0, 1.0, 1.5, 1.5, 3.0, 3.0), (100.0, 50.0), (5.0, 5.0), period=T, each=60, neurons=100,
    rate=30.0, gain=2.5, norm=0.15, mu=0.3, noise=0.05, constant=3.0, bound=0.3,
)  # fmt: skip


def motion(t: float) -> Motion:
    s, c = np.sin(1.5 * t + np.array([0.0, 1.0])), np.cos(1.5 * t + np.array([0.0, 1.0]))
    return Motion(0.4 * s + [0.2, 1.0], 0.6 * c, -0.9 * s)


def follow(
    controller: SlidingController, plant: TwoLinkArm, begin: float, end: float, delay: float = 0.0
) -> np.ndarray:
    """Track; return the errors at every tick, shape (ticks, 2) [rad]."""
    lag = 0.0 if controller.feedforward is None else controller.feedforward.lag
    errors, applied = [], None
    for t in np.arange(begin, end, T):
        errors.append(plant.x[:2] - motion(t).q)
        tau = controller.step(plant.read(), motion(t + delay), motion(t + delay + lag), applied)
        applied = plant.step(tau)
    return np.array(errors)


def rms(errors: np.ndarray) -> float:
    """Of the last two seconds, mean over the joints [°]."""
    return float(np.degrees(np.sqrt((errors[-2000:] ** 2).mean(axis=0)).mean()))


def started(parameters: ArmParameters, dead_time: int = 0) -> TwoLinkArm:
    plant = TwoLinkArm(parameters, T, dead_time=dead_time, seed=1)
    plant.reset(motion(0.0).q, motion(0.0).qd)
    return plant


def adaptive(gains: SlidingGains = COMPOSITE, **changes: object) -> SlidingController:
    network = AdaptiveFeedforward(replace(NETWORK, **changes))
    controller = SlidingController(ArmModel(ArmParameters()), gains, T, network)
    controller.reset(motion(0.0).q, keep_weights=False)
    return controller


def test_with_the_right_model_nothing_is_left_to_learn() -> None:
    known = ArmParameters(payload=10.0)
    controller = SlidingController(ArmModel(known), GAINS, T)
    plant = started(known)
    controller.reset(motion(0.0).q)
    assert np.degrees(np.abs(follow(controller, plant, 0.0, 4.0)[2000:]).max()) < 0.1


def test_an_unknown_load_sags_as_far_as_the_gains_say() -> None:
    """At rest K_D Λ e is the unknown weight."""
    controller = SlidingController(ArmModel(ArmParameters()), GAINS, T)
    plant = TwoLinkArm(ArmParameters(payload=2.0))
    plant.reset(np.array([0.2, 1.0]))
    controller.reset(plant.read())
    hold = Motion(np.array([0.2, 1.0]), np.zeros(2), np.zeros(2))
    for _ in range(6000):
        plant.step(controller.step(plant.read(), hold))
    q = plant.x[:2]
    loaded, bare = ArmModel(ArmParameters(payload=2.0)), ArmModel(ArmParameters())
    weight = loaded(q, np.zeros(2))[2] - bare(q, np.zeros(2))[2]
    np.testing.assert_allclose(3.5 * np.array([60.0, 30.0]) * (hold.q - q), weight, rtol=0.02)


@pytest.fixture(scope="module")
def unlearnt() -> float:
    """What is left without learning [°]."""
    controller = SlidingController(ArmModel(ArmParameters()), GAINS, T)
    controller.reset(motion(0.0).q)
    return rms(follow(controller, started(ArmParameters(payload=10.0)), 0.0, 10.0))


@pytest.mark.parametrize(
    ("gains", "share"), [(GAINS, 0.35), (COMPOSITE, 0.04)], ids=["sliding", "composite"]
)
def test_an_unknown_load_is_learnt(gains: SlidingGains, share: float, unlearnt: float) -> None:
    errors = follow(adaptive(gains), started(ArmParameters(payload=10.0)), 0.0, 8.0)
    assert rms(errors) < share * unlearnt


def test_learning_goes_on_where_it_ended_after_a_restart(tmp_path: Path) -> None:
    loaded = ArmParameters(payload=10.0)
    controller, new, fresh = adaptive(), adaptive(), adaptive()
    plant = started(loaded)
    follow(controller, plant, 0.0, 5.0)
    assert new.feedforward is not None and controller.feedforward is not None
    save(tmp_path / "learnt.npz", controller.feedforward.network)
    restore(tmp_path / "learnt.npz", new.feedforward.network)
    errors = []
    for each in (new, fresh):
        plant = TwoLinkArm(loaded)
        plant.reset(motion(5.0).q, motion(5.0).qd)
        each.reset(motion(5.0).q)
        errors.append(np.abs(follow(each, plant, 5.0, 5.3)).max())
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.full
def test_the_predictor_makes_a_dead_time_harmless() -> None:
    """With the right model, tracking behind 20 ms is as good as without."""
    known, delay = ArmParameters(payload=10.0), 0.02
    gains = replace(GAINS, damping=(250.0, 120.0), slope=(12.0, 12.0))
    errors = []
    for dead_time in (delay, 0.0):
        controller = SlidingController(ArmModel(known), replace(gains, dead_time=dead_time), T)
        plant = started(known, round(delay / T))
        controller.reset(motion(0.0).q)
        errors.append(np.abs(follow(controller, plant, 0.0, 4.0, dead_time)[2500:]).max())
    assert np.degrees(errors[0]) < 0.5
    assert errors[0] < 0.5 * errors[1]


def test_learning_behind_a_dead_time(unlearnt: float) -> None:
    delay = 0.005
    controller = adaptive(replace(COMPOSITE, dead_time=delay), rate=10.0)
    plant = started(ArmParameters(payload=10.0), round(delay / T))
    assert rms(follow(controller, plant, 0.0, 8.0, delay)) < 0.2 * unlearnt


def test_velocity_is_right_under_a_known_acceleration() -> None:
    observer = VelocityObserver(1, T, 100.0)
    for t in np.arange(0.0, 1.0, T):
        qd = observer.step(np.array([1.5 * t**2]), np.array([3.0]))
    assert qd[0] == pytest.approx(3.0 * (1.0 - T), abs=1e-6)
    with pytest.raises(KuwaError, match="bandwidth"):
        VelocityObserver(1, T, 3000.0)


def test_momentum_says_which_torque_is_missing() -> None:
    """A plant that is exactly the model but for a constant torque."""
    parameters = ArmParameters(encoder_noise=0.0)
    plant, model = TwoLinkArm(parameters), ArmModel(parameters)
    observer, extra = MomentumObserver(2, T, 50.0), np.array([7.0, -3.0])
    plant.reset(np.array([0.2, 0.9]))
    tau = np.zeros(2)
    for t in np.arange(0.0, 1.0, T):
        q, qd = plant.x[:2], plant.x[2:]
        M, C, G = model(q, qd)
        error = observer.step(M, C, G, qd, tau, np.zeros(2)).copy()
        tau = G + 10.0 * np.sin(3.0 * t) - 20.0 * qd
        plant.step(tau - extra)
    np.testing.assert_allclose(error, extra, atol=0.3)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"reference": None}, STALE),
        ({"reference": Motion(np.array([np.nan, 0.0]), np.zeros(2), np.zeros(2))}, STALE),
        ({"q": np.array([np.nan, 0.0])}, UNREADABLE),
        ({"applied": np.array([1.0, 2.0])}, OVERRIDDEN),
        ({"applied": np.array([np.inf, 2.0])}, OVERRIDDEN),
    ],
)
def test_what_is_wrong_teaches_nothing_and_does_no_harm(change: dict, why: str) -> None:
    controller = adaptive()
    plant = started(ArmParameters(payload=10.0))
    follow(controller, plant, 0.0, 1.0)
    assert controller.feedforward is not None
    before = controller.feedforward.network.Omega_s.copy()
    tau = controller.step(**{"q": plant.read(), "reference": motion(1.0)} | change)
    assert controller.refused == why
    assert np.isfinite(tau).all() and (np.abs(tau) <= GAINS.limit).all()
    np.testing.assert_array_equal(controller.feedforward.network.Omega_s, before)
    plant.step(tau)
    tau = controller.step(plant.read(), motion(1.001))
    assert not controller.refused and np.isfinite(tau).all()


def test_an_override_teaches_nothing_for_the_dead_time_after_it() -> None:
    controller = adaptive(replace(COMPOSITE, dead_time=0.02))
    plant = started(ArmParameters(payload=10.0))
    follow(controller, plant, 0.0, 1.0)
    assert controller.feedforward is not None
    weights = controller.feedforward.network.Omega_s
    before = weights.copy()
    q = plant.read()
    controller.step(q, motion(1.0), applied=np.array([1.0, 2.0]))
    for k in range(round(0.02 / T) - 1):
        controller.step(q + 0.01 * k, motion(1.0))
        np.testing.assert_array_equal(weights, before)
    controller.step(q, motion(1.0))
    assert (weights != before).any()


def test_without_references_the_arm_is_held() -> None:
    controller = adaptive()
    plant = started(ArmParameters(payload=10.0))
    follow(controller, plant, 0.0, 6.0)
    for _ in range(3000):
        plant.step(controller.step(plant.read(), None))
    assert np.abs(plant.x[2:]).max() < 0.1
    assert np.degrees(np.abs(plant.x[:2] - motion(6.0).q).max()) < 20.0


def test_a_joint_at_its_limit_does_not_learn_to_push_further() -> None:
    weak = replace(COMPOSITE, limit=(40.0, 200.0))
    controller = adaptive(weak)
    plant = TwoLinkArm(ArmParameters(payload=10.0, torque=(40.0, 200.0)))
    plant.reset(np.array([-np.pi / 2, 0.3]))
    controller.reset(plant.read(), keep_weights=False)
    hold = Motion(np.array([0.5, 0.3]), np.zeros(2), np.zeros(2))
    outputs = []
    for _ in range(4000):
        plant.step(controller.step(plant.read(), hold))
        outputs.append(controller._y[0])
    assert max(outputs) < 2.0 * 40.0


number = st.floats(allow_nan=True, allow_infinity=True)
CONTROLLER = adaptive()


@given(st.lists(number, min_size=10, max_size=10))
@settings(max_examples=80, deadline=None)
def test_torques_are_finite_and_within_limits_whatever_comes(values: list[float]) -> None:
    v = np.array(values).reshape(5, 2)
    tau = CONTROLLER.step(v[0], Motion(v[1], v[2], v[3]), None, v[4])
    assert np.isfinite(tau).all() and (np.abs(tau) <= GAINS.limit).all()
    # And it is itself again afterwards.
    CONTROLLER.reset(np.zeros(2))
    tau = CONTROLLER.step(np.zeros(2), motion(0.0))
    assert np.isfinite(tau).all()


def test_wrong_numbers_of_joints_are_refused() -> None:
    controller = adaptive()
    with pytest.raises(CommandError, match="expected"):
        controller.step(np.zeros(3), motion(0.0))
    with pytest.raises(CommandError, match="shape"):
        controller.step(np.zeros(2), Motion(np.zeros(3), np.zeros(2), np.zeros(2)))
    for change in ({"damping": (1.0,)}, {"limit": (1.0, 0.0)}, {"prediction": (1.0,)}):
        with pytest.raises(KuwaError, match="expected"):
            replace(GAINS, **change)
    with pytest.raises(KuwaError, match="whole number"):
        SlidingController(ArmModel(ArmParameters()), replace(GAINS, dead_time=1.5e-3), T)


@pytest.mark.parametrize("dead_time", [0, 20])
def test_an_applied_torque_that_is_no_number_does_not_stay(dead_time: int) -> None:
    """Not even where there is no reference, so that nothing is learnt from it either."""
    controller = adaptive(replace(COMPOSITE, dead_time=dead_time * T))
    for k in range(200):
        applied = np.full(2, np.nan) if k == 5 else None
        tau = controller.step(np.zeros(2), None, applied=applied)
        assert np.isfinite(tau).all()
        assert np.isfinite(controller.s).all()
    assert not controller.refused or controller.refused == STALE
