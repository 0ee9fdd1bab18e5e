"""Levelling to the angle of repose, in tiles that sleep when nothing in them moves.

Gauss-Seidel over pairs of neighbours (eight a cell, so that heaps come out round): where the
surface is steeper than repose, half of the excess flows down. Tiles wake when a cell in or beside
them changes.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.layout import (
    CELL,
    CURSOR,
    SETTLED,
    SWEEP,
    SWELL,
    TAN_PHI,
    TAN_REPOSE,
    TILE,
    UNSETTLED,
    VISITS,
    WALL,
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
