"""The prescribed error sensitivity rule (PES) in the integers of Nengo-Loihi's emulator.

    x ← round(e^(−2/τ) x + impulse·spiked),               every 2 steps, 7 bits
    w ← round(w + mantissa·2^exponent·2^5·x·(∓e)/2^7),    every 4 steps, 8 bits

with stochastic rounding of magnitudes. The target's neurons are pairs: its first half learns from
−e, its second from e, e an error of 7 bits and sign that comes from outside. Random numbers are the
reference's own, drawn in its order, those of its neurons' noise included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.arithmetic import ALIGN, truncated_bits
from kuwa_policies.emulator.rules import TRACE_MAX, Trace

TRACE_EPOCH = 2
"""Steps between changes of traces; LEARN_EPOCH: of weights."""
LEARN_EPOCH = 4
LEARN_BITS = 7
"""More bits of a weight while it is changed."""
OVERFLOW_BITS = 2
"""What two factors of 7 bits and a mantissa of 3 exceed a sum of 15 bits by."""
ERROR_MAX = 127
IMPULSE_PARTS = 128
RATE_EXPONENT = -7


@dataclass(frozen=True, slots=True)
class Pes:
    """PES in profile ``nengo-loihi``.

    Args:
        trace: of the source: its impulse 0 … 127 127/128, in steps of 1/128; its tau [steps].
        mantissa: of the learning rate, 1 … 7. exponent: −7 … 7.
        error_scale: integer units of the error in a unit of it.
    """

    trace: Trace
    mantissa: int = 1
    exponent: int = RATE_EXPONENT
    error_scale: float = 100.0

    def check(self, what: str, targets: int) -> None:
        """Refuse what the reference does not have.

        Raises:
            KuwaError: the number, and what it may be.
        """
        for name, value, least, most in (
            ("mantissa", self.mantissa, 1, 7),
            ("exponent", self.exponent, RATE_EXPONENT, 7),
        ):
            if value != int(value) or not least <= value <= most:
                raise KuwaError(f"learning {what}: {name} is {value}; expected {least} to {most}")
        impulse, tau = self.trace.impulse, self.trace.tau
        if not 0 < impulse < TRACE_MAX + 1 or impulse * IMPULSE_PARTS % 1:
            raise KuwaError(
                f"learning {what}: an impulse of {impulse}; expected 1/128 to 127 127/128 in steps "
                f"of 1/128"
            )
        if tau != int(tau) or not 1 <= tau < 2**31:
            raise KuwaError(f"learning {what}: tau is {tau} steps; expected whole steps from 1 on")
        if not 0 < self.error_scale < np.inf:
            raise KuwaError(f"learning {what}: error_scale is {self.error_scale}; above 0 expected")
        if targets % 2:
            raise KuwaError(
                f"learning {what}: {targets} neurons learn; expected pairs, first half and second"
            )


def discretised(
    learning_rate: float,
    tau: float,
    neurons: int,
    weight_scale: float,
    dt: float = 1e-3,
    error_scale: float = 100.0,
) -> Pes:
    """Return the rule that Nengo-Loihi makes of Nengo's PES: rate 2⁻⁷, all else in the impulse.

    Args:
        learning_rate: of Nengo's PES. tau: of its presynaptic filter [s].
        neurons: of the source.
        weight_scale: weight mantissas in a unit of weight.
        dt: step [s].

    Raises:
        KuwaError: an impulse that has no register: the rate is too large, or too small.
    """
    given = (learning_rate, tau, neurons, weight_scale, dt, error_scale)
    if not all(0 < value < np.inf for value in given):
        raise KuwaError(
            f"learning rate {learning_rate:g}, tau {tau:g} s, {neurons} neurons, weight scale "
            f"{weight_scale:g}, dt {dt:g} s, error scale {error_scale:g}: all must be above 0"
        )
    steps = round(tau / dt)
    if steps < 1:
        raise KuwaError(f"tau is {tau:g} s; expected at least half a step of {dt:g} s")
    rate = learning_rate * dt / neurons / error_scale * LEARN_EPOCH
    rate *= weight_scale
    rate *= 2**OVERFLOW_BITS
    lost = 2**RATE_EXPONENT / rate
    rate *= lost
    impulse = -np.expm1(-1.0 / steps) / dt**2 / lost
    whole = int(impulse)
    part = int(IMPULSE_PARTS * (impulse - whole))
    if whole > TRACE_MAX or whole + part == 0:
        raise KuwaError(
            f"a learning rate of {learning_rate:g} asks for traces that rise by {impulse:.3g} at a "
            f"spike; expected {1 / IMPULSE_PARTS} to {TRACE_MAX}: change the rate, tau or the "
            f"error's scale"
        )
    exponent = int(np.floor(np.log2(rate)))
    mantissa = int(np.round(rate * 2.0**-exponent))
    return Pes(Trace(whole + part / IMPULSE_PARTS, steps), mantissa, exponent, error_scale)


@dataclass(frozen=True, slots=True)
class PesState:
    """State of a connection.

    Args:
        weights: what a spike adds, shape (source, target).
        trace: of the source, shape (source,). waiting: has spiked since traces were changed.
        error: shape (target / 2,), integers.
    """

    rule: Pes
    weights: NDArray[np.int32]
    trace: NDArray[np.int64]
    waiting: NDArray[np.uint8]
    error: NDArray[np.int64]
    source: slice
    bits: tuple[int, int] = field(repr=False)

    def set_error(self, error: ArrayLike) -> None:
        """Take an error that holds until the next one, in the rule's units, shape (target / 2,).

        Raises:
            KuwaError: another shape, or values that are not finite.
        """
        given = np.asarray(error, float)
        if given.shape != self.error.shape:
            raise KuwaError(f"the error has shape {given.shape}; expected {self.error.shape}")
        if not np.isfinite(given).all():
            raise KuwaError(f"the error is {given}; expected finite numbers")
        scaled = np.clip(np.round(self.rule.error_scale * given), -ERROR_MAX, ERROR_MAX)
        self.error[:] = scaled.astype(np.int64)

    def reset(self, weights: NDArray[np.int32]) -> None:
        """Return to the start."""
        self.weights[:] = weights
        for array in (self.trace, self.waiting, self.error):
            array[:] = 0


class PesEngine:
    """PES of all connections, which share one row of random numbers.

    Args:
        states: by index, in the order in which the reference draws for them.
        spikes, clock: the emulator's. neurons: how many.
        seed: of the reference's ``RandomState``.
    """

    def __init__(
        self,
        states: Mapping[int, PesState],
        spikes: NDArray[np.uint8],
        clock: NDArray[np.int64],
        neurons: int,
        seed: int,
    ) -> None:
        self.states = dict(states)
        self._spikes, self._clock, self._neurons, self._seed = spikes, clock, neurons, seed
        self.reset()
        for s in self.states.values():
            # Compiled now rather than at the first step that learns: nothing is learnt from rest.
            self._change_traces(s)
            self._change_weights(s)
        self.reset()

    def reset(self) -> None:
        """Return to the random numbers of the start."""
        self._random = np.random.RandomState(self._seed)

    def before(self, row: NDArray[np.uint8]) -> int:
        """Change traces and weights from the spikes of the last step, which arrive in this one."""
        step = int(self._clock[0]) + 1
        for s in self.states.values():
            s.waiting[:] |= self._spikes[s.source]
            if step % TRACE_EPOCH == 0:
                self._change_traces(s)
        evaluated = 0
        if step % LEARN_EPOCH == 0:
            for s in self.states.values():
                self._change_weights(s)
                evaluated += s.weights.size
        # The noise of the neurons, which the reference draws whether they have any or not.
        self._random.randint(-127, 128, size=self._neurons, dtype=np.int32)
        return evaluated

    def _change_traces(self, s: PesState) -> None:
        kept = np.exp(-TRACE_EPOCH / int(s.rule.trace.tau))
        draws = self._random.rand(len(s.trace))
        _traces(s.trace, s.waiting, kept, float(s.rule.trace.impulse), draws)

    def _change_weights(self, s: PesState) -> None:
        error = np.hstack([-s.error, s.error])
        rate = LEARN_BITS + s.rule.exponent - OVERFLOW_BITS
        draws = self._random.rand(*s.weights.shape)
        _weights(s.weights, s.trace, error, s.rule.mantissa, rate, *s.bits, draws)

    def after(self) -> int:
        """Do nothing."""
        return 0


def pes_state(
    rule: Pes, weights: NDArray[np.int32], source: slice, exponent: int, bits: int, mode: Any
) -> PesState:
    """Return the state of a connection.

    Args:
        weights: which the kernel reads, shape (source, target).
        exponent, bits, mode: of the connection as it was given.
    """
    sources, targets = weights.shape
    return PesState(
        rule, weights, np.zeros(sources, np.int64), np.zeros(sources, np.uint8),
        np.zeros(targets // 2, np.int64), source, (exponent + ALIGN, truncated_bits(bits, mode)),
    )  # fmt: skip


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def _traces(trace: Any, waiting: Any, kept: Any, impulse: Any, draws: Any) -> None:
    for i in range(len(trace)):
        value = kept * trace[i]
        if waiting[i]:
            value += impulse
        trace[i] = min(_rounded(value, draws[i]), TRACE_MAX)
        waiting[i] = 0


@njit(cache=True)
def _weights(
    weights: Any, trace: Any, error: Any, mantissa: Any, rate: Any, exponent: Any, cut: Any,
    draws: Any,
) -> None:  # fmt: skip
    """Add the change to every weight.

    Args:
        error: of each target. rate: shift of a product to the weight's 7 more bits.
        exponent: of a weight, alignment included. cut: its low bits that are not there.
    """
    most = (1 << (8 - cut)) - 1
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            change = trace[i] * error[j] * mantissa
            change = change << rate if rate >= 0 else change >> -rate
            up = LEARN_BITS - exponent
            fine = np.int64(weights[i, j])
            fine = (fine << up if up >= 0 else fine >> -up) + change
            size = min(_rounded(abs(fine) / (1 << (LEARN_BITS + cut)), draws[i, j]), most)
            weights[i, j] = (size if fine >= 0 else -size) << (exponent + cut)


@njit(cache=True)
def _rounded(value: Any, draw: Any) -> Any:
    whole = np.floor(value)
    return np.int64(whole) + (1 if value - whole > draw else 0)
