"""How long the disk has room at the present rate."""

from __future__ import annotations

import math
import shutil
from collections import deque
from pathlib import Path
from typing import Final

WINDOW: Final = 20.0
"""The rate is that of so many seconds [s]."""


class Disk:
    """Forecasts when a disk is full.

    Args:
        folder: on the disk.
        reserve: bytes that stay free, in which what is open is finished.
    """

    def __init__(self, folder: Path, reserve: int) -> None:
        self._folder, self.reserve = folder, reserve
        self._seen: deque[tuple[float, int, int]] = deque()
        self.free = shutil.disk_usage(folder).free

    def look(self, now: float, written: int) -> None:
        """Look at the disk, at steady time ``now`` [s], having written so many bytes ourselves."""
        self.free = shutil.disk_usage(self._folder).free
        self._seen.append((now, self.free, written))
        while self._seen[0][0] < now - WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Bytes a second by which the disk fills, by us or by anybody; NaN while unknown."""
        if len(self._seen) < 2 or self._seen[-1][0] - self._seen[0][0] < 1.0:
            return math.nan
        (t0, free0, own0), (t1, free1, own1) = self._seen[0], self._seen[-1]
        return max(free0 - free1, own1 - own0, 0) / (t1 - t0)

    @property
    def remaining(self) -> float:
        """Seconds until only the reserve is free; NaN while the rate is not known."""
        room = max(self.free - self.reserve, 0)
        if not self.rate > 0.0:
            return self.rate if math.isnan(self.rate) else math.inf
        return room / self.rate

    @property
    def full(self) -> bool:
        """Whether only the reserve is free."""
        return self.free <= self.reserve

    def words(self) -> str:
        """Say how much is free and for how long."""
        text = f"{self.free / 1e9:.1f} GB free"
        if math.isfinite(self.remaining):
            text += f", room for {self.remaining / 60:.0f} min at {self.rate / 1e6:.1f} MB/s"
        return text
