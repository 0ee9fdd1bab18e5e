"""The gallery: pictures of bounded size with captions that fit, and a page that links them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kuwa_cli import gallery
from kuwa_machines.errors import KuwaError

RESULT: dict[str, Any] = {
    "title": "Dig",
    "soil": "sandy loam",
    "seed": 0,
    "machines": {
        "zx200": {
            "machine": "zx200",
            "success_if": {"rmse_m": {"at_least": None, "at_most": 0.01}},
            "score": {
                "family": "earthwork", "success": False, "done": True, "rmse_m": 0.02,
                "missed": ["rmse_m 0.02, needs ≤ 0.01"],
            },
        },
        "other": {"machine": "ic120", "score": None},
    },
}  # fmt: skip


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_picture_is_no_larger_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    gallery.save(noise(400, 300), path, 40_000)
    assert 5_000 < path.stat().st_size <= 40_000
    assert Image.open(path).size == (400, 300)


def test_a_caption_is_below_the_picture_and_cut_where_it_is_too_long() -> None:
    plain = Image.new("RGB", (300, 100), "green")
    short = np.asarray(gallery.captioned(plain, "Dig", "a digger"))
    long = np.asarray(gallery.captioned(plain, "Dig " * 40, "a digger " * 40))
    assert short.shape == long.shape == (100 + gallery.BAND, 300, 3)
    assert (short[:100] == np.asarray(plain)).all()
    assert (short[100:].max(axis=2) > 200).any()
    assert (long[100:, -8:] == long[-1, -1]).all(), "the margin stays free"


def test_the_sheet_shows_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(KuwaError, match="no pictures"):
        gallery.sheet(tmp_path, ["a"])
    for name in "abcd":
        Image.new("RGB", gallery.SIZE, "red").save(tmp_path / f"{name}.jpg")
    width, height = gallery.sheet(tmp_path, [*"abcd", "missing"]).size
    assert abs(width - gallery.SHEET_WIDTH) < 20
    assert height == pytest.approx(2 * width / 3 * gallery.SIZE[1] / gallery.SIZE[0], rel=0.03)


def test_the_page_tells_figures_and_what_was_missed() -> None:
    text = gallery.page({"dig_trench": RESULT})
    assert "![" in text and "(pictures/dig_trench.jpg)" in text
    assert "| zx200: not reached | | needs |" in text
    assert "| rms distance of the surface from its target | 2.0 cm | ≤ 1.0 cm |" in text
    assert "zx200, ic120 on sandy loam, seed 0" in text


def test_a_run_that_is_there_is_used_and_pictured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, root = tmp_path / "runs", tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (runs / "dig_trench").mkdir(parents=True)
    (runs / "dig_trench" / "result.json").write_text(json.dumps(RESULT))
    asked: list[str] = []
    monkeypatch.setattr(gallery, "scenario_names", lambda: ["dig_trench", "level"])
    monkeypatch.setattr(gallery, "run", lambda name, folder: asked.append(name))
    monkeypatch.setattr(gallery, "picture", lambda folder, result: noise(800, 450))
    gallery.make(root, runs)
    assert asked == ["level"], "there was no run of it"
    pictures = sorted(path.name for path in (root / gallery.PICTURES).iterdir())
    assert pictures == ["dig_trench.jpg", "scenarios.jpg"]
    assert "## dig_trench" in (root / gallery.PAGE).read_text()
    assert "## level" not in (root / gallery.PAGE).read_text()
