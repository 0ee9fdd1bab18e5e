"""The network in floating point: kernels bound once, state updated in place.

    x̂ = D r,  ṙ = −λr + o,  V = Dᵀ(x − x̂) − μr
    V̇ = −λV + Dᵀc + Ω_f o + Ω_s ψ + k Dᵀe,   Ω_f = −(DᵀD + μI),   ψ = φ(M x̂ + θ)
    Ω̇_s = η (Dᵀe) ψᵀ

Ω_f has rank J and is applied as Dᵀ(D o), so a spike costs J·N operations and nothing is N × N.
Ω_s is kept synapse by synapse, (K, N): each changes by its own presynaptic activity ψ_k and the
feedback (Dᵀe)_i that its own neuron receives, and by nothing else.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.parameters import DENDRITES, EbnParameters
from kuwa_policies.ebn.watch import (
    ISI_ROWS,
    WATCHED,
    Activity,
    count,
    remember,
    watch_input,
    watch_spike,
)
from kuwa_policies.emulator.arithmetic import next_random, seeded

FOUR_BYTES_MEAN = 2 * 255
FOUR_BYTES_SD = float(np.sqrt(4 * (256**2 - 1) / 12))


class Ebn:
    """An efficient balanced network.

    Args:
        p: its parameters.
        seed: of its noise.
        dtype: ``"float64"`` or ``"float32"``.
    """

    def __init__(
        self, p: EbnParameters, seed: int = 0, dtype: Literal["float64", "float32"] = "float64"
    ) -> None:
        if dtype not in ("float64", "float32"):
            raise KuwaError(f"dtype is {dtype!r}; expected 'float64' or 'float32'")
        self.p = p
        J, N, K = p.signals, p.neurons, p.dendrites
        real = np.dtype(dtype)
        self._seed = seed
        self.V = np.zeros(N, real)
        """Voltages, shape (N,)."""
        self.r = np.zeros(N, real)
        """Filtered spike trains, shape (N,)."""
        self.x_hat = np.zeros(J, real)
        """D r, shape (J,)."""
        self.psi = np.zeros(K, real)
        """Activity of the dendrites behind their slow synapses, shape (K,)."""
        self.Omega_s = np.zeros((K, N), real)
        """Slow connections, shape (K, N), in ``weight_unit``."""
        self.weight_unit = 1.0
        self.alive = np.ones(N, np.bool_)
        """Neurons that can spike, shape (N,)."""
        self.D = np.ascontiguousarray(p.D, real)
        self.thresholds = p.thresholds.astype(real)
        self._c = np.zeros(J, real)
        self._e = np.zeros(J, real)
        self._drive = np.zeros(N, real)
        self._feedback = np.zeros(N, real)
        self._noise = np.zeros(N, real)
        self.random = np.array([seeded(seed)], np.int64)
        """State of the generator of noise."""
        self.rng = np.random.default_rng(seed)
        sigma = p.noise * float(p.thresholds.mean()) * np.sqrt(2.0 * p.leak * p.dt)
        slow = 1.0 if p.slow_tau == 0.0 else p.dt / p.slow_tau
        self._numbers = np.array(
            [p.leak * p.dt, p.dt, p.mu, slow, p.k, p.eta * p.dt, p.w_max, p.forget * p.dt, sigma],
            real,
        )
        W = min(N, WATCHED)
        self.activity = Activity(
            np.zeros(1, np.int64), np.zeros(N, np.int64), np.full(N, -1, np.int64),
            np.zeros((ISI_ROWS, N)), np.zeros((2, W)), np.zeros((6, W)),
        )  # fmt: skip
        a = self.activity
        self._bound = (
            self._c, self._e, self._drive, self._feedback, self._noise, self.random,
            self.V, self.r, self.x_hat, self.psi, self.Omega_s, self.alive,
            self.D, np.ascontiguousarray(self.D.T), self.thresholds,
            np.ascontiguousarray(p.M, real), np.ascontiguousarray(p.theta, real),
            DENDRITES.index(p.dendrite), self._numbers, p.max_spikes,
            a.steps, a.spikes, a.last, a.isi, a.currents, a.moments,
        )  # fmt: skip
        self.step(np.zeros(J), np.zeros(J))  # compiled now rather than at the first tick
        self.reset()

    def reset(self, keep_weights: bool = False) -> None:
        """Return to rest with the same seed; silenced neurons stay silent.

        Args:
            keep_weights: keep what was learnt.
        """
        for array in (self.V, self.r, self.x_hat, self.psi):
            array[:] = 0
        if not keep_weights:
            self.Omega_s[:] = 0
        self.random[0] = seeded(self._seed)
        self.rng.bit_generator.state = np.random.default_rng(self._seed).bit_generator.state
        self.activity.reset()

    def step(
        self,
        c: Array,
        e: Array,
        steps: int = 1,
        learn: bool = True,
        presynaptic: Array | None = None,
    ) -> Array:
        """Advance some neuron steps under a constant drive; return x̂, shape (J,), which is reused.

        Args:
            c: drive in signal space, ẋ + λx for a signal that is to be followed, shape (J,) [1/s].
            e: error fed back, shape (J,).
            steps: neuron steps.
            learn: whether the slow connections change.
            presynaptic: activity that has earned the error, shape (K,), where it is not that of
                now: behind a dead time the error of now belongs to the activity of then.

        Raises:
            KuwaError: another shape, or a value that is not finite; nothing has changed then.
        """
        self.p.check_shapes(c, e, presynaptic)
        self._c[:] = c
        self._e[:] = e
        earned = self.psi if presynaptic is None else presynaptic
        if not step_ebn(*self._bound, steps, learn and self.p.eta > 0.0, earned):
            raise KuwaError(f"drive {c}, error {e}, or activity has values that are not finite")
        return self.x_hat


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def step_ebn(
    c: Any, e: Any, drive: Any, feedback: Any, noise: Any, random: Any,
    V: Any, r: Any, x_hat: Any, psi: Any, Omega_s: Any, alive: Any,
    D: Any, DT: Any, thresholds: Any, M: Any, theta: Any, dendrite: Any, numbers: Any,
    max_spikes: Any,
    now: Any, spikes: Any, last: Any, isi: Any, currents: Any, moments: Any,
    steps: Any, learn: Any, earned: Any,
) -> bool:  # fmt: skip
    """Advance ``steps`` neuron steps; the arrays are those of an :class:`Ebn`.

    Returns whether drive, error and activity were finite; nothing changes where they were not.
    """
    if not (finite(c) and finite(e) and (not learn or finite(earned))):
        return False
    leak, dt, mu, slow, k, eta, w_max, forget, sigma = numbers
    J, N = D.shape
    K = psi.shape[0]
    keep = numbers.dtype.type(1.0) - leak
    drive[:] = 0
    feedback[:] = 0
    for j in range(J):
        for i in range(N):
            drive[i] += D[j, i] * c[j]
            feedback[i] += D[j, i] * e[j]
    for i in range(N):
        drive[i] += k * feedback[i]
    for _ in range(steps):
        now[0] += 1
        for m in range(K):
            a = theta[m]
            for j in range(J):
                a += M[m, j] * x_hat[j]
            psi[m] += slow * (phi_of(dendrite, a) - psi[m])
        # The slow connections, summed where they meet the membrane: `noise` holds their current.
        noise[:] = 0
        for m in range(K):
            p = psi[m]
            for i in range(N):
                noise[i] += p * Omega_s[m, i]
        watch_input(drive, noise, leak, currents)
        for i in range(N):
            V[i] = keep * V[i] + dt * (drive[i] + noise[i])
        if sigma > 0.0:
            add_noise(V, sigma, random)
        for i in range(N):
            r[i] *= keep
        for j in range(J):
            x_hat[j] *= keep
        for _ in range(max_spikes):
            best = -1
            most = numbers.dtype.type(0.0)
            for i in range(N):
                over = V[i] - thresholds[i]
                if over > most and alive[i]:
                    most, best = over, i
            if best < 0:
                break
            watch_spike(D, DT[best], best, leak / dt, currents)
            for j in range(J):
                d = DT[best, j]
                for i in range(N):
                    V[i] -= D[j, i] * d
                x_hat[j] += d
            V[best] -= mu
            r[best] += 1
            count(best, now[0], spikes, last, isi)
        remember(dt, currents, moments)
    if learn:
        for m in range(K):
            p = eta * steps * earned[m]
            for i in range(N):
                w = Omega_s[m, i] * (1 - forget * steps) + p * feedback[i]
                Omega_s[m, i] = min(max(w, -w_max), w_max)
    return True


@njit(cache=True)
def add_noise(V: Any, sigma: Any, random: Any) -> None:
    """Add nearly normal numbers, each the sum of four random bytes: normal ones cost a network."""
    scale = V.dtype.type(sigma / FOUR_BYTES_SD)
    state = random[0]
    for i in range(len(V)):
        state = next_random(state)
        four = (state & 255) + (state >> 8 & 255) + (state >> 16 & 255) + (state >> 24)
        V[i] += (four - FOUR_BYTES_MEAN) * scale
    random[0] = state


@njit(cache=True)
def finite(values: Any) -> bool:
    """Return whether all values are."""
    bad = 0
    for v in values:
        bad += not np.isfinite(v)
    return bad == 0


@njit(cache=True)
def phi_of(dendrite: Any, a: Any) -> Any:
    if dendrite == 0:
        return np.tanh(a)
    if dendrite == 1:
        return min(max(a, -1.0), 1.0)
    return min(max(a, 0.0), 2.0)
