"""Weights of all connections side by side, as the kernel takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kuwa_policies.emulator import kernel as k
from kuwa_policies.emulator.dense import Dense, Synapses, narrow
from kuwa_policies.emulator.neurons import Neurons


def group_slices(
    inputs: Mapping[str, int], neurons: Mapping[str, Neurons]
) -> tuple[dict[str, slice], int, int]:
    """Return where each group lies among all sources of spikes, and how many inputs and neurons."""
    slices: dict[str, slice] = {}
    start = 0
    for name, size in inputs.items():
        slices[name] = slice(start, start + size)
        start += size
    first = start
    for name, group in neurons.items():
        slices[name] = slice(start, start + group.size)
        start += group.size
    return slices, first, start - first


class Packed:
    """Weights of all connections in flat arrays, and the table that points into them.

    Args:
        sent_by_engine: the spikes of connections that learn are sent by their engine.
    """

    def __init__(
        self,
        connections: Sequence[Dense],
        kept: list[Synapses],
        slices: dict[str, slice],
        inputs: int,
        sent_by_engine: bool = False,
    ) -> None:
        self.table = np.zeros((len(kept), k.COLUMNS), np.int64)
        self._shapes = [s.weights.shape for s in kept]
        narrows: list[NDArray[np.int8]] = []
        wides: list[NDArray[np.int32]] = []
        delays: list[NDArray[np.uint8]] = []
        fans: list[NDArray[np.int32]] = []
        longest = 0
        for row, dense, s in zip(self.table, connections, kept, strict=True):
            pre, post = slices[dense.source], slices[dense.target]
            row[k.PRE], row[k.SOURCES] = pre.start, pre.stop - pre.start
            row[k.POST], row[k.TARGETS] = post.start - inputs, post.stop - post.start
            row[k.INPUT] = pre.start < inputs
            if sent_by_engine and dense.learning is not None:
                # The kernel finds no source that could spike.
                row[k.SOURCES] = 0
            row[k.EXPONENT] = s.exponent
            row[k.FANOUT] = sum(map(len, fans))
            fans.append((s.weights != 0).sum(axis=1).astype(np.int32))
            uniform = bool((s.delays == s.delays.flat[0]).all())
            row[k.LONGEST] = s.delays.max()
            longest = max(longest, int(row[k.LONGEST]))
            small = narrow(s) if uniform and dense.learning is None else None
            if small is not None:
                weights, row[k.OFFSET], row[k.LEFT] = small
                row[k.KIND], row[k.FIRST] = k.NARROW, sum(w.size for w in narrows)
                beyond = k.padded(weights.shape[1]) - weights.shape[1]
                narrows.append(np.pad(weights, ((0, 0), (0, beyond))).ravel())
            else:
                row[k.KIND] = k.WIDE if uniform else k.DELAYED
                row[k.FIRST] = sum(w.size for w in wides)
                wides.append(s.weights.ravel())
            if uniform:
                row[k.DELAY] = s.delays.flat[0]
            else:
                row[k.DELAYS] = sum(d.size for d in delays)
                delays.append(s.delays.astype(np.uint8).ravel())
        self.slots = longest + 1
        self.narrow = np.concatenate([*narrows, np.zeros(0, np.int8)])
        self.wide = np.concatenate([*wides, np.zeros(0, np.int32)])
        self.delays = np.concatenate([*delays, np.zeros(0, np.uint8)])
        self.fanout = np.concatenate([*fans, np.zeros(0, np.int32)])

    def view(self, index: int) -> NDArray[np.int32]:
        """Return the weights of a connection in 32 bits, shape (source, target), not copied."""
        first, shape = int(self.table[index, k.FIRST]), self._shapes[index]
        return self.wide[first : first + shape[0] * shape[1]].reshape(shape)
