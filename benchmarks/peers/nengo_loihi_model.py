"""A model of Nengo that learns by PES, built by Nengo-Loihi: its integers, and what they do.

Run by the interpreter that has nengo-loihi 1.1.0. What the builder has made is written down as a
network, so that the emulator can be asked to do the same.
"""

from __future__ import annotations

import nengo
import nengo_loihi
import numpy as np
from nengo_loihi.builder.discretize import bias_to_manexp

SIGNS = {1: "mixed", 2: "excitatory", 3: "inhibitory"}


def built(question):
    """Return a simulator of a communication channel that is learnt from its error."""
    with nengo.Network(seed=question["seed"]) as network:
        stimulus = nengo.Node(lambda t: np.sin([7 * t, 11 * t + 1]))
        pre = nengo.Ensemble(question["neurons"], 2, label="pre")
        nengo.Connection(stimulus, pre)
        post = nengo.Node(size_in=2)
        error = nengo.Node(size_in=2)
        learnt = nengo.Connection(
            pre,
            post,
            function=lambda x: np.zeros(2),
            learning_rule_type=nengo.PES(
                question["learning_rate"], pre_synapse=nengo.Lowpass(question["tau"])
            ),
        )
        nengo.Connection(post, error)
        nengo.Connection(stimulus, error, transform=-1)
        nengo.Connection(error, learnt.learning_rule)
    return nengo_loihi.Simulator(network, target="sim", progress_bar=False)


def groups_of(blocks, arrays):
    sizes = {}
    for number, block in enumerate(blocks):
        name, c = f"block{number}", block.compartment
        sizes[name] = block.n_neurons
        mantissa, exponent = bias_to_manexp(c.bias)
        numbers = {
            "decay_u": c.decay_u,
            "decay_v": c.decay_v,
            "threshold": c.vth >> 6,
            "bias": mantissa,
            "bias_exponent": exponent,
            "refractory": c.refract_delay,
            "v_min": c.vmin,
            "v_max": c.vmax,
        }
        for key, value in numbers.items():
            whole = np.broadcast_to(np.asarray(value), (block.n_neurons,))
            arrays[f"{key}:{name}"] = whole.astype(np.int64)
    return sizes


def connections_of(blocks, inputs, scale, arrays):
    """Return each axon group as a connection, and the learning synapses by connection."""
    sources = [(f"block{n}", b, b.n_neurons) for n, b in enumerate(blocks)]
    sources += [(f"in{n}", i, i.n_neurons) for n, i in enumerate(inputs)]
    targets = {s: (f"block{n}", b) for n, b in enumerate(blocks) for s in b.synapses}
    connections, learning = [], {}
    for name, source, size in sources:
        for axon in source.axons:
            synapse = axon.target
            target, block = targets[synapse]
            config = synapse.synapse_cfg
            weights = np.zeros((block.n_neurons, size), np.int64)
            for i in range(size):
                for spike in axon.map_spikes(np.array([i])):
                    base = None if spike is None else synapse.axon_compartment_base(spike.axon_idx)
                    if base is not None:
                        w, at = synapse.axon_weights_indices(spike.axon_idx, atom=spike.atom)
                        weights[base + at, i] += w
            number = len(connections)
            real = config.real_weight_exp
            arrays[f"weights:{number}"] = weights >> real if real >= 0 else weights << -real
            arrays[f"delays:{number}"] = np.zeros_like(weights)
            rule = None
            if synapse.learning:
                learning[number] = (synapse, block)
                trace = {"impulse": synapse.tracing_mag, "tau": synapse.tracing_tau}
                rates = {"mantissa": synapse._lr_int, "exponent": synapse._lr_exp}
                rule = {"pes": {"trace": trace, "error_scale": scale} | rates}
            connections.append(
                {
                    "source": name,
                    "target": target,
                    "exponent": config.weight_exp,
                    "bits": config.real_weight_bits,
                    "sign_mode": SIGNS[config.fanout_type],
                    "learning": rule,
                }
            )
    return connections, learning


def weight_scale(synapse, block):
    """Return weight mantissas in a unit of weight, as the builder has chosen them."""
    info = block.compartment.discretize_info
    scale = np.ravel(info["w_scale"])[0]
    return float(scale * 2.0 ** (info["w_exp"] - synapse.learning_wgt_exp))


def answer(question):
    """Return the network with its inputs and errors, and what happened in every step."""
    arrays, answers = {}, {}
    with built(question) as simulator:
        emulator = simulator.sims["emulator"]
        blocks, inputs = list(emulator.block_info.blocks), list(emulator.inputs)
        sizes = groups_of(blocks, arrays)
        scale = emulator.synapses.pes_error_scale
        connections, learning = connections_of(blocks, inputs, scale, arrays)
        rows = {key: [] for key in ("raster", "spikes", "u", "v")}
        errors = {number: [] for number in learning}
        left = {number: [] for number in learning}
        given = {}
        host2chip, step = emulator.host2chip, emulator.step

        def recorded_host2chip(spikes, pes_errors):
            given.clear()
            given.update({synapse: np.array(e) for synapse, _, e in pes_errors})
            host2chip(spikes, pes_errors)

        def recorded_step():
            if emulator.t > 0:  # the inputs' spikes of the last step, which arrive in this one
                fired = [
                    np.isin(np.arange(i.n_neurons), i.spikes.get(emulator.t, [])) for i in inputs
                ]
                rows["raster"].append(np.concatenate(fired))
            step()
            state = emulator.compartment
            for key, value in (("spikes", state.spiked), ("u", state.current)):
                rows[key].append(value.copy())
            rows["v"].append(state.voltage.copy())
            for number, (synapse, _) in learning.items():
                errors[number].append(given.get(synapse, 0 * emulator.synapses.pes_errors[synapse]))
                weights = [w[0] for w in synapse.weights]
                left[number].append(np.concatenate([*weights, emulator.synapses.traces[synapse]]))

        emulator.host2chip, emulator.step = recorded_host2chip, recorded_step
        emulator.run_steps = lambda steps: [recorded_step() for _ in range(steps)]
        simulator.run_steps(question["steps"])
        seed = int(emulator.seed)
    # What would arrive after the last step is not asked for any more.
    raster = [*rows.pop("raster"), np.zeros(sum(i.n_neurons for i in inputs), bool)]
    arrays["raster"] = np.array(raster).astype(np.uint8)
    total = sum(sizes.values())
    arrays |= {"u": np.zeros(total, np.int64), "v": np.zeros(total, np.int64)}
    for number in learning:
        arrays[f"errors:{number}"] = np.array(errors[number], float)
        answers[f"learning:{number}"] = np.array(left[number])
    answers |= {key: np.array(value).astype(np.int64) for key, value in rows.items()}
    meta = {
        "inputs": {f"in{n}": i.n_neurons for n, i in enumerate(inputs)},
        "neurons": sizes,
        "connections": connections,
        "seed": seed,
        "weight_scale": {number: weight_scale(*there) for number, there in learning.items()},
    }
    return meta, {f"given/{k}": a for k, a in arrays.items()} | {
        f"answer/{k}": a for k, a in answers.items()
    }
