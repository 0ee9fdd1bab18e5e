"""snnTorch, asked for the rasters of a NIR graph: run by the interpreter that has snntorch 1.0.

Its neurons are v ← β v + x and know neither R, v_leak nor v_reset. They get u = v − v_reset: β is
1 − dt/τ, x is (R I + v_leak − v_reset) dt/τ, the threshold v_threshold − v_reset, and "zero" is the
reset of u.
"""

from __future__ import annotations

import nir
import nir_walk
import numpy as np
import snntorch
import torch
from snntorch.import_nir import import_from_nir

torch.set_default_dtype(torch.float64)
RESETS = {"to_value": "zero", "subtract": "subtract", "none": "none"}


def tensor(values):
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


def make(node, dt, kind):
    """Return a node as a neuron of snnTorch."""
    cuba = isinstance(node, nir.CubaLIF)
    share = dt / tensor(node.tau_mem if cuba else node.tau)
    if isinstance(node, nir.LI):
        u = {"v": tensor(0.0 * node.r)}

        def integrate(current):
            x = share * (tensor(node.r) * tensor(current) + tensor(node.v_leak))
            u["v"] = (1 - share) * u["v"] + x
            return u["v"].numpy()

        return integrate
    # "subtract" takes the threshold off: nothing may be shifted then.
    shift = tensor(node.v_reset) if kind == "to_value" else tensor(0.0 * node.v_reset)
    constant = share * (tensor(node.v_leak) - shift)
    options = {
        "threshold": tensor(node.v_threshold) - shift,
        "reset_mechanism": RESETS[kind],
        "reset_delay": False,
    }
    gain = share * tensor(node.r)
    state = {"u": -shift[None]}
    if cuba:
        fade = dt / tensor(node.tau_syn)
        neuron = snntorch.Synaptic(alpha=1 - fade, beta=1 - share, **options)
        # What is constant goes through the synapse as well, which starts where it stays.
        state["syn"] = (constant * torch.ones(len(gain)))[None]

        def step(current):
            x = gain * fade * tensor(node.w_in) * tensor(current) + fade * constant
            y, state["syn"], state["u"] = neuron(x[None], state["syn"], state["u"])
            return y.numpy()[0]

    else:
        neuron = snntorch.Leaky(beta=1 - share, **options)

        def step(current):
            x = gain * tensor(current) + constant
            y, state["u"] = neuron(x[None], state["u"])
            return y.numpy()[0]

    return step


def native(graph, inputs):
    """Return the rasters that snnTorch's own importer gives: its dt is 0.1 ms, always."""
    torch.set_default_dtype(torch.float32)
    model = import_from_nir(graph)
    state, rows = None, []
    for x in next(iter(inputs.values())):
        y, state = model(torch.as_tensor(x, dtype=torch.float32)[None], state)
        rows.append(y.detach().numpy()[0])
    return np.array(rows)


if __name__ == "__main__":
    with torch.no_grad():
        nir_walk.main(make, native)
