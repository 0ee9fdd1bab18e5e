"""The task's frame, in which an observation tells where things are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kuwa_machines.contracts import HeightMap, Task


@dataclass(frozen=True, slots=True)
class TaskFrame:
    """Level, with +x along a task and the origin on the ground as it was at the start.

    The origin is the middle of the task's rectangle and +x its length; of a way it is the first
    point, and +x the way's first direction.

    Args:
        x, y, z: origin in the world [m]. yaw: of its +x about +z [rad].
    """

    x: float
    y: float
    z: float
    yaw: float

    @classmethod
    def of(cls, task: Task, start: HeightMap) -> TaskFrame:
        """Return the frame of a task on the ground at the start."""
        x, y, yaw = task.x, task.y, task.yaw
        if task.path:
            (x, y), (bx, by) = task.path[:2]
            yaw = math.atan2(by - y, bx - x)
        return cls(x, y, float(start.height[start.index(x, y)]), yaw)

    def level(self, x: float, y: float) -> tuple[float, float]:
        """Return a point of the world in this frame, seen from above [m]."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        dx, dy = x - self.x, y - self.y
        return c * dx + s * dy, c * dy - s * dx
