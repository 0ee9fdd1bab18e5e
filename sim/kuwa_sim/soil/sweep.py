"""An edge drawn through the ground: which columns it passes between two ticks, and at what height.

The edge is a line in plan. A column of ground is passed when the line goes over the column's centre
between two ticks: every centre is passed exactly once, so no column is skipped or cut twice at any
speed, and a pass is as many cells wide as the tool.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.field import cut_column, wake
from kuwa_sim.soil.layout import CELL, M_TIP, M_VALID, M_Y, SWELL, WIDTH, X0, Y0

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]

ROUNDING = 1e-6
"""Cells this close to the edge's path are looked at too [cells]: whether the line has passed one
that lies on it must be decided once, by the side it is on, and not by the rounding of a bound."""


@njit(cache=True)
def window(prm: Array, motion: Array, pose: Array, nx: int, ny: int) -> tuple[int, int, int, int]:
    """Return the cells (i0, i1, j0, j1), ends excluded, that the edge can have passed."""
    cell = prm[CELL]
    half = 0.5 * prm[WIDTH]
    ax = motion[M_TIP]
    ay = motion[M_TIP + 1]
    ux = motion[M_Y]
    uy = motion[M_Y + 1]
    x_low = min(ax - half * abs(ux), pose[0] - half * abs(pose[12]))
    x_high = max(ax + half * abs(ux), pose[0] + half * abs(pose[12]))
    y_low = min(ay - half * abs(uy), pose[1] - half * abs(pose[13]))
    y_high = max(ay + half * abs(uy), pose[1] + half * abs(pose[13]))
    return (
        max(math.ceil((x_low - prm[X0]) / cell - ROUNDING), 0),
        min(math.floor((x_high - prm[X0]) / cell + ROUNDING), nx - 1) + 1,
        max(math.ceil((y_low - prm[Y0]) / cell - ROUNDING), 0),
        min(math.floor((y_high - prm[Y0]) / cell + ROUNDING), ny - 1) + 1,
    )


@njit(cache=True)
def crossing(
    x: float, y: float, half: float, motion: Array, pose: Array
) -> tuple[bool, float, float]:
    """Return whether the edge passed a point, where along it and at what height [m]."""
    ax = motion[M_TIP]
    ay = motion[M_TIP + 1]
    ux = motion[M_Y]
    uy = motion[M_Y + 1]
    # On which side of the line, then and now; half-open, so that each crossing counts once.
    before = (x - ax) * uy - (y - ay) * ux
    after = (x - pose[0]) * pose[13] - (y - pose[1]) * pose[12]
    if (before > 0.0) == (after > 0.0):
        return False, 0.0, 0.0
    t = before / (before - after)
    along = (1.0 - t) * ((x - ax) * ux + (y - ay) * uy)
    along += t * ((x - pose[0]) * pose[12] + (y - pose[1]) * pose[13])
    if abs(along) > half:
        return False, 0.0, 0.0
    z = (1.0 - t) * (motion[M_TIP + 2] + along * motion[M_Y + 2]) + t * (pose[2] + along * pose[14])
    return True, along, z


@njit(cache=True)
def sweep(
    bank: Array,
    loose: Array,
    packed: Array,
    height: Array,
    tiles: Flags,
    prm: Array,
    motion: Array,
    pose: Array,
    stock: float,
) -> tuple[float, float]:
    """Cut the columns passed since the last tick, and fill hollows below the edge from ``stock``.

    Returns the volumes cut and laid, both undisturbed [m³]; ``stock`` is the most to lay.
    """
    cell = prm[CELL]
    half = 0.5 * prm[WIDTH]
    nx, ny = height.shape
    i0, i1, j0, j1 = window(prm, motion, pose, nx, ny)
    taken = 0.0
    laid = 0.0
    left = stock / (cell * cell)
    for i in range(i0, i1):
        x = prm[X0] + i * cell
        for j in range(j0, j1):
            y = prm[Y0] + j * cell
            hit, _, z = crossing(x, y, half, motion, pose)
            if not hit:
                continue
            taken += cut_column(bank, loose, packed, height, tiles, prm, i, j, z)
            if left > 0.0 and height[i, j] < z:
                layer = min((z - height[i, j]) / prm[SWELL], left)
                loose[i, j] += layer
                height[i, j] = bank[i, j] + prm[SWELL] * loose[i, j]
                left -= layer
                laid += layer
                wake(tiles, i, j)
    return taken * cell * cell, laid * cell * cell


@njit(cache=True)
def remember(motion: Array, pose: Array) -> None:
    """Keep the edge's place for the next tick."""
    motion[M_VALID] = 1.0
    for k in range(3):
        motion[M_TIP + k] = pose[k]
        motion[M_Y + k] = pose[12 + k]
