"""Learning as Brian2-Loihi has it: every synapse has traces and random numbers of its own.

A step draws first, from what the last step has left; then takes the spikes that arrive; then
changes all at once:

    x ← ⌊(1 − 1/τ) x⌋ + up_x                  up_x: drawn, from x before the impulses of the step
    w ← clip(w + 2^k·(trunc(Δ/2^k) + up_w))   Δ: Δw, rounded away from zero; k low bits are cut off

Three things are the reference's own and kept, since exact means that. up_w is drawn from traces and
spikes before the step, when no spike is there, so that only terms with dependency u round up. In it
terms with a negative exponent count as 0. And weights that learn are not cut to their bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.arithmetic import ALIGN, truncated_bits
from kuwa_policies.emulator.learners import Learner, Stage
from kuwa_policies.emulator.profiles import Profile
from kuwa_policies.emulator.rules import DEPENDENCIES, TRACE_MAX, LearningRule

TRACES = ("x1", "x2", "y1", "y2", "y3")
SOURCE_TRACES = 2
CODES = ("x0", *TRACES, "y0", "w")
TAU_MAX = 2**31 - 1
CHANGE_MAX = 2.0**31 - 1
"""What the reference's integers hold."""
DIGITS = 15
"""With so many the reference writes 1 − 1/τ into the code that decays; into that which draws, with
all of them."""


def check(rule: LearningRule, what: str) -> None:
    """Refuse what Brian2-Loihi's rules cannot say.

    Raises:
        KuwaError: the part, and what it may be.
    """
    rule.check(what)
    if rule.dd or rule.dt:
        raise KuwaError(f"learning {what}: there are no tags; give dw alone")
    for name, value, only in (("epoch", rule.epoch, 1), ("seed", rule.seed, 0)):
        if value != only:
            reason = "weights change in every step" if name == "epoch" else "Emulator has the seed"
            raise KuwaError(f"learning {what}: {name} is {value}; expected {only}: {reason}")
    traces = dict(zip(TRACES, (*rule.x, *rule.y), strict=True))
    for name, trace in traces.items():
        whole = trace.impulse == int(trace.impulse) and trace.tau == int(trace.tau)
        if not whole or trace.tau > TAU_MAX or bool(trace.impulse) != bool(trace.tau):
            raise KuwaError(
                f"learning {what}: {name} has {trace}; expected whole numbers, both 0 or neither"
            )
    for product in rule.dw:
        for factor in product.factors:
            name = factor.variable
            if name in ("d", "t"):
                raise KuwaError(f"learning {what}: {name} is a tag; there are none")
            if name in traces and not traces[name].tau:
                raise KuwaError(f"learning {what}: {name} has no impulse and tau; give it both")
            if factor.constant and name != "w":
                raise KuwaError(
                    f"learning {what}: {factor}; constants are added to w alone: multiply out"
                )
    most = sum(
        abs(p.mantissa) * 2.0**p.exponent * float(np.prod([_most(f) for f in p.factors]))
        for p in rule.dw
    )
    if most > CHANGE_MAX:
        raise KuwaError(f"learning {what}: dw can reach {most:.3g}; expected less than 2³¹")


def _most(factor: Any) -> float:
    if factor.sign:
        return 1.0
    if factor.variable == "w":
        return 256.0 + abs(factor.constant)
    return float(TRACE_MAX if factor.variable in TRACES else 1)


def text(rule: LearningRule) -> str:
    """Return dw as Brian2-Loihi writes it; written otherwise it may mean something else there."""
    terms = []
    for p in rule.dw:
        dependency = f"u{rule.decimate}" if p.dependency == "u" else p.dependency
        factors = [str(f).replace("sgn", "sign") for f in p.factors]
        sign = "-" if p.mantissa < 0 else "+"
        terms.append(
            sign + "*".join([str(abs(p.mantissa)), f"2^{p.exponent}", dependency, *factors])
        )
    return "".join(terms).removeprefix("+")


