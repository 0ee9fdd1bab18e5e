"""The expert digs trenches on the simulated machine, from end to end."""

from __future__ import annotations

import numpy as np
import pytest

from expert_rig import Run, work
from kuwa_machines.contracts import Task


def share(run: Run, tolerance: float) -> float:
    return float(np.mean(np.abs(run.error) <= tolerance))


@pytest.mark.parametrize(
    ("machine", "task", "bound"),
    [
        ("zx200", Task("dig_trench", 6.5, 0.0, 0.0, 3.0, 1.0, 0.5, 1.0, 6.0, 0.03), 0.95),
        pytest.param(
            "zx120",
            Task("dig_trench", 5.2, 0.0, 0.0, 2.5, 0.9, 0.5, 1.0, 5.0, 0.03),
            0.93,
            marks=pytest.mark.full,
        ),
    ],
)
def test_a_trench_is_dug_to_three_centimetres(machine: str, task: Task, bound: float) -> None:
    run = work(machine, task, duration=180, seed=1)
    assert run.phases[-1] == "done" and run.done
    assert share(run, 0.03) >= bound
    assert share(run, 0.05) >= 0.99
    assert run.violations == 0


@pytest.mark.full
def test_sand_slides_in_and_the_expert_says_so() -> None:
    task = Task("dig_trench", 6.0, 0.0, 0.0, 1.5, 1.0, 0.4, 1.0, 6.0, 0.03)
    run = work("zx200", task, duration=300, seed=1, soil="dry_sand", until="gave up")
    assert not run.done
    assert run.phases[-1].startswith("gave up: ") and "slides in" in run.phases[-1]
