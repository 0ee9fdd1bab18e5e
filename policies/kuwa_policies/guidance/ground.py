"""The height map under many points at once, and joints that follow a goal; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.arrays import Array
from kuwa_machines.contracts import HeightMap


def height_at(ground: HeightMap, x: Array, y: Array) -> Array:
    """Return the ground's heights at points, bilinear, held at the map's edges [m].

    Args:
        x, y: of the same shape, which is that of the answer [m].
    """
    out = np.empty(x.shape)
    _heights(
        ground.height, ground.x0, ground.y0, ground.cell,
        np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(y).reshape(-1), out.reshape(-1),
    )  # fmt: skip
    return out


def below(ground: HeightMap, x: Array, y: Array, heading: Array, points: Array) -> Array:
    """Return the ground's heights under points of a moving machine, shape (K, P) [m].

    Args:
        x, y, heading: of the machine, shape (K,) [m], [rad].
        points: (x, y) in its frame, shape (P, 2), or (K, P, 2) where they move on it [m].
    """
    c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
    px, py = points[..., 0], points[..., 1]
    return height_at(ground, x[:, None] + c * px - s * py, y[:, None] + s * px + c * py)


def follow(before: Array, goal: Array, late: int, step: float, low: float, high: float) -> Array:
    """Return a joint's plan: as decided before up to a knot, then after the goal at most so fast.

    Args:
        before, goal: angles at equal steps of time, shape (K,) [rad].
        late: first knot that can still be changed, at least 1.
        step: greatest change between two knots [rad]. low, high: bounds of the goal [rad].
    """
    out = before.copy()
    _follow(out, goal, late, step, low, high)
    return out


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def _heights(
    height: Any, x0: float, y0: float, cell: float, x: Any, y: Any, out: Any
) -> None:  # fmt: skip
    nx, ny = height.shape
    for k in range(x.shape[0]):
        u = min(max((x[k] - x0) / cell, 0.0), nx - 1.001)
        v = min(max((y[k] - y0) / cell, 0.0), ny - 1.001)
        i, j = int(u), int(v)
        u -= i
        v -= j
        near = (1.0 - v) * height[i, j] + v * height[i, j + 1]
        far = (1.0 - v) * height[i + 1, j] + v * height[i + 1, j + 1]
        out[k] = (1.0 - u) * near + u * far


@njit(cache=True)
def _follow(out: Any, goal: Any, late: int, step: float, low: float, high: float) -> None:
    for k in range(late, out.shape[0]):
        change = min(max(goal[k], low), high) - out[k - 1]
        out[k] = out[k - 1] + min(max(change, -step), step)
