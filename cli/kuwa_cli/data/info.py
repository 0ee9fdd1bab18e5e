"""``kuwa data info``: what a data set holds, on one page."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from kuwa_cli.data.opening import open_set, size_of
from kuwa_policies.datasets import Dataset
from kuwa_policies.datasets.features import COLUMNS


def command(
    dataset: Path = typer.Argument(..., help="Folder of the data set."),
    episodes: bool = typer.Option(False, "--episodes", help="One line for each episode."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Say what a data set holds: machine, episodes, labels, features, where it came from."""
    found = open_set(dataset, empty=True)
    values = info(found)
    if as_json:
        print(json.dumps(values, ensure_ascii=False))
        return
    _say(Console(highlight=False), values, episodes)


def info(dataset: Dataset) -> dict[str, Any]:
    """Return everything that is told, as plain numbers and text."""
    lengths = np.array([episode.length for episode in dataset.episodes])
    labels = Counter(episode.success for episode in dataset.episodes)
    seconds = lengths / dataset.fps
    return {
        "folder": str(dataset.folder),
        "machine": dataset.robot_type,
        "joints": list(dataset.joints),
        "fps": dataset.fps,
        "episodes": len(dataset.episodes),
        "frames": int(lengths.sum()),
        "seconds": float(seconds.sum()),
        "shortest_s": float(seconds.min()) if len(seconds) else None,
        "longest_s": float(seconds.max()) if len(seconds) else None,
        "successes": labels[True],
        "failures": labels[False],
        "unlabelled": labels[None],
        "bytes": size_of(dataset.folder),
        "tasks": dict(Counter(t for episode in dataset.episodes for t in episode.tasks)),
        "cameras": list(dataset.cameras),
        "features": {
            name: {"dtype": each.dtype, "shape": list(each.shape)}
            for name, each in dataset.features.items()
            if name not in COLUMNS
        },
        "origin": {
            name: dataset.kuwa[name]
            for name in ("scenario", "seed", "controller", "merged_from", "split_from")
            if name in dataset.kuwa
        },
        "each": [
            {
                "episode": episode.index, "seconds": episode.length / dataset.fps,
                "success": episode.success, "task": "; ".join(episode.tasks),
                "missed": episode.notes.get("missed", []),
                "interventions": _noted(episode.notes.get("interventions")),
            }
            for episode in dataset.episodes
        ],
    }  # fmt: skip


def _say(console: Console, values: dict[str, Any], each: bool) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    count = values["episodes"]
    table.add_row("machine", f"{values['machine']}: {', '.join(values['joints']) or 'no joints'}")
    length = f"{values['seconds'] / 60:.1f} min"
    if count:
        length += f", {values['shortest_s']:.1f} to {values['longest_s']:.1f} s each"
    table.add_row("episodes", f"{count}, {values['frames']} frames at {values['fps']}/s, {length}")
    table.add_row(
        "labels",
        f"{values['successes']} success, {values['failures']} failure, "
        f"{values['unlabelled']} without",
    )
    for k, (task, number) in enumerate(values["tasks"].items()):
        table.add_row("tasks" if k == 0 else "", f"{number} × {task}")
    taken = [each["interventions"] for each in values["each"] if each["interventions"]]
    if number := sum(each["count"] for each in taken):
        seconds = sum(each["frames"] for each in taken) / values["fps"]
        among = sum(each["count"] > 0 for each in taken)
        table.add_row("interventions", f"{number} in {among} episodes, {seconds:.1f} s")
    table.add_row("size", f"{values['bytes'] / 1e6:.1f} MB")
    for k, (name, what) in enumerate(values["features"].items()):
        shape = "×".join(map(str, what["shape"]))
        table.add_row("features" if k == 0 else "", f"{name:<26} {what['dtype']:<8} {shape}")
    for name, value in values["origin"].items():
        table.add_row(name.replace("_", " "), str(value))
    console.print(table, soft_wrap=True)
    if not each:
        return
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("episode", "seconds", "label", "interventions", "task", "missed"):
        rows.add_column(head, justify="right" if head in ("episode", "seconds") else "left")
    words = {True: "[green]success", False: "[red]failure", None: "–"}
    for row in values["each"]:
        rows.add_row(
            str(row["episode"]), f"{row['seconds']:.1f}", words[row["success"]],
            _interventions(row["interventions"], values["fps"]), row["task"],
            "; ".join(row["missed"]),
        )  # fmt: skip
    console.print(rows)


def _noted(found: Any) -> dict[str, Any] | None:
    """Return what an episode's notes say of interventions, if they say it as we do."""
    whole = isinstance(found, dict) and all(
        isinstance(found.get(name), int) for name in ("count", "frames")
    )
    return found if whole else None


def _interventions(found: dict[str, Any] | None, fps: int) -> str:
    """Say how often and how long; a dash where the episode's notes do not say."""
    if found is None:
        return "–"
    return f"{found['count']}, {found['frames'] / fps:.1f} s" if found["count"] else "0"
