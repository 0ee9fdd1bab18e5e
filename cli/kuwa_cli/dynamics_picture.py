"""The picture of learnt dynamics: each teacher and the network that has learnt from it, alone."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from kuwa_policies.ebn.dynamics import DT, Student
from kuwa_policies.ebn.teachers import TEACHERS

PICTURE = Path("docs/pictures/ebn-dynamics.png")
SHOWN = {"lorenz": 25.0}
"""How long a network is shown alone [s]; others for 5 s."""
TITLES = {
    "harmonic": "harmonic oscillator", "damped": "damped oscillator",
    "van_der_pol": "Van der Pol's cycle", "bistable": "bistable switch, pushed",
    "lorenz": "Lorenz: both wings, but a cycle (25 s)", "pendulum": "pendulum",
}  # fmt: skip


def draw(path: Path) -> None:
    """Teach all networks and draw what they do alone."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(12, 6), layout="constrained")
    for teacher, axis in zip(TEACHERS, axes.flat, strict=True):
        student = Student(teacher)
        student.learn()
        student.let_go(np.array(teacher.start))
        steps = round(SHOWN.get(teacher.name, 5.0) / DT)
        pushes = np.zeros((steps, len(teacher.start)))
        if teacher.name == "bistable":
            for n, begin in enumerate(range(500, steps - 100, 1200)):
                pushes[begin : begin + 50] = (-1.0) ** (n + 1) * 1.2 / (50 * DT)
        run = student.run(steps * DT, pushes)
        if teacher.name == "lorenz":
            axis.plot(run.x[:, 0], run.x[:, 2], color="0.75", linewidth=0.8, label="teacher")
            axis.plot(run.x_hat[:, 0], run.x_hat[:, 2], color="#c8502d", linewidth=0.6)
        else:
            t = np.arange(steps) * DT
            axis.plot(t, run.x[:, 0], color="0.6", linewidth=2.5, label="teacher")
            axis.plot(t, run.x_hat[:, 0], color="#c8502d", linewidth=0.9, label="network, k = 0")
            axis.set_xlabel("s")
        axis.set_title(TITLES[teacher.name])
    axes.flat[0].legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
