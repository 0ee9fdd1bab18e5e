"""NIR files: writing and reading networks. Needs the package ``nir`` (``./kuwa setup --learn``).

What NIR does not hold is kept in metadata, which other programs may read and none minds:

    graph   kuwa.dt, the step in seconds; kuwa.cycle_delay_steps = 1; kuwa.spike, kuwa.integration
    node    kuwa.reset of each LIF and CubaLIF: "to_value", "subtract", "none"

A Threshold is read as what it is, stepped: an LIF that forgets within a step.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.nir_io.network import Population, Projection, SpikingNetwork, check_dt, lif
from kuwa_policies.nir_io.paths import Chain, paths, summed
from kuwa_policies.statefile import whole

LINEAR = ("Affine", "Linear", "Scale")
NEURONS = ("LIF", "CubaLIF", "LI", "Threshold")
SUPPORTED = ("Input", "Output", *LINEAR, "Delay", *NEURONS)


def _nir() -> ModuleType:
    try:
        import nir
    except ImportError:
        raise KuwaError(
            "NIR files need the packages nir and h5py, which ./kuwa setup --learn installs"
        ) from None
    module: ModuleType = nir
    return module


def to_graph(network: SpikingNetwork) -> Any:
    """Return a network as an ``nir.NIRGraph``."""
    nir = _nir()
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    for name, size in network.inputs.items():
        nodes[name] = nir.Input(input_type={"input": np.array([size])})
    for name, n in network.populations.items():
        common = {"r": n.r, "v_leak": n.v_leak}
        spiking = {"v_threshold": n.v_threshold, "v_reset": n.v_reset}
        reset = {"metadata": {"kuwa.reset": n.reset}}
        if n.kind == "LI":
            nodes[name] = nir.LI(tau=n.tau, **common)
        elif n.kind == "LIF":
            nodes[name] = nir.LIF(tau=n.tau, **common, **spiking, **reset)
        else:
            synapse = {"tau_mem": n.tau, "tau_syn": n.tau_syn, "w_in": n.w_in}
            nodes[name] = nir.CubaLIF(**synapse, **common, **spiking, **reset)
    for name in (*nodes, *network.outputs):
        if "/" in name:
            raise KuwaError(f"the name {name!r} has a slash; HDF5 takes it for a folder")
    for p in network.projections:
        name = f"{p.source}_to_{p.target}"
        if name in nodes:
            raise KuwaError(f"two projections {p.source!r} → {p.target!r}; add their weights up")
        linear = (
            nir.Linear(weight=p.weight)
            if p.bias is None
            else nir.Affine(weight=p.weight, bias=p.bias)
        )
        before, behind = _split(p)
        chain = {name: linear}
        if before.any():
            chain = {f"{name}_before": nir.Delay(delay=before * network.dt)} | chain
        if behind.any():
            chain |= {f"{name}_behind": nir.Delay(delay=behind * network.dt)}
        nodes |= chain
        along = [p.source, *chain, p.target]
        edges += list(pairwise(along))
    for name, source in network.outputs.items():
        size = network.populations[source].size
        nodes[name] = nir.Output(output_type={"output": np.array([size])})
        edges.append((source, name))
    metadata = {
        "kuwa.dt": float(network.dt),
        "kuwa.cycle_delay_steps": 1,
        "kuwa.integration": "Euler: current, voltage with the new current, spike, reset",
        "kuwa.spike": "v > v_threshold",
    }
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata)


def _split(p: Projection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the delays of a projection as those of its source's and of its target's neurons."""
    delays = p.delays()
    before = delays[0] - delays[0].min()
    behind = delays[:, 0] - before[0]
    if (behind[:, None] + before[None, :] != delays).any() or (behind < 0).any():
        raise KuwaError(
            f"delays of {p.source!r} → {p.target!r} differ from synapse to synapse; NIR has those "
            f"of neurons: a number of the source's plus one of the target's"
        )
    return before, behind


def write(network: SpikingNetwork, path: str | Path) -> None:
    """Write a network to a NIR file; one that is there is replaced as a whole or kept.

    Raises:
        KuwaError: it cannot be written, or its names make no file.
    """
    graph = to_graph(network)
    with whole(Path(path)) as partial:
        _nir().write(str(partial), graph)


