"""A measured figure: its goal is judged rightly, its line is plain JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kuwa_cli.figure import Figure, load, save


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


def test_a_saved_figure_reads_the_same(tmp_path: Path) -> None:
    command = "./kuwa bench speed"
    values = (np.float64(2.123456789), float("nan"))
    lines = [Figure("speed", v, "m/s", ">= 2").line(command) for v in values]
    path = save(tmp_path, "speed", command, json.loads(json.dumps(lines)))
    read = load(path)
    assert [row["value"] for row in read["figures"]] == [2.12346, None]
    assert [row["holds"] for row in read["figures"]] == [True, False]
    assert set(read["figures"][0]) == {
        "name", "value", "unit", "goal", "holds", "peer", "command", "machine",
    }  # fmt: skip
    assert read["command"] == command and read["versions"]["mujoco"]
