"""Trajectory chunks inside compiled loops: one joint at a time, without allocation."""

from __future__ import annotations

from typing import Any

from numba import njit

NEUTRAL, TRACK, VELOCITY = 0, 1, 2
"""What a controller follows: nothing, a chunk, or velocities."""

# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def sample(s: float, j: int, t: Any, q: Any, qd: Any) -> Any:
    """Position and velocity of joint j at chunk time s: cubic Hermite, at rest beyond the ends."""
    last = t.shape[0] - 1
    if s < t[0]:
        return q[0, j], 0.0
    if s >= t[last]:
        return q[last, j], 0.0
    lo, hi = 0, last
    while hi - lo > 1:
        mid = (lo + hi) // 2
        if t[mid] <= s:
            lo = mid
        else:
            hi = mid
    h = t[hi] - t[lo]
    u = (s - t[lo]) / h
    q0, q1, m0, m1 = q[lo, j], q[hi, j], h * qd[lo, j], h * qd[hi, j]
    c = 3.0 * (q1 - q0) - 2.0 * m0 - m1
    d = 2.0 * (q0 - q1) + m0 + m1
    return q0 + u * (m0 + u * (c + u * d)), (m0 + u * (2.0 * c + u * 3.0 * d)) / h


@njit(cache=True)
def interpolate(s: float, t: Any, x: Any) -> Any:
    """Value at chunk time s, linear between knots, zero beyond the ends; ``x`` has shape (K,)."""
    last = t.shape[0] - 1
    if s < t[0] or s >= t[last]:
        return 0.0
    k = 0
    while t[k + 1] <= s:
        k += 1
    return x[k] + (s - t[k]) / (t[k + 1] - t[k]) * (x[k + 1] - x[k])


@njit(cache=True)
def push(row: Any, value: float) -> None:
    """Shift a row by one towards the past and append."""
    for i in range(row.shape[0] - 1):
        row[i] = row[i + 1]
    row[row.shape[0] - 1] = value
