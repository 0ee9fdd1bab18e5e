"""Norse, asked for the rasters of a NIR graph: run by the interpreter that has norse 1.1."""

from __future__ import annotations

import nir
import nir_walk
import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional import leaky_integrator_box as li
from norse.torch.functional import lif_box, reset

torch.set_default_dtype(torch.float64)
RESETS = {
    "to_value": reset.reset_value,
    "subtract": reset.reset_subtract,
    "none": lambda z, v, v_reset, v_th: v,
}


def tensor(values):
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


def make(node, dt, kind):
    """Return a node as a cell of Norse; its cells take R I, so R is multiplied before them."""
    cuba = isinstance(node, nir.CubaLIF)
    tau_inv = 1 / tensor(node.tau_mem if cuba else node.tau)
    r, leak = tensor(node.r), tensor(node.v_leak)
    rest = torch.zeros(len(r))
    if isinstance(node, nir.LI):
        cell, state = norse.LIBoxCell(li.LIBoxParameters(tau_inv, leak), dt=dt), li.LIBoxState(rest)
    else:
        p = lif_box.LIFBoxParameters(
            tau_inv, leak, tensor(node.v_threshold), tensor(node.v_reset), reset_method=RESETS[kind]
        )
        cell = norse.LIFBoxCell(p, dt=dt)
        state = lif_box.LIFBoxFeedForwardState(v=rest)
    synapse = None
    if cuba:
        p = li.LIBoxParameters(1 / tensor(node.tau_syn), torch.zeros(len(r)))
        synapse = norse.LIBoxCell(p, dt=dt)
    states = {"neuron": state, "synapse": li.LIBoxState(rest)}

    def step(current):
        x = tensor(current)
        if synapse is not None:
            x, states["synapse"] = synapse(tensor(node.w_in) * x, states["synapse"])
        y, states["neuron"] = cell(r * x, states["neuron"])
        return y.numpy()

    return step


def native(graph, inputs):
    """Return the rasters that Norse's own importer gives, told dt and nothing else."""
    torch.set_default_dtype(torch.float32)
    model = norse.from_nir(graph, ignore_warnings=True, dt=float(graph.metadata["kuwa.dt"]))
    state, rows = None, []
    for x in next(iter(inputs.values())):
        y, state = model(torch.as_tensor(x, dtype=torch.float32)[None], state)
        rows.append(y.detach().numpy()[0])
    return np.array(rows)


if __name__ == "__main__":
    with torch.no_grad():
        nir_walk.main(make, native)
