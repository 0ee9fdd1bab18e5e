"""Where the bucket is emptied: around a heap's centre, or along a body that is to be loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.kinematics import apply, inverse_transform

SPREAD = ((0.0, 0.0), (-0.5, 0.0), (0.5, 0.0), (0.0, 0.7), (0.0, -0.7), (-0.5, 0.7), (0.5, -0.7))
"""Places to dump around the heap's centre: (outward, sideways) [m]."""
AROUND = 0.7
"""The heap's height is taken within this of a place [m]."""
STEP = 0.1
"""Heights are compared in steps of this, so that the scan's noise does not decide [m]."""


@dataclass(frozen=True, slots=True)
class Dump:
    """Where to empty the bucket.

    Args:
        swing: [rad]. r: radius [m]. top: height of what lies there, in the level frame [m].
        rim: whether a body stands there that nothing may touch: the bucket is lifted over it
            before the swing and turned away from it before it comes down.
    """

    swing: float
    r: float
    top: float
    rim: bool = False


class Spoil:
    """Chooses where the next bucket goes.

    Args:
        task: its spoil. T_world_level: frame that cycles are planned in. base: origin of the
            swing in that frame, shape (3,) [m].
    """

    def __init__(self, task: Task, T_world_level: Array, base: Array) -> None:
        self._task = task
        self._base = base
        self._T_world_level = T_world_level
        at = apply(inverse_transform(T_world_level), np.array([task.spoil_x, task.spoil_y, 0.0]))
        out = at - base
        self.swing = float(np.arctan2(out[1], out[0]))
        self.r = float(np.hypot(out[0], out[1]))
        self._rim: Dump | None = None

    def next(self, ground: HeightMap, fits: Callable[[Dump], bool]) -> Dump:
        """Return the lowest place around the heap's centre, ties to the first; or the body.

        Args:
            fits: whether the machine reaches there. If it reaches none, the centre is returned.
        """
        if self._task.spoil_height > 0.0:
            if self._rim is None:
                # The ground beside the body at the start: later there is spilled soil.
                top = self._height(ground, self.swing, self.r) + self._task.spoil_height
                self._rim = Dump(self.swing, self.r, top, rim=True)
            return self._rim
        best: Dump | None = None
        for out, side in SPREAD:
            swing, r = self.swing + side / self.r, self.r + out
            top = round(self._height(ground, swing, r) / STEP) * STEP
            place = Dump(swing, r, top + STEP)
            if (best is None or top + STEP < best.top - 1e-9) and fits(place):
                best = place
        return best or Dump(self.swing, self.r, self._height(ground, self.swing, self.r) + STEP)

    def _height(self, ground: HeightMap, swing: float, r: float) -> float:
        """Return the height around a place in the level frame [m]."""
        place = self._base + np.array([r * np.cos(swing), r * np.sin(swing), 0.0])
        x, y, _ = apply(self._T_world_level, place)
        i, j = ground.index(x, y)
        n = round(AROUND / ground.cell)
        near = ground.height[max(i - n, 0) : i + n + 1, max(j - n, 0) : j + n + 1]
        return float(np.percentile(near, 95)) - float(self._T_world_level[2, 3])
