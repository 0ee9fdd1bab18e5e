"""The report as one HTML file that needs nothing beside it: film and figures are inside."""

from __future__ import annotations

import base64
import json
from html import escape
from pathlib import Path
from typing import Any

from kuwa_cli.report import figures
from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Array, Task
from kuwa_machines.spec import MachineSpec
from kuwa_sim.scenario import Bound
from kuwa_sim.score.figures import FIGURES

MAX_EMBEDDED = 24_000_000
"""A larger film stays beside the page [bytes]."""

RUN = ("command", "mode", "ended_by", "seed", "scenario", "machine")
UNITS = {
    "_kwh_m3": "kWh/m³", "_m3_h": "m³/h", "_m3": "m³", "_kwh": "kWh", "_ms": "ms", "_hz": "Hz",
    "_gib": "GiB", "_m": "m", "_s": "s",
}  # fmt: skip
"""Units at the end of names, longest first."""
TILES = (
    "rmse_m", "volume_moved_m3", "fill_factor", "delivered_m3", "cross_track_sd_m", "speed_km_h",
    "slip", "cycle_mean_s", "rate_m3_h", "energy_per_volume_kwh_m3", "energy_kwh",
    "limit_violations",
)  # fmt: skip
"""Figures that get a tile of their own beside those that success depends on."""
CSS = Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def write_page(
    path: Path,
    result: dict[str, Any],
    log: RunLog,
    spec: MachineSpec,
    task: Task | None,
    panels: list[tuple[str, str, Array, float | None]],
) -> None:
    """Write the page.

    Args:
        result: as in ``result.json``.
        panels: timing histograms, see :func:`figures.timing_figure`.
    """
    folder = path.parent
    parts = [_head(result), _tiles(result), _pictures(folder, result)]
    if task is not None and log.terrain.start is not None:
        drawings = [
            (figures.ground_figure(log, task), "Seen from above. Blue: the task's rectangle or "
             "way; × the place for the spoil; + the machine at the start."),
        ]  # fmt: skip
        if not task.path:
            drawings += [
                (figures.section_figure(log, task), "Cuts through the ground before and after."),
                (figures.error_figure(log, task), "Inside the rectangle only."),
            ]
        parts.append(_section("Ground", drawings))
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in figures.phase_legend(log)
    )
    if len(log.state):
        parts.append(_section("Joints", [
            (figures.joint_figure(log, spec), "Bands show what the planner was doing."),
        ], f'<div class="legend">{legend}</div>'))  # fmt: skip
    if len(log.request) and len(log.applied):
        parts.append(_section("Commands", [
            (figures.command_figure(log), "Valve commands, 1 is full spool; positive moves the "
             "joint positively."),
        ]))  # fmt: skip
    if len(log.hydraulics):
        parts.append(_section("Hydraulics", [(figures.hydraulics_figure(log), "")]))
    if any(values.size for _, _, values, _ in panels):
        parts.append(_section("Timing", [
            (figures.timing_figure(panels), "Counts on a logarithmic axis; the line marks the "
             "period."),
        ]))  # fmt: skip
    parts.append(_numbers(result, log))
    title = escape(f"{result['scenario']} · {result['machine']} · seed {result['seed']}")
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{CSS}</style><main>{''.join(parts)}</main></html>\n",
        encoding="utf-8",
    )


def _head(result: dict[str, Any]) -> str:
    kind, word = verdict(result)
    how = {"ros": "through ROS 2, in real time", "lockstep": "in lock-step, without ROS"}
    return (
        f"<header><h1>{escape(result['title'])}</h1>"
        f'<span class="badge {kind}">{escape(word)}</span></header>'
        f'<p class="soft">{escape(result["machine_title"])} on {escape(result["soil"])}, '
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


def _tiles(result: dict[str, Any]) -> str:
    several = len(result["machines"]) > 1
    parts = []
    for name, machine in result["machines"].items():
        head = f"<h2>{escape(name)}: {escape(machine['machine_title'])}</h2>" if several else ""
        if machine["score"] is not None:
            parts.append(head + _score_tiles(machine))
        elif machine["task"] is not None:
            words = machine["note"] or result["note"] or "This run has no score."
            parts.append(f'{head}<p class="card">{escape(words)}</p>')
    factor = _number(result["timing"].get("real_time_factor"), 2)
    parts.append(f'<div class="tiles">{_tile(factor, "×", "real time")}</div>')
    return "".join(parts)


def _score_tiles(machine: dict[str, Any]) -> str:
    score, need = machine["score"], machine["success_if"]
    table = FIGURES[score["family"]]
    shown = [*need, *(name for name in TILES if name in table and name not in need)]
    tiles = []
    for name in shown:
        figure, value = table[name], score.get(name)
        if value is None and name not in need:
            continue
        words, good = figure.label, True
        if name in need:
            bound = Bound(**need[name])
            good = bound.holds(value)
            limit = bound.at_least if bound.at_least is not None else bound.at_most
            sign = "≥" if bound.at_least is not None else "≤"
            words += f" (needs {sign} {figure.text(limit)} {figure.unit}".rstrip() + ")"
        tiles.append(_tile(figure.text(value), figure.unit, words, good))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tile(value: str, unit: str, words: str, good: bool = True) -> str:
    return (
        f'<div class="card tile{"" if good else " no"}"><b>{value} <small>{escape(unit)}</small>'
        f"</b><span>{escape(words)}</span></div>"
    )


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


def _numbers(result: dict[str, Any], log: RunLog) -> str:
    score = result["score"] or {}
    timing = _flat(result["timing"])
    tables = [
        ("Score", score), ("Timing", timing),
        ("Run", {k: result[k] for k in RUN}),
        ("Computer and versions", result["computer"] | result["versions"]),
    ]  # fmt: skip
    cards = "".join(
        f'<div class="card"><b>{escape(title)}</b><table>{_rows(values)}</table></div>'
        for title, values in tables
        if values
    )
    events = "".join(
        f"<tr><th>{t:.2f} s</th><td>{escape(text)}</td></tr>" for t, text in log.events[:200]
    )
    more = (
        f"<details><summary>Events ({len(log.events)})</summary><table>{events}</table></details>"
    )
    return f'<h2>Numbers</h2><div class="two">{cards}</div>{more if events else ""}'


def _rows(values: dict[str, Any]) -> str:
    row = "<tr><th>{}</th><td><code>{}</code></td></tr>"
    return "".join(
        row.format(escape(_label(name)), escape(_text(value))) for name, value in values.items()
    )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested figures side by side; lists and histograms are for programs."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("histogram", "count"):
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name} ")
        elif not isinstance(value, list):
            flat[prefix + name] = value
    return flat


def _label(name: str) -> str:
    """Return e.g. ``"rate_m3_h"`` as ``"rate [m³/h]"``."""
    for suffix, unit in UNITS.items():
        if suffix + " " in name:
            return f"{name.replace(suffix + ' ', ' ')} [{unit}]".replace("_", " ")
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)} [{unit}]".replace("_", " ")
    return name.replace("_", " ")


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
