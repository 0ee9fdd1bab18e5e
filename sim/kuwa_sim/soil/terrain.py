"""The ground and the bucket's load as one object: it owns the arrays that the kernels work on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import HeightMap
from kuwa_sim.soil import layout as at
from kuwa_sim.soil.bucket import N_DAM, BucketShape
from kuwa_sim.soil.contact import tool_forces
from kuwa_sim.soil.earthmoving import factor_table
from kuwa_sim.soil.excavation import tool_tick
from kuwa_sim.soil.field import level
from kuwa_sim.soil.parameters import GRAVITY, SoilError, SoilParameters
from kuwa_sim.soil.spring import N_CONTACT

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]
Counters = NDArray[np.int64]
Cells = NDArray[np.int32]
ForceArgs = tuple[Array, Array, Array, Array, Array, Array, Array, Array]
TickArgs = tuple[
    Array, Array, Array, Array, Flags, Counters, Array, Array, Cells, Array, Array, Array, Array
]

STIFFNESS = 1.5e6
"""Of an elastic contact [N/m]: 300 kg on one swings at 11 Hz, 0.14 rad a step of 2 ms, and a yield
of 30 kN is reached within 2 cm."""
DAMPING = 1.0e4
"""Of a contact [N·s/m]: a quarter of critical for 300 kg, stable to steps of 20 ms."""
SINK = 0.03
"""[m]: under half a cell's step at the repose, less than the tolerance of a trench."""
FLOW_TIME = 0.3
"""[s]: a bucket turned over is empty in about a second."""
LOAD_SURCHARGE = 0.3
"""Estimate; soil coming in lifts part of what is already inside."""
SETTLED = 1e-3
"""[m]: 1.1° of slope between cells of 5 cm."""


