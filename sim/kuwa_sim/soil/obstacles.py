"""Rigid things in the ground, boulders and blocks, that stop a tool.

Each is an ellipsoid or a box that neither moves nor breaks. Points of a tool inside it are pushed
out along its surface's normal by a spring with a damper, and rubbed by Coulomb friction. The ground
counts their volume as soil; levelling and cutting do not know them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.layout import SHELL_X, SHELL_Z, WIDTH
from kuwa_sim.soil.parameters import SoilError

Array = NDArray[np.float64]

STIFFNESS = 2.0e6
"""Of one point in an obstacle [N/m]: 50 kN on five of them within 5 mm."""
DAMPING = 1.0e4
"""[N·s/m]."""
FRICTION = 0.5
"""Steel on rock (handbooks: 0.3 to 0.6)."""
CREEP = 0.02
"""Sliding slower than this is rubbed in proportion [m/s]."""
ACROSS = 5
"""Points across a tool's width."""

# Columns of a row.
KIND, CENTRE, HALF, COS, SIN = 0, 1, 4, 7, 8
N_OBSTACLE = 9


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A rigid body in the ground.

    Args:
        kind: of its shape. centre: in the world [m]. half: half axes or half sides [m].
        yaw: about the vertical [rad].
    """

    kind: Literal["ellipsoid", "box"]
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    yaw: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no body."""
        if self.kind not in ("ellipsoid", "box"):
            raise SoilError(f"obstacle kind {self.kind!r}; valid: box, ellipsoid")
        if not np.all(np.isfinite([*self.centre, *self.half, self.yaw])) or min(self.half) <= 0:
            raise SoilError(
                f"obstacle at {self.centre} with half sizes {self.half} m is not possible; "
                "expected finite numbers and positive half sizes"
            )


def obstacle_rows(obstacles: Sequence[Obstacle]) -> Array:
    """Return the kernel's rows, shape (n, N_OBSTACLE)."""
    rows = np.zeros((len(obstacles), N_OBSTACLE))
    for row, body in zip(rows, obstacles, strict=True):
        row[KIND] = 1.0 if body.kind == "box" else 0.0
        row[CENTRE : CENTRE + 3], row[HALF : HALF + 3] = body.centre, body.half
        row[COS], row[SIN] = math.cos(body.yaw), math.sin(body.yaw)
    return rows


@njit(cache=True)
def depth_inside(row: Array, x: float, y: float, z: float, normal: Array) -> float:
    """Return how deep a point is inside [m], <= 0 outside; write the outward normal there."""
    dx = x - row[CENTRE]
    dy = y - row[CENTRE + 1]
    px = row[COS] * dx + row[SIN] * dy
    py = -row[SIN] * dx + row[COS] * dy
    pz = z - row[CENTRE + 2]
    a, b, c = row[HALF], row[HALF + 1], row[HALF + 2]
    nx, ny, nz = 0.0, 0.0, 0.0
    if row[KIND] == 1.0:
        gap_x, gap_y, gap_z = a - abs(px), b - abs(py), c - abs(pz)
        depth = min(gap_x, gap_y, gap_z)
        if depth == gap_z:
            nz = math.copysign(1.0, pz)
        elif depth == gap_x:
            nx = math.copysign(1.0, px)
        else:
            ny = math.copysign(1.0, py)
    else:
        f = math.sqrt((px / a) ** 2 + (py / b) ** 2 + (pz / c) ** 2)
        if f >= 1.0:
            return -1.0
        gx, gy, gz = px / (a * a), py / (b * b), pz / (c * c)
        size = math.sqrt(gx * gx + gy * gy + gz * gz)
        if size < 1e-9:
            nz = 1.0
            depth = c
        else:
            nx, ny, nz = gx / size, gy / size, gz / size
            # First order of the distance to the surface: (1 − f)/|∇f|.
            depth = (1.0 - f) * f / size
    normal[0] = row[COS] * nx - row[SIN] * ny
    normal[1] = row[SIN] * nx + row[COS] * ny
    normal[2] = nz
    return depth


@njit(cache=True)
def obstacle_forces(
    obstacles: Array, prm: Array, shell: Array, pose: Array, normal: Array, out: Array
) -> None:
    """Add the obstacles' force on a tool's edge and shell to ``out``, about the edge's middle."""
    for k in range(ACROSS):
        along = (k / (ACROSS - 1) - 0.5) * prm[WIDTH]
        for p in range(shell.shape[0] + 1):
            sx = shell[p - 1, SHELL_X] if p > 0 else 0.0
            sz = shell[p - 1, SHELL_Z] if p > 0 else 0.0
            rx = sx * pose[9] + sz * pose[15] + along * pose[12]
            ry = sx * pose[10] + sz * pose[16] + along * pose[13]
            rz = sx * pose[11] + sz * pose[17] + along * pose[14]
            for m in range(obstacles.shape[0]):
                depth = depth_inside(obstacles[m], pose[0] + rx, pose[1] + ry, pose[2] + rz, normal)
                if depth <= 0.0:
                    continue
                vx = pose[3] + pose[7] * rz - pose[8] * ry
                vy = pose[4] + pose[8] * rx - pose[6] * rz
                vz = pose[5] + pose[6] * ry - pose[7] * rx
                out_speed = vx * normal[0] + vy * normal[1] + vz * normal[2]
                push = max(STIFFNESS * depth - DAMPING * out_speed, 0.0)
                tx = vx - out_speed * normal[0]
                ty = vy - out_speed * normal[1]
                tz = vz - out_speed * normal[2]
                slide = math.sqrt(tx * tx + ty * ty + tz * tz)
                rub = FRICTION * push / (slide + CREEP)
                fx = push * normal[0] - rub * tx
                fy = push * normal[1] - rub * ty
                fz = push * normal[2] - rub * tz
                out[0] += fx
                out[1] += fy
                out[2] += fz
                out[3] += ry * fz - rz * fy
                out[4] += rz * fx - rx * fz
                out[5] += rx * fy - ry * fx
