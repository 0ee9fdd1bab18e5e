"""From where a run is shown: all of it, along with a machine, or close to its work."""

from __future__ import annotations

import math

import numpy as np

from kuwa_cli.report.runs import MachineRun, Runs
from kuwa_machines.contracts import Array, Task
from kuwa_machines.paths import Polyline, inside
from kuwa_machines.spec import DumpBody, Plough, SprayerBoom
from kuwa_sim.cameras import ASIDE, BEHIND, DOWN, View, along, fitted
from kuwa_sim.markings import outline
from kuwa_sim.scene import Scene

FAR = 34.0
"""A site longer than this is filmed by a camera that goes along with a machine [m]."""
STEEP = math.radians(-27.0)
"""Elevation of the views of finished work."""
STRETCH, BESIDE = 8.0, 5.0
"""A finished way is shown this far to both ends and sides [m]."""
NEAR = 14.0
"""Machines this close to each other are shown together at work [m]."""
ROOM = 0.12
"""Of the picture, kept free for the titles."""
STEPS = 400
"""Instants of a run at which the camera's way is worked out."""
HANDY = 50.0
"""A tool with more than this is carrying [kg]."""


class Filming:
    """Views of a run.

    Args:
        runs: its machines, the lead first.
        scene: in which they are drawn; standing as they do at home.
        aspect: width of a picture over its height.

    Attributes:
        overview: of all machines and tasks.
        follows: the film goes along with a machine, the ``guide``.
    """

    def __init__(self, runs: Runs, scene: Scene, aspect: float) -> None:
        self.runs, self._aspect = runs, aspect
        lead = next(iter(runs.values()))
        t = lead.log.state.t
        self._times = np.linspace(t[0], t[-1], STEPS)
        self._ways = {name: run.way(self._times) for name, run in runs.items()}
        self._boxes = {name: scene.box(name) for name in runs}
        travelled = {
            name: float(np.hypot(*np.diff(way[0][:, :2], axis=0).T).sum())
            for name, way in self._ways.items()
        }
        # Before a run has begun its task tells how far a machine will go.
        ways = {name: max(way, _length(runs[name].task)) for name, way in travelled.items()}
        self.guide = max(ways, key=lambda name: ways[name])
        everything = self._everything()
        spread = float(np.ptp(everything[:, :2], axis=0).max())
        heading = float(self._ways[lead.name][1][0])
        self.overview = fitted(everything, heading + ASIDE, aspect=aspect, margin=ROOM)
        self.follows = spread > FAR and ways[self.guide] > FAR / 2
        box = self._boxes[self.guide]
        size = float(np.ptp(box, axis=0).max())
        close = fitted(box, self._side(self.guide), aspect=aspect, margin=ROOM)
        self._distance = 1.2 * close.distance
        self._targets, self._azimuths = along(
            self._times, *self._ways[self.guide], size, self._side(self.guide)
        )

    def at(self, t: float) -> View:
        """Return the film's view at time ``t`` [s]."""
        if not self.follows:
            return self.overview
        target = np.array([np.interp(t, self._times, axis) for axis in self._targets.T])
        azimuth = float(np.interp(t, self._times, self._azimuths))
        return View(target, self._distance, azimuth, self.overview.elevation)

    def working(self, name: str, t: float, scene: Scene) -> View:
        """Return a close view of a machine at work, with those beside it.

        Args:
            t: the instant [s]. scene: in which the machines stand as they do then.
        """
        k = int(np.argmin(np.abs(self._times - t)))
        here = self._ways[name][0][k]
        boxes = [
            scene.box(other) + positions[k]
            for other, (positions, _) in self._ways.items()
            if np.hypot(*(positions[k] - here)[:2]) <= NEAR
        ]
        azimuth = float(self._ways[name][1][k]) + self._side(name)
        deep = isinstance(self.runs[name].spec.tool, DumpBody)
        return fitted(np.concatenate(boxes), azimuth, STEEP if deep else DOWN, self._aspect, 0.06)

    def finished(self) -> View:
        """Return a view of the place of the lead machine's task, or of everything without one."""
        lead = next(iter(self.runs.values()))
        task, heading = lead.task, float(self._ways[lead.name][1][0])
        if task is None:
            return self.overview
        points, azimuth = _place(task), heading + ASIDE
        if task.path and task.kind != "haul":
            points, azimuth = _stretch(task)
        return fitted(points, azimuth, STEEP, self._aspect, 0.03)

    def _side(self, name: str) -> float:
        """Return from which side a machine's work is seen best, relative to its heading [rad]."""
        behind = isinstance(self.runs[name].spec.tool, Plough | SprayerBoom | DumpBody)
        return BEHIND if behind else ASIDE

    def _everything(self) -> Array:
        """Return points around all machines on all their way and around all tasks, (k, 3) [m]."""
        points = [self._placed(name, k) for name in self.runs for k in range(0, STEPS, 25)]
        points += [_all_of(run.task) for run in self.runs.values() if run.task is not None]
        return np.concatenate(points)

    def _placed(self, name: str, k: int) -> Array:
        """Return the corners of a machine at an instant, in the world, shape (8, 3) [m]."""
        positions, headings = self._ways[name]
        c, s = math.cos(headings[k]), math.sin(headings[k])
        turn = np.array([(c, s, 0.0), (-s, c, 0.0), (0.0, 0.0, 1.0)])
        return np.asarray(self._boxes[name] @ turn + positions[k])


