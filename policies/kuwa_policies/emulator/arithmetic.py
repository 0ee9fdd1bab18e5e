"""The integer operations of neuromorphic chips: decay, overflow, weights, stochastic rounding.

Every operation is a scalar numba function of integers, computed in 64 bits; a kernel that keeps its
state in 32 bits stores the result there. Python calls them with ints all the same.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError, choices

DECAY_BITS = 12
"""A decay of 4096 forgets everything, one of 0 nothing."""
UNITY = 1 << DECAY_BITS
STATE_BITS = 24
"""Currents and voltages, sign included."""
STATE_LIMIT = 1 << (STATE_BITS - 1)
ALIGN = 6
"""Weights and thresholds meet currents and voltages shifted left by so many bits."""

SignMode = Literal["mixed", "excitatory", "inhibitory"]
SIGN_MODES: tuple[SignMode, ...] = ("mixed", "excitatory", "inhibitory")


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True, inline="always")
def decay(x: Any, keep: Any) -> Any:
    """Return sgn(x)·(|x|·keep ≫ 12): what is left of x, rounded towards zero.

    Args:
        x: up to 31 bits and sign.
        keep: 4096 − decay, 0 … 4096.
    """
    left = (abs(np.int64(x)) * np.int64(keep)) >> DECAY_BITS
    return left if x >= 0 else -left


@njit(cache=True, inline="always")
def wrap(x: Any, bits: Any = STATE_BITS) -> Any:
    """Return x in two's complement of ``bits`` bits: −2^(bits−1) … 2^(bits−1) − 1."""
    half = np.int64(1) << (np.int64(bits) - 1)
    return ((np.int64(x) + half) & (2 * half - 1)) - half


@njit(cache=True, inline="always")
def wrap_once(x: Any, bits: Any = STATE_BITS) -> Any:
    """Return x moved by 2^bits once when it is above 2^(bits−1), or not above −2^(bits−1).

    Lava's overflow: 2²³ itself is a value, −2²³ is not, and what is out by more than one turn
    stays out.
    """
    half = np.int64(1) << (np.int64(bits) - 1)
    value = np.int64(x)
    if value > half:
        return value - 2 * half
    if value <= -half:
        return value + 2 * half
    return value


@njit(cache=True, inline="always")
def saturate(x: Any, bits: Any = STATE_BITS) -> Any:
    """Return x held within ±(2^(bits−1) − 1)."""
    most = (np.int64(1) << (np.int64(bits) - 1)) - 1
    return min(max(np.int64(x), -most), most)


@njit(cache=True, inline="always")
def shift(x: Any, exponent: Any) -> Any:
    """Return x·2^exponent, rounded towards −∞ where the exponent is negative."""
    return np.int64(x) << exponent if exponent >= 0 else np.int64(x) >> -exponent


@njit(cache=True, inline="always")
def next_random(state: Any) -> Any:
    """Advance a 32-bit generator and return its new state, which is the random number.

    Marsaglia (2003), xorshift 13-17-5: shifts and exclusive-ors only, every value but 0 once in
    2³² − 1 draws. Its low bits are as good as its high ones.

    Args:
        state: 1 … 2³² − 1; see :func:`seeded`.
    """
    x = np.int64(state)
    x ^= (x << 13) & 0xFFFFFFFF
    x ^= x >> 17
    x ^= (x << 5) & 0xFFFFFFFF
    return x


def seeded(seed: int) -> int:
    """Return a state for :func:`next_random` from any seed, neighbouring ones far apart."""
    mixed = int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0])
    return mixed or 1


def sign_mode_of(weights: NDArray[Any]) -> SignMode:
    """Return the narrowest sign mode that holds all weights; no weights are excitatory."""
    if weights.size == 0 or int(weights.min()) >= 0:
        return "excitatory"
    return "inhibitory" if int(weights.max()) <= 0 else "mixed"


def truncated_bits(bits: int, sign_mode: SignMode) -> int:
    """Return k, how many low bits of a weight are cut off: 8 − bits, one more where signs mix.

    Args:
        bits: of precision, 1 … 8.
    """
    if sign_mode not in SIGN_MODES:
        raise KuwaError(f"no sign mode {sign_mode!r}; {choices(str(sign_mode), SIGN_MODES)}")
    if not 1 <= bits <= 8:
        raise KuwaError(f"weights have {bits} bits; expected 1 to 8")
    return 8 - bits + (sign_mode == "mixed")


def truncate_weights(weights: NDArray[Any], bits: int, sign_mode: SignMode) -> NDArray[np.int32]:
    """Return (w ≫ k) ≪ k, of magnitudes where all weights are inhibitory, as Lava does it."""
    k = truncated_bits(bits, sign_mode)
    sign = -1 if sign_mode == "inhibitory" else 1
    return np.asarray(sign * ((sign * weights.astype(np.int32) >> k) << k), np.int32)
