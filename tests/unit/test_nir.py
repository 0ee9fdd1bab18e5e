"""Networks go to NIR files and come back; their rasters are those of other simulators."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.decoders import random_decoders, random_dendrites
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.nir_io.ebn import ebn_network
from kuwa_policies.nir_io.network import (
    Population,
    Projection,
    SpikingNetwork,
    lif,
    simulate,
)

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from peers import nir_exchange  # noqa: E402

GOLDEN = Path(__file__).with_name("data") / "nir.npz"
DT = 1e-3


def one(population: Population, weight: float = 1.0, dt: float = DT) -> SpikingNetwork:
    w = np.full((population.size, 1), weight)
    return SpikingNetwork(
        dt, {"in": 1}, {"a": population}, [Projection("in", "a", w)], {"out": "a"}
    )


def test_a_constant_current_makes_the_period_that_eulers_steps_make() -> None:
    tau, R, current, threshold = 0.02, 3.0, 0.5, 1.0
    raster = simulate(
        one(lif(np.full(1, tau), np.full(1, threshold), R)), {"in": np.full((1000, 1), current)}
    )["a"][:, 0]
    # After n steps from 0: v = R I (1 − (1 − dt/τ)ⁿ).
    n = np.ceil(np.log(1.0 - threshold / (R * current)) / np.log(1.0 - DT / tau))
    assert set(np.diff(np.flatnonzero(raster))) == {n}


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_current_based_neuron_answers_a_spike_with_two_exponentials(share: float) -> None:
    tau, tau_syn, w, dt = 0.03, 0.01, 2.0, 1e-5
    t = np.arange(4000) * dt
    # Of a spike of area 1: I = w/τ_syn exp(−t/τ_syn), and τ v̇ = −v + I.
    v = w / (tau - tau_syn) * (np.exp(-t / tau) - np.exp(-t / tau_syn))
    n = np.ones(1)
    threshold = share * v.max()
    cell = Population(
        "CubaLIF", tau * n, n, 0 * n, threshold * n, 0 * n, tau_syn * n, w * n, reset="none"
    )
    kick = np.zeros((4000, 1))
    kick[0] = 1.0 / dt
    spikes = simulate(one(cell, dt=dt), {"in": kick})["a"][:, 0]
    above = np.flatnonzero(v > threshold)
    assert np.argmax(spikes) == pytest.approx(above[0], abs=3 + 0.01 * above[0])
    assert spikes.sum() == pytest.approx(len(above), rel=0.03)


@given(st.integers(0, 10**6), st.floats(0.1, 50.0))
@settings(max_examples=20, deadline=None)
def test_a_resistance_can_be_folded_into_the_weights(seed: int, R: float) -> None:
    rng = np.random.default_rng(seed)
    tau, threshold = rng.uniform(0.005, 0.05, 6), rng.uniform(0.5, 1.0, 6)
    drive = {"in": rng.normal(0.0, 4.0, (200, 1))}
    explicit = simulate(one(lif(tau, threshold, R), 2.0 / R), drive)["a"]
    folded = simulate(one(lif(tau, threshold, 1.0), 2.0), drive)["a"]
    # Rounding may move a voltage across its threshold; it would have to be within 1e-15 of it.
    np.testing.assert_array_equal(explicit, folded)


def test_resets_do_as_they_say() -> None:
    tau, T = np.full(1, 0.02), np.ones(1)
    kick = {"in": np.array([[1.7 / 0.05]] + [[0.0]] * 3)}  # 1.7 in one step of dt/τ = 0.05
    fade = 1.0 - 0.05
    for reset, after in (("to_value", -0.3), ("subtract", 0.7), ("none", 1.7)):
        spikes = simulate(one(lif(tau, T, 1.0, reset, -0.3)), kick)["a"][:, 0]
        assert spikes[0] == 1.0
        assert spikes[1] == float(after * fade > 1.0)


def test_spikes_take_no_step_forwards_and_one_in_a_cycle() -> None:
    relay = lif(np.full(1, DT), np.full(1, 0.5))
    spike = {"in": np.array([[1.0]] + [[0.0]] * 6)}
    eye = np.eye(1)
    chain = SpikingNetwork(
        DT, {"in": 1}, {"b": relay, "a": relay, "c": relay},
        [Projection("in", "a", eye), Projection("a", "b", eye), Projection("b", "c", eye)], {},
    )  # fmt: skip
    out = simulate(chain, spike)
    assert [int(np.argmax(out[name])) for name in "abc"] == [0, 0, 0]
    ring = SpikingNetwork(
        DT, {"in": 1}, {"a": relay, "b": relay, "c": relay},
        [Projection("in", "a", eye), Projection("a", "b", eye), Projection("b", "a", eye),
         Projection("b", "c", eye)], {},
    )  # fmt: skip
    out = simulate(ring, spike)
    assert out["a"][:, 0].tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert out["b"][:, 0].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert out["c"][:, 0].tolist() == out["b"][:, 0].tolist()


def portable(dt: float) -> EbnParameters:
    """Parameters that bear a step's delay; see docs/how-to/exchange-networks-with-nir.md."""
    norm = 0.1
    D = random_decoders(2, 40, norm, 0)
    return EbnParameters(D, nu=2 * norm**2, mu=0.5 * norm**2, noise=0.0, dt=dt)


