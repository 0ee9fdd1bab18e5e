"""The report of a preflight as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_cli.report.drawing import BENEATH, MEASURED, SOFT, WANTED, drawing
from kuwa_hardware.preflight import Record
from kuwa_hardware.preflight.pulses import Answer
from kuwa_hardware.preflight.results import rules

CSS = (Path(__file__).with_name("report") / "report.css").read_text(encoding="utf-8")
OWN_CSS = """
.checks td, .checks th { width:auto } .checks td:first-child { white-space:nowrap }
.checks .mark { font-weight:650; white-space:nowrap }
.pass .mark { color:var(--good) } .fail .mark { color:var(--bad) } .skipped td { color:var(--soft) }
.remedy { color:var(--bad) } .why { color:var(--soft); font-size:13px }
"""
MARKS = {"pass": "✓", "fail": "✗ failed", "skipped": "– skipped"}


def write_page(
    path: Path, record: Record, traces: Mapping[str, Sequence[Answer]], digest: str
) -> None:
    """Write the page.

    Args:
        traces: joint → its answers, one a direction. digest: of the record.
    """
    parts = [_head(record), _tiles(record), _failures(record)]
    whole = [c for c in record.checks if not c["joint"]]
    parts.append(f'<h2>Machine</h2><div class="card">{_table(whole)}</div>')
    for joint in dict.fromkeys(c["joint"] for c in record.checks if c["joint"]):
        of = [c for c in record.checks if c["joint"] == joint]
        parts.append(f"<h2>{escape(_plain(joint))}</h2>")
        if joint in traces:
            svg = motion_figure(traces[joint])
            parts.append(
                f'<div class="card" style="margin-bottom:10px"><figure>{svg[svg.index("<svg") :]}'
                "<figcaption>Broad: the model of the machine's file under the command as the gate "
                "let it pass. Narrow: measured. Line: where the model begins to move."
                "</figcaption></figure></div>"
            )
        parts.append(f'<div class="card">{_table(of)}</div>')
    parts.append(_foot(record, digest))
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(record.machine)} · preflight</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{CSS}{OWN_CSS}</style><main>{''.join(parts)}</main></html>\n",
        encoding="utf-8",
    )


def motion_figure(answers: Sequence[Answer]) -> str:
    """Command, and way measured and modelled, for each direction."""
    with drawing(10.2, 2.9) as (figure, out):
        axes = figure.subplots(2, len(answers), sharex="col", height_ratios=(1, 2.6), squeeze=False)
        for k, answer in enumerate(answers):
            top, ax = axes[0, k], axes[1, k]
            top.plot(answer.t, answer.command, color=SOFT, drawstyle="steps-post")
            top.set_title("There" if k == 0 else "And back")
            top.set_ylabel("command")
            ax.plot(answer.t, np.degrees(answer.model), **BENEATH, label="model")
            ax.plot(answer.t, np.degrees(answer.measured), color=MEASURED, linewidth=0.9,
                    label="measured")  # fmt: skip
            moved = np.flatnonzero(np.abs(answer.model) > 0.02 * np.abs(answer.model).max())
            if moved.size:
                ax.axvline(float(answer.t[moved[0]]), color=WANTED, linewidth=0.8)
            ax.set_ylabel("way [°]")
            ax.set_xlabel("since the command [s]")
        axes[1, 0].legend(loc="best")
    return out[0]


def _head(record: Record) -> str:
    bad = len(record.failed)
    if record.broken_off:
        kind, word = "open", "broken off"
    else:
        kind, word = ("bad", f"{bad} failed") if bad else ("good", "passed")
    bus = f" on {escape(record.bus)}" if record.bus else ""
    broken = f"<p>Broken off: {escape(record.broken_off)}.</p>" if record.broken_off else ""
    return (
        f"<header><h1>Preflight of {escape(record.machine)}</h1>"
        f'<span class="badge {kind}">{word}</span></header>'
        f'<p class="soft">Driver {escape(record.kind)}{bus}, by {escape(record.who)}, '
        f"{record.date}; counts for {record.hours:g} h.</p>{broken}"
    )


def _tiles(record: Record) -> str:
    tiles = []
    for joint in dict.fromkeys(c["joint"] for c in record.checks if c["check"] == "scale"):
        of = {c["check"]: c for c in record.checks if c["joint"] == joint}
        scale, dead = of["scale"], of.get("dead_time", {})
        failed = any(c["verdict"] == "fail" for c in of.values())
        value = "–" if scale["value"] is None else f"{scale['value']:.2f} ×"
        late = f"{escape(str(dead.get('measured', '–')))}"
        tiles.append(
            f'<div class="card tile{" no" if failed else ""}"><b>{value} <small>{late}</small></b>'
            f"<span>{escape(_plain(joint))}: way over the model's, dead time</span></div>"
        )
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _failures(record: Record) -> str:
    if not record.failed:
        return ""
    items = "".join(
        f"<p><b>{escape(_plain(c['joint']) + ': ' if c['joint'] else '')}"
        f"{escape(_title(c))}</b> {escape(c['measured'])}, expected {escape(c['expected'])}. "
        f'<span class="remedy">{escape(c["remedy"])}</span></p>'
        for c in record.failed
    )
    return f'<h2>To mend</h2><div class="card">{items}</div>'


def _table(checks: Sequence[dict[str, Any]]) -> str:
    rows = "".join(
        f'<tr class="{c["verdict"]}"><td>{escape(_title(c))}</td>'
        f'<td class="mark">{MARKS[c["verdict"]]}</td>'
        + (
            f'<td colspan="3">{escape(c["reason"])}</td></tr>'
            if c["verdict"] == "skipped"
            else f"<td>{escape(c['measured'])}</td><td>{escape(c['expected'])}</td>"
            f'<td>{escape(c["tolerance"])}<div class="why">{escape(c["reason"])}</div></td></tr>'
        )
        for c in checks
    )
    head = "".join(f"<th>{word}</th>" for word in ("", "", "measured", "expected", "tolerance"))
    return f'<table class="checks"><tr>{head}</tr>{rows}</table>'


def _foot(record: Record, digest: str) -> str:
    return (
        f'<p class="soft" style="margin-top:26px">Record <code>{digest}</code>, of the machine\'s '
        f"data <code>{record.spec_hash}</code>.</p>"
    )


def _title(check: dict[str, Any]) -> str:
    table = rules()
    name = check["check"]
    return table[name].title if name in table else name


def _plain(name: str) -> str:
    return name.removesuffix("_joint").replace("_", " ").capitalize()
