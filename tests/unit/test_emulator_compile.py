"""From float to integers: nothing overflows whatever comes in; what was lost is what is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.compile import Compiled, compile_network
from kuwa_policies.emulator.float_network import (
    FloatDense,
    FloatNetwork,
    FloatNeurons,
    run_float,
)
from kuwa_policies.emulator.network import Emulator
from kuwa_policies.emulator.profiles import PROFILES


def drawn(seed: int, bias: bool = True, delays: bool = False) -> FloatNetwork:
    """Two groups of anything between a few hertz and saturation, connected forth and back."""
    rng = np.random.default_rng(seed)
    sizes = {"in": int(rng.integers(1, 60)), "a": int(rng.integers(1, 20)), "b": 7}

    def group(n: int) -> FloatNeurons:
        return FloatNeurons(
            n,
            leak_u=rng.choice([100.0, 300.0, np.inf]),
            leak_v=rng.uniform(50, 400, n),
            threshold=10.0 ** rng.uniform(-2, 2) * rng.uniform(0.5, 2, n),
            bias=rng.uniform(-5, 5, n) if bias else 0.0,
        )

    groups = {name: group(sizes[name]) for name in ("a", "b")}

    def dense(source: str, target: str) -> FloatDense:
        shape = (sizes[target], sizes[source])
        unit = float(np.mean(groups[target].threshold))
        w = unit * rng.normal(rng.choice([-0.2, 0.0, 0.2]), 0.1, shape)
        return FloatDense(source, target, w, rng.integers(0, 4, shape) if delays else 0)

    ends = (("in", "a"), ("a", "b"), ("b", "a"), ("in", "b"))
    return FloatNetwork({"in": sizes["in"]}, groups, [dense(*e) for e in ends])


def worst(compiled: Compiled, rng: np.random.Generator, steps: int) -> np.ndarray:
    """Spikes that drive one neuron as far as they can: all that excite it, or all that inhibit."""
    first = np.asarray(compiled.network.connections[0].weights)
    raster = (rng.random((steps, first.shape[1])) < 0.5).astype(np.uint8)
    row = first[rng.integers(len(first))]
    raster[: steps // 3] = row > 0
    raster[steps // 3 : 2 * steps // 3] = row < 0
    return raster


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from(sorted(PROFILES)))
def test_whatever_comes_in_nothing_overflows(seed: int, name: str) -> None:
    """The same integers in a profile without limits and with 64 bits do the same."""
    profile = PROFILES[name]
    compiled = compile_network(drawn(seed, bias=profile.biased), name)
    free = replace(
        profile, u_overflow="none", v_limits="none", synaptic_bits=0, bias_wraps=False,
        state_bits=64,
    )  # fmt: skip
    raster = worst(compiled, np.random.default_rng(seed), 120)
    bounded = compiled.emulator().run({"in": raster}, states=True)
    unbounded = Emulator(compiled.network, free).run({"in": raster}, states=True)
    assert bounded.u is not None and unbounded.u is not None
    assert bounded.v is not None and unbounded.v is not None
    for group in ("a", "b"):
        assert (bounded.spikes[group] == unbounded.spikes[group]).all()
        assert (bounded.u[group] == unbounded.u[group]).all()
        assert (bounded.v[group] == unbounded.v[group]).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32))
def test_bounds_are_never_exceeded_and_the_registers_are_used(seed: int) -> None:
    compiled = compile_network(drawn(seed))
    emulator = compiled.emulator()
    recorded = emulator.run({"in": worst(compiled, np.random.default_rng(seed), 200)}, states=True)
    assert recorded.u is not None and recorded.v is not None
    for loss in compiled.report.groups:
        assert np.abs(recorded.u[loss.name]).max() <= loss.u_used * 2**23 + 1
        assert np.abs(recorded.v[loss.name]).max() <= max(loss.v_used, 1e-9) * 2**23 + 1
        assert loss.u_used <= 1.0 and loss.v_used <= 1.0
        # Scaled as large as fits: some register is used to nearly all of it.
        group = compiled.network.neurons[loss.name]
        threshold = np.asarray(group.threshold).max() / (2**17 - 1)
        bias = np.max(np.abs(np.asarray(group.bias)) * 2.0 ** np.asarray(group.bias_exponent))
        exponents = [c.exponent for c in compiled.network.connections if c.target == loss.name]
        used = max(loss.u_used, loss.v_used, threshold, bias / (4095 << 7))
        assert used > 0.9 or max(exponents) == 7


def test_integers_spike_as_the_float_network_does() -> None:
    rng = np.random.default_rng(0)
    network = drawn(0, delays=True)
    raster = (rng.random((2000, network.inputs["in"])) < 0.05).astype(np.uint8)
    compiled = compile_network(network, raster={"in": raster})
    counts = compiled.report.spikes
    assert counts is not None
    wanted = run_float(network, {"in": raster})
    for name, (as_float, as_integers) in counts.items():
        assert as_float == wanted[name].sum() > 100
        assert as_integers == pytest.approx(as_float, rel=0.02)
    text = compiled.report.text()
    assert "| a → b |" in text and f"| a | {counts['a'][0]} | {counts['a'][1]} |" in text


def test_what_was_lost_is_what_is_said() -> None:
    weights = np.array([[0.5, -0.3, 1e-6]])
    network = FloatNetwork(
        {"in": 3},
        {"n": FloatNeurons(1, leak_u=50.0, leak_v=20.0, threshold=1.0, bias=3.0)},
        [FloatDense("in", "n", weights)],
    )
    compiled = compile_network(network)
    loss, group = compiled.report.connections[0], compiled.report.groups[0]
    scale = compiled.scales["n"]
    got = compiled.emulator().weights(0) * 2.0 ** (loss.exponent + 6) / scale
    assert loss.largest_error == pytest.approx(np.abs(got - weights).max())
    assert loss.vanished == 1 and loss.sign_mode == "mixed"
    assert loss.rms_error < 1 / 128
    assert group.tau_u[0] == pytest.approx(20.0) and group.tau_v[0] == pytest.approx(50.0)
    assert group.tau_u[1] == pytest.approx(20.0, rel=0.02)
    assert group.threshold_error < 1e-3 and group.bias_error < 1e-3


def test_a_leak_that_lava_cannot_forgo_is_reported() -> None:
    """Lava adds 1 to the decay of the current: without leak a step loses 1/4096 all the same."""
    network = FloatNetwork(
        {"in": 1},
        {"n": FloatNeurons(1, leak_u=0.0, leak_v=10.0)},
        [FloatDense("in", "n", np.array([[1e-3]]))],
    )
    tau = compile_network(network).report.groups[0].tau_u
    assert np.isinf(tau[0]) and tau[1] == pytest.approx(4095.5, rel=1e-3)
    assert np.isinf(compile_network(network, "brian2-loihi").report.groups[0].tau_u[1])


def simple(**changes: Any) -> FloatNetwork:
    """One neuron."""
    values: dict[str, Any] = {"size": 1, "leak_v": 10.0} | changes.pop("neurons", {})
    parts: dict[str, Any] = {"inputs": {"in": 1}, "dt": 1e-3} | changes
    weights = parts.pop("weights", np.array([[-0.5]]))
    return FloatNetwork(
        neurons={"n": FloatNeurons(**values)},
        connections=[FloatDense("in", "n", weights)],
        **parts,
    )


@pytest.mark.parametrize(
    ("network", "profile", "message"),
    [
        (simple(neurons={"leak_v": 0.0}), "lava", "voltage below can reach any value"),
        (
            simple(neurons={"leak_u": 0.0}, weights=np.full((1, 1), 1e6)),
            "lava",
            "cannot be counted in integers: its",
        ),
        (simple(neurons={"bias": 1.0}), "brian2-loihi", "have a bias; profile brian2-loihi"),
        (simple(neurons={"threshold": 0.0}), "lava", "threshold .* is 0; expected one above 0"),
        (simple(neurons={"leak_u": -1.0}), "lava", "leak_u .* is -1"),
        (simple(neurons={"bias": np.nan}), "lava", "bias .* is nan; expected a finite number"),
        (simple(neurons={"leak_v": [1.0, 2.0]}), "lava", r"shape \(2,\)"),
        (simple(dt=0.0), "lava", "dt is 0 s"),
        (simple(weights=np.ones((2, 2))), "lava", r"shape \(2, 2\); expected \(1, 1\)"),
        (simple(weights=np.array([[np.inf]])), "lava", "not all finite"),
        (simple(neurons={"size": 0}, weights=np.ones((0, 1))), "lava", "size 0; expected at least"),
        (simple(inputs={"on": 1}), "lava", "no group 'in' for in → n; valid: n, on"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    network: FloatNetwork, profile: str, message: str
) -> None:
    with pytest.raises(KuwaError, match=message):
        compile_network(network, profile)


@pytest.mark.parametrize("raster", [{}, {"in": np.ones((5, 1))}, {"on": np.ones((5, 1))}])
def test_spikes_of_every_input_are_needed_to_compare(raster: dict[str, np.ndarray]) -> None:
    network = simple(inputs={"in": 1, "on": 2})
    with pytest.raises(KuwaError, match=r"expected \['in', 'on'\], at least one"):
        compile_network(network, raster=raster)


def test_saturation_below_is_allowed_only_when_asked_for() -> None:
    compiled = compile_network(simple(neurons={"leak_v": 0.0}), allow_saturation=True)
    assert compiled.report.groups[0].saturates
    assert "held below" in compiled.report.text()
    emulator = compiled.emulator()
    emulator.run({"in": np.ones((5000, 1), np.uint8)})
    assert emulator.get("n", "v")[0] == -(2**23) + 1
