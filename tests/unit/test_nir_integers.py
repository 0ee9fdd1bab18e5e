"""NIR to integers: the same network as without NIR, rasters that agree, refusals by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.decoders import random_decoders
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.emulator.compile import compile_network
from kuwa_policies.emulator.float_network import FloatDense, FloatNetwork, FloatNeurons, run_float
from kuwa_policies.emulator.profiles import PROFILES
from kuwa_policies.nir_io.ebn import ebn_network
from kuwa_policies.nir_io.integers import agreement, compile_nir
from kuwa_policies.nir_io.lowering import lowered, raised
from kuwa_policies.nir_io.network import (
    Population,
    Projection,
    SpikingNetwork,
    lif,
    simulate,
)

DT = 1e-3


def drawn(seed: int, name: str) -> FloatNetwork:
    """A network for the compiler: two groups and an input, forth and back, with delays."""
    profile, rng = PROFILES[name], np.random.default_rng(seed)
    sizes = {"in": int(rng.integers(2, 12)), "a": int(rng.integers(2, 8)), "b": 5}

    def group(n: int) -> FloatNeurons:
        return FloatNeurons(
            n, leak_u=float(rng.choice([100.0, 300.0, np.inf])), leak_v=rng.uniform(50, 400, n),
            threshold=rng.uniform(0.5, 2, n), bias=rng.uniform(-5, 5, n) if profile.biased else 0.0,
        )  # fmt: skip

    def dense(source: str, target: str) -> FloatDense:
        shape = (sizes[target], sizes[source])
        late: Any = int(rng.integers(0, min(profile.delay_max, 4) + 1))
        if profile.delay_each:
            late = rng.integers(0, 4, (shape[0], 1)) + rng.integers(0, 4, shape[1])
        return FloatDense(source, target, rng.normal(0.1, 0.3, shape), late)

    groups = {n: group(sizes[n]) for n in ("a", "b")}
    ends = (("in", "a"), ("a", "b"), ("b", "a"), ("in", "b"), ("b", "b"))
    return FloatNetwork({"in": sizes["in"]}, groups, [dense(*e) for e in ends])


@given(st.integers(0, 10**9), st.sampled_from(sorted(PROFILES)))
@settings(max_examples=9, deadline=None, suppress_health_check=list(HealthCheck))
def test_through_a_file_a_network_becomes_the_same_integers(
    tmp_path: Path, seed: int, name: str
) -> None:
    files = pytest.importorskip("kuwa_policies.nir_io.files")
    pytest.importorskip("nir")
    network = drawn(seed, name)
    files.write(raised(network, {"out": "b"}, PROFILES[name].input_delay), tmp_path / "n.nir")
    direct = compile_network(network, name)
    through = compile_nir(tmp_path / "n.nir", name)
    assert set(through.late.values()) == {0}
    assert through.compiled.network.inputs == direct.network.inputs
    for group, wanted in direct.network.neurons.items():
        got = through.compiled.network.neurons[group]
        for key in ("size", "decay_u", "decay_v", "threshold", "bias", "bias_exponent"):
            np.testing.assert_array_equal(getattr(got, key), getattr(wanted, key), err_msg=key)
    found = {c.name: c for c in through.compiled.network.connections}
    assert len(found) == len(direct.network.connections)
    for c in direct.network.connections:
        got = found[c.name]
        assert (got.exponent, got.bits, got.sign_mode) == (c.exponent, c.bits, c.sign_mode)
        np.testing.assert_array_equal(got.weights, c.weights)
        shape = np.shape(c.weights)
        np.testing.assert_array_equal(
            np.broadcast_to(got.delays, shape), np.broadcast_to(c.delays, shape)
        )


@given(st.integers(0, 10**9))
@settings(max_examples=5, deadline=None)
def test_nirs_network_spikes_as_the_compilers_does(seed: int) -> None:
    network = drawn(seed, "lava")
    rng = np.random.default_rng(seed)
    raster = (rng.random((150, network.inputs["in"])) < 0.2).astype(np.uint8)
    wanted = run_float(network, {"in": raster})
    ours = simulate(raised(network, {}, 1), {"in": raster.astype(float)})
    for name in wanted:
        # Rounding may move a voltage across its threshold; it would have to be within 1e-15 of it.
        np.testing.assert_array_equal(ours[name], wanted[name])


def relays(*ends: tuple[str, str], delays: dict[str, int] | None = None) -> SpikingNetwork:
    """Neurons that pass each spike on when as many arrive at once as there are ways to them."""
    names = sorted({n for pair in ends for n in pair} - {"in"})
    ways = {n: sum(target == n for _, target in ends) for n in names}
    populations = {n: lif(np.full(3, DT), np.full(3, ways[n] - 0.5)) for n in names}
    eye = np.eye(3)
    late = {e: np.full((3, 3), d) for e, d in (delays or {}).items()}
    projections = [Projection(s, t, eye, delay=late.get(f"{s}{t}")) for s, t in ends]
    return SpikingNetwork(DT, {"in": 3}, populations, projections, {"out": names[-1]})


@pytest.mark.parametrize("name", ["lava", "brian2-loihi"])
def test_what_arrives_together_in_nir_does_on_the_chip(name: str) -> None:
    """Short ways and long ones to the same neuron: c spikes only when both arrive at once."""
    network = relays(("in", "a"), ("a", "b"), ("b", "c"), ("a", "c"), ("in", "c"))
    rng = np.random.default_rng(0)
    raster = (rng.random((40, 3)) < 0.3).astype(np.uint8)
    made = compile_nir(network, name, raster={"in": raster})
    first = PROFILES[name].input_delay
    assert made.late == {"a": first, "b": first + 1, "c": first + 2}
    assert made.agreement is not None
    for found in made.agreement.values():
        assert found.spikes == (raster.sum(), raster.sum()) and found.same == 1.0


def test_a_delay_is_used_up_before_a_population_is_late() -> None:
    network = relays(("in", "a"), ("a", "b"), delays={"ina": 1, "ab": 4})
    made = compile_nir(network, "lava", raster={"in": np.eye(9, 3, dtype=np.uint8)})
    assert made.late == {"a": 0, "b": 0}
    delays = {c.name: np.max(c.delays) for c in made.compiled.network.connections}
    assert delays == {"in → a": 0, "a → b": 3}
    assert made.agreement is not None and made.agreement["b"].same == 1.0


def mixed(seed: int = 0) -> SpikingNetwork:
    """LIF and recurrent CubaLIF of various constants, v_reset and v_leak among them, and an LI."""
    rng = np.random.default_rng(seed)
    a = lif(
        rng.uniform(0.01, 0.05, 30), rng.uniform(0.5, 1.5, 30), rng.uniform(0.5, 3.0, 30),
        v_reset=rng.uniform(-0.5, 0.0, 30), v_leak=rng.uniform(-0.2, 0.2, 30),
    )  # fmt: skip
    n = np.ones(20)
    b = Population(
        "CubaLIF", rng.uniform(0.01, 0.04, 20), 2.0 * n, 0.1 * n, n, -0.2 * n,
        rng.uniform(0.004, 0.02, 20), rng.uniform(0.5, 1.5, 20),
    )  # fmt: skip
    x_hat = Population(
        "LI", np.full(2, 0.05), np.ones(2), *(np.zeros(2) for _ in range(3)), reset="none"
    )
    return SpikingNetwork(
        DT, {"in": 10}, {"a": a, "b": b, "x_hat": x_hat},
        [
            Projection("in", "a", rng.normal(4.0, 8.0, (30, 10)), rng.uniform(0, 0.2, 30)),
            Projection("a", "b", rng.normal(3.0, 8.0, (20, 30))),
            Projection("b", "b", rng.normal(-2.0, 4.0, (20, 20))),
            Projection("b", "x_hat", rng.normal(size=(2, 20))),
        ],
        {"spikes": "b", "signals": "x_hat"},
    )  # fmt: skip


def test_rasters_of_float_and_integers_agree_and_the_report_says_how_much() -> None:
    network = mixed()
    raster = (np.random.default_rng(1).random((600, 10)) < 0.1).astype(np.uint8)
    made = compile_nir(network, "lava", raster={"in": raster})
    assert made.agreement is not None and set(made.agreement) == {"a", "b"}
    for found in made.agreement.values():
        assert min(found.spikes) > 1000
        assert found.spikes[1] == pytest.approx(found.spikes[0], rel=0.03)
        # Weights of 8 bits and time constants of 12 move some spikes by a step.
        assert found.near > 0.93 and found.near >= found.same > 0.65
    text = made.text()
    share = f"{100 * made.agreement['b'].same:.1f} %"
    assert f"| b | {made.agreement['b'].spikes[0]} |" in text and share in text
    assert "| b | 2 steps |" in text and "x_hat is an LI" in text
    assert "voltages are counted from v_reset" in text and "error of weights" in text


def test_before_it_is_integers_the_network_spikes_as_nirs_does_only_later() -> None:
    network = mixed()
    plain = {
        name: n if n.kind == "LI" else replace(n, v_leak=0 * n.v_leak, v_reset=0 * n.v_reset)
        for name, n in network.populations.items()
    }
    spiking = [replace(p, bias=None) for p in network.projections]
    network = replace(network, populations=plain, projections=spiking)
    raster = (np.random.default_rng(1).random((400, 10)) < 0.1).astype(np.uint8)
    low = lowered(network, PROFILES["lava"])
    assert low.late == {"in": 0, "a": 1, "b": 2} and low.host == ("x_hat",)
    later = run_float(low.network, {"in": np.pad(raster, ((0, 2), (0, 0)))})
    wanted = simulate(network, {"in": raster.astype(float)})
    for name in ("a", "b"):
        late = low.late[name]
        np.testing.assert_array_equal(later[name][late : late + 400], wanted[name])
        assert wanted[name].sum() > 1000


def test_agreement_is_none_where_spikes_are_elsewhere() -> None:
    """The measure itself: the same network, and one that hears another input."""
    network = relays(("in", "a"))
    raster = np.zeros((30, 3), np.uint8)
    raster[::3, 0] = 1
    made = compile_nir(network, "lava")
    assert agreement(made, {"in": raster})["a"].same == 1.0
    silent = replace(made, source=relays(("in", "a"), delays={"ina": 1}))
    shifted = agreement(silent, {"in": raster})["a"]
    assert shifted.same == 0.0 and shifted.near == 1.0
    assert agreement(made, {"in": 0 * raster})["a"].spikes == (0, 0)


def one(population: Population, weight: float = 1.0, **parts: Any) -> SpikingNetwork:
    w = np.full((population.size, 2), weight)
    values: dict[str, Any] = {
        "dt": DT, "inputs": {"in": 2}, "populations": {"neurons": population},
        "projections": [Projection("in", "neurons", w)], "outputs": {"out": "neurons"},
    } | parts  # fmt: skip
    return SpikingNetwork(**values)


TAU, ONE = np.full(1, 0.02), np.ones(1)
LI = Population("LI", TAU, ONE, 0 * ONE, 0 * ONE, 0 * ONE, reset="none")


@pytest.mark.parametrize(
    ("network", "profile", "words"),
    [
        (one(lif(TAU, ONE, reset="subtract")), "lava", "node 'neurons' has reset 'subtract'; .*"
         "expected 'to_value'"),
        (one(lif(TAU, ONE, reset="none")), "lava", "node 'neurons' has reset 'none'"),
        (one(lif(TAU, ONE, v_reset=1.0)), "lava", "node 'neurons' is reset to 1, not below"),
        (one(lif(TAU, ONE, v_leak=0.1)), "brian2-loihi", "neurons 'neurons' have a bias"),
        (one(lif(1e9 * TAU, ONE), -1e6), "lava", "neurons 'neurons' cannot be counted"),
        (one(LI), "lava", "no population spikes"),
        (
            one(
                lif(TAU, ONE), populations={"neurons": lif(TAU, ONE), "li": LI},
                projections=[Projection("in", "li", np.ones((1, 2))),
                             Projection("li", "neurons", np.ones((1, 1)))],
            ),
            "lava", "node 'li' is an LI whose voltage 'neurons' takes",
        ),
        (
            one(lif(TAU, ONE), projections=[
                Projection("in", "neurons", np.ones((1, 2)), delay=np.array([[0, 70]]))]),
            "lava", "'in' → 'neurons' needs a delay of 70 steps; profile lava has 0 to 63",
        ),
        (
            one(lif(TAU, ONE), projections=[
                Projection("in", "neurons", np.ones((1, 2)), delay=np.array([[1, 2]]))]),
            "brian2-loihi", "delays of 1 to 2 steps; profile brian2-loihi has one for all",
        ),
        (relays(("in", "a"), ("a", "b"), ("in", "b")), "nengo-loihi",
         "'in' → 'b' needs a delay of 1 steps; profile nengo-loihi has 0 to 0"),
    ],
)  # fmt: skip
def test_what_the_chip_has_not_is_refused_by_name(
    network: SpikingNetwork, profile: str, words: str
) -> None:
    with pytest.raises(KuwaError, match=words):
        compile_nir(network, profile)


def test_a_projection_of_which_nothing_is_left_is_refused() -> None:
    """As that of a balanced network's drive is, which is a current and no spike."""
    net = Ebn(EbnParameters(random_decoders(2, 40, 0.1, 0), nu=0.02, mu=0.005, noise=0.0, dt=2e-4))
    with pytest.raises(KuwaError, match="'drive' → 'neurons': all its weights are below half"):
        compile_nir(ebn_network(net, "value"))
    with pytest.raises(KuwaError, match="'neurons' has reset 'none'"):
        compile_nir(ebn_network(net))


