"""How a network is laid out in integers: units by range analysis, and what is lost.

Integers and what one of them stands for (a is the smallest exponent of a row of decoders):

    d_ji     8 bits, one exponent a_j a row    D_ji ≈ d_ji 2^(a_j)
    x̂_j     24 bits                            2^(a−X)
    V_i     24 bits, saturating                2^(2a−F), so that d_ji d_jb needs a shift only
    ψ_k     PSI_BITS and sign                  2^−PSI_BITS
    Ω_ki     8 bits, one scale a network       w_max/127
             and 8 more that only learning sees
    λ       12-bit decay                       1/4096 of a step

Every sum is of terms of known size, so bounds follow from the sizes alone: X, F and the shifts of
the inputs are the largest for which no accumulator can leave 31 bits and sign. What can leave a
state's 24 bits saturates there and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.fixed_kernel import (
    FEEDBACK_LIMIT,
    INT8,
    NOISE_BITS,
    PSI_BITS,
    TABLE_BITS,
    TABLE_RANGE,
    TAG_BITS,
)
from kuwa_policies.ebn.network import FOUR_BYTES_SD, phi_of
from kuwa_policies.ebn.parameters import DENDRITES, EbnParameters
from kuwa_policies.emulator.arithmetic import STATE_LIMIT, UNITY

RANGE = 8.0
"""Signals, errors and what a drive adds to signals in one step fit when they are within this."""
PSI_MOST = 2
"""No φ is larger."""
X_SHORT_BITS = 15
"""Dendrites read x̂ rounded to so many bits and sign."""
GAIN_BITS = 12
SLOW_BITS = 15
FORGET_BITS = 46
"""Binary places of what is forgotten in a neuron step: leakage over hours is far below a step of
learning."""
HALF_WORD = 1 << 30
"""No term of a sum of two may be larger, nor may a sum of many."""
ROW_SPREAD = 6
"""Exponents of rows differ by at most so much, by less where spikes would not fit."""
SPIKES_IN_V = 16
"""A voltage has room for so many."""

Ints = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """A network in integers; arrays named as in :class:`EbnParameters`, units as above.

    Args:
        d: (J, N) int8. row_shift: a_j − a, (J,). unit_d: 2^a. unit_x, unit_v, unit_w: of x̂, V, Ω_s.
        thresholds: (N,). mu: cost. keep: 4096 − decay.
        spike_x: left shift from d to x̂; spike_v: from d·d to V, by row.
        c_scale: from c to the integers that d multiplies, (J,); c_limit, c_shift: of them.
        e_scale: from e to integers, (J,); e_limit; e_shift: from Σ d e to the feedback.
        m: dendrites (K, J) int8, m_shift (K,), x_short: right shift of x̂, theta (K,), table.
        psi_keep: 12-bit factor by which slow synapses forget. slow_gain, slow_shift: Σ ψ w to V.
        eta_gain, eta_shift: of ψ·feedback to tags for one neuron step. forget: share of the tags
            that a neuron step takes, in 2^−FORGET_BITS.
        noise: factor of four random bytes.
    """

    d: Ints
    row_shift: Ints
    unit_d: float
    unit_x: float
    unit_v: float
    unit_w: float
    thresholds: Ints
    mu: int
    keep: int
    spike_x: Ints
    spike_v: Ints
    c_scale: Array
    c_limit: int
    c_shift: int
    e_scale: Array
    e_limit: int
    e_shift: int
    m: Ints
    m_shift: Ints
    x_short: int
    theta: Ints
    table: Ints
    psi_keep: int
    slow_gain: int
    slow_shift: int
    eta_gain: int
    eta_shift: int
    forget: int
    noise: int


def _exponent(largest: float, steps: int) -> int:
    """Return the smallest exponent with which ``largest`` fits into ``steps`` steps."""
    return int(np.ceil(np.log2(largest / steps) - 1e-12)) if largest > 0.0 else -30


def _mantissa(value: float, bits: int) -> tuple[int, int]:
    """Return (m, s) with value ≈ m 2^−s and m of ``bits`` bits; (0, 0) for 0."""
    if value <= 0.0:
        return 0, 0
    s = bits - 1 - int(np.floor(np.log2(value)))
    m = round(value * 2.0**s)
    return (m, s) if m < 1 << bits else (m >> 1, s - 1)


def lay_out(p: EbnParameters) -> Layout:
    """Return the integers of a network.

    Raises:
        KuwaError: a number that these integers cannot hold; it is named.
    """
    J, K = p.signals, p.dendrites
    decay = round(UNITY * p.leak * p.dt)
    if not 1 <= decay < UNITY:
        raise KuwaError(
            f"leak·dt is {p.leak * p.dt:g}; a decay of 12 bits needs {0.5 / UNITY:.2g} to "
            f"{1 - 0.5 / UNITY:.6g}"
        )
    slow_decay = UNITY if p.slow_tau == 0.0 else round(UNITY * p.dt / p.slow_tau)
    if slow_decay < 1:
        raise KuwaError(
            f"slow_tau is {p.slow_tau:g} s; a decay of 12 bits ends at {2 * UNITY * p.dt:g} s, "
            f"beyond which dendrites would stand still"
        )
    if J * INT8 * INT8 >= HALF_WORD or K * INT8 * PSI_MOST << PSI_BITS >= HALF_WORD:
        raise KuwaError(f"{J} signals and {K} dendrites are more than 31-bit sums can hold")
    a_j = np.array([_exponent(float(np.abs(row).max()), INT8) for row in p.D])
    for spread in range(ROW_SPREAD, -1, -1):
        rows = np.maximum(a_j, a_j.max() - spread)
        a = int(rows.min())
        d = np.rint(p.D * 2.0 ** -rows[:, None].astype(float)).astype(np.int8)
        row_shift = (rows - a).astype(np.int64)
        weight = (d.astype(float) ** 2 * 4.0 ** row_shift[:, None]).sum(axis=0).max()
        if weight * SPIKES_IN_V < STATE_LIMIT:
            break
    else:
        raise KuwaError(f"a spike over {J} signals does not fit into 24-bit voltages")
    if not d.any(axis=0).all():
        raise KuwaError("a decoder is all zeros in 8 bits; rows of D differ too much in size")
    length = float(np.sqrt(weight))
    F = int(np.clip(np.floor(np.log2(STATE_LIMIT / (length * RANGE * 2.0**-a))), 0, 8))
    F = min(F, int(np.floor(np.log2(STATE_LIMIT / (SPIKES_IN_V * weight)))))
    X = int(np.clip(np.floor(np.log2(STATE_LIMIT * 2.0**a / RANGE)), 0, 15 - row_shift.max()))
    unit_v, unit_x = 2.0 ** (2 * a - F), 2.0 ** (a - X)
    # Leak as it is in integers: a constant drive then still means the same signal.
    true = decay / (UNITY * p.leak * p.dt)
    per_c = p.dt * true * 2.0 ** (row_shift - a + F)
    c_limit = HALF_WORD // (INT8 * J)
    room = np.log2(c_limit / (RANGE * 2.0 ** (row_shift.max() - a + F)))
    C = int(np.clip(np.floor(room), 0, 16))
    e_limit = HALF_WORD // (INT8 * J)
    E = int(np.floor(np.log2(e_limit / (RANGE * 2.0 ** row_shift.max()))))
    # A feedback of full length is 17 bits.
    e_shift = max(0, int(np.ceil(np.log2(length * RANGE * 2.0**E / FEEDBACK_LIMIT))))
    unit_f = 2.0 ** (a - E + e_shift)
    w_max = p.w_max
    if not np.isfinite(w_max):
        w_max = p.leak * float(np.linalg.norm(p.D, axis=0).max())
    if K and w_max <= 0.0:
        raise KuwaError("w_max is 0; slow weights would have no room")
    unit_w = w_max / INT8
    slow = unit_w * 2.0**-PSI_BITS * p.dt * true / unit_v
    slow_gain, slow_shift = _mantissa(slow, SLOW_BITS)
    # A voltage takes drive, slow current, noise and what is left of it in one sum.
    if slow_shift < 1 or K * INT8 * PSI_MOST * 2.0**PSI_BITS * slow > HALF_WORD // 2:
        raise KuwaError(f"w_max is {w_max:g}; such slow currents do not fit beside 24-bit voltages")
    eta_gain, eta_shift = _mantissa(p.eta * p.dt * unit_f / unit_w * 2.0**TAG_BITS, GAIN_BITS)
    m_exp = [_exponent(float(np.abs(row).max()), INT8) for row in p.M]
    m = np.rint(p.M * 2.0 ** -np.array(m_exp, float)[:, None]).astype(np.int8).reshape(K, J)
    x_short = max(0, int(np.ceil(np.log2(RANGE / unit_x))) - X_SHORT_BITS)
    unit_short = unit_x * 2.0**x_short
    m_shift = np.array([-round(np.log2(2.0**b * unit_short)) - TABLE_BITS for b in m_exp], np.int64)
    if K and (m_shift < 0).any():
        raise KuwaError(f"M has entries up to {np.abs(p.M).max():g}; too steep for a table of φ")
    arguments = np.arange(-TABLE_RANGE << TABLE_BITS, (TABLE_RANGE << TABLE_BITS) + 1)
    kind = DENDRITES.index(p.dendrite)
    phi = np.array([phi_of(kind, a) for a in arguments / 2.0**TABLE_BITS])
    # Of the decoders as rounded, upwards: a lower one would let opposite neurons spike in turn.
    squares = (d.astype(np.int64) ** 2 << (F + 2 * row_shift)[:, None]).sum(axis=0)
    thresholds = (squares + round(p.mu / unit_v) + round(p.nu / unit_v) + 1) >> 1
    sigma = p.noise * float(p.thresholds.mean()) * np.sqrt(2.0 * p.leak * p.dt) / unit_v
    noise = round(sigma / FOUR_BYTES_SD * 2**NOISE_BITS)
    if noise * 512 >= HALF_WORD:
        raise KuwaError(f"noise is {p.noise:g}; it would fill 24-bit voltages")
    return Layout(
        d=d, row_shift=row_shift, unit_d=2.0**a, unit_x=unit_x, unit_v=unit_v, unit_w=unit_w,
        thresholds=thresholds.astype(np.int32), mu=round(p.mu / unit_v), keep=UNITY - decay,
        spike_x=X + row_shift, spike_v=F + 2 * row_shift,
        c_scale=per_c * 2.0**C, c_limit=c_limit, c_shift=C,
        e_scale=2.0 ** (E + row_shift.astype(float)), e_limit=e_limit, e_shift=e_shift,
        m=m, m_shift=m_shift, x_short=x_short,
        theta=np.rint(np.clip(p.theta, -1e3, 1e3) * 2**TABLE_BITS).astype(np.int32),
        table=np.rint(phi * 2**PSI_BITS).astype(np.int32),
        psi_keep=UNITY - slow_decay,
        slow_gain=slow_gain, slow_shift=slow_shift, eta_gain=eta_gain, eta_shift=eta_shift,
        forget=round(p.forget * p.dt * 2.0**FORGET_BITS), noise=noise,
    )  # fmt: skip
