"""Colours for drawn ground: turned soil dark, hollows shaded, the task's outline sprayed on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from scipy.ndimage import gaussian_filter

from kuwa_machines.contracts import HeightMap, Task

Colour = NDArray[np.float32]
Picture = NDArray[np.uint8]

SURROUND = np.array([0.56, 0.535, 0.40], np.float32)
"""Short dry grass beyond the simulated ground."""
TOPSOIL = np.array([0.60, 0.49, 0.35], np.float32)
SUBSOIL = np.array([0.42, 0.29, 0.185], np.float32)
"""Freshly cut, still moist."""
HEAPED = np.array([0.50, 0.365, 0.24], np.float32)
LINE = np.array([0.93, 0.93, 0.90], np.float32)

TURNED = (0.012, 0.05)
"""A change of height between these fades from old ground to turned soil [m]."""
LINE_WIDTH = 0.06
LINE_GAP = 0.06
"""The sprayed line runs this far outside the rectangle [m]."""
BLEND = 1.6
"""Width over which the simulated ground fades into its surroundings at the border [m]."""
BRIGHTEST = 1.25
"""The grain may lighten a colour by this factor."""
HOLLOW = 0.30
"""Radius over which hollows are shaded [m]."""


class GroundPaint:
    """Paints one piece of ground; remembers which soil has ever been moved.

    Args:
        start: the ground before any work.
        task: its outline is sprayed on the ground, if given.
        size: edge of the square picture [pixels].
        seed: of the grain.
    """

    def __init__(self, start: HeightMap, task: Task | None, size: int, seed: int = 0) -> None:
        self._start = start.height.astype(np.float32)
        self._touched = np.zeros_like(self._start)
        self._cell = start.cell
        self._size = size
        rng = np.random.default_rng(seed)
        grain = rng.standard_normal((size, size)).astype(np.float32)
        fine, coarse = gaussian_filter(grain, 0.7), gaussian_filter(grain, 6.0)
        relief = 0.055 * fine / fine.std() + 0.03 * coarse / coarse.std()
        grain = 255 / BRIGHTEST * np.clip(1.0 + relief, 0.7, BRIGHTEST)
        self._grain = Image.fromarray(grain.astype(np.uint8)).convert("RGB")
        self._fade = _fade(start)
        self._line = None if task is None else Image.fromarray(_line(start, task, size))
        self._white = Image.new("RGB", (size, size), tuple(int(255 * c) for c in LINE))

    def picture(self, terrain: HeightMap) -> Picture:
        """Return the ground's colours from above, shape (size, size, 3), rows along −y."""
        height = terrain.height.astype(np.float32)
        change = height - self._start
        low, high = TURNED
        turned = np.clip((np.abs(change) - low) / (high - low), 0.0, 1.0)
        np.maximum(self._touched, turned, out=self._touched)
        hollow = gaussian_filter(height, HOLLOW / self._cell) - height
        shade = 1.0 - 0.5 * np.clip(hollow / 0.45, 0.0, 1.0) + 0.12 * np.clip(-hollow / 0.3, 0, 1)

        up = np.clip(change / 0.12, 0.0, 1.0)[..., None]
        soil = SUBSOIL + (HEAPED - SUBSOIL) * up
        ground = TOPSOIL + (soil - TOPSOIL) * self._touched[..., None]
        ground += (SURROUND - ground) * (self._fade * (1.0 - self._touched))[..., None]
        ground *= shade[..., None]
        ground *= BRIGHTEST
        colours = _enlarge(ground, self._size)
        if self._line is not None:
            kept = ImageChops.multiply(self._line, _enlarge(1.0 - self._touched, self._size))
            colours.paste(self._white, mask=kept)
        return np.asarray(ImageChops.multiply(colours, self._grain))


def _fade(ground: HeightMap) -> Colour:
    """Return 1 at the border of the map and 0 from ``BLEND`` inwards, shape (nx, ny)."""
    nx, ny = ground.height.shape
    i = np.minimum(np.arange(nx), np.arange(nx)[::-1])[:, None]
    j = np.minimum(np.arange(ny), np.arange(ny)[::-1])[None, :]
    inward = np.clip(np.minimum(i, j) * ground.cell / BLEND, 0.0, 1.0)
    return np.asarray((1.0 - inward) ** 2 * (1.0 + 2.0 * inward), np.float32)


def _line(ground: HeightMap, task: Task, size: int) -> Picture:
    """Return where the outline is sprayed, shape (size, size), rows along −y."""
    nx, ny = ground.height.shape
    x = ground.x0 + ground.cell * (nx - 1) * np.linspace(0, 1, size)
    y = ground.y0 + ground.cell * (ny - 1) * np.linspace(1, 0, size)
    step = max(x[1] - x[0], y[0] - y[1])
    c, s = np.cos(task.yaw), np.sin(task.yaw)
    dx, dy = x[None, :] - task.x, y[:, None] - task.y
    along, across = np.abs(c * dx + s * dy), np.abs(-s * dx + c * dy)
    outside = np.maximum(along - task.length / 2, across - task.width / 2)
    distance = np.abs(outside - LINE_GAP - LINE_WIDTH / 2) - LINE_WIDTH / 2
    return np.asarray(215 * np.clip(0.5 - distance / step, 0.0, 1.0), np.uint8)


def _enlarge(values: Colour, size: int) -> Image.Image:
    """Return values of 0 to 1, shape (nx, ny) or (nx, ny, 3), as a picture, rows along −y."""
    rows = np.swapaxes(values, 0, 1)[::-1]
    small = Image.fromarray(np.clip(255.0 * rows, 0, 255).astype(np.uint8))
    return small.resize((size, size), Image.Resampling.BILINEAR)
