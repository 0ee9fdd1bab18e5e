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

from typing import Any, Final

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import CommandError
from kuwa_policies.control.adaptive.backends import NetworkMaker, encoding, make_network
from kuwa_policies.control.adaptive.settings import FeedforwardSettings
from kuwa_policies.control.options import whole_ratio

__all__ = ["AdaptiveFeedforward", "FeedforwardSettings"]

RANGE: Final = 5.0
"""Inputs and errors are held within this many of their scale: the network would burst to follow."""


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
        self._steps = whole_ratio(settings.period, settings.dt)
        I, O = len(settings.input_scale), len(settings.output_scale)  # noqa: E741
        self._I, self._O, J = I, O, p.signals
        self._out = np.array(settings.output_scale)
        # c such that after all steps of a tick the encoded signal is the new one, exactly.
        self._keep, self._push = encoding(p, self._steps)
        self._z = np.zeros(I)
        self._c, self._e = np.zeros(J), np.zeros(J)
        self._c[I : J - O] = p.leak * settings.constant
        self._y = np.zeros(O)
        self._trace = np.zeros(p.dendrites)
        self._reasons: set[str] = set()
        self._bound = (
            1.0 / np.array(settings.input_scale), 1.0 / np.array(settings.error_scale),
            settings.dead_zone, self._keep, self._push, self._z, self._c, self._e,
        )  # fmt: skip
        take(self._z, self._y, *self._bound)  # compiled now rather than at the first tick
        give(self._e, self._trace, self._keep, self._out, self._trace, self._y)
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
        """Return to rest; forget what was learnt, unless it is to be kept. What froze learning
        still does."""
        self.network.reset(keep_weights)
        for array in (self._z, self._y, self._trace):
            array[:] = 0.0
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
        fine = bool(take(z, e, *self._bound))
        if not fine:
            self.refused += 1
        learning = learn and fine and not self._reasons
        earned = self._trace if presynaptic is None else presynaptic
        x_hat = self.network.step(self._c, self._e, self._steps, learning, earned)
        give(x_hat, self.network.psi, self._keep, self._out, self._trace, self._y)
        return self._y


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def take(
    z: Any, e: Any, per_in: Any, per_err: Any, zone: Any, keep: Any, push: Any,
    before: Any, c: Any, error: Any,
) -> Any:  # fmt: skip
    """Write the drive and the error of a tick, scaled; return whether they are finite.

    Otherwise the inputs before hold, and the errors are none.
    """
    I, O = len(z), len(e)  # noqa: E741
    fine = True
    for i in range(I):
        fine = fine and np.isfinite(z[i])
    for j in range(O):
        fine = fine and np.isfinite(e[j])
    first = len(error) - O
    for i in range(I):
        x = min(max(z[i] * per_in[i], -RANGE), RANGE) if fine else before[i]
        c[i] = push * (x - keep * before[i])
        before[i] = x
    for j in range(O):
        off = min(max(e[j] * per_err[j], -RANGE), RANGE) if fine else 0.0
        error[first + j] = off - min(max(off, -zone), zone)
    return fine


@njit(cache=True)
def give(x_hat: Any, psi: Any, keep: Any, scale: Any, trace: Any, y: Any) -> None:
    """Write the outputs in their units, and let the trace follow the activity."""
    for k in range(len(psi)):
        trace[k] += (1.0 - keep) * (psi[k] - trace[k])
    first = len(x_hat) - len(y)
    for j in range(len(y)):
        y[j] = x_hat[first + j] * scale[j]
