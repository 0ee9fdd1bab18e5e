"""What tools with an edge share: arrays, books, and the level frame in which they are held."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.ground import Ground
from kuwa_sim.soil.layout import (
    CUT,
    DAMPING,
    M_TIP,
    M_VALID,
    MASS,
    N_LOAD,
    N_MOTION,
    PUSHED,
    SPILLED,
    STIFFNESS,
    VOLUME,
    WIDTH,
)
from kuwa_sim.soil.spring import N_CONTACT

Array = NDArray[np.float64]

JUMP = 0.5
"""An edge that moved further than this in a tick was placed there, and cuts nothing [m]."""
UPRIGHT = 0.1
"""A direction with less than this of its length in plan leads nowhere on the ground."""


class EdgeTool:
    """A tool on a ground; it is booked there.

    Args:
        width: of an edge [m]. stiffness, damping: of a contact [N/m], [N·s/m].
        edges, contacts: how many of each.

    Attributes:
        prm: the ground's numbers and the tool's. load: what it holds and has moved; see
            :mod:`kuwa_sim.soil.layout`.
    """

    def __init__(
        self,
        ground: Ground,
        width: float,
        stiffness: float,
        damping: float,
        edges: int = 1,
        contacts: int = 1,
    ) -> None:
        self.prm = ground.prm.copy()
        self.prm[WIDTH], self.prm[STIFFNESS], self.prm[DAMPING] = width, stiffness, damping
        self.load = np.zeros(N_LOAD)
        self._motion = np.zeros((edges, N_MOTION))
        self._contact = np.zeros((contacts, N_CONTACT))
        ground.tools.append(self)

    def clear(self) -> None:
        """Forget the soil it holds and where it was."""
        for array in (self.load, self._motion, self._contact):
            array[:] = 0

    @property
    def volume(self) -> float:
        """Undisturbed volume of the soil that it holds or pushes [m³]."""
        return float(self.load[VOLUME])

    @property
    def mass(self) -> float:
        """Mass of that soil [kg]."""
        return float(self.load[MASS])

    @property
    def moved(self) -> float:
        """Undisturbed volume cut, pushed, laid down and spilled since the reset [m³]."""
        return float(self.load[CUT] + self.load[PUSHED] + self.load[SPILLED])


@njit(cache=True)
def heading(pose: Array) -> tuple[bool, float, float]:
    """Return whether the x axis has a direction in plan, and that unit direction."""
    norm = math.sqrt(pose[9] * pose[9] + pose[10] * pose[10])
    if norm < UPRIGHT:
        return False, 1.0, 0.0
    return True, pose[9] / norm, pose[10] / norm


@njit(cache=True)
def level_axes(fx: float, fy: float, axes: Array) -> None:
    """Write the rows forward, up and left of an upright tool that heads along (fx, fy)."""
    axes[0, 0] = fx
    axes[0, 1] = fy
    axes[0, 2] = 0.0
    axes[1, 0] = 0.0
    axes[1, 1] = 0.0
    axes[1, 2] = 1.0
    axes[2, 0] = -fy
    axes[2, 1] = fx
    axes[2, 2] = 0.0


@njit(cache=True)
def came_from(motion: Array, pose: Array) -> tuple[bool, float, float, float]:
    """Return whether the edge came here from where it was, and by how much [m]."""
    dx = pose[0] - motion[M_TIP]
    dy = pose[1] - motion[M_TIP + 1]
    dz = pose[2] - motion[M_TIP + 2]
    near = dx * dx + dy * dy + dz * dz <= JUMP * JUMP
    return motion[M_VALID] != 0.0 and near, dx, dy, dz
