"""Analogue hardware: each law holds, and a device without flaws is the ideal network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import KuwaError
from kuwa_policies.devices.crossbar import Crossbar, attenuation, log_normal
from kuwa_policies.devices.device import Device, Program, plain_program
from kuwa_policies.devices.network import NoisyEbn
from kuwa_policies.devices.nonidealities import NAMES, TABLE, Flaws, find, flaws
from kuwa_policies.ebn.decoders import random_decoders, random_dendrites
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters

J, N, K = 3, 30, 12


def parameters(**other: float) -> EbnParameters:
    M, theta = random_dendrites(J, [(0, 1, 2)], K, 1)
    numbers: dict = {"w_max": 1.0, "eta": 5.0, "k": 5.0, "max_spikes": 4} | other
    return EbnParameters(random_decoders(J, N, 0.1, 0), M=M, theta=theta, **numbers)


def crossbar(shape: tuple[int, int] = (40, 50), seed: int = 0, **wrong: float) -> Crossbar:
    return Crossbar(shape, 2.0, Flaws(**wrong), np.random.default_rng(seed))


def weights(shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    return np.random.default_rng(9).uniform(-2.0, 2.0, shape)


def drive(net: Ebn, ticks: int = 200, seed: int = 3) -> np.ndarray:
    """Follow a random walk with an error that wanders; return x̂ after every tick."""
    rng = np.random.default_rng(seed)
    c = 10.0 * np.cumsum(rng.standard_normal((ticks, J)) * 0.05, axis=0)
    e = 0.1 * rng.standard_normal((ticks, J))
    return np.array([net.step(c[i], e[i], 5).copy() for i in range(ticks)])


def test_a_device_without_flaws_is_the_ideal_network_bit_for_bit() -> None:
    p = parameters()
    ideal, real = Ebn(p, seed=4), NoisyEbn(p, Device(p, Flaws()), seed=4)
    np.testing.assert_array_equal(drive(real), drive(ideal))
    for name in ("V", "r", "psi", "Omega_s"):
        np.testing.assert_array_equal(getattr(real, name), getattr(ideal, name))
    assert ideal.activity.spikes.sum() > 100
    np.testing.assert_array_equal(real.activity.spikes, ideal.activity.spikes)
    np.testing.assert_array_equal(real.activity.moments, ideal.activity.moments)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_non_ideality_matters_and_comes_back_after_a_reset(row) -> None:
    p = parameters()
    ideal = drive(NoisyEbn(p, Device(p, Flaws())))
    net = NoisyEbn(p, Device(p, flaws(row.name, row.sweep[-1])))
    first = drive(net)
    assert np.isfinite(first).all() and not np.array_equal(first, ideal)
    net.reset()
    np.testing.assert_array_equal(drive(net), first)


def test_the_table_and_the_flaws_agree() -> None:
    for row in TABLE:
        assert hasattr(Flaws(), row.name) and getattr(Flaws(), row.name) == 0
        low, high = row.limits
        assert all(low <= value <= high for value in row.sweep)
    assert find("mismatch").acts_on == TABLE[0].acts_on


@given(st.sampled_from(NAMES), st.floats(allow_nan=True, allow_infinity=True))
def test_a_severity_is_taken_or_refused_by_name(name: str, value: float) -> None:
    low, high = find(name).limits
    if not low <= value <= high:
        with pytest.raises(KuwaError, match=name):
            Flaws(**{name: value})
    elif name != "bits":  # only some numbers of bits are any
        assert getattr(Flaws(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bits": 1}, "2 to 16"),
        ({"bits": 4.5}, "2 to 16"),
        ({"stuck_low": 0.6, "stuck_high": 0.6}, "at most 1"),
        ({"age": 0.0}, "1 s on"),
    ],
)
def test_flaws_that_cannot_be_are_refused(wrong: dict, words: str) -> None:
    with pytest.raises(KuwaError, match=words):
        Flaws(**wrong)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(KuwaError, match="did you mean 'mismatch'"):
        flaws("mismach", 0.1)


@pytest.mark.parametrize("cv", [0.05, 0.2, 0.6])
def test_log_normal_factors_have_mean_one_and_the_spread_asked_for(cv: float) -> None:
    f = log_normal(np.random.default_rng(0), cv, 400_000)
    assert f.min() > 0.0
    assert f.mean() == pytest.approx(1.0, abs=5 * cv / np.sqrt(400_000))
    assert f.std() == pytest.approx(cv, rel=0.02)


@given(st.floats(0.01, 0.8), st.integers(30, 300))
def test_the_far_end_of_the_longest_line_has_the_loss_asked_for(loss: float, n: int) -> None:
    left = attenuation((1, n), loss)[0]
    assert (np.diff(left) < 0.0).all() and left[0] < 1.0
    assert left[-1] == pytest.approx(1.0 - loss, rel=0.01)
    np.testing.assert_allclose(attenuation((n, 1), loss)[:, 0], left)


def test_voltage_along_a_line_solves_the_circuit() -> None:
    # A ladder of n resistors with equal loads to ground, solved by Kirchhoff's laws.
    n, loss = 400, 0.3
    kappa = np.arccosh(1.0 / (1.0 - loss))
    load = (kappa / n) ** 2  # of each node, in units of the conductance between nodes
    A = np.diag(np.full(n, 2.0 + load)) - np.eye(n, k=1) - np.eye(n, k=-1)
    A[-1, -1] = 1.0 + load
    U = np.linalg.solve(A, np.eye(n)[0])
    np.testing.assert_allclose(attenuation((1, n), loss)[0], U, atol=2e-3)


def test_quantised_weights_lie_on_levels_and_err_by_half_of_one() -> None:
    w, held = weights(), crossbar(bits=5).held(weights())
    step = 2.0 / 15
    np.testing.assert_allclose(held / step, np.round(held / step), atol=1e-9)
    assert np.abs(held - w).max() <= step / 2 + 1e-12


def test_stuck_devices_are_as_many_as_asked_for_and_hold_nothing_or_all() -> None:
    low, high = crossbar(stuck_low=0.2), crossbar(stuck_high=0.1)
    positive = np.full((40, 50), 1.3)
    assert np.mean(low.held(positive) == 0.0) == pytest.approx(0.2, abs=0.03)
    # Of a pair, either device may be stuck: +w_max in place of w, or w − w_max.
    found = high.held(positive)
    assert set(np.round(np.unique(found), 9)) == {-0.7, 0.0, 1.3, 2.0}
    assert np.mean(found == 1.3) == pytest.approx(0.81, abs=0.03)


def test_drift_is_a_power_of_time() -> None:
    bar, w = crossbar(drift=0.05), weights()
    at = [bar.held(w, age) for age in (1.0, 10.0, 100.0)]
    np.testing.assert_allclose(at[0], w)
    np.testing.assert_allclose(at[1] / at[0], at[2] / at[1])
    exponent = -np.log10(at[1] / at[0])
    assert exponent.mean() == pytest.approx(0.05, rel=0.03)
    assert exponent.std() == pytest.approx(0.015, rel=0.1)


@given(st.integers(0, 2**31), st.floats(0.0, 0.5), st.sampled_from([0, 3, 8]))
@settings(max_examples=30, deadline=None)
def test_gains_and_offset_say_all_that_a_crossbar_does(seed: int, cv: float, bits: int) -> None:
    bar = crossbar((5, 7), seed, mismatch=cv, bits=bits, stuck_low=0.1, stuck_high=0.1,
                   ir_drop=0.2, drift=0.03)  # fmt: skip
    w = np.random.default_rng(seed).uniform(-3.0, 3.0, (5, 7))
    plus, minus, offset = bar.gains(50.0)
    q = bar.w_max * np.clip(w, -2.0, 2.0) / 2.0
    if bits:
        n = 2 ** (bits - 1) - 1
        q = np.round(q / 2.0 * n) * 2.0 / n
    expected = np.where(q > 0.0, plus * q, minus * q) + offset
    np.testing.assert_allclose(bar.held(w, 50.0), expected, atol=1e-12)


def test_learning_writes_through_the_device() -> None:
    p = parameters()
    device = Device(p, Flaws(mismatch=0.3, bits=4, stuck_low=0.1, stuck_high=0.05))
    net = NoisyEbn(p, device)
    drive(net)
    before = net.Omega_s.copy()
    drive(net, ticks=1)
    np.testing.assert_allclose(net.Omega_held, device.slow.held(before), atol=1e-12)
    assert np.abs(net.Omega_s).max() > 0.0


def test_learning_uses_its_own_presynaptic_activity_and_feedback_only() -> None:
    p = parameters(noise=0.0)
    device = Device(p, Flaws(mismatch=0.3))
    net = NoisyEbn(p, device)
    e, earned = np.array([0.1, -0.2, 0.05]), np.linspace(-1.0, 1.0, K)
    net.step(np.zeros(J), e, 2, presynaptic=earned)
    fed_back = device.feed.held(p.D).T @ e
    np.testing.assert_allclose(net.Omega_s, p.eta * p.dt * 2 * np.outer(earned, fed_back))


def test_read_noise_has_the_spread_of_independent_devices() -> None:
    p = parameters(noise=0.0, mu=0.0, eta=0.0, leak=1e-6)
    net = NoisyEbn(p, Device(p, Flaws(read_noise=0.1)))
    c = np.array([1.0, -2.0, 0.5])
    net.alive[:] = False
    samples = []
    for _ in range(4000):
        net.V[:] = 0.0
        net.step(c, np.zeros(J))
        samples.append(net.V.copy())
    expected = 0.1 * p.dt * np.sqrt(((p.D * c[:, None]) ** 2).sum(axis=0))
    np.testing.assert_allclose(np.std(samples, axis=0), expected, rtol=0.06)
    np.testing.assert_allclose(np.mean(samples, axis=0), p.dt * p.D.T @ c, atol=5e-6)


@pytest.mark.parametrize("where", ["c", "e", "presynaptic"])
def test_what_is_no_number_is_refused_and_changes_nothing(where: str) -> None:
    p = parameters()
    net = NoisyEbn(p, Device(p, flaws("mismatch", 0.2)))
    drive(net, ticks=20)
    before = [np.array(a) for a in (net.V, net.r, net.x_hat, net.psi, net.Omega_s)]
    given: dict = {"c": np.zeros(J), "e": np.zeros(J), "presynaptic": np.zeros(K)}
    given[where][1] = np.nan
    with pytest.raises(KuwaError, match="not finite"):
        net.step(**given)
    with pytest.raises(KuwaError, match="shape"):
        net.step(**(given | {where: given[where][:-1]}))
    for a, b in zip(before, (net.V, net.r, net.x_hat, net.psi, net.Omega_s), strict=True):
        np.testing.assert_array_equal(a, b)


def test_late_spikes_arrive_once_and_all() -> None:
    # Voltages that nothing drives: V = −Dᵀ(sum of spikes) − μ(own spikes), whenever they arrive.
    p = parameters(noise=0.0, mu=0.01, eta=0.0, leak=1e-9)
    net = NoisyEbn(p, Device(p, Flaws(jitter=0.003)))
    net.V[:] = 3.0 * p.thresholds * (np.arange(N) % 5 == 0)
    before = net.V.copy()
    net.step(np.zeros(J), np.zeros(J), 100)
    o = net.activity.spikes
    assert o.sum() > 5
    net.alive[:] = False
    net.step(np.zeros(J), np.zeros(J), 40)
    np.testing.assert_allclose(net.x_hat, p.D @ o, atol=1e-6)
    np.testing.assert_allclose(net.V, before - p.D.T @ (p.D @ o) - p.mu * o, atol=1e-6)


def test_dead_neurons_are_as_many_as_asked_for_and_silent() -> None:
    p = parameters()
    net = NoisyEbn(p, Device(p, Flaws(dead_neurons=0.5)))
    drive(net)
    assert net.alive.sum() == N // 2
    assert net.activity.spikes[~net.alive].sum() == 0 < net.activity.spikes[net.alive].sum()


def test_an_old_device_holds_less_and_a_refreshed_one_all_again() -> None:
    p = parameters(eta=0.0)
    net = NoisyEbn(p, Device(p, Flaws(drift=0.1, age=1e4)))
    net.step(np.zeros(J), np.zeros(J))
    old = np.abs(net._F).sum()
    net.refresh()
    net.step(np.zeros(J), np.zeros(J))
    assert old < 0.5 * np.abs(net._F).sum() == pytest.approx(0.5 * np.abs(p.D).sum())


def test_wrong_sizes_are_refused() -> None:
    p = parameters()
    with pytest.raises(KuwaError, match="needs 30"):
        Device(p, Flaws(), neurons=20)
    with pytest.raises(KuwaError, match="35 neurons"):
        NoisyEbn(p, Device(p, Flaws(), neurons=35))
    with pytest.raises(KuwaError, match="w_max"):
        Device(parameters(w_max=np.inf), Flaws())
    plain = plain_program(p)
    wrong = Program(plain.feed[:, 1:], plain.spread, plain.encode, plain.slow)
    with pytest.raises(KuwaError, match=r"\(3, 29\)"):
        NoisyEbn(p, Device(p, Flaws()), wrong)
    with pytest.raises(KuwaError, match="slow"):
        plain_program(p, np.zeros((2, 2)))
