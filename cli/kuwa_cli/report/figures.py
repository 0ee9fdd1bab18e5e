"""The figures of a machine's inside: joints, commands, pressures, timing."""

from __future__ import annotations

import numpy as np

from kuwa_cli.report.drawing import (
    ABOVE,
    BENEATH,
    GROUND,
    MEASURED,
    SECOND,
    SOFT,
    WANTED,
    WIDTH,
    drawing,
    phase_bands,
    plain,
    thin,
)
from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Array
from kuwa_machines.spec import HydrostaticDrive, MachineSpec


def joint_figure(log: RunLog, spec: MachineSpec) -> str:
    """Joints: where the plan wanted them and where they were; of wheels and sprockets, how fast."""
    n = len(log.joints)
    with drawing(WIDTH, 1.75 * n) as (figure, out):
        axes = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
        for k, (ax, name) in enumerate(zip(axes, log.joints, strict=True)):
            phase_bands(ax, log)
            rolls = isinstance(spec.joints[name].drive, HydrostaticDrive)
            field, unit = ("qd", "[°/s]") if rolls else ("q", "[°]")
            t, q = log.state.t, np.degrees(log.state[field][:, k])
            title = plain(name)
            if len(log.reference):
                wanted = np.degrees(log.reference[field][:, k])
                ax.plot(*thin(log.reference.t, wanted), **BENEATH, label="wanted")
                error = q - np.interp(t, log.reference.t, wanted)
                title += f" · rms error {np.sqrt(np.mean(error**2)):.1f}{unit[1:-1]}"
            ax.plot(*thin(t, q), color=MEASURED, label="measured")
            ax.set_title(title)
            ax.set_ylabel(unit)
            margin = 0.08 * (q.max() - q.min() + 5)
            view = (q.min() - margin, q.max() + margin)
            limits = () if rolls else np.degrees([spec.q_min[k], spec.q_max[k]])
            for limit in limits:
                if view[0] < limit < view[1]:
                    ax.axhline(limit, color=SOFT, linestyle=(0, (2, 2)), linewidth=0.9)
            ax.set_ylim(*view)
        axes[0].legend(ncols=2, **ABOVE)
        axes[-1].set_xlabel("time [s]")
    return out[0]


def command_figure(log: RunLog) -> str:
    """Valve commands: what control asked and what the gate let through."""
    n = len(log.joints)
    with drawing(WIDTH, 1.4 * n) as (figure, out):
        axes = figure.subplots(n, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for k, (ax, name) in enumerate(zip(axes, log.joints, strict=True)):
            phase_bands(ax, log)
            ax.plot(*thin(log.request.t, log.request["values"][:, k]),
                    **BENEATH, label="requested")  # fmt: skip
            ax.plot(*thin(log.applied.t, log.applied["values"][:, k]),
                    color=MEASURED, linewidth=1.0, label="applied")  # fmt: skip
            ax.set_ylim(-1.08, 1.08)
            ax.set_title(plain(name))
        axes[0].legend(ncols=2, **ABOVE)
        axes[-1].set_xlabel("time [s]")
    return out[0]


def hydraulics_figure(log: RunLog) -> str:
    """Pressures of every drive, the pump's pressure and power, and the load."""
    n, h = len(log.joints), log.hydraulics
    with drawing(WIDTH, 1.35 * (n + 2)) as (figure, out):
        axes = figure.subplots(n + 2, 1, sharex=True)
        for k, (ax, name) in enumerate(zip(axes, log.joints, strict=False)):
            phase_bands(ax, log)
            ax.plot(*thin(h.t, h["head"][:, k] / 1e6), color=MEASURED, label="head side, or port A")
            ax.plot(*thin(h.t, h["rod"][:, k] / 1e6), color=SECOND, label="rod side, or port B")
            ax.set_title(plain(name))
            ax.set_ylabel("[MPa]")
            ax.set_ylim(bottom=0)
        axes[0].legend(ncols=2, **ABOVE)
        phase_bands(axes[n], log)
        axes[n].fill_between(
            *thin(h.t, h["pump_power"] / 1e3), color=MEASURED, alpha=0.25, linewidth=0
        )
        axes[n].plot(*thin(h.t, h["pump_power"] / 1e3), color=MEASURED)
        axes[n].set_title("Pump power")
        axes[n].set_ylabel("[kW]")
        phase_bands(axes[n + 1], log)
        axes[n + 1].plot(*thin(h.t, h["load"] / 1e3), color=GROUND, linewidth=1.5)
        axes[n + 1].set_title("Soil in the tool")
        axes[n + 1].set_ylabel("[t]")
        axes[n + 1].set_xlabel("time [s]")
    return out[0]


def timing_figure(panels: list[tuple[str, str, Array, float | None]]) -> str:
    """Histograms of times in milliseconds: (title, axis label, values, mark or None)."""
    with drawing(WIDTH, 2.4) as (figure, out):
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
