"""What came of a run, as the dictionary of ``result.json``."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kuwa_cli.runlog import RunLog
from kuwa_cli.settings import Settings
from kuwa_cli.spikes import summary
from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_sim.score.judge import Score, score_run
from kuwa_sim.score.maps import Maps
from kuwa_sim.soil import load_soil

FORMAT = 2
EndedBy = Literal["done", "duration", "interrupt", "fault"]
"""``done``: the planner finished; ``duration``: time was up; ``fault``: the stack broke down."""
PACKAGES = ("mujoco", "numba", "numpy", "scipy")

Panels = list[tuple[str, str, Array, float | None]]


@dataclass
class Outcome:
    """How a run ended, and what its clock showed.

    Args:
        ended_by: why it ended.
        note: more about it, in words.
        timing: figures for ``result.json``.
        panels: histograms for the report, see :func:`kuwa_cli.report.figures.timing_figure`.
    """

    ended_by: EndedBy
    note: str
    timing: dict[str, Any]
    panels: Panels


def judged(log: RunLog, name: str, asked: Settings) -> tuple[Score | None, str]:
    """Return one machine's score, or None and why there is none."""
    start, final, scenario = log.terrain.start, log.terrain.newest, asked.scenario
    if start is None or final is None or not len(log.state):
        return None, "The run ended before anything was measured."
    try:
        maps = Maps(start, final, [body.obstacle for body in scenario.obstacles])
        soil = load_soil(scenario.soil)
        return score_run(scenario.machines[name], maps, log.work_log(), asked.specs[name], soil), ""
    except KuwaError as error:
        return None, str(error)


def result(
    logs: Mapping[str, RunLog],
    outcome: Outcome,
    asked: Settings,
    mode: Literal["ros", "lockstep"],
    command: str,
) -> dict[str, Any]:
    """Return everything that ``result.json`` holds; plain numbers, text and None only.

    ``score`` is the lead machine's; ``machines`` has everyone's.
    """
    scenario = asked.scenario
    machines = {name: _machine(logs[name], name, asked) for name in scenario.machines}
    lead = next(iter(machines.values()))
    asked_for = [m for m in machines.values() if m["task"] is not None]
    kept = all(m["score"] is not None and m["score"]["success"] for m in asked_for)
    notes = [outcome.note, *(str(m["note"]) for m in asked_for)]
    return {
        "format": FORMAT,
        "scenario": scenario.name,
        "title": scenario.title,
        "machine": lead["machine"],
        "machine_title": lead["machine_title"],
        "soil": scenario.soil.replace("_", " "),
        "controller": asked.controller,
        "restored": bool(asked.controller_state),
        "seed": asked.seed,
        "mode": mode,
        "speed": asked.speed,
        "ended_by": outcome.ended_by,
        "note": " ".join(note for note in notes if note),
        "success": kept and outcome.ended_by in ("done", "duration"),
        "score": lead["score"],
        "success_if": lead["success_if"],
        "machines": machines,
        "timing": outcome.timing,
        "command": command,
        "date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}",
        "versions": versions(),
        "computer": computer(),
    }


def _machine(log: RunLog, name: str, asked: Settings) -> dict[str, Any]:
    station, spec = asked.scenario.machines[name], asked.specs[name]
    score, why = judged(log, name, asked)
    return {
        "machine": spec.name,
        "machine_title": spec.title,
        "task": None if station.task is None else station.task.kind,
        "success_if": {name: bound.model_dump() for name, bound in station.success.items()},
        "score": None if score is None else score.as_dict(),
        "spiking": summary(log),
        "note": why,
    }


def write_result(path: Path, values: dict[str, Any]) -> None:
    """Write ``result.json``; a number that is not finite becomes null."""
    path.write_text(json.dumps(finite(values), indent=1, ensure_ascii=False) + "\n", "utf-8")


def finite(value: Any) -> Any:
    """Return the value with plain Python numbers, and None for what JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def figures_of(values: Array) -> dict[str, float | None]:
    """Return median, 99th percentile and maximum."""
    if not values.size:
        return {"median": None, "p99": None, "max": None}
    median, p99, top = np.percentile(values, [50, 99, 100])
    return {"median": float(median), "p99": float(p99), "max": float(top)}


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    found = {"python": platform.python_version(), "kuwa": _version("kuwa")}
    return found | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@cache
def computer() -> dict[str, Any]:
    """Return what the figures ran on; no names or paths of this computer."""
    cpu = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        memory = float("nan")
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor_time() -> tuple[float, float]:
    """Return how long this computer's processors ran for other guests of its host, and in all [s].

    A computer that is no guest, or does not tell, was never robbed: 0.
    """
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0, 0.0
    ticks = [float(word) / os.sysconf("SC_CLK_TCK") for word in words]
    return ticks[7], sum(ticks)


def command_line() -> str:
    """Return the command as a person typed it, without the path of this checkout."""
    words = [
        word if word.isprintable() and " " not in word else repr(word) for word in sys.argv[1:]
    ]
    return " ".join(["./kuwa", *words])
