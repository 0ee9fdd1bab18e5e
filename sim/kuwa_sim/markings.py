"""What is on the ground before the work: a surveyor's marks, and rows of a crop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kuwa_machines.contracts import Array, HeightMap, Task

LINE_WIDTH = 0.06
LINE_GAP = 0.06
"""The sprayed line runs this far outside the rectangle [m]."""
FAINT = 215
"""Of 255: how much of the ground a line covers."""
CROSS = 0.45
"""Half of the cross on the place for the spoil [m]."""
FINER = 2
"""Lines are drawn so much larger and then shrunk, for smooth edges."""
ROW, STRIP = 0.5, 0.6
"""Between two rows of a crop [m], and which share of it is green."""
SOWN = ("spray",)
"""Kinds of tasks that are done in a growing crop."""


def markings(ground: HeightMap, tasks: Sequence[Task], size: tuple[int, int]) -> Image.Image:
    """Return where tasks are sprayed on the ground, as a mask of the size, rows along −y.

    A rectangle has an outline around it, a way a line, and the place for spoil on the ground a
    cross.
    """
    width, height = size
    mask = Image.new("L", (FINER * width, FINER * height), 0)
    draw = ImageDraw.Draw(mask)
    nx, ny = ground.height.shape
    scale = np.array([FINER * width / nx, FINER * height / ny]) / ground.cell
    first = np.array([ground.x0, ground.y0]) - ground.cell / 2
    # On a large piece of ground a line is at least as wide as a texel and a half.
    wide = max(round(LINE_WIDTH * scale[0]), round(1.5 * FINER))

    def line(points: Array) -> None:
        at = (points - first) * scale
        at[:, 1] = FINER * height - at[:, 1]
        draw.line([tuple(p) for p in at], fill=FAINT, width=wide, joint="curve")

    for task in tasks:
        if task.path:
            line(np.array(task.path))
        if task.length > 0.0 and task.width > 0.0:
            line(outline(task, LINE_GAP + wide / scale[0] / 2))
        elif task.path and task.kind == "haul":
            _cross(line, *task.path[-1])
        if (task.spoil_x or task.spoil_y) and not task.spoil_height:
            _cross(line, task.spoil_x, task.spoil_y)
    return mask.resize(size, Image.Resampling.BOX)


def _cross(line: Callable[[Array], None], x: float, y: float) -> None:
    for side in (1, -1):
        line(np.array([(x - CROSS, y - side * CROSS), (x + CROSS, y + side * CROSS)]))


def outline(task: Task, outside: float = 0.0) -> Array:
    """Return the closed outline of a task's rectangle, shape (5, 2) [m], so far outside it."""
    half = np.array([task.length / 2, task.width / 2]) + outside
    corners = half * [(1, 1), (1, -1), (-1, -1), (-1, 1), (1, 1)]
    c, s = np.cos(task.yaw), np.sin(task.yaw)
    return np.asarray(corners @ np.array([(c, s), (-s, c)]) + (task.x, task.y))


def cover(tasks: Sequence[Task]) -> Task | None:
    """Return the task whose rectangle is under a crop, or None."""
    return next((task for task in tasks if task.kind in SOWN), None)


def crop_rows(ground: HeightMap, task: Task, size: tuple[int, int]) -> Image.Image:
    """Return where a crop stands, as a mask of the size, rows along −y."""
    width, height = size
    nx, ny = ground.height.shape
    x = ground.x0 + ground.cell * ((np.arange(width) + 0.5) * nx / width - 0.5)
    y = ground.y0 + ground.cell * (ny - 0.5 - (np.arange(height) + 0.5) * ny / height)
    yaw = task.yaw
    if not (task.length > 0.0 and task.width > 0.0) and len(task.path) > 1:
        (ax, ay), (bx, by) = task.path[:2]
        yaw = float(np.arctan2(by - ay, bx - ax))
    across = np.cos(yaw) * (y[:, None] - task.y) - np.sin(yaw) * (x[None, :] - task.x)
    away = np.abs((across / ROW) % 1.0 - 0.5) * 2
    green = np.clip(0.5 + (STRIP - away) / 0.5, 0.0, 1.0)
    rng = np.random.default_rng(1)
    dense = np.clip(0.85 + 0.25 * rng.standard_normal(green.shape), 0.3, 1.0)
    mask: NDArray[np.uint8] = (230 * green * dense).astype(np.uint8)
    return Image.fromarray(mask)
