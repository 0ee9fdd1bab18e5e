"""The figures of a report, as SVG text: ground, sections, joints, commands, pressures, timing."""

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
from numpy.typing import NDArray

from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.spec import MachineSpec
from kuwa_sim.score.earthwork import footprint, target_surface, task_frame

INK, SOFT, GRID = "#262a30", "#767d87", "#e6e8eb"
MEASURED, WANTED, SECOND = "#d9480f", "#1c3d5a", "#2b8a8a"
GROUND, TARGET, OLD = "#7a5230", "#1c3d5a", "#b9a98f"
BENEATH: dict[str, Any] = {"color": "#8fb3cf", "linewidth": 2.6}
"""What was asked for, broad enough to be seen behind what came of it."""
DIFFERENCE = LinearSegmentedColormap.from_list("difference", ["#14507a", "#f7f5f2", "#74451a"])
PHASES = ("#f3ede4", "#e9f1f4", "#eef3e6", "#f6e9e6", "#eeeaf4", "#f7f3dc", "#e6f0ee", "#f0f0f0")
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


def ground_figure(log: RunLog, task: Task | None) -> str:
    """Ground before, after, and the difference, seen from above."""
    start, final = log.terrain.start, log.terrain.newest
    assert start is not None and final is not None
    extent = (start.xs()[0], start.xs()[-1], start.ys()[0], start.ys()[-1])
    change = final.height - start.height
    bound = max(float(np.abs(change).max()), 0.05)
    with drawing(10.2, 3.9) as (figure, out):
        for k, (title, height) in enumerate((("Before", start.height), ("After", final.height))):
            ax = figure.add_subplot(1, 3, k + 1)
            ax.imshow(_relief(height, start.cell), extent=extent, origin="lower")
            _plan_view(ax, title, task, log)
        ax = figure.add_subplot(1, 3, 3)
        image = ax.imshow(
            change.T, extent=extent, origin="lower", cmap=DIFFERENCE, vmin=-bound, vmax=bound
        )
        _plan_view(ax, "Difference", task, log)
        figure.colorbar(image, ax=ax, shrink=0.72, aspect=18, label="cut − / fill + [m]")
    return out[0]


def _plan_view(ax: Axes, title: str, task: Task | None, log: RunLog) -> None:
    ax.set_title(title)
    ax.grid(False)
    ax.set_xlabel("x forward [m]")
    ax.set_ylabel("y left [m]" if title == "Before" else "")
    position, _ = log.pose(0)
    ax.plot(*position[:2], marker="+", color=INK, markersize=9)
    if task is not None and task.path:
        ax.plot(*np.array(task.path).T, color=TARGET, linewidth=1.3)
    elif task is not None:
        c, s = np.cos(task.yaw), np.sin(task.yaw)
        half = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1], [1, 1]]) / 2
        corners = half * (task.length, task.width)
        outline = corners @ np.array([[c, s], [-s, c]]) + (task.x, task.y)
        ax.plot(*outline.T, color=TARGET, linewidth=1.3)
        ax.plot(task.spoil_x, task.spoil_y, marker="x", color=TARGET, markersize=6)