def test_an_exported_network_follows_its_signal_as_the_network_itself_does() -> None:
    p = portable(2e-4)
    t = np.arange(0.0, 2.0, p.dt)
    x = np.stack([0.8 * np.sin(3 * t), 0.8 * np.sin(5 * t)], axis=1)
    c = np.gradient(x, p.dt, axis=0) + p.leak * x
    net = Ebn(p)
    own = np.array([net.step(row, np.zeros(2)).copy() for row in c])
    rate = net.activity.spikes.sum()
    for self_reset in ("connection", "value"):
        out = simulate(ebn_network(net, self_reset), {"drive": c})
        error = np.sqrt(((out["x_hat"] - x)[2000:] ** 2).mean())
        assert error < 1.1 * np.sqrt(((own - x)[2000:] ** 2).mean())
        assert out["neurons"].sum() == pytest.approx(rate, rel=0.2)


def test_an_exported_network_obeys_the_networks_equation() -> None:
    M, theta = random_dendrites(2, [(0, 1)], 5, 0)
    D = random_decoders(2, 12, 0.3, 0)
    p = EbnParameters(D, mu=0.03, nu=0.2, noise=0.0, M=M, theta=theta)
    net = Ebn(p)
    rng = np.random.default_rng(0)
    net.Omega_s[:] = rng.normal(0.0, 0.3, net.Omega_s.shape)
    net.alive[3] = False
    drive = np.concatenate(
        [rng.normal(0.0, 300.0, (300, 2)), rng.uniform(-1.0, 1.0, (300, 5))], axis=1
    )
    out = simulate(ebn_network(net), {"drive": drive})
    V, o, x_hat = np.zeros(12), np.zeros(12), np.zeros(2)
    fast = -(D.T @ D + p.mu * np.eye(12))
    for t in range(300):
        V += p.dt * (-p.leak * V + D.T @ drive[t, :2] + net.Omega_s.T @ drive[t, 2:]) + fast @ o
        o = (net.alive & (p.thresholds < V)).astype(float)
        x_hat += -p.dt * p.leak * x_hat + D @ o
        np.testing.assert_array_equal(out["neurons"][t], o)
        np.testing.assert_allclose(out["x_hat"][t], x_hat, atol=1e-9)
    assert out["neurons"].sum() > 50


@pytest.fixture(scope="module")
def rasters() -> dict:
    return {name: simulate(*case) for name, case in nir_exchange.cases().items()}


@pytest.mark.parametrize("peer", nir_exchange.PEERS)
def test_rasters_are_those_that_a_peer_once_gave(rasters: dict, peer: str) -> None:
    assert GOLDEN.stat().st_size < 100_000
    with np.load(GOLDEN, allow_pickle=False) as golden:
        keys = [key for key in golden.files if key.endswith(peer)]
        assert len(keys) == 6
        for key in keys:
            name, population, _ = key.split("/")
            ours = rasters[name][population]
            theirs = np.unpackbits(golden[key])[: ours.size].reshape(ours.shape)
            assert theirs.sum() > 30
            np.testing.assert_array_equal(ours, theirs, err_msg=key)


@pytest.mark.parametrize("peer", nir_exchange.PEERS)
def test_rasters_are_those_that_a_peer_gives_now(rasters: dict, peer: str) -> None:
    pytest.importorskip("nir", exc_type=ImportError)
    if nir_exchange.interpreter(peer) is None:
        pytest.skip(f"{peer} is not installed: KUWA_PEERS_{peer.upper()} names no interpreter")
    for name in ("layers", "ebn"):
        theirs = nir_exchange.ask(peer, nir_exchange.cases()[name])
        for population, ours in rasters[name].items():
            np.testing.assert_allclose(theirs[population], ours, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tau": np.zeros(2)}, "above 0"),
        ({"r": np.ones(3)}, r"\(3,\); expected \(2,\)"),
        ({"v_leak": np.array([0.0, np.nan])}, "not finite"),
        ({"kind": "LIFF"}, "did you mean 'LIF'"),
        ({"reset": "zero"}, "valid: none, subtract, to_value"),
        ({"w_in": np.ones(2)}, r"expected \(0,\)"),
    ],
)
def test_neurons_that_cannot_be_are_refused(change: dict, words: str) -> None:
    n = np.ones(2)
    values = {"kind": "LIF", "tau": n, "r": n, "v_leak": n, "v_threshold": n, "v_reset": n}
    with pytest.raises(KuwaError, match=words):
        Population(**(values | change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dt": 0.0}, "above 0"),
        ({"dt": 0.1}, "tau of 'a'"),
        ({"outputs": {"o": "b"}}, "valid: a"),
        ({"projections": [Projection("x", "a", np.eye(2))]}, "valid: a, in"),
        ({"projections": [Projection("in", "b", np.eye(2))]}, "no population"),
        ({"projections": [Projection("in", "a", np.eye(3))]}, r"expected \(2, 2\)"),
        ({"projections": [Projection("in", "a", np.eye(2), np.ones(3))]}, "bias has shape"),
        ({"projections": [Projection("in", "a", np.nan * np.eye(2))]}, "not finite"),
    ],
)
def test_networks_that_cannot_be_are_refused(change: dict, words: str) -> None:
    values: dict = {
        "dt": DT, "inputs": {"in": 2}, "populations": {"a": lif(np.full(2, 0.02), np.ones(2))},
        "projections": [Projection("in", "a", np.eye(2))], "outputs": {"o": "a"},
    }  # fmt: skip
    SpikingNetwork(**values)
    with pytest.raises(KuwaError, match=words):
        SpikingNetwork(**(values | change))


def test_inputs_of_wrong_size_are_refused() -> None:
    network = one(lif(np.full(2, 0.02), np.ones(2)))
    with pytest.raises(KuwaError, match=r"expected \(steps, 1\)"):
        simulate(network, {"in": np.zeros((5, 2))})
    with pytest.raises(KuwaError, match="'in'"):
        simulate(network, {})
    with pytest.raises(KuwaError, match="valid: connection, value"):
        ebn_network(Ebn(portable(DT)), "subtract")
