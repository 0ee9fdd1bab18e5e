"""Compile the soil's kernels before the first tick, so that no tick pays for it."""

from __future__ import annotations

import numpy as np

from kuwa_sim.soil.bucket import BucketShape
from kuwa_sim.soil.field import surface_height, surface_normal
from kuwa_sim.soil.parameters import SoilParameters
from kuwa_sim.soil.terrain import Terrain


def warm(soil: SoilParameters, bucket: BucketShape) -> None:
    """Run every kernel once on a small terrain; compiled code is kept in numba's cache."""
    terrain = Terrain(soil, bucket, shape=(32, 32))
    pose = np.zeros(18)
    pose[[11, 13, 15]] = -1.0, 1.0, 1.0  # hanging straight down, edge at the ground
    terrain.forces(pose, np.zeros(16))
    terrain.tick(pose, 0.01)
    surface_height(terrain.height, terrain.prm, 0.0, 0.0)
    surface_normal(terrain.height, terrain.prm, 0.0, 0.0, np.zeros(3))
