"""A run along a way, as the figures of ways need it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_cli.report.ground import maps
from kuwa_cli.report.runs import MachineRun
from kuwa_machines.contracts import Array, Task
from kuwa_machines.paths import Polyline, cross_track, inside
from kuwa_sim.score.drive import MOVING, forward_speed, rolling_radii
from kuwa_sim.score.guidance import straight, surface_at
from kuwa_sim.score.log import Mask

ROWS = 4000
"""A run is looked at in at most so many instants."""


@dataclass(frozen=True)
class Drive:
    """A run along its task's way, one row per instant.

    Attributes:
        t: [s]. track: true positions, shape (N, 2) [m].
        s: arc length on the way, shape (N,) [m]. beside: distance from it, left positive.
        speed, slip: along the heading [m/s]; NaN where it stands.
        heights: of the tool's points over the ground before the work, shape (N, k) [m].
        works: in its rectangle and on a straight piece, as the score has it.
    """

    task: Task
    path: Polyline
    t: Array
    track: Array
    s: Array
    beside: Array
    speed: Array
    slip: Array
    heights: Array
    works: Mask

    @classmethod
    def of(cls, run: MachineRun) -> Drive:
        """Look at a run that has true poses and a task with a way."""
        work, task = run.log.work_log(), run.task
        assert task is not None
        every = max(len(work.t) // ROWS, 1)
        path = Polyline(task.path)
        position = work.position[::every]
        s, beside = cross_track(path, position[:, :2])
        radii = rolling_radii(run.spec)
        columns = [run.spec.joint_names.index(name) for name in radii]
        turned = (work.qd[:, columns] * np.array(list(radii.values()))).mean(axis=1)[::every]
        speed = forward_speed(work)[::every]
        with np.errstate(divide="ignore", invalid="ignore"):
            slip = np.where(np.abs(turned) > MOVING, 1.0 - speed / turned, np.nan)
        start, _ = maps(run)
        points = work.points[::every]
        return cls(
            task, path, work.t[::every], position[:, :2], s, beside, speed, slip,
            points[..., 2] - surface_at(start, points),
            straight(path, s) & inside(task, position[:, :2]).astype(bool),
        )  # fmt: skip