def test_another_time_step_is_refused(tmp_path: Path) -> None:
    files = pytest.importorskip("kuwa_policies.nir_io.files")
    nir = pytest.importorskip("nir")
    network = one(lif(TAU, ONE))
    path = tmp_path / "n.nir"
    files.write(network, path)
    assert compile_nir(path, dt=DT).source.dt == DT
    for source in (network, path):
        with pytest.raises(KuwaError, match=r"dt is 0\.002 s, the network's is 0\.001 s"):
            compile_nir(source, dt=2e-3)
    graph = nir.read(str(path))
    graph.metadata["kuwa.cycle_delay_steps"] = 2
    with pytest.raises(KuwaError, match="cycles take 2 steps; expected 1"):
        compile_nir(graph)
    with pytest.raises(KuwaError, match=r"missing\.nir: no such file"):
        compile_nir(tmp_path / "missing.nir")


def test_a_foreign_file_is_compiled_with_the_step_that_is_given() -> None:
    nir = pytest.importorskip("nir")
    n = np.ones(2)
    graph = nir.NIRGraph.from_list(
        nir.Linear(np.full((2, 3), 30.0)), nir.Delay(2e-3 * n), nir.LIF(0.02 * n, n, 0 * n, n)
    )
    with pytest.raises(KuwaError, match="give dt"):
        compile_nir(graph)
    made = compile_nir(graph, dt=DT)
    (name,) = made.source.inputs
    raster = np.zeros((8, 3), np.uint8)
    raster[1] = 1
    found = agreement(made, {name: raster})
    assert next(iter(found.values())).spikes == (2, 2)
    assert next(iter(found.values())).same == 1.0
    with pytest.raises(KuwaError, match="no spikes of input"):
        agreement(made, {})


def test_voltages_that_start_below_their_reset_have_room_or_are_refused() -> None:
    raster = {"in": np.zeros((100, 2), np.uint8)}
    raster["in"][::7] = 1
    # From 0, a quarter of the way below v_reset.
    made = compile_nir(one(lif(TAU, 2 * ONE, v_reset=0.4, v_leak=0.4), 5.0), raster=raster)
    assert (made.emulator().get("neurons", "v") < 0).all()
    assert made.agreement is not None and made.agreement["neurons"].same == 1.0
    with pytest.raises(KuwaError, match="'neurons' starts at 0, below its v_reset of"):
        compile_nir(one(lif(TAU, 2 * ONE, v_reset=0.4, v_leak=0.4), -10.0))
