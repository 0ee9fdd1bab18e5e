"""A mouldboard plough that turns to the right: furrows in the ground, and the draft of ASABE D497.

    D = F_i (A + B S + C S²) W T  [N],   S [km/h], W [m], T [cm]

``pose`` has the layout of :mod:`kuwa_sim.soil` about the first body's share: x forward, y left, z
up. A body that drifts sideways by the angle α is pushed back as a tyre is: the side force of an
implement goes with its lateral velocity (Pearson and Bevly, 2007, J. Terramechanics 44, 439-450),
here as S D tanh(α/α_0), S being the greatest share of the draft.

Each body cuts a strip to the depth of its share and turns it over onto the furrow that the body
ahead of it (or the last round) left open, one width to the right; the last furrow stays open.
The slice leans, so that it lies narrower than it was cut and a ridge stands on every furrow.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.field import cell_of, cut_column, surface_height, wake
from kuwa_sim.soil.ground import Ground
from kuwa_sim.soil.layout import (
    CELL,
    CUT,
    DAMPING,
    STIFFNESS,
    SWELL,
    WIDTH,
    X0,
    Y0,
)
from kuwa_sim.soil.spring import ACTIVE, elastic_plastic
from kuwa_sim.soil.sweep import crossing, remember, window
from kuwa_sim.soil.tool import EdgeTool, came_from, heading, level_axes

if TYPE_CHECKING:
    from kuwa_machines.spec import Plough

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]

SLICE = 0.6
"""Width of a turned slice over that of its cut: two thirds at the usual depth to width of 1 : 1.5,
less what crumbles off."""
CONTACT_STIFFNESS = 2.0e6
CONTACT_DAMPING = 2.0e4
PULLED_AT = 0.08
"""Height above its share at which the ground pulls a body [m]: four tenths of a usual depth."""
CREEP = 0.2
"""Below this speed a drift counts as if the plough moved that fast [m/s]."""
AHEAD = 0.3
"""How far before a share its depth is taken [m]: ahead of the ground that it lifts."""

# Entries of the draft's numbers.
BODIES, SPACING, DRAFT_A, DRAFT_B, DRAFT_C, TEXTURE, SIDE_SHARE, SUCTION, SIDE_ANGLE = range(9)


@njit(cache=True)
def draft(
    a: float, b: float, c: float, texture: float, speed: float, width: float, depth: float
) -> float:
    """Return the draft of a tillage tool [N] (ASABE D497).

    Args:
        a, b, c, texture: of the tool and of the soil. speed: [m/s]. width, depth: [m].
    """
    S = 3.6 * max(speed, 0.0)
    return texture * (a + b * S + c * S * S) * width * 100.0 * max(depth, 0.0)


class PloughTool(EdgeTool):
    """A plough on a ground; ``force_args`` and ``tick_args`` lead its kernels' arguments.

    Args:
        bodies: how many. cut_width, spacing: across and along the plough, from body to body [m].
        draft_numbers: A, B, C of D497, its F for this soil, sideways and downward shares, angle of
            drift at which most of the former is reached [rad].
    """

    def __init__(
        self,
        ground: Ground,
        bodies: int,
        cut_width: float,
        spacing: float,
        draft_numbers: tuple[float, float, float, float, float, float, float],
    ) -> None:
        super().__init__(ground, cut_width, CONTACT_STIFFNESS, CONTACT_DAMPING, bodies, bodies)
        prm = self.prm
        self.numbers = np.array([bodies, spacing, *draft_numbers])
        self.force_args = (
            ground.height, prm, self.numbers, self._contact, np.zeros((7, 3)),
        )  # fmt: skip
        self.tick_args = (
            ground.bank, ground.loose, ground.packed, ground.height, ground.tiles, prm,
            self.numbers, self._motion, np.zeros(18), self.load,
        )  # fmt: skip

    @classmethod
    def from_spec(cls, ground: Ground, tool: Plough) -> Self:
        """Return a machine's plough in this ground's texture."""
        texture = {
            "fine": tool.texture_fine, "medium": tool.texture_medium, "coarse": tool.texture_coarse,
        }[ground.soil.texture]  # fmt: skip
        return cls(
            ground, tool.bodies, tool.cut_width, tool.spacing,
            (tool.draft_a, tool.draft_b, tool.draft_c, texture, tool.side_share,
             tool.suction_share, tool.side_angle),
        )  # fmt: skip


@njit(cache=True)
def plough_forces(
    height: Array,
    prm: Array,
    numbers: Array,
    contact: Array,
    scratch: Array,
    pose: Array,
    out: Array,
) -> None:
    """Write the wrench of the ground on the plough, about its first share, shape (16,).

    Each body holds on to the ground by itself, at a point that does not move on it: one contact
    at the middle of all drafts would move as the plough rolls, and so give it energy.
    ``out[12]`` is the mean depth of the shares [m], ``out[14]`` the draft [N].
    """
    out[:] = 0.0
    ahead_known, fx, fy = heading(pose)
    if not ahead_known:
        contact[:, ACTIVE] = 0.0
        return
    n = int(numbers[BODIES])
    width = prm[WIDTH]
    speed = pose[3] * fx + pose[4] * fy
    suction = numbers[SUCTION] * min(max(speed, 0.0) / 0.2, 1.0)
    axes = scratch[0:3]
    low = scratch[3]
    high = scratch[4]
    force = scratch[5]
    level_axes(fx, fy, axes)
    for k in range(n):
        rx = -k * numbers[SPACING] * pose[9] + k * width * pose[12]
        ry = -k * numbers[SPACING] * pose[10] + k * width * pose[13]
        rz = -k * numbers[SPACING] * pose[11] + k * width * pose[14]
        x, y, z = pose[0] + rx, pose[1] + ry, pose[2] + rz
        depth = surface_height(height, prm, x + AHEAD * fx, y + AHEAD * fy) - z
        if depth <= 0.0:
            contact[k, ACTIVE] = 0.0
            continue
        D = draft(
            numbers[DRAFT_A], numbers[DRAFT_B], numbers[DRAFT_C], numbers[TEXTURE], speed, width,
            depth,
        )  # fmt: skip
        out[12] += depth / n
        out[14] += D
        low[0] = -D
        high[0] = D
        low[1] = -0.3 * D
        high[1] = 0.3 * D
        low[2] = 0.0
        high[2] = 0.0
        rx += PULLED_AT * pose[15]
        ry += PULLED_AT * pose[16]
        rz += PULLED_AT * pose[17]
        vx = pose[3] + pose[7] * rz - pose[8] * ry
        vy = pose[4] + pose[8] * rx - pose[6] * rz
        vz = pose[5] + pose[6] * ry - pose[7] * rx
        elastic_plastic(
            contact[k], pose[0] + rx, pose[1] + ry, pose[2] + rz, vx, vy, vz,
            axes, low, high, prm[STIFFNESS] / n, prm[DAMPING] / n, force,
        )  # fmt: skip
        force[2] -= suction * D
        ahead = max(abs(vx * fx + vy * fy), CREEP)
        drift = (vy * fx - vx * fy) / (ahead * numbers[SIDE_ANGLE])
        side = -numbers[SIDE_SHARE] * D * math.tanh(drift)
        force[0] -= side * fy
        force[1] += side * fx
        for m in range(3):
            out[m] += force[m]
        out[3] += ry * force[2] - rz * force[1]
        out[4] += rz * force[0] - rx * force[2]
        out[5] += rx * force[1] - ry * force[0]


@njit(cache=True)
def plough_tick(
    bank: Array,
    loose: Array,
    packed: Array,
    height: Array,
    tiles: Flags,
    prm: Array,
    numbers: Array,
    motion: Array,
    share: Array,
    load: Array,
    pose: Array,
    dt: float,
) -> None:
    """Turn the soil that the shares passed since the last tick."""
    cell = prm[CELL]
    width = prm[WIDTH]
    nx, ny = height.shape
    turned = 0.0
    for k in range(int(numbers[BODIES])):
        for a in range(3):
            share[a] = pose[a] - k * numbers[SPACING] * pose[9 + a] + k * width * pose[12 + a]
            share[12 + a] = pose[12 + a]
        row = motion[k]
        came, dx, dy, _ = came_from(row, share)
        if came and dx * pose[9] + dy * pose[10] > 0.0:
            i0, i1, j0, j1 = window(prm, row, share, nx, ny)
            for i in range(i0, i1):
                x = prm[X0] + i * cell
                for j in range(j0, j1):
                    y = prm[Y0] + j * cell
                    hit, along, z = crossing(x, y, 0.5 * width, row, share)
                    if not hit:
                        continue
                    taken = cut_column(bank, loose, packed, height, tiles, prm, i, j, z)
                    if taken <= 0.0:
                        continue
                    # Turned over: what lay on the left comes to lie on the right.
                    shift = -width - along * (1.0 + SLICE)
                    m = cell_of(x + shift * share[12], prm[X0], cell, nx)
                    n = cell_of(y + shift * share[13], prm[Y0], cell, ny)
                    loose[m, n] += taken
                    height[m, n] = bank[m, n] + prm[SWELL] * loose[m, n]
                    wake(tiles, m, n)
                    turned += taken
        remember(row, share)
    load[CUT] += turned * cell * cell
