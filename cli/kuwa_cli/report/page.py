"""The report as one HTML file that needs nothing beside it: film and figures are inside."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from kuwa_cli.report import figures
from kuwa_cli.report.drawing import phase_legend
from kuwa_cli.report.ground import error_figure, ground_figure, load_figure, section_figure
from kuwa_cli.report.numbers import numbers, tiles
from kuwa_cli.report.runs import MachineRun, Runs
from kuwa_cli.report.spiking import spiking_caption, spiking_figure
from kuwa_cli.report.ways import along_figure, furrow_figure, haul_figure, heap_figure, way_figure
from kuwa_machines.contracts import Array
from kuwa_machines.spec import Plough
from kuwa_sim.tasks import FAMILY

Drawing = Callable[[MachineRun], str]

MAX_EMBEDDED = 24_000_000
"""A larger film stays beside the page [bytes]."""

SEEN = (
    "Seen from above. Blue: the task's rectangle and way; × the place for the spoil; + a machine "
    "at the start; thin: where it went."
)
ENOUGH = 20
"""Fewer recorded instants than this make no figures of work."""
WORK: dict[str, tuple[tuple[Drawing, str, type | None], ...]] = {
    "earthwork": (
        (section_figure, "Cuts through the ground before and after.", None),
        (error_figure, "Inside the rectangle only.", None),
        (load_figure, "", None),
    ),
    "haul": (
        (haul_figure, "Bands show what the planner was doing.", None),
        (heap_figure, "The circle holds what counts as brought to its place.", None),
    ),
    "guidance": (
        (way_figure, "", None),
        (along_figure, "Green: where the score looks; ends and turns are left out.", None),
        (furrow_figure, "The line is the depth that was asked for.", Plough),
    ),
}
"""Figures of a machine's work by family of tasks: how to draw, caption, for which tools only."""
CSS = Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def write_page(
    path: Path,
    result: dict[str, Any],
    runs: Runs,
    panels: list[tuple[str, str, Array, float | None]],
) -> None:
    """Write the page.

    Args:
        result: as in ``result.json``.
        runs: of all machines, the lead first.
        panels: timing histograms, see :func:`figures.timing_figure`.
    """
    lead, several = next(iter(runs.values())), len(runs) > 1
    parts = [_head(result), tiles(result), _pictures(path.parent, result)]
    moved = {name: run for name, run in runs.items() if len(run.log.state)}
    if lead.name in moved and lead.log.terrain.start is not None:
        parts.append(_section("Ground", [(ground_figure(moved), SEEN)]))
        for run in moved.values():
            title = f"Work of {run.name}" if several else "Work"
            drawings = [(draw(run), caption) for draw, caption in work_drawings(run)]
            if drawings:
                parts.append(_section(title, drawings))
    for run in runs.values():
        parts.append(_inside(run, f"{run.name}: " if several else ""))
    if any(values.size for _, _, values, _ in panels):
        parts.append(_section("Timing", [
            (figures.timing_figure(panels), "Counts on a logarithmic axis; the line marks the "
             "period."),
        ]))  # fmt: skip
    parts.append(numbers(result, lead.log))
    title = escape(f"{result['scenario']} · {result['machine']} · seed {result['seed']}")
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{CSS}</style><main>{''.join(parts)}</main></html>\n",
        encoding="utf-8",
    )


def work_drawings(run: MachineRun) -> list[tuple[Drawing, str]]:
    """Return the figures that tell of a machine's work, with their captions."""
    log, task = run.log, run.task
    if task is None or len(log.state) < ENOUGH or not len(log.hydraulics):
        return []
    family = FAMILY[task.kind]
    if family != "earthwork" and not len(log.truth):
        return []
    return [
        (draw, caption)
        for draw, caption, tool in WORK[family]
        if tool is None or isinstance(run.spec.tool, tool)
    ]


def _inside(run: MachineRun, whose: str) -> str:
    """Return the sections on joints, commands and hydraulics of one machine."""
    log, parts = run.log, []
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in phase_legend(log)
    )
    if len(log.state):
        parts.append(_section(whose + "Joints", [
            (figures.joint_figure(log, run.spec), "Bands show what the planner was doing."),
        ], f'<div class="legend">{legend}</div>'))  # fmt: skip
    if len(log.request) and len(log.applied):
        parts.append(_section(whose + "Commands", [
            (figures.command_figure(log), "Valve commands, 1 is full spool; positive moves the "
             "joint positively."),
        ]))  # fmt: skip
    if len(log.spikes) >= ENOUGH:
        parts.append(_section(whose + "Spiking controller", [
            (spiking_figure(log), spiking_caption(log)),
        ]))  # fmt: skip
    if len(log.hydraulics):
        parts.append(_section(whose + "Hydraulics", [(figures.hydraulics_figure(log), "")]))
    return "".join(parts)


def _head(result: dict[str, Any]) -> str:
    kind, word = verdict(result)
    how = {"ros": "through ROS 2, in real time", "lockstep": "in lock-step, without ROS"}
    return (
        f"<header><h1>{escape(result['title'])}</h1>"
        f'<span class="badge {kind}">{escape(word)}</span></header>'
        f'<p class="soft">{escape(result["machine_title"])} on {escape(result["soil"])}, '
        f"controller {escape(result['controller'])}"
        f"{' with what it learnt before' if result['restored'] else ''}, "
        f"seed {result['seed']}, {how[result['mode']]}. {escape(result['date'])}</p>"
    )


def verdict(result: dict[str, Any]) -> tuple[str, str]:
    """Return (class, word) for how the run ended."""
    if result["ended_by"] not in ("done", "duration"):
        return "open", "interrupted" if result["ended_by"] == "interrupt" else "broken off"
    score = result["score"]
    if score is None:
        return "open", "no score"
    if score["success"]:
        return "good", "success"
    return "bad", "not reached"


def _pictures(folder: Path, result: dict[str, Any]) -> str:
    film, poster = folder / "film.mp4", folder / "at_work.jpg"
    parts = []
    if film.exists():
        source = film.name if film.stat().st_size > MAX_EMBEDDED else _data(film, "video/mp4")
        shown = f' poster="{_data(poster, "image/jpeg")}"' if poster.exists() else ""
        parts.append(f'<video controls loop muted playsinline{shown} src="{source}"></video>')
    stills = [folder / f"{name}.jpg" for name in ("before", "after")]
    if all(still.exists() for still in stills):
        images = "".join(
            f'<img src="{_data(still, "image/jpeg")}" alt="the ground {still.stem}">'
            for still in stills
        )
        parts.append(f'<div class="stills">{images}</div>')
    if not parts and result.get("no_film"):
        parts.append(f'<p class="card soft">No film: {escape(result["no_film"])}</p>')
    return "".join(parts)


def _section(title: str, drawings: list[tuple[str, str]], before: str = "") -> str:
    body = "".join(
        f"<figure>{_svg(svg)}<figcaption>{escape(caption)}</figcaption></figure>"
        for svg, caption in drawings
    )
    return f'<h2>{escape(title)}</h2><div class="card">{before}{body}</div>'


def _svg(svg: str) -> str:
    """Return the drawing without its XML head, which HTML does not take."""
    return svg[svg.index("<svg") :]


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
