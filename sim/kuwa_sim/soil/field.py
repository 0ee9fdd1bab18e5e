"""The ground as layers on a grid: heights, cutting and heaping.

``bank`` is the height of undisturbed ground, ``loose`` the loosened soil above it in the height it
had undisturbed, so the surface is ``bank + swell * loose``; ``packed`` is undisturbed height that
wheels and tracks have pressed into the bank, which it no longer raises. Every exchange is in bank
volume: the sum over the three is conserved whatever the swell. ``height`` is kept equal to the
surface.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.layout import (
    CELL,
    COHESION,
    LAYER,
    LAYERS,
    SWELL,
    TILE,
    X0,
    Y0,
)

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]

PACKED_DEPTH = 0.2
"""What was pressed into the ground lies this deep, and is cut with it [m]; estimate."""


@njit(cache=True)
def surface_height(height: Array, prm: Array, x: float, y: float) -> float:
    """Return the surface at world (x, y), bilinear between cell centres, held at the edges [m]."""
    u = (x - prm[X0]) / prm[CELL]
    v = (y - prm[Y0]) / prm[CELL]
    i = min(max(math.floor(u), 0), height.shape[0] - 2)
    j = min(max(math.floor(v), 0), height.shape[1] - 2)
    u = min(max(u - i, 0.0), 1.0)
    v = min(max(v - j, 0.0), 1.0)
    low = height[i, j] + u * (height[i + 1, j] - height[i, j])
    high = height[i, j + 1] + u * (height[i + 1, j + 1] - height[i, j + 1])
    return low + v * (high - low)


@njit(cache=True)
def surface_normal(height: Array, prm: Array, x: float, y: float, n: Array) -> None:
    """Write the upward unit normal at world (x, y) to ``n``, shape (3,), over two cells' span."""
    h = prm[CELL]
    dx = (surface_height(height, prm, x + h, y) - surface_height(height, prm, x - h, y)) / (2 * h)
    dy = (surface_height(height, prm, x, y + h) - surface_height(height, prm, x, y - h)) / (2 * h)
    inverse = 1.0 / math.sqrt(1.0 + dx * dx + dy * dy)
    n[0] = -dx * inverse
    n[1] = -dy * inverse
    n[2] = inverse


@njit(cache=True)
def cell_of(value: float, origin: float, cell: float, n: int) -> int:
    """Return the index of the cell that holds a coordinate, clamped to the grid."""
    return min(max(math.floor((value - origin) / cell + 0.5), 0), n - 1)


@njit(cache=True)
def mean_cohesion(prm: Array, surface: float, high: float, low: float) -> float:
    """Return the mean cohesion of undisturbed ground between two heights [Pa].

    Args:
        surface: of the original ground there, from which the layers are measured [m].
    """
    count = int(prm[LAYERS])
    if count == 0:
        return prm[COHESION]
    below = max(surface - low, 0.0)
    above = min(max(surface - high, 0.0), below)
    if below - above < 1e-4:
        above = max(below - 1e-4, 0.0)
    total = 0.0
    start = 0.0
    cohesion = prm[COHESION]
    for k in range(count + 1):
        end = prm[LAYER + 2 * k] if k < count else math.inf
        total += cohesion * max(min(below, end) - max(above, start), 0.0)
        start = end
        if k < count:
            cohesion = prm[LAYER + 2 * k + 1]
    return total / (below - above) if below > above else prm[COHESION]


@njit(cache=True)
def wake(tiles: Flags, i: int, j: int) -> None:
    """Wake the tile of cell (i, j), and those beside it that share a pair of cells with it."""
    a = i // TILE
    b = j // TILE
    tiles[a, b] = 1
    ri = i - a * TILE
    rj = j - b * TILE
    da = -1 if ri == 0 and a > 0 else (1 if ri == TILE - 1 and a + 1 < tiles.shape[0] else 0)
    db = -1 if rj == 0 and b > 0 else (1 if rj == TILE - 1 and b + 1 < tiles.shape[1] else 0)
    if da != 0:
        tiles[a + da, b] = 1
    if db != 0:
        tiles[a, b + db] = 1
        if da != 0:
            tiles[a + da, b + db] = 1


@njit(cache=True)
def cut_column(
    bank: Array,
    loose: Array,
    packed: Array,
    height: Array,
    tiles: Flags,
    prm: Array,
    i: int,
    j: int,
    z: float,
) -> float:
    """Lower the surface of a cell to ``z`` if it is above; return what was taken [bank m]."""
    swell = prm[SWELL]
    surplus = height[i, j] - z
    if surplus <= 0.0:
        return 0.0
    over = swell * loose[i, j]
    if surplus < over:
        taken = surplus / swell
        loose[i, j] -= taken
    else:
        into = surplus - over
        share = packed[i, j] * min(into / PACKED_DEPTH, 1.0)
        taken = loose[i, j] + into + share
        bank[i, j] -= into
        packed[i, j] -= share
        loose[i, j] = 0.0
    height[i, j] = bank[i, j] + swell * loose[i, j]
    wake(tiles, i, j)
    return taken


@njit(cache=True)
def put_down(
    bank: Array,
    loose: Array,
    height: Array,
    tiles: Flags,
    prm: Array,
    x: float,
    y: float,
    ux: float,
    uy: float,
    half_u: float,
    half_v: float,
    volume: float,
) -> None:
    """Lay ``volume`` [bank m³] as loose soil evenly on a rectangle about world (x, y).

    (ux, uy) is the unit direction of its side ``half_u``. What would fall off the grid is laid on
    its nearest cell, so nothing is ever lost.
    """
    if volume <= 0.0:
        return
    cell = prm[CELL]
    nx, ny = height.shape
    reach_x = abs(ux) * half_u + abs(uy) * half_v
    reach_y = abs(uy) * half_u + abs(ux) * half_v
    i0 = cell_of(x - reach_x, prm[X0], cell, nx)
    i1 = cell_of(x + reach_x, prm[X0], cell, nx)
    j0 = cell_of(y - reach_y, prm[Y0], cell, ny)
    j1 = cell_of(y + reach_y, prm[Y0], cell, ny)
    count = 0
    for i in range(i0, i1 + 1):
        dx = prm[X0] + i * cell - x
        for j in range(j0, j1 + 1):
            dy = prm[Y0] + j * cell - y
            if abs(dx * ux + dy * uy) <= half_u and abs(dy * ux - dx * uy) <= half_v:
                count += 1
    if count == 0:
        i = cell_of(x, prm[X0], cell, nx)
        j = cell_of(y, prm[Y0], cell, ny)
        loose[i, j] += volume / (cell * cell)
        height[i, j] = bank[i, j] + prm[SWELL] * loose[i, j]
        wake(tiles, i, j)
        return
    layer = volume / (cell * cell * count)
    for i in range(i0, i1 + 1):
        dx = prm[X0] + i * cell - x
        for j in range(j0, j1 + 1):
            dy = prm[Y0] + j * cell - y
            if abs(dx * ux + dy * uy) <= half_u and abs(dy * ux - dx * uy) <= half_v:
                loose[i, j] += layer
                height[i, j] = bank[i, j] + prm[SWELL] * loose[i, j]
                wake(tiles, i, j)
