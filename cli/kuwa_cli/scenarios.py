"""``kuwa scenarios``: what can be run."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from kuwa_sim.scenario import load_scenario, scenario_names


def command(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON array."),
) -> None:
    """List the scenarios there are."""
    rows = [_row(name) for name in scenario_names()]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("scenario", "what", "machine", "soil", "success"):
        table.add_column(heading, style="bold" if heading == "scenario" else "")
    for row in rows:
        goal = (
            f"{100 * row['share_within_tolerance']:.0f} % within ±{100 * row['tolerance_m']:.0f} cm"
        )
        table.add_row(
            row["name"], row["title"], row["machine"], row["soil"].replace("_", " "), goal
        )
    Console().print(table)
    print("\nRun one with ./kuwa sim NAME; a file of your own with ./kuwa sim my_scenario.yaml.")


def _row(name: str) -> dict[str, Any]:
    scenario = load_scenario(name)
    return {
        "name": scenario.name,
        "title": scenario.title,
        "machine": scenario.machine,
        "soil": scenario.soil,
        "duration_s": scenario.duration_s,
        "tolerance_m": scenario.task.tolerance_m,
        **scenario.success.model_dump(),
    }
