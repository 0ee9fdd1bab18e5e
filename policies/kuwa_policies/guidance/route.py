"""The whole way of a machine: the task's path made smooth, and turns between its rows.

A task with a rectangle has rows: the parts of the path inside it, where the tool works. Between
two rows the machine leaves the path and turns on its own, straight out of the one and straight into
the next. Without a rectangle the path is one row, to be driven as it is.

A path of points closer together than ``SPLINED`` is a curve through them; longer lines stay
straight. What remains of corners is averaged over ``ROUNDING`` of way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.contracts import Task
from kuwa_machines.paths import PathError, Polyline, inside
from kuwa_policies.guidance.smoothing import STEP, average, resample, smooth
from kuwa_policies.guidance.turns import Pose, turn

RUN_IN = 7.0
"""Straight way before a row after a turn [m]: there the tool goes down and errors settle."""
CRAWL = 0.25
"""A machine that starts is asked for this at once [m/s]; the profile would begin at nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a route must keep to.

    Args:
        row, turn: smallest radius while working, and in turns between rows [m].
        sharpness: greatest change of curvature per way in turns [1/m²].
        row_speed, turn_speed: [m/s]. acceleration: [m/s²].
        reach: how far behind the machine's origin the last part of the tool is [m].
    """

    row: float
    turn: float
    sharpness: float
    row_speed: float
    turn_speed: float
    acceleration: float
    reach: float


@dataclass(frozen=True, slots=True)
class Route:
    """A way, sampled every ``STEP``; all arrays have shape (N,).

    Args:
        x, y: [m]. yaw: continuous [rad]. curvature: [1/m]. speed: to drive there [m/s].
        rows: where each row begins and ends, shape (R, 2) [m along the route].
    """

    x: Array
    y: Array
    yaw: Array
    curvature: Array
    speed: Array
    rows: Array

    @property
    def length(self) -> float:
        """[m]."""
        return (len(self.x) - 1) * STEP

    def sample(self, s: Any, values: Array) -> Array:
        """Interpolate one of the arrays at arc lengths s; beyond the ends these are held."""
        u = np.clip(np.asarray(s, dtype=float) / STEP, 0.0, len(values) - 1.000001)
        k = u.astype(int)
        return np.asarray(values[k] + (u - k) * (values[k + 1] - values[k]))

    def project(self, x: float, y: float, near: float, reach: float = 3.0) -> tuple[float, float]:
        """Return arc length and cross-track error of a point close to arc length ``near`` [m]."""
        low = max(int((near - reach) / STEP), 0)
        high = min(int((near + reach) / STEP) + 2, len(self.x))
        low = min(low, high - 2)
        d2 = (self.x[low:high] - x) ** 2 + (self.y[low:high] - y) ** 2
        s = (low + int(np.argmin(d2))) * STEP
        for _ in range(2):
            held = min(max(s, 0.0), self.length)
            dx, dy = x - self.sample(held, self.x), y - self.sample(held, self.y)
            yaw = self.sample(held, self.yaw)
            s = float(held + math.cos(yaw) * dx + math.sin(yaw) * dy)
        # Before the beginning and behind the end the way goes straight on.
        held = min(max(s, 0.0), self.length)
        dx, dy = x - self.sample(held, self.x), y - self.sample(held, self.y)
        yaw = self.sample(held, self.yaw)
        return s, float(math.cos(yaw) * dy - math.sin(yaw) * dx)

    def row_at(self, s: float) -> int:
        """Return how many rows begin before arc length s."""
        return int(np.searchsorted(self.rows[:, 0], s, side="right"))


def make_route(task: Task, limits: Limits) -> Route:
    """Return the way for a task.

    Raises:
        PathError: the path is none, never enters the task's rectangle, or turns too tightly.
        KuwaError: no turn leads from one row to the next.
    """
    path = Polyline(task.path)
    rows = _rows(task, path)
    pieces, marks = [], []
    length = 0.0
    previous: Pose | None = None
    for k, (a, b) in enumerate(rows):
        first, last = k == 0, k == len(rows) - 1
        points = smooth(path, 0.0 if first else a, path.length if last else b)
        if not first:
            points = np.concatenate([_straight(points[0], points[1], -RUN_IN), points])
        if not last:
            points = np.concatenate([points, _straight(points[-1], points[-2], limits.reach)])
        _check(points, limits.row)
        if previous is not None:
            way = turn(previous, _pose(points), 1 / limits.turn, limits.sharpness, STEP)
            pieces.append(way[:-1])
            length += _length(way)
        begin = length + (a if first else RUN_IN)
        marks.append((begin, begin + b - a))
        pieces.append(points[:-1] if not last else points)
        length += _length(points)
        previous = _pose(points[::-1], math.pi)
    return _finish(np.concatenate(pieces), np.array(marks), limits)


def _rows(task: Task, path: Polyline) -> list[tuple[float, float]]:
    """Return where the path is inside the task's rectangle, in arc lengths."""
    s = np.arange(0.0, path.length + STEP / 2, STEP / 2)
    work = np.concatenate([[False], inside(task, path.at(s)), [False]])
    change = np.flatnonzero(work[1:] != work[:-1])
    rows = [(float(s[i]), float(s[j - 1])) for i, j in change.reshape(-1, 2) if j - i > 2]
    if not rows:
        raise PathError(
            f"path: never inside the rectangle of {task.length:g} × {task.width:g} m about "
            f"({task.x:g}, {task.y:g}) m; the rows must cross it"
        )
    return rows


