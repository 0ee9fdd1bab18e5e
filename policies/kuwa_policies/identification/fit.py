"""The fit of one function: simulated motion against measured, with intervals that are honest.

Non-linear least squares of the output error (Ljung 1999, *System Identification*, ch. 7): the
position in blocks about each block's mean, and the velocity where it was measured, each block
weighed by what the model leaves unexplained. Intervals come from the covariance clustered by block
(Liang and Zeger 1986), (JᵀJ)⁻¹ (Σ_b g_b g_bᵀ) (JᵀJ)⁻¹, which holds when what is left within a
block hangs together, as what a model leaves out does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from kuwa_machines.contracts import Array
from kuwa_policies.identification.descent import descend
from kuwa_policies.identification.joint_log import JointLog
from kuwa_policies.identification.kernel import STEP
from kuwa_policies.identification.model import Function, MachineModel, changed
from kuwa_policies.identification.windows import Stretch

LOGARITHMIC = (
    "time_constant", "max_flow_positive", "max_flow_negative", "damping_time", "stiffness",
    "ground", "footing", "ground_damping", "slide",
)  # fmt: skip
NUISANCE = {
    "damping_time": 0.5, "stiffness": 0.3, "ground": 0.7, "footing": 0.15, "ground_damping": 0.3,
    "slide": 0.7,
}  # fmt: skip
"""Fitted beside, with the spread of the logarithm that the guess deserves."""
BOUNDS = {
    "dead_time": (0.0, 2.0), "dead_band": (0.0, 0.45), "curve": (1.0, 4.0),
    "time_constant": (0.005, 1.5), "damping_time": (1e-4, 1.0), "stiffness": (0.05, 5.0),
    "ground": (0.02, 20.0), "footing": (0.1, 3.0), "ground_damping": (0.05, 5.0),
    "slide": (0.02, 20.0),
}  # fmt: skip
FLOW_BOUNDS = (0.1, 5.0)
"""Of a max flow, relative to the data file's."""
DIFFERENCE = {"dead_time": 1e-3, "dead_band": 2e-4, "curve": 1e-3}
"""Steps of the finite differences; 1e-3 of a logarithm."""
TOLERANCES = (1e-3, 1e-3, 1e-5)
"""The promise that ends each round; its weights are what the one before leaves unexplained."""
NOTICED = 3.0
"""A nuisance whose guess may be off by less than this many deviations of all data stays fixed."""
RESOLUTION = {"dead_time": STEP, "time_constant": STEP}
"""The simulator knows no times shorter than its step, so no interval is narrower [s]."""


@dataclass(frozen=True)
class Weights:
    """Standard deviations by block of position [rad] and velocity [rad/s], shape (blocks,)."""

    q: Array
    qd: Array


@dataclass(frozen=True)
class Fit:
    """A fitted function with 95 % intervals by parameter, and parameters stuck at a bound."""

    function: Function
    intervals: dict[str, tuple[float, float]]
    at_bound: tuple[str, ...]
    weights: Weights


class Objective:
    """The residuals of one function over its stretches.

    Args:
        others: what the other functions are taken to be.
    """

    def __init__(
        self, log: JointLog, stretches: list[Stretch], model: MachineModel, j: int,
        others: list[Function],
    ) -> None:  # fmt: skip
        self.model, self.j, self.others = model, j, others
        self.stretches = stretches
        self.t = [log.t[s.rows] for s in stretches]
        self.q = np.concatenate([log.q[s.rows, j] for s in stretches])
        qd = log.qd
        self.qd = None if qd is None else np.concatenate([qd[s.rows, j] for s in stretches])
        block = np.concatenate([s.block for s in stretches])
        self.good = np.isfinite(self.q)
        self.block = np.unique(block, return_inverse=True)[1]
        self.blocks = int(self.block.max()) + 1
        self._count = np.maximum(np.bincount(self.block[self.good], minlength=self.blocks), 1)

    def motion(self, function: Function) -> tuple[Array, Array]:
        """Return the modelled position and velocity at the measurements, shape (N,) each."""
        functions = list(self.others)
        functions[self.j] = function
        q, qd = [], []
        for stretch, t in zip(self.stretches, self.t, strict=True):
            time, x, v = self.model.simulate(stretch.window, functions, function)
            q.append(np.interp(t, time, x[:, self.j]))
            qd.append(np.interp(t, time, v[:, self.j]))
        return np.concatenate(q), np.concatenate(qd)

    def errors(self, function: Function) -> tuple[Array, Array]:
        """Return measured less modelled position about each block's mean, and velocity.

        Missing samples are zero.
        """
        q, qd = self.motion(function)
        left = np.where(self.good, self.q - q, 0.0)
        mean = np.bincount(self.block, left, minlength=self.blocks) / self._count
        left = np.where(self.good, left - mean[self.block], 0.0)
        speed = np.zeros_like(left) if self.qd is None else np.nan_to_num(self.qd - qd)
        return left, speed

    def first_weights(self) -> Weights:
        """Return equal weights of a usual encoder; the velocity's are zero where there is none."""
        each = np.ones(self.blocks)
        return Weights(5e-4 * each, (5e-3 if self.qd is not None else np.inf) * each)

    def weights(self, r: Array) -> Weights:
        """Return weights from what is left unexplained, ``r`` being position then velocity.

        A block that the model explains worse than the usual one counts less, by how much worse it
        is: the machine tipped there, or touched the ground.
        """
        N = len(self.q)
        out = []
        for part, floor in ((r[:N], 1e-6), (r[N : 2 * N], 1e-5)):
            rms = np.sqrt(np.bincount(self.block, part**2) / self._count)
            out.append(np.maximum(rms, max(float(np.median(rms)), floor)))
        return Weights(out[0], out[1] if self.qd is not None else np.full(self.blocks, np.inf))

    def about_mean(self) -> Array:
        """Return the measured position about each block's mean; missing samples are zero."""
        mean = np.bincount(self.block, np.where(self.good, self.q, 0.0)) / self._count
        return np.where(self.good, self.q - mean[self.block], 0.0)


