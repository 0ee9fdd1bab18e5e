"""``kuwa scenarios``: what can be run."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from kuwa_sim.scenario import Scenario, load_scenario, scenario_names
from kuwa_sim.score.figures import FIGURES


def command(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON array."),
) -> None:
    """List the scenarios there are."""
    scenarios = [load_scenario(name) for name in scenario_names()]
    if as_json:
        print(json.dumps([_row(scenario) for scenario in scenarios], ensure_ascii=False))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("scenario", "what", "machines", "soil", "success"):
        table.add_column(heading, style="bold" if heading == "scenario" else "")
    for scenario in scenarios:
        machines = ", ".join(station.machine for station in scenario.machines.values())
        table.add_row(
            scenario.name, scenario.title, machines, scenario.soil.replace("_", " "), goal(scenario)
        )
    Console().print(table)
    print("\nRun one with ./kuwa sim NAME; a file of your own with ./kuwa sim my_scenario.yaml.")


def goal(scenario: Scenario) -> str:
    """Return what the lead machine must reach, in words: its first bound."""
    station = scenario.lead
    for name, bound in station.success.items():
        assert station.task is not None
        figure = FIGURES[station.task.family][name]
        least = bound.at_least is not None
        value = figure.text(bound.at_least if least else bound.at_most)
        return f"{'≥' if least else '≤'} {value} {figure.unit} {figure.label}"
    return ""


def _row(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "soil": scenario.soil,
        "duration_s": scenario.duration_s,
        "machines": {
            name: {
                "machine": station.machine,
                "task": None if station.task is None else station.task.kind,
                "success": {key: bound.model_dump() for key, bound in station.success.items()},
            }
            for name, station in scenario.machines.items()
        },
    }
