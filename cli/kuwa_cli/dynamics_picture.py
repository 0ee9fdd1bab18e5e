"""The picture of learnt dynamics: each teacher and the network that has learnt from it, alone."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from kuwa_policies.ebn.dynamics import DT, Student
from kuwa_policies.ebn.teachers import TEACHERS, peaks

PICTURE = Path("docs/pictures/ebn-dynamics.png")
ALONE = {"lorenz": 120.0}
"""How long a network runs alone [s]; others for 5 s."""
SHOWN = 25_000
"""Neuron steps of the Lorenz system's orbit that are drawn; its map is drawn from all."""
TITLES = {
    "harmonic": "harmonic oscillator", "damped": "damped oscillator",
    "van_der_pol": "Van der Pol's cycle", "bistable": "bistable switch, pushed",
    "lorenz": "Lorenz (25 s)", "pendulum": "pendulum",
}  # fmt: skip


def draw(path: Path) -> None:
    """Teach all networks and draw what they do alone."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 4, figsize=(15, 6), layout="constrained")
    lorenz_map, last = axes.flat[len(TEACHERS) :]
    last.set_axis_off()
    for teacher, axis in zip(TEACHERS, axes.flat, strict=False):
        student = Student(teacher)
        student.learn()
        student.let_go(np.array(teacher.start))
        steps = round(ALONE.get(teacher.name, 5.0) / DT)
        pushes = np.zeros((steps, len(teacher.start)))
        if teacher.name == "bistable":
            for n, begin in enumerate(range(500, steps - 100, 1200)):
                pushes[begin : begin + 50] = (-1.0) ** (n + 1) * 1.2 / (50 * DT)
        run = student.run(steps * DT, pushes)
        for x, color, name in (
            (run.x, "0.65", "teacher"),
            (run.x_hat, "#c8502d", "network, k = 0"),
        ):
            width = 2.5 if x is run.x else 0.9
            if teacher.name == "lorenz":
                axis.plot(x[:SHOWN, 0], x[:SHOWN, 2], color=color, linewidth=0.6)
                turns = peaks(x[:, 2])
                lorenz_map.plot(
                    turns[:-1],
                    turns[1:],
                    ".",
                    color=color,
                    markersize=2.0 + 2.0 * width,
                    label=name,
                )
            else:
                axis.plot(np.arange(steps) * DT, x[:, 0], color=color, linewidth=width, label=name)
                axis.set_xlabel("s")
        axis.set_title(TITLES[teacher.name])
    lorenz_map.set_title("Lorenz's map: a turn's height, and the next's")
    lorenz_map.legend(loc="upper right", fontsize=8)
    axes.flat[0].legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
