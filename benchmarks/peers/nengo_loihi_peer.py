"""Nengo-Loihi's emulator, asked for a network: run by the interpreter that has nengo-loihi 1.1.0.

Blocks are made of integers as its builder leaves them; weights go through its own discretisation.
"""

from __future__ import annotations

import warnings

import numpy as np
from nengo_loihi.block import Axon, LoihiBlock, Synapse, SynapseConfig
from nengo_loihi.builder.builder import Model
from nengo_loihi.builder.discretize import discretize_weights
from nengo_loihi.emulator.interface import EmulatorInterface
from nengo_loihi.inputs import SpikeInput

from peers import nengo_loihi_model
from peers.protocol import serve

FANOUT = {"mixed": 1, "excitatory": 2, "inhibitory": 3}


def sign_mode(weights):
    if weights.min() >= 0:
        return "excitatory"
    return "inhibitory" if weights.max() <= 0 else "mixed"


def block_of(name, size, arrays):
    block = LoihiBlock(size, label=name)
    c = block.compartment
    whole = {key: arrays[f"{key}:{name}"].astype(np.int32) for key in ("decay_u", "decay_v")}
    c.decay_u, c.decay_v = whole["decay_u"], whole["decay_v"]
    c.vth = (arrays[f"threshold:{name}"] << 6).astype(np.int32)
    c.bias = (arrays[f"bias:{name}"] << arrays[f"bias_exponent:{name}"]).astype(np.int32)
    c.refract_delay = arrays[f"refractory:{name}"].astype(np.int32)
    c.vmin = arrays[f"v_min:{name}"].astype(np.int32)
    c.vmax = arrays[f"v_max:{name}"].astype(np.int32)
    c.scale_u = c.scale_v = False
    c.noise_exp = 1
    return block


def synapse_of(number, c, arrays):
    weights = arrays[f"weights:{number}"]
    mode = c["sign_mode"] or sign_mode(weights)
    config = SynapseConfig(
        weight_exp=c["exponent"],
        weight_bits=SynapseConfig.WEIGHT_BITS_MAP.index(c["bits"]),
        fanout_type=FANOUT[mode],
    )
    # The check at the end of it refuses some shifts that lose bits; the numbers are the same.
    kept = discretize_weights(config, weights.astype(float), check_result=False)
    synapse = Synapse(weights.shape[1])
    synapse.set_weights(weights.T)
    synapse.synapse_cfg = config
    for row, w in zip(synapse.weights, kept.T, strict=True):
        row.dtype = np.int32
        row[:] = w
    if c["learning"]:
        rule = c["learning"]["pes"]
        synapse.set_learning(
            tracing_tau=rule["trace"]["tau"],
            tracing_mag=rule["trace"]["impulse"],
            wgt_exp=c["exponent"],
        )
        synapse._lr_int, synapse._lr_exp = rule["mantissa"], rule["exponent"]
        # Its format is that of the connection, not the one that learning comes with.
    return synapse


def run(meta, arrays):
    raster = arrays["raster"]
    model = Model(dt=0.001)
    blocks = {name: block_of(name, size, arrays) for name, size in meta["neurons"].items()}
    sources = dict(blocks)
    first = 0
    for name, size in meta["inputs"].items():
        sources[name] = given = SpikeInput(size)
        for t, row in enumerate(raster[:, first : first + size]):
            given.add_spikes(t + 1, np.flatnonzero(row), permanent=True)
        model.add_input(given)
        first += size
    learning = {}
    for number, c in enumerate(meta["connections"]):
        synapse = synapse_of(number, c, arrays)
        if c["learning"]:
            learning[number] = synapse
            model.pes_error_scale = c["learning"]["pes"]["error_scale"]
        blocks[c["target"]].add_synapse(synapse)
        axon = Axon(synapse.n_axons)
        axon.target = synapse
        sources[c["source"]].add_axon(axon)
    for block in blocks.values():
        model.add_block(block)
    steps, size = len(raster), len(arrays["u"])
    u, v = np.zeros((steps, size), np.int32), np.zeros((steps, size), np.int32)
    spikes = np.zeros((steps, size), np.uint8)
    histories = {f"learning:{number}": [] for number in learning}
    with EmulatorInterface(model, seed=meta["seed"]) as emulator:
        state = emulator.compartment
        state.current[:], state.voltage[:] = arrays["u"], arrays["v"]
        for t in range(steps):
            errors = [(s, None, arrays[f"errors:{number}"][t]) for number, s in learning.items()]
            emulator.host2chip([], errors)
            emulator.step()
            for number, s in learning.items():
                parts = [np.concatenate([w[0] for w in s.weights]), emulator.synapses.traces[s]]
                histories[f"learning:{number}"].append(np.concatenate(parts))
            u[t], v[t], spikes[t] = state.current, state.voltage, state.spiked
    answers = {key: np.array(rows) for key, rows in histories.items()}
    return answers | {"spikes": spikes, "u": u, "v": v}


def answer(meta, arrays):
    if meta["question"] == "versions":
        from importlib.metadata import version

        return {name: version(name) for name in ("nengo-loihi", "nengo", "numpy")}, {}
    if meta["question"] == "model":
        return nengo_loihi_model.answer(meta)
    return {}, run(meta, arrays)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(answer)