@dataclass(frozen=True, slots=True)
class SynapticState:
    """State of a connection, all arrays of shape (source, target) at their end.

    Args:
        weights: what a spike adds. mantissas: w of the rule, which is not shifted.
        traces: x1, x2, y1, y2, y3, as each synapse has them, shape (5, source, target).
        late: spikes of the source that are on their way, a row for each step of delay.
    """

    rule: LearningRule
    given: NDArray[np.int32]
    weights: NDArray[np.int32]
    mantissas: NDArray[np.int32]
    traces: NDArray[np.int64]
    late: NDArray[np.uint8]
    learner: Learner = field(repr=False)
    bound: tuple[Any, ...] = field(repr=False)

    def reset(self, weights: NDArray[np.int32]) -> None:
        """Return to the start."""
        self.weights[:], self.mantissas[:] = weights, self.given
        self.traces[:], self.late[:] = 0, 0


class SynapticEngine:
    """Learning of all connections, which draw one after the other from one row of numbers.

    Args:
        learners: in the order of the connections.
        early: inputs arrive in their own step.
        seed: of NumPy's old generator, which the reference draws from.
    """

    def __init__(
        self, learners: list[Learner], stage: Stage, early: bool, profile: Profile, seed: int
    ) -> None:
        self.states = {m.index: _state(m, profile) for m in learners}
        self._stage, self._early, self._seed = stage, early, seed
        self.reset()

    def reset(self) -> None:
        """Return to the random numbers of the start."""
        self._random = np.random.RandomState(self._seed)

    def before(self, row: NDArray[np.uint8]) -> int:
        """Add what arrives in this step, then change traces and weights."""
        stage = self._stage
        step = int(stage.clock[0])
        now = stage.ring[step % len(stage.ring)]
        # As the reference computes time, from seconds: not always a whole number.
        time = step * 1e-3 / 1e-3
        evaluated = 0
        for index, s in self.states.items():
            m = s.learner
            spikes = row[m.source] if m.given and self._early else stage.spikes[m.source]
            if len(s.late):
                place = s.late[step % len(s.late)]
                pre = place.copy()
                place[:] = spikes
            else:
                pre = spikes
            post = stage.spikes[m.target]
            # A spike carries the weight that it finds when it arrives.
            active = np.flatnonzero(pre)
            sent = s.weights[active]
            now[m.start : m.start + s.weights.shape[1]] += sent.sum(axis=0, dtype=np.int32)
            stage.synapse_counts[index] += np.count_nonzero(sent)
            u = int(time % 2**s.rule.decimate == 0)
            draws = self._random.rand(s.bound[0], *s.weights.shape)
            evaluated += change(pre, post, u, draws, s.traces, s.mantissas, s.weights, *s.bound[1:])
        return evaluated

    def after(self) -> int:
        """Do nothing."""
        return 0


def _state(m: Learner, profile: Profile) -> SynapticState:
    rule = m.dense.learning
    assert isinstance(rule, LearningRule)
    shape = m.kept.weights.shape
    given = np.ascontiguousarray(np.asarray(m.dense.weights).T).astype(np.int32)
    traces = (*rule.x, *rule.y)
    impulses = np.array([int(t.impulse) for t in traces])
    keep = [1 - 1.0 / t.tau if t.tau else 0.0 for t in traces]
    kept = np.array([keep, [float(f"{k:.{DIGITS}g}") for k in keep]])
    present = impulses > 0
    low, high = profile.weight_ranges[m.kept.sign_mode]
    limits = (
        1 << truncated_bits(m.dense.bits, m.kept.sign_mode), low, high, m.dense.exponent,
        profile.effective_limit,
    )  # fmt: skip
    bound = (
        int(present.sum()) + 1, present, impulses, kept,
        bool(present[:SOURCE_TRACES].any()), bool(present[SOURCE_TRACES:].any()), *_tables(rule),
        *limits,
    )  # fmt: skip
    delay = int(m.kept.delays.flat[0])
    return SynapticState(
        rule, given, m.weights, given.copy(), np.zeros((5, *shape), np.int64),
        np.zeros((delay, shape[0]), np.uint8), m, bound,
    )  # fmt: skip


