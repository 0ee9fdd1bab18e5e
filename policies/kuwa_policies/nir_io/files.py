"""NIR files: writing and reading networks. Needs the package ``nir`` (``./kuwa setup --learn``).

What NIR does not hold is kept in metadata, which other programs may read and none minds:

    graph   kuwa.dt, the step in seconds; kuwa.cycle_delay_steps = 1; kuwa.spike, kuwa.integration
    node    kuwa.reset of each LIF and CubaLIF: "to_value", "subtract", "none"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.nir_io.network import Population, Projection, SpikingNetwork

LINEAR = ("Affine", "Linear", "Scale")
NEURONS = ("LIF", "CubaLIF", "LI")
SUPPORTED = ("Input", "Output", *LINEAR, *NEURONS)


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
        nodes[name] = (
            nir.Linear(weight=p.weight)
            if p.bias is None
            else nir.Affine(weight=p.weight, bias=p.bias)
        )
        edges += [(p.source, name), (name, p.target)]
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


def write(network: SpikingNetwork, path: str | Path) -> None:
    """Write a network to a NIR file."""
    graph = to_graph(network)
    _nir().write(str(path), graph)


def read(path: str | Path, dt: float | None = None) -> SpikingNetwork:
    """Read a network from a NIR file.

    Args:
        dt: time step [s], where the file does not say; NIR has none.

    Raises:
        KuwaError: it is not a NIR file, or holds what we do not know.
    """
    nir = _nir()
    if not Path(path).is_file():
        raise KuwaError(f"{path}: no such file")
    try:
        graph = nir.read(str(path))
    except Exception as error:
        # h5py and nir raise whatever comes up first: OSError, KeyError, ValueError, AssertionError.
        raise KuwaError(
            f"{path}: not a NIR file that can be read ({type(error).__name__}: {error}); expected "
            f"HDF5 as nir.write makes it"
        ) from None
    try:
        return from_graph(graph, dt)
    except KuwaError as error:
        raise KuwaError(f"{path}: {error}") from None


def from_graph(graph: Any, dt: float | None = None) -> SpikingNetwork:
    """Return the network of an ``nir.NIRGraph``; see :func:`read`."""
    for name, node in graph.nodes.items():
        kind = type(node).__name__
        if kind not in SUPPORTED:
            raise KuwaError(f"node {name!r} is a {kind}; supported: {', '.join(SUPPORTED)}")
    said = graph.metadata.get("kuwa.dt")
    if dt is None and said is None:
        raise KuwaError("the graph says no time step; give dt, that of who made it [s]")
    step = float(said if dt is None else dt)
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    populations = {
        name: _population(name, node)
        for name, node in graph.nodes.items()
        if kinds[name] in NEURONS
    }
    inputs = {
        name: _length(name, node.input_type["input"])
        for name, node in graph.nodes.items()
        if kinds[name] == "Input"
    }
    sizes = {**inputs, **{name: p.size for name, p in populations.items()}}
    projections = _summed(
        projection
        for target in populations
        for projection in _paths(graph, target, target, sizes, None, ())
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


def _population(name: str, node: Any) -> Population:
    kind = type(node).__name__
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


def _paths(
    graph: Any, at: str, target: str, sizes: dict[str, int], weight: Array | None,
    seen: tuple[str, ...],
) -> Iterator[Projection]:  # fmt: skip
    """Yield what reaches ``target`` through linear nodes, from ``at`` backwards.

    Args:
        weight: from ``at`` to the target; None for the identity.
    """
    for source, to in graph.edges:
        if to != at:
            continue
        node = graph.nodes[source]
        if source in sizes:
            n, m = sizes[target], sizes[source]
            if weight is None and n != m:
                raise KuwaError(f"{source!r} of {m} is joined to {target!r} of {n} without weights")
            yield Projection(source, target, np.eye(n) if weight is None else weight)
            continue
        if source in seen:
            raise KuwaError(f"node {source!r} is in a cycle without neurons: it cannot be stepped")
        if type(node).__name__ == "Scale":
            own = np.diag(np.array(node.scale, float).ravel())
        else:
            own = np.array(node.weight, float)
        if own.ndim != 2:
            raise KuwaError(f"node {source!r} has weights of shape {own.shape}; expected a matrix")
        before = np.eye(sizes[target]) if weight is None else weight
        if before.shape[1] != own.shape[0]:
            raise KuwaError(
                f"node {source!r} puts out {own.shape[0]} numbers; {at!r} takes {before.shape[1]}"
            )
        found = list(_paths(graph, source, target, sizes, before @ own, (*seen, source)))
        if not found:
            raise KuwaError(f"node {source!r} has no source")
        if type(node).__name__ == "Affine":
            # Once, however many sources the node has.
            constant = before @ np.array(node.bias, float)
            first = found[0]
            bias = constant if first.bias is None else first.bias + constant
            found[0] = Projection(first.source, first.target, first.weight, bias)
        yield from found


def _summed(projections: Iterator[Projection]) -> list[Projection]:
    """Add up projections of the same source and target."""
    found: dict[tuple[str, str], Projection] = {}
    for p in projections:
        old = found.get((p.source, p.target))
        if old is not None:
            biases = [b for b in (old.bias, p.bias) if b is not None]
            bias = np.sum(biases, axis=0) if biases else None
            p = Projection(p.source, p.target, old.weight + p.weight, bias)
        found[p.source, p.target] = p
    return list(found.values())
