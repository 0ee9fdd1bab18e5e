"""The ground under the bucket's shell: kept apart from the ground above it, and pushed aside.

A height field has one surface, so it knows nothing of a steel floor between the trench below and
the soil above. The height of the shell over each cell (``roof``) stands in for it: levelling lets
no soil through it, or what is heaped in front of the edge would run away under the bucket.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.field import cell_of, cut_column, put_down, wake
from kuwa_sim.soil.layout import CELL, COVERED, SINK, WIDTH, X0, Y0

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]
Counters = NDArray[np.int64]
Cells = NDArray[np.int32]

PUSH = 0.15
"""Half-length of the strip on which pushed or spilled soil is laid [m]."""
ON_EDGE = 1e-6
"""Nearer than this to the edge in plan is on it [m]; far above rounding, far below a cell."""


@njit(cache=True)
def uncover(roof: Array, covered: Cells, count: int) -> None:
    for n in range(count):
        roof[covered[n, 0], covered[n, 1]] = math.inf


@njit(cache=True)
def cover(
    bank: Array,
    loose: Array,
    packed: Array,
    height: Array,
    roof: Array,
    tiles: Flags,
    own: Counters,
    prm: Array,
    outline: Array,
    covered: Cells,
    side: Array,
    pose: Array,
    rx: float,
    ry: float,
    moved_r: float,
    moved_v: float,
) -> float:
    """Note the shell's height over the ground beneath it, and displace ground it is pressed into.

    Only ground deeper in than SINK moves, since what is pressed in less carries the contact. It
    goes to the side to which the bucket moves, else behind it: in front it would be cut again.
    (rx, ry) points away from the mouth; ``moved_r`` and ``moved_v`` are the motion along it and
    sideways [m]; ``own`` counts the covered cells and ``side`` is scratch, shape (n, 2). Returns
    the displaced volume [bank m³].
    """
    n = outline.shape[0]
    cell = prm[CELL]
    nx, ny = height.shape
    # Side view of the shell in the world, relative to the tip: s along (rx, ry), z up.
    s_low = 0.0
    s_high = 0.0
    z_low = 0.0
    xs = pose[9] * rx + pose[10] * ry
    zs = pose[15] * rx + pose[16] * ry
    for k in range(n):
        side[k, 0] = outline[k, 0] * xs + outline[k, 1] * zs
        side[k, 1] = outline[k, 0] * pose[11] + outline[k, 1] * pose[17]
        s_low = min(s_low, side[k, 0])
        s_high = max(s_high, side[k, 0])
        z_low = min(z_low, side[k, 1])
    half = 0.5 * prm[WIDTH]
    middle = 0.5 * (s_low + s_high)
    length = 0.5 * (s_high - s_low)
    cx = pose[0] + middle * rx
    cy = pose[1] + middle * ry
    reach_x = length * abs(rx) + half * abs(ry)
    reach_y = length * abs(ry) + half * abs(rx)
    i0 = cell_of(cx - reach_x, prm[X0], cell, nx)
    i1 = cell_of(cx + reach_x, prm[X0], cell, nx) + 1
    j0 = cell_of(cy - reach_y, prm[Y0], cell, ny)
    j1 = cell_of(cy + reach_y, prm[Y0], cell, ny) + 1
    # High over the ground it touches nothing and stops nothing.
    lowest = pose[2] + z_low
    near = False
    for i in range(max(i0 - 1, 0), min(i1 + 1, nx)):
        for j in range(max(j0 - 1, 0), min(j1 + 1, ny)):
            near |= height[i, j] > lowest
    before = own[COVERED]
    count = 0
    taken = 0.0
    uncover(roof, covered[0], before)
    if near:
        mouth_s = side[n - 1, 0]
        for i in range(i0, i1):
            dx = prm[X0] + i * cell - pose[0]
            for j in range(j0, j1):
                dy = prm[Y0] + j * cell - pose[1]
                along = dy * rx - dx * ry
                s = dx * rx + dy * ry
                if abs(along) > half - ON_EDGE or s < s_low or s > s_high:
                    continue
                # The lowest side of the shell over this column.
                z = math.inf
                for k in range(n - 1):
                    sa = side[k, 0]
                    sb = side[k + 1, 0]
                    if (s < sa) != (s < sb):
                        u = (s - sa) / (sb - sa)
                        z = min(z, side[k, 1] + u * (side[k + 1, 1] - side[k, 1]))
                # Under the mouth: soil that stands up into it is on its way into the bucket.
                if (s < 0.0) != (s < mouth_s) and s / mouth_s * side[n - 1, 1] < z:
                    continue
                z += pose[2] + along * pose[14]
                if z == math.inf:
                    continue
                # A column on the line of the edge itself is the edge's to cut.
                if abs(s) > ON_EDGE:
                    taken += cut_column(
                        bank, loose, packed, height, tiles, prm, i, j, z + prm[SINK]
                    )
                if count < covered.shape[1]:
                    roof[i, j] = z
                    covered[1, count, 0] = i
                    covered[1, count, 1] = j
                    count += 1
    # Ground that has come out from under the shell may flow again.
    for k in range(before):
        if roof[covered[0, k, 0], covered[0, k, 1]] == math.inf:
            wake(tiles, covered[0, k, 0], covered[0, k, 1])
    for k in range(count):
        covered[0, k, 0] = covered[1, k, 0]
        covered[0, k, 1] = covered[1, k, 1]
    own[COVERED] = count
    volume = taken * cell * cell
    if volume > 0.0:
        if abs(moved_v) > abs(moved_r):
            beside = math.copysign(half + PUSH, moved_v)
            put_down(
                bank, loose, height, tiles, prm, cx - beside * ry, cy + beside * rx, rx, ry,
                max(length, cell), PUSH - 0.01, volume,
            )  # fmt: skip
        else:
            put_down(
                bank, loose, height, tiles, prm, pose[0] + (s_high + PUSH) * rx,
                pose[1] + (s_high + PUSH) * ry, rx, ry, PUSH - 0.01, half, volume,
            )  # fmt: skip
    return volume
