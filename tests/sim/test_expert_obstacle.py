"""A boulder in the trench: the expert finds it, goes over it and digs the rest."""

from __future__ import annotations

import numpy as np
import pytest

from expert_rig import work
from kuwa_machines.contracts import Task
from kuwa_sim.scenario import Buried


@pytest.mark.full
def test_the_rest_of_the_trench_is_dug_around_a_boulder() -> None:
    task = Task("dig_trench", 6.5, 0.0, 0.0, 3.0, 1.0, 0.5, 1.0, 6.0, 0.05)
    boulder = Buried(kind="ellipsoid", centre_m=(6.5, 0.0, -0.55), half_m=(0.3, 0.5, 0.3))
    run = work("zx200", task, duration=200, seed=1, obstacles=(boulder,))
    assert run.done and "dig_over_obstacle" in run.phases
    assert run.phases[-1].startswith("done, but for an obstacle 6.")
    clear = np.abs(run.along) > 0.3 + 0.15
    assert np.mean(np.abs(run.error[clear]) <= 0.05) > 0.9
    assert run.error[np.abs(run.along) < 0.1].min() > 0.15  # it is still there
    assert run.violations == 0
