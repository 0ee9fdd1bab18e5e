"""``kuwa tune``: propose a spiking network from a log of the machine's motion."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from kuwa_cli.identify import read
from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.adaptive.proposal import Proposal, propose
from kuwa_policies.identification import JointLog

SHOWN = {
    "neurons": "N", "leak": "λ [1/s]", "norm": "|D_i|", "mu": "μ / |D_i|²", "constant": "constant",
    "rate": "learning rate [1/s]", "bound": "bound", "gain": "slope of dendrites", "dt": "dt [s]",
}  # fmt: skip


def command(
    log: Path = typer.Argument(..., help="A run's log.npz, or a .csv as `kuwa identify` takes."),
    rate: float = typer.Option(15.0, help="Mean rate that neurons may have [Hz]."),
    neurons: int = typer.Option(None, help="How many. [default: as few as the rate allows]"),
    dead_time: float = typer.Option(0.0, help="From a command to its motion [s]."),
    period: float = typer.Option(None, help="Of control [s]. [default: the log's]"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Propose N, λ, μ, η and the decoders' norm of an adaptive controller from a log.

    Its inputs are angle, velocity and acceleration of every joint. The how-to choose-neurons
    explains the formulas.
    """
    joints, z, step = signals(read(log)[0], period)
    found = propose(z, step, (1.0,) * len(joints), rate, neurons, dead_time)
    if as_json:
        print(json.dumps(asdict(found), ensure_ascii=False))
    else:
        _print(found)


def signals(log: JointLog, period: float | None = None) -> tuple[tuple[str, ...], Array, float]:
    """Return which joints moved, their q, q̇ and q̈ at even steps, shape (T, 3n), and the step.

    Raises:
        KuwaError: no joint moved, or the log is too short.
    """
    step = period or float(np.median(np.diff(log.t)))
    if not step > 0.0:
        raise KuwaError(f"a period of {step:g} s; expected above 0")
    t = np.arange(log.t[0], log.t[-1], step)
    if len(t) < 100:
        raise KuwaError(f"{log.source}: {len(t)} periods of {step:g} s; at least 100 are needed")
    moved = [j for j in range(len(log.joints)) if np.nanmax(log.q[:, j]) > np.nanmin(log.q[:, j])]
    if not moved:
        raise KuwaError(f"{log.source}: no joint moved; nothing says how large its signals are")
    q = np.stack([_even(t, log.t, log.q[:, j]) for j in moved], axis=1)
    # Differences over a tenth of a second: those of single samples would be the encoders' steps.
    width = max(round(0.1 / step), 1)
    kernel = np.ones(width) / width
    qd = np.apply_along_axis(lambda x: np.convolve(np.gradient(x, step), kernel, "same"), 0, q)
    qdd = np.apply_along_axis(lambda x: np.convolve(np.gradient(x, step), kernel, "same"), 0, qd)
    inner = slice(2 * width, -2 * width)
    z = np.concatenate([q, qd, qdd], axis=1)[inner]
    return tuple(log.joints[j] for j in moved), z, step


def _even(t: Array, stamps: Array, values: Array) -> Array:
    there = np.isfinite(values)
    return np.asarray(np.interp(t, stamps[there], values[there]))


def _print(found: Proposal) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("proposed")
    table.add_column("value", justify="right")
    for name, shown in SHOWN.items():
        table.add_row(shown, f"{getattr(found.settings, name):.4g}")
    table.add_row("", "")
    table.add_row("what counts as one of the inputs", ", ".join(
        f"{s:.3g}" for s in found.settings.input_scale))  # fmt: skip
    table.add_row("frequency of the inputs [rad/s]", f"{found.frequency:.3g}")
    table.add_row("mean rate to expect [Hz]", f"{found.rate:.3g}")
    table.add_row("resolution, share of the scale", f"{found.resolution:.2g}")
    table.add_row("bandwidth of learning [rad/s]", f"{found.learning:.3g}")
    console = Console()
    console.print(table)
    for note in found.notes:
        console.print(f"note: {note}")
