"""Colours for drawn ground: turned soil dark, hollows shaded, crops green, tasks sprayed on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from scipy.ndimage import gaussian_filter

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_sim.markings import cover, crop_rows, markings

Colour = NDArray[np.float32]
Picture = NDArray[np.uint8]

SURROUND = np.array([0.56, 0.535, 0.40], np.float32)
"""Short dry grass beyond the simulated ground."""
TOPSOIL = np.array([0.60, 0.49, 0.35], np.float32)
SUBSOIL = np.array([0.42, 0.29, 0.185], np.float32)
"""Freshly cut, still moist."""
HEAPED = np.array([0.48, 0.355, 0.24], np.float32)
LINE = (237, 237, 230)
CROP = (92, 122, 52)
SPRAYED = np.array([0.60, 0.74, 0.80], np.float32)
"""Wet leaves and soil are darker, by these factors."""

TURNED = (0.012, 0.05)
"""A change of height between these fades from old ground to turned soil [m]."""
BLEND = 1.6
"""Width over which the simulated ground fades into its surroundings at the border [m]."""
BRIGHTEST = 1.25
"""The grain may lighten a colour by this factor."""
PATCH = 512
"""Edge of the pattern of the grain [pixels]."""
CLODS = 0.10
"""Turned soil is rough: its brightness varies by this from cell to cell."""
HOLLOW = 0.30
"""Radius over which hollows are shaded [m]."""
LIGHT = np.array([-0.43, -0.43, 0.80], np.float32)
"""Towards the light."""
SAME = 1e-4
"""A height that changed by less is not painted anew [m]."""
MOST_TEXELS, MOST_WIDE, MOST_A_CELL = 2_000_000, 4096, 4
"""Bounds on the picture of the ground."""


def texels(nx: int, ny: int) -> tuple[int, int]:
    """Return width and height of the picture for so many cells: a whole number of texels each."""
    each = min((MOST_TEXELS / (nx * ny)) ** 0.5, MOST_WIDE / max(nx, ny), MOST_A_CELL)
    each = max(int(each), 1)
    return each * nx, each * ny


class GroundPaint:
    """Paints one piece of ground; remembers which soil has ever been moved or sprayed.

    Args:
        start: the ground before any work.
        tasks: marked on the ground, if given.
        size: width and height of the picture, or the edge of a square one [pixels].
        seed: of the grain.
        coarse: the drawn surface has a corner every so many cells; slopes between them are shaded.
    """

    def __init__(
        self,
        start: HeightMap,
        tasks: Task | Sequence[Task] | None,
        size: int | tuple[int, int],
        seed: int = 0,
        coarse: int = 1,
    ) -> None:
        tasks = () if tasks is None else (tasks,) if isinstance(tasks, Task) else tuple(tasks)
        width, height = (size, size) if isinstance(size, int) else size
        nx, ny = start.height.shape
        self._start = start.height.astype(np.float32)
        self._touched = np.zeros_like(self._start)
        self._wet = np.zeros_like(self._start)
        self._map, self._coarse = start, coarse
        self._size = (width, height)
        # Texels a cell, where a part can be painted for itself.
        exact = width % nx == 0 and height % ny == 0 and width // nx == height // ny
        self._each = width // nx if exact else 0
        self._grain = _grain(width, height, seed)
        self._fade = _fade(start)
        clods = np.random.default_rng(seed + 1).standard_normal((nx, ny)).astype(np.float32)
        self._clods = CLODS * clods
        self._layers: list[tuple[tuple[int, int, int], Image.Image]] = []
        sown = cover(tasks)
        if sown is not None:
            self._layers.append((CROP, crop_rows(start, sown, self._size)))
        if tasks:
            self._layers.append((LINE, markings(start, tasks, self._size)))
        self._picture = np.zeros((height, width, 3), np.uint8)
        self._painted: Colour | None = None
        self._stale: list[slice] | None = None

    def picture(self, terrain: HeightMap) -> Picture:
        """Return the ground's colours from above, shape (height, width, 3), rows along −y."""
        height = terrain.height.astype(np.float32)
        nx, ny = height.shape
        region = [slice(0, nx), slice(0, ny)]
        if self._painted is not None and self._each:
            changed = _bounds(np.abs(height - self._painted) > SAME)
            both = [r for r in (changed, self._stale) if r is not None]
            if not both:
                return self._picture
            region = [
                slice(min(r[k].start for r in both), max(r[k].stop for r in both)) for k in (0, 1)
            ]
        self._painted, self._stale = height, None
        reach = int(3 * HOLLOW / self._map.cell) + 2 + 2 * self._coarse
        out = _widened(region, reach, (nx, ny))
        around = _widened(out, reach, (nx, ny))
        colours = self._colours(height[tuple(around)], tuple(around))
        self._put(colours, out, around)
        return self._picture

    def wet(self, swath: Array) -> None:
        """Remember that the ground under a swath was sprayed.

        Args:
            swath: corners of a quadrilateral in the world, in order, shape (4, 2) [m].
        """
        ground = self._map
        low, high = swath.min(axis=0), swath.max(axis=0)
        i0, j0 = ground.index(low[0], low[1])
        i1, j1 = ground.index(high[0], high[1])
        x = ground.xs()[i0 : i1 + 1, None]
        y = ground.ys()[None, j0 : j1 + 1]
        sides = []
        for k in range(4):
            (ax, ay), (bx, by) = swath[k - 1], swath[k]
            sides.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
        turned = np.array(sides)
        inside = (turned >= 0).all(axis=0) | (turned <= 0).all(axis=0)
        window = self._wet[i0 : i1 + 1, j0 : j1 + 1]
        window[inside] = 1.0
        stale = [slice(i0, i1 + 1), slice(j0, j1 + 1)]
        if self._stale is not None:
            stale = [
                slice(min(a.start, b.start), max(a.stop, b.stop))
                for a, b in zip(stale, self._stale, strict=True)
            ]
        self._stale = stale

    def _colours(self, height: Colour, part: tuple[slice, ...]) -> Colour:
        """Return the colours of a part of the cells, shape (nx, ny, 3), and mark what turned."""
        cell = self._map.cell
        change = height - self._start[part]
        low, high = TURNED
        touched = self._touched[part]
        np.maximum(touched, np.clip((np.abs(change) - low) / (high - low), 0.0, 1.0), out=touched)
        hollow = gaussian_filter(height, HOLLOW / cell, truncate=3.0) - height
        shade = 1.0 - 0.5 * np.clip(hollow / 0.45, 0.0, 1.0) + 0.12 * np.clip(-hollow / 0.3, 0, 1)
        if self._coarse > 1:
            smooth = gaussian_filter(height, self._coarse / 2, truncate=3.0)
            shade *= np.clip(_lit(height, cell) / _lit(smooth, cell), 0.55, 1.35)
        up = np.clip(change / 0.12, 0.0, 1.0)[..., None]
        soil = SUBSOIL + (HEAPED - SUBSOIL) * up
        ground = TOPSOIL + (soil - TOPSOIL) * touched[..., None]
        ground += (SURROUND - ground) * (self._fade[part] * (1.0 - touched))[..., None]
        shade *= 1.0 + self._clods[part] * touched
        return np.asarray(ground * shade[..., None], np.float32)

    def _put(self, ground: Colour, out: list[slice], around: list[slice]) -> None:
        """Paint the part ``out`` from the colours of the cells ``around`` it."""
        width, height = self._size
        part = tuple(around)
        if self._each:
            k = self._each
            size = (k * ground.shape[0], k * ground.shape[1])
            box = (k * around[0].start, height - k * around[1].stop,
                   k * around[0].stop, height - k * around[1].start)  # fmt: skip
        else:
            size, box = self._size, (0, 0, width, height)
        colours = _enlarge(BRIGHTEST * ground, size)
        bare = _enlarge(1.0 - self._touched[part], size)
        for colour, mask in self._layers:
            colours.paste(colour, mask=ImageChops.multiply(mask.crop(box), bare))
        painted = ImageChops.multiply(colours, self._grain.crop(box))
        if self._wet[part].any():
            damp = 1.0 - self._wet[part][..., None] * (1.0 - SPRAYED)
            painted = ImageChops.multiply(painted, _enlarge(damp.astype(np.float32), size))
        pixels = np.asarray(painted)
        if not self._each:
            self._picture[:] = pixels
            return
        k = self._each
        i0, i1 = out[0].start - around[0].start, out[0].stop - around[0].start
        j0, j1 = around[1].stop - out[1].stop, around[1].stop - out[1].start
        self._picture[height - k * out[1].stop : height - k * out[1].start,
                      k * out[0].start : k * out[0].stop] = (
            pixels[k * j0 : k * j1, k * i0 : k * i1]
        )  # fmt: skip


