"""Lanes: the radial strips in which a machine that stands works a rectangle, bucket by bucket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError
from kuwa_machines.kinematics import ExcavatorKinematics, apply, inverse_transform
from kuwa_policies.planning.dig import Cut
from kuwa_policies.planning.strip import Strip, Target

LATERAL = 0.04
"""A trench's ends may lie this far beside the line through the swing axis [m]."""
OVERLAP = 0.85
"""Lanes lie this share of the bucket's width apart at their far ends."""
STATIONS = 25
"""Waypoints along a pass."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One strip from far to near.

    Args:
        swing: angle at which the front works it [rad].
        strip: its cells, by radius from the swing axis.
        z_world: height of the level frame in the world [m].
        ground: height of the ground beside it at the start, in the level frame [m].
    """

    swing: float
    strip: Strip
    z_world: float
    ground: float

    def cut(
        self, ground: HeightMap, floor: Array, finishing: bool, keep: Array | None = None
    ) -> Cut:
        """Return a pass down to ``floor``, a height in the world per row, shape (rows,) [m].

        Args:
            keep: heights that the shell must stay above, -inf where it is free, (rows,) [m].
        """
        at = self.strip.stations
        r = np.linspace(at[0], at[-1], STATIONS)
        surface = self.strip.rows_of(self.strip.heights(ground))
        return Cut(
            r=r,
            floor=np.interp(r, at, _smooth(floor)) - self.z_world,
            surface=np.interp(r, at, surface) - self.z_world,
            ground=self.ground,
            swing=self.swing,
            finishing=finishing,
            keep=None if keep is None else self._kept(keep, r) - self.z_world,
        )

    def _kept(self, keep: Array, r: Array) -> Array:
        """Return the highest of the rows around each radius, shape (len(r),)."""
        near = np.abs(self.strip.stations - r[:, None]) <= r[1] - r[0]
        return np.where(near, keep, -np.inf).max(axis=1)

    @property
    def rest(self) -> Array:
        """A pose over the lane from which a pass could start: (swing, r, z, p)."""
        return np.array([self.swing, self.strip.stations.mean(), self.ground + 1.0, np.pi / 2])


class Field:
    """A task's rectangle as a machine sees it from its swing axis.

    Args:
        task: the task. ground: as it is before anything is dug.
        T_world_level: frame that cycles are planned in. kin: the machine's.
    """

    def __init__(
        self, task: Task, ground: HeightMap, T_world_level: Array, kin: ExcavatorKinematics
    ) -> None:
        self.task = task
        self.target = Target.of(task, ground)
        self._z = float(T_world_level[2, 3])
        self._map = ground
        T = inverse_transform(T_world_level)
        dx = ground.xs()[:, None] + 0 * ground.ys()[None, :]
        dy = ground.ys()[None, :] + 0 * ground.xs()[:, None]
        points = np.stack([dx.ravel(), dy.ravel(), np.zeros(dx.size)], axis=-1)
        at = apply(T, points) - kin.base
        self._x, self._y = at[:, 0].reshape(dx.shape), at[:, 1].reshape(dx.shape)
        centre = apply(T, np.array([task.x, task.y, 0.0])) - kin.base
        self.swing = float(np.arctan2(centre[1], centre[0]))
        self._check_radial(apply(T_world_level, kin.base))

    def lane(self, swing: float, width: float) -> Lane | None:
        """Return the part of the rectangle within a band of ``width`` [m]; None without any."""
        c, s = np.cos(swing), np.sin(swing)
        along, across = self._x * c + self._y * s, self._y * c - self._x * s
        band = self.target.inside & (np.abs(across) < width / 2) & (along > 0)
        if not band.any():
            return None
        strip = Strip.of(self.target, self._map, band, along, self.task.tolerance)
        beside = float(self._map.height[band].mean())
        return Lane(swing, strip, self._z, max(beside, self.target.datum) - self._z)

    def single(self) -> Lane:
        """Return the whole rectangle as one lane."""
        lane = self.lane(self.swing, np.inf)
        assert lane is not None
        return lane

    def lanes(self, width: float) -> list[Lane]:
        """Return lanes that cover the rectangle with a bucket of ``width`` [m], middle first."""
        if self.task.width <= 1.05 * width:
            return [self.single()]
        r = np.hypot(self._x, self._y)[self.target.inside]
        angle = np.arctan2(self._y, self._x)[self.target.inside] - self.swing
        angle = (angle + np.pi) % (2 * np.pi) - np.pi
        # The outermost lanes reach half a bucket beside their line.
        out = np.maximum(np.abs(angle) - 0.5 * width / r, 0.0).max()
        count = int(np.ceil(2 * out / (OVERLAP * width / r.max()))) + 1
        angles = np.linspace(-out, out, count)
        found = [self.lane(self.swing + a, width) for a in angles[np.argsort(np.abs(angles))]]
        return [lane for lane in found if lane is not None]

    def _check_radial(self, origin: Array) -> None:
        task = self.task
        away = np.array([task.x - origin[0], task.y - origin[1]])
        radial = float(np.arctan2(away[1], away[0]))
        skew = (task.yaw - radial + np.pi / 2) % np.pi - np.pi / 2
        beside = abs(np.sin(skew)) * task.length / 2
        if beside > LATERAL:
            raise KuwaError(
                f"{task.kind} yaw {np.degrees(task.yaw):.1f}° does not point at the swing axis: "
                f"its ends would lie {beside:.2f} m beside the bucket's line (at most {LATERAL} "
                f"m); yaw {np.degrees(radial):.1f}° would be right at ({task.x:.2f}, "
                f"{task.y:.2f}) m"
            )


def _smooth(rows: Array) -> Array:
    """Average over five rows: the scan's noise is no reason to move the edge."""
    padded = np.pad(rows, 2, mode="edge")
    return np.convolve(padded, np.full(5, 0.2), mode="valid")
