"""What an efficient balanced network is made of, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from numbers import Integral, Real

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError

DENDRITES = ("tanh", "clip", "rectify")
"""φ by name: the hyperbolic tangent; its straight-line form min(max(a, −1), 1); min(max(a, 0), 2),
which is silent below its offset, so that what it has learnt stays where it was learnt."""


@dataclass(frozen=True, slots=True)
class EbnParameters:
    """J signals, N neurons, K dendritic basis functions; signals are of about unit size.

    Args:
        D: decoders: what a spike adds to the signals, shape (J, N).
        leak: λ of voltages and rates [1/s].
        mu: cost μ of squared rates: it spreads the work. nu: cost ν of rates: it saves spikes.
        dt: the neuron step [s].
        noise: of the voltage: the standard deviation that it would have without spikes, as a share
            of the mean threshold.
        max_spikes: in one neuron step; 1 is the greedy network of the paper.
        M: from signals to dendrites, shape (K, J); no rows without slow connections.
        theta: their offsets, shape (K,).
        dendrite: φ, one of DENDRITES.
        slow_tau: time constant of the slow synapses [s]; 0: they are as fast as a neuron step.
        k: gain of the error feedback [1/s].
        eta: learning rate η of the slow connections [1/s].
        w_max: bound of each slow weight, an element of Ω_s = DᵀW, onto which learning is
            projected; W itself is bounded by it only along the decoders.
        forget: leakage of the slow weights [1/s].

    Raises:
        KuwaError: a shape or a number that makes no network.
    """

    D: Array
    leak: float = 20.0
    mu: float = 1e-4
    nu: float = 1e-4
    dt: float = 1e-3
    noise: float = 0.1
    max_spikes: int = 8
    M: Array = field(default_factory=lambda: np.zeros((0, 0)))
    theta: Array = field(default_factory=lambda: np.zeros(0))
    dendrite: str = "tanh"
    slow_tau: float = 0.0
    k: float = 0.0
    eta: float = 0.0
    w_max: float = np.inf
    forget: float = 0.0

    def __post_init__(self) -> None:
        D, M, theta = self.D, self.M, self.theta
        if D.ndim != 2 or D.shape[0] < 1 or D.shape[1] < 1:
            raise KuwaError(f"decoders D have shape {D.shape}; expected (signals, neurons)")
        if theta.ndim != 1:
            raise KuwaError(f"offsets theta have shape {theta.shape}; expected (dendrites,)")
        if M.size == len(theta) == 0:
            object.__setattr__(self, "M", np.zeros((0, D.shape[0])))
        elif M.shape != (len(theta), D.shape[0]):
            raise KuwaError(
                f"dendrites M have shape {M.shape}; expected ({len(theta)}, {D.shape[0]}): one "
                f"row for each of theta, one column for each signal"
            )
        for name in ("D", "M", "theta"):
            if not np.isfinite(getattr(self, name)).all():
                raise KuwaError(f"{name} has values that are not finite")
        if not (D * D).sum(axis=0).all():
            raise KuwaError("a decoder is all zeros; its neuron would spike for nothing")
        if self.dendrite not in DENDRITES:
            raise KuwaError(f"no dendrite {self.dendrite!r}; one of {', '.join(DENDRITES)}")
        if not isinstance(self.max_spikes, Integral) or self.max_spikes < 1:
            raise KuwaError(f"max_spikes is {self.max_spikes}; expected a whole number from 1 on")
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, Real):
                continue
            if not (value >= 0.0 and (np.isfinite(value) or item.name == "w_max")):
                raise KuwaError(f"{item.name} is {value}; it must be finite and not negative")
        if not 0.0 < self.dt * self.leak < 1.0:
            raise KuwaError(
                f"dt {self.dt:g} s times leak {self.leak:g} 1/s is {self.dt * self.leak:g}; it "
                f"must be above 0 and below 1"
            )
        if 0.0 < self.slow_tau < self.dt:
            raise KuwaError(f"slow_tau {self.slow_tau:g} s is shorter than dt {self.dt:g} s")

    @property
    def signals(self) -> int:
        """J."""
        return int(self.D.shape[0])

    @property
    def neurons(self) -> int:
        """N."""
        return int(self.D.shape[1])

    @property
    def dendrites(self) -> int:
        """K."""
        return len(self.theta)

    def check_shapes(self, c: Array, e: Array, presynaptic: Array | None) -> None:
        """Check what a step is given, before a kernel reads beyond the end of an array.

        Raises:
            KuwaError: a shape other than (J,), (J,) and (K,).
        """
        J = self.D.shape[:1]
        if np.shape(c) != J or np.shape(e) != J:
            raise KuwaError(
                f"drive has shape {np.shape(c)} and error {np.shape(e)}; expected {J} for both"
            )
        if presynaptic is not None and np.shape(presynaptic) != self.theta.shape:
            raise KuwaError(
                f"presynaptic activity has shape {np.shape(presynaptic)}; expected "
                f"{self.theta.shape}"
            )

    @property
    def thresholds(self) -> Array:
        """(ν + μ + |D_i|²)/2, shape (N,): a spike is worth its cost above it.

        With ṙ = −λr + o a spike adds 1 to r. Where costs are of rates in spikes per second, as in
        Boerlin et al. (2013), ν stands for their νλ and μ for their μλ².
        """
        return 0.5 * (self.nu + self.mu + (self.D**2).sum(axis=0))
