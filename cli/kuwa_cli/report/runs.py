"""The machines of a run, each with its data, its task and its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Array, Task
from kuwa_machines.loader import load_machine
from kuwa_machines.spec import MachineSpec
from kuwa_sim.soil.obstacles import Obstacle

LEAD = "log.npz"
"""The lead machine's log; the others' are ``log-<name>.npz``."""


@dataclass(frozen=True)
class MachineRun:
    """What one machine did.

    Args:
        name: on the site. task: None where it had none.
    """

    name: str
    spec: MachineSpec
    task: Task | None
    log: RunLog

    def row(self, times: Array, t: float) -> int:
        """Return the index of the newest of ``times`` at or before ``t``, the first if none is."""
        return max(int(np.searchsorted(times, t, side="right")) - 1, 0)

    def joints(self, t: float) -> Array:
        """Return the joint positions at ``t`` [s], shape (n,) [rad]."""
        return self.log.state["q"][self.row(self.log.state.t, t)]

    def load(self, t: float) -> float:
        """Return the soil in the tool at ``t`` [s], NaN where nothing is known [kg]."""
        hydraulics = self.log.hydraulics
        if not len(hydraulics):
            return float("nan")
        return float(hydraulics["load"][self.row(hydraulics.t, t)])

    def phase(self, t: float) -> str:
        """Return what the planner was doing at ``t`` [s], in words."""
        plan = self.log.plan
        if not len(plan):
            return ""
        return self.log.phases[int(plan["phase"][self.row(plan.t, t)])].replace("_", " ")

    def cycle(self, t: float) -> int:
        """Return the work cycle at ``t`` [s], 0 before the first."""
        plan = self.log.plan
        return int(plan["cycle"][self.row(plan.t, t)]) if len(plan) else 0

    def speed(self, t: float) -> float:
        """Return how fast the machine drove at ``t`` [s], 0 where nothing is known [m/s]."""
        truth = self.log.truth
        if not len(truth):
            return 0.0
        return float(np.hypot(*truth["velocity"][self.row(truth.t, t)][:2]))

    def way(self, times: Array) -> tuple[Array, Array]:
        """Return positions, shape (N, 3) [m], and headings, shape (N,) [rad], at times [s]."""
        poses = [self.log.pose_at(float(t)) for t in times]
        w, x, y, z = np.array([attitude for _, attitude in poses]).T
        heading = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        return np.array([position for position, _ in poses]), heading

    def points(self) -> tuple[Array, Array]:
        """Return times, shape (N,), and true points of the tool, shape (N, k, 3) [m]."""
        truth = self.log.truth
        points: NDArray[np.float64] = truth["points"].reshape(len(truth), -1, 3)
        return truth.t, points


Runs = Mapping[str, MachineRun]


def load_runs(folder: Path) -> tuple[dict[str, MachineRun], list[Obstacle]]:
    """Read the logs of a run folder, the lead's first, and the obstacles in its ground.

    Raises:
        RunLogError: a file is none, or of another version.
    """
    paths = [folder / LEAD, *sorted(folder.glob("log-*.npz"))]
    runs: dict[str, MachineRun] = {}
    for path in paths:
        log = RunLog.load(path)
        if runs and not len(log.state):
            continue  # nobody was told where this machine is
        name = str(log.meta.get("name", log.meta["machine"]))
        runs[name] = MachineRun(name, load_machine(log.meta["machine"]), task_of(log), log)
    lead = next(iter(runs.values())).log
    bodies = [
        Obstacle(kind, tuple(centre), tuple(half), yaw)
        for kind, centre, half, yaw in lead.meta.get("obstacles", ())
    ]
    return runs, bodies


def task_of(log: RunLog) -> Task | None:
    """Return the task of a saved run, or None."""
    values = log.meta.get("task")
    if not values:
        return None
    path = tuple((float(x), float(y)) for x, y in values["path"])
    return Task(**{**values, "path": path})