def _tables(rule: LearningRule) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return scales (of the change, of what is drawn), dependencies and factors of each product."""
    scales = np.array(
        [
            [p.mantissa * 2.0**p.exponent, p.mantissa * 2.0**p.exponent if p.exponent >= 0 else 0.0]
            for p in rule.dw
        ]
    )
    when = np.array([DEPENDENCIES.index(p.dependency) for p in rule.dw])
    widest = max(len(p.factors) for p in rule.dw)
    factors = np.full((len(rule.dw), max(widest, 1), 3), -1)
    for row, p in enumerate(rule.dw):
        for column, f in enumerate(p.factors):
            factors[row, column] = CODES.index(f.variable), f.constant, f.sign
    return scales, when, factors


# Numba leaves decorated functions untyped: the annotations are for readers.

W, X0, Y0 = CODES.index("w"), CODES.index("x0"), CODES.index("y0")


@njit(cache=True)
def change(
    pre: Any, post: Any, u: Any, draws: Any, traces: Any, mantissas: Any, weights: Any,
    present: Any, impulses: Any, kept: Any, x_there: Any, y_there: Any, scales: Any, when: Any,
    factors: Any, step: Any, low: Any, high: Any, exponent: Any, limit: Any,
) -> Any:  # fmt: skip
    """Take the spikes that arrive in a step, change traces and weights.

    Returns:
        synapses at which the rule was evaluated.

    Args:
        pre, post: spikes that arrive, 0 or 1. u: whether dependency u holds.
        draws: numbers of each trace that is there and of the weight, (traces + 1, source, target).
        kept: 1 − 1/τ to draw with, and to decay with, shape (2, 5).
        x_there, y_there: without traces of its kind a spike is no dependency.
        step: 2^k of the weights' bits.
    """
    values = np.zeros(8)
    up = np.zeros(5, np.int64)
    uses = [False, False, False]
    for p in range(len(when)):
        uses[when[p]] = True
    evaluated = 0
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            number = 0
            values[X0], values[Y0], values[W] = 0.0, 0.0, mantissas[i, j]
            for k in range(5):
                values[1 + k] = traces[k, i, j]
                if present[k]:
                    left = kept[0, k] * traces[k, i, j]
                    up[k] = 1 if left - np.floor(left) > draws[number, i, j] else 0
                    number += 1
            drawn = _away(_sum(values, u, 1, scales, when, factors))
            chance = (abs(drawn) % step) / step
            more = np.sign(drawn) if chance > draws[number, i, j] else 0
            for k in range(5):
                if present[k] and (pre[i] if k < SOURCE_TRACES else post[j]):
                    traces[k, i, j] = min(traces[k, i, j] + impulses[k], TRACE_MAX)
                    values[1 + k] = traces[k, i, j]
            values[X0] = 1.0 if x_there and pre[i] else 0.0
            values[Y0] = 1.0 if y_there and post[j] else 0.0
            if (uses[0] and pre[i]) or (uses[1] and post[j]) or (uses[2] and u):
                evaluated += 1
            rounded = _away(_sum(values, u, 0, scales, when, factors))
            whole = abs(rounded) // step * (1 if rounded >= 0 else -1)
            w = min(max(mantissas[i, j] + step * (whole + more), low), high)
            mantissas[i, j] = w
            scaled = np.int64(np.floor(w * 2.0**exponent)) << ALIGN
            weights[i, j] = min(max(scaled, -limit), limit)
            for k in range(5):
                if present[k]:
                    traces[k, i, j] = np.int64(np.floor(kept[1, k] * traces[k, i, j])) + up[k]
    return evaluated


@njit(cache=True)
def _sum(values: Any, u: Any, column: Any, scales: Any, when: Any, factors: Any) -> Any:
    total = 0.0
    for p in range(len(when)):
        scale = scales[p, column]
        active = u if when[p] == 2 else (values[X0] if when[p] == 0 else values[Y0])
        if active == 0 or scale == 0.0:
            continue
        product = scale
        for f in range(factors.shape[1]):
            code = factors[p, f, 0]
            if code < 0:
                break
            value = values[code] + factors[p, f, 1]
            product *= np.sign(value) if factors[p, f, 2] else value
        total += product
    return total


@njit(cache=True)
def _away(total: Any) -> Any:
    """Return a number rounded away from zero."""
    size = np.int64(np.ceil(abs(total)))
    return size if total >= 0 else -size