def _relief(height: Array, cell: float) -> NDArray[np.float64]:
    """Return brown ground lit from the upper left, shape (ny, nx, 3)."""
    gx, gy = np.gradient(height, cell)
    normal = np.stack([-gx, -gy, np.ones_like(gx)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = np.array([-0.5, 0.5, 0.7]) / np.sqrt(0.99)
    shade = 0.35 + 0.75 * np.clip(normal @ light, 0.0, 1.0)
    level = np.clip(height / 0.8, -1.0, 1.0)[..., None]
    base, deep, high = (
        np.array(c) for c in ((0.72, 0.60, 0.44), (0.40, 0.27, 0.17), (0.86, 0.74, 0.56))
    )
    colour = np.where(level < 0, base + (deep - base) * -level, base + (high - base) * level)
    return np.clip(colour * shade[..., None], 0, 1).transpose(1, 0, 2)


def section_figure(log: RunLog, task: Task) -> str:
    """Cuts through the trench: one along its middle, three across."""
    start, final = log.terrain.start, log.terrain.newest
    assert start is not None and final is not None
    reach = task.length / 2 + 1.5
    with drawing(10.2, 4.6) as (figure, out):
        grid = figure.add_gridspec(2, 3)
        along = np.arange(-reach, reach, start.cell / 2)
        ax = figure.add_subplot(grid[0, :])
        _section(ax, start, final, task, along, np.zeros_like(along), along, task.length)
        ax.set_title("Along the middle")
        ax.legend(ncols=4, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
        across = np.arange(-task.width / 2 - 0.8, task.width / 2 + 0.8, start.cell / 2)
        for k, share in enumerate((-1 / 3, 0.0, 1 / 3)):
            ax = figure.add_subplot(grid[1, k])
            at = np.full_like(across, share * task.length)
            _section(ax, start, final, task, at, across, across, task.width)
            ax.set_title(f"Across, at {at[0]:+.2f} m" if share else "Across, in the middle")
            ax.set_xlabel("[m]")
    return out[0]


def _section(
    ax: Axes, start: HeightMap, final: HeightMap, task: Task,
    along: Array, across: Array, axis: Array, span: float,
) -> None:  # fmt: skip
    c, s = np.cos(task.yaw), np.sin(task.yaw)
    x, y = task.x + c * along - s * across, task.y + s * along + c * across
    before, after = _sample(start, x, y), _sample(final, x, y)
    target = HeightMap(target_surface(task, start), start.x0, start.y0, start.cell)
    part = np.abs(axis) <= span / 2
    wanted, inside = _sample(target, x, y)[part], axis[part]
    ax.fill_between(axis, after, after.min() - 0.25, color="#ead9c4", linewidth=0)
    ax.plot(axis, before, color=OLD, linestyle=(0, (4, 2)), label="before")
    ax.plot(axis, after, color=GROUND, linewidth=1.7, label="after")
    ax.fill_between(inside, wanted - task.tolerance, wanted + task.tolerance,
                    color=TARGET, alpha=0.16, linewidth=0, label="tolerance")  # fmt: skip
    ax.plot(inside, wanted, color=TARGET, linewidth=1.0, label="target")
    for edge in (-span / 2, span / 2):
        ax.axvline(edge, color=TARGET, linewidth=0.7, alpha=0.5)
    ax.set_xlim(axis[0], axis[-1])
    ax.set_ylim(after.min() - 0.12, max(after.max(), before.max()) + 0.12)
    ax.set_ylabel("height [m]")


def _sample(terrain: HeightMap, x: Array, y: Array) -> Array:
    """Return the heights of the cells that hold the points (x, y)."""
    nx, ny = terrain.height.shape
    i = np.clip(np.round((x - terrain.x0) / terrain.cell).astype(int), 0, nx - 1)
    j = np.clip(np.round((y - terrain.y0) / terrain.cell).astype(int), 0, ny - 1)
    return np.asarray(terrain.height[i, j])


def error_figure(log: RunLog, task: Task) -> str:
    """How far the floor is from its target: where, and how often."""
    start, final = log.terrain.start, log.terrain.newest
    assert start is not None and final is not None
    along, across = task_frame(task, start)
    inside = footprint(task, start)
    error = (final.height - target_surface(task, start))[inside]
    cm = 100 * error
    with drawing(10.2, 2.5) as (figure, out):
        grid = figure.add_gridspec(1, 2, width_ratios=(1.9, 1))
        ax = figure.add_subplot(grid[0])
        points = ax.scatter(along[inside], across[inside], c=cm, cmap="RdBu_r", marker="s", s=15,
                            vmin=-15, vmax=15, linewidths=0, rasterized=True)  # fmt: skip
        ax.set_aspect("equal")
        ax.grid(False)
        ax.set_title("Distance of the floor from its target")
        ax.set_xlabel("along [m]")
        ax.set_ylabel("across [m]")
        figure.colorbar(points, ax=ax, shrink=0.9, aspect=14, label="too high + / too deep − [cm]")
        ax = figure.add_subplot(grid[1])
        ax.axvspan(-100 * task.tolerance, 100 * task.tolerance, color=TARGET, alpha=0.12)
        ax.hist(np.clip(cm, -20, 30), bins=np.arange(-20, 31, 1.0).tolist(), color=GROUND)
        ax.set_title("Cells")
        ax.set_xlabel("[cm]")
    return out[0]


def joint_figure(log: RunLog, spec: MachineSpec) -> str:
    """Joint positions: where the plan wanted them and where they were."""
    n = len(log.joints)
    with drawing(10.2, 1.75 * n) as (figure, out):
        axes = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
        for k, (ax, name) in enumerate(zip(axes, log.joints, strict=True)):
            _phase_bands(ax, log)
            low, high = np.degrees([spec.q_min[k], spec.q_max[k]])
            t, q = log.state.t, np.degrees(log.state["q"][:, k])
            title = _plain(name)
            if len(log.reference):
                wanted = np.degrees(log.reference["q"][:, k])
                ax.plot(*thin(log.reference.t, wanted), **BENEATH, label="wanted")
                error = q - np.interp(t, log.reference.t, wanted)
                title += f" · rms error {np.sqrt(np.mean(error**2)):.1f}°"
            ax.plot(*thin(t, q), color=MEASURED, label="measured")
            ax.set_title(title)
            ax.set_ylabel("[°]")
            margin = 0.08 * (q.max() - q.min() + 5)
            view = (q.min() - margin, q.max() + margin)
            for limit in (low, high):
                if view[0] < limit < view[1]:
                    ax.axhline(limit, color=SOFT, linestyle=(0, (2, 2)), linewidth=0.9)
            ax.set_ylim(*view)
        axes[0].legend(ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
        axes[-1].set_xlabel("time [s]")
    return out[0]


def command_figure(log: RunLog) -> str:
    """Valve commands: what control asked and what the gate let through."""
    n = len(log.joints)
    with drawing(10.2, 1.4 * n) as (figure, out):
        axes = figure.subplots(n, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for k, (ax, name) in enumerate(zip(axes, log.joints, strict=True)):
            _phase_bands(ax, log)
            ax.plot(*thin(log.request.t, log.request["values"][:, k]),
                    **BENEATH, label="requested")  # fmt: skip
            ax.plot(*thin(log.applied.t, log.applied["values"][:, k]),
                    color=MEASURED, linewidth=1.0, label="applied")  # fmt: skip
            ax.set_ylim(-1.08, 1.08)
            ax.set_title(_plain(name))
        axes[0].legend(ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
        axes[-1].set_xlabel("time [s]")
    return out[0]


def hydraulics_figure(log: RunLog) -> str:
    """Pressures of every drive, the pump's pressure and power, and the load."""
    n, h = len(log.joints), log.hydraulics
    with drawing(10.2, 1.35 * (n + 2)) as (figure, out):
        axes = figure.subplots(n + 2, 1, sharex=True)
        for k, (ax, name) in enumerate(zip(axes, log.joints, strict=False)):
            _phase_bands(ax, log)
            ax.plot(*thin(h.t, h["head"][:, k] / 1e6), color=MEASURED, label="head side, or port A")
            ax.plot(*thin(h.t, h["rod"][:, k] / 1e6), color=SECOND, label="rod side, or port B")
            ax.set_title(_plain(name))
            ax.set_ylabel("[MPa]")
            ax.set_ylim(bottom=0)
        axes[0].legend(ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
        _phase_bands(axes[n], log)
        axes[n].fill_between(
            *thin(h.t, h["pump_power"] / 1e3), color=MEASURED, alpha=0.25, linewidth=0
        )
        axes[n].plot(*thin(h.t, h["pump_power"] / 1e3), color=MEASURED)
        axes[n].set_title("Pump power")
        axes[n].set_ylabel("[kW]")
        _phase_bands(axes[n + 1], log)
        axes[n + 1].plot(*thin(h.t, h["load"] / 1e3), color=GROUND, linewidth=1.5)
        axes[n + 1].set_title("Soil in the tool")
        axes[n + 1].set_ylabel("[t]")
        axes[n + 1].set_xlabel("time [s]")
    return out[0]


def timing_figure(panels: list[tuple[str, str, Array, float | None]]) -> str:
    """Histograms of times in milliseconds: (title, axis label, values, mark or None)."""
    with drawing(10.2, 2.4) as (figure, out):
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (title, label, values, mark) in zip(axes, panels, strict=True):
            if values.size:
                low, high = np.percentile(values, [0, 99.9])
                top = max(high * 1.15, low + 1e-3)
                ax.hist(
                    np.minimum(values, top), bins=np.linspace(low, top, 60).tolist(), color=WANTED
                )
                median, p99 = np.percentile(values, [50, 99])
                title += f" · median {median:.3g}, p99 {p99:.3g}"
            if mark is not None:
                ax.axvline(mark, color=MEASURED, linewidth=1.2)
            ax.set_yscale("log")
            ax.set_title(title)
            ax.set_xlabel(label)
    return out[0]


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


def _phase_bands(ax: Axes, log: RunLog) -> None:
    """Shade the background by the planner's phase."""
    if not len(log.plan):
        return
    t, phase = log.plan.t, log.plan["phase"]
    starts = np.flatnonzero(np.diff(phase, prepend=-1.0))
    ends = [*t[starts[1:]], t[-1]]
    for i, end in zip(starts, ends, strict=True):
        colour = PHASES[int(phase[i]) % len(PHASES)]
        ax.axvspan(t[i], end, color=colour, linewidth=0, zorder=0)
    ax.set_xlim(t[0], t[-1])


def phase_legend(log: RunLog) -> list[tuple[str, str]]:
    """Return (phase, colour) as the bands have them."""
    return [(name.replace("_", " "), PHASES[k % len(PHASES)]) for k, name in enumerate(log.phases)]


def _plain(joint: str) -> str:
    return joint.removesuffix("_joint").replace("_", " ").capitalize()
