"""The ground of a site: one soil in columns, worked by any number of tools at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import HeightMap
from kuwa_sim.soil import layout as at
from kuwa_sim.soil.levelling import level
from kuwa_sim.soil.obstacles import Obstacle, obstacle_rows
from kuwa_sim.soil.parameters import GRAVITY, SoilError, SoilParameters

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]
Counters = NDArray[np.int64]

SETTLED = 1e-3
"""[m]: 1.1° of slope between cells of 5 cm."""
MAX_BODIES = 4
"""Dump bodies on one site, at most."""


class SoilTool(Protocol):
    """What holds or has moved soil of a ground, for its books."""

    @property
    def volume(self) -> float:
        """Soil held, undisturbed volume [m³]."""

    @property
    def moved(self) -> float:
        """Undisturbed volume of all soil moved since the reset [m³]."""

    def clear(self) -> None:
        """Empty the tool and forget where it was."""


class Ground:
    """Ground of one soil; tools work on its arrays in place and are booked in ``tools``.

    Args:
        soil: what the ground is made of.
        shape: cells along x and y.
        cell: edge of a cell [m].
        centre: world (x, y) of the middle of the grid [m]. With even numbers of cells the borders
            of cells lie at whole multiples of ``cell`` from it.
        obstacles: rigid bodies in the ground.

    Attributes:
        bank, loose, packed, height: shape ``shape`` [m]; see :mod:`kuwa_sim.soil.field`.
        prm: packed numbers; see :mod:`kuwa_sim.soil.layout`. Entries of tools are zero.
        roof: height of tools' shells over each cell, infinite where there is none [m].
        tiles, meta: activity of the levelling.
        datum: the original surface, from which layers are measured [m].
        bodies: rows of dump bodies that catch falling soil, shape (MAX_BODIES, N_BODY).
    """

    def __init__(
        self,
        soil: SoilParameters,
        shape: tuple[int, int] = (260, 260),
        cell: float = 0.05,
        centre: tuple[float, float] = (0.0, 0.0),
        obstacles: Sequence[Obstacle] = (),
    ) -> None:
        if min(shape) < 2 * at.TILE or not (math.isfinite(cell) and 0.01 <= cell <= 0.5):
            raise SoilError(
                f"terrain of {shape[0]} x {shape[1]} cells of {cell} m is not possible; expected "
                f"at least {2 * at.TILE} cells a side and 0.01 to 0.5 m a cell"
            )
        self.soil = soil
        self.cell = cell
        self.bank = np.zeros(shape)
        self.loose = np.zeros(shape)
        self.packed = np.zeros(shape)
        self.height = np.zeros(shape)
        self.prm = _parameters(soil, shape, cell, centre)
        self.roof = np.full(shape, np.inf)
        self.tiles: Flags = np.zeros([-(-n // at.TILE) for n in shape], np.uint8)
        self.meta: Counters = np.zeros(at.N_META, np.int64)
        self.bodies = np.zeros((MAX_BODIES, at.N_BODY))
        self.datum = np.zeros(shape)
        self.obstacles = obstacle_rows(obstacles)
        self.tools: list[SoilTool] = []
        self.level_args = (
            self.bank, self.loose, self.height, self.roof, self.tiles, self.meta, self.prm,
        )  # fmt: skip
        self._start_volume = 0.0

    def reset(self, seed: int = 0, height: float | Array = 0.0, roughness: float = 0.0) -> None:
        """Return to undisturbed ground and empty tools; the same arguments give the same bits.

        Args:
            seed: of the roughness.
            height: of the ground: one number or one per cell [m].
            roughness: standard deviation of smooth bumps half a metre wide added to it [m].
        """
        self.bank[:] = height
        if roughness > 0.0:
            self.bank += roughness * _bumps(np.random.default_rng(seed), self.bank.shape)
        if not np.all(np.isfinite(self.bank)):
            raise SoilError("terrain height is not finite")
        self.loose[:] = 0.0
        self.packed[:] = 0.0
        self.height[:] = self.bank
        self.datum[:] = self.bank
        self.meta[:] = 0
        self.bodies[:, at.B_CAUGHT] = 0.0
        for tool in self.tools:
            tool.clear()
        self.roof[:] = np.inf
        self.tiles[:] = 1
        self.settle()
        self._start_volume = self.total_volume()

    def level(self) -> None:
        """Let what is too steep flow, once a tick."""
        level(*self.level_args)

    def settle(self, max_ticks: int = 10_000) -> int:
        """Level until nothing moves, at most this many ticks; return how many it took."""
        for tick in range(max_ticks):
            level(*self.level_args)
            if self.meta[at.UNSETTLED] == 0:
                return tick + 1
        return max_ticks

    @property
    def unsettled(self) -> bool:
        """Whether soil is still flowing."""
        return bool(self.meta[at.UNSETTLED])

    def total_volume(self) -> float:
        """Undisturbed volume of all soil, above z = 0 and in tools [m³]; it never changes."""
        layers = (self.bank, self.loose, self.packed)
        cells = sum(math.fsum(layer.ravel()) for layer in layers)
        falling = math.fsum(self.bodies[:, at.B_CAUGHT])
        return cells * self.cell**2 + sum(tool.volume for tool in self.tools) + falling

    def bring(self, volume: float) -> None:
        """Count soil that comes from elsewhere: an undisturbed volume [m³]."""
        self._start_volume += volume

    def volume_error(self) -> float:
        """Change of the total volume since reset over the volume moved, at least 1 m³."""
        moved = sum(tool.moved for tool in self.tools)
        return abs(self.total_volume() - self._start_volume) / max(float(moved), 1.0)

    def height_map(self) -> HeightMap:
        """Return a copy of the surface."""
        return HeightMap(
            self.height.copy(), float(self.prm[at.X0]), float(self.prm[at.Y0]), self.cell
        )


def _parameters(
    soil: SoilParameters, shape: tuple[int, int], cell: float, centre: tuple[float, float]
) -> Array:
    prm = np.zeros(at.N_PRM)
    prm[at.X0] = centre[0] - 0.5 * (shape[0] - 1) * cell
    prm[at.Y0] = centre[1] - 0.5 * (shape[1] - 1) * cell
    prm[at.CELL] = cell
    prm[at.GAMMA] = soil.specific_weight
    prm[at.COHESION] = soil.cohesion
    prm[at.ADHESION] = soil.adhesion
    prm[at.TAN_DELTA] = math.tan(soil.metal_friction)
    prm[at.SIN_DELTA] = math.sin(soil.metal_friction)
    prm[at.COS_DELTA] = math.cos(soil.metal_friction)
    prm[at.SWELL] = soil.swell
    prm[at.TAN_REPOSE] = math.tan(soil.repose)
    prm[at.TAN_PHI] = math.tan(soil.internal_friction)
    prm[at.WALL] = soil.wall_height
    prm[at.BEARING_C : at.BEARING_GAMMA + 1] = soil.bearing_factors
    prm[at.GRAVITY] = GRAVITY
    prm[at.SETTLED] = SETTLED
    prm[at.LAYERS] = len(soil.layers)
    for k, layer in enumerate(soil.layers):
        prm[at.LAYER + 2 * k : at.LAYER + 2 * k + 2] = layer.top, layer.cohesion
    return prm


def _bumps(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return smooth noise of unit standard deviation: white noise averaged over 11 x 11 cells."""
    size = 11
    noise = rng.standard_normal((shape[0] + size - 1, shape[1] + size - 1))
    for axis in (0, 1):
        total = np.cumsum(noise, axis=axis)
        total = np.insert(total, 0, 0.0, axis=axis)
        n = shape[axis]
        high = np.take(total, np.arange(size, size + n), axis=axis)
        noise = high - np.take(total, np.arange(n), axis=axis)
    result: Array = noise / size
    return result
