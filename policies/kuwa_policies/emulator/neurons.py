"""Leaky integrate-and-fire neurons, with (CUBA) or without (LIF) a current of their own.

    u ← decay(u) + a,   v ← decay(v) + u + bias,   spike where v > threshold·2⁶, then v ← 0

with the order, overflow and limits of the profile (Davies et al. 2018, IEEE Micro 38(1), for the
chip; each profile's reference for the details).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.arithmetic import ALIGN, UNITY, decay, saturate, wrap, wrap_once
from kuwa_policies.emulator.profiles import Profile

THRESHOLD_MAX = 2**17 - 1
BIAS_MAX = 2**12 - 1
REFRACTORY_MAX = 64
V_MIN, V_MAX = -(2**23) + 1, 2**23 - 1


@dataclass(frozen=True, eq=False)
class Neurons:
    """A group of neurons; every number is one for all or one for each.

    Args:
        size: how many.
        decay_u: register of the current's decay, 0 … 4095; 4095 (brian2-loihi: 4096) keeps nothing
            of it, which makes a LIF neuron of a CUBA one.
        decay_v: register of the voltage's.
        threshold: mantissa, 0 … 131071; it stands for 64 times as much.
        bias: mantissa, −4095 … 4095. bias_exponent: 0 … 7.
        refractory: steps from a spike until the next is possible, 1 … 64.
        v_min: least voltage, v_max: most, where the profile leaves them to the neuron.
    """

    size: int
    decay_u: ArrayLike = 4095
    decay_v: ArrayLike = 0
    threshold: ArrayLike = 100
    bias: ArrayLike = 0
    bias_exponent: ArrayLike = 0
    refractory: ArrayLike = 1
    v_min: ArrayLike = V_MIN
    v_max: ArrayLike = V_MAX

    def checked(self, name: str, profile: Profile) -> dict[str, NDArray[np.int32]]:
        """Return every number as an int32 array of shape (size,).

        Raises:
            KuwaError: a number that the profile does not have.
        """
        if self.size < 1:
            raise KuwaError(f"neurons {name!r} have size {self.size}; expected at least 1")
        own = profile.v_limits == "own"
        ranges = {
            "decay_u": (0, profile.decay_u_max),
            "decay_v": (0, profile.decay_v_max),
            "threshold": (0, THRESHOLD_MAX),
            "bias": profile.bias_range,
            "bias_exponent": (0, 7 if profile.biased else 0),
            "refractory": (1, REFRACTORY_MAX if profile.refractory else 1),
            "v_min": (-(2**31) + 1, 0) if own else (V_MIN, V_MIN),
            "v_max": (0, 2**23 - 1) if own else (V_MAX, V_MAX),
        }
        return {
            key: integers(f"{key} of neurons {name!r} in profile {profile.name}",
                          getattr(self, key), (self.size,), *bounds)
            for key, bounds in ranges.items()
        }  # fmt: skip


def integers(
    what: str, values: ArrayLike, shape: tuple[int, ...], least: int, most: int
) -> NDArray[np.int32]:
    """Return integers of a shape, one value spread over all of it.

    Raises:
        KuwaError: another shape, a value that is no integer or outside ``least`` … ``most``.
    """
    array = np.asarray(values)
    if array.shape not in ((), shape):
        raise KuwaError(f"{what} has shape {array.shape}; expected {shape} or one number")
    if array.dtype.kind not in "iub" and not (
        array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.round(array)).all()
    ):
        raise KuwaError(f"{what} has values that are no integers, e.g. {array.flat[0]}")
    if array.size and (array.min() < least or array.max() > most):
        wrong = array.min() if array.min() < least else array.max()
        raise KuwaError(f"{what} is {wrong}; expected {least} to {most}")
    return np.ascontiguousarray(np.broadcast_to(array, shape).astype(np.int32))


# Rows of the numbers of neurons, shape (ROWS, N).
KEEP_U, KEEP_V, THRESHOLD, BIAS, REFRACTORY, LOW, HIGH = range(7)
ROWS = 7

# What a profile makes of them, as integers for the kernel.
ALIGN_MODE, PLAIN_MODE = 0, 6
ONCE, WRAP, FREE = range(3)
BITS24, OWN = range(2)


def table(numbers: dict[str, NDArray[np.int32]], profile: Profile) -> NDArray[np.int32]:
    """Return the rows of a group, shape (ROWS, size)."""
    rows = np.zeros((ROWS, len(numbers["bias"])), np.int32)
    rows[KEEP_U] = UNITY - profile.decay_u_offset - numbers["decay_u"]
    rows[KEEP_V] = UNITY - numbers["decay_v"]
    rows[THRESHOLD] = numbers["threshold"] << ALIGN
    rows[BIAS] = numbers["bias"] << numbers["bias_exponent"]
    rows[REFRACTORY] = numbers["refractory"]
    rows[LOW], rows[HIGH] = numbers["v_min"], numbers["v_max"]
    return rows


def plain(profile: Profile) -> bool:
    """Return whether :func:`update_24_bits` is all that a profile needs."""
    more = (profile.synaptic_bits, profile.bias_wraps, profile.refractory)
    return profile.u_overflow == "once" and profile.v_limits == "24 bits" and not any(more)


def modes(profile: Profile) -> NDArray[np.int64]:
    """Return what :func:`update` must know of a profile."""
    return np.array(
        [
            ALIGN if profile.aligned_late else 0,
            profile.synaptic_bits,
            {"once": ONCE, "wrap": WRAP, "none": FREE}[profile.u_overflow],
            {"24 bits": BITS24, "own": OWN, "none": FREE}[profile.v_limits],
            profile.bias_wraps,
            profile.refractory,
            plain(profile),
        ],
        np.int64,
    )


# Numba leaves decorated functions untyped: the annotations are for readers. Each loop does little,
# so that it becomes vector instructions; the state stays in the nearest cache between them.


@njit(cache=True, error_model="numpy")
def update_24_bits(
    a: Any, u: Any, v: Any, spikes: Any, keep_u: Any, keep_v: Any, threshold: Any, bias: Any,
    align: Any,
) -> None:  # fmt: skip
    """Do as :func:`update` where the current wraps once, the voltage is held, and no more.

    Few arrays in few loops: this is profile ``lava``, which has to be fast.
    """
    for i in range(len(u)):
        current = np.int32(decay(u[i], keep_u[i]) + (np.int64(a[i]) << align))
        u[i] = wrap_once(current)
        a[i] = 0
    for i in range(len(v)):
        voltage = saturate(np.int32(decay(v[i], keep_v[i]) + u[i] + bias[i]))
        v[i] = 0 if voltage > threshold[i] else voltage
        spikes[i] = voltage > threshold[i]


@njit(cache=True, error_model="numpy")
def update(a: Any, u: Any, v: Any, left: Any, spikes: Any, rows: Any, modes: Any) -> None:
    """Advance all neurons by one step.

    Args:
        a: sums of synapses, int32, shape (N,); they are used up.
        u: currents, v: voltages, int32 or int64.
        left: refractory steps that are left.
        spikes: 0 or 1, uint8.
    """
    n = len(u)
    align, synaptic_bits, u_overflow, v_limits, bias_wraps, refractory, _ = modes
    if synaptic_bits:
        for i in range(n):
            a[i] = wrap(a[i], synaptic_bits)
    if u_overflow == FREE:
        for i in range(n):
            u[i] = decay(u[i], rows[KEEP_U, i]) + (np.int64(a[i]) << align)
    else:
        for i in range(n):
            # What does not fit into 32 bits wraps there, before the overflow of the chip is looked
            # for: so do the references.
            u[i] = np.int32(decay(u[i], rows[KEEP_U, i]) + (np.int64(a[i]) << align))
    if u_overflow == ONCE:
        for i in range(n):
            u[i] = wrap_once(u[i])
    elif u_overflow == WRAP:
        for i in range(n):
            u[i] = wrap(u[i])
    if bias_wraps:
        for i in range(n):
            v[i] = decay(v[i], rows[KEEP_V, i]) + wrap(np.int64(u[i]) + rows[BIAS, i])
    else:
        for i in range(n):
            v[i] = decay(v[i], rows[KEEP_V, i]) + u[i] + rows[BIAS, i]
    if v_limits == BITS24:
        for i in range(n):
            v[i] = saturate(v[i])
    elif v_limits == OWN:
        for i in range(n):
            v[i] = min(max(v[i], rows[LOW, i]), rows[HIGH, i])
    if refractory:
        for i in range(n):
            if left[i] > 0:
                v[i] = 0
        for i in range(n):
            fired = v[i] > rows[THRESHOLD, i]
            left[i] = max((rows[REFRACTORY, i] if fired else left[i]) - 1, 0)
    for i in range(n):
        fired = v[i] > rows[THRESHOLD, i]
        spikes[i] = fired
        v[i] = 0 if fired else v[i]
    for i in range(n):
        a[i] = 0
