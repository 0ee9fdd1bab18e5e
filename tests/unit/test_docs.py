"""The documentation says what is: generated pages are current, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kuwa_cli.docs import BEGIN, END, figures_table, generated
from kuwa_cli.figure import load
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.controllers import CONTROLLERS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("machines/*/*.md")])


@pytest.mark.parametrize(("name", "text"), list(generated(ROOT)))
def test_a_generated_page_is_up_to_date(name: str, text: str) -> None:
    assert (ROOT / name).read_text() == text, "run ./kuwa docs and commit what it writes"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{target} is not there"


def test_every_page_can_be_found_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "index.md":
            assert f"({page.relative_to(ROOT / 'docs')})" in index


def test_every_controller_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "choose-a-controller.md").read_text()
    for name, entry in CONTROLLERS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        can = ["yes" if it else "no" for it in (entry.spiking, entry.learns)]
        assert [cell.strip() for cell in row.split("|")[3:5]] == can


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")))
def test_a_saved_result_says_where_it_comes_from_and_no_more(path: Path) -> None:
    saved = load(path)
    keys = {"name", "value", "unit", "goal", "holds", "peer", "command", "machine"}
    assert saved["figures"] and set(saved["runs"]) == {row["command"] for row in saved["figures"]}
    assert all(run["date"] and run["versions"] for run in saved["runs"].values())
    for figure in saved["figures"]:
        assert set(figure) == keys
        assert figure["command"].partition(" --part ")[0] == f"./kuwa bench {path.stem}"
        assert "/" not in figure["machine"]


def test_the_readme_shows_every_benchmark_that_was_saved() -> None:
    readme = (ROOT / "README.md").read_text()
    assert BEGIN in readme and END in readme
    assert figures_table(ROOT / "benchmarks" / "results") in readme


def test_a_result_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(KuwaError, match=r"missing\.json"):
        load(tmp_path / "missing.json")
