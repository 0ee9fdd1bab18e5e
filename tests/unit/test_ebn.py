"""One suite for every back end of the efficient balanced network: its mathematics.

A back end that rounds is held to its own rounding: decoders and thresholds are asked from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebn_backends import BACKENDS, Backend, parameters, pushed, signal
from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.decoders import random_decoders
from kuwa_policies.ebn.save import restore, save

ZERO = np.zeros(3)


@pytest.fixture(params=sorted(BACKENDS))
def back(request: pytest.FixtureRequest) -> Backend:
    backend = BACKENDS[request.param]
    if backend.needs is not None:
        pytest.importorskip(backend.needs)
    return backend


def test_it_follows_a_signal_within_its_thresholds(back: Backend) -> None:
    """No voltage stays above its threshold: D_iᵀ(x − x̂) ≤ T_i + μ r_i, a polytope of errors."""
    angles = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    D = 0.1 * np.array([np.cos(angles), np.sin(angles)])
    net = back.make(dataclasses.replace(parameters(K=0), D=D, mu=0.0, nu=0.0, noise=0.0))
    x, worst = np.zeros(2), 0.0
    for t in np.arange(0.0, 1.0, 1e-3):
        c = 40.0 * np.array([np.sin(5.0 * t), np.cos(3.0 * t) - 1.0])
        x += 1e-3 * (c - 20.0 * x)
        net.step(c, np.zeros(2))
        assert (np.asarray(net.V) <= np.asarray(net.thresholds) * (1 + 1e-6)).all()
        worst = max(worst, float(np.linalg.norm(x - np.asarray(net.x_hat))))
    # The corner of two neighbouring faces at distance T/|D| = |D|/2.
    assert worst <= 0.05 / np.cos(np.pi / 24) * (1 + back.loss)
    assert np.linalg.norm(x) > 0.3


def test_greedy_is_at_most_one_spike_a_step(back: Backend) -> None:
    net = back.make(dataclasses.replace(parameters(), max_spikes=1))
    many = back.make(dataclasses.replace(parameters(), max_spikes=8))
    counts: dict[str, list[int]] = {"one": [], "many": []}
    for c, _ in signal(200, fast=5.0):
        for name, each in (("one", net), ("many", many)):
            before = int(each.activity.spikes.sum())
            each.step(c, ZERO)
            counts[name].append(int(each.activity.spikes.sum()) - before)
    assert max(counts["one"]) == 1 and 1 < max(counts["many"]) <= 8


@pytest.mark.parametrize(("mu", "nu"), [(0.0, 0.0), (2e-3, 1e-3)])
def test_every_spike_lowers_the_loss(back: Backend, mu: float, nu: float) -> None:
    """|x − x̂|² + μ|r|² + ν|r|₁ falls by 2 (V_i − T_i) with a spike of neuron i, V its voltage."""
    p = dataclasses.replace(parameters(K=0), mu=mu, nu=nu, max_spikes=1, noise=0.0)
    net = back.make(p)
    D, x, spikes = np.asarray(net.D, float), ZERO.copy(), 0

    def loss(r: np.ndarray) -> float:
        return float(((x - D @ r) ** 2).sum() + mu * (r**2).sum() + nu * r.sum())

    scale = float(np.asarray(net.thresholds).mean())
    for c, _ in signal(400):
        x = (1.0 - p.leak * p.dt) * x + p.dt * c
        without = (1.0 - p.leak * p.dt) * np.array(net.r, float)
        before = np.array(net.activity.spikes)
        net.step(c, ZERO)
        (who,) = np.nonzero(np.asarray(net.activity.spikes) - before)
        for i in who:
            spikes += 1
            after = without.copy()
            after[i] += 1.0
            fall = loss(without) - loss(after)
            V = D[:, i] @ (x - D @ without) - mu * without[i]
            assert fall > -back.loss * scale
            assert fall == pytest.approx(
                2.0 * (V - 0.5 * (nu + mu + (D[:, i] ** 2).sum())), abs=back.loss * scale
            )
    assert spikes > 50


def test_rank_j_application_equals_the_matrices(back: Backend) -> None:
    """One step after another against V̇ = −λV + Dᵀc + Ω_f o + Ω_s ψ + k Dᵀe with N × N matrices."""
    p = dataclasses.replace(parameters(), noise=0.0, mu=1e-3, k=7.0, eta=0.0)
    net = back.make(p)
    rng = np.random.default_rng(5)
    back.write(net, 0.3 * rng.standard_normal((p.dendrites, p.neurons)))
    Omega_s = back.weights(net).T
    D = np.asarray(net.D, float)
    Omega_f = -(D.T @ D + p.mu * np.eye(p.neurons))
    scale = float(np.asarray(net.thresholds).mean())
    for c, e in signal(100):
        V, before = np.array(net.V, float), np.array(net.activity.spikes)
        psi = np.tanh(p.M @ np.array(net.x_hat, float) + p.theta)
        net.step(c, e)
        o = np.asarray(net.activity.spikes) - before
        drift = -p.leak * V + D.T @ c + Omega_s @ psi + p.k * D.T @ e
        expected = V + p.dt * drift + Omega_f @ o
        np.testing.assert_allclose(np.asarray(net.V, float), expected, atol=back.loss * scale)


def test_x_hat_stays_what_the_spikes_say(back: Backend) -> None:
    net = back.make(parameters())
    for c, e in signal(500):
        net.step(c, e, 2)
        said = np.asarray(net.D, float) @ np.asarray(net.r, float)
        np.testing.assert_allclose(np.asarray(net.x_hat, float), said, atol=back.drift)


def learnt(back: Backend, p: Any, psi: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Return what a rested network learns from this activity and this error."""
    net = back.make(p)
    net.step(0.0 * e, e, presynaptic=psi)
    return back.weights(net)


