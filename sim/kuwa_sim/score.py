"""What a run of an earthwork task was worth: shape, volumes, cycle times, energy, success.

Lengths are metres, volumes cubic metres of what the surface shows: cut soil as it lay ("bank"),
spoil as it lies loose on the heap.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_sim.scenario import Success

Mask = NDArray[np.bool_]

LIMIT_TOLERANCE = 0.005
"""A joint this far outside its operating range counts as a violation [rad]."""
NOTICEABLE = 0.01
"""A change of height below this is roughness of the measurement, not work [m]."""
RAMP_LENGTH = 2.0
"""A cut within this of a trench's ends, and within its width, is a ramp and not over-dig [m]."""
SIDE_MARGIN = 0.1
"""Walls crumble: a cut this close to the rectangle still belongs to it or to its ramps [m]."""


class ScoreError(KuwaError):
    """Maps or logs that do not fit together, so that no score can be given."""


@dataclass(frozen=True, slots=True)
class WorkLog:
    """What the score needs of a run, one row per recorded tick.

    Args:
        t: time of each row, increasing, shape (N,) [s].
        q: joint positions, shape (N, n) [rad].
        cycle: the planner's count of work cycles, 0 before the first, shape (N,).
        done: whether the planner called the task finished, shape (N,).
        pump_power: hydraulic power delivered, shape (N,) [W].
    """

    t: Array
    q: Array
    cycle: NDArray[np.int64]
    done: Mask
    pump_power: Array


@dataclass(frozen=True, slots=True)
class Score:
    """The figures of one run; None where a run gives no such figure."""

    success: bool
    done: bool
    share_within_tolerance: float
    rmse_m: float
    volume_target_m3: float
    volume_moved_m3: float
    ramp_volume_m3: float
    over_dig_m3: float
    spoil_volume_m3: float
    spoil_off_heap_m3: float
    duration_s: float
    cycles: int
    cycle_mean_s: float | None
    cycle_min_s: float | None
    cycle_max_s: float | None
    energy_kwh: float
    energy_per_volume_kwh_m3: float | None
    rate_m3_h: float | None
    limit_violations: int

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


def task_frame(task: Task, terrain: HeightMap) -> tuple[Array, Array]:
    """Return each cell's distance along and across the task's rectangle, shape (nx, ny) [m].

    Both are zero at the rectangle's centre; its length runs along the first.
    """
    dx = terrain.xs()[:, None] - task.x
    dy = terrain.ys()[None, :] - task.y
    c, s = np.cos(task.yaw), np.sin(task.yaw)
    return c * dx + s * dy, -s * dx + c * dy


def footprint(task: Task, terrain: HeightMap) -> Mask:
    """Return which cells have their centre in the task's rectangle, shape (nx, ny)."""
    along, across = task_frame(task, terrain)
    return (np.abs(along) <= task.length / 2) & (np.abs(across) <= task.width / 2)


def target_level(task: Task, start: HeightMap) -> float:
    """Return the level that the floor shall have: mean start height minus depth [m]."""
    inside = footprint(task, start)
    if not inside.any():
        raise ScoreError(
            f"the task's rectangle at ({task.x:g}, {task.y:g}) m covers no cell of the map"
        )
    return float(start.height[inside].mean()) - task.depth


def cycle_times(t: Array, cycle: NDArray[np.int64], done: Mask) -> Array:
    """Return the durations of the cycles that were finished, shape (cycles,) [s].

    A cycle ends when the next begins, the last one when the task is called done.
    """
    starts = np.flatnonzero(np.diff(cycle, prepend=0) > 0)
    ends = list(t[starts[1:]])
    if starts.size and done.any() and (end := float(t[int(np.argmax(done))])) > t[starts[-1]]:
        ends.append(end)
    return np.array(ends) - t[starts[: len(ends)]]


def limit_violations(q: Array, spec: MachineSpec) -> int:
    """Return how many rows have a joint outside its operating range."""
    below, above = q < spec.q_min - LIMIT_TOLERANCE, q > spec.q_max + LIMIT_TOLERANCE
    return int(np.count_nonzero((below | above).any(axis=1)))


def energy(t: Array, power: Array) -> float:
    """Return the integral of power over time by the trapezoid rule [J]."""
    return float(np.trapezoid(power, t)) if t.size > 1 else 0.0