def _straight(end: Array, before: Array, length: float) -> Array:
    """Return points that go on straight behind ``end``; before it, where length is negative."""
    u = (end - before) / np.hypot(*(end - before))
    n = round(abs(length) / STEP)
    k = np.arange(1, n + 1) * STEP
    return np.asarray(end + (k if length > 0 else k[::-1])[:, None] * u)


def _length(points: Array) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())


def _pose(points: Array, turned: float = 0.0) -> Pose:
    d = points[1] - points[0]
    return Pose(float(points[0, 0]), float(points[0, 1]), math.atan2(d[1], d[0]) + turned)


def _geometry(points: Array) -> tuple[Array, Array]:
    """Return continuous yaw and curvature at points that are ``STEP`` apart."""
    d = np.gradient(points, axis=0)
    yaw = np.unwrap(np.arctan2(d[:, 1], d[:, 0]))
    return yaw, np.asarray(np.gradient(yaw) / STEP)


def _check(points: Array, radius: float) -> None:
    _, curvature = _geometry(points)
    k = int(np.argmax(np.abs(curvature)))
    tightest = 1.0 / max(abs(curvature[k]), 1e-9)
    if tightest < radius:
        raise PathError(
            f"path: turns on a radius of {tightest:.2f} m at ({points[k, 0]:.1f}, "
            f"{points[k, 1]:.1f}) m; the machine's smallest radius there is {radius:.2f} m"
        )


def _finish(points: Array, rows: Array, limits: Limits) -> Route:
    points = resample(points)
    yaw, curvature = _geometry(points)
    curvature = average(np.column_stack([curvature, curvature]), 2)[:, 0]
    s = np.arange(len(points)) * STEP
    working = np.zeros(len(s), dtype=bool)
    for a, b in rows:
        working |= (s >= a - RUN_IN) & (s <= b + limits.reach)
    if len(rows) == 1:
        working[:] = True
    top = np.where(working, limits.row_speed, min(limits.turn_speed, limits.row_speed))
    top[-1] = 0.0
    speed = _profile(top, limits.acceleration)
    return Route(points[:, 0], points[:, 1], yaw, curvature, speed, rows)


def _profile(top: Array, acceleration: float) -> Array:
    """Return the fastest speeds below ``top`` that start from rest and keep the acceleration."""
    v2 = top**2
    v2[0] = min(v2[0], CRAWL**2)
    for order in (range(1, len(v2)), range(len(v2) - 2, -1, -1)):
        step = order.step
        for k in order:
            v2[k] = min(v2[k], v2[k - step] + 2 * acceleration * STEP)
    return np.asarray(np.sqrt(v2))
