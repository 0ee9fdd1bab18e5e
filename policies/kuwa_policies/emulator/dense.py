"""Dense connections: 8-bit weights with exponent and sign mode, delays; how spikes are summed.

A spike of neuron i at step t adds w_ij to the sum of neuron j at step t + 1 + delay_ij. Spikes are
0 or 1, so only the rows of neurons that have spiked are added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from kuwa_machines.errors import KuwaError, choices
from kuwa_policies.emulator.arithmetic import (
    ALIGN,
    SIGN_MODES,
    SignMode,
    shift,
    sign_mode_of,
    truncate_weights,
    truncated_bits,
)
from kuwa_policies.emulator.neurons import integers
from kuwa_policies.emulator.pes import Pes
from kuwa_policies.emulator.profiles import Profile
from kuwa_policies.emulator.rules import LearningRule


@dataclass(frozen=True, eq=False)
class Dense:
    """All neurons of one group onto all of another.

    Args:
        source: name of an input or of neurons. target: of neurons.
        weights: mantissas, shape (target, source).
        exponent: each weight counts 2^exponent times as much.
        bits: of precision, 1 … 8, the sign included where signs mix.
        sign_mode: ``"mixed"``, ``"excitatory"`` or ``"inhibitory"``; None: what the weights are.
        delays: additional steps, one for all or shape (target, source).
        learning: how the weights change; which rules there are is up to the profile.
    """

    source: str
    target: str
    weights: ArrayLike
    exponent: int = 0
    bits: int = 8
    sign_mode: SignMode | None = None
    delays: ArrayLike = 0
    learning: LearningRule | Pes | None = None

    @property
    def name(self) -> str:
        """How errors and results call it."""
        return f"{self.source} → {self.target}"


@dataclass(frozen=True, slots=True)
class Synapses:
    """A connection as a profile counts it, all arrays of shape (source, target).

    Args:
        weights: what a spike adds: before the exponent where ``exponent`` is not 0, after it
            otherwise.
        delays: in steps.
    """

    weights: NDArray[np.int32]
    exponent: int
    sign_mode: SignMode
    delays: NDArray[np.int32]


def synapses(dense: Dense, size: tuple[int, int], profile: Profile) -> Synapses:
    """Check a connection and return what the profile makes of its weights.

    Args:
        size: of the target and of the source.

    Raises:
        KuwaError: a size, a value or a mode that the profile does not have.
    """
    what = f"of {dense.name} in profile {profile.name}"
    weights = np.asarray(dense.weights)
    if weights.shape != size:
        raise KuwaError(
            f"weights {what} have shape {weights.shape}; expected {size}: a row for each neuron of "
            f"the target, a column for each of the source"
        )
    weights = integers(f"a weight {what}", weights, size, -(2**30), 2**30)
    mode = dense.sign_mode or sign_mode_of(weights)
    if mode not in SIGN_MODES:
        raise KuwaError(f"no sign mode {mode!r} {what}; {choices(mode, SIGN_MODES)}")
    least, most = profile.exponent_range
    if not least <= dense.exponent <= most:
        raise KuwaError(f"exponent {what} is {dense.exponent}; expected {least} to {most}")
    if dense.bits not in profile.weight_bits:
        valid = ", ".join(map(str, profile.weight_bits))
        raise KuwaError(f"weights {what} have {dense.bits} bits; valid: {valid}")
    kept = effective(weights, dense.bits, mode, dense.exponent, profile, what)
    delays = integers(f"a delay {what}", dense.delays, size, 0, profile.delay_max)
    if not profile.delay_each and (delays != delays.flat[0]).any():
        raise KuwaError(f"delays {what} differ; expected one for all synapses of a connection")
    exponent = dense.exponent if profile.exponent_on_sum else 0
    return Synapses(np.ascontiguousarray(kept.T), exponent, mode, np.ascontiguousarray(delays.T))


def effective(
    weights: NDArray[np.int32],
    bits: int,
    mode: SignMode,
    exponent: int,
    profile: Profile,
    what: str = "",
) -> NDArray[np.int32]:
    """Return weights as the profile cuts, holds and shifts them.

    Raises:
        KuwaError: a weight outside the range, in a profile that does not hold it at the end.
    """
    low, high = profile.weight_ranges[mode]
    outside = (weights < low) | (weights > high)
    if outside.any() and not profile.weights_clip:
        raise KuwaError(
            f"a weight {what} is {weights[outside][0]}; expected {low} to {high} with sign mode "
            f"{mode}"
        )
    k = truncated_bits(bits, mode)
    if profile.weight_rounding == "floor":
        return truncate_weights(np.clip(weights, low, high), bits, mode)
    aligned = exponent + ALIGN
    if profile.weight_rounding == "zero":
        cut = (weights / 2**k).astype(np.int64) * 2**k
        scaled = np.floor(cut * 2.0**exponent).astype(np.int64) << ALIGN
        return np.clip(scaled, -profile.effective_limit, profile.effective_limit).astype(np.int32)
    # To nearest, in two steps as the chip's software does it: to k bits, then to whole numbers of
    # 64 after the exponent; each step holds its result within the mantissa's range.
    most = 2 ** (8 - k) - 1
    cut = np.clip(np.round(weights / 2.0**k), -most, most)
    if k + exponent < 0:
        cut = np.round(cut * 2.0 ** (k + exponent)) / 2.0 ** (k + exponent)
        cut = np.clip(cut, -most, most)
    mantissa = cut.astype(np.int32)
    lost = k + exponent
    mantissa = mantissa << lost if lost >= 0 else mantissa >> -lost
    assert aligned >= 0
    return (mantissa << ALIGN).astype(np.int32)


def narrow(kept: Synapses) -> tuple[NDArray[np.int8], int, int] | None:
    """Return weights in 8 bits, an offset and a shift: w = (w8 + offset)·2^shift; None if they
    do not fit.
    """
    weights = kept.weights
    if kept.sign_mode == "mixed":
        if (weights & 1).any() or not -256 <= weights.min(initial=0) <= weights.max(
            initial=0
        ) < 256:
            return None
        return (weights >> 1).astype(np.int8), 0, 1
    offset = 128 if kept.sign_mode == "excitatory" else -127
    shifted = weights - offset
    if shifted.min(initial=0) < -128 or shifted.max(initial=0) > 127:
        return None
    return shifted.astype(np.int8), offset, 0


# Numba leaves decorated functions untyped: the annotations are for readers.

BLOCK = 128
"""Rows of 8-bit weights whose sum is sure to fit into 16 bits."""


@njit(cache=True, error_model="numpy")
def add_narrow(
    target: Any, active: Any, weights: Any, first: Any, offset: Any, left: Any, exponent: Any,
    scratch: Any, total: Any,
) -> None:  # fmt: skip
    """Add the rows of active neurons to the sums of the target.

    Args:
        target: sums, int32, shape (n,).
        active: rows that are added.
        weights: int8, flat; the rows start at ``first`` and follow each other, each filled up to a
            multiple of 64.
        offset, left: w = (w8 + offset)·2^left.
        exponent: of the sum of all rows.
        scratch: int16, total: int32, at least n long.
    """
    n = len(target)
    stride = (n + 63) // 64 * 64
    down = exponent < 0
    up = left if down else left + exponent
    for begin in range(0, len(active), BLOCK):
        end = min(begin + BLOCK, len(active))
        r = begin
        part = scratch[:stride]
        part[:] = 0
        while r + 4 <= end:
            w0 = weights[first + active[r] * stride :]
            w1 = weights[first + active[r + 1] * stride :]
            w2 = weights[first + active[r + 2] * stride :]
            w3 = weights[first + active[r + 3] * stride :]
            for j in range(stride):
                part[j] += np.int16(w0[j]) + np.int16(w1[j]) + np.int16(w2[j]) + np.int16(w3[j])
            r += 4
        while r < end:
            w0 = weights[first + active[r] * stride :]
            for j in range(stride):
                part[j] += np.int16(w0[j])
            r += 1
        base = np.int32(offset * (end - begin))
        if down:
            sums = total[:n]
            if begin == 0:
                sums[:] = 0
            for j in range(n):
                sums[j] += (np.int32(part[j]) + base) << up
        else:
            for j in range(n):
                target[j] += (np.int32(part[j]) + base) << up
    if down and len(active):
        sums = total[:n]
        for j in range(n):
            target[j] += sums[j] >> -exponent


@njit(cache=True, error_model="numpy")
def add_wide(target: Any, active: Any, weights: Any, first: Any, exponent: Any, total: Any) -> None:
    """Do as :func:`add_narrow` with weights in 32 bits."""
    n = len(target)
    sums = total[:n]
    sums[:] = 0
    for r in range(len(active)):
        row = weights[first + active[r] * n : first + active[r] * n + n]
        for j in range(n):
            sums[j] += row[j]
    for j in range(n):
        target[j] += shift(sums[j], exponent)


@njit(cache=True, error_model="numpy")
def add_delayed(
    ring: Any, now: Any, start: Any, active: Any, weights: Any, delays: Any, first: Any, n: Any,
    exponent: Any, longest: Any, totals: Any,
) -> None:  # fmt: skip
    """Add rows whose synapses have delays of their own.

    Args:
        ring: sums of the steps to come, int32, shape (slots, N).
        now: slot of delay 0. start: first neuron of the target.
        weights: int32, flat; the rows start at ``first``. delays: uint8, flat, of the same rows.
        n: size of the target. longest: the longest of the delays.
        totals: int32, shape (longest + 1, at least n).
    """
    slots = len(ring)
    for d in range(longest + 1):
        totals[d, :n] = 0
    for r in range(len(active)):
        base = first + active[r] * n
        for j in range(n):
            totals[delays[active[r] * n + j], j] += weights[base + j]
    for d in range(longest + 1):
        target = ring[(now + d) % slots]
        for j in range(n):
            target[start + j] += shift(totals[d, j], exponent)
