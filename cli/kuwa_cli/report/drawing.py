"""What all figures of a report share: style, colours, bands of phases, lines with fewer points."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Array

WIDTH = 10.2
"""Of every figure [inches]."""
INK, SOFT, GRID = "#262a30", "#767d87", "#e6e8eb"
MEASURED, WANTED, SECOND = "#d9480f", "#1c3d5a", "#2b8a8a"
GROUND, TARGET, OLD = "#7a5230", "#1c3d5a", "#b9a98f"
BENEATH: dict[str, Any] = {"color": "#8fb3cf", "linewidth": 2.6}
"""What was asked for, broad enough to be seen behind what came of it."""
BAND: dict[str, Any] = {"color": TARGET, "alpha": 0.13, "linewidth": 0}
"""A tolerance."""
DIFFERENCE = LinearSegmentedColormap.from_list("difference", ["#14507a", "#f7f5f2", "#74451a"])
PHASES = ("#f3ede4", "#e9f1f4", "#eef3e6", "#f6e9e6", "#eeeaf4", "#f7f3dc", "#e6f0ee", "#f0f0f0")
ABOVE: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
"""A legend above the axes."""
POINTS = 1600
"""A line is drawn with about this many points, keeping the extremes of what it leaves out."""

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kuwa",
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica Neue", "Arial", "DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.edgecolor": "#c9ced6",
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": INK,
    "lines.linewidth": 1.1,
    "lines.solid_joinstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Figure, list[str]]]:
    """Give a figure of this size [inches]; its SVG is in the list afterwards."""
    out: list[str] = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, out
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None}, dpi=160, transparent=True)
        out.append(text.getvalue())


def thin(t: Array, y: Array) -> tuple[Array, Array]:
    """Return a line with fewer points that looks the same: each block's lowest and highest."""
    block = len(t) // (POINTS // 2)
    if block < 2:
        return t, y
    count = len(t) // block
    rows = y[: count * block].reshape(count, block)
    start = np.arange(count) * block
    picked = np.sort(np.stack([start + rows.argmin(1), start + rows.argmax(1)]), axis=0).T.ravel()
    picked = np.append(picked, len(t) - 1)
    return t[picked], y[picked]


def phase_bands(ax: Axes, log: RunLog) -> None:
    """Shade the background by the planner's phase."""
    if not len(log.plan):
        return
    t, phase = log.plan.t, log.plan["phase"]
    starts = np.flatnonzero(np.diff(phase, prepend=-1.0))
    ends = [*t[starts[1:]], t[-1]]
    for i, end in zip(starts, ends, strict=True):
        colour = PHASES[int(phase[i]) % len(PHASES)]
        ax.axvspan(t[i], end, color=colour, linewidth=0, zorder=0)
    if t[-1] > t[0]:
        ax.set_xlim(t[0], t[-1])


def phase_legend(log: RunLog) -> list[tuple[str, str]]:
    """Return (phase, colour) as the bands have them."""
    return [(name.replace("_", " "), PHASES[k % len(PHASES)]) for k, name in enumerate(log.phases)]


def plain(joint: str) -> str:
    """Return a joint's name as a title."""
    return joint.removesuffix("_joint").replace("_", " ").capitalize()
