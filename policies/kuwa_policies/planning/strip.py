"""The ground under a task: heights by rows along a strip, what is left to dig, what is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError

Index = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Target:
    """The surface that a task wants: the mean height of its rectangle at the start, less the
    depth, rising with the slope along its length.

    Args:
        inside: which cells belong to the rectangle, shape (nx, ny). height: shape (nx, ny) [m].
        datum: mean height of the ground in it at the start [m].
    """

    inside: Mask
    height: Array
    datum: float

    @classmethod
    def of(cls, task: Task, ground: HeightMap) -> Target:
        """Take the datum from the ground as it is now.

        Raises:
            KuwaError: the rectangle is not wholly on the map.
        """
        dx, dy = ground.xs()[:, None] - task.x, ground.ys()[None, :] - task.y
        c, s = np.cos(task.yaw), np.sin(task.yaw)
        along, across = dx * c + dy * s, dy * c - dx * s
        inside = (np.abs(along) < task.length / 2) & (np.abs(across) < task.width / 2)
        expected = task.length * task.width / ground.cell**2
        if inside.sum() < 0.9 * expected:
            raise KuwaError(
                f"{task.kind} at ({task.x:.2f}, {task.y:.2f}) m: {inside.sum()} of about "
                f"{expected:.0f} cells of its {task.length} m × {task.width} m lie on the map"
            )
        datum = float(ground.height[inside].mean())
        return cls(inside, datum - task.depth + task.slope * along, datum)


@dataclass(frozen=True, slots=True)
class Strip:
    """Cells along a line of travel, in rows across it.

    Args:
        cells: flat indices into the map, shape (m,).
        row: index of the row that each belongs to, shape (m,).
        target: height to reach, shape (m,) [m].
        stations: distance of the middle of each row along the line, shape (rows,) [m].
        cell_area: [m²].
        tolerance: a cell within ± this of its target is done [m].
    """

    cells: Index
    row: Index
    target: Array
    stations: Array
    cell_area: float
    tolerance: float

    @classmethod
    def of(
        cls, target: Target, ground: HeightMap, inside: Mask, along: Array, tolerance: float
    ) -> Strip:
        """Sort the cells of a mask into rows as long as a cell by their distance ``along``."""
        cells = np.flatnonzero(inside)
        s = along.ravel()[cells]
        first = float(s.min()) - ground.cell / 2
        row = ((s - first) / ground.cell).astype(int)
        stations = first + (np.arange(row.max() + 1) + 0.5) * ground.cell
        height = target.height.ravel()[cells]
        return cls(cells, row, height, stations, ground.cell**2, tolerance)

    def rows_of(self, values: Array) -> Array:
        """Return the mean over each row, shape (rows,); a row without cells is between others."""
        counts = np.bincount(self.row, minlength=len(self.stations))
        sums = np.bincount(self.row, weights=values, minlength=len(self.stations))
        some = counts > 0
        return np.interp(self.stations, self.stations[some], sums[some] / counts[some])

    def heights(self, ground: HeightMap) -> Array:
        """Return the height of each cell, shape (m,)."""
        return np.asarray(ground.height.ravel()[self.cells])

    def error(self, ground: HeightMap) -> Array:
        """Return how far each cell lies above its target, shape (m,) [m]."""
        return self.heights(ground) - self.target

    def share_done(self, ground: HeightMap, rows: Mask | None = None) -> float:
        """Share of cells within the tolerance of their target, of all rows or of some."""
        return float(np.mean(self._of(np.abs(self.error(ground)) <= self.tolerance, rows)))

    def share_high(self, ground: HeightMap, rows: Mask | None = None) -> float:
        """Share of cells that digging can still improve: above the tolerance."""
        return float(np.mean(self._of(self.error(ground) > self.tolerance, rows)))

    def _of(self, values: Mask, rows: Mask | None) -> Mask:
        chosen = values if rows is None else values[rows[self.row]]
        return chosen if chosen.size else np.ones(1, dtype=bool)

    def volume_above(self, ground: HeightMap, floor: Array) -> float:
        """Volume above ``floor`` (one height per row), shape (rows,) → [m³]."""
        above = np.maximum(self.heights(ground) - floor[self.row], 0.0)
        return float(above.sum() * self.cell_area)

    def level_for(self, ground: HeightMap, volume: float, target: Array) -> Array:
        """Return the floor, per row, of a cut that takes ``volume`` [m³] or all there is.

        The cut is level over the target: max(target + offset, target).
        """
        low, high = 0.0, float(np.max(self.heights(ground) - target[self.row])) + 0.01
        if self.volume_above(ground, target) <= volume:
            return target
        for _ in range(40):
            middle = 0.5 * (low + high)
            if self.volume_above(ground, target + middle) > volume:
                low = middle
            else:
                high = middle
        return np.asarray(target + high)
