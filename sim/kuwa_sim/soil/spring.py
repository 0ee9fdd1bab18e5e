"""The elastic-plastic contact: a spring to an anchor that is dragged along beyond the yield.

The spring is equally stiff in all directions, so its energy does not depend on the axes in which
the yields are given, and these may turn with the tool. Yielding only ever shortens the spring and
the damper only ever adds to the force against the motion, both within the yield: such a contact
takes energy and never gives any, whatever the yields do from step to step.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

ACTIVE = 0
ANCHOR = 1
N_CONTACT = 4
"""A row of the contact state: active, anchor (x, y, z)."""


@njit(cache=True)
def elastic_plastic(
    state: Array,
    px: float,
    py: float,
    pz: float,
    vx: float,
    vy: float,
    vz: float,
    axes: Array,
    low: Array,
    high: Array,
    stiffness: float,
    damping: float,
    force: Array,
) -> None:
    """Move a contact to p with velocity v; write its force on the tool.

    Args:
        axes: orthonormal rows, shape (3, 3). low, high: yields along them, low <= 0 <= high [N].
    """
    if state[ACTIVE] == 0.0:
        state[ACTIVE] = 1.0
        state[ANCHOR] = px
        state[ANCHOR + 1] = py
        state[ANCHOR + 2] = pz
    ex = state[ANCHOR] - px
    ey = state[ANCHOR + 1] - py
    ez = state[ANCHOR + 2] - pz
    force[0] = 0.0
    force[1] = 0.0
    force[2] = 0.0
    nx = 0.0
    ny = 0.0
    nz = 0.0
    for k in range(3):
        ax = axes[k, 0]
        ay = axes[k, 1]
        az = axes[k, 2]
        elastic = stiffness * (ex * ax + ey * ay + ez * az)
        elastic = min(max(elastic, low[k]), high[k])
        total = elastic - damping * (vx * ax + vy * ay + vz * az)
        total = min(max(total, low[k]), high[k])
        force[0] += total * ax
        force[1] += total * ay
        force[2] += total * az
        stretch = elastic / stiffness
        nx += stretch * ax
        ny += stretch * ay
        nz += stretch * az
    state[ANCHOR] = px + nx
    state[ANCHOR + 1] = py + ny
    state[ANCHOR + 2] = pz + nz
