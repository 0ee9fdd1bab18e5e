"""The figures of a way that was driven: how it was kept, and what the tool did along it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from kuwa_cli.report.drawing import (
    ABOVE,
    BAND,
    BENEATH,
    DIFFERENCE,
    GROUND,
    MEASURED,
    SECOND,
    SOFT,
    TARGET,
    WIDTH,
    drawing,
    phase_bands,
    thin,
)
from kuwa_cli.report.drive import Drive
from kuwa_cli.report.ground import cut, maps, sample
from kuwa_cli.report.runs import MachineRun
from kuwa_machines.contracts import Array
from kuwa_machines.spec import Plough, SprayerBoom
from kuwa_sim.score.drive import MOVING
from kuwa_sim.score.haul import PLACE


def way_figure(run: MachineRun) -> str:
    """The way from above, coloured by how far beside it the machine was."""
    drive = Drive.of(run)
    track = drive.track
    every_point = np.concatenate([track, drive.path.points])
    low, high = every_point.min(axis=0) - 1.5, every_point.max(axis=0) + 1.5
    # A straight way still needs some room to its sides, and a long one a window that fits it.
    spare = np.maximum(0.14 * (high - low)[::-1] - (high - low), 0.0) / 2
    low, high = low - spare, high + spare
    tall = float(np.clip(8.4 * (high - low)[1] / (high - low)[0], 1.2, 5.5)) + 0.6
    with drawing(WIDTH, tall) as (figure, out):
        ax = figure.subplots()
        ax.plot(*drive.path.points.T, color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
        pieces = np.stack([track[:-1], track[1:]], axis=1)
        cm = 100 * drive.beside[1:]
        bound = max(float(np.percentile(np.abs(cm), 95)), 2.0)
        lines = LineCollection(list(pieces), cmap="RdBu_r", linewidths=2.2, rasterized=True)
        lines.set_array(cm)
        lines.set_clim(-bound, bound)
        ax.add_collection(lines)
        ax.set_aspect("equal")
        ax.set_xlim(low[0], high[0])
        ax.set_ylim(low[1], high[1])
        ax.set_title("The way driven, by its distance from the way asked for")
        ax.set_xlabel("x [m]")
        ax.set_ylabel("y [m]")
        figure.colorbar(lines, ax=ax, shrink=0.85, aspect=16, extend="both",
                        label="left + / right − [cm]")  # fmt: skip
    return out[0]


def along_figure(run: MachineRun) -> str:
    """Along the way: distance from it, depth or height of the tool, speed and slip."""
    drive = Drive.of(run)
    task, tool = drive.task, run.spec.tool
    named = isinstance(tool, Plough | SprayerBoom)
    with drawing(WIDTH, 1.55 * (4 if named else 3) + 0.3) as (figure, out):
        axes = list(figure.subplots(4 if named else 3, 1, sharex=True))
        for ax in axes:
            _worked(ax, drive)
        ax = axes.pop(0)
        ax.plot(*_line(drive, 100 * drive.beside), color=MEASURED)
        sd = f" · SD {100 * drive.beside[drive.works].std():.1f} cm" if drive.works.any() else ""
        ax.set_title(f"Distance from the way{sd}")
        ax.set_ylabel("left + [cm]")
        _centred(ax, 100 * drive.beside[drive.works])
        if isinstance(tool, Plough):
            _tool(axes.pop(0), drive, -drive.heights, task.depth, "Depth of the shares",
                  ("first share", "last share"))  # fmt: skip
        elif isinstance(tool, SprayerBoom):
            names = tuple(name.replace("_", " ") for name in tool.points)
            _tool(axes.pop(0), drive, drive.heights, task.height, "Height of the boom", names)
        axes[0].plot(*_line(drive, 3.6 * drive.speed), color=MEASURED)
        if task.speed:
            axes[0].axhline(3.6 * task.speed, **BENEATH, zorder=0)
        axes[0].set_title("Speed")
        axes[0].set_ylabel("[km/h]")
        axes[1].plot(*_line(drive, 100 * np.nan_to_num(drive.slip)), color=SECOND)
        axes[1].set_title("Slip of the driven wheels or tracks")
        axes[1].set_ylabel("[%]")
        axes[1].set_ylim(*_range(100 * drive.slip[drive.works], -5.0, 40.0))
        axes[1].set_xlabel("along the way [m]")
    return out[0]


def _tool(
    ax: Axes, drive: Drive, values: Array, wanted: float, title: str, names: tuple[str, ...]
) -> None:
    task = drive.task
    ax.axhspan(100 * (wanted - task.tolerance), 100 * (wanted + task.tolerance), **BAND)
    ax.axhline(100 * wanted, color=TARGET, linewidth=1.0)
    colours = (MEASURED, SECOND, GROUND, "#8a6fb0", SOFT)
    for k, name in enumerate(names):
        ax.plot(*_line(drive, 100 * values[:, k]), color=colours[k % len(colours)],
                label=name, linewidth=0.9)  # fmt: skip
    ax.set_title(title)
    ax.set_ylabel("[cm]")
    near = 100 * values[drive.works]
    low, high = 100 * (wanted - 2 * task.tolerance), 100 * (wanted + 2 * task.tolerance)
    ax.set_ylim(*_range(near, low, high))
    ax.legend(ncols=len(names), **ABOVE)


def _line(drive: Drive, values: Array) -> tuple[Array, Array]:
    """Return a line along the way with fewer points that looks the same."""
    t, y = thin(drive.t, values)
    return np.interp(t, drive.t, drive.s), y


def _worked(ax: Axes, drive: Drive) -> None:
    """Shade where the score looks."""
    edges = np.flatnonzero(np.diff(drive.works.astype(int), prepend=0, append=0))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        ax.axvspan(drive.s[first], drive.s[min(last, len(drive.s) - 1)], color="#eef3e6",
                   linewidth=0, zorder=0)  # fmt: skip
    ax.set_xlim(drive.s.min(), drive.s.max())


def _centred(ax: Axes, values: Array) -> None:
    bound = max(float(np.abs(values).max()) * 1.4 if values.size else 0.0, 4.0)
    ax.set_ylim(-bound, bound)


def _range(values: Array, low: float, high: float) -> tuple[float, float]:
    """Return an axis that holds the values and what is named."""
    values = values[np.isfinite(values)]
    if not values.size:
        return low, high
    bottom, top = np.percentile(values, [0.5, 99.5])
    margin = 0.1 * (top - bottom)
    return min(low, float(bottom - margin)), max(high, float(top + margin))


def furrow_figure(run: MachineRun) -> str:
    """Three cuts across the way: the ground before and after."""
    drive, (start, final) = Drive.of(run), maps(run)
    at = np.flatnonzero(drive.works)
    tool = run.spec.tool
    wide = tool.bodies * tool.cut_width if isinstance(tool, Plough) else 2.0
    across = np.arange(-wide - 1.5, wide + 1.5, start.cell / 2)
    with drawing(WIDTH, 2.3) as (figure, out):
        axes = figure.subplots(1, 3, sharey=True)
        for ax, share in zip(axes, (0.15, 0.5, 0.85), strict=True):
            s = drive.s[at[int(share * (at.size - 1))]] if at.size else share * drive.path.length
            x0, y0 = np.ravel(drive.path.at(np.array([s])))
            heading = float(np.ravel(drive.path.direction(np.array([s])))[0])
            x, y = x0 - np.sin(heading) * across, y0 + np.cos(heading) * across
            before, after = sample(start, x, y), sample(final, x, y)
            cut(ax, across, before, after)
            if drive.task.depth:
                ax.axhline(np.median(before) - drive.task.depth, color=TARGET, linewidth=1.0)
            ax.set_title(f"Across, {s:.0f} m along the way")
            ax.set_xlabel("to the left [m]")
            ax.label_outer()
    return out[0]


def haul_figure(run: MachineRun) -> str:
    """Load, place on the way and speed over time."""
    drive, h = Drive.of(run), run.log.hydraulics
    with drawing(WIDTH, 4.4) as (figure, out):
        axes = figure.subplots(3, 1, sharex=True)
        for ax in axes:
            phase_bands(ax, run.log)
        axes[0].fill_between(*thin(h.t, h["load"] / 1e3), color=GROUND, alpha=0.3, linewidth=0)
        axes[0].plot(*thin(h.t, h["load"] / 1e3), color=GROUND)
        axes[0].set_title("Load")
        axes[0].set_ylabel("[t]")
        axes[1].plot(*thin(drive.t, drive.s), color=MEASURED)
        for end in (0.0, drive.path.length):
            axes[1].axhline(end, color=TARGET, linewidth=0.9, alpha=0.6)
        away = np.abs(drive.beside[np.abs(drive.speed) > MOVING])
        words = f" · beside it {100 * away.mean():.0f} cm in the mean" if away.size else ""
        axes[1].set_title(f"Place on the way{words}")
        axes[1].set_ylabel("[m]")
        axes[2].plot(*thin(drive.t, 3.6 * drive.speed), color=MEASURED)
        if drive.task.speed:
            axes[2].axhspan(-3.6 * drive.task.speed, 3.6 * drive.task.speed, **BAND)
        axes[2].set_title("Speed, forward positive")
        axes[2].set_ylabel("[km/h]")
        axes[2].set_xlabel("time [s]")
    return out[0]


def heap_figure(run: MachineRun) -> str:
    """What was tipped at the end of the way: from above and in section."""
    drive, (start, final) = Drive.of(run), maps(run)
    x0, y0 = drive.path.points[-1]
    heading = float(np.ravel(drive.path.direction(np.array([drive.path.length])))[0])
    reach = np.arange(-1.4 * PLACE, 1.4 * PLACE, start.cell / 2)
    x, y = x0 + reach[:, None] + 0 * reach, y0 + reach[None, :] + 0 * reach[:, None]
    change = sample(final, x, y) - sample(start, x, y)
    bound = max(float(np.abs(change).max()), 0.05)
    with drawing(WIDTH, 3.1) as (figure, out):
        grid = figure.add_gridspec(1, 2, width_ratios=(1, 1.7))
        ax = figure.add_subplot(grid[0])
        image = ax.imshow(
            change.T, origin="lower", cmap=DIFFERENCE, vmin=-bound, vmax=bound,
            extent=(x.min(), x.max(), y.min(), y.max()),
        )  # fmt: skip
        angle = np.linspace(0, 2 * np.pi, 90)
        ax.plot(x0 + PLACE * np.cos(angle), y0 + PLACE * np.sin(angle), color=TARGET, linewidth=0.9)
        ax.grid(False)
        ax.set_title("Gained at the end of the way")
        ax.set_xlabel("x [m]")
        ax.set_ylabel("y [m]")
        figure.colorbar(image, ax=ax, shrink=0.8, aspect=18, label="[m]")
        ax = figure.add_subplot(grid[1])
        along_x, along_y = x0 + np.cos(heading) * reach, y0 + np.sin(heading) * reach
        cut(ax, reach, sample(start, along_x, along_y), sample(final, along_x, along_y))
        ax.set_aspect("equal")
        ax.set_title("Section along the way, no scale exaggerated")
        ax.set_xlabel("from the end of the way [m]")
    return out[0]
