"""Where soil lands that a tool lets fall: in a dump body that stands beneath, or on the ground."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.field import put_down
from kuwa_sim.soil.layout import (
    B_ACTIVE,
    B_CAUGHT,
    B_FLOOR,
    B_HALF_Y,
    B_POSITION,
    B_ROTATION,
    B_X_MAX,
    B_X_MIN,
)

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]

SAMPLES = 9
"""Points across the falling soil, each of which falls into a body or beside it."""


@njit(cache=True)
def over(body: Array, x: float, y: float, z: float) -> bool:
    """Return whether a world point is over the opening of a dump body."""
    if body[B_ACTIVE] == 0.0:
        return False
    dx = x - body[B_POSITION]
    dy = y - body[B_POSITION + 1]
    dz = z - body[B_POSITION + 2]
    bx = body[B_ROTATION] * dx + body[B_ROTATION + 3] * dy + body[B_ROTATION + 6] * dz
    by = body[B_ROTATION + 1] * dx + body[B_ROTATION + 4] * dy + body[B_ROTATION + 7] * dz
    bz = body[B_ROTATION + 2] * dx + body[B_ROTATION + 5] * dy + body[B_ROTATION + 8] * dz
    return body[B_X_MIN] <= bx <= body[B_X_MAX] and abs(by) <= body[B_HALF_Y] and bz > body[B_FLOOR]


@njit(cache=True)
def pour(
    bank: Array,
    loose: Array,
    height: Array,
    tiles: Flags,
    prm: Array,
    bodies: Array,
    x: float,
    y: float,
    z: float,
    ux: float,
    uy: float,
    half_u: float,
    half_v: float,
    volume: float,
) -> None:
    """Let ``volume`` [bank m³] fall from height ``z`` onto a rectangle, as in ``put_down``.

    Args:
        bodies: rows of dump bodies, shape (m, N_BODY); what falls in is counted in the row.
    """
    left = volume
    for m in range(bodies.shape[0]):
        if bodies[m, B_ACTIVE] == 0.0:
            continue
        inside = 0
        for k in range(SAMPLES):
            v = (2.0 * k / (SAMPLES - 1) - 1.0) * half_v
            if over(bodies[m], x - v * uy, y + v * ux, z):
                inside += 1
        caught = min(volume * inside / SAMPLES, left)
        bodies[m, B_CAUGHT] += caught
        left -= caught
    put_down(bank, loose, height, tiles, prm, x, y, ux, uy, half_u, half_v, left)
