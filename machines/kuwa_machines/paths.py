"""Ways to drive: arc length along a polyline, and how far beside it a machine is.

The cross-track error is taken perpendicular to the straight line between two neighbouring points
of the path, as ISO 12188-2 asks, and not to the nearest recorded point, which overstates it. It is
positive to the left of the path.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kuwa_machines.arrays import Array
from kuwa_machines.contracts import Task
from kuwa_machines.errors import KuwaError

SAME_POINT = 1e-6
"""Points closer together than this are one point [m]."""
AHEAD, BEHIND = 5.0, 1.0
"""How far along the path from the last place the next one is looked for [m]."""


class PathError(KuwaError):
    """A path that no machine can follow: too few points, or not finite."""


class Polyline:
    """A path of straight lines between points; repeated points are dropped.

    Args:
        points: at least two different ones, shape (K, 2) [m].

    Attributes:
        points: shape (N, 2) [m]. s: arc length at each of them, shape (N,) [m].

    Raises:
        PathError: fewer than two different points, of the wrong shape or not finite.
    """

    def __init__(self, points: ArrayLike) -> None:
        try:
            p = np.asarray(points, dtype=np.float64)
        except (TypeError, ValueError):
            raise PathError("path: points must be pairs of numbers (x, y)") from None
        if p.ndim != 2 or p.shape[1] != 2:
            raise PathError(f"path: points of shape {p.shape}; expected at least two points (x, y)")
        if not np.isfinite(p).all():
            k = int(np.argmin(np.isfinite(p).all(axis=1)))
            raise PathError(f"path: point {k} is {tuple(p[k])}; expected finite numbers")
        keep = [0]
        for k in range(1, len(p)):
            if np.hypot(*(p[k] - p[keep[-1]])) > SAME_POINT:
                keep.append(k)
        if len(keep) < 2:
            raise PathError(
                f"path: {len(p)} point(s), of which {len(keep)} differ; expected at least two"
            )
        self.points = p[keep]
        step = np.diff(self.points, axis=0)
        self._length = np.hypot(step[:, 0], step[:, 1])
        self._along = step / self._length[:, None]
        self.s = np.concatenate([[0.0], np.cumsum(self._length)])

    @property
    def length(self) -> float:
        """[m]."""
        return float(self.s[-1])

    def at(self, s: ArrayLike) -> Array:
        """Return the points at arc lengths s, shape (..., 2) [m]; the ends are held."""
        s = np.asarray(s, dtype=float)
        x, y = (np.interp(s, self.s, self.points[:, k]) for k in range(2))
        return np.stack([x, y], axis=-1)

    def direction(self, s: ArrayLike) -> Array:
        """Return the path's direction at arc lengths s, about +z from +x, shape (...) [rad]."""
        k = np.clip(np.searchsorted(self.s, s, side="right") - 1, 0, len(self._length) - 1)
        return np.asarray(np.arctan2(self._along[k, 1], self._along[k, 0]))

    def project(self, point: ArrayLike, near: float | None = None) -> tuple[float, float]:
        """Return arc length and cross-track error of a point, both [m].

        Before the first and behind the last point the end segments go on, so that the arc length
        may be negative or exceed the path's; of several equally near places the first one counts.

        Args:
            point: (x, y) [m].
            near: look only from ``BEHIND`` before this arc length to ``AHEAD`` beyond it: where a
                path comes back to itself, the nearest place may be that of another pass.
        """
        q = np.asarray(point, dtype=float)
        first, last = 0, len(self._length) - 1
        if near is not None:
            low, high = np.searchsorted(self.s, [near - BEHIND, near + AHEAD], side="right") - 1
            first, last = int(np.clip(low, 0, last)), int(np.clip(high, 0, last))
        part = slice(first, last + 1)
        d = q - self.points[part]
        u = self._along[part]
        along = d[:, 0] * u[:, 0] + d[:, 1] * u[:, 1]
        across = u[:, 0] * d[:, 1] - u[:, 1] * d[:, 0]
        lower, upper = np.zeros(len(along)), self._length[part].copy()
        if first == 0:
            lower[0] = -np.inf
        if last == len(self._length) - 1:
            upper[-1] = np.inf
        held = np.clip(along, lower, upper)
        beyond = along - held
        k = int(np.argmin(beyond**2 + across**2))
        # Outside a corner the distance to it counts, on the side on which the point lies.
        error = np.copysign(np.hypot(beyond[k], across[k]), across[k])
        return float(self.s[first + k] + held[k]), float(error)


def cross_track(path: Polyline, track: ArrayLike, start: float | None = 0.0) -> tuple[Array, Array]:
    """Return arc length and cross-track error of a machine's track, each shape (T,) [m].

    Each point is looked for near the place of the one before it.

    Args:
        path: the way that was to be driven.
        track: positions in the order of time, shape (T, 2) [m]; no two further apart than
            ``AHEAD``.
        start: arc length near which the track begins [m]; None: wherever it is nearest.

    Raises:
        PathError: the track is not of that shape, or not finite.
    """
    track = np.asarray(track, dtype=float)
    if track.ndim != 2 or track.shape[1] != 2 or not np.isfinite(track).all():
        raise PathError(f"track of shape {track.shape}; expected finite points (T, 2)")
    out = np.empty((2, len(track)))
    near = start
    for k, point in enumerate(track):
        near, out[1, k] = path.project(point, near)
        out[0, k] = near
    return out[0], out[1]


def inside(task: Task, points: ArrayLike) -> Array:
    """Return which points lie in the task's rectangle, shape (...), bool; all, where it has none.

    Args:
        task: a rectangle of no length or width is none.
        points: shape (..., 2) [m].
    """
    p = np.asarray(points, dtype=float)
    if task.length <= 0.0 or task.width <= 0.0:
        return np.ones(p.shape[:-1], dtype=bool)
    c, s = np.cos(task.yaw), np.sin(task.yaw)
    dx, dy = p[..., 0] - task.x, p[..., 1] - task.y
    along, across = c * dx + s * dy, c * dy - s * dx
    return np.asarray((np.abs(along) <= task.length / 2) & (np.abs(across) <= task.width / 2))
