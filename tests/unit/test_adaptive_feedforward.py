"""The spiking feed-forward: it encodes, learns, keeps what it should, refuses nonsense."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import CommandError, KuwaError
from kuwa_policies.control.adaptive.feedforward import (
    AdaptiveFeedforward,
    FeedforwardSettings,
)
from kuwa_policies.ebn.save import restore, save

PLAIN = FeedforwardSettings(
    (2.0, 0.5), (100.0,), (0.1,), period=1e-3, neurons=80, each=40, rate=40.0, bound=1.0
)
ZERO = np.zeros(1)


def inputs(t: float) -> np.ndarray:
    return np.array([2.0 * np.sin(2.0 * t), 0.5 * np.cos(1.3 * t)])


def wanted(z: np.ndarray) -> float:
    return 100.0 * float(np.sin(z[0]) * z[1] + 0.3 * z[0])


def follow(f: AdaptiveFeedforward, begin: float, end: float, learn: bool = True) -> float:
    """Let it learn from its own error; return the error's RMS over the last half."""
    e, errors = ZERO.copy(), []
    for t in np.arange(begin, end, 1e-3):
        y = f.step(inputs(t + f.lag), e, learn)
        e[0] = 1e-3 * (wanted(inputs(t)) - y[0])
        errors.append(1e3 * e[0])
    return float(np.sqrt(np.mean(np.square(errors[len(errors) // 2 :]))))


def test_inputs_are_encoded_as_they_are() -> None:
    f = AdaptiveFeedforward(PLAIN)
    errors = []
    for t in np.arange(0.0, 2.0, 1e-3):
        f.step(inputs(t), ZERO, learn=False)
        errors.append(f.network.p.D[:2] @ f.network.r - inputs(t) / PLAIN.input_scale)
    assert np.abs(errors[200:]).max() < 2.5 * PLAIN.norm


def test_an_output_is_learnt_and_kept_without_errors() -> None:
    f = AdaptiveFeedforward(dataclasses.replace(PLAIN, rate=10.0))
    before = follow(f, 0.0, 10.0, learn=False)
    f.reset()
    assert follow(f, 0.0, 40.0) < 0.4 * before
    assert follow(f, 40.0, 50.0, learn=False) < 0.7 * before


def test_half_of_the_neurons_can_go() -> None:
    f = AdaptiveFeedforward(PLAIN)
    follow(f, 0.0, 8.0)
    whole = follow(f, 8.0, 11.0)
    f.network.alive[::2] = False
    assert follow(f, 11.0, 14.0) < 1.5 * whole


def test_weights_only_know_their_own_synapse() -> None:
    """The change of Ω_s is of rank one: what the neuron was told times what came before."""
    f = AdaptiveFeedforward(PLAIN)
    for t in np.arange(0.0, 0.1, 1e-3):
        f.step(inputs(t), ZERO)
    assert not f.network.Omega_s.any()
    trace = f.trace.copy()
    f.step(inputs(0.1), np.array([0.05]))
    own = f.network.p.D[-1] * 0.5
    expected = f.network.p.eta * 1e-3 * np.outer(trace, own)
    np.testing.assert_allclose(f.network.Omega_s, expected, rtol=1e-9)


def test_a_dead_zone_teaches_nothing() -> None:
    f = AdaptiveFeedforward(dataclasses.replace(PLAIN, dead_zone=0.5))
    for t in np.arange(0.0, 0.2, 1e-3):
        f.step(inputs(t), np.array([0.049]))
    assert not f.network.Omega_s.any()
    f.step(inputs(0.2), np.array([0.06]))
    assert f.network.Omega_s.any()


def test_freezing_keeps_the_weights_until_every_reason_is_lifted() -> None:
    f = AdaptiveFeedforward(PLAIN)
    follow(f, 0.0, 0.5)
    kept = f.network.Omega_s.copy()
    f.freeze("the gate overrides")
    f.freeze("references are stale")
    assert f.frozen == ("references are stale", "the gate overrides")
    follow(f, 0.5, 0.6)
    f.thaw("the gate overrides")
    follow(f, 0.6, 0.7)
    np.testing.assert_array_equal(f.network.Omega_s, kept)
    f.thaw("references are stale")
    follow(f, 0.7, 0.8)
    assert (f.network.Omega_s != kept).any()


def test_what_was_learnt_can_be_saved_and_restored(tmp_path: Path) -> None:
    f, other = AdaptiveFeedforward(PLAIN), AdaptiveFeedforward(PLAIN)
    follow(f, 0.0, 3.0)
    save(tmp_path / "f.npz", f.network)
    restore(tmp_path / "f.npz", other.network)
    f.reset(keep_weights=True)
    assert follow(other, 0.0, 0.5, learn=False) == follow(f, 0.0, 0.5, learn=False)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_in_outputs_and_weights_stay_finite(values: list[float]) -> None:
    f = test_whatever_comes_in_outputs_and_weights_stay_finite.__dict__.setdefault(
        "f", AdaptiveFeedforward(PLAIN)
    )
    z, e = np.array(values[:2]), np.array(values[2:])
    before = f.refused
    y = f.step(z, e)
    bad = not np.isfinite(values).all()
    assert f.refused == before + bad
    f.step(np.zeros(2), ZERO)
    assert np.isfinite(y).all() and np.isfinite(f.network.Omega_s).all()
    assert np.abs(f.network.Omega_s).max() <= f.network.p.w_max


@pytest.mark.parametrize(
    "change",
    [
        {"input_scale": (1.0, 0.0)}, {"error_scale": (1.0, 1.0)}, {"dt": 3e-4}, {"dt": 2e-3},
        {"groups": ((0, 2),)}, {"rate": float("nan")}, {"bound": -1.0},
    ],
)  # fmt: skip
def test_settings_that_make_no_network_are_refused(change: dict) -> None:
    with pytest.raises(KuwaError):
        dataclasses.replace(PLAIN, **change)


def test_wrong_shapes_and_names_are_refused() -> None:
    with pytest.raises(KuwaError, match="float32"):
        AdaptiveFeedforward(PLAIN, "float16")
    with pytest.raises(CommandError, match="expected"):
        AdaptiveFeedforward(PLAIN).step(np.zeros(3), ZERO)


@pytest.mark.parametrize("backend", ["float64", "float32", "fixed"])
def test_ticks_allocate_nothing_that_stays(backend: str) -> None:
    f = AdaptiveFeedforward(PLAIN, backend)
    z, e = np.array([0.3, 0.1]), np.array([0.01])
    for _ in range(50):
        f.step(z, e)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    for _ in range(500):
        f.step(z, e)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1000
    # No array of the size of the network's comes and goes either.
    assert peak - before < 8 * PLAIN.each * PLAIN.neurons / 4
