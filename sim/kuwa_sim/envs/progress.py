"""How far a task has come, from 0 to 1: the potential of which the reward is the change.

Progress is taken from the true ground, as the figures of a run are. It can fall again, where
finished work is spoilt. By kind of task:

- a surface (dig_trench, grade, level, push): 1 − Σ|z − z*| / Σ|z₀ − z*| over the cells of the
  rectangle, z* being the target of the score;
- a volume (dig, load): half for what left the rectangle, half for what lies at the spoil's place
  or in another machine's tool, both over the volume asked for;
- a haul: (tipped at the end of the way + ½ load · share of the way) / volume asked for;
- a way (plough, spray): the share of it that was worked, each piece weighted with
  1/(1 + (e/d)²) for every error e of place, depth or height over what is allowed, d.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.paths import Polyline, inside
from kuwa_machines.spec import Plough
from kuwa_sim.plant import Plant
from kuwa_sim.score.earthwork import footprint, loose_volume, target_surface
from kuwa_sim.score.guidance import surface_at
from kuwa_sim.score.haul import PLACE
from kuwa_sim.world import World

BESIDE: Final = 0.10
"""This far beside its way a machine earns half [m]."""
PIECE: Final = 0.05
"""A way is worked in pieces of this length [m]."""
END: Final = 0.98
"""A way has ended at this share of its length."""
HEAP: Final = 3.0
"""Spoil lies at its place within this distance [m]."""


class Progress(Protocol):
    """How far one machine's task has come."""

    @property
    def may_end(self) -> bool:
        """Whether success may be told already: figures of a way count only when it has ended."""

    def now(self) -> float:
        """Return the progress; called once a control step."""


class Surface:
    """A rectangle nears its target."""

    may_end = True

    def __init__(self, world: World, plant: Plant, task: Task, start: HeightMap) -> None:
        cells = footprint(task, start)
        self._cells = np.flatnonzero(cells)
        self._target = target_surface(task, start)[cells]
        self._height = plant.terrain.height.reshape(-1)
        self._before = max(self._misfit(), 1e-9)

    def _misfit(self) -> float:
        return float(np.abs(self._height[self._cells] - self._target).sum())

    def now(self) -> float:
        """Return the share of the misfit that is gone."""
        return 1.0 - self._misfit() / self._before


class Volume:
    """Soil leaves a rectangle for its place."""

    may_end = True

    def __init__(self, world: World, plant: Plant, task: Task, start: HeightMap) -> None:
        ground = plant.terrain
        self._height = ground.height.reshape(-1)
        taken = footprint(task, start)
        away = np.hypot(start.xs()[:, None] - task.spoil_x, start.ys()[None, :] - task.spoil_y)
        heap = (away <= HEAP) & ~taken
        self._taken, self._heap = np.flatnonzero(taken), np.flatnonzero(heap)
        self._start_taken, self._start_heap = start.height[taken], start.height[heap]
        self._area = start.cell**2
        self._swell = ground.soil.swell
        self._soil = ground.soil
        self._others = [other for other in world.running.plants if other is not plant]
        self._carried = self._load()
        self._volume = task.volume

    def _load(self) -> float:
        mass = sum(other.tool_load for other in self._others)
        return loose_volume(float(mass), self._soil)

    def now(self) -> float:
        """Return the mean of the shares dug and delivered."""
        cut = np.maximum(self._start_taken - self._height[self._taken], 0.0).sum()
        heaped = np.maximum(self._height[self._heap] - self._start_heap, 0.0).sum()
        dug = self._area * self._swell * float(cut)
        brought = self._area * float(heaped) + self._load() - self._carried
        shares = (min(max(v / self._volume, 0.0), 1.0) for v in (dug, brought))
        return sum(shares) / 2


class Delivery:
    """A load goes along a way and is tipped at its end."""

    may_end = True

    def __init__(self, world: World, plant: Plant, task: Task, start: HeightMap) -> None:
        x, y = task.path[-1]
        away = np.hypot(start.xs()[:, None] - x, start.ys()[None, :] - y)
        near = away <= PLACE
        self._near = np.flatnonzero(near)
        self._before = start.height[near]
        self._height = plant.terrain.height.reshape(-1)
        self._area = start.cell**2
        self._plant = plant
        self._way = Polyline(task.path)
        self._volume = task.volume
        self._s = 0.0

    def now(self) -> float:
        """Return the share delivered, and half of what is on its way."""
        self._s, _ = self._way.project(self._plant.base_position[:2], self._s)
        share = min(max(self._s / self._way.length, 0.0), 1.0)
        gained = self._area * float((self._height[self._near] - self._before).sum())
        load = loose_volume(self._plant.tool_load, self._plant.terrain.soil)
        return min((max(gained, 0.0) + 0.5 * share * load) / self._volume, 1.0)


class Way:
    """A way is worked, well or badly."""

    def __init__(self, world: World, plant: Plant, task: Task, start: HeightMap) -> None:
        self._plant, self._task, self._start = plant, task, start
        self._way = Polyline(task.path)
        self._ploughs = isinstance(plant.spec.tool, Plough)
        self._s = max(self._way.project(plant.base_position[:2], 0.0)[0], 0.0)
        self._furthest = self._s
        self._value = 0.0

    def now(self) -> float:
        """Return the share of the way that was worked, weighted."""
        place = self._plant.base_position[:2]
        self._s, beside = self._way.project(place, self._s)
        new = min(self._s, self._way.length) - self._furthest
        if new >= PIECE:
            self._furthest += new
            self._value += new / self._way.length * self._worth(place, beside)
        return self._value

    @property
    def may_end(self) -> bool:
        """Whether the end of the way is reached."""
        return self._furthest >= END * self._way.length

    def _worth(self, place: Array, beside: float) -> float:
        task = self._task
        worth = 1.0 / (1.0 + (beside / BESIDE) ** 2)
        if not inside(task, place):
            return worth
        points = self._plant.tool.points
        above = points[:, 2] - surface_at(self._start, points)
        wanted = -task.depth if self._ploughs else task.height
        error = (above - wanted) / task.tolerance
        return worth * float(np.mean(1.0 / (1.0 + error**2)))


MAKERS: Final[dict[str, Callable[[World, Plant, Task, HeightMap], Progress]]] = {
    "dig_trench": Surface, "grade": Surface, "level": Surface, "push": Surface,
    "dig": Volume, "load": Volume, "haul": Delivery, "plough": Way, "spray": Way,
}  # fmt: skip
"""By kind of task."""
