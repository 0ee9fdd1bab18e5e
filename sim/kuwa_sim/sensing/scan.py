"""The lidar-like height scan: which cells of the ground a beam reaches, by marching over the map.

From the sensor's place rays go over the map to every cell on the border of what is in range, one
post of the ray's longer direction a step (the R2 viewshed of Franklin and Ray 1994, Higher isn't
necessarily better). A post is seen where its slope from the sensor is above all that lies before it
on a ray. Of the posts that are seen, those that beams meet too flatly give no echo, and where the
beams' spacing on the ground is wider than a cell, they hit by chance. Posts are cells, or every
so many cells where these are small; a seen post gives the heights of all cells about it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array, HeightMap
from kuwa_machines.sensors import HeightScan
from kuwa_sim.scenery import Grid

NOISE_MARGIN = 64
"""A scan's noise is a window of one field of noise, shifted by up to this many cells each time:
drawing a new field for every scan would cost more than the physics of its ticks."""
POST = 0.1
"""Distance of the posts, about [m]: four times as fast as posts of 5 cm."""
BLIND = 0.3
"""Nothing nearer than this is measured [m]."""
HIT, MISSED = 1, 2


class Scanner:
    """Keeps the map that a machine has of the ground: cells out of sight keep their old height.

    Before the first scan the map is a survey of the whole ground, with the noise of a scan.

    Args:
        data: the sensor.
        grid: extent and resolution of the map.
        height: true heights of the ground before any work, shape (nx, ny) [m].
        rng: its random stream.
    """

    def __init__(
        self, data: HeightScan, grid: Grid, height: Array, rng: np.random.Generator
    ) -> None:
        self._data, self._grid, self._rng = data, grid, rng
        self._bias = data.bias * rng.standard_normal()
        shape = (grid.nx + NOISE_MARGIN, grid.ny + NOISE_MARGIN)
        self._field = rng.standard_normal(shape)
        self._state = np.array([rng.integers(1, 1 << 62)], np.uint64)
        self._map = height + self._bias + data.noise * self._field[: grid.nx, : grid.ny]
        self._numbers = np.array(
            [grid.x0, grid.y0, grid.cell, data.max_range, math.sin(data.grazing), data.resolution]
        )
        self._every = max(1, round(POST / grid.cell))

    @property
    def map(self) -> HeightMap:
        """The newest map, as a copy."""
        grid = self._grid
        return HeightMap(self._map.copy(), grid.x0, grid.y0, grid.cell)

    def scan(self, height: Array, eye: Array, offset: float = 0.0, noise: float = 0.0) -> HeightMap:
        """Return the map after a scan from ``eye``, shape (3,) [m].

        Args:
            height: true heights, shape (nx, ny) [m].
            offset, noise: what faults add to the bias and to the noise [m].
        """
        i, j = self._rng.integers(0, NOISE_MARGIN, 2)
        spread = math.hypot(self._data.noise, noise)
        height = np.ascontiguousarray(height)  # another layout would be compiled anew
        march(
            height, self._map, np.asarray(eye), self._numbers, self._every, self._field, i, j,
            spread, self._bias + offset, self._state,
        )  # fmt: skip
        return self.map


# fmt: off
@njit(cache=True)
def march(  # type: ignore[no-untyped-def]
    height, seen, eye, numbers, every, field, field_i, field_j, noise, bias, state
):
    # fmt: on
    """Write the measured height of all cells that the scan reaches into ``seen``.

    Args:
        height, seen: true and measured heights, shape (nx, ny) [m]. eye: of the sensor (3,) [m].
        numbers: x0, y0, cell, range, sine of the grazing angle, angle between beams.
        every: cells from post to post.
        field: unit noise, used from (field_i, field_j) on. state: of the chance, shape (1,).
    """
    posts = height[::every, ::every].copy()
    nx, ny = posts.shape
    edge = numbers[2] * every
    su, sv, sz = (eye[0] - numbers[0]) / edge, (eye[1] - numbers[1]) / edge, eye[2]
    r = numbers[3] / edge
    i0, i1 = max(0, math.ceil(su - r)), min(nx - 1, math.floor(su + r))
    j0, j1 = max(0, math.ceil(sv - r)), min(ny - 1, math.floor(sv + r))
    if i0 > i1 or j0 > j1:
        return
    hit = np.zeros((nx, ny), np.uint8)
    below_i, below_j = round(su), round(sv)
    inside = 0 <= below_i < nx and 0 <= below_j < ny
    if inside and BLIND <= sz - posts[below_i, below_j] <= numbers[3]:
        hit[below_i, below_j] = HIT
    for i in range(i0, i1 + 1):
        for j in (j0, j1):
            _ray(posts, hit, su, sv, sz, i, j, i0, i1, j0, j1, edge, numbers, state)
    for j in range(j0 + 1, j1):
        for i in (i0, i1):
            _ray(posts, hit, su, sv, sz, i, j, i0, i1, j0, j1, edge, numbers, state)
    half = every // 2
    for i in range(height.shape[0]):
        row = min((i + half) // every, nx - 1)
        for j in range(height.shape[1]):
            if hit[row, min((j + half) // every, ny - 1)] == HIT:
                seen[i, j] = height[i, j] + bias + noise * field[field_i + i, field_j + j]


# fmt: off
@njit(cache=True)
def _ray(  # type: ignore[no-untyped-def]
    height, hit, su, sv, sz, ti, tj, i0, i1, j0, j1, edge, numbers, state
):
    # fmt: on
    """March from the sensor at (su, sv) posts to the border post (ti, tj)."""
    cell, reach, graze, resolution = numbers[2], numbers[3], numbers[4], numbers[5]
    du, dv = ti - su, tj - sv
    along_x = abs(du) >= abs(dv)
    if along_x:
        major, minor, far, slant, low, high = su, sv, ti, dv / du if du != 0.0 else 0.0, j0, j1
        first, last = i0, i1
    else:
        major, minor, far, slant, low, high = sv, su, tj, du / dv, i0, i1
        first, last = j0, j1
    ahead = 1 if far > major else -1
    k = math.floor(major) + 1 if ahead > 0 else math.ceil(major) - 1
    # A sensor beside the map looks onto it from the border on.
    k = max(k, first) if ahead > 0 else min(k, last)
    stride = edge * math.sqrt(1.0 + slant * slant)
    per_stride, spacing = 1.0 / stride, cell / resolution
    # Squares throughout: roots would cost more than all the rest.
    graze *= graze
    spacing *= spacing
    least, most = BLIND * BLIND, reach * reach
    horizon, before = -math.inf, math.nan
    while (far - k) * ahead >= 0:
        m = minor + (k - major) * slant
        c = math.floor(m)
        if c >= low - 1 and c <= high:
            w = m - c
            a, b = max(c, low), min(c + 1, high)
            if along_x:
                one, two = height[k, a], height[k, b]
            else:
                one, two = height[a, k], height[b, k]
            ground = (1.0 - w) * one + w * two
            top = (two if w >= 0.5 else one) - sz
            out = max(abs(k - major), 1e-6) * stride
            if out > reach:
                return
            inverse = 1.0 / out
            slope = top * inverse
            squared = out * out + top * top
            near = b if w >= 0.5 else a
            i, j = (k, near) if along_x else (near, k)
            if hit[i, j] == 0 and slope >= horizon and least <= squared <= most:
                rise = 0.0 if math.isnan(before) else (ground - before) * per_stride
                facing = rise - slope
                both = (1.0 + rise * rise) * (1.0 + slope * slope)
                sine = facing * facing
                if facing > 0.0 and sine > graze * both:
                    chance = spacing * sine
                    sure = chance >= both * squared
                    if sure or math.sqrt(chance / (both * squared)) > _uniform(state):
                        hit[i, j] = HIT
                    else:
                        hit[i, j] = MISSED
            horizon = max(horizon, (ground - sz) * inverse)
            before = ground
        k += ahead


@njit(cache=True)
def _uniform(state):  # type: ignore[no-untyped-def]
    """Return a number in [0, 1): xorshift64* (Vigna 2016)."""
    s = state[0]
    s ^= s >> np.uint64(12)
    s ^= s << np.uint64(25)
    s ^= s >> np.uint64(27)
    state[0] = s
    return float((s * np.uint64(2685821657736338717)) >> np.uint64(11)) / 9007199254740992.0
