"""Putting a trained network onto a device that was measured: what to write where.

1. :func:`measure` reads every pair of devices at three programmed values, with the device's own
   read noise: a⁺, a⁻ and o of :mod:`kuwa_policies.devices.crossbar`; the thresholds, the time
   constants of the lines, and who is dead.
2. :func:`fit` chooses for each neuron of the network one of the device (least sum of the squared
   errors that will be left, the assignment problem), and inverts a⁺, a⁻, o for each weight. A
   neuron whose threshold is f times too high gets f times the weights: its voltage is f times as
   high, and it spikes when it should. A line that forgets f times too fast gets f times the drive.
   What a slow connection then still does wrong to the signals, because it is stuck or between two
   levels, is taken over by those of other neurons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.devices.crossbar import Crossbar, quantised
from kuwa_policies.devices.device import Device, Program, plain_program
from kuwa_policies.ebn.parameters import EbnParameters

READ_ERROR = 0.01
"""Error of the instrument that measures, as a share of what it reads."""
DEAD = 1e6
"""What it costs to use a dead neuron: more than any weights that are wrong."""
WEAK = 0.02
"""A device with a smaller gain than this holds nothing: dividing by it would be noise."""
OWN = 5.0
"""What an error of a connection costs by itself, over what it costs by moving the signals: without
it the neurons would be driven apart while the signals are right."""
SWEEPS = 3


@dataclass(frozen=True, slots=True)
class Pairs:
    """A crossbar as measured: gains of both devices of each pair, and offsets, shape (rows, P)."""

    plus: Array
    minus: Array
    offset: Array
    w_max: float
    levels: float

    def invert(self, target: Array) -> Array:
        """Return what to program so that ``target`` is held as nearly as can be."""
        wanted = target - self.offset
        gain = np.where(wanted > 0.0, self.plus, self.minus)
        able = gain > WEAK
        w = np.where(able, wanted / np.where(able, gain, 1.0), 0.0)
        return quantised(np.clip(w, -self.w_max, self.w_max), self.w_max, self.levels)

    def held(self, w: Array) -> Array:
        """Return what will be held, as far as it was measured."""
        held: Array = (
            self.plus * np.maximum(w, 0.0) - self.minus * np.maximum(-w, 0.0) + self.offset
        )
        return held

    def row(self, which: int) -> Pairs:
        """Return one row, shape (P,)."""
        return Pairs(
            self.plus[which], self.minus[which], self.offset[which], self.w_max, self.levels
        )

    def columns(self, which: Array) -> Pairs:
        """Return some of the columns."""
        return Pairs(
            self.plus[:, which], self.minus[:, which], self.offset[:, which], self.w_max,
            self.levels,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """A device as measured; every number has the error of the reads it is a mean of.

    Args:
        threshold_factors: shape (P,). line_tau_factors: shape (J,). alive: shape (P,).
    """

    feed: Pairs
    spread: Pairs
    encode: Pairs
    slow: Pairs
    threshold_factors: Array
    line_tau_factors: Array
    alive: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where a network sits on a device.

    Args:
        device: the neurons of it that are used, in the network's order.
        program: what is written.
        columns: which neurons these are, shape (N,).
        left: root mean square of the error that is left in the weights, as a share of theirs, for
            each crossbar, as far as the measurement tells.
    """

    device: Device
    program: Program
    columns: Array
    left: dict[str, float]


def measure(device: Device, reads: int = 16, seed: int = 0, age: float | None = None) -> Measured:
    """Measure a device.

    Args:
        reads: of each number, averaged.
        seed: of the errors of reading.
        age: of its weights when they are read [s]; by default that of its flaws.
    """
    if reads < 1:
        raise KuwaError(f"reads is {reads}; at least 1")
    rng = np.random.default_rng(seed)
    error = np.hypot(READ_ERROR, device.flaws.read_noise) / np.sqrt(reads)
    at = device.flaws.age if age is None else age

    def read(values: Array) -> Array:
        return values * (1.0 + error * rng.standard_normal(values.shape))

    def pairs(crossbar: Crossbar) -> Pairs:
        full = np.full(crossbar.shape, crossbar.w_max)
        zero = read(crossbar.held(0.0 * full, at))
        plus = (read(crossbar.held(full, at)) - zero) / crossbar.w_max
        minus = (zero - read(crossbar.held(-full, at))) / crossbar.w_max
        return Pairs(plus, minus, zero, crossbar.w_max, crossbar.levels)

    feed = pairs(device.feed)
    return Measured(
        feed, feed if device.shared else pairs(device.spread), pairs(device.encode),
        pairs(device.slow), read(device.threshold_factors), read(device.line_tau_factors),
        device.alive.copy(),
    )  # fmt: skip


