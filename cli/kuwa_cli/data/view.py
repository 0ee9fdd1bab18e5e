"""``kuwa data view``: one page to look at a data set, that needs nothing beside it."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from kuwa_cli.data.change import chosen
from kuwa_cli.data.info import info
from kuwa_cli.data.opening import DataError, open_set, whole
from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets import Dataset, Episode
from kuwa_policies.datasets.doctor import CHECKS, Report, examine
from kuwa_policies.datasets.doctor.subject import Subject, known_of, subject_of
from kuwa_policies.datasets.features import (
    ACTION,
    COLUMNS,
    IMAGES,
    INTERVENTION,
    STATE,
    interventions,
)

SHOWN = 12
"""Episodes that the page shows one by one if nobody says which."""
MAX_VIDEO = 12_000_000
"""A larger video is named, not embedded [B]."""
MARK = '<meta name="generator" content="kuwa data view">'
"""By which a page is known again, that may be made anew."""
WORDS = {True: ("good", "success"), False: ("bad", "failure"), None: ("open", "no label")}
CSS = (Path(__file__).parents[1] / "report" / "report.css").read_text(encoding="utf-8")
MORE_CSS = """
summary { font-size:15px; color:var(--ink); padding:4px 0 } summary .badge { margin:0 8px }
.videos { display:grid; grid-template-columns:repeat(auto-fit,minmax(300px,1fr)); gap:10px;
  margin:10px 0 } .videos figure { margin:0 } .videos video { max-width:560px }
.tiles { grid-template-columns:repeat(auto-fill,minmax(150px,1fr)) }
.scroll { overflow-x:auto } .scroll table { font-size:13px } .scroll td { text-align:right;
  white-space:nowrap } .scroll th { width:auto; white-space:nowrap } .scroll td:first-child,
