"""How deep an edge stands in the ground, and what the ground under it bears."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.field import surface_height
from kuwa_sim.soil.layout import (
    BEARING_C,
    BEARING_GAMMA,
    BEARING_Q,
    GAMMA,
    WIDTH,
)

Array = NDArray[np.float64]

AHEAD = 0.08
"""How far in front of the edge the ground is taken that stands against it [m]: far enough that all
four cells about the point are still uncut, whatever the direction (a diagonal of 5 cm cells)."""
TOUCH = 0.02
"""Depth over which the edge's bearing grows to its full value [m]."""


@njit(cache=True)
def bearing_pressure(prm: Array, cohesion: float, depth: float, strip: float) -> float:
    """Return the bearing capacity of a strip of this width at this depth [Pa] (Terzaghi 1943)."""
    return (
        cohesion * prm[BEARING_C]
        + prm[GAMMA] * depth * prm[BEARING_Q]
        + 0.5 * prm[GAMMA] * strip * prm[BEARING_GAMMA]
    )


@njit(cache=True)
def depth_ahead(height: Array, prm: Array, pose: Array, along_x: float, along_y: float) -> float:
    """Return the mean depth of the edge below the ground at an offset from it [m], >= 0.

    Taken at five points of the width, so that an edge half in the ground counts half.
    """
    total = 0.0
    for k in range(-2, 3):
        offset = 0.2 * k * prm[WIDTH]
        x = pose[0] + offset * pose[12]
        y = pose[1] + offset * pose[13]
        z = pose[2] + offset * pose[14]
        total += max(surface_height(height, prm, x + along_x, y + along_y) - z, 0.0)
    return 0.2 * total
