"""Runs a NIR graph node by node in a peer's own interpreter; the peer brings the neurons.

    python nir_norse.py GRAPH.nir INPUT.npz RASTERS.npz

Needs numpy and nir only. It knows nothing of Kuwa but the metadata that Kuwa writes, and finds the
order by itself: what a population puts out reaches nodes of its own cycle in the next step.
"""

from __future__ import annotations

import sys

import nir
import numpy as np


def text(value):
    """Return a string that HDF5 may have turned into bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def ahead(graph, start):
    """Return all nodes that can be reached from a node."""
    found, todo = set(), [start]
    while todo:
        at = todo.pop()
        for source, target in graph.edges:
            if source == at and target not in found:
                found.add(target)
                todo.append(target)
    return found


def run(graph, inputs, make):
    """Return what every neuron node puts out, by name, shape (steps, n).

    Args:
        inputs: currents of every step by input's name, shape (steps, n).
        make: called with a node, dt and the kind of reset, returns a function from the current of
            a step to the output of that step.
    """
    dt = float(graph.metadata["kuwa.dt"])
    neurons = {
        name: make(node, dt, text(node.metadata.get("kuwa.reset", "to_value")))
        for name, node in graph.nodes.items()
        if isinstance(node, nir.LIF | nir.CubaLIF | nir.LI)
    }
    reach = {name: ahead(graph, name) for name in graph.nodes}
    late = {
        (source, target)
        for source, target in graph.edges
        if source in neurons and source in reach[target]
    }
    # A node comes behind all those it can be reached from, edges with a delay left out.
    order, todo = [], list(graph.nodes)
    while todo:
        for name in todo:
            before = {s for s, t in graph.edges if t == name and (s, t) not in late}
            if before <= set(order):
                order.append(name)
                todo.remove(name)
                break
        else:
            raise SystemExit("a cycle without neurons")
    steps = len(next(iter(inputs.values())))
    out = {name: [] for name in neurons}
    before = {
        name: np.zeros(node.output_type["output"])
        for name, node in graph.nodes.items()
        if name in neurons
    }
    for t in range(steps):
        now = {}
        for name in order:
            node = graph.nodes[name]
            total = 0.0
            for source, target in graph.edges:
                if target == name:
                    total = total + (before if (source, target) in late else now)[source]
            if isinstance(node, nir.Input):
                now[name] = inputs[name][t]
            elif isinstance(node, nir.Linear):
                now[name] = node.weight @ total
            elif isinstance(node, nir.Affine):
                now[name] = node.weight @ total + node.bias
            elif isinstance(node, nir.Output):
                now[name] = total
            else:
                now[name] = neurons[name](total)
                out[name].append(now[name])
        before = {name: now[name] for name in neurons}
    return {name: np.array(rows) for name, rows in out.items()}


def main(make, native):
    """Read what the command line names, run it both ways, write it.

    Args:
        make: see :func:`run`.
        native: called with a graph and its inputs, returns what the peer's own importer makes of
            it, or raises.
    """
    graph = nir.read(sys.argv[1])
    inputs = dict(np.load(sys.argv[2]))
    rasters = run(graph, inputs, make)
    try:
        rasters["native"] = native(graph, inputs)
    except Exception as error:  # what the importer cannot do is part of the answer
        rasters["native_error"] = np.array(f"{type(error).__name__}: {error}"[:200])
    np.savez_compressed(sys.argv[3], **rasters)
