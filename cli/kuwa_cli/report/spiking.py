"""The figure of a controller's neurons: how much they fire, how balanced, what they have learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kuwa_cli.report.drawing import (
    ABOVE,
    BAND,
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
from kuwa_cli.spikes import not_learning, rates

JOINT_COLOURS = (MEASURED, WANTED, SECOND, GROUND, "#8a5aa8", "#b08900", "#5b7f3a", "#a23b5c")
IRREGULAR = (0.8, 1.2)
"""Coefficient of variation of the intervals of neurons that share the work evenly: about that of a
Poisson process."""
SETTLED = 3.0
"""Before this a rate since the start is one of a few spikes [s]."""
HATCH: dict[str, Any] = {"color": "#767d87", "alpha": 0.16, "linewidth": 0}


def spiking_figure(log: RunLog) -> str:
    """Rates, balance and irregularity, what the prediction missed, and the weights, over time."""
    s = log.spikes
    with drawing(WIDTH, 8.2) as (figure, out):
        axes = figure.subplots(4, 1, sharex=True)
        for ax in axes:
            phase_bands(ax, log)
        _rates(axes[0], log)
        _balance(axes[1], log)
        _errors(axes[2], log)
        axes[3].plot(*thin(s.t, s["weight_norm"]), color=WANTED, label="norm of the weights")
        _frozen(axes[3], log)
        axes[3].set_title("What was learnt")
        axes[3].set_ylim(bottom=0)
        axes[3].legend(ncols=2, **ABOVE)
        axes[3].set_xlabel("time [s]")
    return out[0]


def _rates(ax: Axes, log: RunLog) -> None:
    s = log.spikes
    t, rate = rates(log)
    alive, neurons = int(s["alive"][-1]), int(s["neurons"][-1])
    who = f"{neurons} neurons" if alive == neurons else f"{alive} of {neurons} neurons alive"
    ax.plot(*thin(s.t, s["max_rate"]), color=SECOND, label="busiest neuron so far")
    ax.plot(*thin(s.t, s["mean_rate"]), color=WANTED, label="mean so far")
    if len(t):
        ax.plot(*thin(t, rate), color=MEASURED, linewidth=0.9, label="mean of each instant")
    ax.set_title(f"Rates · {who}, mean {s['mean_rate'][-1]:.1f} Hz")
    ax.set_ylabel("[Hz]")
    # A maximum over a moment says nothing: the first seconds must not set the scale.
    settled = s.t > s.t[0] + SETTLED
    high = max(s["max_rate"][settled].max(initial=0.0), np.nanmax(rate, initial=0.0))
    ax.set_ylim(0.0, 1.1 * high if high > 0.0 else 1.0)
    ax.legend(ncols=3, **ABOVE)


def _balance(ax: Axes, log: RunLog) -> None:
    s = log.spikes
    ax.axhspan(*IRREGULAR, **BAND)
    ax.plot(*thin(s.t, s["ei_correlation"]), color=MEASURED,
            label="correlation of excitation and inhibition")  # fmt: skip
    ax.plot(*thin(s.t, s["isi_cv"]), color=WANTED, label="irregularity of intervals")
    known = [f"E/I {s['ei_correlation'][-1]:.2f}", f"CV {s['isi_cv'][-1]:.2f}"]
    ax.set_title("Balance · " + ", ".join(text for text in known if "nan" not in text))
    values = np.concatenate([s["ei_correlation"], s["isi_cv"]])
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    ax.set_ylim(min(low, 0.0) - 0.03, max(high, 1.25) + 0.03)
    ax.legend(ncols=2, **ABOVE)


def _errors(ax: Axes, log: RunLog) -> None:
    s = log.spikes
    error = np.degrees(s["error"])
    for k, name in enumerate(log.joints):
        if np.isfinite(error[:, k]).any():
            colour = JOINT_COLOURS[k % len(JOINT_COLOURS)]
            ax.plot(*thin(s.t, error[:, k]), color=colour, linewidth=0.9, label=plain(name))
    ax.axhline(0.0, color=SOFT, linewidth=0.7)
    ax.set_title("Measured less predicted position")
    ax.set_ylabel("[°]")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(ncols=len(log.joints), **ABOVE)


def _frozen(ax: Axes, log: RunLog) -> None:
    """Shade when not all joints learnt: the controller says so as soon as one does not."""
    s = log.spikes
    off = np.flatnonzero(s["learning"] == 0.0)
    if not off.size:
        return
    label = "not all joints learn"
    for run in np.split(off, np.flatnonzero(np.diff(off) > 1) + 1):
        end = s.t[min(run[-1] + 1, len(s) - 1)]
        ax.axvspan(s.t[run[0]], end, label=label, zorder=0.5, **HATCH)
        label = "_"


def spiking_caption(log: RunLog) -> str:
    """Say what is to be seen, and why not all joints learnt when they did not."""
    words = "Band: about as irregular as a Poisson process."
    why = [f"{reason} ({100 * share:.0f} % of the time)"
           for reason, share in not_learning(log).items()]  # fmt: skip
    return f"{words} Not all joints learnt while: {'; '.join(why)}." if why else words
