"""The ruts that tracks and tyres leave, pressed once a tick where they stand."""

from __future__ import annotations

import math

from numba import njit

from kuwa_sim.soil.layout import CELL
from kuwa_sim.soil.ruts import press
from kuwa_sim.tracks import CARRIED, SHOE, SINK, STEP_LENGTH
from kuwa_sim.tyres import DIAMETER
from kuwa_sim.tyres import LOAD as TYRE_LOAD
from kuwa_sim.tyres import SINK as TYRE_SINK
from kuwa_sim.tyres import STIFFNESS as TYRE_STIFFNESS
from kuwa_sim.tyres import WIDTH as TYRE_WIDTH

# Where tracks pressed the ground the last time: at all, place, direction, sinkages.
MARKED, MARKED_AT, MARKED_ALONG, MARKED_SINK = 0, 1, 3, 5
N_MARKED = 7
DEEPER = 1e-4
"""A track that stands presses the ground again once it has sunk this much deeper [m]."""


# fmt: off
@njit(cache=True)
def track_marks(  # type: ignore[no-untyped-def]
    points, shear, sides, p, marked, bank, loose, packed, height, tiles, grid, position, rotation,
):
    # fmt: on
    """Press the ground under both tracks, if they have moved or sunk since the last time.

    Args: as for :func:`track_forces`; ``marked`` is where that was.
    """
    near = 0.5 * grid[CELL]
    reach = abs(points[0, 0])
    still = (
        marked[MARKED] != 0.0
        and abs(position[0] - marked[MARKED_AT]) < near
        and abs(position[1] - marked[MARKED_AT + 1]) < near
        and reach * abs(rotation[0] - marked[MARKED_ALONG]) < near
        and reach * abs(rotation[3] - marked[MARKED_ALONG + 1]) < near
        and sides[0, SINK] < marked[MARKED_SINK] + DEEPER
        and sides[1, SINK] < marked[MARKED_SINK + 1] + DEEPER
    )
    norm = math.sqrt(rotation[0] * rotation[0] + rotation[3] * rotation[3])
    if still or norm < 0.1 or rotation[8] < 0.1:
        return
    ux, uy = rotation[0] / norm, rotation[3] / norm
    # Rise of the hull's plane along (ux, uy) and to its left.
    slope_u = -(rotation[2] * ux + rotation[5] * uy) / rotation[8]
    slope_v = -(rotation[5] * ux - rotation[2] * uy) / rotation[8]
    half = points.shape[0] // 2
    for m in range(points.shape[0]):
        if shear[m, CARRIED] <= 0.0:
            continue
        px, py, pz = points[m, 0], points[m, 1], points[m, 2]
        x = position[0] + rotation[0] * px + rotation[1] * py + rotation[2] * pz
        y = position[1] + rotation[3] * px + rotation[4] * py + rotation[5] * pz
        z = position[2] + rotation[6] * px + rotation[7] * py + rotation[8] * pz
        press(
            bank, loose, packed, height, tiles, grid, x, y, z, ux, uy, 0.5 * p[STEP_LENGTH],
            0.5 * p[SHOE], slope_u, slope_v, sides[m // half, SINK],
        )  # fmt: skip
    marked[MARKED] = 1.0
    marked[MARKED_AT] = position[0]
    marked[MARKED_AT + 1] = position[1]
    marked[MARKED_ALONG] = rotation[0]
    marked[MARKED_ALONG + 1] = rotation[3]
    marked[MARKED_SINK] = sides[0, SINK]
    marked[MARKED_SINK + 1] = sides[1, SINK]


@njit(cache=True)
def tyre_marks(p, x, bank, loose, packed, height, tiles, grid, bodies, xpos, xmat):  # type: ignore[no-untyped-def]
    """Press the ground under every wheel that carries something; arrays as of ``tyre_forces``."""
    for m in range(bodies.shape[0]):
        if x[m, TYRE_LOAD] <= 0.0:
            continue
        b = bodies[m]
        norm = math.sqrt(xmat[b, 1] * xmat[b, 1] + xmat[b, 4] * xmat[b, 4])
        if norm < 0.1:
            continue
        deflection = x[m, TYRE_LOAD] / p[m, TYRE_STIFFNESS]
        press(
            bank, loose, packed, height, tiles, grid, xpos[b, 0], xpos[b, 1],
            xpos[b, 2] - 0.5 * p[m, DIAMETER], xmat[b, 4] / norm, -xmat[b, 1] / norm,
            math.sqrt(p[m, DIAMETER] * deflection), 0.5 * p[m, TYRE_WIDTH], 0.0, 0.0,
            x[m, TYRE_SINK],
        )  # fmt: skip
