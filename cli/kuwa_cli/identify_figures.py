"""The figures of an identification's report, as SVG text: measured against model."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kuwa_cli.report.drawing import BENEATH, MEASURED, SECOND, SOFT, WANTED, drawing, thin
from kuwa_machines.contracts import Array
from kuwa_policies.identification import FunctionResult, Identification
from kuwa_policies.identification.model import Function
from kuwa_policies.identification.parameter_file import in_unit

T, COMMAND, Q, Q_MODEL, QD, QD_MODEL = range(6)
MODEL: dict[str, Any] = {"color": WANTED, "linewidth": 0.9}


def motion_figure(function: FunctionResult) -> str:
    """Command, position, what the model leaves of it, and velocity over the longest stretch."""
    trace = _longest(function.trace)
    t = trace[:, T]
    with drawing(10.2, 6.2) as (figure, out):
        axes = figure.subplots(4, 1, sharex=True, height_ratios=(1, 2, 1, 2))
        axes[0].plot(t, trace[:, COMMAND], color=SOFT, drawstyle="steps-post")
        axes[0].set_title("Command")
        axes[1].plot(*thin(t, np.degrees(trace[:, Q])), **BENEATH, label="measured")
        axes[1].plot(*thin(t, np.degrees(trace[:, Q_MODEL])), **MODEL, label="model")
        axes[1].set_title("Position")
        axes[1].set_ylabel("[°]")
        left = np.degrees(trace[:, Q] - trace[:, Q_MODEL])
        axes[2].plot(*thin(t, left), color=MEASURED, linewidth=0.7)
        axes[2].set_title(f"Position, measured less model · rms {np.degrees(function.rms_q):.3f}°")
        axes[2].set_ylabel("[°]")
        if np.isfinite(trace[:, QD]).any():
            axes[3].plot(*thin(t, np.degrees(trace[:, QD])), **BENEATH)
        axes[3].plot(*thin(t, np.degrees(trace[:, QD_MODEL])), **MODEL)
        axes[3].set_title("Velocity")
        axes[3].set_ylabel("[°/s]")
        axes[1].legend(ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
        axes[-1].set_xlabel("time [s]")
    return out[0]


def detail_figure(function: FunctionResult, prior: Function) -> str:
    """One step close by, the flow curve, the dead band of it, and the profile of the dead time."""
    with drawing(10.2, 3.1) as (figure, out):
        axes = figure.subplots(1, 4, width_ratios=(1.4, 1, 1, 1))
        _step(axes[0], function)
        _curve(axes[1], function, prior, 1.0)
        _curve(axes[2], function, prior, 3.0 * max(function.function.dead_band, 0.02))
        axes[1].set_title("Flow curve")
        axes[2].set_title("Dead band")
        axes[1].legend(loc="upper left", handlelength=1.2)
        ax = axes[3]
        ax.plot(1e3 * function.profile[:, 0], 100 * function.profile[:, 1], ".-", color=WANTED)
        found = function.estimates["dead_time"]
        ax.axvspan(1e3 * found.low, 1e3 * found.high, color=MEASURED, alpha=0.3, linewidth=0)
        ax.axvline(1e3 * found.value, color=MEASURED)
        ax.set_yscale("log")
        ax.set_title("Dead time, first look")
        ax.set_xlabel("dead time [ms]")
        ax.set_ylabel("unexplained [%]")
    return out[0]


def drift_figure(function: FunctionResult) -> str:
    """Drift in each hold against what the leakage makes of the load."""
    _, slope, error, unit = function.drift.T
    with drawing(10.2, 2.7) as (figure, out):
        ax = figure.subplots(1, 3)[0]
        for unused in figure.axes[1:]:
            unused.set_axis_off()
        scale = 60 * 180 / np.pi
        x = unit * function.estimates["leakage"].value
        ax.errorbar(
            scale * x, scale * slope, 1.96 * scale * error, fmt="o", color=MEASURED, markersize=4,
            capsize=2, label="measured in a hold",
        )  # fmt: skip
        low, high = min(x.min(), 0.0), max(x.max(), 0.0)
        ax.plot([scale * low, scale * high], [scale * low, scale * high], **MODEL, label="model")
        ax.set_xlabel("drift that the leakage makes [°/min]")
        ax.set_ylabel("drift [°/min]")
        ax.locator_params(nbins=5)
        ax.set_title("Load drift")
        ax.legend(loc="best")
    return out[0]


def combined_figure(found: Identification) -> str:
    """Positions while several functions moved, which no fit has seen."""
    names = list(found.functions)
    n = len(names)
    t = found.combined[:, 0]
    with drawing(10.2, 1.6 * n) as (figure, out):
        axes = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
        for j, (ax, name) in enumerate(zip(axes, names, strict=True)):
            ax.plot(*thin(t, np.degrees(found.combined[:, 1 + j])), **BENEATH, label="measured")
            model = np.degrees(found.combined[:, 1 + n + j])
            ax.plot(*thin(t, model), **MODEL, label="model")
            rms = np.degrees(found.combined_rms[j])
            ax.set_title(f"{name.removesuffix('_joint').capitalize()} · rms in 4 s {rms:.2f}°")
            ax.set_ylabel("[°]")
        axes[0].legend(ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
        axes[-1].set_xlabel("time [s]")
    return out[0]


def _step(ax: Axes, function: FunctionResult) -> None:
    """The clearest step from rest: command, and velocity or position after it."""
    trace = function.trace
    u, t = trace[:, COMMAND], trace[:, T]
    began = np.flatnonzero((u[:-1] == 0) & (np.abs(u[1:]) > 0.15)) + 1
    if not began.size:
        began = np.flatnonzero(np.abs(np.diff(u)) > 0)[:1] + 1
    k = int(began[np.argmax(np.abs(u[began]))]) if began.size else 0
    show = (t > t[k] - 0.2) & (t < t[k] + function.function.dead_time + 1.2)
    since = 1e3 * (t[show] - t[k])
    scale, unit = (QD, "[°/s]") if np.isfinite(trace[show, QD]).any() else (Q, "[°]")
    ax.plot(since, np.degrees(trace[show, scale]), ".", color=BENEATH["color"], markersize=3.5)
    ax.plot(since, np.degrees(trace[show, scale + 1]), **MODEL)
    ax.axvline(0.0, color=SOFT, linewidth=0.8)
    ax.axvline(1e3 * function.function.dead_time, color=MEASURED, linewidth=0.8)
    ax.set_title(f"A step to {u[k]:+.2f}")
    ax.set_xlabel("since the command [ms]")
    ax.set_ylabel(f"{'velocity' if scale == QD else 'position'} {unit}")


def _curve(ax: Axes, function: FunctionResult, prior: Function, widest: float) -> None:
    u = np.linspace(-widest, widest, 401)
    lines = ((prior, SOFT, "data file", (0, (3, 2))), (function.function, MEASURED, "found", "-"))
    for f, colour, label, dashes in lines:
        most = np.where(u > 0, f.max_flow_positive, f.max_flow_negative)
        flow = in_unit("max_flow_positive", 1.0) * most * f.flow_fraction(u)
        ax.plot(u, flow, color=colour, linestyle=dashes, label=label)
    tried = np.unique(np.round(function.trace[:, COMMAND], 2))
    tried = tried[(np.abs(tried) <= widest) & (tried != 0)]
    ax.plot(tried, np.zeros_like(tried), "|", color=SECOND, markersize=6, label="tried")
    ax.set_xlabel("command")
    ax.set_ylabel("flow [L/min]")


def _longest(trace: Array) -> Array:
    """Return the rows of the longest stretch in which time does not jump."""
    edges = [0, *(np.flatnonzero(np.diff(trace[:, T]) > 1.0) + 1).tolist(), len(trace)]
    k = int(np.argmax(np.diff(edges)))
    return trace[edges[k] : edges[k + 1]]
