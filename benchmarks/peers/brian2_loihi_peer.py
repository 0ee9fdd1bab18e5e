"""Brian2-Loihi, asked for a network: run by the interpreter that has brian2-loihi 0.5.2.

The current is recorded when the neurons are about to take it: after the synapses have added to it
and before it decays; what a run starts from is therefore decayed once.
"""

from __future__ import annotations

import numpy as np
from brian2 import StateMonitor, defaultclock, ms, prefs, start_scope
from brian2_loihi import (
    LoihiNetwork,
    LoihiNeuronGroup,
    LoihiSpikeGeneratorGroup,
    LoihiSynapses,
)

from peers.protocol import serve

SIGNS = {"mixed": 1, "excitatory": 2, "inhibitory": 3}


def sign_mode(weights):
    if weights.min() >= 0:
        return "excitatory"
    return "inhibitory" if weights.max() <= 0 else "mixed"


def run(meta, arrays):
    start_scope()
    prefs.codegen.target = "numpy"
    defaultclock.dt = 1 * ms
    raster = arrays["raster"]
    steps = len(raster)
    objects, sources, monitors = [], {}, []
    first = start = 0
    for name, size in meta["inputs"].items():
        times, indices = np.nonzero(raster[:, first : first + size])
        sources[name] = LoihiSpikeGeneratorGroup(size, indices, times)
        first += size
    for name, size in meta["neurons"].items():
        one = {
            key: int(arrays[f"{key}:{name}"][0])
            for key in ("decay_u", "decay_v", "threshold", "refractory")
        }
        group = LoihiNeuronGroup(
            size,
            refractory=one["refractory"],
            threshold_v_mant=one["threshold"],
            decay_v=one["decay_v"],
            decay_I=one["decay_u"],
        )
        group.v = arrays["v"][start : start + size]
        u = arrays["u"][start : start + size].astype(np.int64)
        group.I = np.sign(u) * (np.abs(u) * (4096 - one["decay_u"]) >> 12)
        start += size
        sources[name] = group
        # After the synapses of the same moment, whatever their names.
        monitors.append(
            (
                StateMonitor(group, "I", record=True, when="synapses", order=1),
                StateMonitor(group, "v", record=True, when="end"),
            )
        )
    for number, c in enumerate(meta["connections"]):
        weights, delays = arrays[f"weights:{number}"], arrays[f"delays:{number}"]
        synapses = LoihiSynapses(
            sources[c["source"]],
            sources[c["target"]],
            delay=int(delays.flat[0]),
            w_exp=c["exponent"],
            sign_mode=SIGNS[c["sign_mode"] or sign_mode(weights)],
            num_weight_bits=c["bits"],
        )
        synapses.connect()
        synapses.w = weights.T.ravel().astype(int)
        objects.append(synapses)
    flat = [monitor for pair in monitors for monitor in pair]
    network = LoihiNetwork(*sources.values(), *objects, *flat)
    spikes = []
    # A spike leaves v at 0; whether there was one is asked where it is decided.
    from brian2 import SpikeMonitor

    counters = [SpikeMonitor(sources[name]) for name in meta["neurons"]]
    network.add(*counters)
    network.run(steps)
    for counter, size in zip(counters, meta["neurons"].values(), strict=True):
        fired = np.zeros((steps, size), np.uint8)
        fired[np.round(np.asarray(counter.t / ms)).astype(int), np.asarray(counter.i)] = 1
        spikes.append(fired)
    return {
        "spikes": np.concatenate(spikes, axis=1),
        "u": np.concatenate([np.asarray(m.I).T for m, _ in monitors], axis=1).astype(np.int64),
        "v": np.concatenate([np.asarray(m.v).T for _, m in monitors], axis=1).astype(np.int64),
    }


def answer(meta, arrays):
    if meta["question"] == "versions":
        from importlib.metadata import version

        return {name: version(name) for name in ("brian2-loihi", "Brian2", "numpy")}, {}
    return {}, run(meta, arrays)


if __name__ == "__main__":
    serve(answer)
