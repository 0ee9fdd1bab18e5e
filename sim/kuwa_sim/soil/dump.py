"""A tipping body: catches what falls in, holds what its tilt allows, empties over its rear edge."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kuwa_sim.soil.bucket import N_DAM, BucketShape, capacity_at, centre_at
from kuwa_sim.soil.field import put_down
from kuwa_sim.soil.ground import MAX_BODIES, Ground
from kuwa_sim.soil.layout import (
    B_ACTIVE,
    B_CAUGHT,
    B_FLOOR,
    B_HALF_Y,
    B_POSITION,
    B_ROTATION,
    B_X_MAX,
    B_X_MIN,
    CELL,
    GAMMA,
    GRAVITY,
    SWELL,
)
from kuwa_sim.soil.parameters import SoilError

Array = NDArray[np.float64]

EMPTY_TIME = 0.8
"""Soil above what the tilt holds slides out with this time constant [s]; estimate."""
LAST = 0.05
"""Least flow of what leaves [undisturbed m³/s], so that it ends in finite time."""
HEAP = 0.25
"""Half-length of the strip behind the rear edge on which soil falls [m]."""


class DumpTool:
    """A dump body on a ground.

    What it holds follows from its side view and its tilt, as for a bucket: soil rests on the floor
    and rises no steeper than repose from either edge, nor above the heaped capacity.

    Args:
        profile: inside from the top of the front wall to the rear edge, (x, z) with x forward and
            z up, shape (n, 2) [m]. width, heaped: [m], loose [m³].
    """

    def __init__(self, ground: Ground, profile: Array, width: float, heaped: float) -> None:
        self.ground = ground
        self._origin = profile[0].copy()
        # A bucket's frame has its mouth below: turned by half a turn about y.
        shape = BucketShape(-(profile - self._origin), width, heaped, 0.02)
        self._table = shape.capacity_table(ground.soil.repose)
        self._table[:, :N_DAM] /= ground.soil.swell
        self._rear = profile[-1].copy()
        self._width = width
        rows = ground.bodies[:, B_ACTIVE]
        if rows.all():
            raise SoilError(f"more than {MAX_BODIES} dump bodies on one ground; take some away")
        row = self._row = ground.bodies[int(np.argmin(rows))]
        row[B_ACTIVE] = 1.0
        row[B_X_MIN], row[B_X_MAX] = profile[:, 0].min(), profile[:, 0].max()
        row[B_HALF_Y] = width / 2
        row[B_FLOOR] = profile[:, 1].min()
        self._volume = 0.0
        self._moved = 0.0
        self._centre = (0.0, 0.0)
        ground.tools.append(self)

    def clear(self) -> None:
        """Empty the body."""
        self._volume = self._moved = 0.0

    def fill(self, loose: float) -> None:
        """Bring soil from elsewhere into the body: a loose volume [m³].

        Raises:
            SoilError: less than nothing, or more than the body holds heaped.
        """
        swell = float(self.ground.prm[SWELL])
        holds = capacity_at(self._table, math.pi, 0.0)
        if not 0.0 <= loose <= swell * (holds - self._volume) + 1e-9:
            raise SoilError(
                f"{loose:g} m³ of loose soil for a body with room for "
                f"{swell * (holds - self._volume):.2f} m³"
            )
        self._volume += loose / swell
        self.ground.bring(loose / swell)

    def place(self, position: Array, rotation: Array) -> None:
        """Tell the ground where the body is; rotation has shape (9,)."""
        self._row[B_POSITION : B_POSITION + 3] = position
        self._row[B_ROTATION : B_ROTATION + 9] = rotation

    def tick(self, position: Array, rotation: Array, dt: float) -> None:
        """Take what fell in, and let out what the tilt does not hold."""
        self.place(position, rotation)
        caught = float(self._row[B_CAUGHT])
        if caught == 0.0 and self._volume == 0.0:
            return
        self._row[B_CAUGHT] = 0.0
        self._volume += caught
        self._moved += caught
        # Pitch in the bucket's sense: half a turn is level.
        pitch = math.pi + math.asin(min(max(-float(rotation[6]), -1.0), 1.0))
        holds = capacity_at(self._table, pitch, 0.0)
        excess = self._volume - holds
        if excess > 0.0:
            out = max(excess * (1.0 - math.exp(-dt / EMPTY_TIME)), min(excess, LAST * dt))
            self._volume -= out
            self._moved += out
            self._lay(position, rotation, out)
        full = max(holds, self._volume, 1e-9)
        x, z = centre_at(self._table, pitch, self._volume / full)
        self._centre = (float(self._origin[0] - x), float(self._origin[1] - z))

    def _lay(self, position: Array, rotation: Array, volume: float) -> None:
        g = self.ground
        rear_x = position[0] + rotation[0] * self._rear[0] + rotation[2] * self._rear[1]
        rear_y = position[1] + rotation[3] * self._rear[0] + rotation[5] * self._rear[1]
        norm = math.hypot(rotation[0], rotation[3])
        fx, fy = rotation[0] / norm, rotation[3] / norm
        behind = HEAP + 0.5 * g.prm[CELL]
        put_down(
            g.bank, g.loose, g.height, g.tiles, g.prm, rear_x - behind * fx, rear_y - behind * fy,
            fx, fy, HEAP, 0.45 * self._width, volume,
        )  # fmt: skip

    @property
    def volume(self) -> float:
        """Undisturbed volume of the load [m³]."""
        return self._volume

    @property
    def moved(self) -> float:
        """Undisturbed volume taken in and let out since the reset [m³]."""
        return self._moved

    @property
    def mass(self) -> float:
        """Mass of the load [kg]."""
        return self._volume * float(self.ground.prm[GAMMA] / self.ground.prm[GRAVITY])

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the load (x, z) in the body's frame [m]."""
        return self._centre