def _grain(width: int, height: int, seed: int) -> Image.Image:
    """Return clods and tufts as a picture to multiply with: one patch, again and again."""
    patch = np.random.default_rng(seed).standard_normal((PATCH, PATCH)).astype(np.float32)
    fine, broad = (gaussian_filter(patch, sigma, mode="wrap") for sigma in (0.7, 6.0))
    relief = 0.055 * fine / fine.std() + 0.03 * broad / broad.std()
    grain = (255 / BRIGHTEST * np.clip(1.0 + relief, 0.7, BRIGHTEST)).astype(np.uint8)
    times = (-(-height // PATCH), -(-width // PATCH))
    return Image.fromarray(np.tile(grain, times)[:height, :width]).convert("RGB")


def _bounds(mask: NDArray[np.bool_]) -> list[slice] | None:
    """Return the rectangle that holds all set cells, or None."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return [slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)]


def _widened(region: list[slice], by: int, shape: tuple[int, int]) -> list[slice]:
    return [
        slice(max(r.start - by, 0), min(r.stop + by, n)) for r, n in zip(region, shape, strict=True)
    ]


def _lit(height: Colour, cell: float) -> Colour:
    """Return how bright a slope is, ambient and direct light, shape (nx, ny)."""
    gx, gy = np.gradient(height, cell)
    facing = (LIGHT[2] - LIGHT[0] * gx - LIGHT[1] * gy) / np.sqrt(1 + gx * gx + gy * gy)
    return np.asarray(0.55 + 0.75 * np.clip(facing, 0.0, 1.0), np.float32)


def _fade(ground: HeightMap) -> Colour:
    """Return 1 at the border of the map and 0 from ``BLEND`` inwards, shape (nx, ny)."""
    nx, ny = ground.height.shape
    i = np.minimum(np.arange(nx), np.arange(nx)[::-1])[:, None]
    j = np.minimum(np.arange(ny), np.arange(ny)[::-1])[None, :]
    inward = np.clip(np.minimum(i, j) * ground.cell / BLEND, 0.0, 1.0)
    return np.asarray((1.0 - inward) ** 2 * (1.0 + 2.0 * inward), np.float32)


def _enlarge(values: Colour, size: tuple[int, int]) -> Image.Image:
    """Return values of 0 to 1, shape (nx, ny) or (nx, ny, 3), as a picture, rows along −y."""
    rows = np.swapaxes(values, 0, 1)[::-1]
    small = Image.fromarray(np.clip(255.0 * rows, 0, 255).astype(np.uint8))
    return small.resize(size, Image.Resampling.BILINEAR)
