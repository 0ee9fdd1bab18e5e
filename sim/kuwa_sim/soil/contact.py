"""Force of the ground on the bucket, every physics step: elastic-plastic contacts with soil yields.

Each contact is a spring to an anchor in the ground, equally stiff in all directions. Along each of
three axes it carries at most its yield; beyond, the anchor is dragged along. So a bucket at rest
stays at rest and keeps the force it had, a moving one feels the yield against its motion, and the
contact only ever takes energy: yielding shortens the spring, and its damper never exceeds it.

Contacts and what they yield to:

* the edge, along the floor (teeth driven in: bearing of the edge strip, friction of the soil on the
  floor), square to the floor towards the mouth (earth-moving equation: cutting and lifting the soil
  ahead) and away from it (bearing of the edge strip), and sideways (earth-moving equation on the
  side plate, on whichever side there is ground);
* the shell, square to it (bearing capacity of the part that is pressed in, which is much wider than
  the edge) and along it (friction).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.earthmoving import resistance
from kuwa_sim.soil.field import cell_of, mean_cohesion, surface_height
from kuwa_sim.soil.layout import (
    ADHESION,
    BEARING_C,
    BEARING_GAMMA,
    BEARING_Q,
    CELL,
    CENTRE_X,
    CENTRE_Z,
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
    SHELL_LENGTH,
    SHELL_NX,
    SHELL_NZ,
    SHELL_X,
    SHELL_Z,
    SIDE,
    SIN_DELTA,
    STIFFNESS,
    SWELL,
    TAN_DELTA,
    TIP_X,
    TIP_Z,
    WIDTH,
    X0,
    Y0,
)
from kuwa_sim.soil.obstacles import obstacle_forces
from kuwa_sim.soil.spring import ACTIVE, ANCHOR, elastic_plastic

Array = NDArray[np.float64]

AHEAD = 0.08
"""How far in front of the edge the ground is taken that stands against it [m]: far enough that all
four cells about the point are still uncut, whatever the direction (a diagonal of 5 cm cells)."""
FAR = 0.45
"""Second point in front, for the slope of the ground [m]."""
TOUCH = 0.02
"""Depth over which the edge's bearing grows to its full value [m]."""
SHELL_SLOPE = 4.0
"""Pressed-in length of the shell per depth: a gently curved or tilted plate."""


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


@njit(cache=True)
def _edge(
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
    low[2] = -rub - _side(prm, fee, max(left, 0.0))
    high[2] = rub + _side(prm, fee, max(right, 0.0))
    elastic_plastic(
        contact[0], pose[0], pose[1], pose[2], pose[3], pose[4], pose[5],
        axes, low, high, prm[STIFFNESS], prm[DAMPING], force,
    )  # fmt: skip
    out[12] = ahead
    out[13] = rake
    out[14] = cut
    out[15] = bearing


@njit(cache=True)
def _side(prm: Array, fee: Array, depth: float) -> float:
    """Return the resistance of the ground to a side plate pushed into it [N]."""
    length = min(prm[SIDE], 2.0 * depth + 0.1)
    return length * resistance(
        fee, 0.5 * math.pi, depth, depth, prm[GAMMA], prm[COHESION], prm[ADHESION], 0.0, 0.0,
        prm[GRAVITY],
    )  # fmt: skip


@njit(cache=True)
def _shell(
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


@njit(cache=True)
def tool_forces(
    height: Array,
    loose: Array,
    datum: Array,
    obstacles: Array,
    prm: Array,
    fee: Array,
    shell: Array,
    contact: Array,
    load: Array,
    scratch: Array,
    pose: Array,
    out: Array,
) -> None:
    """Write the wrench of the ground and of the load on the bucket to ``out``, shape (16,).

    ``pose`` and ``out`` are described in :mod:`kuwa_sim.soil`. ``contact`` carries the anchors
    from step to step; but for their damping the contacts do not depend on rate, so no time step
    is given.
    """
    out[:] = 0.0
    axes = scratch[0:3]
    low = scratch[3]
    high = scratch[4]
    force = scratch[5]
    arm = scratch[6]
    # Horizontal direction in the bucket's plane, from the mouth to the back.
    rx = pose[13]
    ry = -pose[12]
    norm = math.sqrt(rx * rx + ry * ry)
    if norm < 0.1:  # lying on its side: no cutting geometry is left
        contact[:, ACTIVE] = 0.0
    else:
        force[:] = 0.0
        _edge(
            height, loose, datum, prm, fee, contact, load, pose, rx / norm, ry / norm,
            axes, low, high, force, out,
        )  # fmt: skip
        out[0] = force[0]
        out[1] = force[1]
        out[2] = force[2]
        for p in range(shell.shape[0]):
            if _shell(
                height, loose, datum, prm, shell[p], contact[p + 1], pose, axes, low, high, force,
                arm,
            ):  # fmt: skip
                out[0] += force[0]
                out[1] += force[1]
                out[2] += force[2]
                out[3] += arm[1] * force[2] - arm[2] * force[1]
                out[4] += arm[2] * force[0] - arm[0] * force[2]
                out[5] += arm[0] * force[1] - arm[1] * force[0]
    if obstacles.shape[0] > 0:
        obstacle_forces(obstacles, prm, shell, pose, scratch[7], out)
    weight = load[MASS] * prm[GRAVITY]
    cx = load[CENTRE_X] - prm[TIP_X]
    cz = load[CENTRE_Z] - prm[TIP_Z]
    out[8] = -weight
    out[9] = -weight * (cx * pose[10] + cz * pose[16])
    out[10] = weight * (cx * pose[9] + cz * pose[15])
