"""The ground under a task: heights along the rectangle, what is left to dig, what is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Strip:
    """The cells of a task's rectangle and their targets.

    Args:
        task: the task.
        cells: flat indices into the map of the cells inside, shape (m,).
        row: index of the row across the strip that each belongs to, shape (m,).
        target: height to reach, shape (m,) [m].
        stations: middle of each row, from the near end, shape (rows,) [m].
        cell_area: [m²].
    """

    task: Task
    cells: Index
    row: Index
    target: Array
    stations: Array
    cell_area: float

    @classmethod
    def of(cls, task: Task, ground: HeightMap, origin: tuple[float, float]) -> Strip:
        """Take the targets from the ground as it is now; near is the end nearer to ``origin``.

        Raises:
            KuwaError: the rectangle is not wholly on the map.
        """
        ux, uy = np.cos(task.yaw), np.sin(task.yaw)
        if (task.x - origin[0]) * ux + (task.y - origin[1]) * uy < 0:
            ux, uy = -ux, -uy
        dx = ground.xs()[:, None] - task.x
        dy = ground.ys()[None, :] - task.y
        along = dx * ux + dy * uy + task.length / 2
        across = -dx * uy + dy * ux
        inside = (along > 0) & (along < task.length) & (np.abs(across) < task.width / 2)
        expected = task.length * task.width / ground.cell**2
        if inside.sum() < 0.9 * expected:
            raise KuwaError(
                f"{task.kind} at ({task.x:.2f}, {task.y:.2f}) m: {inside.sum()} of about "
                f"{expected:.0f} cells of its {task.length} m × {task.width} m lie on the map"
            )
        cells = np.flatnonzero(inside)
        s = along.ravel()[cells]
        rows = max(round(task.length / ground.cell), 1)
        row = np.clip((s / task.length * rows).astype(int), 0, rows - 1)
        target = ground.height.ravel()[cells] - task.depth
        stations = (np.arange(rows) + 0.5) * task.length / rows
        return cls(task, cells, row, target, stations, ground.cell**2)

    def rows_of(self, values: Array) -> Array:
        """Return the mean over each row, shape (rows,)."""
        counts = np.maximum(np.bincount(self.row, minlength=len(self.stations)), 1)
        sums = np.bincount(self.row, weights=values, minlength=len(self.stations))
        return np.asarray(sums / counts)

    def heights(self, ground: HeightMap) -> Array:
        """Return the height of each cell, shape (m,)."""
        return np.asarray(ground.height.ravel()[self.cells])

    def share_done(self, ground: HeightMap) -> float:
        """Share of cells within the tolerance of their target."""
        error = self.heights(ground) - self.target
        return float(np.mean(np.abs(error) <= self.task.tolerance))

    def share_high(self, ground: HeightMap) -> float:
        """Share of cells that digging can still improve: above the tolerance."""
        return float(np.mean(self.heights(ground) - self.target > self.task.tolerance))

    def volume_above(self, ground: HeightMap, floor: Array) -> float:
        """Volume above ``floor`` (one height per row), shape (rows,) → [m³]."""
        above = np.maximum(self.heights(ground) - floor[self.row], 0.0)
        return float(above.sum() * self.cell_area)

    def level_for(self, ground: HeightMap, volume: float) -> Array:
        """Return the floor, per row, of a level cut that takes ``volume`` [m³] or all there is.

        The cut is level in depth: max(surface of the target + offset, target).
        """
        target = self.rows_of(self.target)
        low, high = 0.0, float(np.max(self.heights(ground) - self.target)) + 0.01
        if self.volume_above(ground, target) <= volume:
            return target
        for _ in range(40):
            middle = 0.5 * (low + high)
            if self.volume_above(ground, target + middle) > volume:
                low = middle
            else:
                high = middle
        return np.asarray(target + high)
