"""A patch of the ground as an observation: heights at points of a grid, relative to the start.

Where they lie is in :func:`kuwa_sim.envs.layout.extent`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import HeightMap, Task
from kuwa_sim.envs import layout
from kuwa_sim.envs.frame import TaskFrame


class Patch:
    """Points at which the ground is looked at.

    Args:
        task: what the patch shows.
    """

    def __init__(self, task: Task) -> None:
        self.moves = bool(task.path)
        x0, x1, y0, y1 = layout.extent(task)
        x, y = np.linspace(x0, x1, layout.PATCH[0]), np.linspace(y0, y1, layout.PATCH[1])
        self._x, self._y = np.meshgrid(x, y, indexing="ij")

    def reset(self, frame: TaskFrame) -> None:
        """Begin an episode."""
        self._level = frame.z
        self._at = (frame.x, frame.y, frame.yaw)
        self._cells: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._seen: NDArray[np.float32] | None = None

    def take(
        self, terrain: HeightMap, new: bool, machine: tuple[float, float, float]
    ) -> NDArray[np.float32]:
        """Return heights above the origin of the task's frame, shape ``layout.PATCH`` [m].

        Points beyond the map show its edge, and ground that was never seen is zero.

        Args:
            terrain: the newest map. new: it has just been measured.
            machine: x, y [m] and yaw [rad]; where the machine was when the map was measured
                counts until the next one.
        """
        if self._seen is None or new:
            i, j = self._where(terrain, machine)
            height = np.nan_to_num(terrain.height[i, j] - self._level)
            depth = layout.PATCH_DEPTH
            self._seen = np.clip(height, -depth, depth).astype(np.float32)
        return self._seen.copy()

    def _where(
        self, terrain: HeightMap, machine: tuple[float, float, float]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._cells is not None and not self.moves:
            return self._cells
        x, y, yaw = machine if self.moves else self._at
        c, s = np.cos(yaw), np.sin(yaw)
        nx, ny = terrain.height.shape
        i = np.rint((x + c * self._x - s * self._y - terrain.x0) / terrain.cell)
        j = np.rint((y + s * self._x + c * self._y - terrain.y0) / terrain.cell)
        self._cells = (
            np.clip(i, 0, nx - 1).astype(np.int64),
            np.clip(j, 0, ny - 1).astype(np.int64),
        )
        return self._cells
