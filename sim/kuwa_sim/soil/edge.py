"""Force of the ground on a bucket's edge: cutting, bearing, friction, and the side plates."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.bearing import AHEAD, TOUCH, bearing_pressure, depth_ahead
from kuwa_sim.soil.earthmoving import resistance
from kuwa_sim.soil.field import cell_of, mean_cohesion, surface_height
from kuwa_sim.soil.layout import (
    ADHESION,
    CELL,
    COHESION,
    COS_DELTA,
    DAMPING,
    EDGE,
    FLOOR_X,
    FLOOR_Z,
    GAMMA,
    GRAVITY,
    LOAD_SURCHARGE,
    MASS,
    SIDE,
    SIN_DELTA,
    STIFFNESS,
    SWELL,
    TAN_DELTA,
    WIDTH,
    X0,
    Y0,
)
from kuwa_sim.soil.spring import ACTIVE, elastic_plastic

Array = NDArray[np.float64]

FAR = 0.45
"""Second point in front, for the slope of the ground [m]."""


@njit(cache=True)
def edge_force(
    height: Array,
    loose: Array,
    datum: Array,
    prm: Array,
    fee: Array,
    contact: Array,
    load: Array,
    pose: Array,
    rx: float,
    ry: float,
    axes: Array,
    low: Array,
    high: Array,
    force: Array,
    out: Array,
) -> None:
    """Write the force on the edge; (rx, ry) is the horizontal direction away from the mouth."""
    ahead = depth_ahead(height, prm, pose, -AHEAD * rx, -AHEAD * ry)
    behind = depth_ahead(height, prm, pose, AHEAD * rx, AHEAD * ry)
    under = depth_ahead(height, prm, pose, 0.0, 0.0)
    front = max(ahead, under)
    back = max(behind, under)
    depth = max(front, back)
    if depth <= 0.0:
        contact[0, ACTIVE] = 0.0
        return
    width = prm[WIDTH]
    tx = prm[FLOOR_X]
    tz = prm[FLOOR_Z]
    for k in range(3):
        x_axis = pose[9 + k]
        z_axis = pose[15 + k]
        axes[0, k] = -(tx * x_axis + tz * z_axis)  # out of the tip, along the floor
        axes[1, k] = -tz * x_axis + tx * z_axis  # square to the floor, towards the mouth
        axes[2, k] = pose[12 + k]
    # How much of the depth is undisturbed soil, which alone has cohesion.
    i = cell_of(pose[0] - AHEAD * rx, prm[X0], prm[CELL], height.shape[0])
    j = cell_of(pose[1] - AHEAD * ry, prm[Y0], prm[CELL], height.shape[1])
    swell = prm[SWELL]
    over = swell * loose[i, j]
    cohesive = max(ahead - over, 0.0)
    share = max(depth - over, 0.0) / depth
    gamma = prm[GAMMA] * (share + (1.0 - share) / swell)

    # Rake of the floor against undisturbed ground in front, slopes of up to 20°. Soil pushed up
    # in front is a load on that ground: it counts in the depth, and must not flatten the rake.
    k = cell_of(pose[0] - FAR * rx, prm[X0], prm[CELL], height.shape[0])
    m = cell_of(pose[1] - FAR * ry, prm[Y0], prm[CELL], height.shape[1])
    rise = (height[k, m] - swell * loose[k, m]) - (height[i, j] - over)
    slope = min(max(math.atan(rise / (FAR - AHEAD)), -0.35), 0.35)
    level = -(axes[0, 0] * rx + axes[0, 1] * ry)
    rake = math.atan2(-axes[0, 2], level) + slope
    # With the floor flat or over its back, nothing is cut: fade out below 10° and above 150°.
    engaged = min(max(rake / 0.17, 0.0), 1.0) * min(max((3.14 - rake) / 0.52, 0.0), 1.0)
    speed = max(-(pose[3] * rx + pose[4] * ry), 0.0)
    floor_area = max(width * prm[SIDE], 1e-3)
    surcharge = prm[LOAD_SURCHARGE] * load[MASS] * prm[GRAVITY] / floor_area
    strength = mean_cohesion(prm, datum[i, j], pose[2] + cohesive, pose[2])
    cut = engaged * width * resistance(
        fee, rake, ahead * math.cos(slope), cohesive * math.cos(slope), gamma,
        strength, prm[ADHESION], surcharge, speed, prm[GRAVITY],
    )  # fmt: skip

    strip = prm[EDGE]
    cohesion = mean_cohesion(prm, datum[i, j], pose[2], pose[2] - strip) * share
    bearing = width * strip * bearing_pressure(prm, cohesion, front, strip)
    bearing *= min(front / TOUCH, 1.0)
    heave = width * strip * bearing_pressure(prm, cohesion, back, strip) * min(back / TOUCH, 1.0)
    drag = width * min(front, prm[SIDE]) * (prm[ADHESION] + 0.5 * gamma * front * prm[TAN_DELTA])
    low[0] = -(cut * prm[SIN_DELTA] + bearing + drag)
    high[0] = drag + prm[TAN_DELTA] * bearing
    low[1] = -(cut * prm[COS_DELTA])
    high[1] = heave

    # Sideways: ground beside the edge, on the plate behind it, as a blade at 90°.
    half = 0.5 * width + 0.1
    cx = pose[0] + 0.3 * prm[SIDE] * rx
    cy = pose[1] + 0.3 * prm[SIDE] * ry
    left = surface_height(height, prm, cx + half * pose[12], cy + half * pose[13]) - pose[2]
    right = surface_height(height, prm, cx - half * pose[12], cy - half * pose[13]) - pose[2]
    rub = prm[TAN_DELTA] * bearing + drag
    low[2] = -rub - _beside(prm, fee, max(left, 0.0))
    high[2] = rub + _beside(prm, fee, max(right, 0.0))
    elastic_plastic(
        contact[0], pose[0], pose[1], pose[2], pose[3], pose[4], pose[5],
        axes, low, high, prm[STIFFNESS], prm[DAMPING], force,
    )  # fmt: skip
    out[12] = ahead
    out[13] = rake
    out[14] = cut
    out[15] = bearing


@njit(cache=True)
def _beside(prm: Array, fee: Array, depth: float) -> float:
    """Return the resistance of the ground to a side plate pushed into it [N]."""
    length = min(prm[SIDE], 2.0 * depth + 0.1)
    return length * resistance(
        fee, 0.5 * math.pi, depth, depth, prm[GAMMA], prm[COHESION], prm[ADHESION], 0.0, 0.0,
        prm[GRAVITY],
    )  # fmt: skip