class Terrain:
    """Ground of one soil under one bucket; see :mod:`kuwa_sim.soil` for how to drive it.

    All arrays are made once and changed in place, so ``force_args`` and ``tick_args`` stay valid.

    Args:
        soil: what the ground is made of.
        bucket: the tool.
        shape: cells along x and y.
        cell: edge of a cell [m].
        centre: world (x, y) of the middle of the grid [m]. With even numbers of cells the borders
            of cells lie at whole multiples of ``cell`` from it.

    Attributes:
        bank, loose, height: shape ``shape`` [m]; see :mod:`kuwa_sim.soil.field`.
        prm, load: packed numbers; see :mod:`kuwa_sim.soil.layout`.
        force_args, tick_args: leading arguments of ``tool_forces`` and ``tool_tick``.
    """

    def __init__(
        self,
        soil: SoilParameters,
        bucket: BucketShape,
        shape: tuple[int, int] = (260, 260),
        cell: float = 0.05,
        centre: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        if min(shape) < 2 * at.TILE or not (math.isfinite(cell) and 0.01 <= cell <= 0.5):
            raise SoilError(
                f"terrain of {shape[0]} x {shape[1]} cells of {cell} m is not possible; expected "
                f"at least {2 * at.TILE} cells a side and 0.01 to 0.5 m a cell"
            )
        self.soil = soil
        self.bucket = bucket
        self.cell = cell
        self.bank = np.zeros(shape)
        self.loose = np.zeros(shape)
        self.height = np.zeros(shape)
        self.prm = np.zeros(at.N_PRM)
        self.load = np.zeros(at.N_LOAD)
        self._tiles = np.zeros([-(-n // at.TILE) for n in shape], np.uint8)
        self._meta = np.zeros(at.N_META, np.int64)
        self._motion = np.zeros(at.N_MOTION)
        self._fee = factor_table(soil.metal_friction, soil.internal_friction)
        self._shell = bucket.contact_points()
        self._outline = bucket.outline()
        self._capacity = bucket.capacity_table(soil.repose)
        self._capacity[:, :N_DAM] /= soil.swell
        self._contact = np.zeros((1 + len(self._shell), N_CONTACT))
        self._scratch = np.zeros((7, 3))
        self._roof = np.full(shape, np.inf)
        reach = float(np.linalg.norm(bucket.profile - bucket.tip, axis=1).max())
        cells = math.ceil((2 * reach / cell + 2) * (bucket.width / cell + 2))
        self._covered = np.zeros((2, cells, 2), np.int32)
        self._side = np.zeros_like(self._outline)
        self._write_parameters(centre)
        self.force_args: ForceArgs = (
            self.height, self.loose, self.prm, self._fee, self._shell, self._contact, self.load,
            self._scratch,
        )  # fmt: skip
        self.tick_args: TickArgs = (
            self.bank, self.loose, self.height, self._roof, self._tiles, self._meta, self.prm,
            self._outline, self._covered, self._side, self._capacity, self._motion, self.load,
        )  # fmt: skip
        self._start_volume = 0.0
        self.reset()

    def _write_parameters(self, centre: tuple[float, float]) -> None:
        prm, soil, bucket = self.prm, self.soil, self.bucket
        nx, ny = self.bank.shape
        prm[at.X0] = centre[0] - 0.5 * (nx - 1) * self.cell
        prm[at.Y0] = centre[1] - 0.5 * (ny - 1) * self.cell
        prm[at.CELL] = self.cell
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
        prm[at.WIDTH] = bucket.width
        prm[at.EDGE] = bucket.edge_thickness
        prm[at.FLOOR_X : at.FLOOR_Z + 1] = bucket.floor
        prm[at.MOUTH_X : at.MOUTH_Z + 1] = bucket.inward
        prm[at.SIDE] = math.sqrt(bucket.area)
        prm[at.STIFFNESS] = STIFFNESS
        prm[at.DAMPING] = DAMPING
        prm[at.SINK] = SINK
        prm[at.FLOW_TIME] = FLOW_TIME
        prm[at.LOAD_SURCHARGE] = LOAD_SURCHARGE
        prm[at.TIP_X : at.TIP_Z + 1] = bucket.tip
        prm[at.LIP_X : at.LIP_Z + 1] = bucket.profile[0] - bucket.tip
        prm[at.SETTLED] = SETTLED

    def reset(self, seed: int = 0, height: float | Array = 0.0, roughness: float = 0.0) -> None:
        """Return to undisturbed ground and an empty bucket; the same arguments give the same bits.

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
        self.height[:] = self.bank
        for array in (self.load, self._tiles, self._meta, self._motion, self._contact):
            array[:] = 0
        self._roof[:] = np.inf
        self._tiles[:] = 1
        self.settle()
        self._start_volume = self.total_volume()

    def forces(self, pose: Array, out: Array) -> Array:
        """Write the wrench on the bucket to ``out``, shape (16,), and return it."""
        tool_forces(*self.force_args, pose, out)
        return out

    def tick(self, pose: Array, dt: float) -> None:
        """Cut, fill, spill and level for one tick of ``dt`` [s]."""
        tool_tick(*self.tick_args, pose, dt)

    def settle(self, max_ticks: int = 10_000) -> int:
        """Level until nothing moves, at most this many ticks; return how many it took."""
        for tick in range(max_ticks):
            level(self.bank, self.loose, self.height, self._roof, self._tiles, self._meta, self.prm)
            if self._meta[at.UNSETTLED] == 0:
                return tick + 1
        return max_ticks

    @property
    def unsettled(self) -> bool:
        """Whether soil is still flowing."""
        return bool(self._meta[at.UNSETTLED])

    @property
    def bucket_mass(self) -> float:
        """Mass of the soil in the bucket [kg]."""
        return float(self.load[at.MASS])

    @property
    def bucket_volume(self) -> float:
        """Loose volume of the soil in the bucket [m³]."""
        return float(self.load[at.VOLUME]) * self.soil.swell

    def total_volume(self) -> float:
        """Undisturbed volume of all soil, above z = 0 and in the bucket [m³]; it never changes."""
        cells = math.fsum(self.bank.ravel()) + math.fsum(self.loose.ravel())
        return cells * self.cell**2 + float(self.load[at.VOLUME])

    def volume_error(self) -> float:
        """Change of the total volume since reset over the volume moved, at least 1 m³."""
        moved = self.load[at.CUT] + self.load[at.PUSHED] + self.load[at.SPILLED]
        return abs(self.total_volume() - self._start_volume) / max(float(moved), 1.0)

    def height_map(self) -> HeightMap:
        """Return a copy of the surface."""
        return HeightMap(
            self.height.copy(), float(self.prm[at.X0]), float(self.prm[at.Y0]), self.cell
        )


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
