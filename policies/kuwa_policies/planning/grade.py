"""Grading: the bucket's edge is pulled along the wanted surface at a constant angle.

Steep like a blade, the edge cuts what stands too high and pushes it along, so that it fills what
lies too low further in. What is left lies beyond the near end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError
from kuwa_machines.kinematics import ReachError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.planning.correction import Correction
from kuwa_policies.planning.dig import Cut, DigCycle
from kuwa_policies.planning.lane import Field
from kuwa_policies.planning.reach import point, reachable
from kuwa_policies.planning.trajectory import Leg, PathCompiler


@dataclass(frozen=True, slots=True)
class GradeSettings:
    """How to grade. Lengths in metres, angles in radians, speeds in m/s.

    Args:
        clearance: angle of the bucket's floor above the ground behind the edge.
        speed: of the edge along the ground.
        run_in, run_out: how far beyond the far and the near end a pass goes, as far as the machine
            reaches: what is pushed out lies there and must not run back.
        clear: height of the edge over the ground between passes.
        bite: a pass cuts no deeper than this.
        max_passes: per lane. enough: a lane whose cells are within the tolerance to this share,
            and whose RMS error is at most ``rms`` of the tolerance, is done.
        good_enough: the share at which the whole is called done.
    """

    clearance: float = np.radians(45.0)
    speed: float = 0.5
    run_in: float = 0.15
    run_out: float = 0.7
    clear: float = 0.5
    bite: float = 0.12
    max_passes: int = 6
    enough: float = 0.97
    rms: float = 0.45
    good_enough: float = 0.9


class Grade:
    """The skill ``grade``.

    Args:
        task: the rectangle. compiler: of the machine's paths.
        T_world_level: frame that cycles are planned in.
        ground: as it is before anything is moved. spec: the machine.

    Raises:
        KuwaError: the rectangle is not radial, not reachable or not on the map.
    """

    def __init__(
        self,
        task: Task,
        compiler: PathCompiler,
        T_world_level: Array,
        ground: HeightMap,
        spec: MachineSpec,
        settings: GradeSettings | None = None,
    ) -> None:
        self._set = settings or GradeSettings()
        self._kin = compiler.kin
        self._cycle = DigCycle(compiler.kin)
        self._task = task
        field = Field(task, ground, T_world_level, compiler.kin)
        self._lanes = field.lanes(spec.bucket.width)
        self._corrections = [Correction(len(lane.strip.stations)) for lane in self._lanes]
        self._passes = [0] * len(self._lanes)
        self._last: int | None = None
        self.outcome = "done"
        for k, lane in enumerate(self._lanes):
            compiler.compile(lane.rest, self._legs(ground, k))

    @staticmethod
    def check(task: Task, spec: MachineSpec) -> None:
        """Refuse a rectangle that no machine of this kind can grade wherever it stands."""
        if task.length <= 0 or task.width <= 0:
            raise KuwaError(f"{task.length} m × {task.width} m to grade: both must be positive")
        if task.width < 0.95 * spec.bucket.width:
            raise KuwaError(
                f"grade width {task.width} m: the bucket is {spec.bucket.width} m wide, and would "
                "grade what lies beside"
            )
        if task.tolerance <= 0:
            raise KuwaError(f"tolerance {task.tolerance} m must be positive")

    def next_cycle(self, ground: HeightMap, start: Array) -> list[Leg] | None:
        """Return the legs of the next pass, or None when the surface is done or given up."""
        s = self._set
        if self._last is not None:
            strip = self._lanes[self._last].strip
            self._corrections[self._last].learn(strip.rows_of(strip.heights(ground)))
        k = self._next_lane(ground)
        if k is None:
            share = np.mean([lane.strip.share_done(ground) for lane in self._lanes])
            if share < s.good_enough:
                self.outcome = (
                    f"gave up: {100 * (1 - share):.0f} % of the surface is beyond the tolerance "
                    f"after {max(self._passes)} passes"
                )
            return None
        self._last = k
        self._passes[k] += 1
        strip = self._lanes[k].strip
        target = strip.rows_of(strip.target)
        self._corrections[k].expect(strip.rows_of(strip.heights(ground)), target)
        return self._legs(ground, k)

    def _next_lane(self, ground: HeightMap) -> int | None:
        """Return the lane that was worked least and needs it, the worst first; None if none."""
        s = self._set
        waiting: list[tuple[int, float, int]] = []
        for k, lane in enumerate(self._lanes):
            error = lane.strip.error(ground)
            rms = float(np.sqrt(np.mean(error**2)))
            fine = lane.strip.share_done(ground) >= s.enough
            fine = fine and rms <= s.rms * lane.strip.tolerance
            if not fine and self._passes[k] < s.max_passes:
                waiting.append((self._passes[k], -rms, k))
        return min(waiting)[2] if waiting else None

    def _legs(self, ground: HeightMap, k: int) -> list[Leg]:
        s, lane = self._set, self._lanes[k]
        strip = lane.strip
        target, surface = strip.rows_of(strip.target), strip.rows_of(strip.heights(ground))
        aim = target + self._corrections[k].value
        cut = lane.cut(ground, np.maximum(aim, surface - s.bite), True)
        r, z = self._path(cut)
        wanted = np.full(len(r), self._cycle.pitch_at(s.clearance))
        drag = np.column_stack([r, z, reachable(self._kin, r, z, wanted)])
        (far, down, pitch), (near, _, last) = drag[0], drag[-1]
        top = max(cut.ground, float(cut.surface.max())) + s.clear
        return [
            Leg("return", point(far, top, pitch), 1.5, swing_to=lane.swing, swing_left=0.2),
            Leg("approach", point(far, down + 0.1, pitch), 0.8, swing_left=0.0, pause=0.1),
            Leg("lower", point(far, down, pitch), 0.2),
            Leg("grade", drag, s.speed),
            Leg("lift", point(near, top, last), 0.8),
        ]

    def _path(self, cut: Cut) -> tuple[Array, Array]:
        """Return (r, z) from beyond the far end to beyond the near one, along the slope."""
        s = self._set
        slope = np.polyfit(cut.r, cut.floor, 1)[0]
        far = self._within_reach(cut.r[-1], s.run_in, cut.floor[-1], slope)
        near = self._within_reach(cut.r[0], -s.run_out, cut.floor[0], slope)
        r = np.concatenate([[far], cut.r[::-1], np.linspace(cut.r[0], near, 5)[1:]])
        z = np.interp(r, cut.r, cut.floor)
        z = z + slope * (np.maximum(r - cut.r[-1], 0.0) + np.minimum(r - cut.r[0], 0.0))
        return r, z

    def _within_reach(self, r: float, beyond: float, z: float, slope: float) -> float:
        """Return how far beyond r the edge can go at the pass's height and above it [m]."""
        pitch = np.full(2, self._cycle.pitch_at(self._set.clearance))
        for share in (1.0, 0.8, 0.6, 0.4, 0.2):
            at = r + share * beyond
            low = z + slope * share * beyond
            try:
                reachable(self._kin, np.full(2, at), np.array([low, low + 0.4]), pitch)
            except ReachError:
                continue
            return at
        return r