def fit(
    p: EbnParameters, device: Device, measured: Measured, Omega_s: Array | None = None
) -> Mapping:
    """Choose neurons and weights of a measured device so that it does what a network does.

    Args:
        p: of the network.
        device: at least as many neurons.
        measured: what is known of it.
        Omega_s: what the network has learnt, shape (K, N).
    """
    N, K = p.neurons, p.dendrites
    if Omega_s is not None and Omega_s.shape != (K, N):
        raise KuwaError(f"Omega_s has shape {Omega_s.shape}; this network's is ({K}, {N})")
    ideal = plain_program(p, Omega_s)
    f = measured.threshold_factors
    faster = 1.0 / measured.line_tau_factors
    more = np.linalg.solve(p.D @ p.D.T, p.D @ ideal.slow.T)  # Ω_s = WᵀD has W = (D Dᵀ)⁻¹ D Ω_sᵀ
    wanted = {
        "feed": ideal.feed if device.shared else ideal.feed * faster[:, None],
        "spread": ideal.spread,
        "encode": ideal.encode,
        "slow": ideal.slow + (more * (faster - 1.0)[:, None]).T @ p.D,
    }
    scaled = {"feed": f, "spread": f, "encode": np.ones_like(f), "slow": f}
    cost = np.where(measured.alive, 0.0, DEAD)[None, :] * np.ones((N, 1))
    for name, target in wanted.items():
        pairs: Pairs = getattr(measured, name)
        size = float((target**2).mean()) * len(target)
        for row in range(len(target) if size > 0.0 else 0):
            line = pairs.row(row)
            want = target[row][:, None] * scaled[name][None, :]
            wrong = (line.held(line.invert(want)) - want) / scaled[name]
            cost += wrong * wrong / size
    columns = linear_sum_assignment(cost)[1]
    written, left = {}, {}
    for name, target in wanted.items():
        pairs = getattr(measured, name).columns(columns)
        scale = scaled[name][columns]
        written[name] = pairs.invert(target * scale)
        if name == "slow":
            _share_out(
                np.ascontiguousarray(p.D.T), target, scale, pairs.plus, pairs.minus, pairs.offset,
                pairs.w_max, pairs.levels, written[name],
            )  # fmt: skip
        wrong = pairs.held(written[name]) / scale - target
        size = float(np.sqrt((target**2).mean())) if target.size else 0.0
        left[name] = float(np.sqrt((wrong**2).mean())) / size if size > 0.0 else 0.0
    return Mapping(device.part(columns), Program(**written), columns, left)


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def _share_out(
    DT: Any, target: Any, scale: Any, plus: Any, minus: Any, offset: Any, w_max: Any, levels: Any,
    w: Any,
) -> None:  # fmt: skip
    """Change slow weights so that each dendrite moves the signals as it should.

    Of dendrite k the signals feel ρ = D δ_k, δ_k being what is held less what should be. One weight
    after the other is set to where |ρ|² + OWN |D_i|² δ_ki² is least: coordinate descent.
    """
    N, J = DT.shape
    rho = np.zeros(J)
    for m in range(target.shape[0]):
        rho[:] = 0.0
        for i in range(N):
            delta = _held(w[m, i], plus[m, i], minus[m, i], offset[m, i]) / scale[i] - target[m, i]
            for j in range(J):
                rho[j] += DT[i, j] * delta
        for _ in range(SWEEPS):
            for i in range(N):
                now = _held(w[m, i], plus[m, i], minus[m, i], offset[m, i]) / scale[i]
                delta = now - target[m, i]
                square = 0.0
                along = 0.0
                for j in range(J):
                    square += DT[i, j] * DT[i, j]
                    along += DT[i, j] * (rho[j] - DT[i, j] * delta)
                wanted = (target[m, i] - along / (square * (1.0 + OWN))) * scale[i] - offset[m, i]
                gain = plus[m, i] if wanted > 0.0 else minus[m, i]
                if gain < WEAK:
                    continue
                new = min(max(wanted / gain, -w_max), w_max)
                if levels > 0.0:
                    new = np.round(new * (levels / w_max)) * (w_max / levels)
                change = _held(new, plus[m, i], minus[m, i], offset[m, i]) / scale[i] - now
                for j in range(J):
                    rho[j] += DT[i, j] * change
                w[m, i] = new


@njit(cache=True)
def _held(w: Any, plus: Any, minus: Any, offset: Any) -> Any:
    return (plus if w > 0.0 else minus) * w + offset
