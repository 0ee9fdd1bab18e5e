"""What a run of an earthwork task was worth: shape, volumes, fill.

Lengths are metres, volumes cubic metres of what the surface shows: cut soil as it lay ("bank"),
spoil as it lies loose on the heap.
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.spec import Blade, Bucket, DumpBody, MachineSpec
from kuwa_sim.score.drive import mean_slip
from kuwa_sim.score.log import Mask, ScoreError, Values, WorkLog, common, cycles
from kuwa_sim.score.maps import Maps
from kuwa_sim.soil import SoilParameters
from kuwa_sim.soil.parameters import GRAVITY

NOTICEABLE = 0.01
"""A change of height below this is roughness of the measurement, not work [m]."""
RAMP_LENGTH = 2.0
"""A cut within this of a trench's ends, and within its width, is a ramp and not over-dig [m]."""
SIDE_MARGIN = 0.1
"""Walls crumble: a cut this close to the rectangle still belongs to it or to its ramps [m]."""
LITTLE = 0.01
"""Less volume than this says nothing about rates [m³]."""


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


def target_surface(task: Task, start: HeightMap) -> Array:
    """Return the height that the ground shall have, shape (nx, ny) [m].

    Mean start height of the rectangle minus the depth, rising along the length by the slope. A
    heap that is to be pushed away is no reference: there it is the median outside the heap.
    """
    inside = footprint(task, start)
    if not inside.any():
        raise ScoreError(
            f"the task's rectangle at ({task.x:g}, {task.y:g}) m covers no cell of the map"
        )
    level = np.median(start.height) if task.kind == "push" else start.height[inside].mean()
    along, _ = task_frame(task, start)
    return np.asarray(float(level) - task.depth + task.slope * along)


def score_earthwork(
    task: Task,
    maps: Maps,
    log: WorkLog,
    spec: MachineSpec,
    soil: SoilParameters,
) -> Values:
    """Return the figures of a rectangle that was to have a certain surface.

    A cell counts when its final height is within ± tolerance of its target; cells in which a
    rigid body rises above the target are left out. Volume moved is the cut in the rectangle and in
    the ramps at its two ends; a cut anywhere else is over-dig.

    Raises:
        ScoreError: the log holds numbers that are not finite, or the maps miss the task.
    """
    start, final = maps.start, maps.final
    log.check()
    along, across = task_frame(task, start)
    target = target_surface(task, start)
    inside = footprint(task, start) & ~maps.blocked(target)
    if not inside.any():
        raise ScoreError("rigid bodies fill the task's rectangle")
    error = (final.height - target)[inside]
    before = (start.height - target)[inside]
    area = start.cell**2

    change = final.height - start.height
    cut = np.where(change < -NOTICEABLE, -change, 0.0) * area
    raised = np.where(change > NOTICEABLE, change, 0.0) * area
    side = np.abs(across) <= task.width / 2 + SIDE_MARGIN
    near = side & (np.abs(along) <= task.length / 2 + SIDE_MARGIN)
    ramps = side & ~near & (np.abs(along) <= task.length / 2 + RAMP_LENGTH)
    moved = float(cut[near | ramps].sum())
    away = np.hypot(start.xs()[:, None] - task.spoil_x, start.ys()[None, :] - task.spoil_y)
    heap = away <= _heap_radius(moved)

    values = common(log, spec) | cycles(log)
    kwh, duration = values["energy_kwh"] or 0.0, log.duration
    return values | {
        "share_within_tolerance": float(np.mean(np.abs(error) <= task.tolerance)),
        "rmse_m": float(np.sqrt(np.mean(error**2))),
        "bias_m": float(error.mean()),
        "rmse_before_m": float(np.sqrt(np.mean(before**2))),
        "volume_target_m3": float(np.maximum(before, 0.0).sum() * area),
        "volume_moved_m3": moved,
        "ramp_volume_m3": float(cut[ramps].sum()),
        "over_dig_m3": float(cut[~(near | ramps)].sum() + _below(error, task.tolerance) * area),
        "spoil_volume_m3": float(raised[~near].sum()),
        "spoil_off_heap_m3": float(raised[~near & ~heap].sum()),
        "remaining_m3": float(np.maximum(error, 0.0).sum() * area),
        **_carried(log, spec, soil),
        "slip": mean_slip(log, spec),
        "energy_per_volume_kwh_m3": kwh / moved if moved > LITTLE else None,
        "rate_m3_h": moved / duration * 3600 if duration > 0 and moved > LITTLE else None,
    }


def loose_volume(mass: float, soil: SoilParameters) -> float:
    """Return the volume of loose soil of this mass [kg] → [m³]."""
    return mass * GRAVITY * soil.swell / soil.specific_weight


def heaped_capacity(spec: MachineSpec) -> float | None:
    """Return what the tool holds heaped [m³], or None for a tool that holds nothing."""
    tool = spec.tool
    if isinstance(tool, Bucket | DumpBody):
        return tool.heaped_capacity
    if isinstance(tool, Blade):
        # SAE J1265: capacity of a straight blade, 0.8 W H².
        return 0.8 * tool.width * tool.height**2
    return None


def _carried(log: WorkLog, spec: MachineSpec, soil: SoilParameters) -> Values:
    """Return what the tool carried, cycle by cycle, and how full it was."""
    capacity = heaped_capacity(spec)
    if capacity is None or not log.load.size:
        return {"carried_m3": None, "fill_factor": None}
    load = np.nan_to_num(log.load)
    tops = [float(load[log.cycle == k].max()) for k in range(1, int(log.cycle.max(initial=0)) + 1)
            if np.any(log.cycle == k)]  # fmt: skip
    volumes = [loose_volume(top, soil) for top in tops]
    used = [v for v in volumes if v > 0.1 * capacity]
    return {
        "carried_m3": float(sum(volumes)),
        "fill_factor": float(np.mean(used)) / capacity if used else None,
    }


def _below(error: Array, tolerance: float) -> float:
    """Return the depth dug below the tolerance band inside the rectangle, summed over cells [m]."""
    return float(np.maximum(-error - tolerance, 0.0).sum())


def _heap_radius(volume: float) -> float:
    """Return a radius within which a heap of this bank volume should lie [m].

    A cone of loose soil (swell 1.25) at 35° has V = π/3 · r³ · tan 35°; twice its radius leaves
    room for an elongated heap.
    """
    return 2.0 * float(np.cbrt(3 * 1.25 * max(volume, 0.1) / (np.pi * np.tan(np.radians(35)))))
