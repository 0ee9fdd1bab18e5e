"""Force of the ground on the outside of a bucket, point by point: bearing and friction."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.bearing import bearing_pressure
from kuwa_sim.soil.field import cell_of, mean_cohesion, surface_height
from kuwa_sim.soil.layout import (
    CELL,
    DAMPING,
    SHELL_LENGTH,
    SHELL_NX,
    SHELL_NZ,
    SHELL_X,
    SHELL_Z,
    STIFFNESS,
    SWELL,
    TAN_DELTA,
    WIDTH,
    X0,
    Y0,
)
from kuwa_sim.soil.spring import ACTIVE, ANCHOR, elastic_plastic

Array = NDArray[np.float64]

SHELL_SLOPE = 4.0
"""Pressed-in length of the shell per depth: a gently curved or tilted plate."""


@njit(cache=True)
def shell_force(
    height: Array,
    loose: Array,
    datum: Array,
    prm: Array,
    row: Array,
    state: Array,
    pose: Array,
    axes: Array,
    low: Array,
    high: Array,
    force: Array,
    arm: Array,
) -> bool:
    """Write the force on one point of the shell and its arm from the tip; False if none."""
    for k in range(3):
        arm[k] = row[SHELL_X] * pose[9 + k] + row[SHELL_Z] * pose[15 + k]
        axes[0, k] = row[SHELL_NX] * pose[9 + k] + row[SHELL_NZ] * pose[15 + k]
    px = pose[0] + arm[0]
    py = pose[1] + arm[1]
    pz = pose[2] + arm[2]
    offset = 0.35 * prm[WIDTH]
    depth = 0.0
    for k in range(-1, 2):
        x = px + k * offset * pose[12]
        y = py + k * offset * pose[13]
        z = pz + k * offset * pose[14]
        depth += max(surface_height(height, prm, x, y) - z, 0.0)
    depth /= 3.0
    # A side that looks up is covered by soil, not pressed against it.
    facing = min(max(1.0 - 2.0 * axes[0, 2], 0.0), 1.0)
    if depth <= 0.0 or facing <= 0.0:
        state[ACTIVE] = 0.0
        return False
    i = cell_of(px, prm[X0], prm[CELL], height.shape[0])
    j = cell_of(py, prm[Y0], prm[CELL], height.shape[1])
    firm = min(max((depth - prm[SWELL] * loose[i, j]) / depth, 0.0), 1.0)
    strip = min(row[SHELL_LENGTH], SHELL_SLOPE * depth)
    cohesion = mean_cohesion(prm, datum[i, j], pz, pz - strip)
    capacity = bearing_pressure(prm, cohesion * firm, depth, strip)
    low[0] = -facing * prm[WIDTH] * strip * capacity
    high[0] = 0.0
    for k in range(3):
        axes[2, k] = pose[12 + k]
    axes[1, 0] = axes[2, 1] * axes[0, 2] - axes[2, 2] * axes[0, 1]
    axes[1, 1] = axes[2, 2] * axes[0, 0] - axes[2, 0] * axes[0, 2]
    axes[1, 2] = axes[2, 0] * axes[0, 1] - axes[2, 1] * axes[0, 0]
    vx = pose[3] + pose[7] * arm[2] - pose[8] * arm[1]
    vy = pose[4] + pose[8] * arm[0] - pose[6] * arm[2]
    vz = pose[5] + pose[6] * arm[1] - pose[7] * arm[0]
    # Friction follows the normal force of this instant.
    stretch = 0.0
    if state[ACTIVE] != 0.0:
        stretch = (
            (state[ANCHOR] - px) * axes[0, 0]
            + (state[ANCHOR + 1] - py) * axes[0, 1]
            + (state[ANCHOR + 2] - pz) * axes[0, 2]
        )
    pressed = min(max(-prm[STIFFNESS] * stretch, 0.0), -low[0])
    rub = prm[TAN_DELTA] * pressed
    low[1] = -rub
    high[1] = rub
    low[2] = -rub
    high[2] = rub
    elastic_plastic(
        state, px, py, pz, vx, vy, vz, axes, low, high, prm[STIFFNESS], prm[DAMPING], force
    )
    return True
