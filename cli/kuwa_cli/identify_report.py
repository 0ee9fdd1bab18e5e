"""The report of an identification as one HTML file that needs nothing beside it."""

from __future__ import annotations

from html import escape
from pathlib import Path

from kuwa_cli import identify_figures as figures
from kuwa_machines.spec import MachineSpec
from kuwa_policies.identification import Estimate, FunctionResult, Identification
from kuwa_policies.identification.model import prior
from kuwa_policies.identification.parameter_file import FORM, in_unit

CSS = (Path(__file__).with_name("report") / "report.css").read_text(encoding="utf-8")
OWN_CSS = """
.found td, .found th { width:auto; white-space:nowrap } .found td:last-child { white-space:normal }
.found .kept td { color:var(--soft) }
"""
WORDS = {
    "dead_time": "dead time",
    "dead_band": "dead band",
    "curve": "curve's exponent",
    "time_constant": "lag (time constant)",
    "max_flow_positive": "flow at full command, positive",
    "max_flow_negative": "flow at full command, negative",
    "leakage": "leakage",
}


def write_page(path: Path, found: Identification, spec: MachineSpec) -> None:
    """Write the page."""
    claimed = dict(zip(found.functions, prior(spec), strict=True))
    parts = [_head(found, spec), _tiles(found)]
    for name, function in found.functions.items():
        parts.append(f"<h2>{escape(_plain(name))}</h2>")
        parts.append(f'<div class="card">{_table(function)}</div>')
        if len(function.trace):
            drawings = [
                (figures.detail_figure(function, claimed[name]), "Band and line in the last: the "
                 "dead time of the fit and its interval. Inertia on soft oil answers late, so that "
                 "the first look is near it, not at it."),
                (figures.motion_figure(function), "The longest stretch of the "
                 f"{function.seconds:.0f} s that the fit used; each 4 s of position are compared "
                 "about their own mean."),
            ]  # fmt: skip
            parts.append(_card(drawings))
        if function.estimates["leakage"].identified and len(function.drift):
            parts.append(_card([(figures.drift_figure(function), "Each hold with its interval.")]))
    if len(found.combined):
        parts.append("<h2>All together</h2>")
        parts.append(_card([(figures.combined_figure(found), "Several functions at once share the "
                             "pump. No fit has seen this stretch; the model runs freely from its "
                             "start.")]))  # fmt: skip
    title = escape(f"{spec.name} · identified from {found.source}")
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{CSS}{OWN_CSS}</style><main>{''.join(parts)}</main></html>\n",
        encoding="utf-8",
    )


def _head(found: Identification, spec: MachineSpec) -> str:
    told = sum(e.identified for f in found.functions.values() for e in f.estimates.values())
    asked = len(found.functions) * len(FORM)
    remarks = "".join(f"<p>{escape(remark)}.</p>" for remark in found.remarks)
    kind = "good" if told == asked else "open"
    return (
        f"<header><h1>What the valves of {escape(spec.name)} do</h1>"
        f'<span class="badge {kind}">{told} of {asked} numbers</span></header>'
        f'<p class="soft">{escape(spec.title)}; {found.seconds:.0f} s of '
        f"{escape(found.source)}. Intervals are 95 %.</p>{remarks}"
    )


def _tiles(found: Identification) -> str:
    tiles = []
    for name, function in found.functions.items():
        dead_time, lag = function.estimates["dead_time"], function.estimates["time_constant"]
        value = f"{1e3 * dead_time.value:.0f} <small>ms + {1e3 * lag.value:.0f} ms</small>"
        told = dead_time.identified and lag.identified
        words = "dead time and lag" if told else "as in the data file: not told by the log"
        tiles.append(
            f'<div class="card tile{"" if told else " no"}"><b>{value}</b>'
            f"<span>{escape(_plain(name))}: {words}</span></div>"
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _table(function: FunctionResult) -> str:
    head = "".join(f"<th>{word}</th>" for word in ("", "found", "interval", "data file", ""))
    rows = "".join(_row(key, estimate) for key, estimate in function.estimates.items())
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in function.remarks)
    fit = ""
    if function.seconds:
        share = f"{100 * function.explained:.3f} %"
        fit = f'<p class="soft">The model explains {share} of the motion.</p>'
    return f'{remarks}<table class="found"><tr>{head}</tr>{rows}</table>{fit}'


def _row(key: str, estimate: Estimate) -> str:
    unit = "" if FORM[key][1] == "1" else FORM[key][1].replace("percent", "%")
    value, low, high, claimed = (
        f"{in_unit(key, x):.4g}"
        for x in (estimate.value, estimate.low, estimate.high, estimate.prior)
    )
    if not estimate.identified:
        cells = ("–", "–", f"{claimed} {unit}", f"kept: {estimate.remark}")
        return f'<tr class="kept"><td>{WORDS[key]}</td>{_cells(cells)}</tr>'
    cells = (f"{value} {unit}", f"{low} to {high}", f"{claimed} {unit}", "")
    return f"<tr><td>{WORDS[key]}</td>{_cells(cells)}</tr>"


def _cells(texts: tuple[str, ...]) -> str:
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def _card(drawings: list[tuple[str, str]]) -> str:
    body = "".join(
        f"<figure>{svg[svg.index('<svg') :]}<figcaption>{escape(caption)}</figcaption></figure>"
        for svg, caption in drawings
    )
    return f'<div class="card" style="margin-top:10px">{body}</div>'


def _plain(name: str) -> str:
    return name.removesuffix("_joint").replace("_", " ").capitalize()
