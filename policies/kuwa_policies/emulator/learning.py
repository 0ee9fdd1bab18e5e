"""Learning with traces in the integers of a learning engine.

Traces have 7 bits, sums 15 bits and sign, weights and tags 8 bits and sign; traces decay and sums
go back to weights with stochastic rounding. This is Lava's bit-approximate learning to the bit,
random numbers included; the chip itself differs (Lava's documentation says so).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_policies.emulator.learners import Learner, Stage
from kuwa_policies.emulator.rules import (
    DEPENDENCIES,
    TARGETS,
    TRACE_MAX,
    VARIABLES,
    LearningRule,
)

X0, X1, X2, Y0, Y1, Y2, Y3, W, D, T = range(len(VARIABLES))
WIDTHS = (1, 7, 7, 1, 7, 7, 7, 9, 9, 9)
"""Bits to which each factor is held, in the order of VARIABLES."""
ACCUMULATOR_BITS = 15
MANTISSA_BITS = 4
FRACTION_BITS = ACCUMULATOR_BITS - 8


@dataclass(frozen=True, slots=True)
class Plasticity:
    """State of a learning connection; weights and tags have shape (source, target).

    Args:
        x: traces of the source, shape (2, source). tx: step of its spike in the epoch, 0 for none.
        y: traces of the target, shape (3, target). ty: as ``tx``.
        tag_1, tag_2: t and d of the rule.
    """

    rule: LearningRule
    weights: NDArray[np.int32]
    sign_mode: str
    x: NDArray[np.int64]
    tx: NDArray[np.int64]
    y: NDArray[np.int64]
    ty: NDArray[np.int64]
    tag_1: NDArray[np.int32]
    tag_2: NDArray[np.int32]
    bound: tuple[Any, ...] = field(default=(), repr=False)

    def reset(self, weights: NDArray[np.int32]) -> None:
        """Return to the start, random numbers included."""
        self.weights[:] = weights
        for array in (self.x, self.tx, self.y, self.ty, self.tag_1, self.tag_2):
            array[:] = 0
        for generator, fresh in zip(self.bound[0], _generators(self.rule.seed), strict=True):
            generator.bit_generator.state = fresh.bit_generator.state


class EpochEngine:
    """Learning of all connections, each with random numbers of its own."""

    def __init__(self, learners: list[Learner], stage: Stage) -> None:
        self.states = {
            m.index: plasticity(m.dense.learning, m.weights, m.kept.sign_mode)
            for m in learners
            if isinstance(m.dense.learning, LearningRule)
        }
        self._ends = {m.index: (m.source, m.target) for m in learners}
        self._stage = stage

    def before(self, row: NDArray[np.uint8]) -> int:
        """Do nothing."""
        return 0

    def after(self) -> int:
        """Take the spikes of the step."""
        step, spikes = int(self._stage.clock[0]), self._stage.spikes
        evaluated = 0
        for index, state in self.states.items():
            source, target = self._ends[index]
            evaluated += learn(step, spikes[source], spikes[target], *state.bound)
        return evaluated

    def reset(self) -> None:
        """Do nothing: states return to their own random numbers."""


def _generators(seed: int) -> tuple[np.random.Generator, ...]:
    """Decay and impulse of source and target, and the weights: seeded as Lava does it, and with the
    number drawn that Lava draws at its start and never uses.
    """
    made = tuple(np.random.default_rng(s) for s in (seed, seed + 1, seed + 2, seed + 3, 2))
    for index, generator in enumerate(made):
        if index in (1, 3):
            generator.integers(0, 128, size=1)
        else:
            generator.random()
    return made


def plasticity(rule: LearningRule, weights: NDArray[np.int32], sign_mode: str) -> Plasticity:
    """Return the state of a connection that learns, with all that its kernels need bound."""
    sources, targets = weights.shape
    x, y = np.zeros((2, sources), np.int64), np.zeros((3, targets), np.int64)
    tx, ty = np.zeros(sources, np.int64), np.zeros(targets, np.int64)
    tag_1, tag_2 = np.zeros(weights.shape, np.int32), np.zeros(weights.shape, np.int32)
    traces = (*rule.x, *rule.y)
    impulses = np.array([t.impulse for t in traces])
    whole = np.floor(impulses)
    parts = np.stack([whole, np.round((impulses - whole) * 256)]).astype(np.int64)
    taus = np.array([t.tau for t in traces], float)
    keep = np.zeros(5)
    with np.errstate(divide="ignore"):
        keep[:] = np.where(taus != 0, np.exp(-1 / taus), 0.0)
    numbers, factors = _tables(rule)
    mode = {"mixed": 0, "excitatory": 1, "inhibitory": -1}[sign_mode]
    history = (
        np.zeros((rule.epoch + 1, 2, sources), np.int64),
        np.zeros((rule.epoch + 1, 3, targets), np.int64),
    )
    bound = (
        _generators(rule.seed), weights, mode, x, tx, y, ty, tag_1, tag_2, parts, keep, numbers,
        factors, rule.epoch, rule.decimate, *history,
    )  # fmt: skip
    return Plasticity(rule, weights, sign_mode, x, tx, y, ty, tag_1, tag_2, bound)


def _tables(rule: LearningRule) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return products (target, dependency, mantissa, right and left shift, factors) and factors."""
    products = [(k, p) for k, name in enumerate(TARGETS) for p in getattr(rule, name)]
    widest = max((len(p.factors) for _, p in products), default=0)
    numbers = np.zeros((len(products), 6), np.int64)
    factors = np.zeros((len(products), max(widest, 1), 4), np.int64)
    for row, (target, p) in enumerate(products):
        codes = [VARIABLES.index(f.variable) for f in p.factors]
        width = sum(WIDTHS[c] for c in codes) + MANTISSA_BITS
        numbers[row] = (
            target, DEPENDENCIES.index(p.dependency), p.mantissa,
            max(0, width - ACCUMULATOR_BITS), p.exponent + 7, len(codes),
        )  # fmt: skip
        for column, (code, f) in enumerate(zip(codes, p.factors, strict=True)):
            factors[row, column] = code, f.constant, f.sign, WIDTHS[code]
    return numbers, factors


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def learn(
    step: Any, pre: Any, post: Any,
    generators: Any, weights: Any, mode: Any, x: Any, tx: Any, y: Any, ty: Any, tag_1: Any,
    tag_2: Any, parts: Any, keep: Any, numbers: Any, factors: Any, epoch: Any, decimate: Any,
    x_history: Any, y_history: Any,
) -> Any:  # fmt: skip
    """Take the spikes of a step and, at the end of an epoch, change traces, weights and tags.

    Returns:
        synapses at which the rule was evaluated.

    Args:
        step: 1 for the first one.
        pre, post: spikes of this step, 0 or 1.
    """
    x_decay, x_impulse, y_decay, y_impulse, rounding = generators
    within = (step - 1) % epoch + 1
    for i in range(len(pre)):
        if pre[i]:
            if tx[i] > 0:
                for k in range(2):
                    x[k, i] = _impulse(x[k, i], 0, parts[0, k], parts[1, k])
            tx[i] = within
    x_decay.random()
    x_impulse.integers(0, 128)
    y_decay.random()
    random = y_impulse.integers(0, 128)
    for j in range(len(post)):
        if post[j]:
            if ty[j] > 0:
                for k in range(3):
                    y[k, j] = _impulse(y[k, j], random, parts[0, 2 + k], parts[1, 2 + k])
            ty[j] = within
    x_lost, x_random = x_decay.random(), x_impulse.integers(0, 128)
    y_lost, y_random = y_decay.random(), y_impulse.integers(0, 128)
    if within < epoch:
        return 0
    up = rounding.random()
    _fill(x, tx, x_history, keep[:2], parts[:, :2], x_lost, x_random)
    _fill(y, ty, y_history, keep[2:], parts[:, 2:], y_lost, y_random)
    u = 1 if (step // epoch) % (1 << decimate) == 0 else 0
    values = np.zeros(10, np.int64)
    sums = np.zeros(3, np.int64)
    uses_x, uses_y, uses_u = _used(numbers)
    evaluated = 0
    for i in range(len(tx)):
        for j in range(len(ty)):
            if not ((uses_x and tx[i] > 0) or (uses_y and ty[j] > 0) or (uses_u and u)):
                continue
            evaluated += 1
            values[X0], values[Y0] = tx[i] > 0, ty[j] > 0
            values[W], values[D], values[T] = weights[i, j], tag_2[i, j], tag_1[i, j]
            for k in range(3):
                sums[k] = values[W + k] << FRACTION_BITS
            _sum(values, sums, tx[i], ty[j], u, i, j, x_history, y_history, numbers, factors)
            # Weights keep to their sign, the second tag is not negative.
            if (mode > 0 and sums[0] < 0) or (mode < 0 and sums[0] > 0):
                sums[0] = 0
            w = _rounded(sums[0], up)
            low, high = (-256, 255) if mode == 0 else ((0, 255) if mode > 0 else (-255, 0))
            weights[i, j] = min(max(w, low), high)
            tag_2[i, j] = min(_rounded(max(sums[1], 0), up), 255)
            tag_1[i, j] = min(max(_rounded(sums[2], up), -257), 255)
    tx[:] = 0
    ty[:] = 0
    return evaluated


@njit(cache=True)
def _used(numbers: Any) -> Any:
    used = [False, False, False]
    for p in range(len(numbers)):
        used[numbers[p, 1]] = True
    return used[0], used[1], used[2]


@njit(cache=True)
def _impulse(trace: Any, random: Any, whole: Any, part: Any) -> Any:
    return min(max(trace + whole + (1 if random < part else 0), 0), TRACE_MAX)


@njit(cache=True)
def _fill(
    traces: Any, spiked: Any, history: Any, keep: Any, parts: Any, lost: Any, up: Any
) -> None:
    """Compute traces at every step of the epoch and leave the last ones in ``traces``."""
    for k in range(traces.shape[0]):
        for i in range(traces.shape[1]):
            value = traces[k, i]
            history[0, k, i] = value
            for t in range(1, len(history)):
                left = keep[k] * value
                whole = np.floor(left)
                value = np.int64(whole) + (1 if lost < left - whole else 0)
                if spiked[i] == t:
                    value = _impulse(value, up, parts[0, k], parts[1, k])
                history[t, k, i] = value
            traces[k, i] = value


@njit(cache=True)
def _sum(
    values: Any, sums: Any, tx: Any, ty: Any, u: Any, i: Any, j: Any, x_history: Any,
    y_history: Any, numbers: Any, factors: Any,
) -> None:  # fmt: skip
    """Add every product to the sum of its target."""
    most = (1 << ACCUMULATOR_BITS) - 1
    last = len(x_history) - 1
    for p in range(len(numbers)):
        target, dependency, mantissa, right, left, count = numbers[p]
        active = values[X0] if dependency == 0 else (values[Y0] if dependency == 1 else u)
        t = tx if dependency == 0 else (ty if dependency == 1 else last)
        for k in range(2):
            values[X1 + k] = x_history[t, k, i]
        for k in range(3):
            values[Y1 + k] = y_history[t, k, j]
        product = np.int32(active)
        for f in range(count):
            code, constant, sign, width = factors[p, f]
            value = values[code] + constant
            if sign:
                value = np.sign(value)
            value = min(max(value, -(1 << width)), (1 << width) - 1)
            product = np.int32(product * value)
        product = np.int32(product * mantissa)
        product = np.int32((product >> right) << left)
        change = min(max(np.int64(product), -most - 2), most)
        sums[target] = min(max(sums[target] + change, -most - 2), most)


@njit(cache=True)
def _rounded(total: Any, random: Any) -> Any:
    """Return a sum in whole units, the rest rounded up with its own probability."""
    part = (total & ((1 << FRACTION_BITS) - 1)) / (1 << FRACTION_BITS)
    return (total >> FRACTION_BITS) + (1 if random < part else 0)