.scroll th:first-child { text-align:left }
"""


def command(
    dataset: Path = typer.Argument(..., help="Folder of the data set."),
    out: Path = typer.Option(None, help="Page to write. [default: NAME.html beside the set]"),
    episodes: str = typer.Option("", "-e", "--episodes", help="Shown one by one: 0-9,12, ^3."),
    quick: bool = typer.Option(False, "--quick", help="Do not decode the videos to check them."),
    as_json: bool = typer.Option(False, "--json", help="Print the page's path as JSON."),
) -> None:
    """Write a page with videos, plots, statistics and what the doctor finds.

    One HTML file that needs nothing beside it and asks nothing of the network.
    """
    found = open_set(dataset)
    which = chosen(episodes, len(found.episodes))
    if not episodes and len(which) > SHOWN:
        # From the whole set, not only from its beginning.
        which = sorted({round(k) for k in np.linspace(0, len(which) - 1, SHOWN)})
    if not which:
        raise DataError("--episodes: none is left to be shown")
    target = out or found.folder.with_name(f"{found.folder.name}.html")
    # A page is made anew as often as one likes; anything else is not overwritten.
    if target.suffix != ".html":
        raise DataError(f"--out {target}: give a name that ends in .html")
    if target.expanduser().is_file() and not _is_page(target.expanduser()):
        raise DataError(f"--out {target}: is there already and no page of this verb; give another")
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("  {task.description}"), BarColumn(28), MofNCompleteColumn())
    with (
        Progress(*columns, console=console, transient=True) as bar,
        whole(target, anew=True) as beside,
    ):
        line = bar.add_task("examining", total=len(found.episodes))
        report = examine(
            found, decode=not quick, progress=lambda done: bar.update(line, completed=done)
        )
        line = bar.add_task("drawing", total=len(which))
        page = render(found, report, which, lambda: bar.advance(line))
        beside.write_text(page, encoding="utf-8")
    console.print(f"  {target}", soft_wrap=True)
    if as_json:
        print(json.dumps({"page": str(target), "findings": len(report.findings)}))


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(10_000)


def render(dataset: Dataset, report: Report, which: list[int], tick: Callable[[], None]) -> str:
    """Return the page."""
    from kuwa_cli.data.view_figures import episode_figure, lengths_figure, use_figure

    values = info(dataset)
    known = known_of(dataset)
    parts = [_head(dataset, report), _tiles(values, report), _findings(report)]
    parts.append(_section("Episodes at a glance", [(lengths_figure(dataset), GLANCE)]))
    gathered: list[Subject] = []
    shown: list[str] = []
    for index in which:
        try:
            columns = dataset.episode(index)
            subject = subject_of(dataset, index, columns, known)
        except KuwaError as error:
            shown.append(_broken(dataset.episodes[index], str(error)))
            tick()
            continue
        # From the frames: of a set from before, the notes do not say.
        driven = interventions(columns.get(INTERVENTION, np.zeros(0, np.int64)))
        figure = ""
        if subject.q.size and subject.action.size:
            gathered.append(subject)
            figure = episode_figure(subject, driven["intervals"])
        first = index == which[0]
        shown.append(_episode(dataset, index, figure, driven, report, first=first))
        tick()
    if gathered:
        q, qd, action = (
            np.concatenate([getattr(s, name) for s in gathered]) for name in ("q", "qd", "action")
        )
        parts.append(_section("What the joints do", [(use_figure(known, q, qd, action), USE)]))
    more = len(dataset.episodes) - len(which)
    note = f'<p class="soft">{more} more are not shown; -e picks others.</p>' if more else ""
    parts.append(f"<h2>Episodes one by one</h2>{note}{''.join(shown)}")
    parts.append(_statistics(dataset))
    parts.append(_facts(dataset, values))
    title = escape(f"{dataset.folder.name} · {dataset.robot_type}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{MARK}<style>{CSS}{MORE_CSS}</style><main>{''.join(parts)}</main></html>\n"
    )


GLANCE = "Green: success, red: failure, brown: no label."
USE = (
    "Left: how often each share of the maximum velocity was asked for and measured, on a "
    "logarithmic axis. Right: where the joints were. Of the episodes shown below."
)


def _head(dataset: Dataset, report: Report) -> str:
    bad = len(report.findings)
    kind, word = ("good", "nothing found") if not bad else ("bad", f"{bad} findings")
    tasks = list(dict.fromkeys(t for episode in dataset.episodes for t in episode.tasks))
    text = "; ".join(tasks[:4]) + (" …" if len(tasks) > 4 else "")
    return (
        f"<header><h1>{escape(dataset.folder.name)}</h1>"
        f'<span class="badge {kind}">{escape(word)}</span></header>'
        f'<p class="soft">{escape(dataset.robot_type)}: {escape(text)}</p>'
    )


def _tiles(values: dict[str, Any], report: Report) -> str:
    labelled = values["successes"] + values["failures"]
    share = f"{100 * values['successes'] / labelled:.0f} <small>%</small>" if labelled else "–"
    bad = len({f.episode for f in report.findings if f.episode >= 0})
    minutes = values["seconds"] / 60
    cells = [
        (f"{values['episodes']}", "episodes" if values["episodes"] > 1 else "episode", False),
        (f"{minutes:.1f} <small>min</small>", "of demonstrations", False),
        (share, f"success, of {labelled} with a label", False),
        (f"{values['frames']:,}".replace(",", " "), f"frames at {values['fps']}/s", False),
        (f"{values['bytes'] / 1e6:.1f} <small>MB</small>", "on the disk", False),
        (str(bad), "episodes with findings", bad > 0),
    ]
    body = "".join(
        f'<div class="card tile{" no" if no else ""}"><b>{big}</b>'
        f"<span>{escape(small)}</span></div>"
        for big, small, no in cells
    )
    return f'<div class="tiles">{body}</div>'


def _findings(report: Report) -> str:
    if report.healthy:
        return (
            f'<p class="card soft">The doctor looked for {len(CHECKS)} kinds of defects in '
            f"{report.episodes} episodes and found none.</p>"
        )
    rows = "".join(
        f"<tr><th>{escape(CHECKS[f.code].title)}</th><td>{escape(f.words)}<br>"
        f'<span class="soft">{escape(CHECKS[f.code].remedy)}</span></td></tr>'
        for f in report.findings[:60]
    )
    return f'<h2>What the doctor found</h2><div class="card"><table>{rows}</table></div>'


def _episode(
    dataset: Dataset, index: int, figure: str, driven: dict[str, Any], report: Report, first: bool
) -> str:
    episode = dataset.episodes[index]
    kind, word = WORDS[episode.success]
    seconds = episode.length / dataset.fps
    lines = [escape(f.words) for f in report.of(index)]
    lines += [f"missed: {escape(str(text))}" for text in episode.notes.get("missed", [])]
    if count := driven["count"]:
        long = driven["frames"] / dataset.fps
        times = "once" if count == 1 else f"{count} times"
        lines.append(f"the operator took over from the planner {times}, {long:.1f} s: shaded")
    told = "".join(f'<p class="soft">{line}</p>' for line in lines)
    body = _videos(dataset, episode) + told
    if figure:
        body += f"<figure>{figure[figure.index('<svg') :]}</figure>"
    body += _notes(episode)
    return (
        f'<details class="card" {"open" if first else ""}><summary>Episode {index}'
        f'<span class="badge {kind}">{word}</span>'
        f'<span class="soft">{seconds:.1f} s · {escape("; ".join(episode.tasks))}</span></summary>'
        f"{body}</details>"
    )


def _broken(episode: Episode, text: str) -> str:
    return f'<div class="card"><b>Episode {episode.index}</b> {escape(text)}</div>'


def _videos(dataset: Dataset, episode: Episode) -> str:
    cells = []
    for name, (path, start) in episode.videos.items():
        file, camera = dataset.folder / path, name.removeprefix(IMAGES)
        if not file.is_file() or file.stat().st_size > MAX_VIDEO:
            cells.append(f'<p class="soft">{escape(camera)}: {escape(path)}</p>')
            continue
        code = base64.b64encode(file.read_bytes()).decode()
        begin = f"#t={start:g},{start + episode.length / dataset.fps:g}"
        cells.append(
            f'<figure><video controls loop muted playsinline preload="metadata" '
            f'src="data:video/mp4;base64,{code}{begin if start else ""}"></video>'
            f"<figcaption>{escape(camera)}</figcaption></figure>"
        )
    return f'<div class="videos">{"".join(cells)}</div>' if cells else ""


def _notes(episode: Episode) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in _flat(episode.notes)
    )
    if not rows:
        return ""
    return f"<details><summary>Notes</summary><table>{rows}</table></details>"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (name, text) of what a person may want to read; not what only a replay needs."""
    for name, value in values.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if name == "simulation" or name.endswith("sha256") or value in (None, "", [], {}):
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{label}: ")
        elif isinstance(value, float):
            yield label, f"{value:.5g}"
        elif isinstance(value, list):
            yield label, ", ".join(map(str, value[:12]))
        else:
            yield label, str(value)


