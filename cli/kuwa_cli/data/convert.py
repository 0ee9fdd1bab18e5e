"""``kuwa data convert``: episodes of a bag become a data set."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from kuwa_cli.data.opening import DataError, whole


def command(
    bags: list[Path] = typer.Argument(..., help="Bags: *.mcap files, or folders of them."),
    out: Path = typer.Option(..., "--out", help="Folder of the new data set."),
    machine: str = typer.Option(
        "", help="Whose bags, by the name of its folder. [default: as they note it]"
    ),
    fps: int = typer.Option(
        0, min=0, help="Frames in a second. [default: as the bags note it, or 20]"
    ),
    task: str = typer.Option("", help="In words, instead of what the bags say."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
) -> None:
    """Make a data set of bags: the episodes that were recorded, as the live recorder makes them.

    A bag without episodes becomes one; one that others recorded needs --machine. The set appears
    when it is whole; kuwa data export makes HDF5 or Parquet of it.
    """
    from kuwa_record.convert import convert

    for bag in bags:
        if not bag.exists():
            raise DataError(f"{bag}: there is no such file")
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("  {task.description}"), BarColumn(28), TaskProgressColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar, whole(out) as beside:
        line = bar.add_task("converting", total=1.0)
        found = convert(
            bags, beside, machine, fps=fps, task=task,
            told=lambda read, size: bar.update(line, completed=read / max(size, 1)),
        )  # fmt: skip
        if not found.episodes:
            why = "".join(f"; {text}" for text in found.bad[:1])
            raise DataError(f"{', '.join(map(str, bags))}: no episode with a frame in it{why}")
    for text in found.bad:
        console.print(f"  left out: {text}", style="yellow", soft_wrap=True)
    for text in found.torn:
        console.print(f"  torn: {text}", style="yellow", soft_wrap=True)
    console.print(
        f"  {out}: {found.episodes} episodes, {found.frames} frames"
        + (f", {found.open_ends} of them without an end" if found.open_ends else "")
        + (f"; {found.skipped} discarded or empty ones left out" if found.skipped else ""),
        soft_wrap=True,
    )
    if as_json:
        values = {"folder": str(out), "episodes": found.episodes, "frames": found.frames,
                  "open_ends": found.open_ends, "skipped": found.skipped,
                  "torn": list(found.torn), "bad": list(found.bad)}  # fmt: skip
        print(json.dumps(values, ensure_ascii=False))
