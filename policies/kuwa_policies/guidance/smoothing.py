"""A task's path as a way without corners: points at equal distances, curvature that is smooth."""

from __future__ import annotations

import math

import numpy as np
from scipy.interpolate import UnivariateSpline

from kuwa_machines.arrays import Array
from kuwa_machines.paths import Polyline

STEP = 0.1
"""Between two points of a route [m]."""
SPLINED = 3.0
"""[m]"""
ROUNDING = 1.0
"""[m]"""
WRITTEN = 0.003
"""Points are taken to be right to this [m]: what is left of rounding to whole centimetres."""


def smooth(path: Polyline, a: float, b: float) -> Array:
    """Return points about ``STEP`` apart from arc length a to b."""
    knots = [a]
    for s in [*path.s[(path.s > a + 1e-6) & (path.s < b - 1e-6)], b]:
        parts = max(math.ceil((s - knots[-1]) / SPLINED), 1)
        knots.extend(knots[-1] + (s - knots[-1]) * (k + 1) / parts for k in range(parts))
    points = path.at(knots)
    fine = np.linspace(knots[0], knots[-1], max(math.ceil((b - a) / STEP), 2) + 1)
    if len(knots) > 3:
        allowed = len(knots) * WRITTEN**2
        points = np.column_stack(
            [UnivariateSpline(knots, points[:, k], s=allowed)(fine) for k in range(2)]
        )
    else:
        points = path.at(fine)
    half = min(round(ROUNDING / STEP / 2), (len(points) - 1) // 2)
    for _ in range(2):
        points = average(points, half)
    return resample(points)


def average(points: Array, half: int) -> Array:
    """Average over 2·half + 1 points; the way goes on straight beyond its ends."""
    if half < 1:
        return points
    k = np.arange(half, 0, -1)[:, None]
    before = points[0] - k * (points[1] - points[0])
    after = points[-1] + k[::-1] * (points[-1] - points[-2])
    padded = np.concatenate([before, points, after])
    total = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    n = 2 * half + 1
    return np.asarray((total[n:] - total[:-n]) / n)


def resample(points: Array) -> Array:
    """Return points ``STEP`` apart along a way."""
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    fine = np.linspace(0.0, s[-1], max(round(s[-1] / STEP), 2) + 1)
    return np.column_stack([np.interp(fine, s, points[:, k]) for k in range(2)])