def read(path: str | Path, dt: float | None = None) -> SpikingNetwork:
    """Read a network from a NIR file.

    Args:
        dt: time step [s], where the file does not say; NIR has none.

    Raises:
        KuwaError: it is not a NIR file, is for another time step, or holds what we do not know.
    """
    try:
        return from_graph(load(path), dt)
    except KuwaError as error:
        raise KuwaError(f"{path}: {error}") from None


def load(path: str | Path) -> Any:
    """Return the ``nir.NIRGraph`` of a file.

    Raises:
        KuwaError: it is not a NIR file.
    """
    nir = _nir()
    if not Path(path).is_file():
        raise KuwaError("no such file")
    try:
        return nir.read(str(path))
    except Exception as error:
        # h5py and nir raise whatever comes up first: OSError, KeyError, ValueError, AssertionError.
        raise KuwaError(
            f"not a NIR file that can be read ({type(error).__name__}: {error}); expected HDF5 as "
            f"nir.write makes it"
        ) from None


def from_graph(graph: Any, dt: float | None = None) -> SpikingNetwork:
    """Return the network of an ``nir.NIRGraph``; see :func:`read`."""
    for name, node in graph.nodes.items():
        kind = type(node).__name__
        if kind not in SUPPORTED:
            raise KuwaError(f"node {name!r} is a {kind}; supported: {', '.join(SUPPORTED)}")
    said = graph.metadata.get("kuwa.dt")
    check_dt(dt, None if said is None else float(said))
    step = dt if said is None else float(said)
    if step is None:
        raise KuwaError("the graph says no time step; give dt, that of who made it [s]")
    cycle = graph.metadata.get("kuwa.cycle_delay_steps", 1)
    if cycle != 1:
        raise KuwaError(f"the graph's cycles take {cycle} steps; expected 1, as on a chip")
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    populations = {
        name: _population(name, node, step)
        for name, node in graph.nodes.items()
        if kinds[name] in NEURONS
    }
    inputs = {
        name: _length(name, node.input_type["input"])
        for name, node in graph.nodes.items()
        if kinds[name] == "Input"
    }
    sizes = {**inputs, **{name: p.size for name, p in populations.items()}}
    projections = summed(
        projection
        for target in populations
        for projection in paths(graph, target, Chain.to(target, sizes), step)
    )
    outputs = {}
    for source, target in graph.edges:
        if kinds.get(target) == "Output":
            if source not in populations:
                raise KuwaError(f"output {target!r} reads {source!r}, which is not a population")
            outputs[target] = source
    return SpikingNetwork(step, inputs, populations, projections, outputs)


def _length(name: str, shape: Any) -> int:
    shape = np.atleast_1d(shape)
    if len(shape) != 1:
        raise KuwaError(f"node {name!r} has shape {tuple(shape.tolist())}; expected one dimension")
    return int(shape[0])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _population(name: str, node: Any, dt: float) -> Population:
    kind = type(node).__name__
    if kind == "Threshold":
        threshold = np.array(node.threshold, float).ravel()
        return lif(np.full(len(threshold), dt), threshold)
    cuba = kind == "CubaLIF"
    reset = "none" if kind == "LI" else _text(node.metadata.get("kuwa.reset", "to_value"))

    def numbers(key: str) -> Array:
        return np.array(getattr(node, key), float, copy=True)

    tau = numbers("tau_mem" if cuba else "tau")
    if tau.ndim != 1:
        raise KuwaError(f"node {name!r} has shape {tau.shape}; expected one dimension")
    zero = np.zeros(len(tau))
    spiking = kind != "LI"
    try:
        return Population(
            kind, tau, numbers("r"), numbers("v_leak"),
            numbers("v_threshold") if spiking else zero, numbers("v_reset") if spiking else zero,
            numbers("tau_syn") if cuba else np.zeros(0), numbers("w_in") if cuba else np.zeros(0),
            reset,
        )  # fmt: skip
    except KuwaError as error:
        raise KuwaError(f"node {name!r}: {error}") from None
