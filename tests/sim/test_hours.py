"""A spiking controller that learns for long: nothing drifts, bursts, overflows or grows."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from _excavator_hours import HOUR, NAMES, SHIFT, Hours, hours


def check(done: Hours, seconds: float) -> None:
    assert 0.0 < done.weight < 1.0, "a weight at its bound is one that has run away"
    assert 1.0 < done.rate < 25.0
    assert done.steps == round(seconds / 0.001)
    assert done.spikes < 25.0 * 400 * seconds
    assert done.restored


def test_half_a_minute_with_loads_that_change() -> None:
    done = hours("ebn_fixed", 30.0, 6.0)
    check(done, 30.0)
    assert done.norms[-1] > done.norms[0] == 0.0
    assert done.late < 0.3, "so early it has learnt little, but it must not make things worse"


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_an_hour_with_loads_and_oil_that_change(name: str) -> None:
    done = hours(name)
    check(done, HOUR)
    assert done.late <= 1.1 * done.early
    settled = done.norms[round(HOUR / SHIFT / 4) :]
    assert settled.max() < 1.5 * np.median(settled), "the weights wander off"
    assert done.memory <= 5.0
