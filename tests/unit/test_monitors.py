"""Whether what the machine measures can be true: the very first states, and what is no stamp."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gate_rig import Spec, state_at
from kuwa_hardware.limits import GateLimits
from kuwa_hardware.monitors import Monitors

SPEC: Any = Spec()
NOTHING = np.zeros(4)


def told_of(q: Any, qd: Any, ticks: int) -> set[str]:
    """Codes that a machine is told of whose first state is already in motion."""
    monitors = Monitors(SPEC, GateLimits())
    found: set[str] = set()
    for k in range(ticks):
        now = 100.0 + 0.01 * k
        at = np.asarray(q) + 0.01 * k * np.asarray(qd)
        monitors.look(now, state_at(7.0 + 0.01 * k, at, qd), NOTHING, NOTHING, moving=True)
        found |= {code for code, _, _ in monitors.demands(now)}
    return found


def test_the_first_state_is_no_jump_from_somewhere() -> None:
    assert told_of((3.0, 0.9, -0.9, 0.9), NOTHING, 20) == set()


def test_a_joint_that_is_too_fast_from_the_first_state_on_is_found() -> None:
    assert "joint_overspeed" in told_of(NOTHING, (0.0, 0.0, 2.0, 0.0), 40)


@pytest.mark.parametrize("stamp", [math.nan, math.inf, -math.inf])
def test_a_stamp_that_is_no_number_is_no_state(stamp: float) -> None:
    monitors = Monitors(SPEC, GateLimits())
    assert monitors.stamped(100.0, stamp)[0] == "state_nan"
    assert monitors.stamped(100.0, 7.0) == ("", "")
    monitors.look(100.0, state_at(7.0), NOTHING, NOTHING, moving=True)
    assert monitors.stamped(100.01, stamp)[0] == "state_nan"
    assert monitors.stamped(100.01, 7.01) == ("", "")
    assert monitors.demands(100.01) == []


def test_a_late_state_had_the_time_to_move() -> None:
    monitors = Monitors(SPEC, GateLimits())
    monitors.look(100.0, state_at(7.0), NOTHING, NOTHING, moving=True)
    moved = np.array([0.3, 0.0, 0.0, 0.0])
    monitors.look(100.3, state_at(7.01, moved, moved / 0.3), NOTHING, NOTHING, moving=True)
    assert monitors.demands(100.3) == []
    # The same in a hundredth of a second is a jump.
    monitors.look(100.31, state_at(7.02, -moved, NOTHING), NOTHING, NOTHING, moving=True)
    assert "state_jump" in [code for code, _, _ in monitors.demands(100.31)]
