"""``kuwa bench``: measure a promised figure; each benchmark is a file in ``benchmarks/``.

A benchmark has a function ``measure``, or a table ``PARTS`` of functions that can be measured one
by one: hours need not pass in one go.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from kuwa_cli.figure import Figure, Run, save
from kuwa_machines.errors import KuwaError, choices

Measure = Callable[[], Iterator[Figure]]
MOST_STOLEN = 0.02
"""Of the processors' time: from here on a computer says so."""


def folder() -> Path:
    """Return the folder of the benchmarks."""
    root = Path(os.environ.get("KUWA_ROOT", Path(__file__).resolve().parents[2]))
    return root / "benchmarks"


def command(
    name: str = typer.Argument(None, help="Which one; see --list."),
    part: list[str] = typer.Option([], "--part", help="Only this part of it; may be repeated."),
    show: bool = typer.Option(False, "--list", help="List them."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object a figure."),
    keep: bool = typer.Option(False, "--save", help="Write benchmarks/results/NAME.json."),
) -> None:
    """Measure one of the figures that Kuwa promises.

    Exit code: 0 when every goal is reached, 3 when one is not.
    """
    names = sorted(path.stem for path in folder().glob("*.py") if not path.stem.startswith("_"))
    if show or name is None:
        for each in names:
            print(f"{each:<12} {_subject(folder() / f'{each}.py')}")
        return
    if name not in names:
        raise KuwaError(f"no benchmark {name!r}; {choices(name, names)}")
    # Who ends it ends what it has started too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stderr = Console(stderr=True, highlight=False)
    runs = []
    for line, measure in _measures(name, part).items():
        with Run(line) as run:
            for figure in measure():
                run.figures.append(figure)
                if as_json:
                    print(json.dumps(run.line(figure), ensure_ascii=False), flush=True)
                else:
                    stderr.print(f"  {figure.name} {figure.value:.4g}")
        if run.stolen > MOST_STOLEN:
            stderr.print(
                f"kuwa: {100.0 * run.stolen:.0f} % of the processors' time went to other guests of "
                "this computer's host: times are longer than they would be"
            )
        runs.append(run)
        if keep:
            # Each as it ends: what hours have measured is not lost with the next part.
            save(folder() / "results", name, run, whole=not part and len(runs) == 1)
    lines = [run.line(figure) for run in runs for figure in run.figures]
    if not as_json:
        _print(lines)
    if any(row["holds"] is False for row in lines):
        raise typer.Exit(3)


def _measures(name: str, parts: list[str]) -> dict[str, Measure]:
    """Return what to measure, by the command that measures it."""
    path = folder() / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"kuwa_benchmark_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    there: dict[str, Measure] = getattr(module, "PARTS", {})
    command = f"./kuwa bench {name}"
    if not there:
        if parts:
            raise KuwaError(f"--part {parts[0]}: the benchmark {name} has no parts")
        return {command: module.measure}
    for part in parts:
        if part not in there:
            raise KuwaError(f"--part {part}: no part of {name}; {choices(part, there)}")
    return {f"{command} --part {part}": there[part] for part in parts or there}


def _subject(path: Path) -> str:
    """Return the first line of a module's docstring without running it."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text.splitlines()[0] if text else ""


def _print(lines: list[dict[str, Any]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("figure", "value", "unit", "goal", ""):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for row in lines:
        mark = {True: "[green]holds", False: "[red]missed", None: ""}[row["holds"]]
        value = "–" if row["value"] is None else f"{row['value']:.4g}"
        table.add_row(row["name"], value, row["unit"], row["goal"], mark)
    Console().print(table)
