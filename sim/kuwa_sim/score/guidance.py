"""How well a way was kept, and at what depth or height the tool worked along it.

The distance from the way is taken as ISO 12188-2 asks, perpendicular to the line between two
points of the path; only rows in which the tool works count.
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.paths import Polyline, cross_track, inside
from kuwa_machines.spec import MachineSpec, Plough, SprayerBoom
from kuwa_sim.score.drive import forward_speed, mean_slip
from kuwa_sim.score.log import Mask, ScoreError, Values, WorkLog, common
from kuwa_sim.score.maps import Maps
from kuwa_sim.soil import SoilParameters

ENGAGED = 0.5
"""A plough works when its first share is deeper than this share of the depth asked for."""
ENTRY = 8.0
"""So much of the way at both ends, and after a turn, is for getting onto the line [m]."""
TURN = 25.0
"""Where the way bends more than with this radius it is a turn [m]."""
STATION = 0.5
"""The way is divided into stations of this length to say how much of it was worked [m]."""
HECTARE = 1e4


def score_guidance(
    task: Task,
    maps: Maps,
    log: WorkLog,
    spec: MachineSpec,
    soil: SoilParameters,
) -> Values:
    """Return the figures of work along ``task.path``.

    Raises:
        ScoreError: the run has no true poses, or maps and numbers do not fit together.
    """
    start = maps.start
    log.check()
    if not log.position.size or not log.points.size:
        raise ScoreError("this run has no true poses, so the way it took cannot be judged")
    path = Polyline(task.path)
    s, error = cross_track(path, log.position[:, :2])
    along: Mask = straight(path, s) & inside(task, log.position[:, :2]).astype(bool)
    height = log.points[..., 2] - surface_at(start, log.points)
    working = along
    if isinstance(spec.tool, Plough):
        working = along & (-height[:, 0] > ENGAGED * task.depth)
    values = common(log, spec)
    stations = np.unique(np.floor(s[working] / STATION))
    every = np.arange(0.0, path.length, STATION)
    whole = int(np.count_nonzero(straight(path, every) & inside(task, path.at(every)).astype(bool)))
    worked_length = stations.size * STATION
    values["worked_share"] = min(stations.size / whole, 1.0) if whole else 0.0
    if not working.any():
        return values | dict.fromkeys(
            ("cross_track_sd_m", "cross_track_mean_m", "cross_track_p95_m", "speed_km_h", "slip",
             "depth_mean_m", "depth_rms_m", "height_mean_m", "height_rms_m", "height_share",
             "energy_per_area_kwh_ha")
        )  # fmt: skip
    beside = error[working]
    area = worked_length * _width(spec)
    kwh = values["energy_kwh"] or 0.0
    return values | {
        "cross_track_sd_m": float(beside.std()),
        "cross_track_mean_m": float(np.abs(beside).mean()),
        "cross_track_p95_m": float(np.percentile(np.abs(beside), 95)),
        "speed_km_h": 3.6 * float(forward_speed(log)[working].mean()),
        "slip": mean_slip(log, spec, working),
        **_depth(spec, -height[working], task.depth),
        **_height(spec, height[working], task),
        "energy_per_area_kwh_ha": kwh / area * HECTARE if area > 0 else None,
    }


def straight(path: Polyline, s: Array) -> Mask:
    """Return whether each arc length is neither in a turn, nor close behind one or an end."""
    turning = np.zeros(len(path.s), dtype=bool)
    bend = np.abs(np.diff(np.unwrap(path.direction((path.s[1:] + path.s[:-1]) / 2))))
    reach = (path.s[2:] - path.s[:-2]) / 2
    turning[1:-1] = bend > reach / TURN
    out = (s > ENTRY) & (s < path.length - ENTRY)
    for at in path.s[turning]:
        out &= (s < at - 1.0) | (s > at + ENTRY)
    return np.asarray(out)


def surface_at(ground: HeightMap, points: Array) -> Array:
    """Return the ground's height under points (..., 3), bilinear, held at the map's edge, (...)."""
    nx, ny = ground.height.shape
    x = np.clip((points[..., 0] - ground.x0) / ground.cell, 0, nx - 1.001)
    y = np.clip((points[..., 1] - ground.y0) / ground.cell, 0, ny - 1.001)
    i, j = x.astype(int), y.astype(int)
    u, v = x - i, y - j
    h = ground.height
    return np.asarray(
        (1 - u) * ((1 - v) * h[i, j] + v * h[i, j + 1])
        + u * ((1 - v) * h[i + 1, j] + v * h[i + 1, j + 1])
    )


def _width(spec: MachineSpec) -> float:
    tool = spec.tool
    if isinstance(tool, Plough):
        return tool.bodies * tool.cut_width
    return tool.width if isinstance(tool, SprayerBoom) else 0.0


def _depth(spec: MachineSpec, depth: Array, wanted: float) -> Values:
    """Return the figures of a plough's depth, mean of its first and last share."""
    if not isinstance(spec.tool, Plough):
        return {"depth_mean_m": None, "depth_rms_m": None}
    mean = depth.mean(axis=1)
    return {
        "depth_mean_m": float(mean.mean()),
        "depth_rms_m": float(np.sqrt(np.mean((mean - wanted) ** 2))),
    }


def _height(spec: MachineSpec, height: Array, task: Task) -> Values:
    """Return the figures of a boom's height, over all its points."""
    if not isinstance(spec.tool, SprayerBoom):
        return {"height_mean_m": None, "height_rms_m": None, "height_share": None}
    away = height - task.height
    return {
        "height_mean_m": float(height.mean()),
        "height_rms_m": float(np.sqrt(np.mean(away**2))),
        "height_share": float(np.mean(np.abs(away) <= task.tolerance)),
    }
