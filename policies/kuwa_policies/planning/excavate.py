"""Digging for the soil's sake: full buckets out of a rectangle, onto a heap or into a body."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.planning.dig import DigCycle, DigSettings
from kuwa_policies.planning.lane import Field, Lane
from kuwa_policies.planning.spoil import Spoil
from kuwa_policies.planning.trajectory import Leg, PathCompiler

SWELL = 1.2
"""Loose volume over undisturbed volume: the middle of what is common, 1.1 to 1.3."""


@dataclass(frozen=True, slots=True)
class ExcavateSettings:
    """How to dig for volume.

    Args:
        dig: how to dig; a bucket that is to be full takes a little more than it holds.
        least: share of a bucket below which a lane is exhausted. rest: and one below which what
            is still wanted is not worth a cycle.
        around: soil that came from this far beside the lane was moved by the pass too [m].
        max_empty: give up after this many passes in a row that moved less than ``least``.
    """

    dig: DigSettings = field(default_factory=lambda: DigSettings(pass_volume=0.8))
    least: float = 0.2
    rest: float = 0.2
    around: float = 1.0
    max_empty: int = 3


class Excavate:
    """The skills ``dig`` and ``load``: pass by pass until ``task.volume`` is moved.

    Args:
        task: the rectangle, where the soil goes, and how much.
        compiler: of the machine's paths. T_world_level: frame that cycles are planned in.
        ground: as it is before anything is dug. spec: the machine.

    Raises:
        KuwaError: the rectangle is not radial, not reachable, not on the map or holds too little.
    """

    def __init__(
        self,
        task: Task,
        compiler: PathCompiler,
        T_world_level: Array,
        ground: HeightMap,
        spec: MachineSpec,
        settings: ExcavateSettings | None = None,
    ) -> None:
        self._set = settings or ExcavateSettings()
        self._task = task
        self._capacity = spec.bucket.heaped_capacity
        area = Field(task, ground, T_world_level, compiler.kin)
        self._lanes = area.lanes(spec.bucket.width)
        self._spoil = Spoil(task, T_world_level, compiler.kin.base)
        self._cycle = DigCycle(compiler.kin, self._set.dig)
        margin = round(self._set.around / ground.cell)
        i, j = np.nonzero(area.target.inside)
        self._window = (
            slice(max(i.min() - margin, 0), i.max() + margin + 1),
            slice(max(j.min() - margin, 0), j.max() + margin + 1),
        )
        self._cell_area = ground.cell**2
        self._stock = self._volume(ground)
        self._moved = 0.0
        self._passes = self._empty = 0
        self.outcome = "done"
        held = SWELL * sum(self._left(ground, lane) for lane in self._lanes)
        if held < task.volume:
            raise KuwaError(
                f"{task.kind}: the rectangle of {task.length} m × {task.width} m × {task.depth} m "
                f"holds about {held:.1f} m³ of loose soil, volume {task.volume} m³ was asked for"
            )
        place = self._spoil.next(ground, self._cycle.emptying.can_empty)
        if not self._cycle.emptying.can_empty(place):
            raise KuwaError(
                f"{task.kind}: the bucket cannot be emptied {place.r:.1f} m from the swing axis "
                f"over what is {place.top:.1f} m high there; a place nearer or lower would be right"
            )
        for lane in self._lanes:
            floor = lane.strip.rows_of(lane.strip.target)
            compiler.compile(lane.rest, self._legs(ground, lane, floor))

    @staticmethod
    def check(task: Task, spec: MachineSpec) -> None:
        """Refuse a rectangle that no machine of this kind can dig wherever it stands."""
        if task.length <= 0 or task.width <= 0 or task.depth <= 0:
            raise KuwaError(
                f"{task.kind} of {task.length} m × {task.width} m × {task.depth} m deep: all must "
                "be positive"
            )
        if task.width < 0.95 * spec.bucket.width:
            raise KuwaError(
                f"{task.kind} width {task.width} m: the bucket is {spec.bucket.width} m wide"
            )
        if task.volume <= 0:
            raise KuwaError(f"{task.kind} volume {task.volume} m³ must be positive")
        if task.kind == "load" and task.spoil_height <= 0:
            raise KuwaError(
                f"load spoil_height {task.spoil_height} m: the rim of the body above the ground, "
                "must be positive"
            )

    def next_cycle(self, ground: HeightMap, start: Array) -> list[Leg] | None:
        """Return the legs of the next cycle, or None when enough is moved or nothing is left."""
        s, least = self._set, self._set.least * self._capacity
        stock = self._volume(ground)
        got, self._stock = SWELL * (self._stock - stock), stock
        if self._passes:
            self._moved += max(got, 0.0)
            self._empty = self._empty + 1 if got < least else 0
        wanted = self._task.volume - self._moved
        if wanted < s.rest * self._capacity:
            return None
        lane = max(self._lanes, key=lambda lane: self._left(ground, lane))
        left = self._left(ground, lane)
        if SWELL * left < least or self._empty >= s.max_empty:
            why = (
                "the rectangle is dug out" if SWELL * left < least else "the bucket comes up empty"
            )
            self.outcome = f"gave up: {self._moved:.1f} of {self._task.volume:g} m³ moved, {why}"
            return None
        self._passes += 1
        full = s.dig.pass_volume * self._capacity
        # What is left is shared among the buckets that it still takes.
        buckets = max(np.ceil(wanted / self._capacity - s.rest), 1.0)
        target = lane.strip.rows_of(lane.strip.target)
        volume = min(full, 1.15 * wanted / buckets / SWELL)
        return self._legs(ground, lane, lane.strip.level_for(ground, volume, target))

    def _legs(self, ground: HeightMap, lane: Lane, floor: Array) -> list[Leg]:
        dump = self._spoil.next(ground, self._cycle.emptying.can_empty)
        return self._cycle.legs(lane.cut(ground, floor, False), dump)

    def _left(self, ground: HeightMap, lane: Lane) -> float:
        """Return the undisturbed volume above the lane's target [m³]."""
        return lane.strip.volume_above(ground, lane.strip.rows_of(lane.strip.target))

    def _volume(self, ground: HeightMap) -> float:
        """Return the volume of the ground around the rectangle, above any fixed level [m³]."""
        return float(ground.height[self._window].sum()) * self._cell_area