def fit(objective: Objective, start: Function, free: tuple[str, ...]) -> Fit:
    """Fit the ``free`` parameters from ``start``, then with them the nuisance that can be seen."""
    function, weights = start, objective.first_weights()
    names: tuple[str, ...] = free
    for tolerance in TOLERANCES:
        search = _Search(objective, function, names, weights)
        x, r, J = descend(search.residuals, search.x, *search.bounds, search.step, tolerance)
        function = search.function(x)
        weights = objective.weights(search.unscaled(r))
        if names is free:
            names = (*free, *search.seen(x, r))
    error = _standard_errors(J, r, objective)
    reach = error * float(student.ppf(0.975, max(objective.blocks - len(names), 3)))
    low, high = search.bounds
    near = 1e-3 * (high - low)
    stuck = (x - low < near) | (high - x < near)
    intervals = {}
    for name, a, d in zip(names, x, reach, strict=True):
        less, more = _value(name, a - d), _value(name, a + d)
        value, floor = getattr(function, name), RESOLUTION.get(name, 0.0)
        less = value - float(np.hypot(value - less, floor))
        more = value + float(np.hypot(more - value, floor))
        intervals[name] = (less, more)
    at_bound = tuple(name for name, bad in zip(names, stuck, strict=True) if bad)
    return Fit(function, intervals, at_bound, weights)


class _Search:
    """The residuals of an objective as a function of some parameters, scaled for the descent."""

    def __init__(
        self, objective: Objective, start: Function, names: tuple[str, ...], weights: Weights
    ) -> None:
        self.objective, self.start, self.names = objective, start, names
        prior = objective.model.prior[objective.j]
        self.bounds = _bounds(names, prior)
        self.x = _pack(start, names)
        self.centre = _pack(prior, names)
        self.spread = np.array([NUISANCE.get(name, np.inf) for name in names])
        self.step = np.array([DIFFERENCE.get(name, 1e-3) for name in names])
        block = objective.block
        self.scale = np.concatenate([
            1 / weights.q[block], 1 / weights.qd[block], np.ones(len(names)),
        ])  # fmt: skip

    def function(self, x: Array) -> Function:
        """Return the function that the parameters ``x`` make."""
        return _unpack(self.start, self.names, x)

    def residuals(self, x: Array) -> Array:
        """Return what is left of position, velocity and guesses, in standard deviations."""
        left, speed = self.objective.errors(self.function(x))
        return np.concatenate([left, speed, (x - self.centre) / self.spread]) * self.scale

    def unscaled(self, r: Array) -> Array:
        """Return residuals in their own units; zero where they do not count."""
        return np.divide(r, self.scale, out=np.zeros_like(r), where=self.scale > 0)

    def seen(self, x: Array, r: Array) -> tuple[str, ...]:
        """Return the nuisance whose guess, one deviation off, would be noticed."""
        here, out = self.function(x), []
        for name, spread in NUISANCE.items():
            off = changed(here, **{name: getattr(here, name) * float(np.exp(0.3 * spread))})
            N = 2 * len(self.objective.q)
            moved = np.concatenate(self.objective.errors(off)) * self.scale[:N] - r[:N]
            if float(moved @ moved) / 0.3**2 > NOTICED**2:
                out.append(name)
        return tuple(out)


def _standard_errors(J: Array, r: Array, objective: Objective) -> Array:
    """Return standard errors from the covariance clustered by block, shape (p,)."""
    p = J.shape[1]
    N, B = len(objective.q), objective.blocks
    # A direction that nothing shows gets an error beyond every bound instead of a division by 0.
    bread = np.linalg.inv(J.T @ J + 1e-9 * np.eye(p))
    scores = J[:N] * r[:N, None] + J[N : 2 * N] * r[N : 2 * N, None]
    g = np.stack([np.bincount(objective.block, column, minlength=B) for column in scores.T], 1)
    covariance = bread @ (g.T @ g) @ bread * B / max(B - p, 1)
    return np.sqrt(np.maximum(np.diag(covariance), np.diag(bread)))


def _bounds(names: tuple[str, ...], prior: Function) -> tuple[Array, Array]:
    pairs = []
    for name in names:
        if name.startswith("max_flow"):
            pairs.append(tuple(float(getattr(prior, name)) * b for b in FLOW_BOUNDS))
        else:
            pairs.append(BOUNDS[name])
    ends = np.array(pairs).T
    return _transform(names, ends[0]), _transform(names, ends[1])


def _transform(names: tuple[str, ...], values: Array) -> Array:
    return np.array([
        np.log(v) if name in LOGARITHMIC else v for name, v in zip(names, values, strict=True)
    ])  # fmt: skip


def _value(name: str, x: float) -> float:
    return float(np.exp(x)) if name in LOGARITHMIC else float(x)


def _pack(function: Function, names: tuple[str, ...]) -> Array:
    return _transform(names, np.array([getattr(function, name) for name in names]))


def _unpack(function: Function, names: tuple[str, ...], x: Array) -> Function:
    return changed(function, **{n: _value(n, v) for n, v in zip(names, x, strict=True)})