def score_earthwork(
    task: Task,
    start: HeightMap,
    final: HeightMap,
    log: WorkLog,
    spec: MachineSpec,
    success: Success,
) -> Score:
    """Score a rectangle that was to be dug to a level.

    The target is the mean start height in the rectangle minus the depth; a cell counts when its
    final height is within ± tolerance of it. Volume moved is the cut in the rectangle and in the
    ramps at its two ends; a cut anywhere else is over-dig.

    Raises:
        ScoreError: the maps differ in extent, hold numbers that are not finite, or miss the task.
    """
    _check(start, final, log)
    inside = footprint(task, start)
    along, across = task_frame(task, start)
    target = target_level(task, start)
    error = final.height[inside] - target
    area = start.cell**2

    change = final.height - start.height
    cut = np.where(change < -NOTICEABLE, -change, 0.0) * area
    raised = np.where(change > NOTICEABLE, change, 0.0) * area
    side = np.abs(across) <= task.width / 2 + SIDE_MARGIN
    near = side & (np.abs(along) <= task.length / 2 + SIDE_MARGIN)
    ramps = side & ~near & (np.abs(along) <= task.length / 2 + RAMP_LENGTH)
    moved = float(cut[near | ramps].sum())
    heap = np.hypot(
        start.xs()[:, None] - task.spoil_x, start.ys()[None, :] - task.spoil_y
    ) <= _heap_radius(moved)

    times = cycle_times(log.t, log.cycle, log.done)
    done = bool(log.done.any())
    last = int(np.argmax(log.done)) if done else log.t.size - 1
    duration = float(log.t[last] - log.t[0]) if log.t.size else 0.0
    kwh = energy(log.t, log.pump_power) / 3.6e6
    share = float(np.mean(np.abs(error) <= task.tolerance))
    violations = limit_violations(log.q, spec)
    return Score(
        success=share >= success.share_within_tolerance and violations <= success.limit_violations,
        done=done,
        share_within_tolerance=share,
        rmse_m=float(np.sqrt(np.mean(error**2))),
        volume_target_m3=float(np.maximum(start.height[inside] - target, 0.0).sum() * area),
        volume_moved_m3=moved,
        ramp_volume_m3=float(cut[ramps].sum()),
        over_dig_m3=float(cut[~(near | ramps)].sum() + _below(error, task.tolerance) * area),
        spoil_volume_m3=float(raised[~near].sum()),
        spoil_off_heap_m3=float(raised[~near & ~heap].sum()),
        duration_s=duration,
        cycles=int(times.size),
        cycle_mean_s=float(times.mean()) if times.size else None,
        cycle_min_s=float(times.min()) if times.size else None,
        cycle_max_s=float(times.max()) if times.size else None,
        energy_kwh=kwh,
        energy_per_volume_kwh_m3=kwh / moved if moved > 0.01 else None,
        rate_m3_h=moved / duration * 3600 if duration > 0 and moved > 0.01 else None,
        limit_violations=violations,
    )


def _check(start: HeightMap, final: HeightMap, log: WorkLog) -> None:
    if start.height.shape != final.height.shape or not np.allclose(
        [start.x0, start.y0, start.cell], [final.x0, final.y0, final.cell]
    ):
        raise ScoreError(
            f"the start map {start.height.shape} and the final map {final.height.shape} must "
            "have the same extent and cells"
        )
    for name, values in (
        ("start map", start.height), ("final map", final.height), ("time", log.t),
        ("joint positions", log.q), ("pump power", log.pump_power),
    ):  # fmt: skip
        if not np.isfinite(values).all():
            bad = int(np.count_nonzero(~np.isfinite(values)))
            raise ScoreError(f"{name}: {bad} of {values.size} numbers are not finite")


def _below(error: Array, tolerance: float) -> float:
    """Return the depth dug below the tolerance band inside the rectangle, summed over cells [m]."""
    return float(np.maximum(-error - tolerance, 0.0).sum())


def _heap_radius(volume: float) -> float:
    """Return a radius within which a heap of this bank volume should lie [m].

    A cone of loose soil (swell 1.25) at 35° has V = π/3 · r³ · tan 35°; twice its radius leaves
    room for an elongated heap.
    """
    return 2.0 * float(np.cbrt(3 * 1.25 * max(volume, 0.1) / (np.pi * np.tan(np.radians(35)))))
