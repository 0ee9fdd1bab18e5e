"""What the load tells: whether the body is full enough to leave, empty, and how much was hauled."""

from __future__ import annotations

import math

DENSITY = 1250.0
"""Of loose soil [kg/m³]; soils differ by a tenth or so."""
ENOUGH = 0.9
"""Share of what was asked for that counts as all of it: weights and densities are uncertain."""
FULL = 0.95
"""Share of the heaped capacity that is taken in one trip."""
GROWTH = 150.0
"""More than this within ``QUIET`` is loading still going on [kg]."""
QUIET, PATIENCE = 4.0, 45.0
"""After so long without growth a good load leaves, and any load that is worth the way [s]."""
WORTH = 0.25
"""Share of the wanted load that is worth the way."""
CLEAN = 0.04
"""Share of a load that may stay in the body."""
SMOOTHING = 0.8
"""Time constant of the load's low-pass [s]."""


class Scale:
    """Follows the load over a task.

    Args:
        volume: of loose soil to haul [m³]. capacity: of the body, heaped [m³].
    """

    def __init__(self, volume: float, capacity: float) -> None:
        self._left = volume * DENSITY
        self._wanted = self._left
        self._capacity = FULL * capacity * DENSITY
        self._stamp = math.nan
        self._load = 0.0
        self._mark, self._quiet_since = 0.0, 0.0
        self._taken = 0.0

    def weigh(self, stamp: float, load: float) -> None:
        """Take a measured load [kg]; one that is not finite says nothing."""
        if math.isnan(self._stamp):
            self._load, self._quiet_since = (load if math.isfinite(load) else 0.0), stamp
        elif math.isfinite(load):
            self._load += (1.0 - math.exp((self._stamp - stamp) / SMOOTHING)) * (load - self._load)
        self._stamp = stamp
        if self._load > self._mark + GROWTH or self._load < self._mark - GROWTH:
            self._mark, self._quiet_since = self._load, stamp

    @property
    def load(self) -> float:
        """What is in the body now [kg]."""
        return max(self._load, 0.0)

    def loaded(self, now: float) -> bool:
        """Return whether it is time to leave."""
        wanted = min(self._left, self._capacity)
        quiet = now - self._quiet_since
        if self._load >= ENOUGH * wanted:
            return quiet >= QUIET
        return self._load >= WORTH * wanted and quiet >= PATIENCE

    def leave(self) -> None:
        """Remember what is taken along."""
        self._taken = self._load

    def empty(self) -> bool:
        """Return whether next to nothing is left in the body."""
        return self._load <= max(CLEAN * self._taken, GROWTH)

    def tip(self) -> None:
        """Count what was left at the end of the way."""
        self._left -= max(self._taken - self._load, 0.0)

    def finished(self) -> bool:
        """Return whether all was hauled that was asked for."""
        return self._left <= (1.0 - ENOUGH) * self._wanted
