"""The argument for stability, and what guards it: the ball, dead zone, leakage, bounds, long runs.

A joint of unit inertia, M ṡ = −K_D s + ŷ − y*, whose missing torque y* is what another network of
the same kind gives: the best weights are known, and V with them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kuwa_policies.control.adaptive.feedforward import AdaptiveFeedforward, FeedforwardSettings

T = 1e-3
K_D, KAPPA = 2.0, 2.0
PLAIN = FeedforwardSettings(
    (1.0, 1.0), (1.0,), (1.0,), period=T, neurons=60, each=30, rate=4.0, gain=2.0, norm=0.1,
    mu=0.4, noise=0.05, constant=2.0, leak=50.0, bound=0.4,
)  # fmt: skip
PERIOD = 2.0
"""Of the reference [s]."""


def inputs(t: float) -> np.ndarray:
    w = 2.0 * np.pi / PERIOD
    return np.array([np.sin(w * t), np.cos(2.0 * w * t)])


class Joint:
    """The joint with its teacher and its learner; records s and V at every tick."""

    def __init__(self, settings: FeedforwardSettings) -> None:
        self.learner = AdaptiveFeedforward(settings)
        self.teacher = AdaptiveFeedforward(settings)
        p = self.teacher.network.p
        self.d = p.D[-1]
        self.best = 0.3 * p.leak * np.random.default_rng(5).standard_normal(p.dendrites)
        self.teacher.network.Omega_s[:] = np.outer(self.best, self.d)
        self.scale = p.leak * p.eta
        self.s, self.y = 0.0, 0.0
        self.trace: list[tuple[float, float, float]] = []

    def V(self) -> float:
        """½ s² + ½ |W̃|²/(λη)."""
        W = self.learner.network.Omega_s @ self.d / (self.d @ self.d)
        return 0.5 * self.s**2 + 0.5 * float(((W - self.best) ** 2).sum()) / self.scale

    def run(self, begin: float, end: float, noise: float = 0.0) -> np.ndarray:
        """Return s, V and ŷ − y*, shape (ticks, 3)."""
        rng = np.random.default_rng(0)
        rows = []
        for t in np.arange(begin, end, T):
            z = inputs(t + self.learner.lag)
            wanted = float(self.teacher.step(z, np.zeros(1), learn=False)[0])
            e = -self.s + KAPPA * (wanted - self.y) + noise * rng.standard_normal()
            self.y = float(self.learner.step(z, np.array([e]))[0])
            self.s += T * (-K_D * self.s + self.y - wanted)
            rows.append((self.s, self.V(), self.y - wanted))
        return np.array(rows)


def test_the_error_falls_outside_a_ball() -> None:
    joint = Joint(replace(PLAIN, rate=0.5))
    rows = joint.run(0.0, 24.0)
    windows = rows.reshape(-1, round(PERIOD / T), 3)
    V = windows[:, -1, 1]
    strength = (K_D * windows[:, :, 0] ** 2 + KAPPA * windows[:, :, 2] ** 2).mean(axis=1)
    # ε: each network is off by its own spikes, a fraction of one decoder's length.
    ball = (1.0 / K_D + KAPPA) * PLAIN.norm**2
    outside = strength[1:] > ball
    assert outside.sum() >= 2
    assert (np.diff(V)[outside] < 0.0).all()
    # V̇ is what the argument says, −K_D s² − κ ỹ², but for ε.
    fall = -PERIOD * strength[1:][outside]
    np.testing.assert_allclose(np.diff(V)[outside], fall, rtol=0.1)
    assert strength[-1] < 0.1 * strength[0]


def test_noise_without_motion_does_not_move_the_weights() -> None:
    """Within the dead zone nothing moves at all; without one, weights walk."""
    walked = []
    for zone in (0.15, 0.0):
        f = AdaptiveFeedforward(replace(PLAIN, dead_zone=zone))
        rng = np.random.default_rng(1)
        for e in 0.1 * rng.uniform(-1.0, 1.0, 5000):
            f.step(np.array([0.3, -0.2]), np.array([e]))
        walked.append(float(np.abs(f.network.Omega_s).max()))
    assert walked[0] == 0.0 < walked[1]


def test_leakage_forgets_what_a_biased_error_taught() -> None:
    """A bias b against leakage σ ends at ηb|ψ̄|/σ rather than growing for ever."""
    f = AdaptiveFeedforward(replace(PLAIN, forget=1.0, bound=10.0))
    z, norms = np.array([0.3, -0.2]), []
    for _ in range(8000):
        f.step(z, np.array([0.1]))
        norms.append(float(np.linalg.norm(f.network.Omega_s)))
    assert norms[-1] == pytest.approx(norms[-2000], rel=0.03)
    p = f.network.p
    ends = p.eta * 0.1 * np.linalg.norm(f.trace) * np.linalg.norm(p.D[-1])
    assert norms[-1] == pytest.approx(ends, rel=0.05)


@pytest.mark.parametrize("backend", ["float64", "float32", "fixed"])
def test_weights_stay_within_their_bounds_whatever_the_error(backend: str) -> None:
    """The worst that an error can do is to push every weight on."""
    f = AdaptiveFeedforward(replace(PLAIN, rate=1e4), backend)
    unit = float(getattr(f.network, "weight_unit", 1.0))
    worst = 0.0
    for k in range(3000):
        y = f.step(inputs(k * T), np.array([1e9 if k < 2000 else -1e9]))
        worst = max(worst, float(np.abs(np.asarray(f.network.Omega_s, float) * unit).max()))
    assert 0.5 * f.network.p.w_max < worst <= f.network.p.w_max * 1.01
    assert np.abs(y[0]) <= 1.5 * PLAIN.each * PLAIN.bound


def test_a_long_run_does_not_burst() -> None:
    """A hundred seconds with noise: errors and rates at the end are those of the middle."""
    joint = Joint(replace(PLAIN, dead_zone=0.01, forget=1e-3))
    spikes, peaks = [], []
    for part in range(5):
        before = int(joint.learner.network.activity.spikes.sum())
        rows = joint.run(20.0 * part, 20.0 * (part + 1), noise=0.1)
        spikes.append(int(joint.learner.network.activity.spikes.sum()) - before)
        peaks.append(np.abs(rows[:, 0]).max())
    assert spikes[-1] == pytest.approx(spikes[2], rel=0.05)
    assert max(peaks[3:]) < 1.5 * max(peaks[1:3])
