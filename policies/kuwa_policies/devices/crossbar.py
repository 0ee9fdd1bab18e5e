"""A crossbar: weights held by pairs of devices, one for each sign.

    w = g⁺ − g⁻;   programmed ŵ: ĝ⁺ = max(ŵ, 0), ĝ⁻ = max(−ŵ, 0), both in [0, w_max]

Whatever the devices do, what they hold is a⁺ q(ĝ⁺) − a⁻ q(ĝ⁻) + o with a gain of each device, an
offset from those that are stuck, and rounding q: that is all a kernel needs to know.
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.devices.nonidealities import Flaws

DRIFT_SPREAD = 0.3
"""Standard deviation of the drift's exponent from device to device, as a share of its mean; of
phase-change memory 0.16 to 0.45 (Joshi et al. 2020)."""


class Crossbar:
    """Rows of input lines, columns of neurons.

    Args:
        shape: (rows, columns).
        w_max: largest weight that a device holds.
        flaws: what is wrong with it.
        rng: decides which device has how much of it.
    """

    def __init__(
        self, shape: tuple[int, int], w_max: float, flaws: Flaws, rng: np.random.Generator
    ) -> None:
        if not (np.isfinite(w_max) and w_max > 0.0):
            raise KuwaError(
                f"the largest weight of a crossbar is {w_max}; a device has a bound: a finite "
                f"number above 0 (w_max of the parameters, for slow connections)"
            )
        self.shape, self.w_max, self.flaws = shape, w_max, flaws
        both = (2, *shape)
        self._factor = log_normal(rng, flaws.mismatch, both)
        draw = rng.random(both)
        self._low = draw < flaws.stuck_low
        self._high = draw > 1.0 - flaws.stuck_high
        self._exponent = np.maximum(
            flaws.drift * (1.0 + DRIFT_SPREAD * rng.standard_normal(both)), 0.0
        )
        self._factor *= attenuation(shape, flaws.ir_drop)

    @property
    def levels(self) -> float:
        """Steps of conductance from zero to the largest; 0: any value."""
        return 0.0 if self.flaws.bits == 0 else 2.0 ** (self.flaws.bits - 1) - 1.0

    def gains(self, age: float = 1.0) -> tuple[Array, Array, Array]:
        """Return a⁺, a⁻ and the offset o, each of the crossbar's shape.

        Args:
            age: since it was programmed [s].
        """
        a = self._factor * age**-self._exponent
        stuck = np.where(self._high, a, 0.0) * self.w_max
        a = np.where(self._high | self._low, 0.0, a)
        return a[0], a[1], stuck[0] - stuck[1]

    def held(self, w: Array, age: float = 1.0) -> Array:
        """Return what the crossbar holds when ``w`` is programmed, both of its shape."""
        if w.shape != self.shape:
            raise KuwaError(f"weights have shape {w.shape}; this crossbar has {self.shape}")
        plus, minus, offset = self.gains(age)
        w = quantised(np.clip(w, -self.w_max, self.w_max), self.w_max, self.levels)
        held: Array = plus * np.maximum(w, 0.0) - minus * np.maximum(-w, 0.0) + offset
        return held

    def columns(self, which: Array) -> Crossbar:
        """Return the crossbar of some of the columns."""
        part = object.__new__(Crossbar)
        part.shape, part.w_max, part.flaws = (self.shape[0], len(which)), self.w_max, self.flaws
        for name in ("_factor", "_low", "_high", "_exponent"):
            setattr(part, name, np.ascontiguousarray(getattr(self, name)[..., which]))
        return part


def quantised(w: Array, w_max: float, levels: float) -> Array:
    """Round weights to ``levels`` steps up to ``w_max``; 0 levels leave them."""
    if levels == 0.0:
        return w
    rounded: Array = np.round(w * (levels / w_max)) * (w_max / levels)
    return rounded


def log_normal(rng: np.random.Generator, cv: float, shape: int | tuple[int, ...]) -> Array:
    """Return log-normal factors of mean 1 and coefficient of variation ``cv``."""
    s = np.sqrt(np.log1p(cv * cv))
    factors: Array = np.exp(s * rng.standard_normal(shape) - 0.5 * s * s)
    return factors


def attenuation(shape: tuple[int, int], loss: float) -> Array:
    """Return what is left of the voltage at each crossing, shape (rows, columns).

    Along a line with resistance and load spread evenly U″ = κ²U, fed at one end and open at the
    other: U(s)/U(0) = cosh(κ(1 − s))/cosh κ. κ grows with a line's length: it is that of ``loss``
    for the longer of rows and columns.
    """
    kappa = np.arccosh(1.0 / (1.0 - loss))
    longest = max(*shape, 1)

    def along(n: int) -> Array:
        k = kappa * n / longest
        s = (np.arange(n) + 0.5) / max(n, 1)
        left: Array = np.cosh(k * (1.0 - s)) / np.cosh(k)
        return left

    return np.outer(along(shape[0]), along(shape[1]))
