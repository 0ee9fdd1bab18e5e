"""Digging a trench: which pass comes next, where its soil goes, and when the trench is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.planning.correction import Correction
from kuwa_policies.planning.dig import DigCycle
from kuwa_policies.planning.hard import HardRows
from kuwa_policies.planning.lane import Field
from kuwa_policies.planning.spoil import Spoil
from kuwa_policies.planning.trajectory import Leg, PathCompiler


@dataclass(frozen=True, slots=True)
class TrenchSettings:
    """When to stop.

    Args:
        max_cycles: give up after this many. max_idle: or after this many finishing passes that
            took out less than ``idle`` of a bucket.
        high_enough: stop when no more than this share of cells is still too high.
        good_enough: a floor with this share of its cells within the tolerance is done.
        margin: left for the finishing passes, which cut little and so are pushed little [m].
        aim: of a finishing pass, above the target, as a share of the tolerance: what is left can
            still be cut, what is cut cannot be put back. aim_over: the same where the bucket
            comes down from an obstacle, hardly to be foreseen.
    """

    max_cycles: int = 20
    max_idle: int = 5
    idle: float = 0.15
    high_enough: float = 0.015
    good_enough: float = 0.9
    margin: float = 0.04
    aim: float = 0.1
    aim_over: float = 0.4


class DigTrench:
    """The skill ``dig_trench``: passes from far to near along a strip as wide as the bucket.

    Args:
        task: the trench.
        compiler: of the machine's paths.
        T_world_level: frame that cycles are planned in.
        ground: as it is before anything is dug.
        spec: the machine.

    Raises:
        KuwaError: the trench is not radial, not reachable or not on the map.
    """

    def __init__(
        self,
        task: Task,
        compiler: PathCompiler,
        T_world_level: Array,
        ground: HeightMap,
        spec: MachineSpec,
        settings: TrenchSettings | None = None,
    ) -> None:
        self._set = settings or TrenchSettings()
        self._lane = Field(task, ground, T_world_level, compiler.kin).single()
        self._spoil = Spoil(task, T_world_level, compiler.kin.base)
        self._cycle = DigCycle(compiler.kin)
        self._capacity = spec.bucket.heaped_capacity
        self._target = self._lane.strip.rows_of(self._lane.strip.target)
        self._correction = Correction(len(self._target))
        self._hard = HardRows(self._lane.strip.stations)
        self._passes = self._idle = 0
        self._left = np.inf
        self.outcome = "done"
        # Refuse an unreachable trench now rather than at its last pass.
        compiler.compile(self._lane.rest, self._legs(ground, self._target, True))

    @staticmethod
    def check(task: Task, spec: MachineSpec) -> None:
        """Refuse a trench that this kind of machine cannot dig wherever it stands."""
        width = spec.bucket.width
        if not 0.95 * width <= task.width <= 1.05 * width:
            raise KuwaError(
                f"trench width {task.width} m: a pass is as wide as the bucket, {width} m"
            )
        if task.depth <= 0 or task.length <= 0:
            raise KuwaError(
                f"trench of {task.length} m × {task.depth} m deep: both must be positive"
            )
        if task.tolerance <= 0:
            raise KuwaError(f"tolerance {task.tolerance} m must be positive")

    def next_cycle(self, ground: HeightMap, start: Array) -> list[Leg] | None:
        """Return the legs of the next cycle, or None when the trench is done or given up."""
        s, strip = self._set, self._lane.strip
        surface = strip.rows_of(strip.heights(ground))
        self._correction.learn(surface)
        if self._hard.judge(surface):
            # What was learnt so far was learnt while the bucket hung on the obstacle.
            self._idle = 0
            self._correction = Correction(len(self._target))
        if self._stop(ground):
            return None
        hard = self._hard.rows
        target = np.where(hard, np.maximum(surface, self._target), self._target)
        finishing = bool(np.mean(np.maximum(surface - target, 0.0)[~hard]) < 1.5 * s.margin)
        if finishing:
            share = s.aim_over if hard.any() else s.aim
            aim = target + share * strip.tolerance
        else:
            per_pass = self._cycle.settings.pass_volume * self._capacity
            aim = np.maximum(strip.level_for(ground, per_pass, target), target + s.margin)
        aim = self._hard.over(aim)
        self._correction.expect(surface, aim)
        self._hard.expect(surface, aim)
        self._passes += 1
        floor = self._hard.over(aim + self._correction.value)
        return self._legs(ground, floor, finishing)

    def _legs(self, ground: HeightMap, floor: Array, finishing: bool) -> list[Leg]:
        keep = self._hard.keep if self._hard.rows.any() else None
        cut = self._lane.cut(ground, floor, finishing, keep)
        return self._cycle.legs(cut, self._spoil.next(ground, self._cycle.emptying.can_empty))

    def _stop(self, ground: HeightMap) -> bool:
        s, strip = self._set, self._lane.strip
        # The ramps over what is hard cannot be dug either.
        soft = self._hard.over(self._target) < self._target + strip.tolerance
        left = strip.volume_above(ground, self._target)
        if self._left - left < s.idle * self._capacity:
            self._idle += 1
        self._left = left
        high = strip.share_high(ground, soft)
        spent = self._passes >= s.max_cycles or self._idle >= s.max_idle
        if high > s.high_enough and not spent:
            return False
        share = strip.share_done(ground, soft)
        if self._hard.words:
            self.outcome = f"done, but for {self._hard.words}"
        if share < s.good_enough:
            self.outcome = f"gave up: after {self._passes} passes " + (
                f"{100 * high:.0f} % of the floor is too high, and more slides in"
                if high > 0.5 * (1.0 - share)
                else f"{100 * (1.0 - share - high):.0f} % of the floor is too deep"
            )
            if self._hard.words:
                self.outcome += f"; there is {self._hard.words}"
        return True
