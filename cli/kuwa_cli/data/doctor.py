"""``kuwa data doctor``: what is wrong with a data set, before anybody trains on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from kuwa_cli.data.opening import open_set

FOUND = 3
"""Exit code where something is wrong."""
SHOWN = 40
"""Findings that are printed; all are in --json."""


def command(
    dataset: Path = typer.Argument(..., help="Folder of the data set."),
    quick: bool = typer.Option(False, "--quick", help="Do not decode the videos."),
    as_json: bool = typer.Option(False, "--json", help="Print the findings as one JSON object."),
) -> None:
    """Look for dropped frames, skew, frozen sensors, wrong signs, torn videos and wrong labels.

    Nothing is changed. Exit code: 0 nothing found, 3 something found, 1 no data set.
    """
    from kuwa_policies.datasets.doctor import CHECKS, examine

    found = open_set(dataset)
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("  {task.description}"), BarColumn(28), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task("examining", total=len(found.episodes))
        report = examine(
            found, decode=not quick, progress=lambda done: bar.update(line, completed=done)
        )
    if as_json:
        print(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        remedies: dict[str, str] = {}
        for finding in report.findings[:SHOWN]:
            console.print(f"  [red]✗[/] {finding.words}", soft_wrap=True)
            remedies.setdefault(finding.code, CHECKS[finding.code].remedy)
        if len(report.findings) > SHOWN:
            console.print(f"  … and {len(report.findings) - SHOWN} more: --json has all")
        for code, remedy in remedies.items():
            console.print(f"  {code.replace('_', ' ')}: {remedy}", style="dim", soft_wrap=True)
        bad = len({f.episode for f in report.findings if f.episode >= 0})
        if report.healthy:
            console.print(f"[bold green]nothing found[/] in {report.episodes} episodes")
        else:
            console.print(
                f"[bold red]{len(report.findings)} findings[/] in {bad} of {report.episodes} "
                "episodes"
            )
    sys.exit(0 if report.healthy else FOUND)
