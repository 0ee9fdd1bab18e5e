"""Which pass of the blade comes next: levelling lane by lane, pushing where most is left."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_policies.planning.blade.surface import Surface

OVERLAP = 0.5
"""Neighbouring lanes share at least this [m]."""
RUN_IN, RUN_OUT = 1.6, 0.4
"""The edge comes down this far before the rectangle, and stops this far behind it [m]."""
ENOUGH = 0.97
"""Share of cells within tolerance at which the work is done."""
LEVEL_ROUNDS = (2, 4)
"""Fewest and most times that all lanes are gone over."""
FIRST = 0.015
"""The first round leaves so much: soil that has gone out of the rectangle is not there to fill
hollows with, and tracks press fresh ground down [m]."""
SLOT = 0.2
"""Length of lane over which cut and fill are balanced [m]."""
ROUND = 0.75
"""The other sense is chosen when it leaves less than this share unfilled."""
TRIM, TRIM_MOST = 0.7, 0.02
"""Share of a median error of the last round that the edge is set off by, and its bound [m]."""
PUSHES = 40
"""Most passes of pushing."""
SLICE = 0.8
"""Share of the blade's capacity that a pass of pushing plans to take."""
LOOSE = 0.03
"""A lane with less above its target than this on average is clear [m]."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of the blade along a lane.

    Args:
        offset: of its middle across the surface [m].
        begin, end: where the edge comes down and where it stops, along the surface [m].
        above: height of the edge over the surface [m].
    """

    offset: float
    begin: float
    end: float
    above: float


class Job(Protocol):
    """Decides on passes."""

    surface: Surface

    def next(self, ground: HeightMap, position: Array) -> Pass | None:
        """Return the next pass, or None when the work is done.

        Args:
            position: of the machine, (x, y) in the world [m].
        """


def lanes(width: float, blade: float, shifted: bool = False) -> Array:
    """Return the offsets of lanes that cover a width, evenly spaced, shape (k,) [m].

    Args:
        blade: its width [m]. shifted: the lanes between them instead, unless there is only one.
    """
    if width <= blade:
        return np.zeros(1)
    count = math.ceil((width - blade) / (blade - OVERLAP)) + 1
    offsets = np.linspace(-0.5, 0.5, count) * (width - blade)
    return offsets if not shifted else (offsets[1:] + offsets[:-1]) / 2


def unfilled(surface: Surface, ground: HeightMap, offset: float, blade: float) -> float:
    """Return the volume of hollows that a blade that goes along a lane cannot fill [m³].

    It fills them with what it has cut before, from where its edge comes down.
    """
    half, carried, lacking = surface.length / 2, 0.0, 0.0
    along, across = surface.frame(ground.xs()[:, None], ground.ys()[None, :])
    inside = (np.abs(across - offset) <= blade / 2) & (along > -half - RUN_IN) & (along < half)
    x, y = np.broadcast_arrays(ground.xs()[:, None], ground.ys()[None, :])
    error = ground.height[inside] - surface.height(x[inside], y[inside])
    slot = ((along[inside] + half + RUN_IN) / SLOT).astype(int)
    for k, change in enumerate(np.bincount(slot, error) * ground.cell**2):
        carried += change
        if carried < 0.0:
            lacking -= carried if k * SLOT > RUN_IN else 0.0
            carried = 0.0
    return lacking


class Level:
    """Lanes side by side, gone over again between the old ones until the surface is even.

    A blade brings soil only the way it goes, so each round is driven in the sense in which less is
    left to fill: from the high ground to the low, and back from what the last round left behind.

    Args:
        task: the goal. surface: with ``along`` as the machine stands. blade: width [m].
    """

    def __init__(self, task: Task, surface: Surface, blade: float) -> None:
        self.surface = surface
        self._tolerance = task.tolerance
        self._blade = blade
        self._round = 0
        self._todo: list[float] = []
        self._trim = 0.0

    def next(self, ground: HeightMap, position: Array) -> Pass | None:
        """Return the next pass, or None when the surface is even enough."""
        if not self._todo:
            if self._round and self._finished(ground):
                return None
            self.surface = self._easier(ground)
            self._todo = [float(x) for x in self._lanes()]
            self._round += 1
        half = self.surface.length / 2
        across = float(self.surface.frame(position[0], position[1])[1])
        nearest = min(self._todo, key=lambda offset: abs(offset - across))
        self._todo.remove(nearest)
        above = self._trim + (FIRST if self._round == 1 else 0.0)
        return Pass(nearest, -half - RUN_IN, half + RUN_OUT, above)

    def _easier(self, ground: HeightMap) -> Surface:
        """Return the surface in the sense that leaves less to fill, if that is worth a turn."""
        ahead, back = self.surface, self.surface.turned(2)
        lacking = [
            sum(unfilled(surface, ground, float(x), self._blade) for x in self._lanes())
            for surface in (ahead, back)
        ]
        return back if lacking[1] < ROUND * lacking[0] else ahead

    def _lanes(self) -> Array:
        # A hand's breadth more than the rectangle, for the windrows at its sides.
        return lanes(self.surface.width + 0.3, self._blade, self._round % 2 == 1)

    def _finished(self, ground: HeightMap) -> bool:
        error = self.surface.strip(ground, 0.0, self.surface.width)
        least, most = LEVEL_ROUNDS
        if self._round >= most:
            return True
        if self._round >= least and np.mean(np.abs(error) <= self._tolerance) >= ENOUGH:
            return True
        near = error[np.abs(error) < 0.06]
        if near.size:
            trim = self._trim - TRIM * float(np.median(near))
            self._trim = min(max(trim, -TRIM_MOST), TRIM_MOST)
        return False


class Push:
    """Slices off the lane that holds most, pushed to the spoil's side.

    Args:
        task: the goal. surface: with ``along`` towards the spoil. blade: width [m].
        capacity: of the blade, loose [m³].
    """

    def __init__(self, task: Task, surface: Surface, blade: float, capacity: float) -> None:
        self.surface = surface
        self._tolerance = task.tolerance
        self._blade = blade
        self._slice = SLICE * capacity
        half = surface.length / 2
        spoil = float(surface.frame(task.spoil_x, task.spoil_y)[0])
        self._end = max(spoil, half + 1.0)
        self._passes = 0

    def next(self, ground: HeightMap, position: Array) -> Pass | None:
        """Return the next pass, or None when the rectangle is clear."""
        surface, half = self.surface, self.surface.length / 2
        error = surface.strip(ground, 0.0, surface.width)
        clear = float(np.mean(np.abs(error) <= self._tolerance)) >= ENOUGH
        if clear or self._passes >= PUSHES:
            return None
        area = ground.cell**2
        best, most = 0.0, -1.0
        for offset in lanes(surface.width + 0.3, self._blade):
            over = np.maximum(surface.strip(ground, float(offset), self._blade), 0.0)
            if over.sum() > most:
                best, most = float(offset), float(over.sum())
        over = surface.strip(ground, best, self._blade)
        above = 0.0
        while np.maximum(over - above, 0.0).sum() * area > self._slice:
            above += 0.02
        self._passes += 1
        # What was left behind the rectangle's end is pushed on as well.
        return Pass(best, -half - RUN_IN, self._end, above)
