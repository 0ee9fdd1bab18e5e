"""What a haul was worth: how much was taken, brought and tipped, and how the way was kept."""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Task
from kuwa_machines.paths import Polyline, cross_track
from kuwa_machines.spec import MachineSpec
from kuwa_sim.score.drive import MOVING, forward_speed, mean_slip
from kuwa_sim.score.earthwork import loose_volume
from kuwa_sim.score.log import Values, WorkLog, common, cycles
from kuwa_sim.score.maps import Maps
from kuwa_sim.soil import SoilParameters

PLACE = 4.0
"""What lies this close to the end of the way was brought to its place [m]."""


def score_haul(
    task: Task,
    maps: Maps,
    log: WorkLog,
    spec: MachineSpec,
    soil: SoilParameters,
) -> Values:
    """Return the figures of a haul along ``task.path``.

    What was tipped is what the ground gained near the end of the way.

    Raises:
        ScoreError: numbers are not finite.
    """
    start, final = maps.start, maps.final
    log.check()
    x, y = task.path[-1]
    near = np.hypot(start.xs()[:, None] - x, start.ys()[None, :] - y) <= PLACE
    gained = float((final.height - start.height)[near].sum() * start.cell**2)
    load = np.nan_to_num(log.load)
    top, left = (float(load.max()), float(load[-1])) if load.size else (0.0, 0.0)
    driving = np.abs(forward_speed(log)) > MOVING
    track = log.position[driving, :2]
    away = cross_track(Polyline(task.path), track)[1] if len(track) else np.empty(0)
    return common(log, spec) | cycles(log) | {
        "loaded_m3": loose_volume(top, soil),
        "delivered_m3": gained,
        "delivered_share": gained / task.volume,
        "left_m3": loose_volume(left, soil),
        "cross_track_rms_m": float(np.sqrt(np.mean(away**2))) if away.size else None,
        "slip": mean_slip(log, spec),
    }  # fmt: skip