def test_a_synapse_learns_from_its_own_two_ends_only(back: Backend) -> None:
    """ΔΩ_ki keeps its value when all ψ but ψ_k and all of D but D_i are others."""
    p = dataclasses.replace(parameters(), eta=3000.0, noise=0.0)
    rng = np.random.default_rng(1)
    psi, e = rng.uniform(-1.0, 1.0, p.dendrites), np.array([0.4, -0.7, 0.2])
    k, i = 4, 11
    change = learnt(back, p, psi, e)[k, i]
    others = rng.uniform(-1.0, 1.0, p.dendrites)
    others[k] = psi[k]
    D = random_decoders(3, p.neurons, 0.1, seed=99)
    # The largest entries stay, so that a back end that rounds keeps its units.
    keep = [i, *np.abs(p.D).argmax(axis=1)]
    D = np.clip(D, -np.abs(p.D).max(axis=1)[:, None], np.abs(p.D).max(axis=1)[:, None])
    D[:, keep] = p.D[:, keep]
    perturbed = dataclasses.replace(p, D=D, theta=p.theta + 0.1, M=p.M[::-1])
    assert change != 0.0
    assert learnt(back, perturbed, others, e)[k, i] == pytest.approx(change, rel=back.rounding)
    # The same feedback from another error is the same to the neuron.
    aside = np.cross(p.D[:, i], [1.0, 0.3, -0.5])
    e2 = e + 0.5 * aside / np.linalg.norm(aside)
    assert learnt(back, p, psi, e2)[k, i] == pytest.approx(change, rel=3 * back.rounding)
    # And both of its ends do matter.
    psi[k] += 0.5
    assert learnt(back, p, psi, e)[k, i] != change


def test_learning_is_the_outer_product_of_feedback_and_activity(back: Backend) -> None:
    p = dataclasses.replace(parameters(), eta=3000.0, noise=0.0, w_max=10.0)
    psi, e = np.linspace(-1.0, 1.0, p.dendrites), np.array([0.4, -0.7, 0.2])
    expected = p.eta * p.dt * np.outer(psi, p.D.T @ e)
    assert np.abs(expected).max() < p.w_max
    step = back.step(p)
    np.testing.assert_allclose(learnt(back, p, psi, e), expected, atol=step + 2e-3 * p.w_max)


def test_dead_neurons_are_made_up_for_without_new_weights(back: Backend) -> None:
    net = back.make(dataclasses.replace(parameters(N=60), eta=0.0))
    rng = np.random.default_rng(0)
    back.write(net, 0.01 * rng.standard_normal((12, 60)))
    errors, weights = [], back.weights(net).copy()
    for n, (c, _) in enumerate(signal(1600)):
        if n == 800:
            net.alive[rng.permutation(60)[:30]] = False
        errors.append(np.linalg.norm(pushed(n) - np.asarray(net.step(c, ZERO), float)))
    before, after = np.mean(errors[200:800]), np.mean(errors[1000:])
    assert after < 1.5 * before < 0.15
    np.testing.assert_array_equal(back.weights(net), weights)
    dead = ~np.asarray(net.alive, bool)
    assert dead.sum() == 30 and (np.asarray(net.activity.last)[dead] < 802).all()


def test_the_same_seed_is_the_same_run_bit_for_bit(back: Backend) -> None:
    def run(seed: int, again: bool = False) -> tuple[np.ndarray, ...]:
        net = back.make(dataclasses.replace(parameters(), eta=50.0), seed)
        for _ in range(1 + again):
            net.reset()
            for c, e in signal(300):
                net.step(c, e, 3)
        return tuple(np.array(a) for a in (net.V, net.r, net.x_hat, net.Omega_s))

    first, second, after_reset, other = run(0), run(0), run(0, again=True), run(1)
    for a, b, d in zip(first, second, after_reset, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, d)
    assert (first[0] != other[0]).any()


