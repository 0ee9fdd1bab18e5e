"""Levenberg and Marquardt's descent within bounds, thrifty with evaluations of a simulated motion.

One Jacobian by forward differences serves all trials of a step (Nocedal and Wright 2006, ch. 10.3).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array

MOST_STEPS = 25
MOST_TRIALS = 8


def descend(
    residuals: Callable[[Array], Array], x: Array, low: Array, high: Array, difference: Array,
    tolerance: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Minimise |r(x)|² for low ≤ x ≤ high.

    Args:
        x: start, shape (p,). difference: steps of the finite differences, shape (p,).
        tolerance: ends when a step promises less than this share of the cost.

    Returns:
        x, r (m,) and the Jacobian J (m, p) there or one step before.
    """
    x = np.clip(x, low, high)
    r = residuals(x)
    damping = 1e-3
    for _ in range(MOST_STEPS):
        # Inward at a bound.
        h = np.where(x + difference > high, -difference, difference)
        J = np.stack([(residuals(x + e) - r) / s for e, s in zip(np.diag(h), h, strict=True)], 1)
        g, H = J.T @ r, J.T @ J
        cost = float(r @ r)
        # What is at a bound and pushes against it stays there.
        free = ~(((x <= low) & (g > 0)) | ((x >= high) & (g < 0)))
        if not free.any():
            return x, r, J
        for _ in range(MOST_TRIALS):
            A = H + damping * np.diag(np.diag(H) + 1e-12)
            trial = _step(A, g, x, low, high, free)
            step = trial - x
            promise = -float(2 * g @ step + step @ H @ step)
            if promise < tolerance * cost:
                return x, r, J
            # A trial may leave the region in which the simulated motion is stable.
            with np.errstate(over="ignore", invalid="ignore"):
                r_trial = residuals(trial)
                better = float(r_trial @ r_trial) < cost
            if better:
                break
            damping *= 8.0
        else:
            return x, r, J
        x, r = trial, r_trial
        damping = max(damping / 8.0, 1e-9)
    return x, r, J


def _step(A: Array, g: Array, x: Array, low: Array, high: Array, free: NDArray[np.bool_]) -> Array:
    """Return where the model A, g of the cost is least; a component stopped by its bound stays."""
    free = free.copy()
    step = np.zeros_like(x)
    while free.any():
        held = ~free
        step[free] = np.linalg.solve(
            A[np.ix_(free, free)], -g[free] - A[np.ix_(free, held)] @ step[held]
        )
        out = free & ((x + step < low) | (x + step > high))
        if not out.any():
            break
        step = np.clip(x + step, low, high) - x
        free &= ~out
    return np.clip(x + step, low, high)
