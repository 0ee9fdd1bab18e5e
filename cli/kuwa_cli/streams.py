"""Growing arrays: rows of numbers over time, and the ground as it changes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array, HeightMap
from kuwa_machines.errors import KuwaError

MAX_ROWS = 400_000
"""A stream that reaches this many rows keeps every second one from then on."""


class RunLogError(KuwaError):
    """A file that is no run log, or of another version."""


class Stream:
    """Rows of numbers, each with a time; fields are columns of given widths."""

    def __init__(self, fields: dict[str, int], max_rows: int = MAX_ROWS) -> None:
        self.fields = fields
        self._max_rows = max_rows
        self._width = 1 + sum(fields.values())
        self._rows = np.empty((1024, self._width))
        self._count = 0
        self._every = 1
        self._seen = 0

    def __len__(self) -> int:
        return self._count

    def append(self, t: float, *values: Any) -> None:
        """Add a row: the time and one scalar or array for each field."""
        self._seen += 1
        if (self._seen - 1) % self._every:
            return
        if self._count == self._max_rows:
            self._thin()
        elif self._count == len(self._rows):
            more = min(2 * len(self._rows), self._max_rows)
            rows = np.empty((more, self._width))
            rows[: self._count] = self._rows
            self._rows = rows
        row = self._rows[self._count]
        row[0] = t
        at = 1
        for width, value in zip(self.fields.values(), values, strict=True):
            row[at : at + width] = value
            at += width
        self._count += 1

    def _thin(self) -> None:
        kept = self._rows[: self._count : 2].copy()
        self._rows[: len(kept)] = kept
        self._count = len(kept)
        self._every *= 2

    @property
    def t(self) -> Array:
        """Times, shape (N,) [s]."""
        return self._rows[: self._count, 0]

    def __getitem__(self, field: str) -> Array:
        """Return a field's rows, shape (N,) where it is one number wide, else (N, width)."""
        at = 1
        for name, width in self.fields.items():
            if name == field:
                block = self._rows[: self._count, at : at + width]
                return block[:, 0] if width == 1 else block
            at += width
        raise KeyError(field)

    def set_rows(self, rows: Array) -> None:
        """Replace all rows by those of a saved log."""
        if rows.ndim != 2 or rows.shape[1] != self._width:
            raise RunLogError(f"rows of shape {rows.shape}; expected (N, {self._width})")
        self._rows, self._count = rows, len(rows)

    @property
    def rows(self) -> Array:
        """Everything, shape (N, 1 + widths)."""
        return self._rows[: self._count]


class TerrainLog:
    """The ground over time: the first map, and which cells changed when.

    Args:
        noise: standard deviation of a measured height [m]; 0 for a map that is exact. Noise is
            averaged away, a change beyond four deviations is taken at once.
    """

    CHANGE = 0.001
    """A cell is kept anew when it differs from its kept height by this, or by one deviation [m]."""
    AVERAGED = 10
    """The first map is the mean of this many where nothing has changed."""
    FOLLOW = 0.15
    """How fast the average follows, a map."""

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise
        self.start: HeightMap | None = None
        self.newest: HeightMap | None = None
        self._kept: Array = np.empty(0)
        self._maps = 0
        self.times: list[float] = []
        self.cells: list[NDArray[np.uint32]] = []
        self.heights: list[NDArray[np.float32]] = []

    def append(self, t: float, terrain: HeightMap) -> None:
        """Take a map measured at ``t`` [s]; the map is copied."""
        z = terrain.height
        if self.start is None or self.newest is None:
            self.start = HeightMap(z.copy(), terrain.x0, terrain.y0, terrain.cell)
            self.newest = HeightMap(z.copy(), terrain.x0, terrain.y0, terrain.cell)
            self._kept = z.copy()
            self._maps = 1
            return
        if z.shape != self.start.height.shape:
            raise RunLogError(f"map of {z.shape} cells; the first had {self.start.height.shape}")
        self._maps += 1
        now = self.newest.height
        if self.noise > 0.0:
            still = np.abs(z - now) <= 4.0 * self.noise
            if self._maps <= self.AVERAGED:
                calm = still & (np.abs(z - self.start.height) <= 4.0 * self.noise)
                self.start.height[calm] += (z - self.start.height)[calm] / self._maps
            now[:] = np.where(still, now + self.FOLLOW * (z - now), z)
        else:
            now[:] = z
        changed = np.abs(now - self._kept) > max(self.CHANGE, self.noise)
        cells = np.flatnonzero(changed)
        if cells.size:
            self._kept.ravel()[cells] = now.ravel()[cells]
            self.times.append(t)
            self.cells.append(cells.astype(np.uint32))
            self.heights.append(now.ravel()[cells].astype(np.float32))

    def replay(self) -> TerrainReplay:
        """Return the ground from the start on."""
        return TerrainReplay(self)


class TerrainReplay:
    """The ground at rising times."""

    def __init__(self, log: TerrainLog) -> None:
        if log.start is None:
            raise RunLogError("this run has no terrain")
        self._log = log
        self._next = 0
        first = log.start
        self.map = HeightMap(first.height.copy(), first.x0, first.y0, first.cell)

    def advance(self, t: float) -> bool:
        """Go on to time ``t`` [s]; return whether anything changed."""
        log, before = self._log, self._next
        flat = self.map.height.ravel()
        while self._next < len(log.times) and log.times[self._next] <= t:
            flat[log.cells[self._next]] = log.heights[self._next]
            self._next += 1
        return self._next > before