def test_what_was_learnt_survives_a_file(back: Backend, tmp_path: Path) -> None:
    p = dataclasses.replace(parameters(), eta=300.0, noise=0.0)
    net, other = back.make(p), back.make(p)
    for c, e in signal(300):
        net.step(c, e)
    save(tmp_path / "net.npz", back.plain(net))
    restore(tmp_path / "net.npz", back.plain(other))
    np.testing.assert_array_equal(np.asarray(net.Omega_s), np.asarray(other.Omega_s))
    assert np.asarray(net.Omega_s).any()
    net.reset(keep_weights=True)
    for c, e in signal(100):
        np.testing.assert_array_equal(
            np.array(net.step(c, e, learn=False)), np.array(other.step(c, e, learn=False))
        )


def test_weights_stay_within_their_bound(back: Backend) -> None:
    p = dataclasses.replace(parameters(), eta=1e4, w_max=0.5)
    net = back.make(p)
    for c, e in signal(300):
        net.step(c, 2.0 * e + 0.5)
    W = back.weights(net)
    assert np.abs(W).max() == pytest.approx(0.5, rel=1e-6)


def test_weights_leak(back: Backend) -> None:
    p = dataclasses.replace(parameters(), eta=1.0, forget=2.0, noise=0.0)
    net = back.make(p)
    rng = np.random.default_rng(2)
    back.write(net, rng.uniform(-0.9, 0.9, (p.dendrites, p.neurons)))
    before = back.weights(net).copy()
    for _ in range(50):
        net.step(ZERO, ZERO, 10)
    kept = np.exp(-2.0 * 0.5)
    np.testing.assert_allclose(back.weights(net), kept * before, atol=0.02 + 2 * back.step(p))


def test_learning_can_be_off(back: Backend) -> None:
    net = back.make(dataclasses.replace(parameters(), eta=3000.0, forget=1.0))
    for c, e in signal(20):
        net.step(c, e, learn=False)
    assert not np.asarray(net.Omega_s).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["c", "e", "presynaptic"])
def test_values_that_are_not_finite_are_refused_and_change_nothing(
    back: Backend, bad: float, where: str
) -> None:
    p = dataclasses.replace(parameters(), eta=300.0)
    net = back.make(p)
    for c, e in signal(20):
        net.step(c, e)
    before = [np.array(a) for a in (net.V, net.r, net.x_hat, net.Omega_s, net.psi)]
    given = {"c": ZERO.copy(), "e": ZERO.copy(), "presynaptic": np.zeros(p.dendrites)}
    given[where][1] = bad
    with pytest.raises(KuwaError, match="not finite"):
        net.step(**given)
    for a, b in zip(before, (net.V, net.r, net.x_hat, net.Omega_s, net.psi), strict=True):
        np.testing.assert_array_equal(a, np.asarray(b))


def test_it_learns_a_signal_it_is_not_told(back: Backend) -> None:
    """ẋ = −λx + c + f(x): the slow connections take f over from the error, then do without it."""
    p = dataclasses.replace(
        parameters(N=80, K=40), leak=20.0, eta=30.0, k=20.0, w_max=1.0, noise=0.02
    )

    def f(x: np.ndarray) -> np.ndarray:
        return 6.0 * np.array([x[1], -x[0], x[0] * x[1]])

    def run(net: Any, steps: int, learn: bool, begin: int = 0) -> float:
        x, errors = ZERO.copy(), []
        for n in range(begin, begin + steps):
            t = 1e-3 * n
            c = 12.0 * np.sin(np.array([1.0, 1.7, 0.6]) * 3.0 * t)
            x = x + 1e-3 * (-20.0 * x + c + f(x))
            e = x - np.asarray(net.x_hat, float) if learn else ZERO
            net.step(c, e, learn=learn)
            errors.append(np.linalg.norm(x - np.asarray(net.x_hat, float)))
        return float(np.mean(errors[steps // 2 :]))

    net = back.make(p)
    ignorant = run(net, 3000, learn=False)
    net.reset()
    run(net, 12000, learn=True)
    assert run(net, 3000, learn=False, begin=12000) < 0.6 * ignorant


def test_back_ends_agree(back: Backend) -> None:
    """The same network in another arithmetic says the same, to within a spike."""
    reference: Callable[..., Any] = BACKENDS["float64"].make
    a, b = (
        reference(dataclasses.replace(parameters(), noise=0.0)),
        back.make(dataclasses.replace(parameters(), noise=0.0)),
    )
    for n, (c, _) in enumerate(signal(400)):
        x, y = np.array(a.step(c, ZERO)), np.array(b.step(c, ZERO), float)
        assert np.linalg.norm(x - y) < 0.2
        assert n < 100 or np.linalg.norm(y - pushed(n)) < 0.12
    assert b.activity.spikes.sum() == pytest.approx(a.activity.spikes.sum(), rel=0.1)
