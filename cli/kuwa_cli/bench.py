"""``kuwa bench``: measure a promised figure; each benchmark is a file in ``benchmarks/``."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from kuwa_cli.figure import Figure, save
from kuwa_machines.errors import KuwaError, choices

Measure = Callable[[], Iterator[Figure]]


def folder() -> Path:
    """Return the folder of the benchmarks."""
    root = Path(os.environ.get("KUWA_ROOT", Path(__file__).resolve().parents[2]))
    return root / "benchmarks"


def command(
    name: str = typer.Argument(None, help="Which one; see --list."),
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
    line = f"./kuwa bench {name}"
    lines = []
    for figure in _measure(name)():
        lines.append(figure.line(line))
        if as_json:
            print(json.dumps(lines[-1], ensure_ascii=False), flush=True)
        else:
            Console(stderr=True, highlight=False).print(f"  {figure.name} {figure.value:.4g}")
    if not as_json:
        _print(lines)
    if keep:
        save(folder() / "results", name, line, lines)
    if any(row["holds"] is False for row in lines):
        raise typer.Exit(3)


def _measure(name: str) -> Measure:
    path = folder() / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"kuwa_benchmark_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    measure: Measure = module.measure
    return measure


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
