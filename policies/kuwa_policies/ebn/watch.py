"""What a network does, recorded from its kernels in fixed memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_machines.contracts import Array

WATCHED = 16
"""Neurons whose currents are recorded for the E/I balance: all of them would cost more than the
network."""
MEMORY = 5.0
"""Correlations of currents fade with this time constant [s]."""
ISIS = 100
"""Intervals over which a neuron's irregularity is averaged."""
ISI_ROWS = 5


@dataclass(frozen=True, slots=True)
class Activity:
    """What the neurons have done; see :mod:`kuwa_policies.ebn.stats` for figures from it.

    Args:
        steps: neuron steps since the last reset.
        spikes: of each neuron since then, shape (N,).
        last: step of its last spike, shape (N,); −1 before the first.
        isi: rows: intervals seen, their mean and mean square, the last one [steps], and the mean of
            2|Δ|/Σ over neighbours, shape (ISI_ROWS, N).
        currents: excitation and inhibition of the watched neurons, filtered as their membrane does,
            shape (2, W).
        moments: rows: weight, E, I, E², I², EI of them, fading, shape (6, W).
    """

    steps: NDArray[np.int64]
    spikes: NDArray[np.int64]
    last: NDArray[np.int64]
    isi: Array
    currents: Array
    moments: Array

    def reset(self) -> None:
        """Forget everything."""
        for array in (self.steps, self.spikes, self.isi, self.currents, self.moments):
            array[:] = 0
        self.last[:] = -1


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def count(i: Any, now: Any, spikes: Any, last: Any, isi: Any) -> None:
    spikes[i] += 1
    if last[i] >= 0:
        gap = now - last[i]
        if isi[0, i] > 0:
            off = 2.0 * abs(gap - isi[3, i]) / (gap + isi[3, i]) if gap > 0 else 0.0
            isi[4, i] += (off - isi[4, i]) / min(isi[0, i], ISIS)
        isi[0, i] += 1
        isi[3, i] = gap
        share = 1.0 / min(isi[0, i], ISIS)
        isi[1, i] += share * (gap - isi[1, i])
        isi[2, i] += share * (gap * gap - isi[2, i])
    last[i] = now


@njit(cache=True)
def watch_input(drive: Any, slow: Any, share: Any, currents: Any) -> None:
    """Let the watched currents fade and add what came through external and slow synapses."""
    for i in range(currents.shape[1]):
        total = drive[i] + slow[i]
        currents[0, i] += share * (max(total, 0.0) - currents[0, i])
        currents[1, i] += share * (max(-total, 0.0) - currents[1, i])


@njit(cache=True)
def watch_spike(D: Any, d: Any, source: Any, rate: Any, currents: Any) -> None:
    """Add one spike's currents; a neuron's own reset is not a synapse."""
    for i in range(currents.shape[1]):
        if i == source:
            continue
        w = 0.0
        for j in range(D.shape[0]):
            w -= D[j, i] * d[j]
        currents[0, i] += max(w, 0.0) * rate
        currents[1, i] += max(-w, 0.0) * rate


@njit(cache=True)
def remember(dt: Any, currents: Any, moments: Any) -> None:
    share = dt / MEMORY
    for i in range(currents.shape[1]):
        E, I = currents[0, i], currents[1, i]  # noqa: E741
        moments[0, i] += share * (1.0 - moments[0, i])
        moments[1, i] += share * (E - moments[1, i])
        moments[2, i] += share * (I - moments[2, i])
        moments[3, i] += share * (E * E - moments[3, i])
        moments[4, i] += share * (I * I - moments[4, i])
        moments[5, i] += share * (E * I - moments[5, i])
