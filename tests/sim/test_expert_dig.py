"""The expert digs, swings and dumps on the simulated machine."""

from __future__ import annotations

import numpy as np

from expert_rig import work
from kuwa_machines import load_machine
from kuwa_machines.contracts import Task
from kuwa_sim.soil import load_soil
from kuwa_sim.soil.parameters import GRAVITY


def test_full_buckets_are_moved_until_the_volume_is_reached() -> None:
    task = Task("dig", 6.5, 0.0, 0.0, 3.0, 1.0, 0.8, 0.1, 6.2, 0.1, volume=1.6)
    run = work("zx200", task, duration=90)
    soil, capacity = load_soil("sandy_loam"), load_machine("zx200").bucket.heaped_capacity
    loose = np.array(run.loads) * GRAVITY * soil.swell / soil.specific_weight
    assert run.done and run.phases[-1] == "done"
    assert len(loose) == 2
    assert np.all(loose > 0.85 * capacity)
    assert 1.45 < loose.sum() < 1.8
    assert np.all(np.diff([*run.starts, run.duration]) > 13)
    assert np.all(np.diff([*run.starts, run.duration]) < 21)
    assert run.violations == 0
