"""From a run's log to what the live status shows."""

from __future__ import annotations

import numpy as np

from kuwa_cli.live import Status
from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Task
from kuwa_sim.score.earthwork import footprint

RECENT = 3.0
"""The speed is that of the last seconds on the wall [s]."""


class Progress:
    """Fills a status from a growing log."""

    def __init__(self, log: RunLog, task: Task | None, duration: float) -> None:
        self._log = log
        self._task = task
        self._duration = duration
        self._inside: np.ndarray | None = None

    def fill(self, status: Status, began: float) -> None:
        """Write the newest of the log into the status; ``began``: stamp of the start [s]."""
        log = self._log
        status.duration = self._duration
        if len(log.state):
            t, wall = log.state.t, log.state["wall"]
            status.time = float(t[-1]) - began
            first = int(np.searchsorted(wall, wall[-1] - RECENT))
            span = float(wall[-1] - wall[first])
            status.factor = float(t[-1] - t[first]) / span if span > 0 else float("nan")
        status.phase = log.phase()
        if len(log.plan):
            status.cycle = int(log.plan["cycle"][-1])
        if len(log.hydraulics):
            status.load = float(log.hydraulics["load"][-1])
        if len(log.safety):
            status.mode = log.modes[int(log.safety["mode"][-1])]
        start, now = log.terrain.start, log.terrain.newest
        task = self._task
        if task is None or task.depth * task.length == 0.0 or start is None or now is None:
            return
        if self._inside is None:
            self._inside = footprint(task, start)
            status.target = np.count_nonzero(self._inside) * start.cell**2 * task.depth
        cut = start.height[self._inside] - now.height[self._inside]
        status.moved = float(np.maximum(cut, 0.0).sum()) * start.cell**2
