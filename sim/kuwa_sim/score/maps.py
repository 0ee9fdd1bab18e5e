"""The ground before and after a run, and where it cannot be dug at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kuwa_machines.contracts import Array, HeightMap
from kuwa_sim.score.log import Mask, ScoreError
from kuwa_sim.soil.obstacles import Obstacle

BESIDE = 0.15
"""This close to a rigid body an edge cannot work [m]."""


@dataclass(frozen=True, slots=True)
class Maps:
    """Height maps of one extent.

    Args:
        start, final: before and after.
        obstacles: rigid bodies in the ground.

    Raises:
        ScoreError: the maps differ in extent, or hold numbers that are not finite.
    """

    start: HeightMap
    final: HeightMap
    obstacles: Sequence[Obstacle] = field(default=())

    def __post_init__(self) -> None:
        """Refuse maps that cannot be compared."""
        start, final = self.start, self.final
        if start.height.shape != final.height.shape or not np.allclose(
            [start.x0, start.y0, start.cell], [final.x0, final.y0, final.cell]
        ):
            raise ScoreError(
                f"the start map {start.height.shape} and the final map {final.height.shape} must "
                "have the same extent and cells"
            )
        for name, values in (("start map", start.height), ("final map", final.height)):
            if not np.isfinite(values).all():
                bad = int(np.count_nonzero(~np.isfinite(values)))
                raise ScoreError(f"{name}: {bad} of {values.size} numbers are not finite")

    def blocked(self, target: Array) -> Mask:
        """Return in which cells a rigid body rises above the target, shape (nx, ny), bool."""
        out = np.zeros(self.start.height.shape, dtype=bool)
        for body in self.obstacles:
            dx = self.start.xs()[:, None] - body.centre[0]
            dy = self.start.ys()[None, :] - body.centre[1]
            c, s = np.cos(body.yaw), np.sin(body.yaw)
            a, b = body.half[0] + BESIDE, body.half[1] + BESIDE
            u, v = (c * dx + s * dy) / a, (-s * dx + c * dy) / b
            near = (
                np.hypot(u, v) <= 1 if body.kind == "ellipsoid" else np.maximum(abs(u), abs(v)) <= 1
            )
            out |= near & (body.centre[2] + body.half[2] > target)
        return out
