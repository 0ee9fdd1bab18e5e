"""The network on a device: the equations of :mod:`kuwa_policies.ebn.network`, each term through the
hardware that carries it.

    V̇_i = −λ_i V_i + F_iᵀ(c + k e) − S_iᵀ(E o) − μ o_i + H_iᵀ ψ,    x̂̇_j = −λ_j x̂_j + (E o)_j
    Ω̇_s = η (F_iᵀ e) ψᵀ,    H = held(Ω_s)

F, S, E are what the crossbars for Dᵀ, Dᵀ and D hold. Learning is in the loop: it sees F, and what
it writes is held as the device holds it. Ω_s itself is what was programmed, kept in full precision
beside the array; a device with few levels would otherwise forget what is less than one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.devices.device import Device, Program, plain_program
from kuwa_policies.ebn.network import Ebn, add_noise, finite, phi_of
from kuwa_policies.ebn.parameters import DENDRITES, EbnParameters
from kuwa_policies.ebn.watch import count, remember, watch_input, watch_spike

LATEST = 4.0
"""The latest spikes that are told apart, in standard deviations of the jitter."""
AGEING = 1.02
"""The weights are computed anew when their age has grown by this factor: a drift of 0.1 has changed
them by 0.2 % by then."""


class NoisyEbn(Ebn):
    """An efficient balanced network on a device; it is used as any other.

    On a device without flaws it is :class:`~kuwa_policies.ebn.network.Ebn`, bit for bit.

    Args:
        p: of the network.
        device: with as many neurons; its weights are programmed when the network is made.
        program: what is written; by default the network's own weights.
        seed: of its noise, read noise and jitter.
    """

    def __init__(
        self, p: EbnParameters, device: Device, program: Program | None = None, seed: int = 0
    ) -> None:
        if device.neurons != p.neurons:
            raise KuwaError(
                f"the device has {device.neurons} neurons; this network has {p.neurons}. "
                f"kuwa_policies.devices.mapping.fit chooses among more"
            )
        self.device = device
        self.program = plain_program(p) if program is None else program
        if self.program.slow.shape != (p.dendrites, p.neurons):
            raise KuwaError(
                f"slow weights have shape {self.program.slow.shape}; this network's are "
                f"({p.dendrites}, {p.neurons})"
            )
        self._advance: Callable[..., bool] | None = None
        super().__init__(p, seed)
        self.Omega_s[:] = self.program.slow

    def _bound_kernel(self) -> Callable[..., bool]:
        p, device, flaws = self.p, self.device, self.device.flaws
        J, N, K = p.signals, p.neurons, p.dendrites
        self.alive[:] = device.alive
        self.thresholds = p.thresholds * device.threshold_factors
        slow = device.slow
        # Rows: a⁺, a⁻, offset of the slow crossbar.
        self._gains = np.zeros((3, K, N))
        self.Omega_held = np.zeros((K, N))
        """What the device holds of Ω_s, shape (K, N)."""
        self._F, self._S, self._E = (np.zeros(shape) for shape in ((J, N), (J, N), (N, J)))
        depth = 1 if flaws.jitter == 0.0 else 2 + int(LATEST * flaws.jitter / p.dt)
        self._late = np.zeros((depth, J))
        self._owed = np.zeros((depth, N))
        self._numbers = np.append(
            self._numbers, [flaws.read_noise, flaws.jitter / p.dt, slow.levels, slow.w_max]
        )
        self._age = flaws.age
        self._computed = 0.0
        a = self.activity
        return partial(
            step_on_device,
            self._c, self._e, self._drive, self._feedback, self._noise, np.zeros(N), self.rng,
            self.random,
            self.V, self.r, self.x_hat, self.psi, self.Omega_s, self.alive,
            self._F, self._S, self._E, self._gains, self.Omega_held,
            1.0 - p.leak * p.dt / device.tau_factors,
            1.0 - p.leak * p.dt / device.line_tau_factors,
            self._late, self._owed, np.zeros(J), self.thresholds,
            np.ascontiguousarray(p.M, float), np.ascontiguousarray(p.theta, float),
            DENDRITES.index(p.dendrite), self._numbers, p.max_spikes,
            a.steps, a.spikes, a.last, a.isi, a.currents, a.moments,
        )  # fmt: skip

    def reset(self, keep_weights: bool = False) -> None:
        """Return to rest with the same seed, the device as old as it was at first.

        Args:
            keep_weights: keep what was learnt; otherwise what was programmed at first is back.
        """
        super().reset(keep_weights)
        if not keep_weights:
            self.Omega_s[:] = self.program.slow
        self._late[:] = 0
        self._owed[:] = 0
        self._age, self._computed = self.device.flaws.age, 0.0

    def refresh(self) -> None:
        """Program every weight anew: drift starts over."""
        self._age, self._computed = 1.0, 0.0

    def _weigh(self) -> None:
        """Compute what the crossbars hold at their age."""
        device, program = self.device, self.program
        self._F[:] = device.feed.held(program.feed, self._age)
        self._S[:] = device.spread.held(program.spread, self._age)
        self._E[:] = device.encode.held(program.encode, self._age).T
        self._gains[:] = device.slow.gains(self._age)
        self._computed = self._age

    def step(
        self,
        c: Array,
        e: Array,
        steps: int = 1,
        learn: bool = True,
        presynaptic: Array | None = None,
    ) -> Array:
        """Advance, and refuse, as :meth:`kuwa_policies.ebn.network.Ebn.step` does."""
        self.p.check_shapes(c, e, presynaptic)
        if self._advance is None:
            self._advance = self._bound_kernel()
        if self._computed == 0.0 or (
            self.device.flaws.drift > 0.0 and self._age > AGEING * self._computed
        ):
            self._weigh()
        self._c[:] = c
        self._e[:] = e
        earned = self.psi if presynaptic is None else presynaptic
        if not self._advance(steps, learn and self.p.eta > 0.0, earned):
            raise KuwaError(f"drive {c}, error {e}, or activity has values that are not finite")
        self._age += steps * self.p.dt
        return self.x_hat


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def step_on_device(
    c: Any, e: Any, drive: Any, feedback: Any, slow_in: Any, variance: Any, rng: Any, random: Any,
    V: Any, r: Any, x_hat: Any, psi: Any, Omega_s: Any, alive: Any,
    F: Any, S: Any, E: Any, gains: Any, H: Any, keep_V: Any, keep_x: Any,
    late: Any, owed: Any, d: Any, thresholds: Any, M: Any, theta: Any, dendrite: Any,
    numbers: Any, max_spikes: Any,
    now: Any, spikes: Any, last: Any, isi: Any, currents: Any, moments: Any,
    steps: Any, learn: Any, earned: Any,
) -> bool:  # fmt: skip
    """Advance ``steps`` neuron steps; the arrays are those of a :class:`NoisyEbn`.

    Returns whether drive, error and activity were finite; nothing changes where they were not.
    """
    if not (finite(c) and finite(e) and (not learn or finite(earned))):
        return False
    leak, dt, mu, slow, k, eta, w_max, forget, sigma, read, jitter, levels, largest = numbers
    J, N = F.shape
    K = psi.shape[0]
    drive[:] = 0
    feedback[:] = 0
    variance[:] = 0
    for j in range(J):
        for i in range(N):
            drive[i] += F[j, i] * c[j]
            feedback[i] += F[j, i] * e[j]
            variance[i] += (F[j, i] * (c[j] + k * e[j])) ** 2
    for i in range(N):
        drive[i] += k * feedback[i]
    _hold(Omega_s, gains, levels, largest, H)
    for _ in range(steps):
        now[0] += 1
        for m in range(K):
            a = theta[m]
            for j in range(J):
                a += M[m, j] * x_hat[j]
            psi[m] += slow * (phi_of(dendrite, a) - psi[m])
        slow_in[:] = 0
        for m in range(K):
            p = psi[m]
            for i in range(N):
                slow_in[i] += p * H[m, i]
        watch_input(drive, slow_in, leak, currents)
        for i in range(N):
            V[i] = keep_V[i] * V[i] + dt * (drive[i] + slow_in[i])
        if sigma > 0.0:
            add_noise(V, sigma, random)
        if read > 0.0:
            # Independent errors of all devices of a column add up to one normal number.
            for i in range(N):
                square = variance[i]
                for m in range(K):
                    square += (psi[m] * H[m, i]) ** 2
                V[i] += dt * read * np.sqrt(square) * rng.standard_normal()
        for i in range(N):
            r[i] *= 1.0 - leak
        for j in range(J):
            x_hat[j] *= keep_x[j]
        slot = now[0] % late.shape[0]
        if jitter > 0.0:
            _arrive(late[slot], owed[slot], S, V, x_hat)
        for _ in range(max_spikes):
            best = -1
            most = 0.0
            for i in range(N):
                over = V[i] - thresholds[i]
                if over > most and alive[i]:
                    most, best = over, i
            if best < 0:
                break
            for j in range(J):
                d[j] = E[best, j]
                if read > 0.0:
                    d[j] *= 1.0 + read * rng.standard_normal()
            watch_spike(S, d, best, leak / dt, currents)
            delay = 0
            if jitter > 0.0:
                delay = min(int(abs(jitter * rng.standard_normal()) + 0.5), late.shape[0] - 1)
            if delay == 0:
                for j in range(J):
                    for i in range(N):
                        V[i] -= S[j, i] * d[j]
                    x_hat[j] += d[j]
            else:
                # Its own reset needs no way; what the lines will bring it later is owed to it.
                own = 0.0
                for j in range(J):
                    own += S[j, best] * d[j]
                    late[(slot + delay) % late.shape[0], j] += d[j]
                V[best] -= own
                owed[(slot + delay) % late.shape[0], best] += own
            if read > 0.0:
                for i in range(N):
                    square = 0.0
                    for j in range(J):
                        square += (S[j, i] * d[j]) ** 2
                    V[i] += read * np.sqrt(square) * rng.standard_normal()
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
def _hold(W: Any, gains: Any, levels: Any, largest: Any, H: Any) -> None:
    """Write into H what the slow crossbar holds of W."""
    for m in range(W.shape[0]):
        for i in range(W.shape[1]):
            w = min(max(W[m, i], -largest), largest)
            if levels > 0.0:
                w = np.round(w * (levels / largest)) * (largest / levels)
            if w > 0.0:
                H[m, i] = gains[0, m, i] * w + gains[2, m, i]
            else:
                H[m, i] = gains[1, m, i] * w + gains[2, m, i]


@njit(cache=True)
def _arrive(late: Any, owed: Any, S: Any, V: Any, x_hat: Any) -> None:
    """Deliver the spikes that are due in this step."""
    for j in range(S.shape[0]):
        if late[j] != 0.0:
            for i in range(S.shape[1]):
                V[i] -= S[j, i] * late[j]
            x_hat[j] += late[j]
            late[j] = 0.0
    for i in range(S.shape[1]):
        V[i] += owed[i]
        owed[i] = 0.0
