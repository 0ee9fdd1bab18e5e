"""Spike traffic, synaptic operations, and the energy that a chip would need for them.

An estimate, and no more: the constants are simulated, a chip's leakage, its input and output and
its host are left out, and where neurons lie on the chip is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.network import Emulator


@dataclass(frozen=True, slots=True)
class Constants:
    """Energy of one event [J].

    Args:
        synaptic_operation: a spike at a synapse.
        neuron_active, neuron_inactive: one step of a neuron that has something to do, or has not.
        spike: a message within its tile. hop: to the next tile.
        weight_update: a learning rule at a synapse.
    """

    name: str
    source: str
    synaptic_operation: float
    neuron_active: float
    neuron_inactive: float
    spike: float
    hop: float
    weight_update: float


LOIHI_2018 = Constants(
    name="Loihi",
    source="Davies et al. 2018, Loihi: A Neuromorphic Manycore Processor with On-Chip Learning, "
    "IEEE Micro 38(1), table 2: simulated before there was a chip, 0.75 V; 23.6 pJ is its least "
    "value of a synaptic operation, a hop is the mean of its 3.0 pJ (east or west) and 4.0 pJ "
    "(north or south). As recalled; all but the weight update (120 pJ) were found again in two "
    "public simulators of the chip, the table itself was not at hand",
    synaptic_operation=23.6e-12,
    neuron_active=81e-12,
    neuron_inactive=52e-12,
    spike=1.7e-12,
    hop=3.5e-12,
    weight_update=120e-12,
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What has happened since the last reset.

    Args:
        steps: of the network. neurons: in it.
        spikes: of neurons. input_spikes: of inputs.
        messages: spikes times the connections that they go through.
        synaptic_operations: spikes times the synapses that are not 0.
        weight_updates: synapses at which a learning rule was evaluated.
    """

    steps: int
    neurons: int
    spikes: int
    input_spikes: int
    messages: int
    synaptic_operations: int
    weight_updates: int

    @property
    def activity(self) -> float:
        """Spikes of a neuron in a step."""
        return self.spikes / max(1, self.steps * self.neurons)


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy [J] by what it is for, and the least and most of the sum.

    Args:
        neurons: least and most: all of them inactive, all of them active.
    """

    synapses: float
    neurons: tuple[float, float]
    messages: float
    learning: float
    steps: int

    @property
    def total(self) -> tuple[float, float]:
        """Least and most."""
        rest = self.synapses + self.messages + self.learning
        return self.neurons[0] + rest, self.neurons[1] + rest

    def power(self, dt: float) -> tuple[float, float]:
        """Return least and most power [W] where a step takes ``dt`` [s]."""
        if not (0 < dt < np.inf):
            raise KuwaError(f"dt is {dt:g} s; expected a time above 0")
        time = dt * max(1, self.steps)
        return self.total[0] / time, self.total[1] / time


def traffic(emulator: Emulator) -> Traffic:
    """Return what an emulator has counted since its last reset."""
    counts = emulator.spike_counts
    messages = sum(int(counts[emulator.span(c.source)].sum()) for c in emulator.network.connections)
    return Traffic(
        steps=emulator.steps,
        neurons=emulator.size,
        spikes=int(counts[emulator.inputs :].sum()),
        input_spikes=int(counts[: emulator.inputs].sum()),
        messages=messages,
        synaptic_operations=int(emulator.synapse_counts.sum()),
        weight_updates=int(emulator.weight_updates),
    )


def estimate(happened: Traffic, constants: Constants = LOIHI_2018, hops: float = 0.0) -> Energy:
    """Return the energy of a traffic.

    Args:
        hops: tiles that a message crosses, on average; 0: all neurons lie on one tile.
    """
    if not (0 <= hops < np.inf):
        raise KuwaError(f"hops is {hops:g}; expected a number that is not negative")
    updates = happened.steps * happened.neurons
    return Energy(
        synapses=happened.synaptic_operations * constants.synaptic_operation,
        neurons=(updates * constants.neuron_inactive, updates * constants.neuron_active),
        messages=happened.messages * (constants.spike + hops * constants.hop),
        learning=happened.weight_updates * constants.weight_update,
        steps=happened.steps,
    )