def _statistics(dataset: Dataset) -> str:
    try:
        stats = dataset.stats
    except KuwaError as error:
        return f'<h2>Statistics</h2><p class="card">{escape(str(error))}</p>'
    heads = ("mean", "std", "min", "q01", "q50", "q99", "max")
    rows = []
    for name in sorted(stats, key=lambda n: (n != ACTION, n != STATE, n)):
        feature = dataset.features.get(name)
        if feature is None or name in COLUMNS or feature.is_video:
            continue
        for k in range(feature.shape[0]):
            label = feature.names[k] if k < len(feature.names) else str(k)
            full = name if label == name else f"{name} {label}"
            cells = "".join(f"<td>{_number(stats[name].get(head), k)}</td>" for head in heads)
            rows.append(f"<tr><td>{escape(full)}</td>{cells}</tr>")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        '<h2>Statistics</h2><div class="card scroll"><table>'
        f"<tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
    )


def _number(values: Any, k: int) -> str:
    try:
        value = float(values[k])
    except (TypeError, IndexError, ValueError):
        return "–"
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _facts(dataset: Dataset, values: dict[str, Any]) -> str:
    told = {**values["origin"], **dataset.kuwa.get("versions", {}), "layout": "LeRobot v3.0"}
    told["cameras"] = ", ".join(dataset.cameras) or "none; kuwa demo --cameras records them"
    rows = "".join(
        f"<tr><th>{escape(str(name).replace('_', ' '))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in told.items()
    )
    return f'<h2>Where it comes from</h2><div class="card"><table>{rows}</table></div>'


def _section(title: str, drawings: list[tuple[str, str]]) -> str:
    body = "".join(
        f"<figure>{svg[svg.index('<svg') :]}<figcaption>{escape(text)}</figcaption></figure>"
        for svg, text in drawings
    )
    return f'<h2>{escape(title)}</h2><div class="card">{body}</div>'
