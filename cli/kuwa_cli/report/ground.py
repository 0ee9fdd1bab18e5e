"""The figures of the ground: from above, in section, and against what it should be."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kuwa_cli.report.drawing import (
    ABOVE,
    BAND,
    DIFFERENCE,
    GROUND,
    INK,
    MEASURED,
    OLD,
    TARGET,
    WIDTH,
    drawing,
    phase_bands,
    thin,
)
from kuwa_cli.report.runs import MachineRun, Runs
from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_sim.markings import outline
from kuwa_sim.score.earthwork import footprint, target_surface

WIDE = 2.0
"""Ground longer than this over its width is shown one picture below the other."""
MOST = 99.8
"""Colours reach to this percentile of the change [%]."""
FINE = 0.025
"""Step of what is sampled in a task's own frame [m]."""


def maps(run: MachineRun) -> tuple[HeightMap, HeightMap]:
    """Return the ground before and after the run."""
    start, final = run.log.terrain.start, run.log.terrain.newest
    assert start is not None and final is not None
    return start, final


def ground_figure(runs: Runs) -> str:
    """Ground before, after, and the difference, seen from above."""
    start, final = maps(next(iter(runs.values())))
    nx, ny = start.height.shape
    half = start.cell / 2
    extent = (start.x0 - half, start.xs()[-1] + half, start.y0 - half, start.ys()[-1] + half)
    change = final.height - start.height
    moved = np.abs(change)[np.abs(change) > 0.005]
    bound = max(float(np.percentile(moved, MOST)) if moved.size else 0.0, 0.05)
    below = nx / ny > WIDE
    each = WIDTH * 0.86 * ny / nx + 0.45 if below else 0.0
    rows, columns = (3, 1) if below else (1, 3)
    with drawing(WIDTH, 3 * each + 0.2 if below else 1.1 + 2.75 * ny / nx) as (figure, out):
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, title, height in (
            (axes[0], "Before", start.height), (axes[1], "After", final.height)
        ):  # fmt: skip
            ax.imshow(_relief(height, start.cell), extent=extent, origin="lower")
            _plan_view(ax, title, runs)
        image = axes[2].imshow(
            change.T, extent=extent, origin="lower", cmap=DIFFERENCE, vmin=-bound, vmax=bound
        )
        _plan_view(axes[2], "Difference", runs, tracks=True)
        where = "bottom" if not below else "right"
        figure.colorbar(
            image, ax=axes[2], location=where, shrink=0.8, aspect=24, extend="both",
            label="cut − / fill + [m]",
        )  # fmt: skip
        for k, ax in enumerate(axes):
            if not below or k == 2:
                ax.set_xlabel("x [m]")
            if below or k == 0:
                ax.set_ylabel("y [m]")
    return out[0]


def _plan_view(ax: Axes, title: str, runs: Runs, tracks: bool = False) -> None:
    ax.set_title(title)
    ax.grid(False)
    limits = (*ax.get_xlim(), *ax.get_ylim())
    for run in runs.values():
        position, _ = run.log.pose(0)
        ax.plot(*position[:2], marker="+", color=INK, markersize=9)
        if tracks:
            way, _ = run.way(np.linspace(run.log.state.t[0], run.log.state.t[-1], 600))
            ax.plot(way[:, 0], way[:, 1], color=INK, linewidth=0.7, alpha=0.7)
        task = run.task
        if task is None:
            continue
        if task.path:
            ax.plot(*np.array(task.path).T, color=TARGET, linewidth=1.0, alpha=0.8)
        if task.length > 0.0 and task.width > 0.0:
            ax.plot(*outline(task).T, color=TARGET, linewidth=1.3)
        if task.spoil_x or task.spoil_y:
            ax.plot(task.spoil_x, task.spoil_y, marker="x", color=TARGET, markersize=6)
    ax.set_xlim(*limits[:2])
    ax.set_ylim(*limits[2:])


