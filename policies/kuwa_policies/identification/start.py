"""First guess of one function: a profile of the likelihood over the dead time, without dynamics.

Without inertia the joint follows the oil: q(t) = q0 + Σ_± Q_± ∫ φ_±(u(t − T))/D_±(q) dt with φ the
valve's curve through its lag. For given dead time T and dead band that is linear in Q_±, so that a
grid over both is cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from kuwa_machines.contracts import Array
from kuwa_policies.identification.fit import Objective
from kuwa_policies.identification.joint_log import JointLog
from kuwa_policies.identification.model import Function, MachineModel, changed, delayed
from kuwa_policies.identification.windows import Stretch

DEAD_TIMES = np.arange(0.0, 2.001, 0.04)
DEAD_BANDS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.10, 0.13, 0.17, 0.22, 0.30)
GRID = 0.02
"""Step of the coarse model [s]."""


@dataclass(frozen=True)
class Coarse:
    """A stretch on the coarse grid: edges (K+1,), 1/D (K, 2), measured q and block sums."""

    edges: Array
    over: Array
    q: Array
    block: Array


def first_guess(
    log: JointLog, stretches: list[Stretch], model: MachineModel, j: int
) -> tuple[Function, Array]:
    """Return the best function on the grid and its profile over the dead time.

    Returns:
        The function, and (dead time [s], share of the motion unexplained), shape (P, 2). A max
        flow that comes out negative means that the joint moves against its command.
    """
    function = model.prior[j]
    grids = [_coarse(log, s, model, j) for s in stretches]
    measured = np.concatenate([g.q for g in grids])
    total = float(measured @ measured)

    def unexplained(dead_time: float, dead_band: float) -> tuple[float, Array]:
        tried = changed(function, dead_time=dead_time, dead_band=dead_band)
        X = np.concatenate([
            _regressors(g, s, tried, j) for g, s in zip(grids, stretches, strict=True)
        ])  # fmt: skip
        gain, *_ = np.linalg.lstsq(X, measured, rcond=None)
        left = measured - X @ gain
        return float(left @ left) / total, gain

    band = function.dead_band
    for _ in range(2):
        profile = np.array([unexplained(T, band)[0] for T in DEAD_TIMES])
        best = float(DEAD_TIMES[int(np.argmin(profile))])
        band = min(DEAD_BANDS, key=lambda b: unexplained(best, b)[0])
    gain = unexplained(best, band)[1]
    return (
        changed(
            function, dead_time=best, dead_band=band,
            max_flow_negative=float(gain[0]), max_flow_positive=float(gain[1]),
        ),
        np.stack([DEAD_TIMES, profile], axis=1),
    )  # fmt: skip


def dead_time_profile(objective: Objective, guess: Function) -> tuple[Function, Array]:
    """Return the guess with the dead time and dead band that the whole model likes best.

    Inertia on soft oil answers late, which the coarse model takes for dead time.

    Returns:
        The function, and the profile (dead time [s], share of the motion unexplained), (P, 2).
    """
    measured = objective.about_mean()
    total = float(measured @ measured)

    def unexplained(**values: float) -> float:
        left, _ = objective.errors(changed(guess, **values))
        return float(left @ left) / total

    T = np.arange(max(guess.dead_time - 0.6, 0.0), min(guess.dead_time + 0.3, 2.0) + 1e-9, 0.05)
    profile = np.array([unexplained(dead_time=t) for t in T])
    guess = changed(guess, dead_time=float(T[int(np.argmin(profile))]))
    near = [guess.dead_band * k for k in (0.7, 0.85, 1.0, 1.15, 1.3)] + [guess.dead_band + 0.01]
    guess = changed(guess, dead_band=min(near, key=lambda b: unexplained(dead_band=b)))
    return guess, np.stack([T, profile], axis=1)


def _coarse(log: JointLog, stretch: Stretch, model: MachineModel, j: int) -> Coarse:
    t = log.t[stretch.rows]
    edges = t[0] + GRID * np.arange(max(int((t[-1] - t[0]) / GRID), 2) + 1)
    q = np.empty((len(edges), len(log.joints)))
    for i in range(q.shape[1]):
        good = np.isfinite(log.q[stretch.rows, i])
        q[:, i] = np.interp(edges, t[good], log.q[stretch.rows[good], i]) if good.any() else 0.0
    over = 1.0 / np.maximum(model.displacement(q[:-1])[:, j], 1e-9)
    block = np.searchsorted(t, edges[1:]).clip(max=len(t) - 1)
    block = stretch.block[block] - stretch.block[0]
    return Coarse(edges, over, _about_mean(q[1:, j], block), block)


def _regressors(grid: Coarse, stretch: Stretch, function: Function, j: int) -> Array:
    """Return the motion per unit of max flow in each direction, (K, 2); 0 = negative."""
    w = stretch.window
    fraction = function.flow_fraction(w.command[:, j])
    target = delayed(w.t, fraction, grid.edges - function.dead_time)
    pole = np.exp(-GRID / function.time_constant)
    flow = lfilter([1.0 - pole], [1.0, -pole], target)
    sides = np.stack([np.minimum(flow, 0.0), np.maximum(flow, 0.0)], axis=1)
    x = np.cumsum(sides * grid.over * GRID, axis=0)
    return np.stack([_about_mean(column, grid.block) for column in x.T], axis=1)


def _about_mean(values: Array, block: Array) -> Array:
    count = np.bincount(block)
    mean = np.bincount(block, values) / np.maximum(count, 1)
    return np.asarray(values - mean[block])
