"""The ground as two layers on a grid: heights, cutting, heaping and levelling to repose.

``bank`` is the height of undisturbed ground, ``loose`` the loosened soil above it in the height it
had undisturbed, so the surface is ``bank + swell * loose`` and every exchange is in bank volume:
the sum over both layers is conserved whatever the swell. ``height`` is kept equal to the surface.

Levelling is Gauss-Seidel over pairs of neighbours (eight a cell, so that heaps come out round):
where the surface is steeper than repose, half of the excess flows down. It works in tiles that
wake when a cell in or beside them changes and sleep when nothing in them moves.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.layout import (
    CELL,
    COHESION,
    CURSOR,
    LAYER,
    LAYERS,
    SETTLED,
    SWEEP,
    SWELL,
    TAN_PHI,
    TAN_REPOSE,
    TILE,
    UNSETTLED,
    VISITS,
    WALL,
    X0,
    Y0,
)

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]
Counters = NDArray[np.int64]

MAX_SWEEPS = 6
"""Levelling sweeps in one tick, at most."""
MAX_TILES = 48
"""Tiles levelled in one tick, at most: the bound on its cost. The rest waits for the next tick."""
SPECK = 1e-7
"""Loose soil thinner than this stays where it is [m]: it could keep tiles awake for ever."""


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
    bank: Array, loose: Array, height: Array, tiles: Flags, prm: Array, i: int, j: int, z: float
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
        taken = loose[i, j] + (surplus - over)
        bank[i, j] -= surplus - over
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


@njit(cache=True)
def _level_tile(
    bank: Array,
    loose: Array,
    height: Array,
    roof: Array,
    tiles: Flags,
    prm: Array,
    a: int,
    b: int,
    turn: int,
) -> None:
    """Level every pair of neighbours that begins in tile (a, b), in one of four directions.

    One function on purpose: a call that passes arrays costs several times a pair.
    """
    nx, ny = height.shape
    swell = prm[SWELL]
    tolerance = prm[SETTLED]
    d1 = prm[CELL]
    d2 = d1 * math.sqrt(2.0)
    # Differences of height that loose and undisturbed soil keep over both distances. Ground
    # without cohesion falls by its own friction, which may be less than the repose.
    repose1 = prm[TAN_REPOSE] * d1
    repose2 = prm[TAN_REPOSE] * d2
    stands1 = prm[WALL] + prm[TAN_PHI] * d1
    stands2 = prm[WALL] + prm[TAN_PHI] * d2
    limit1 = min(repose1, stands1) + tolerance
    limit2 = min(repose2, stands2) + tolerance
    i0 = a * TILE
    j0 = b * TILE
    i1 = min(i0 + TILE, nx)
    j1 = min(j0 + TILE, ny)
    low_i = nx
    high_i = -1
    low_j = ny
    high_j = -1
    for p in range(i1 - i0):
        i = i0 + p if turn & 1 == 0 else i1 - 1 - p
        for q in range(j1 - j0):
            j = j0 + q if turn & 2 == 0 else j1 - 1 - q
            for way in range(4):
                k = i + 1 if way < 3 else i
                m = j if way == 0 else (j - 1 if way == 2 else j + 1)
                if k >= nx or m >= ny or m < 0:
                    continue
                diagonal = way == 1 or way == 2
                limit = limit2 if diagonal else limit1
                drop = height[i, j] - height[k, m]
                if -limit <= drop <= limit:
                    continue
                # From the higher (hi, hj) to the lower (li, lj).
                hi, hj, li, lj = (i, j, k, m) if drop > 0.0 else (k, m, i, j)
                top = height[hi, hj]
                foot = height[li, lj]
                if top > roof[li, lj]:  # it would have to pass through the bucket
                    continue
                overhang = bank[hi, hj] - foot - (stands2 if diagonal else stands1)
                failed = overhang > tolerance
                if failed:
                    # Half of what is too high breaks off and lies loose where it was.
                    bank[hi, hj] -= 0.5 * overhang
                    loose[hi, hj] += 0.5 * overhang
                    top = bank[hi, hj] + swell * loose[hi, hj]
                excess = top - foot - (repose2 if diagonal else repose1)
                moved = min(0.5 * excess / swell, loose[hi, hj])
                if moved > SPECK:
                    loose[hi, hj] -= moved
                    loose[li, lj] += moved
                    height[li, lj] = bank[li, lj] + swell * loose[li, lj]
                elif not failed:
                    continue
                height[hi, hj] = bank[hi, hj] + swell * loose[hi, hj]
                low_i = min(low_i, i)
                high_i = max(high_i, k)
                low_j = min(low_j, j, m)
                high_j = max(high_j, j, m)
    if high_i < 0:
        return
    # Wake the tiles of every pair that shares a cell with one that changed.
    for p in range(max(low_i - 1, 0) // TILE, min(high_i + 1, nx - 1) // TILE + 1):
        for q in range(max(low_j - 1, 0) // TILE, min(high_j + 1, ny - 1) // TILE + 1):
            tiles[p, q] = 1


@njit(cache=True)
def level(
    bank: Array,
    loose: Array,
    height: Array,
    roof: Array,
    tiles: Flags,
    meta: Counters,
    prm: Array,
) -> None:
    """Level the awake tiles, for at most MAX_SWEEPS sweeps and MAX_TILES tiles.

    ``roof`` is the height of the bucket's shell over each cell, infinite where there is none: soil
    from above it does not flow into the cell.

    ``meta`` remembers where to go on; ``meta[UNSETTLED]`` says whether tiles are still awake.
    """
    na, nb = tiles.shape
    total = na * nb
    flags = tiles.reshape(total)
    visits = 0
    meta[UNSETTLED] = 0
    for _ in range(MAX_SWEEPS):
        turn = meta[SWEEP] & 3
        found = 0
        start = meta[CURSOR]
        index = start - 1
        for _ in range(total):
            index += 1
            if index == total:
                index = 0
            if flags[index] == 0:
                continue
            a = index // nb
            b = index - a * nb
            if visits >= MAX_TILES:
                meta[CURSOR] = index
                meta[UNSETTLED] = 1
                meta[VISITS] = visits
                return
            flags[index] = 0
            found += 1
            visits += 1
            _level_tile(bank, loose, height, roof, tiles, prm, a, b, turn)
        meta[SWEEP] += 1
        meta[CURSOR] = 0
        if found == 0:
            break
    else:
        meta[UNSETTLED] = 1
    meta[VISITS] = visits
