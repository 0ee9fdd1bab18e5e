"""NIR files: what is written is read, what others write is understood or refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import KuwaError
from kuwa_policies.nir_io import files
from kuwa_policies.nir_io.network import (
    KINDS,
    RESETS,
    Population,
    Projection,
    SpikingNetwork,
    lif,
    simulate,
)

nir = pytest.importorskip("nir")


def random_network(rng: np.random.Generator) -> SpikingNetwork:
    populations = {}
    for i in range(rng.integers(1, 4)):
        n = int(rng.integers(1, 7))
        kind = str(rng.choice(KINDS))
        cuba = kind == "CubaLIF"
        populations[f"p{i}"] = Population(
            kind, rng.uniform(0.005, 0.1, n), rng.uniform(0.5, 40.0, n), rng.normal(0, 0.1, n),
            np.zeros(n) if kind == "LI" else rng.uniform(0.2, 1.0, n),
            np.zeros(n) if kind == "LI" else rng.normal(0, 0.2, n),
            rng.uniform(0.005, 0.1, n) if cuba else np.zeros(0),
            rng.uniform(0.5, 2.0, n) if cuba else np.zeros(0),
            "none" if kind == "LI" else str(rng.choice(RESETS)),
        )  # fmt: skip
    inputs = {"in": 3}
    sizes = {**inputs, **{k: p.size for k, p in populations.items()}}
    projections = [
        Projection(
            source, target, rng.normal(0.0, 1.0, (sizes[target], sizes[source])),
            rng.normal(0.0, 0.1, sizes[target]) if rng.random() < 0.5 else None,
        )
        for source in sizes
        for target in populations
        if source == "in" or rng.random() < 0.4
    ]  # fmt: skip
    return SpikingNetwork(1e-3, inputs, populations, projections, {"out": "p0"})


@given(st.integers(0, 10**9))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_network_comes_back_as_it_went(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    files.write(network, tmp_path / "network.nir")
    again = files.read(tmp_path / "network.nir")
    drive = {"in": rng.normal(0.0, 1.0, (60, 3))}
    before, after = simulate(network, drive), simulate(again, drive)
    # nir adds outputs of its own to what leads nowhere.
    assert again.dt == network.dt and network.outputs.items() <= again.outputs.items()
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


def test_what_is_written_says_how_it_is_stepped(tmp_path: Path) -> None:
    files.write(random_network(np.random.default_rng(3)), tmp_path / "network.nir")
    graph = nir.read(tmp_path / "network.nir")
    assert graph.metadata["kuwa.dt"] == 1e-3
    assert graph.metadata["kuwa.cycle_delay_steps"] == 1


def foreign(*nodes, edges=None):
    """A graph as others write it, without our metadata."""
    if edges is None:
        return nir.NIRGraph.from_list(*nodes)
    return nir.NIRGraph(nodes=dict(nodes), edges=edges)


def neurons(n: int, **other) -> nir.LIF:
    values = {"tau": 0.02, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.5} | other
    return nir.LIF(**{key: np.full(n, value) for key, value in values.items()})


def test_chains_of_linear_nodes_become_one_matrix_and_one_bias(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(4, 3)), rng.normal(size=4)
    B, s = rng.normal(size=(2, 4)), rng.normal(size=2)
    graph = foreign(nir.Affine(A, b), nir.Linear(B), nir.Scale(s), neurons(2))
    nir.write(tmp_path / "foreign.nir", graph)
    network = files.read(tmp_path / "foreign.nir", dt=1e-3)
    (p,) = network.projections
    np.testing.assert_allclose(p.weight, np.diag(s) @ B @ A)
    np.testing.assert_allclose(p.bias, np.diag(s) @ B @ b)
    assert (next(iter(network.populations.values())).v_reset == 0.0).all()


def test_a_bias_counts_once_however_many_sources_its_node_has() -> None:
    graph = foreign(
        ("in", nir.Input(input_type={"input": np.array([2])})),
        ("w", nir.Affine(np.eye(2), np.ones(2))), ("a", neurons(2)),
        ("out", nir.Output(output_type={"output": np.array([2])})),
        edges=[("in", "w"), ("a", "w"), ("w", "a"), ("in", "a"), ("a", "out")],
    )  # fmt: skip
    network = files.from_graph(graph, dt=1e-3)
    weights = {p.source: p.weight for p in network.projections}
    np.testing.assert_array_equal(weights["in"], 2 * np.eye(2))
    np.testing.assert_array_equal(weights["a"], np.eye(2))
    assert sum(p.bias.sum() for p in network.projections if p.bias is not None) == 2.0


def test_a_file_without_a_time_step_needs_one() -> None:
    graph = foreign(nir.Linear(np.eye(2)), neurons(2))
    with pytest.raises(KuwaError, match="give dt"):
        files.from_graph(graph)
    assert files.from_graph(graph, dt=2e-3).dt == 2e-3
    graph.metadata["kuwa.dt"] = 1e-3
    assert files.from_graph(graph, dt=1e-3).dt == files.from_graph(graph).dt == 1e-3
    with pytest.raises(KuwaError, match=r"dt is 0\.002 s, the network's is 0\.001 s"):
        files.from_graph(graph, dt=2e-3)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KuwaError, match="no such file"):
        files.read(tmp_path / "missing.nir")
    (tmp_path / "text.nir").write_text("weights: 3")
    with pytest.raises(KuwaError, match=r"text\.nir: not a NIR file"):
        files.read(tmp_path / "text.nir")
    import h5py

    with h5py.File(tmp_path / "other.nir", "w") as other:
        other["data"] = np.zeros(3)
    with pytest.raises(KuwaError, match="not a NIR file"):
        files.read(tmp_path / "other.nir")


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (
            lambda: foreign(nir.Linear(np.eye(2)), nir.IF(np.ones(2), np.ones(2))),
            "'if' is a IF; supported: Input",
        ),
        (
            lambda: nir.NIRGraph(
                {
                    "in": nir.Input(input_type={"input": np.array([3])}),
                    "w": nir.Linear(np.ones((2, 4))),
                    "a": neurons(2),
                },
                [("in", "w"), ("w", "a")],
                type_check=False,
            ),
            r"expected \(2, 3\)",
        ),
        (
            lambda: nir.NIRGraph(
                {
                    "v": nir.Linear(np.eye(2)),
                    "w": nir.Linear(np.eye(2)),
                    "a": neurons(2),
                },
                [("v", "w"), ("w", "v"), ("w", "a")],
                type_check=False,
            ),
            "cycle without neurons",
        ),
        (lambda: foreign(nir.Linear(np.eye(2)), neurons(2, tau=0.0)), "above 0"),
        (
            lambda: foreign(nir.Delay(np.array([1e-3, 2.5e-3])), nir.Linear(np.eye(2)), neurons(2)),
            "'delay' delays by 0.0025 s; expected whole steps of 0.001 s",
        ),
        (
            lambda: foreign(
                nir.Linear(np.eye(2)),
                nir.Delay(np.array([1e-3, 2e-3])),
                nir.Linear(np.eye(2)),
                neurons(2),
            ),
            "behind node 'linear' delays differ between two matrices",
        ),
        (lambda: foreign(nir.Linear(np.eye(2)), neurons(2, tau=1e-4)), "at least as much"),
    ],
)
def test_graphs_that_we_do_not_know_are_refused_by_name(graph, words: str) -> None:
    with pytest.raises(KuwaError, match=words):
        files.from_graph(graph(), dt=1e-3)


def test_delays_become_those_of_synapses_and_come_back(tmp_path: Path) -> None:
    ms = 1e-3
    graph = foreign(
        nir.Delay(np.array([1, 2, 3]) * ms), nir.Linear(np.ones((2, 3))),
        nir.Delay(np.array([0, 5]) * ms), nir.Scale(np.array([1.0, 2.0])), neurons(2),
    )  # fmt: skip
    network = files.from_graph(graph, dt=ms)
    (p,) = network.projections
    assert p.delays().tolist() == [[1, 2, 3], [6, 7, 8]]
    files.write(network, tmp_path / "network.nir")
    again = files.read(tmp_path / "network.nir")
    np.testing.assert_array_equal(again.projections[0].delays(), p.delays())
    mixed = replace(p, delay=np.array([[0, 1, 0], [1, 0, 0]]))
    with pytest.raises(KuwaError, match="differ from synapse to synapse"):
        files.write(replace(network, projections=[mixed]), tmp_path / "network.nir")


def test_a_delay_puts_spikes_off_and_takes_the_place_of_a_cycles_step() -> None:
    relay = lif(np.full(1, 1e-3), np.full(1, 0.5))

    def ring(delay: int | None) -> list[int]:
        back = None if delay is None else np.full((1, 1), delay)
        network = SpikingNetwork(
            1e-3, {"in": 1}, {"a": relay},
            [Projection("in", "a", np.eye(1), delay=np.full((1, 1), 2)),
             Projection("a", "a", np.eye(1), delay=back)], {},
        )  # fmt: skip
        spikes = simulate(network, {"in": np.eye(9, 1)})["a"][:, 0]
        return [int(t) for t in np.flatnonzero(spikes)]

    assert ring(None) == ring(0) == ring(1) == [2, 3, 4, 5, 6, 7, 8]
    assert ring(3) == [2, 5, 8]


def test_a_threshold_is_a_neuron_that_forgets_within_a_step() -> None:
    graph = foreign(nir.Linear(np.array([[1.0, 0.5]])), nir.Threshold(np.array([1.2])))
    network = files.from_graph(graph, dt=1e-3)
    (name,) = network.populations
    drive = np.array([[1, 0], [0, 1], [1, 1], [1, 0], [1, 1]], float)
    out = simulate(network, {next(iter(network.inputs)): drive})[name]
    assert out[:, 0].tolist() == [0, 0, 1, 0, 1]


def test_names_that_a_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    network = SpikingNetwork(
        1e-3, {"a/b": 1}, {"n": lif(np.full(1, 0.02), np.ones(1))},
        [Projection("a/b", "n", np.eye(1))], {},
    )  # fmt: skip
    with pytest.raises(KuwaError, match="slash"):
        files.write(network, tmp_path / "network.nir")
