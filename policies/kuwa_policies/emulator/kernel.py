"""One step of a whole network: neurons, then every connection adds what its spikes carry."""

from __future__ import annotations

from typing import Any

from numba import njit

from kuwa_policies.emulator.dense import add_delayed, add_narrow, add_wide
from kuwa_policies.emulator.neurons import (
    ALIGN_MODE,
    BIAS,
    KEEP_U,
    KEEP_V,
    PLAIN_MODE,
    THRESHOLD,
    update,
    update_24_bits,
)

# Columns of the table of connections.
(
    PRE, SOURCES, POST, TARGETS, KIND, FIRST, OFFSET, LEFT, EXPONENT, DELAY, DELAYS, LONGEST, INPUT,
    FANOUT,
) = range(14)  # fmt: skip
COLUMNS = 14
NARROW, WIDE, DELAYED = range(3)
"""Kinds: 8 bits; 32 bits; 32 bits with a delay for each synapse."""

# What is recorded of every step.
NOTHING, SPIKES, STATES = range(3)

LANES = 64
"""Neurons, and rows of 8-bit weights, are filled up to a multiple of this: loops then have no rest
that runs one by one. The neurons that fill up are at rest and have no synapses."""


def padded(size: int) -> int:
    """Return a size filled up."""
    return -(-size // LANES) * LANES


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True, error_model="numpy")
def advance(
    raster: Any, record: Any, out_spikes: Any, out_u: Any, out_v: Any,
    clock: Any, ring: Any, u: Any, v: Any, left: Any, spikes: Any, rows: Any, modes: Any,
    early: Any, table: Any, narrow: Any, wide: Any, delays: Any, fanout: Any, active: Any,
    scratch: Any, totals: Any, spike_counts: Any, synapse_counts: Any,
) -> None:  # fmt: skip
    """Advance as many steps as ``raster`` has rows.

    Args:
        raster: spikes of the inputs, uint8, shape (steps, inputs).
        record: NOTHING, SPIKES or STATES into ``out_spikes``, ``out_u``, ``out_v``, shape
            (steps, N).
        clock: steps since the start, shape (1,).
        ring: sums of the steps to come, int32, shape (slots, N).
        spikes: of inputs, then neurons, uint8.
        early: whether inputs reach the neurons in their own step.
        table: a row for each connection.
        narrow, wide, delays: what the rows of the table point into.
        fanout: synapses of each source that are not 0.
        active, scratch, totals: room to work in.
        spike_counts: of inputs and neurons. synapse_counts: spikes times synapses, by connection.
    """
    slots = len(ring)
    inputs = raster.shape[1]
    fired = spikes[inputs:]
    keep_u, keep_v, threshold, bias = rows[KEEP_U], rows[KEEP_V], rows[THRESHOLD], rows[BIAS]
    align = modes[ALIGN_MODE]
    for t in range(len(raster)):
        now = clock[0] % slots
        for i in range(inputs):
            spikes[i] = raster[t, i]
        if early:
            for c in range(len(table)):
                if table[c, INPUT]:
                    _send(table[c], c, now, spikes, ring, narrow, wide, delays, fanout, active,
                          scratch, totals, synapse_counts)  # fmt: skip
        if modes[PLAIN_MODE]:
            update_24_bits(ring[now], u, v, fired, keep_u, keep_v, threshold, bias, align)
        else:
            update(ring[now], u, v, left, fired, rows, modes)
        for c in range(len(table)):
            if not (early and table[c, INPUT]):
                _send(table[c], c, now + 1, spikes, ring, narrow, wide, delays, fanout, active,
                      scratch, totals, synapse_counts)  # fmt: skip
        for i in range(len(spike_counts)):
            spike_counts[i] += spikes[i]
        if record >= SPIKES:
            for i in range(out_spikes.shape[1]):
                out_spikes[t, i] = fired[i]
        if record >= STATES:
            out_u[t] = u[: out_u.shape[1]]
            out_v[t] = v[: out_v.shape[1]]
        clock[0] += 1


@njit(cache=True, error_model="numpy")
def _send(
    row: Any, c: Any, slot: Any, spikes: Any, ring: Any, narrow: Any, wide: Any, delays: Any,
    fanout: Any, active: Any, scratch: Any, totals: Any, synapse_counts: Any,
) -> None:  # fmt: skip
    """Add what the spikes of one connection's source carry."""
    count = 0
    synapses = 0
    pre = spikes[row[PRE] : row[PRE] + row[SOURCES]]
    fan = fanout[row[FANOUT] : row[FANOUT] + row[SOURCES]]
    for i in range(len(pre)):
        active[count] = i
        count += pre[i]
        synapses += pre[i] * fan[i]
    if count == 0:
        return
    synapse_counts[c] += synapses
    slots = len(ring)
    start, n = row[POST], row[TARGETS]
    if row[KIND] == DELAYED:
        add_delayed(ring, slot, start, active[:count], wide, delays[row[DELAYS] :], row[FIRST], n,
                    row[EXPONENT], row[LONGEST], totals)  # fmt: skip
        return
    target = ring[(slot + row[DELAY]) % slots, start : start + n]
    if row[KIND] == NARROW:
        add_narrow(target, active[:count], narrow, row[FIRST], row[OFFSET], row[LEFT],
                   row[EXPONENT], scratch, totals[0])  # fmt: skip
    else:
        add_wide(target, active[:count], wide, row[FIRST], row[EXPONENT], totals[0])