def _relief(height: Array, cell: float) -> NDArray[np.float64]:
    """Return brown ground lit from the upper left, shape (ny, nx, 3); flat ground exaggerated."""
    span = float(np.ptp(np.percentile(height, [1, 99])))
    steeper = float(np.clip(0.4 / max(span, 1e-3), 1.0, 4.0))
    gx, gy = np.gradient(steeper * height, cell)
    normal = np.stack([-gx, -gy, np.ones_like(gx)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = np.array([-0.5, 0.5, 0.7]) / np.sqrt(0.99)
    shade = 0.35 + 0.75 * np.clip(normal @ light, 0.0, 1.0)
    level = np.clip((height - np.median(height)) / 0.8, -1.0, 1.0)[..., None]
    base, deep, high = (
        np.array(c) for c in ((0.72, 0.60, 0.44), (0.40, 0.27, 0.17), (0.86, 0.74, 0.56))
    )
    colour = np.where(level < 0, base + (deep - base) * -level, base + (high - base) * level)
    return np.clip(colour * shade[..., None], 0, 1).transpose(1, 0, 2)


def section_figure(run: MachineRun) -> str:
    """Cuts through the rectangle: one along its middle, three across."""
    task, (start, final) = _task(run), maps(run)
    reach = task.length / 2 + 1.5
    with drawing(WIDTH, 4.6) as (figure, out):
        grid = figure.add_gridspec(2, 3)
        along = np.arange(-reach, reach, start.cell / 2)
        ax = figure.add_subplot(grid[0, :])
        _section(ax, start, final, task, along, np.zeros_like(along), along, task.length)
        ax.set_title("Along the middle")
        ax.legend(ncols=4, **ABOVE)
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
    x, y = in_world(task, along, across)
    before, after = sample(start, x, y), sample(final, x, y)
    target = HeightMap(target_surface(task, start), start.x0, start.y0, start.cell)
    part = np.abs(axis) <= span / 2
    wanted, inside = sample(target, x, y)[part], axis[part]
    cut(ax, axis, before, after)
    ax.fill_between(inside, wanted - task.tolerance, wanted + task.tolerance,
                    **BAND, label="tolerance")  # fmt: skip
    ax.plot(inside, wanted, color=TARGET, linewidth=1.0, label="target")
    for edge in (-span / 2, span / 2):
        ax.axvline(edge, color=TARGET, linewidth=0.7, alpha=0.5)
    lowest = min(after.min(), wanted.min()) if wanted.size else after.min()
    ax.set_ylim(lowest - 0.12, max(after.max(), before.max()) + 0.12)


def cut(ax: Axes, axis: Array, before: Array, after: Array) -> None:
    """Draw a section through the ground along an axis [m]."""
    ax.fill_between(axis, after, min(after.min(), before.min()) - 1.0, color="#ead9c4", linewidth=0)
    ax.plot(axis, before, color=OLD, linestyle=(0, (4, 2)), label="before")
    ax.plot(axis, after, color=GROUND, linewidth=1.7, label="after")
    ax.set_xlim(axis[0], axis[-1])
    ax.set_ylim(min(after.min(), before.min()) - 0.12, max(after.max(), before.max()) + 0.12)
    ax.set_ylabel("height [m]")


def in_world(task: Task, along: Array, across: Array) -> tuple[Array, Array]:
    """Return x and y of points in the frame of a task's rectangle [m]."""
    c, s = np.cos(task.yaw), np.sin(task.yaw)
    return task.x + c * along - s * across, task.y + s * along + c * across


def sample(terrain: HeightMap, x: Array, y: Array) -> Array:
    """Return the heights of the cells that hold the points (x, y)."""
    nx, ny = terrain.height.shape
    i = np.clip(np.round((x - terrain.x0) / terrain.cell).astype(int), 0, nx - 1)
    j = np.clip(np.round((y - terrain.y0) / terrain.cell).astype(int), 0, ny - 1)
    return np.asarray(terrain.height[i, j])


def error_figure(run: MachineRun) -> str:
    """How far the surface is from its target: where, and how often."""
    task, (start, final) = _task(run), maps(run)
    target = target_surface(task, start)
    error = HeightMap(100 * (final.height - target), start.x0, start.y0, start.cell)
    step = max(FINE, task.length / 800)
    along = np.arange(-task.length / 2, task.length / 2, step) + step / 2
    across = np.arange(-task.width / 2, task.width / 2, step) + step / 2
    x, y = in_world(task, along[None, :], across[:, None])
    shown = sample(error, x, y)
    inside = error.height[footprint(task, start)]
    before = 100 * (start.height - target)[footprint(task, start)]
    bound = max(300 * task.tolerance, 5.0)
    tall = min(max(6.4 * task.width / task.length, 2.0), 4.2) + 0.6
    with drawing(WIDTH, tall) as (figure, out):
        grid = figure.add_gridspec(1, 2, width_ratios=(1.9, 1))
        ax = figure.add_subplot(grid[0])
        image = ax.imshow(
            shown, origin="lower", cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest",
            extent=(-task.length / 2, task.length / 2, -task.width / 2, task.width / 2),
        )  # fmt: skip
        ax.grid(False)
        ax.set_title("Distance of the surface from its target")
        ax.set_xlabel("along [m]")
        ax.set_ylabel("across [m]")
        figure.colorbar(image, ax=ax, shrink=0.9, aspect=18, extend="both",
                        label="too high + / too deep − [cm]")  # fmt: skip
        ax = figure.add_subplot(grid[1])
        ax.axvspan(-100 * task.tolerance, 100 * task.tolerance, **BAND)
        bins = np.linspace(-1.5 * bound, 1.5 * bound, 61).tolist()
        limit = 1.49 * bound
        ax.hist(np.clip(before, -limit, limit), bins=bins, histtype="step", color=OLD,
                label="before")  # fmt: skip
        ax.hist(np.clip(inside, -limit, limit), bins=bins, color=GROUND, label="after")
        ax.set_title("Cells")
        ax.legend(ncols=2, **ABOVE)
        ax.set_xlabel("from the target [cm]; the ends hold what is beyond")
    return out[0]


def load_figure(run: MachineRun) -> str:
    """Soil in the tool and volume cut, over time."""
    log = run.log
    replay = log.terrain.replay()
    start = replay.map.height.copy()
    times = np.linspace(log.state.t[0], log.state.t[-1], 160)
    cut_so_far = []
    for t in times:
        replay.advance(float(t))
        change = replay.map.height - start
        cut_so_far.append(np.maximum(-change, 0.0).sum() * replay.map.cell**2)
    with drawing(WIDTH, 2.7) as (figure, out):
        axes = figure.subplots(2, 1, sharex=True)
        for ax in axes:
            phase_bands(ax, log)
        axes[0].plot(*thin(log.hydraulics.t, log.hydraulics["load"] / 1e3), color=GROUND)
        axes[0].set_title("Soil in the tool")
        axes[0].set_ylabel("[t]")
        axes[1].plot(times, cut_so_far, color=MEASURED)
        axes[1].set_title("Ground lowered so far")
        axes[1].set_ylabel("[m³]")
        axes[1].set_xlabel("time [s]")
    return out[0]


def _task(run: MachineRun) -> Task:
    assert run.task is not None
    return run.task
