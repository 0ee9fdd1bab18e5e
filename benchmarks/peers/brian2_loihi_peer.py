"""Brian2-Loihi, asked for a network: run by the interpreter that has brian2-loihi 0.5.2.

The current is recorded when the neurons are about to take it: after the synapses have added to it
and before it decays; what a run starts from is therefore decayed once.
"""

from __future__ import annotations

import numpy as np
from brian2 import StateMonitor, defaultclock, ms, prefs, seed, start_scope
from brian2_loihi import (
    LoihiNetwork,
    LoihiNeuronGroup,
    LoihiSpikeGeneratorGroup,
    LoihiSynapses,
)

from peers.protocol import serve

SIGNS = {"mixed": 1, "excitatory": 2, "inhibitory": 3}


TRACES = ("x1", "x2", "y1", "y2", "y3")


def sign_mode(weights):
    if weights.min() >= 0:
        return "excitatory"
    return "inhibitory" if weights.max() <= 0 else "mixed"


def rule_of(learning):
    if not learning:
        return {}
    numbers = {"dw": learning["text"]}
    for name in TRACES:
        for theirs, ours in (("imp", "impulse"), ("tau", "tau")):
            numbers[f"{theirs}_{name}"] = int(learning[f"{name}_{ours}"]) or False
    return numbers


def history(monitor, learning):
    """Return w, w_act and the traces of every synapse after every step, source after source."""
    rows = [np.asarray(monitor.w).T, np.asarray(monitor.w_act).T]
    for name in TRACES:
        there = learning[f"{name}_impulse"]
        rows.append(np.asarray(getattr(monitor, name)).T if there else 0 * rows[0])
    return np.concatenate(rows, axis=1).astype(np.int64)


def run(meta, arrays):
    start_scope()
    prefs.codegen.target = "numpy"
    defaultclock.dt = 1 * ms
    seed(meta["seed"])
    raster = arrays["raster"]
    steps = len(raster)
    objects, sources, monitors, learning = [], {}, [], {}
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
            # The order of names is that in which they draw.
            name=f"loihi_synapses_{number:04d}",
            **rule_of(c["learning"]),
        )
        synapses.connect()
        synapses.w = weights.T.ravel().astype(int)
        objects.append(synapses)
        if c["learning"]:
            kept = ["w", "w_act", *(n for n in TRACES if c["learning"][f"{n}_impulse"])]
            learning[number] = StateMonitor(synapses, kept, record=True, when="end")
    flat = [monitor for pair in monitors for monitor in pair]
    network = LoihiNetwork(*sources.values(), *objects, *flat, *learning.values())
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
    histories = {
        f"learning:{number}": history(monitor, meta["connections"][number]["learning"])
        for number, monitor in learning.items()
    }
    return histories | {
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
