"""A trained network fits on a measured device, and learning in the loop does the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import KuwaError
from kuwa_policies.devices.device import Device, plain_program
from kuwa_policies.devices.mapping import fit, measure
from kuwa_policies.devices.network import NoisyEbn
from kuwa_policies.devices.nonidealities import Flaws
from kuwa_policies.ebn.decoders import random_decoders, random_dendrites
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters

J, N, K = 2, 40, 20


def parameters() -> EbnParameters:
    M, theta = random_dendrites(J, [(0,)], K, 1, gain=2.0)
    D = random_decoders(J, N, 0.1, 0)
    return EbnParameters(D, M=M, theta=theta, w_max=0.5, eta=20.0)


def learnt(p: EbnParameters, seed: int = 0) -> np.ndarray:
    """Slow weights as learning makes them: in the span of the decoders."""
    W = np.random.default_rng(seed).uniform(-1.5, 1.5, (K, J))
    return W @ p.D


def run(net: Ebn, seconds: float, learn: bool) -> float:
    """Let signal 1 become the square of signal 0, low-passed; return the rms error [share]."""
    p, tick, y, e, errors = net.p, 0.01, 0.0, 0.0, []
    for i in range(int(seconds / tick)):
        t = i * tick
        x = 0.8 * np.sin(2.1 * t) * np.cos(0.37 * t)
        slope = 0.8 * (2.1 * np.cos(2.1 * t) * np.cos(0.37 * t)
                       - 0.37 * np.sin(2.1 * t) * np.sin(0.37 * t))  # fmt: skip
        gain = 0.03 ** (t / seconds)
        net.step(np.array([slope + p.leak * x, 0.0]), np.array([0.0, gain * e * learn]), 10, learn)
        y += tick * p.leak * (2.0 * x * x - 0.5 - y)
        e = y - net.x_hat[1]
        errors.append(e)
    return float(np.sqrt(np.mean(np.square(errors[100:]))))


@given(st.integers(0, 1000), st.floats(0.0, 0.3), st.floats(0.0, 0.3))
@settings(max_examples=15, deadline=None)
def test_what_can_be_held_is_held(seed: int, mismatch: float, loss: float) -> None:
    p = parameters()
    device = Device(p, Flaws(mismatch=mismatch, ir_drop=loss, threshold_spread=0.2), seed)
    Omega_s = learnt(p)
    m = fit(p, device, measure(device, reads=10**9), Omega_s)
    f = m.device.threshold_factors
    able = np.abs(m.program.spread) < 0.999 * m.device.spread.w_max
    held = m.device.spread.held(m.program.spread) / f
    np.testing.assert_allclose(held[able], p.D[able], rtol=1e-3, atol=1e-6)
    signals = p.D @ (m.device.slow.held(m.program.slow) / f).T
    np.testing.assert_allclose(signals, p.D @ Omega_s.T, atol=2e-3)


def test_neurons_that_are_dead_or_far_off_are_left_out() -> None:
    p = parameters()
    device = Device(p, Flaws(dead_neurons=0.2, stuck_low=0.05), seed=1, neurons=60)
    m = fit(p, device, measure(device), learnt(p))
    assert m.device.alive.all() and len(set(m.columns)) == N
    tight = Device(p, Flaws(stuck_low=0.05), seed=1)
    left = fit(p, tight, measure(tight), learnt(p)).left
    assert m.left["spread"] < left["spread"]


def test_stuck_connections_are_taken_over_by_the_other_neurons() -> None:
    p, Omega_s = parameters(), learnt(parameters())
    device = Device(p, Flaws(stuck_low=0.1, stuck_high=0.02, bits=6), seed=2)
    m = fit(p, device, measure(device), Omega_s)
    D = p.D
    target = D @ Omega_s.T
    mapped = D @ m.device.slow.held(m.program.slow).T - target
    plain = D @ device.slow.held(Omega_s).T - target
    assert np.sqrt((mapped**2).mean()) < 0.2 * np.sqrt((plain**2).mean())


def test_a_poorly_measured_device_is_fitted_poorly() -> None:
    p, Omega_s = parameters(), learnt(parameters())
    device = Device(p, Flaws(mismatch=0.2, read_noise=0.3), seed=3)

    def wrong(reads: int) -> float:
        m = fit(p, device, measure(device, reads, seed=5), Omega_s)
        return float(np.abs(m.device.spread.held(m.program.spread) - p.D).mean())

    assert wrong(400) < 0.25 * wrong(4)


def test_drift_is_made_up_for_beforehand() -> None:
    p = parameters()
    device = Device(p, Flaws(drift=0.03, age=1e4), seed=0)
    m = fit(p, device, measure(device, reads=10**9), learnt(p))
    held = m.device.spread.held(m.program.spread, age=1e4)
    np.testing.assert_allclose(held, p.D, rtol=1e-3, atol=1e-6)


def test_mapping_and_learning_in_the_loop_undo_mismatch() -> None:
    p = parameters()
    ideal = Ebn(p)
    run(ideal, 60.0, learn=True)
    Omega_s = ideal.Omega_s.copy()

    def error(net: Ebn) -> float:
        net.reset(keep_weights=True)
        return run(net, 15.0, learn=False)

    best = error(ideal)
    without, adapted, mapped = [], [], []
    for seed in range(3):
        device = Device(p, Flaws(mismatch=0.4), seed)
        plain = NoisyEbn(p, device, plain_program(p, Omega_s))
        without.append(error(plain))
        run(plain, 30.0, learn=True)
        adapted.append(error(plain))
        m = fit(p, device, measure(device), Omega_s)
        mapped.append(error(NoisyEbn(p, m.device, m.program)))
    assert np.mean(without) > 1.5 * best
    assert np.mean(adapted) < 0.8 * np.mean(without)
    assert np.mean(mapped) < 1.1 * best


def test_nonsense_is_refused() -> None:
    p = parameters()
    device = Device(p, Flaws())
    with pytest.raises(KuwaError, match="at least 1"):
        measure(device, reads=0)
    with pytest.raises(KuwaError, match=r"\(20, 40\)"):
        fit(p, device, measure(device), np.zeros((3, 4)))
