"""What an adaptive feed-forward is made of, and the network that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.options import whole_ratio
from kuwa_policies.ebn.decoders import random_decoders, random_dendrites
from kuwa_policies.ebn.parameters import EbnParameters


@dataclass(frozen=True, slots=True)
class FeedforwardSettings:
    """A network for I inputs and O outputs.

    Args:
        input_scale: what counts as one of each input, length I [its unit].
        output_scale: the same of each output, length O.
        error_scale: the same of each error, length O.
        period: of control [s].
        dt: neuron step [s]; the period is a whole number of them.
        groups: of inputs that a dendrite reads together; by default all of them.
        each: dendrites of each group.
        gain: slope of the dendrites at one unit of signal.
        offset: their offsets reach ± gain·offset.
        neurons: N.
        leak: λ [1/s].
        norm: length of the decoders: what one spike adds to the signals.
        mu, nu: costs of squared rates and of rates, as shares of norm².
        noise: of the voltages, see :class:`~kuwa_policies.ebn.parameters.EbnParameters`.
        constant: of a signal that is always there and that all neurons carry with the same sign;
            it keeps them near their thresholds.
        lift: share of that signal in a decoder's length, where there is one.
        max_spikes: in one neuron step.
        rate: of learning: ŷ̇ for an error of one while all dendrites are fully active [1/s].
        bound: of what one dendrite can add to an output, in its scale.
        forget: leakage σ of the weights [1/s].
        dead_zone: errors below it teach nothing, in their scale.
        seed: of decoders, dendrites and noise.
    """

    input_scale: tuple[float, ...]
    output_scale: tuple[float, ...]
    error_scale: tuple[float, ...]
    period: float
    dt: float = 1e-3
    groups: tuple[tuple[int, ...], ...] = ()
    each: int = 50
    gain: float = 1.5
    offset: float = 1.0
    neurons: int = 200
    leak: float = 50.0
    norm: float = 0.1
    mu: float = 0.0
    nu: float = 0.0
    noise: float = 0.1
    constant: float = 0.0
    lift: float = 0.5
    max_spikes: int = 8
    rate: float = 1.0
    bound: float = 1.0
    forget: float = 0.0
    dead_zone: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("input_scale", "output_scale", "error_scale"):
            scale = getattr(self, name)
            if not scale or not all(np.isfinite(s) and s > 0.0 for s in scale):
                raise KuwaError(f"{name} is {scale}; expected finite values above 0")
        if len(self.error_scale) != len(self.output_scale):
            raise KuwaError(
                f"{len(self.error_scale)} errors for {len(self.output_scale)} outputs; one each"
            )
        inputs = range(len(self.input_scale))
        if any(i not in inputs for group in self.groups for i in group):
            raise KuwaError(f"groups {self.groups} name inputs beyond 0 … {len(inputs) - 1}")
        if not 0.0 < self.lift < 1.0:
            raise KuwaError(f"lift is {self.lift}; expected above 0 and below 1")
        for name in ("rate", "bound", "forget", "dead_zone", "constant", "norm", "gain", "offset"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0.0):
                raise KuwaError(f"{name} is {value}; it must be finite and not negative")
        whole_ratio(self.period, self.dt)

    def parameters(self) -> EbnParameters:
        """Return the network's parameters; its signals are inputs, constant, outputs."""
        I, O = len(self.input_scale), len(self.output_scale)  # noqa: E741
        extra = 1 if self.constant > 0.0 else 0
        J = I + extra + O
        M, theta = random_dendrites(
            J, self.groups or (tuple(range(I)),), self.each, self.seed + 1, self.gain, self.offset
        )
        # Ω_s = D_yᵀW and ŷ = Wᵀψ̄/λ, so ŷ̇ = (η/λ)|ψ̄|² e, and |ψ̄|² ≤ K.
        return EbnParameters(
            D=self._decoders(J),
            leak=self.leak,
            mu=self.mu * self.norm**2,
            nu=self.nu * self.norm**2,
            dt=self.dt,
            noise=self.noise,
            max_spikes=self.max_spikes,
            M=M,
            theta=theta,
            eta=self.rate * self.leak / max(len(theta), 1),
            w_max=self.bound * self.leak * self.norm,
            forget=self.forget,
        )

    def _decoders(self, J: int) -> Array:
        """Return D, shape (J, N); where there is a constant signal, its row is positive."""
        D = random_decoders(J, self.neurons, self.norm, self.seed)
        if self.constant > 0.0:
            row = len(self.input_scale)
            D[row] = 0.0
            D *= self.norm * np.sqrt(1.0 - self.lift**2) / np.linalg.norm(D, axis=0)
            D[row] = self.lift * self.norm
        return D
