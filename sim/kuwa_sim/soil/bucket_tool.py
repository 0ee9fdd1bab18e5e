"""A bucket working on a ground: the arrays that its kernels need, bound once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kuwa_sim.soil import layout as at
from kuwa_sim.soil.bucket import N_DAM, BucketShape
from kuwa_sim.soil.contact import tool_forces
from kuwa_sim.soil.earthmoving import factor_table
from kuwa_sim.soil.excavation import bucket_tick
from kuwa_sim.soil.ground import Ground
from kuwa_sim.soil.tool import EdgeTool

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]
Counters = NDArray[np.int64]
Cells = NDArray[np.int32]
ForceArgs = tuple[
    Array, Array, Array, Array, Array, Array, Array, Array, Array, Array
]  # fmt: skip
TickArgs = tuple[
    Array, Array, Array, Array, Array, Flags, Counters, Array, Array, Array, Cells, Array, Array,
    Array, Array,
]  # fmt: skip

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


class BucketTool(EdgeTool):
    """One bucket on a ground.

    All arrays are made once and changed in place, so ``force_args`` and ``tick_args`` stay valid.

    Args:
        ground: it is booked there.
        shape: geometry of the bucket.

    Attributes:
        force_args, tick_args: leading arguments of ``tool_forces`` and ``bucket_tick``.
    """

    def __init__(self, ground: Ground, shape: BucketShape) -> None:
        shell = shape.contact_points()
        super().__init__(ground, shape.width, STIFFNESS, DAMPING, contacts=1 + len(shell))
        self.shape = shape
        soil = ground.soil
        self.swell = soil.swell
        self._write_parameters(shape)
        self._own: Counters = np.zeros(at.N_OWN, np.int64)
        fee = factor_table(soil.metal_friction, soil.internal_friction)
        outline = shape.outline()
        capacity = shape.capacity_table(soil.repose)
        capacity[:, :N_DAM] /= soil.swell
        reach = float(np.linalg.norm(shape.profile - shape.tip, axis=1).max())
        cells = math.ceil((2 * reach / ground.cell + 2) * (shape.width / ground.cell + 2))
        covered: Cells = np.zeros((2, cells, 2), np.int32)
        self.force_args: ForceArgs = (
            ground.height, ground.loose, ground.datum, ground.obstacles, self.prm, fee, shell,
            self._contact, self.load, np.zeros((8, 3)),
        )  # fmt: skip
        self.tick_args: TickArgs = (
            ground.bank, ground.loose, ground.packed, ground.height, ground.roof, ground.tiles,
            self._own, self.prm, ground.bodies, outline, covered, np.zeros_like(outline), capacity,
            self._motion[0], self.load,
        )  # fmt: skip

    def _write_parameters(self, shape: BucketShape) -> None:
        prm = self.prm
        prm[at.EDGE] = shape.edge_thickness
        prm[at.FLOOR_X : at.FLOOR_Z + 1] = shape.floor
        prm[at.MOUTH_X : at.MOUTH_Z + 1] = shape.inward
        prm[at.SIDE] = math.sqrt(shape.area)
        prm[at.SINK] = SINK
        prm[at.FLOW_TIME] = FLOW_TIME
        prm[at.LOAD_SURCHARGE] = LOAD_SURCHARGE
        prm[at.TIP_X : at.TIP_Z + 1] = shape.tip
        prm[at.LIP_X : at.LIP_Z + 1] = shape.profile[0] - shape.tip

    def clear(self) -> None:
        """Empty the bucket and forget where it was; the ground opens its roofs itself."""
        super().clear()
        self._own[:] = 0

    def forces(self, pose: Array, out: Array) -> Array:
        """Write the wrench on the bucket to ``out``, shape (16,), and return it."""
        tool_forces(*self.force_args, pose, out)
        return out

    def tick(self, pose: Array, dt: float) -> None:
        """Cut, fill and spill for one tick of ``dt`` [s]."""
        bucket_tick(*self.tick_args, pose, dt)
