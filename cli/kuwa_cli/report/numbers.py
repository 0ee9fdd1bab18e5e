"""The numbers of a report: tiles with the most important ones, and tables of all."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from kuwa_cli.runlog import RunLog
from kuwa_sim.scenario import Bound
from kuwa_sim.score.figures import FIGURES, Figure

RUN = (
    "command", "mode", "ended_by", "seed", "scenario", "machine", "controller", "restored",
)  # fmt: skip
UNITS = {
    "_kwh_m3": "kWh/m³", "_kwh_ha": "kWh/ha", "_km_h": "km/h", "_m3_h": "m³/h", "_m3": "m³",
    "_kwh": "kWh", "_ms": "ms", "_hz": "Hz", "_gib": "GiB", "_m": "m", "_s": "s",
}  # fmt: skip
"""Units at the end of names, longest first."""
TILES = (
    "rmse_m", "volume_moved_m3", "fill_factor", "delivered_m3", "cross_track_sd_m", "speed_km_h",
    "slip", "cycle_mean_s", "rate_m3_h", "energy_per_volume_kwh_m3", "energy_kwh",
    "limit_violations",
)  # fmt: skip
"""Figures that get a tile of their own beside those that success depends on."""


def tiles(result: dict[str, Any]) -> str:
    """Return each machine's most important figures."""
    several = len(result["machines"]) > 1
    parts: list[str] = []
    for name, machine in result["machines"].items():
        if several:
            parts.append(f"<h2>{escape(name)}: {escape(machine['machine_title'])}</h2>")
        if machine["score"] is not None:
            parts.append(f'<div class="tiles">{_score_tiles(machine)}</div>')
        elif machine["task"] is not None:
            words = machine["note"] or result["note"] or "This run has no score."
            parts.append(f'<p class="card">{escape(words)}</p>')
    factor = _number(result["timing"].get("real_time_factor"), 2)
    tile = _tile(factor, "×", "real time")
    if parts and not several and parts[-1].endswith("</div>"):
        parts[-1] = parts[-1].removesuffix("</div>") + tile + "</div>"
    else:
        parts.append(f'<div class="tiles">{tile}</div>')
    return "".join(parts)


def _score_tiles(machine: dict[str, Any]) -> str:
    score, need = machine["score"], machine["success_if"]
    table = FIGURES[score["family"]]
    shown = [*need, *(name for name in TILES if name in table and name not in need)]
    shown_tiles = []
    for name in shown:
        figure, value = table[name], score.get(name)
        if value is None and name not in need:
            continue
        words, good = figure.label, True
        if name in need:
            bound = Bound(**need[name])
            good = bound.holds(value)
            words += f" (needs {needed(figure, bound)})"
        shown_tiles.append(_tile(figure.text(value), figure.unit, words, good))
    return "".join(shown_tiles)


def needed(figure: Figure, bound: Bound) -> str:
    """Return a bound in the unit in which its figure is shown."""
    limit = bound.at_least if bound.at_least is not None else bound.at_most
    sign = "≥" if bound.at_least is not None else "≤"
    return f"{sign} {figure.text(limit)} {figure.unit}".rstrip()


def _tile(value: str, unit: str, words: str, good: bool = True) -> str:
    return (
        f'<div class="card tile{"" if good else " no"}"><b>{value} <small>{escape(unit)}</small>'
        f"</b><span>{escape(words)}</span></div>"
    )


def numbers(result: dict[str, Any], log: RunLog) -> str:
    """Return tables of every figure, and what the gate said."""
    timing = _flat(result["timing"])
    several = len(result["machines"]) > 1
    scores = [
        (f"Score of {name}" if several else "Score", machine["score"] or {})
        for name, machine in result["machines"].items()
    ]
    spiking = [
        (f"Neurons of {name}" if several else "Neurons", _flat(machine.get("spiking") or {}))
        for name, machine in result["machines"].items()
    ]
    tables = [
        *scores, *spiking, ("Timing", timing),
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
