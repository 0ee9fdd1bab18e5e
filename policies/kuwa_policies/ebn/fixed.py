"""The network in integers, as a neuromorphic chip would run it: 8-bit weights, 24-bit states.

Its interface is that of :class:`~kuwa_policies.ebn.network.Ebn`, in floats: a drive and an error
are turned into integers at the door, x̂ and ψ into floats on the way out. Nothing in between knows
a float. :mod:`kuwa_policies.ebn.fixed_plan` says what the integers mean.
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn import fixed_kernel as kernel
from kuwa_policies.ebn.fixed_kernel import PSI_BITS, RATE_BITS
from kuwa_policies.ebn.fixed_plan import FORGET_BITS, GAIN_BITS, lay_out
from kuwa_policies.ebn.fixed_report import Loss, losses
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.watch import ISI_ROWS, WATCHED, Activity
from kuwa_policies.emulator.arithmetic import seeded

LOG = 32
"""Neuron steps that the kernel takes at a time; its log of spikes has so many rows."""
MOST_SHIFT = 30
"""Of a learnt change; what is smaller than 2^−30 of a tag's step is lost."""


class FixedEbn:
    """An efficient balanced network in integers.

    Args:
        p: its parameters.
        seed: of its noise and of the rounding of what it learns.

    Raises:
        KuwaError: a parameter that these integers cannot hold.
    """

    def __init__(self, p: EbnParameters, seed: int = 0) -> None:
        self.p = p
        self.layout = a = lay_out(p)
        J, N, K = p.signals, p.neurons, p.dendrites
        self._seed = seed
        self._V, self._r = np.zeros(N, np.int32), np.zeros(N, np.int32)
        self._x, self._psi = np.zeros(J, np.int32), np.zeros(K, np.int32)
        self._psi_state = np.zeros(K, np.int64)
        self.Omega_s = np.zeros((K, N), np.int8)
        """Slow connections, shape (K, N), in ``weight_unit``."""
        self.tag = np.zeros((K, N), np.int16)
        self.weight_unit = a.unit_w
        self.alive = np.ones(N, np.bool_)
        """Neurons that can spike, shape (N,)."""
        self.psi = np.zeros(K)
        """Activity of the dendrites behind their slow synapses, shape (K,)."""
        self.x_hat = np.zeros(J)
        """What the spikes say, shape (J,)."""
        self.D = a.d * (a.unit_d * 2.0 ** a.row_shift[:, None])
        """Decoders as they are in integers, shape (J, N)."""
        self.thresholds = a.thresholds * a.unit_v
        self._c, self._e = np.zeros(J, np.int32), np.zeros(J, np.int32)
        self._earned = np.zeros(K, np.int32)
        self._into = np.zeros(J)
        self._random = np.array([seeded(seed)], np.int64)
        self._lost = np.zeros(1, np.int64)
        self._drive, self._feedback = np.zeros(N, np.int32), np.zeros(N, np.int32)
        slow = np.zeros(N, np.int32)
        W = min(N, WATCHED)
        spiked = np.zeros((LOG, p.max_spikes), np.int32)
        how_many, watched = np.zeros(LOG, np.int32), np.zeros((LOG, W), np.int32)
        self.activity = Activity(
            np.zeros(1, np.int64), np.zeros(N, np.int64), np.full(N, -1, np.int64),
            np.zeros((ISI_ROWS, N)), np.zeros((2, W)), np.zeros((6, W)),
        )  # fmt: skip
        b = self.activity
        d, dT = a.d, np.ascontiguousarray(a.d.T).astype(np.int32)
        self._advance = (
            self._c, self._drive, slow, self._random, self._lost,
            self._V, self._r, self._x, self._psi_state, self._psi, self.Omega_s, self.alive,
            d, dT, a.thresholds, a.m, a.m_shift, a.theta, a.table, a.spike_x, a.spike_v,
            a.keep, a.mu, a.c_shift, a.x_short, a.psi_keep, a.slow_gain, a.slow_shift, a.noise,
            p.max_spikes, spiked, how_many, watched,
        )  # fmt: skip
        self._learn = (
            self._e, self._feedback, self._earned, self.Omega_s, self.tag, d, self._random,
            self._lost, a.e_shift,
        )  # fmt: skip
        per_step = 1.0 / p.dt
        self._log = (self._drive, watched, a.unit_v * per_step * 2.0**-a.slow_shift * a.slow_gain,
                     a.unit_v * per_step, spiked, how_many)  # fmt: skip
        self._watch = (
            p.leak * p.dt, p.dt, self.D, np.ascontiguousarray(self.D.T), np.zeros(W), np.zeros(W),
            b.steps, b.spikes, b.last, b.isi, b.currents, b.moments,
        )  # fmt: skip
        self._psi_scale = np.full(K, float(1 << PSI_BITS))
        self._rates: dict[int, tuple[int, int]] = {}
        self._owed = 0
        """Share of the weights that is still to be forgotten, in 2^−FORGET_BITS."""
        self.step(np.zeros(J), np.zeros(J))  # compiled now rather than at the first tick
        self.reset()

    @property
    def V(self) -> Array:
        """Voltages, shape (N,)."""
        return self._V.astype(float) * self.layout.unit_v

    @property
    def r(self) -> Array:
        """Filtered spike trains, shape (N,)."""
        return self._r.astype(float) * 2.0**-RATE_BITS

    @property
    def saturated(self) -> int:
        """How often a state or an input met the end of its range since the last reset."""
        return int(self._lost[0])

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What the integers lost of the parameters."""
        return losses(self.p, self.layout)

    def reset(self, keep_weights: bool = False) -> None:
        """Return to rest with the same seed; silenced neurons stay silent.

        Args:
            keep_weights: keep what was learnt.
        """
        for array in (self._V, self._r, self._x, self._psi, self._psi_state, self._lost):
            array[:] = 0
        self.psi[:] = 0.0
        self.x_hat[:] = 0.0
        if not keep_weights:
            self.Omega_s[:] = 0
            self.tag[:] = 0
        self._random[0] = seeded(self._seed)
        self._owed = 0
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

        Arguments as of :meth:`kuwa_policies.ebn.network.Ebn.step`; what is beyond the range of the
        integers is held there and counted in ``saturated``.

        Raises:
            KuwaError: another shape, or a value that is not finite; nothing has changed then.
        """
        self.p.check_shapes(c, e, presynaptic)
        a, lost = self.layout, self._lost
        learning = learn and self.p.eta > 0.0
        fine = kernel.to_integers(e, a.e_scale, a.e_limit, self._e, lost)
        if fine:
            np.multiply(e, self.p.k, out=self._into)
            np.add(c, self._into, out=self._into)
            fine = kernel.to_integers(self._into, a.c_scale, a.c_limit, self._c, lost)
        if fine and learning and presynaptic is not None:
            most = float(2 << PSI_BITS)
            fine = kernel.to_integers(presynaptic, self._psi_scale, most, self._earned, lost)
        if not fine:
            raise KuwaError(f"drive {c}, error {e}, or activity has values that are not finite")
        left = steps
        while left > 0:
            now = min(left, LOG)
            kernel.advance(*self._advance, now)
            kernel.watch(*self._log, now, *self._watch)
            left -= now
        if learning:
            if presynaptic is None:
                self._earned[:] = self._psi
            if steps not in self._rates:
                self._rates[steps] = self._rate(steps)
            gain, shift = self._rates[steps]
            kernel.learn(*self._learn, gain, shift, self._forgotten(steps, shift))
        np.multiply(self._psi, 2.0**-PSI_BITS, out=self.psi)
        np.multiply(self._x, a.unit_x, out=self.x_hat)
        return self.x_hat

    def _forgotten(self, steps: int, shift: int) -> int:
        """Return what so many neuron steps take of the tags, in 2^−shift; save up the rest."""
        self._owed += self.layout.forget * steps
        due = self._owed >> (FORGET_BITS - shift)
        self._owed -= due << (FORGET_BITS - shift)
        return due

    def _rate(self, steps: int) -> tuple[int, int]:
        """Return gain and shift of so many neuron steps."""
        a = self.layout
        gain, shift = a.eta_gain * steps, a.eta_shift
        while gain >= 1 << GAIN_BITS:
            gain, shift = gain >> 1, shift - 1
        while shift > MOST_SHIFT:
            gain, shift = gain >> 1, shift - 1
        if shift < 0:
            raise KuwaError(f"eta is {self.p.eta:g}; one error would move weights past their bound")
        return gain, shift
