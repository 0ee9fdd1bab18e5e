"""Rows of a strip that do not give way: something lies in the ground there.

The scan shows no boulder, only ground that stays high. Rows that a pass was to lower and did not,
twice in a row, are taken for hard, from the far end of the patch to its highest point: behind that
the bucket may only have ridden on what lies in front. What is hard behind it shows in later passes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array

LEFT = 0.06
"""A row left this much above the aim, [m],"""
GOT = 0.3
"""and lowered by less than this share of what was asked, did not give way."""
STRIKES = 2
"""Passes in a row that say so."""
LEAST = 4
"""Fewer rows side by side are rubble at an end."""
RIDE = 0.05
"""The edge passes so high over what is hard [m]."""
CLIMB = 1.7
"""Rise of the edge's path towards it, per run."""


class HardRows:
    """Learns which rows are hard, and how the edge gets over them.

    Args:
        stations: distance of each row, shape (rows,) [m].
    """

    def __init__(self, stations: Array) -> None:
        self._at = stations
        self._strikes = np.zeros(len(stations), dtype=int)
        self._top = np.full(len(stations), -np.inf)
        self._pending: tuple[Array, Array] | None = None

    @property
    def rows(self) -> NDArray[np.bool_]:
        """Which rows are hard, shape (rows,)."""
        return np.isfinite(self._top)

    def expect(self, surface: Array, aim: Array) -> None:
        """A pass is about to start: the surface now and the one it is to leave, (rows,) [m]."""
        self._pending = (surface.copy(), aim.copy())

    def judge(self, surface: Array) -> bool:
        """Take what the expected pass left; return whether rows were newly found hard."""
        if self._pending is None:
            return False
        (before, aim), self._pending = self._pending, None
        stayed = (surface - aim > LEFT) & (before - surface < GOT * (before - aim)) & ~self.rows
        self._strikes = np.where(stayed, self._strikes + 1, 0)
        found = False
        struck = np.flatnonzero(self._strikes >= STRIKES)
        for patch in np.split(struck, np.flatnonzero(np.diff(struck) > 1) + 1):
            if len(patch) < LEAST:
                continue
            peak = patch[int(np.argmax((surface - aim)[patch]))]
            hard = patch[patch >= min(peak, patch[-LEAST])]
            self._top[hard] = surface[hard]
            self._strikes[patch] = 0
            found = True
        return found

    def over(self, floor: Array) -> Array:
        """Return the floor raised to pass over what is hard, shape (rows,) [m]."""
        rows = self.rows
        if not rows.any():
            return floor
        ramps = self._top[rows] + RIDE - CLIMB * np.abs(self._at[:, None] - self._at[None, rows])
        return np.maximum(floor, ramps.max(axis=1))

    @property
    def keep(self) -> Array:
        """Height that the shell has to stay above, per row; -inf where it may go [m]."""
        return self._top + RIDE / 2

    @property
    def words(self) -> str:
        """Where it is, in words; empty without any."""
        at = self._at[self.rows]
        if not at.size:
            return ""
        return f"an obstacle {at.min():.1f} to {at.max():.1f} m from the swing axis"
