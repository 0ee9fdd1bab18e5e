"""Draws a part of a run's film as a process of its own, so that two cores share the work.

``python -m kuwa_cli.report.film FOLDER PART FIRST COUNT`` writes COUNT frames of the film of a run
folder from FIRST on to PART and prints a line for each; ``… stills FOLDER`` writes the stills.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kuwa_cli.report.runs import MachineRun, Runs, load_runs
from kuwa_cli.report.titles import Titles
from kuwa_cli.report.views import Filming, at_work
from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_machines.paths import inside
from kuwa_machines.spec import SprayerBoom
from kuwa_sim.cameras import View
from kuwa_sim.render import SceneRenderer
from kuwa_sim.soil.obstacles import Obstacle

Picture = NDArray[np.uint8]

WIDTH, HEIGHT = 768, 432
FPS = 12
LENGTH = 28.0
"""The film is at most about this long; the run is shown faster for it [s]."""
SPEEDS = (1, 2, 4, 5, 6, 8, 10, 15, 20, 30, 60, 120, 300, 600)
HOLD = 1.5
"""The last picture stays this long [s]."""
VISIBLE = 0.015
"""The ground is drawn anew when a cell changed by this; it costs as much as the picture [m]."""
SWATH = 0.5
"""Sprayed ground is marked in pieces of this length [m]."""
STILL = (1280, 720)
STILLS = ("at_work", "before", "after")


@dataclass(frozen=True)
class FilmPlan:
    """Which instants of the run are shown.

    Args:
        times: of the frames, on the run's clock [s].
        speed: simulated seconds in a second of film.
    """

    times: Array
    speed: float

    @classmethod
    def of(cls, log: RunLog) -> FilmPlan:
        """Choose a speed that keeps the film short."""
        t = log.state.t
        if not len(t):
            raise KuwaError("this run has no joint states, so there is nothing to show")
        span = float(t[-1] - t[0])
        speed = next((s for s in SPEEDS if span / s <= LENGTH), SPEEDS[-1])
        moving = t[0] + np.arange(0.0, span, speed / FPS)
        return cls(np.concatenate([moving, np.full(round(HOLD * FPS), t[-1])]), float(speed))


class FilmMaker:
    """Draws a run's pictures at rising times.

    Args:
        runs: its machines, the lead first, whose log has the ground.
        fine: as :class:`SceneRenderer` has it.
    """

    def __init__(
        self, runs: Runs, obstacles: list[Obstacle], width: int, height: int, fine: bool = False
    ) -> None:
        self.runs = runs
        log = next(iter(runs.values())).log
        self._replay = log.terrain.replay()
        self.scene = SceneRenderer(
            {name: run.spec for name, run in runs.items()},
            self._replay.map,
            [run.task for run in runs.values() if run.task is not None],
            obstacles,
            width,
            height,
            fine,
        )
        self.views = Filming(runs, self.scene, width / height)
        self.titles = Titles(runs, height, float(log.state.t[0]))
        self._drawn = self._replay.map.height.copy()
        self._sprayers = [
            Swath(run) for run in runs.values() if isinstance(run.spec.tool, SprayerBoom)
        ]

    def picture(self, t: float, view: View | None = None) -> Picture:
        """Return the run at time ``t`` [s] in a view or that of the film, (height, width, 3)."""
        self._replay.advance(t)
        height = self._replay.map.height
        swaths = [piece for sprayer in self._sprayers for piece in sprayer.until(t)]
        for piece in swaths:
            self.scene.paint.wet(piece)
        if swaths or np.abs(height - self._drawn).max() > VISIBLE:
            self.scene.set_terrain(self._replay.map)
            self._drawn[:] = height
        self._pose(t)
        return self.scene.picture(view or self.views.at(t))

    def at_work(self, name: str, t: float) -> Picture:
        """Return a close picture of a machine at time ``t`` [s]."""
        self._pose(t)
        self.scene.update()
        return self.picture(t, self.views.working(name, t, self.scene))

    def _pose(self, t: float) -> None:
        for name, run in self.runs.items():
            self.scene.set_machine(name, run.joints(t), *run.log.pose_at(t), run.load(t))


class Swath:
    """What a sprayer has sprayed: the ground under its boom while it drives in its rectangle."""

    def __init__(self, run: MachineRun) -> None:
        self._t, points = run.points()
        self._ends = points[:, [0, -1], :2] if points.size else np.empty((0, 2, 2))
        here = self._ends.mean(axis=1)
        self._sprays = inside(run.task, here) if run.task is not None else here[:, 0] * 0 > 1
        self._row = 0

    def until(self, t: float) -> list[Array]:
        """Return the pieces sprayed since the last call, corners in order, shape (4, 2) [m]."""
        pieces = []
        last = int(np.searchsorted(self._t, t, side="right"))
        for k in range(self._row + 1, last):
            moved = np.linalg.norm(self._ends[k] - self._ends[self._row], axis=1).max()
            if moved < SWATH:
                continue
            if self._sprays[k]:
                (a, b), (c, d) = self._ends[self._row], self._ends[k]
                pieces.append(np.array([a, b, d, c]))
            self._row = k
        return pieces


def write_part(folder: Path, path: Path, first: int, count: int) -> None:
    """Write a part of the film and print a line for each frame."""
    import av

    runs, obstacles = load_runs(folder)
    plan = FilmPlan.of(next(iter(runs.values())).log)
    maker = FilmMaker(runs, obstacles, WIDTH, HEIGHT)
    with maker.scene, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "25", "preset": "veryfast"}
        picture, shown = None, -np.inf
        for t in plan.times[first : first + count]:
            if t > shown or picture is None:
                picture = maker.titles.write(maker.picture(t), t, plan.speed)
                shown = t
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                container.mux(packet)
            print("frame", flush=True)
        for packet in stream.encode():
            container.mux(packet)


def write_stills(folder: Path) -> None:
    """Write the pictures of the place of the work before and after it, and of the machine at it."""
    runs, obstacles = load_runs(folder)
    lead = next(iter(runs.values()))
    t, working = lead.log.state.t, at_work(lead)
    maker = FilmMaker(runs, obstacles, *STILL, fine=True)
    place = maker.views.finished()
    with maker.scene:
        for name, draw in (
            ("before", lambda: maker.picture(float(t[0]), place)),
            ("at_work", lambda: maker.at_work(lead.name, working)),
            ("after", lambda: maker.picture(float(t[-1]), place)),
        ):
            Image.fromarray(draw()).save(folder / f"{name}.jpg", quality=88)
            print("frame", flush=True)


def main(arguments: list[str]) -> None:
    """Write a part of the film, or the stills."""
    try:
        if arguments[0] == "stills":
            write_stills(Path(arguments[1]))
        else:
            folder, part, first, count = arguments
            write_part(Path(folder), Path(part), int(first), int(count))
    except KuwaError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
