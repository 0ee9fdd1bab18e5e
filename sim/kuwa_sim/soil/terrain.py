"""Ground under one bucket, driven by hand: the smallest site there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kuwa_sim.soil.bucket import BucketShape
from kuwa_sim.soil.bucket_tool import BucketTool
from kuwa_sim.soil.ground import Ground
from kuwa_sim.soil.parameters import SoilParameters

Array = NDArray[np.float64]


class Terrain(Ground):
    """A ground with one bucket on it; arguments as for :class:`Ground`."""

    def __init__(
        self,
        soil: SoilParameters,
        bucket: BucketShape,
        shape: tuple[int, int] = (260, 260),
        cell: float = 0.05,
        centre: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__(soil, shape, cell, centre)
        self.bucket = bucket
        self.tool = BucketTool(self, bucket)
        self.load = self.tool.load
        self.force_args = self.tool.force_args
        self.prm = self.tool.prm
        self.reset()

    def forces(self, pose: Array, out: Array) -> Array:
        """Write the wrench on the bucket to ``out``, shape (16,), and return it."""
        return self.tool.forces(pose, out)

    def tick(self, pose: Array, dt: float) -> None:
        """Cut, fill, spill and level for one tick of ``dt`` [s]."""
        self.tool.tick(pose, dt)
        self.level()

    @property
    def bucket_mass(self) -> float:
        """Mass of the soil in the bucket [kg]."""
        return self.tool.mass

    @property
    def bucket_volume(self) -> float:
        """Loose volume of the soil in the bucket [m³]."""
        return self.tool.volume * self.soil.swell
