"""A spiking network that learns outputs of given inputs from an error that comes back.

An EBN carries J = I + O signals: inputs z, encoded in spikes, and outputs y, which nothing drives
but the slow connections. Dendrites read the inputs as the spikes give them, ẑ, and

    c = (ż + λz; 0)         ŷ̇ = −λŷ + Wᵀψ(ẑ)         Ω̇_s = η (Dᵀe)_i ψ̄ − σ Ω_s

so that ŷ is Wᵀψ/λ, low-passed by 1/λ: feed the inputs as they will be 1/λ from now (:attr:`lag`).
ψ̄ is ψ behind the same low-pass, a trace that each synapse keeps: it is what ŷ is linear in. Ω_s =
D_yᵀW starts from 0 and is changed synapse by synapse. Learning stays bounded: each weight is
projected onto its bound, leaks with σ, and errors below a dead zone teach nothing.

The sign: weights move so that ŷ grows along +e. Inputs, outputs and errors are scaled by what
counts as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import CommandError, KuwaError
from kuwa_policies.control.adaptive.backends import NetworkMaker, make_network
from kuwa_policies.ebn.decoders import random_decoders, random_dendrites
from kuwa_policies.ebn.parameters import EbnParameters

RANGE: Final = 5.0
"""Inputs and errors are held within this many of their scale: the network would burst to follow."""
WHOLE: Final = 1e-6
"""How far a ratio of periods may be from a whole number."""


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
        neuron_steps(self.period, self.dt)

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


def neuron_steps(period: float, dt: float) -> int:
    """Return how many neuron steps there are in a control period.

    Raises:
        KuwaError: the ratio is not a whole number.
    """
    ratio = period / dt if dt > 0.0 else 0.0
    steps = round(ratio) if np.isfinite(ratio) else 0
    if steps < 1 or abs(ratio - steps) > WHOLE * steps:
        raise KuwaError(
            f"control period {period:g} s over neuron step {dt:g} s is {ratio:g}; it must be a "
            f"whole number"
        )
    return steps


class AdaptiveFeedforward:
    """Learns O outputs of I inputs while it is used.

    Args:
        settings: see there.
        backend: ``"float64"``, ``"float32"``, ``"fixed"``, or what makes a network.
    """

    def __init__(
        self, settings: FeedforwardSettings, backend: str | NetworkMaker = "float64"
    ) -> None:
        self.settings = settings
        p = settings.parameters()
        self.network = make_network(backend, p, settings.seed)
        self._steps = neuron_steps(settings.period, settings.dt)
        I, O = len(settings.input_scale), len(settings.output_scale)  # noqa: E741
        self._I, self._O, J = I, O, p.signals
        self._out = np.array(settings.output_scale)
        self._per_in = 1.0 / np.array(settings.input_scale)
        self._per_err = 1.0 / np.array(settings.error_scale)
        # c such that after all steps of a tick the encoded signal is the new one, exactly.
        self._keep = (1.0 - p.leak * p.dt) ** self._steps
        self._push = p.leak / (1.0 - self._keep)
        self._z = np.zeros(I)
        self._new = np.zeros(I)
        self._c, self._e = np.zeros(J), np.zeros(J)
        self._c[I : J - O] = p.leak * settings.constant
        self._y = np.zeros(O)
        self._trace = np.zeros(p.dendrites)
        self._reasons: set[str] = set()
        self.refused = 0
        """Ticks on which an input or an error was not finite."""

    @property
    def lag(self) -> float:
        """How far outputs are behind inputs [s]."""
        return 1.0 / self.settings.leak

    @property
    def trace(self) -> Array:
        """ψ̄: what each dendrite has given to the outputs of now, shape (K,)."""
        return self._trace

    @property
    def frozen(self) -> tuple[str, ...]:
        """Why nothing is learnt; empty while learning is on."""
        return tuple(sorted(self._reasons))

    def freeze(self, reason: str) -> None:
        """Stop learning until this reason is lifted."""
        self._reasons.add(reason)

    def thaw(self, reason: str | None = None) -> None:
        """Lift one reason, or all of them."""
        if reason is None:
            self._reasons.clear()
        else:
            self._reasons.discard(reason)

    def reset(self, keep_weights: bool = False) -> None:
        """Return to rest; forget what was learnt, unless it is to be kept."""
        self.network.reset(keep_weights)
        for array in (self._z, self._y, self._trace):
            array[:] = 0.0
        self._reasons.clear()
        self.refused = 0

    def step(
        self, z: Array, e: Array, learn: bool = True, presynaptic: Array | None = None
    ) -> Array:
        """Return the outputs, shape (O,), which is reused.

        Inputs or errors that are not finite are refused: the last inputs hold, nothing is learnt.

        Args:
            z: inputs, ``lag`` from now, shape (I,).
            e: errors, shape (O,); an output grows while its error is positive.
            learn: False for this tick only; see :meth:`freeze` for longer.
            presynaptic: activity that has earned these errors, shape (K,); by default ``trace``.

        Raises:
            CommandError: wrong shapes.
        """
        if np.shape(z) != (self._I,) or np.shape(e) != (self._O,):
            raise CommandError(
                f"inputs have shape {np.shape(z)} and errors {np.shape(e)}; expected "
                f"({self._I},) and ({self._O},)"
            )
        fine = bool(np.isfinite(z).all() and np.isfinite(e).all())
        if fine:
            np.multiply(z, self._per_in, out=self._new)
            np.clip(self._new, -RANGE, RANGE, out=self._new)
            zone = self.settings.dead_zone
            error = self._e[-self._O :]
            np.multiply(e, self._per_err, out=error)
            np.clip(error, -RANGE, RANGE, out=error)
            if zone > 0.0:
                error -= np.clip(error, -zone, zone)
        else:
            self.refused += 1
            self._new[:] = self._z
            self._e[:] = 0.0
        self._c[: self._I] = self._push * (self._new - self._keep * self._z)
        self._z[:] = self._new
        learning = learn and fine and not self._reasons
        earned = self._trace if presynaptic is None else presynaptic
        x_hat = self.network.step(self._c, self._e, self._steps, learning, earned)
        # The trace belongs to the activity before this tick's end, as the outputs do.
        self._trace += (1.0 - self._keep) * (self.network.psi - self._trace)
        np.multiply(x_hat[-self._O :], self._out, out=self._y)
        return self._y

    def state(self) -> dict[str, Any]:
        """Return what was learnt and what it belongs to."""
        p = self.network.p
        return {"Omega_s": np.array(self.network.Omega_s), "D": p.D, "M": p.M, "theta": p.theta}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave.

        Raises:
            KuwaError: it is of another network, or not finite; nothing is changed then.
        """
        mine = self.state()
        for name, own in mine.items():
            if name not in state:
                raise KuwaError(f"a saved network lacks {name}; it has {', '.join(state)}")
            if np.shape(state[name]) != own.shape:
                raise KuwaError(
                    f"{name} of a saved network has shape {np.shape(state[name])}; expected "
                    f"{own.shape}"
                )
            if not np.isfinite(state[name]).all():
                raise KuwaError(f"{name} of a saved network has values that are not finite")
            if name != "Omega_s" and not np.allclose(state[name], own):
                raise KuwaError(f"{name} of a saved network differs; was it another seed?")
        self.network.Omega_s[:] = state["Omega_s"]
