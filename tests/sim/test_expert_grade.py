"""The expert grades flat ground and slopes on the simulated machine."""

from __future__ import annotations

import numpy as np
import pytest

from expert_rig import work
from kuwa_machines.contracts import Task
from kuwa_sim.scenario import Feature

BUMPS = (Feature(shape="bumps", x_m=6.6, height_m=0.06, radius_m=3.5),)


@pytest.mark.parametrize(
    ("slope", "depth"), [(0.0, 0.05), pytest.param(0.03, 0.06, marks=pytest.mark.full)]
)
def test_a_pass_of_five_metres_is_graded_to_less_than_two_centimetres(
    slope: float, depth: float
) -> None:
    task = Task("grade", 6.6, 0.0, 0.0, 5.0, 1.0, depth, tolerance=0.03, slope=slope)
    run = work("zx200", task, duration=130, features=BUMPS)
    assert run.done and run.phases[-1] == "done"
    assert np.sqrt(np.mean(run.error**2)) < 0.018
    assert np.mean(np.abs(run.error) <= 0.03) > 0.95
    assert run.violations == 0
    assert run.phases[:5] == ["return", "approach", "lower", "grade", "lift"]
