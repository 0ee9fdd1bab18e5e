"""``kuwa recover``: what is whole in a torn bag, as a new bag."""

from __future__ import annotations

import time
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from kuwa_machines.errors import KuwaError


def command(
    path: Path = typer.Argument(..., help="A torn *.mcap, or the folder of a bag."),
    out: Path = typer.Option(None, help="Folder of the new bag. [default: beside the old one]"),
) -> None:
    """Salvage a torn bag: every whole chunk whose check sum matches goes into a new, whole bag.

    The original is only read. kuwa data convert makes episodes of the new bag.
    """
    from kuwa_record.convert import files_of
    from kuwa_record.recover import recover

    if not path.exists():
        raise KuwaError(f"{path}: there is no such file")
    files = files_of(path)
    base = path if path.is_dir() else path.parent / path.stem
    target = out or base.with_name(f"{base.name}-recovered")
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(f"reading {path.name}", total=1.0)
        found = recover(
            files, target, lambda read, size: progress.update(bar, completed=read / max(size, 1))
        )
    for each in found.refused:
        console.print(f"left out: {each}")
    first, last = (time.strftime("%H:%M:%S", time.localtime(t)) for t in (found.first, found.last))
    state = "it was whole" if found.whole else f"{found.read} of {found.size} bytes were whole"
    print(
        f"{target}: {found.messages} messages on {len(found.topics)} topics "
        f"from {first} to {last}; {state}"
    )
