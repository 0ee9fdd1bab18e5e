"""Digging a trench: which pass comes next, where its soil goes, and when the trench is done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError
from kuwa_machines.kinematics import apply, inverse_transform
from kuwa_machines.spec import MachineSpec
from kuwa_policies.planning.dig import Cut, DigCycle, DigSettings, Dump
from kuwa_policies.planning.strip import Strip
from kuwa_policies.planning.trajectory import Leg, PathCompiler

LATERAL = 0.04
"""A trench's ends may lie this far beside the line through the swing axis [m]."""
SPREAD = ((0.0, 0.0), (-0.5, 0.0), (0.5, 0.0), (0.0, 0.7), (0.0, -0.7), (-0.5, 0.7), (0.5, -0.7))
"""Places to dump around the heap's centre: (outward, sideways) [m]."""


@dataclass(frozen=True, slots=True)
class TrenchSettings:
    """When to stop.

    Args:
        max_cycles: give up after this many. max_finishing: passes at full depth.
        high_enough: stop when no more than this share of cells is still too high.
        stations: waypoints along a pass.
    """

    max_cycles: int = 14
    max_finishing: int = 3
    high_enough: float = 0.015
    stations: int = 25


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
        self._kin = compiler.kin
        self._T_level_world = inverse_transform(T_world_level)
        self._z_world = float(T_world_level[2, 3])
        origin = apply(T_world_level, self._kin.base)
        self._check_radial(task, origin)
        self.strip = Strip.of(task, ground, (origin[0], origin[1]))
        centre = self._polar(task.x, task.y)
        self._swing, self._r_near = centre[0], centre[1] - task.length / 2
        self._spoil = self._polar(task.spoil_x, task.spoil_y)
        self._origin = origin
        self._cycle = DigCycle(self._kin, DigSettings())
        self._capacity = spec.bucket.heaped_capacity
        self._width = spec.bucket.width
        self._passes = 0
        self._finishing = 0
        # Refuse an unreachable trench now rather than at its last pass.
        floor = self.strip.rows_of(self.strip.target)
        legs = self._cycle.legs(self._cut(ground, floor, True), self._dump(ground))
        compiler.compile(self._rest(), legs)

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
        """Return the legs of the next cycle, or None when the trench is done."""
        s, strip = self._set, self.strip
        target = strip.rows_of(strip.target)
        done = strip.share_high(ground) <= s.high_enough
        if self._passes >= s.max_cycles or self._finishing >= s.max_finishing or done:
            return None
        per_pass = self._cycle.settings.pass_volume * self._capacity
        floor = strip.level_for(ground, per_pass)
        finishing = bool(np.allclose(floor, target))
        self._passes += 1
        self._finishing += finishing
        return self._cycle.legs(self._cut(ground, floor, finishing), self._dump(ground))

    def _cut(self, ground: HeightMap, floor: Array, finishing: bool) -> Cut:
        strip = self.strip
        at = np.linspace(0.0, strip.task.length, self._set.stations)
        surface = strip.rows_of(strip.heights(ground))
        return Cut(
            r=self._r_near + at,
            floor=np.interp(at, strip.stations, _smooth(floor)) - self._z_world,
            surface=np.interp(at, strip.stations, surface) - self._z_world,
            ground=float(strip.target.max()) + strip.task.depth - self._z_world,
            swing=self._swing,
            finishing=finishing,
        )

    def _dump(self, ground: HeightMap) -> Dump:
        """Choose the lowest place around the heap's centre; ties go to the first."""
        swing, r = self._spoil
        best = None
        for out, side in SPREAD:
            place = Dump(swing + side / r, r + out, 0.0)
            x = self._origin[0] + place.r * np.cos(place.swing)
            y = self._origin[1] + place.r * np.sin(place.swing)
            i, j = ground.index(x, y)
            n = round(0.7 / ground.cell)
            near = ground.height[max(i - n, 0) : i + n + 1, max(j - n, 0) : j + n + 1]
            # Compared in steps, so that the scan's noise does not decide.
            top = round(float(np.percentile(near, 95)) / 0.1) * 0.1
            if best is None or top < best.top - 1e-9:
                best = Dump(place.swing, place.r, top)
        assert best is not None
        return Dump(best.swing, best.r, best.top - self._z_world + 0.1)

    def _polar(self, x: float, y: float) -> tuple[float, float]:
        """Return swing angle and radius of a point of the world."""
        at = apply(self._T_level_world, np.array([x, y, 0.0])) - self._kin.base
        return float(np.arctan2(at[1], at[0])), float(np.hypot(at[0], at[1]))

    def _rest(self) -> Array:
        """Return a pose over the trench from which the first pass could start."""
        return np.array([self._swing, self._r_near + self.strip.task.length / 2, 1.0, np.pi / 2])

    def _check_radial(self, task: Task, origin: Array) -> None:
        away = np.array([task.x - origin[0], task.y - origin[1]])
        radial = float(np.arctan2(away[1], away[0]))
        skew = (task.yaw - radial + np.pi / 2) % np.pi - np.pi / 2
        beside = abs(np.sin(skew)) * task.length / 2
        if beside > LATERAL:
            raise KuwaError(
                f"trench yaw {np.degrees(task.yaw):.1f}° does not point at the swing axis: its "
                f"ends would lie {beside:.2f} m beside the bucket's line (at most {LATERAL} m); "
                f"yaw {np.degrees(radial):.1f}° would be right for a trench at "
                f"({task.x:.2f}, {task.y:.2f}) m"
            )


def _smooth(rows: Array) -> Array:
    """Average over five rows: the scan's noise is no reason to move the edge."""
    padded = np.pad(rows, 2, mode="edge")
    return np.convolve(padded, np.full(5, 0.2), mode="valid")
