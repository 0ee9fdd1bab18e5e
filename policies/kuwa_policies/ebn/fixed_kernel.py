"""The network's neuron steps in integers, and the instruments that watch them from outside.

Units are those of :mod:`kuwa_policies.ebn.fixed_plan`; the network's equations those of
:mod:`kuwa_policies.ebn.network`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kuwa_policies.ebn.watch import count, remember, watch_input, watch_spike
from kuwa_policies.emulator.arithmetic import STATE_LIMIT, UNITY, decay, next_random, saturate

# Cached kernels know of changes in their own file only, so what is compiled in is written here.
INT8 = 127
PSI_BITS = 10
RATE_BITS = 14
"""Binary places of r."""
TABLE_BITS, TABLE_RANGE = 9, 4
"""φ is a table of 2^TABLE_BITS entries per unit, for arguments within ± TABLE_RANGE."""
NOISE_BITS = 8
TAG_BITS = 8
"""What a synapse has learnt and its 8-bit weight does not show yet; Loihi calls it a tag."""
FEEDBACK_LIMIT = (1 << 17) - 1
WEYL = 0x9E3779B1
"""2³²/golden ratio, odd: multiples of it modulo 2³² are spread evenly (Weyl, Knuth)."""
LAST = TABLE_RANGE << TABLE_BITS
FOUR_MEANS = 2 * 255
UNITY_BITS = UNITY.bit_length() - 1
HALF_TAG = 1 << TAG_BITS >> 1
TAG_LIMIT = INT8 << TAG_BITS

# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def advance(
    c: Any, drive: Any, slow: Any, random: Any, lost: Any,
    V: Any, r: Any, x_hat: Any, psi_state: Any, psi: Any, w: Any, alive: Any,
    d: Any, dT: Any, thresholds: Any, m: Any, m_shift: Any, theta: Any, table: Any,
    spike_x: Any, spike_v: Any,
    keep: Any, mu: Any, c_shift: Any, x_short: Any, psi_keep: Any,
    slow_gain: Any, slow_shift: Any, noise: Any, max_spikes: Any,
    spiked: Any, how_many: Any, watched: Any, steps: Any,
) -> None:  # fmt: skip
    """Advance ``steps`` neuron steps, at most as many as the log ``spiked`` has rows.

    Args:
        c: drive, (J,). random: state of the generator, (1,). lost: states that saturated, (1,).
        spiked: neurons that spiked, by neuron step; how_many, (rows,); watched: slow currents of
            the first neurons, by neuron step.
    """
    J, N = d.shape
    K = psi.shape[0]
    top = STATE_LIMIT - 1
    half_c, half_w = (1 << c_shift) >> 1, np.int64(1) << (slow_shift - 1)
    half_x = (1 << x_short) >> 1
    drive[:] = 0
    for j in range(J):
        cj = c[j]
        for i in range(N):
            drive[i] += d[j, i] * cj
    for i in range(N):
        drive[i] = (drive[i] + half_c) >> c_shift
    for t in range(steps):
        for k in range(K):
            a: Any = 0
            for j in range(J):
                a += m[k, j] * ((x_hat[j] + half_x) >> x_short)
            a = min(max((a >> m_shift[k]) + theta[k], -LAST), LAST)
            phi = np.int64(table[a + LAST]) << UNITY_BITS
            psi_state[k] = phi + (((psi_state[k] - phi) * psi_keep) >> UNITY_BITS)
            psi[k] = psi_state[k] >> UNITY_BITS
        slow[:] = 0
        for k in range(K):
            pk = psi[k]
            for i in range(N):
                slow[i] += pk * w[k, i]
        for i in range(watched.shape[1]):
            watched[t, i] = slow[i]
        for i in range(N):
            V[i] = decay(V[i], keep) + drive[i] + ((slow[i] * slow_gain + half_w) >> slow_shift)
        if noise > 0:
            state = random[0]
            for i in range(N):
                state = next_random(state)
                four = (state & 255) + (state >> 8 & 255) + (state >> 16 & 255) + (state >> 24)
                V[i] += ((four - FOUR_MEANS) * noise + (1 << NOISE_BITS >> 1)) >> NOISE_BITS
            random[0] = state
        for i in range(N):
            r[i] = decay(r[i], keep)
        for j in range(J):
            x_hat[j] = decay(x_hat[j], keep)
        most = 0
        for i in range(N):
            most = max(most, abs(V[i]))
        if most > top:
            lost[0] += 1
            for i in range(N):
                V[i] = saturate(V[i])
        n = 0
        while n < max_spikes:
            best, over = -1, 0
            for i in range(N):
                if V[i] - thresholds[i] > over and alive[i]:
                    best, over = i, V[i] - thresholds[i]
            if best < 0:
                break
            for j in range(J):
                kick = dT[best, j] << spike_v[j]
                for i in range(N):
                    V[i] -= d[j, i] * kick
                x = x_hat[j] + (dT[best, j] << spike_x[j])
                lost[0] += abs(x) > top
                x_hat[j] = saturate(x)
            V[best] -= mu
            r[best] = saturate(r[best] + (1 << RATE_BITS))
            spiked[t, n] = best
            n += 1
        how_many[t] = n


@njit(cache=True)
def learn(
    e: Any, feedback: Any, earned: Any, w: Any, tag: Any, d: Any, random: Any, lost: Any,
    e_shift: Any, gain: Any, shift: Any, forget: Any,
) -> None:  # fmt: skip
    """Change the weights by η ψ (Dᵀe) − σ Ω, to 2^−TAG_BITS of a weight's step.

    What is less than a step waits in the synapse's tag, and what is less than the tag's is rounded
    at random. A row of synapses shares a random number, from which each takes its own.

    Args:
        e: (J,). earned: ψ, (K,). w: int8 weights; tag: int16, weights and what waits, (K, N).
        gain, forget: of ψ·feedback and of the tag, in 2^−shift of the tag's step.
        shift: 0 … 30.
    """
    J, N = d.shape
    K = w.shape[0]
    feedback[:] = 0
    for j in range(J):
        ej = e[j]
        for i in range(N):
            feedback[i] += d[j, i] * ej
    half = (1 << e_shift) >> 1
    for i in range(N):
        f = (feedback[i] + half) >> e_shift
        if abs(f) > FEEDBACK_LIMIT:
            lost[0] += 1
            f = min(max(f, -FEEDBACK_LIMIT), FEEDBACK_LIMIT)
        feedback[i] = f
    state = random[0]
    cut = np.int64(32 - shift)
    for k in range(K):
        state = next_random(state)
        p = (earned[k] * gain + (1 << PSI_BITS >> 1)) >> PSI_BITS
        draw = np.uint32(state)
        for i in range(N):
            own = np.int64(np.uint32(draw + np.uint32(i) * np.uint32(WEYL)))
            full = np.int64(tag[k, i])
            # A weight that was written from outside comes without a tag.
            if ((full + HALF_TAG) >> TAG_BITS) != w[k, i]:
                full = np.int64(w[k, i]) << TAG_BITS
            new = full + ((feedback[i] * p - full * forget + (own >> cut)) >> shift)
            new = min(max(new, -TAG_LIMIT), TAG_LIMIT)
            tag[k, i] = new
            w[k, i] = (new + HALF_TAG) >> TAG_BITS
    random[0] = state


@njit(cache=True)
def to_integers(values: Any, scale: Any, limit: Any, out: Any, lost: Any) -> bool:
    """Write round(values·scale), held within ± limit; return whether all were finite."""
    for j in range(len(values)):
        if not np.isfinite(values[j]):
            return False
    for j in range(len(values)):
        v = values[j] * scale[j]
        if abs(v) > limit:
            lost[0] += 1
        out[j] = np.int64(np.rint(min(max(v, -limit), limit)))
    return True


@njit(cache=True)
def watch(
    drive: Any, watched: Any, slow_unit: Any, drive_unit: Any, spiked: Any, how_many: Any,
    steps: Any, leak: Any, dt: Any, D: Any, DT: Any, inputs: Any, slow: Any,
    now: Any, spikes: Any, last: Any, isi: Any, currents: Any, moments: Any,
) -> None:  # fmt: skip
    """Write what happened into an Activity: an instrument, not the network, hence in floats."""
    W = watched.shape[1]
    for i in range(W):
        inputs[i] = drive[i] * drive_unit
    for t in range(steps):
        now[0] += 1
        for i in range(W):
            slow[i] = watched[t, i] * slow_unit
        watch_input(inputs, slow, leak, currents)
        for n in range(how_many[t]):
            best = spiked[t, n]
            watch_spike(D, DT[best], best, leak / dt, currents)
            count(best, now[0], spikes, last, isi)
        remember(dt, currents, moments)
