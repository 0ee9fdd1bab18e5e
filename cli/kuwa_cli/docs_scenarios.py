"""The reference page of scenario files, from the models that read them and the files there are."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kuwa_cli.scenarios import goal
from kuwa_sim.condition import Condition
from kuwa_sim.scenario import (
    Buried,
    Feature,
    Ground,
    Randomise,
    Scenario,
    Station,
    load_scenario,
    scenario_names,
)
from kuwa_sim.score.figures import FIGURES
from kuwa_sim.tasks import AnyTask

SECTIONS: tuple[type[BaseModel], ...] = (
    Scenario, Ground, Feature, Buried, Randomise, Station, Condition,
)  # fmt: skip


def page(note: str) -> str:
    """Return the page; ``note`` says that it is generated."""
    tasks = get_args(get_args(AnyTask)[0])
    return "\n".join(
        [
            "# Scenarios", "", note,
            "How to write one: [write a scenario](../how-to/write-a-scenario.md). Numbers are",
            "choices, not facts, and carry their unit at the end of their key.", "",
            "## There are", "", *_list(),
            "## Keys", "", *(line for model in SECTIONS for line in _model(model, "###")),
            "## Tasks", "",
            "`kind` says which. `x_m`, `y_m`, `yaw_deg`, `length_m`, `width_m` are a rectangle in",
            "the world; `path_m` a list of points (x, y).", "",
            *(line for task in tasks for line in _model(task, "###")),
            "## Figures", "",
            "What `success` may bound, by family of task, with `at_least` or `at_most`, in SI",
            "units or the unit at the end of the name.", "",
            *_figures(),
        ]
    )  # fmt: skip


def _list() -> Iterator[str]:
    yield "| scenario | what | machines | soil | needs |"
    yield "|---|---|---|---|---|"
    for name in scenario_names():
        scenario = load_scenario(name)
        machines = ", ".join(station.machine for station in scenario.machines.values())
        yield f"| `{name}` | {scenario.title} | {machines} | {scenario.soil} | {goal(scenario)} |"
    yield ""


def _model(model: type[BaseModel], level: str) -> Iterator[str]:
    fields = model.model_fields
    kind = next((get_args(f.annotation)[0] for n, f in fields.items() if n == "kind"), None)
    tool = getattr(model, "tool", None)
    title = f"kind: {kind}" if tool is not None else model.__name__
    yield f"{level} {title}"
    yield ""
    text = inspect.cleandoc(model.__doc__ or "").split("\n\n")
    yield " ".join(text[0].split())
    if tool is not None:
        yield f"Needs a machine with a {tool.__name__}; judged as {model.family}."  # type: ignore[attr-defined]
    yield ""
    yield "| key | default | bounds |"
    yield "|---|---|---|"
    for name, field in fields.items():
        if tool is None or name != "kind":
            yield f"| `{name}` | {_default(field)} | {_bounds(field)} |"
    yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel) or value in ((), {}, "", None):
        return "–"
    return f"{value}"


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    parts = [
        f"{sign} {getattr(item, name):g}"
        for item in field.metadata
        for name, sign in signs.items()
        if getattr(item, name, None) is not None
    ]
    choices = [str(arg) for arg in get_args(field.annotation) if isinstance(arg, str)]
    return ", ".join(parts or choices)


def _figures() -> Iterator[str]:
    for family, table in FIGURES.items():
        yield f"### {family}"
        yield ""
        yield "| figure | what | shown in |"
        yield "|---|---|---|"
        for name, figure in table.items():
            yield f"| `{name}` | {figure.label} | {figure.unit or '–'} |"
        yield ""
