"""The gallery: each scenario run by its expert, pictured at work, with what came of it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from kuwa_cli.report.film import FilmMaker
from kuwa_cli.report.numbers import needed
from kuwa_cli.report.runs import load_runs
from kuwa_cli.report.titles import doing
from kuwa_cli.report.views import at_work
from kuwa_cli.sim import SAID
from kuwa_machines.errors import KuwaError
from kuwa_sim.scenario import Bound, load_scenario, scenario_names
from kuwa_sim.score.figures import FIGURES

PAGE = Path("docs/scenarios.md")
PICTURES = Path("docs/pictures")
SHEET = "scenarios.jpg"
SIZE, BAND = (800, 450), 60
"""Of a picture, and how much of its height is for the caption [pixels]."""
MOST = 80_000
"""A picture is no larger [bytes]."""
SHEET_MOST, SHEET_WIDTH, COLUMNS = 400_000, 1500, 3
NOTE = "Written by `./kuwa docs --pictures`; change the scenarios or the code, not this page.\n"
INTRODUCTION = (
    "What can be run, each pictured while its expert worked in lock-step, with the figures of that",
    "run. `./kuwa sim NAME` runs one; [Scenarios](reference/scenarios.md) tells what a file holds.",
)
QUALITIES = (90, 85, 80, 75, 70, 60, 50, 40, 30)


def make(root: Path, runs: Path, only: list[str] | None = None) -> None:
    """Write the page, a picture of each scenario and the contact sheet.

    Args:
        root: of the checkout.
        runs: folders of runs by the scenario's name; a run that is there is not made again.
        only: draw these scenarios anew and keep the other pictures.
    """
    (root / PICTURES).mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    for name in scenario_names():
        folder = runs / name
        if not (folder / "result.json").exists():
            print(f"{name}: running", flush=True)
            run(name, folder)
        try:
            results[name] = json.loads((folder / "result.json").read_text("utf-8"))
        except (OSError, ValueError):
            print(f"{name}: no result; left out", flush=True)
            continue
        if only is None or name in only or not (root / PICTURES / f"{name}.jpg").exists():
            print(f"{name}: drawing", flush=True)
            save(picture(folder, results[name]), root / PICTURES / f"{name}.jpg", MOST)
    save(sheet(root / PICTURES, list(results)), root / PICTURES / SHEET, SHEET_MOST)
    (root / PAGE).write_text(page(results), "utf-8")


def run(name: str, folder: Path) -> None:
    """Run a scenario in lock-step; what it leaves in the folder is what counts."""
    command = ["sim", name, "--lockstep", "--no-report", "--out", str(folder)]
    subprocess.run([sys.executable, "-m", "kuwa_cli.main", *command], check=False)


def picture(folder: Path, result: dict[str, Any]) -> Image.Image:
    """Return a run at the moment that shows its work best, with a caption.

    Raises:
        KuwaError: the run has no logs, or this computer draws no pictures.
    """
    runs, obstacles = load_runs(folder)
    shown = next((run for run in runs.values() if run.task is not None), None)
    if shown is None:
        raise KuwaError(f"{folder}: no machine had a task")
    t = at_work(shown)
    size = (SIZE[0], SIZE[1] - BAND)
    maker = FilmMaker(runs, obstacles, 2 * size[0], 2 * size[1], fine=True)
    with maker.scene:
        image = Image.fromarray(maker.at_work(shown.name, t))
    image = image.resize(size, Image.Resampling.LANCZOS)
    words = "  ·  ".join([shown.spec.title, *doing(shown, t)])
    return captioned(image, str(result["title"]), words)


def captioned(image: Image.Image, title: str, words: str) -> Image.Image:
    """Return the picture with a title and a line of words below it."""
    width, height = image.size
    fonts = f"{get_data_path()}/fonts/ttf"
    large = ImageFont.truetype(f"{fonts}/DejaVuSans-Bold.ttf", 21)
    small = ImageFont.truetype(f"{fonts}/DejaVuSans.ttf", 15)
    out = Image.new("RGB", (width, height + BAND), "#24272c")
    out.paste(image, (0, 0))
    draw = ImageDraw.Draw(out)
    left = 16
    draw.text((left, height + 6), _fitting(title, large, width - 2 * left), "white", large)
    draw.text((left, height + 34), _fitting(words, small, width - 2 * left), "#d9dce1", small)
    return out


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return the text, cut where it would be wider than so many pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def sheet(folder: Path, names: list[str]) -> Image.Image:
    """Return all pictures of the folder side by side.

    Raises:
        KuwaError: there are none.
    """
    there = [folder / f"{name}.jpg" for name in names if (folder / f"{name}.jpg").exists()]
    if not there:
        raise KuwaError(f"{folder}: no pictures; run some scenarios first")
    columns = min(COLUMNS, len(there))
    width = SHEET_WIDTH // columns
    height = width * SIZE[1] // SIZE[0]
    rows = -(-len(there) // columns)
    gap = 6
    out = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for k, path in enumerate(there):
        small = Image.open(path).resize((width, height), Image.Resampling.LANCZOS)
        out.paste(small, (k % columns * (width + gap), k // columns * (height + gap)))
    return out


def save(image: Image.Image, path: Path, most: int) -> None:
    """Write a JPEG of at most so many bytes, as good as that allows."""
    data = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        data = buffer.getvalue()
        if len(data) <= most:
            break
    path.write_bytes(data)


def page(results: dict[str, dict[str, Any]]) -> str:
    """Return the page of all scenarios."""
    lines = ["# Scenarios in pictures", "", NOTE, *INTRODUCTION, ""]
    for name, result in results.items():
        title = load_scenario(name).title
        machines = ", ".join(dict.fromkeys(m["machine"] for m in result["machines"].values()))
        lines += [
            f"## {name}", "",
            f"{title}: {machines} on {result['soil']}, seed {result['seed']}.", "",
            f"![{title}](pictures/{name}.jpg)", "",
        ]  # fmt: skip
        for machine, values in result["machines"].items():
            if values["score"] is not None:
                who = f"{machine}: " if len(result["machines"]) > 1 else ""
                lines += _table(who, values)
    return "\n".join(lines)


def _table(who: str, values: dict[str, Any]) -> list[str]:
    """Return what a machine reached, the figures that success depends on first."""
    score, needs = values["score"], values["success_if"]
    figures = FIGURES[score["family"]]
    verdict = "success" if score["success"] else "not reached"
    lines = [f"| {who}{verdict} | | needs |", "|---|---|---|"]
    for name in [*needs, *(name for name in SAID if name not in needs)]:
        value = score.get(name)
        if value is None and name not in needs:
            continue
        figure = figures[name]
        need = needed(figure, Bound(**needs[name])) if name in needs else ""
        lines.append(f"| {figure.label} | {figure.text(value)} {figure.unit} | {need} |")
    return [*lines, ""]
