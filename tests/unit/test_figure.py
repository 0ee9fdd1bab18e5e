"""A measured figure: its goal is judged rightly, its line is plain JSON."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kuwa_cli.bench import _measures
from kuwa_cli.figure import Figure, Run, load, save
from kuwa_machines.errors import KuwaError


@pytest.mark.parametrize(
    ("value", "goal", "holds"),
    [
        (20.0, ">= 20", True), (19.99, ">= 20", False), (0.5, "<= 0.5", True),
        (0.51, "<= 0.5", False), (0, "== 0", True), (1, "== 0", False),
        (np.float64(3), ">= 2", True), (float("nan"), "<= 1", False),
        (float("nan"), ">= 1", False), (float("inf"), ">= 1", False), (5.0, "", None),
    ],
)  # fmt: skip
def test_a_goal_is_reached_or_not(value: float, goal: str, holds: bool | None) -> None:
    assert Figure("f", value, "1", goal).holds is holds


def a_run(command: str, *figures: Figure) -> Run:
    with Run(command) as run:
        run.figures.extend(figures)
    return run


def test_a_saved_figure_reads_the_same(tmp_path: Path) -> None:
    command = "./kuwa bench speed"
    figures = [Figure("speed", v, "m/s", ">= 2") for v in (np.float64(2.123456789), float("nan"))]
    read = load(save(tmp_path, "speed", a_run(command, *figures)))
    assert [row["value"] for row in read["figures"]] == [2.12346, None]
    assert [row["holds"] for row in read["figures"]] == [True, False]
    assert set(read["figures"][0]) == {
        "name", "value", "unit", "goal", "holds", "peer", "command", "machine",
    }  # fmt: skip
    origin = read["runs"][command]
    assert origin["versions"]["mujoco"] and 0.0 <= origin["stolen"] <= 1.0


def test_a_part_replaces_its_own_figures_and_keeps_the_others(tmp_path: Path) -> None:
    def values() -> dict[str, float]:
        return {row["name"]: row["value"] for row in load(tmp_path / "b.json")["figures"]}

    save(tmp_path, "b", a_run("b --part one", Figure("x", 1.0, "1"), Figure("gone", 1.0, "1")))
    save(tmp_path, "b", a_run("b --part two", Figure("y", 2.0, "1")), whole=False)
    save(tmp_path, "b", a_run("b --part one", Figure("x", 3.0, "1")), whole=False)
    assert values() == {"y": 2.0, "x": 3.0}
    assert set(load(tmp_path / "b.json")["runs"]) == {"b --part one", "b --part two"}
    save(tmp_path, "b", a_run("b --part two", Figure("y", 4.0, "1")))
    assert values() == {"y": 4.0}


def test_parts_that_end_together_are_all_saved(tmp_path: Path) -> None:
    def one(k: int) -> None:
        save(tmp_path, "b", a_run(f"b --part {k}", Figure(f"f{k}", k, "1")), whole=False)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))
    saved = load(tmp_path / "b.json")
    assert {row["name"] for row in saved["figures"]} == {f"f{k}" for k in range(40)}
    assert len(saved["runs"]) == 40


@pytest.mark.parametrize(
    ("name", "part", "words"), [("safety", "limit", "limits"), ("ebn", "x", "has no parts")]
)
def test_a_part_that_is_not_there_is_refused(name: str, part: str, words: str) -> None:
    with pytest.raises(KuwaError, match=words):
        _measures(name, [part])


@pytest.mark.parametrize("name", ["safety", "record", "data", "excavator", "control"])
def test_every_part_has_a_command_of_its_own(name: str) -> None:
    measures = _measures(name, [])
    assert len(measures) > 1
    assert all(line.startswith(f"./kuwa bench {name} --part ") for line in measures)
