"""Ground under wheels and tracks: how far it gives, and the rut that stays.

Two layers give. Loosened soil is pressed back to the density that it had undisturbed, so a layer
``swell * loose`` thick sinks by ``(swell - 1) * loose``. Undisturbed soil sinks by Bekker's law to
the depth at which it carries the pressure, less what it has sunk before: the rut is plastic, and
what a first pass has done a second of the same pressure does not do again. What is pressed into the
ground is booked in ``packed``, so no volume is lost, and comes up again when the ground is cut.

A load rests on the *support*, the surface less what it has yet to sink. Pressing lowers the surface
to the support and leaves the support where it is, so it may be done once a tick, or later, without
any jump under the machine.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.field import cell_of, wake
from kuwa_sim.soil.layout import CELL, SETTLED, SWELL, X0, Y0

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]


@njit(cache=True)
def support_height(
    height: Array, loose: Array, packed: Array, prm: Array, x: float, y: float, sinkage: float
) -> float:
    """Return the height that carries a load at world (x, y), bilinear between cell centres [m].

    Args:
        sinkage: of the load in undisturbed ground that nothing has pressed before [m].
    """
    u = (x - prm[X0]) / prm[CELL]
    v = (y - prm[Y0]) / prm[CELL]
    i = min(max(math.floor(u), 0), height.shape[0] - 2)
    j = min(max(math.floor(v), 0), height.shape[1] - 2)
    u = min(max(u - i, 0.0), 1.0)
    v = min(max(v - j, 0.0), 1.0)
    puffed = prm[SWELL] - 1.0
    total = 0.0
    for k in range(4):
        a = i + (k & 1)
        b = j + (k >> 1)
        share = (u if k & 1 else 1.0 - u) * (v if k >> 1 else 1.0 - v)
        gives = puffed * loose[a, b] + max(sinkage - packed[a, b], 0.0)
        total += share * (height[a, b] - gives)
    return total


@njit(cache=True)
def press(
    bank: Array,
    loose: Array,
    packed: Array,
    height: Array,
    tiles: Flags,
    prm: Array,
    x: float,
    y: float,
    z: float,
    ux: float,
    uy: float,
    half_u: float,
    half_v: float,
    slope_u: float,
    slope_v: float,
    sinkage: float,
) -> None:
    """Press the ground under a flat footprint down to its support, but no lower than the footprint.

    Args:
        x, y, z: middle of its underside in the world [m]. ux, uy: unit direction of ``half_u``.
        half_u, half_v: half its sides [m]. slope_u, slope_v: its rise along them.
        sinkage: as in :func:`support_height` [m].
    """
    cell = prm[CELL]
    nx, ny = height.shape
    reach_x = abs(ux) * half_u + abs(uy) * half_v
    reach_y = abs(uy) * half_u + abs(ux) * half_v
    i0 = cell_of(x - reach_x, prm[X0], cell, nx)
    i1 = cell_of(x + reach_x, prm[X0], cell, nx)
    j0 = cell_of(y - reach_y, prm[Y0], cell, ny)
    j1 = cell_of(y + reach_y, prm[Y0], cell, ny)
    puffed = prm[SWELL] - 1.0
    for i in range(i0, i1 + 1):
        dx = prm[X0] + i * cell - x
        for j in range(j0, j1 + 1):
            dy = prm[Y0] + j * cell - y
            u = dx * ux + dy * uy
            v = dy * ux - dx * uy
            if abs(u) > half_u or abs(v) > half_v:
                continue
            down = height[i, j] - (z + slope_u * u + slope_v * v)
            if down <= 0.0:
                continue
            before = height[i, j]
            if loose[i, j] > 0.0 and puffed > 0.0:
                firm = min(loose[i, j], down / puffed)
                loose[i, j] -= firm
                bank[i, j] += firm
                down -= puffed * firm
            into = min(max(sinkage - packed[i, j], 0.0), down)
            bank[i, j] -= into
            packed[i, j] += into
            height[i, j] = bank[i, j] + prm[SWELL] * loose[i, j]
            if before - height[i, j] > prm[SETTLED]:
                wake(tiles, i, j)
