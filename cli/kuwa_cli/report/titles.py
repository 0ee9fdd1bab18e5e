"""What is written on the pictures of a film: time, and what each machine is doing."""

from __future__ import annotations

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from kuwa_cli.report.runs import MachineRun, Runs
from kuwa_machines.spec import Blade, Bucket, DumpBody

Picture = NDArray[np.uint8]

WHERE = {Bucket: "in the bucket", Blade: "before the blade", DumpBody: "in the body"}
"""Where a tool has its soil."""
HEAVY = 50.0
"""Less than this is not told [kg]."""
SLOW = 0.1
"""Slower than this a machine stands [m/s]."""
DARK, SOFT, OUTLINE = "#20242a", "#4a5058", "#3b2f22"


class Titles:
    """Writes on pictures of one height.

    Args:
        height: of the pictures [pixels].
        origin: time at which the run began [s].
    """

    def __init__(self, runs: Runs, height: int, origin: float) -> None:
        fonts = f"{get_data_path()}/fonts/ttf"
        several = len(runs) > 1
        self._runs = runs
        self._large = ImageFont.truetype(f"{fonts}/DejaVuSans-Bold.ttf", round(height / 24))
        self._small = ImageFont.truetype(f"{fonts}/DejaVuSans.ttf", round(height / 28))
        self._below = ImageFont.truetype(
            f"{fonts}/DejaVuSans-Bold.ttf", round(height / (30 if several else 25))
        )
        self._origin = origin

    def write(self, picture: Picture, t: float, speed: float) -> Picture:
        """Return the picture with titles.

        Args:
            t: of the picture [s]. speed: simulated seconds in a second of film.
        """
        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image)
        minutes, seconds = divmod(t - self._origin, 60)
        left, line = image.width * 0.025, self._large.size * 1.35
        draw.text((left, line * 0.6), f"{int(minutes)}:{seconds:04.1f}", DARK, self._large)
        draw.text((left, line * 1.6), f"{speed:g} × real time", SOFT, self._small)
        row = self._below.size * 1.35
        words = [text for text in (self._line(run, t) for run in self._runs.values()) if text]
        for k, text in enumerate(reversed(words)):
            draw.text((left, image.height - (k + 1.3) * row), text, "white", self._below,
                      stroke_width=2, stroke_fill=OUTLINE)  # fmt: skip
        return np.asarray(image)

    def _line(self, run: MachineRun, t: float) -> str:
        parts = [run.name] if len(self._runs) > 1 else []
        parts += doing(run, t)
        return "  ·  ".join(parts) if run.task is not None else ""


def doing(run: MachineRun, t: float) -> list[str]:
    """Return phase, cycle, load and speed of a machine at ``t`` [s], as far as there are any."""
    phase = run.phase(t)
    parts = [phase] if phase else []
    if phase != "done":
        cycles = int(run.log.plan["cycle"].max()) if len(run.log.plan) else 0
        if cycles > 1:
            parts.append(f"cycle {run.cycle(t)}")
    load = run.load(t)
    where = WHERE.get(type(run.spec.tool))
    if where and np.isfinite(load) and load >= HEAVY:
        parts.append(f"{load / 1000:.2f} t {where}")
    if (speed := run.speed(t)) > SLOW:
        parts.append(f"{3.6 * speed:.1f} km/h")
    return parts
