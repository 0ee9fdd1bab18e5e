"""Nengo's PES as a feed-forward, in an interpreter of its own: lines, then numbers.

Standard input: one JSON line {"inputs", "outputs", "neurons", "rate", "radius", "tau_in",
"tau_out", "period", "seed"} begins a new network; after it come ticks of inputs + outputs doubles:
what the ensemble represents and what its outputs should grow by. A tick whose first number is NaN
ends the network. Standard output: outputs doubles a tick.

Settings as in the public reference controllers: LIF neurons, decoders that start at zero, the error
through the input's synapse.
"""

import json
import math
import struct
import sys

import nengo
import numpy as np
from nengo.dists import CosineSimilarity


def build(values, z, e, y):
    """Return a simulator that reads z and e and writes y at each step."""
    with nengo.Network(seed=values["seed"]) as network:
        network.config[nengo.Connection].synapse = None
        dimensions = values["inputs"]
        source, error = nengo.Node(lambda t: z), nengo.Node(lambda t: -e)
        sink = nengo.Node(lambda t, x: y.__setitem__(slice(None), x), size_in=values["outputs"])
        ensemble = nengo.Ensemble(
            values["neurons"],
            dimensions,
            radius=values["radius"],
            neuron_type=nengo.LIF(),
            intercepts=CosineSimilarity(dimensions + 2),
        )
        nengo.Connection(source, ensemble, synapse=values["tau_in"])
        learnt = nengo.Connection(
            ensemble,
            sink,
            function=lambda x: np.zeros(values["outputs"]),
            synapse=values["tau_out"],
            learning_rule_type=nengo.PES(values["rate"]),
        )
        nengo.Connection(error, learnt.learning_rule, synapse=values["tau_in"])
    return nengo.Simulator(network, dt=values["period"], progress_bar=False)


def main():
    """Serve until the input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while line := source.readline():
        values = json.loads(line)
        n, m = values["inputs"], values["outputs"]
        z, e, y = np.zeros(n), np.zeros(m), np.zeros(m)
        simulator = build(values, z, e, y)
        sink.write(b"ready\n")
        sink.flush()
        step, size = simulator.step, 8 * (n + m)
        pack, unpack = struct.Struct(f"{m}d").pack, struct.Struct(f"{n + m}d").unpack
        while len(data := source.read(size)) == size:
            numbers = unpack(data)
            if math.isnan(numbers[0]):
                break
            z[:], e[:] = numbers[:n], numbers[n:]
            step()
            sink.write(pack(*y))
            sink.flush()
        simulator.close()


main()
