"""What a learning engine is told of a connection, and what an emulator asks of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kuwa_policies.emulator.dense import Dense, Synapses


@dataclass(frozen=True, eq=False, slots=True)
class Learner:
    """A connection that learns, and where it lies in the emulator.

    Args:
        index: of the connection. dense: as it was given. kept: as the profile counts it.
        weights: what a spike adds, shape (source, target); the kernel reads them.
        source, target: where its spikes are found.
        start: first neuron of the target in the sums of a step.
        given: the source is an input.
    """

    index: int
    dense: Dense
    kept: Synapses
    weights: NDArray[np.int32]
    source: slice
    target: slice
    start: int
    given: bool


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """What all engines see of the emulator.

    Args:
        clock: steps since the start, shape (1,). ring: sums of the steps to come, (slots, N).
        spikes: of the last step, inputs, then neurons.
        synapse_counts: spikes times synapses, by connection.
        neurons: how many there are.
    """

    clock: NDArray[np.int64]
    ring: NDArray[np.int32]
    spikes: NDArray[np.uint8]
    synapse_counts: NDArray[np.int64]
    neurons: int


class State(Protocol):
    """Of one connection."""

    @property
    def weights(self) -> NDArray[np.int32]:
        """What a spike adds now, shape (source, target)."""

    def reset(self, weights: NDArray[np.int32]) -> None:
        """Return to the start, from the weights as the profile counts them."""


class Engine(Protocol):
    """Changes the weights of all connections that learn."""

    @property
    def states(self) -> Mapping[int, Any]:
        """State of each connection, by its index."""

    def before(self, row: NDArray[np.uint8]) -> int:
        """Do what comes before the neurons of a step; return synapses at which a rule was used.

        Args:
            row: spikes of all inputs in this step.
        """

    def after(self) -> int:
        """Do what comes after the spikes of a step have been sent; return as :meth:`before`."""

    def reset(self) -> None:
        """Return to the random numbers of the start."""