def at_work(run: MachineRun) -> float:
    """Return an instant that shows the machine's work best [s].

    The middle of the time in which its fullest tool is carried; for a tool that carries nothing,
    an instant two thirds through its work in its rectangle.
    """
    t, load = run.log.hydraulics.t, np.nan_to_num(run.log.hydraulics["load"])
    if len(t) and load.max() > HANDY:
        first = int(np.argmax(load))
        lost = np.flatnonzero(~(load[first:] >= 0.9 * load[first]))
        last = first + int(lost[0]) if lost.size else len(t) - 1
        return float((t[first] + t[last]) / 2)
    times = run.log.state.t
    if run.task is not None and len(run.log.truth):
        truth = run.log.truth
        there = np.flatnonzero(inside(run.task, truth["position"][:, :2]))
        if there.size:
            return float(truth.t[there[int(0.66 * there.size)]])
    return float(times[int(0.66 * (len(times) - 1))])


def _length(task: Task | None) -> float:
    return Polyline(task.path).length if task is not None and task.path else 0.0


def _all_of(task: Task) -> Array:
    """Return points around everything that a task names, shape (k, 3) [m]."""
    points = [np.array(task.path).reshape(-1, 2)]
    if task.length > 0.0 and task.width > 0.0:
        points.append(outline(task, 0.6))
    if task.spoil_x or task.spoil_y:
        points.append(np.array([(task.spoil_x, task.spoil_y)]) + _around())
    return _flat(np.concatenate(points))


def _place(task: Task) -> Array:
    """Return points around what shall be different after the work, shape (k, 3) [m]."""
    if task.kind == "haul":
        return _flat(np.array(task.path[-1:]) + 3.0 * _around())
    return _flat(outline(task, 0.3)) if task.length > 0.0 else _all_of(task)


def _stretch(task: Task) -> tuple[Array, float]:
    """Return points around a stretch in the middle of the worked way, and the view's azimuth."""
    path = Polyline(task.path)
    s = np.linspace(0.0, path.length, 400)
    within = np.flatnonzero(inside(task, path.at(s)))
    middle = float(s[within[within.size // 3]]) if within.size else path.length / 3
    x, y = np.ravel(path.at(np.array([middle])))
    heading = float(np.ravel(path.direction(np.array([middle])))[0])
    c, n = math.cos(heading), math.sin(heading)
    corners = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) * (STRETCH, BESIDE)
    flat = corners @ np.array([(c, n), (-n, c)]) + (x, y)
    return _flat(flat), heading + BEHIND


def _flat(points: Array) -> Array:
    return np.column_stack([points, np.zeros(len(points))])


def _around() -> Array:
    """Return a square about the origin, shape (4, 2)."""
    return np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)], dtype=float)
