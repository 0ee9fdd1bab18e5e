"""Draws a part of a run's film as a process of its own, so that two cores share the work.

``python -m kuwa_cli.report.film LOG PART FIRST COUNT`` writes COUNT frames of the film from FIRST
on to PART and prints a line for each; ``… stills LOG FOLDER`` writes the still pictures.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Array, Task
from kuwa_machines.errors import KuwaError
from kuwa_machines.loader import load_machine
from kuwa_sim.render import SceneRenderer

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
STILL = (1280, 720)
STILLS = ("digging", "before", "after")


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
    """Draws a run's pictures at rising times."""

    def __init__(self, log: RunLog, width: int, height: int, fine: bool = False) -> None:
        self.log = log
        spec = load_machine(log.meta["machine"])
        task = task_of(log)
        self._replay = log.terrain.replay()
        self.scene = SceneRenderer(spec, self._replay.map, task, width, height, fine)
        self._drawn = self._replay.map.height.copy()
        fonts = f"{get_data_path()}/fonts/ttf"
        self._font = ImageFont.truetype(f"{fonts}/DejaVuSans-Bold.ttf", round(height / 24))
        self._small = ImageFont.truetype(f"{fonts}/DejaVuSans.ttf", round(height / 28))
        self._origin = float(log.state.t[0])

    def picture(self, t: float, camera: str = "overview") -> Picture:
        """Return the run at time ``t`` [s], shape (height, width, 3)."""
        log = self.log
        self._replay.advance(t)
        height = self._replay.map.height
        if np.abs(height - self._drawn).max() > VISIBLE:
            self.scene.set_terrain(self._replay.map)
            self._drawn[:] = height
        q = log.state["q"][_at(log.state.t, t)]
        self.scene.set_machine(q, *log.pose_at(t), self._load(t))
        return self.scene.picture(camera)

    def titled(self, picture: Picture, t: float, speed: float) -> Picture:
        """Write time, phase, cycle and load on a picture."""
        log, image = self.log, Image.fromarray(picture)
        draw = ImageDraw.Draw(image)
        minutes, seconds = divmod(t - self._origin, 60)
        left, line = image.width * 0.025, self._font.size * 1.35
        draw.text((left, line * 0.6), f"{int(minutes)}:{seconds:04.1f}", "#20242a", self._font)
        draw.text((left, line * 1.6), f"{speed:g} × real time", "#4a5058", self._small)
        if len(log.plan):
            k = _at(log.plan.t, t)
            phase = log.phases[int(log.plan["phase"][k])].replace("_", " ")
            words = phase if phase == "done" else f"{phase}  ·  cycle {log.plan['cycle'][k]:.0f}"
            load = self._load(t)
            if np.isfinite(load) and load >= 50:
                words += f"  ·  {load / 1000:.2f} t in the bucket"
            draw.text((left, image.height - 1.7 * line), words, "white", self._font,
                      stroke_width=2, stroke_fill="#3b2f22")  # fmt: skip
        return np.asarray(image)

    def _load(self, t: float) -> float:
        hydraulics = self.log.hydraulics
        return float(hydraulics["load"][_at(hydraulics.t, t)]) if len(hydraulics) else np.nan


def task_of(log: RunLog) -> Task | None:
    """Return the task of a saved run, or None."""
    values = log.meta.get("task")
    if not values:
        return None
    path = tuple((float(x), float(y)) for x, y in values["path"])
    return Task(**{**values, "path": path})


def write_part(log: RunLog, path: Path, first: int, count: int) -> None:
    """Write a part of the film and print a line for each frame."""
    import av

    plan = FilmPlan.of(log)
    maker = FilmMaker(log, WIDTH, HEIGHT)
    with maker.scene, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "25", "preset": "veryfast"}
        picture, shown = None, -np.inf
        for t in plan.times[first : first + count]:
            if t > shown or picture is None:
                picture = maker.titled(maker.picture(t), t, plan.speed)
                shown = t
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                container.mux(packet)
            print("frame", flush=True)
        for packet in stream.encode():
            container.mux(packet)


def write_stills(log: RunLog, folder: Path) -> None:
    """Write the picture of the fullest bucket, and of the ground before and after."""
    t = log.state.t
    fullest = _carrying(log)
    maker = FilmMaker(log, *STILL, fine=True)
    with maker.scene:
        for name, time, camera in zip(
            ("before", "digging", "after"), (t[0], fullest, t[-1]),
            ("trench", "overview", "trench"), strict=True,
        ):  # fmt: skip
            image = Image.fromarray(maker.picture(float(time), camera))
            image.save(folder / f"{name}.jpg", quality=88)
            print("frame", flush=True)


def _carrying(log: RunLog) -> float:
    """Return the middle of the time in which the fullest bucket is carried, or the end [s]."""
    t, load = log.hydraulics.t, log.hydraulics["load"]
    if not len(t) or not np.nanmax(np.nan_to_num(load)) > 0.0:
        return float(log.state.t[-1])
    first = int(np.nanargmax(load))
    lost = np.flatnonzero(~(load[first:] >= 0.9 * load[first]))
    last = first + int(lost[0]) if lost.size else len(t) - 1
    return float((t[first] + t[last]) / 2)


def _at(times: Array, t: float) -> int:
    """Return the index of the newest time at or before ``t``, the first if there is none."""
    return max(int(np.searchsorted(times, t, side="right")) - 1, 0)


def main(arguments: list[str]) -> None:
    """Write a part of the film, or the stills."""
    try:
        if arguments[0] == "stills":
            write_stills(RunLog.load(Path(arguments[1])), Path(arguments[2]))
        else:
            log, part, first, count = arguments
            write_part(RunLog.load(Path(log)), Path(part), int(first), int(count))
    except KuwaError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
