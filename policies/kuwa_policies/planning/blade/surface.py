"""The wanted surface of a rectangle, and how far the measured one is from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError


@dataclass(frozen=True, slots=True)
class Surface:
    """A plane over a rectangle, in the rectangle's own directions.

    Args:
        x, y: centre [m]. yaw: direction of ``along`` [rad].
        length, width: along and across [m].
        level: at the centre [m]. rise: along [m/m]. cross: to the left [m/m].
    """

    x: float
    y: float
    yaw: float
    length: float
    width: float
    level: float
    rise: float
    cross: float

    @classmethod
    def of_task(cls, task: Task, ground: HeightMap) -> Surface:
        """Return a task's surface: mean height of the rectangle, or median of all, less the depth.

        A heap that is to be pushed away is no reference, so that pushing takes the median.

        Raises:
            KuwaError: the rectangle is not wholly on the map.
        """
        c, s = math.cos(task.yaw), math.sin(task.yaw)
        xs, ys = ground.xs(), ground.ys()
        for a in (-0.5, 0.5):
            for b in (-0.5, 0.5):
                x = task.x + a * task.length * c - b * task.width * s
                y = task.y + a * task.length * s + b * task.width * c
                if not (xs[0] <= x <= xs[-1] and ys[0] <= y <= ys[-1]):
                    raise KuwaError(
                        f"a corner of the task's rectangle is at ({x:.1f}, {y:.1f}) m; the map "
                        f"covers x {xs[0]:.1f} … {xs[-1]:.1f} m, y {ys[0]:.1f} … {ys[-1]:.1f} m"
                    )
        flat = cls(task.x, task.y, task.yaw, task.length, task.width, 0.0, task.slope, 0.0)
        inside = flat.covers(ground)
        if not inside.any():
            raise KuwaError("the task's rectangle is smaller than a cell of the map")
        known = ground.height[inside]
        level = np.median(ground.height) if task.kind == "push" else known.mean()
        if not (math.isfinite(level) and np.isfinite(known).all()):
            raise KuwaError("the map has heights in the task's rectangle that are not finite")
        return cls(
            task.x, task.y, task.yaw, task.length, task.width, float(level) - task.depth,
            task.slope, 0.0,
        )  # fmt: skip

    def turned(self, quarters: int) -> Surface:
        """Return the same surface with ``along`` turned to the left by right angles."""
        out = self
        for _ in range(quarters % 4):
            out = Surface(
                out.x, out.y, out.yaw + math.pi / 2, out.width, out.length, out.level, out.cross,
                -out.rise,
            )  # fmt: skip
        return out

    def frame(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Return how far points are along and across (to the left), zero at the centre [m]."""
        dx, dy = np.asarray(x) - self.x, np.asarray(y) - self.y
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return np.asarray(c * dx + s * dy), np.asarray(c * dy - s * dx)

    def point(self, along: ArrayLike, across: ArrayLike) -> tuple[Array, Array]:
        """Return the world's (x, y) of places in the rectangle [m]."""
        a, b = np.asarray(along, dtype=float), np.asarray(across, dtype=float)
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + c * a - s * b, self.y + s * a + c * b

    def height(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Return the wanted height at world points [m]."""
        along, across = self.frame(x, y)
        return np.asarray(self.level + self.rise * along + self.cross * across)

    def covers(self, ground: HeightMap) -> Array:
        """Return which cells of a map lie in the rectangle, shape (nx, ny), bool."""
        along, across = self.frame(ground.xs()[:, None], ground.ys()[None, :])
        return np.asarray((abs(along) <= self.length / 2) & (abs(across) <= self.width / 2))

    def strip(self, ground: HeightMap, offset: float, width: float, ends: float = 0.0) -> Array:
        """Return height over the wanted one in a lane, 1-d [m].

        Args:
            offset: of the lane's middle across the rectangle [m]. width: of the lane [m].
            ends: how far beyond the rectangle's length it reaches [m].
        """
        along, across = self.frame(ground.xs()[:, None], ground.ys()[None, :])
        inside = (abs(along) <= self.length / 2 + ends) & (abs(across - offset) <= width / 2)
        x, y = np.broadcast_arrays(ground.xs()[:, None], ground.ys()[None, :])
        return np.asarray(ground.height[inside] - self.height(x[inside], y[inside]))
