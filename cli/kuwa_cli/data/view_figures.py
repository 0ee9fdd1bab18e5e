"""Figures of a data set's page: what its episodes do, all together and one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from kuwa_cli.report.drawing import (
    BENEATH,
    GRID,
    INK,
    MEASURED,
    SECOND,
    SOFT,
    WANTED,
    WIDTH,
    drawing,
    plain,
    thin,
)
from kuwa_policies.datasets import Dataset
from kuwa_policies.datasets.doctor.subject import Known, Subject

GOOD, BAD, OPEN = "#2b7a3d", "#c02b1d", "#8a6d1f"
COLOUR = {True: GOOD, False: BAD, None: OPEN}


def lengths_figure(dataset: Dataset) -> str:
    """Draw how long each episode is, coloured by its label."""
    episodes = dataset.episodes
    seconds = [episode.length / dataset.fps for episode in episodes]
    with drawing(WIDTH, 1.9) as (figure, out):
        ax = figure.subplots()
        ax.bar(
            [episode.index for episode in episodes], seconds, width=0.8,
            color=[COLOUR[episode.success] for episode in episodes],
        )  # fmt: skip
        ax.set(xlabel="episode", ylabel="length [s]", title="Length")
        ax.grid(axis="x", visible=False)
        ax.set_xlim(-0.7, max(len(episodes), 8) - 0.3)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return out[0]


def use_figure(known: Known, q: NDArray[Any], qd: NDArray[Any], action: NDArray[Any]) -> str:
    """Draw how often each joint's action, velocity and position have which value.

    Args:
        q, qd, action: of all episodes, shape (frames, n).
    """
    n = len(known.joints)
    with drawing(WIDTH, 1.0 + 1.15 * n) as (figure, out):
        axes = figure.subplots(n, 2, squeeze=False)
        for j, joint in enumerate(known.joints):
            left, right = axes[j]
            bins = np.linspace(-1.0, 1.0, 61)
            scale = known.qd_max[j] if np.isfinite(known.qd_max[j]) else 1.0
            _steps(left, action[:, j], bins, WANTED, "action")
            _steps(left, qd[:, j] / scale, bins, MEASURED, "velocity")
            left.set_yscale("log")
            left.set_xlim(-1.02, 1.02)
            left.set_title(plain(joint))
            low, high = known.q_min[j], known.q_max[j]
            span = (float(q[:, j].min()), float(q[:, j].max()))
            if np.isfinite([low, high]).all() and high - low < 20:
                right.axvspan(low, high, color=GRID, alpha=0.6, linewidth=0)
                span = (min(span[0], low), max(span[1], high))
            margin = 0.03 * max(span[1] - span[0], 1e-3)
            bins = np.linspace(span[0] - margin, span[1] + margin, 80)
            _steps(right, q[:, j], bins, SECOND, "position")
            right.set_xlim(bins[0], bins[-1])
            left.set_ylabel("share")
        axes[0][0].legend(loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.28))
        axes[-1][0].set_xlabel("fraction of the maximum velocity")
        axes[-1][1].set_xlabel("position [rad]; grey: what the machine can")
    return out[0]


def _steps(ax: Any, values: NDArray[Any], bins: NDArray[Any], colour: str, label: str) -> None:
    values = values[np.isfinite(values)]
    counts, edges = np.histogram(np.clip(values, bins[0], bins[-1]), bins)
    ax.stairs(counts / max(len(values), 1), edges, color=colour, label=label, fill=False, lw=1.2)


def episode_figure(s: Subject, driven: Sequence[tuple[int, int]] = ()) -> str:
    """Draw what was asked of each joint, and what it did.

    Args:
        driven: interventions, which are shaded: first frame, and the one after the last.
    """
    n = len(s.names)
    t = np.arange(s.frames) / s.fps
    with drawing(WIDTH, 0.6 + 1.1 * n) as (figure, out):
        axes = figure.subplots(n, 2, squeeze=False, sharex=True, width_ratios=(3, 2))
        for j, joint in enumerate(s.names):
            left, right = axes[j]
            scale = s.known.qd_max[j] if np.isfinite(s.known.qd_max[j]) else 1.0
            left.plot(*thin(t, s.action[:, j]), label="action", **BENEATH)
            left.plot(*thin(t, s.qd[:, j] / scale), color=MEASURED, lw=0.9, label="velocity")
            left.axhline(0.0, color=SOFT, lw=0.5)
            left.set_title(plain(joint))
            left.set_ylabel("of maximum")
            right.plot(*thin(t, np.degrees(s.q[:, j])), color=SECOND, lw=1.1)
            right.set_ylabel("position [°]")
            for first, after in driven:
                for ax in (left, right):
                    ax.axvspan(first / s.fps, after / s.fps, color=OPEN, alpha=0.16, linewidth=0)
            if s.frames > 1:
                left.set_xlim(0.0, t[-1])
        axes[0][0].legend(loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.32))
        for ax in axes[-1]:
            ax.set_xlabel("time [s]", color=INK)
    return out[0]
