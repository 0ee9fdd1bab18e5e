"""Levenberg and Marquardt's descent within bounds, thrifty with evaluations of a simulated motion.

One Jacobian by forward differences serves all trials of a step (Nocedal and Wright 2006, ch. 10.3).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
        for _ in range(MOST_TRIALS):
            step = np.linalg.solve(H + damping * np.diag(np.diag(H) + 1e-12), -g)
            trial = np.clip(x + step, low, high)
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
