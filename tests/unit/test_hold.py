"""A hold brings the joints to rest in the time that they need, or it has failed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gate_rig import Spec
from kuwa_hardware.hold import GRACE, LEAST_CAP, PATIENCE, REST, Hold

ONE: Any = Spec(
    joint_names=("j",), q_min=(-1.0,), q_max=(1.0,), qd_max=(1.0,), qdd_max=(2.0,),
    dead_time=(0.4,), home=(0.0,),
)  # fmt: skip


def fails_at(qd: float, applied: float, moves: float, start: float = 100.0) -> float:
    """When a hold fails that finds a joint at ``qd``, which then goes on at ``moves`` [s]."""
    hold = Hold(ONE)
    for k in range(500):
        now = start + 0.01 * k
        if hold.watch(now, np.array([qd if k == 0 else moves]), np.array([applied])):
            return now - start
    return np.inf


@pytest.mark.parametrize(("qd", "applied"), [(0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, -1.0)])
def test_each_joint_has_the_time_to_stop_from_what_it_does_and_is_told(
    qd: float, applied: float
) -> None:
    stop = 0.4 + max(abs(qd), abs(applied)) / 2.0
    assert fails_at(qd, applied, 0.2) == pytest.approx(stop + GRACE + PATIENCE, abs=0.03)


def test_a_joint_at_rest_is_held() -> None:
    assert fails_at(1.0, 1.0, 0.9 * REST) == np.inf


def test_small_corrections_are_no_failure() -> None:
    hold = Hold(ONE)
    for k in range(1000):
        moves = 0.2 if k % 40 < 25 else 0.0
        assert not hold.watch(100.0 + 0.01 * k, np.array([moves]), np.array([0.0]))


def test_a_hold_that_has_failed_stays_so_until_it_ends() -> None:
    hold = Hold(ONE)
    for k in range(300):
        hold.watch(100.0 + 0.01 * k, np.array([0.5]), np.array([0.0]))
    assert hold.failed and hold.watch(103.1, np.zeros(1), np.zeros(1))
    hold.end()
    assert not hold.watch(104.0, np.array([0.5]), np.zeros(1))


def test_nothing_goes_faster_than_at_its_start_and_corrections_are_always_free() -> None:
    hold = Hold(ONE)
    hold.watch(100.0, np.zeros(1), np.array([-0.8]))
    hold.watch(100.1, np.zeros(1), np.array([0.1]))
    assert hold.cap == 0.8
    hold.end()
    hold.watch(101.0, np.zeros(1), np.array([0.1]))
    assert hold.cap == LEAST_CAP
