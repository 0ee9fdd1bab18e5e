"""Position limits: a joint with dead time and bounded deceleration never reaches one."""

from __future__ import annotations

from collections import deque

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_rig import PERIOD, Rig, Spec
from kuwa_machines.contracts import Array

SPEC = Spec(q_min=[-1.5] * 4, q_max=[1.5] * 4)


class Joints:
    """Joints with exactly the dead time and acceleration that the machine's data say.

    Args:
        down: how much of a stroke in the negative direction comes, where the pump is shared.
    """

    def __init__(self, down: float = 1.0) -> None:
        self._down = down
        self.q = np.zeros(4)
        self.qd = np.zeros(4)
        self._pipes = [deque([0.0] * round(t / PERIOD)) for t in SPEC.dead_time]

    def advance(self, u: Array) -> None:
        acting = np.empty(4)
        for j, pipe in enumerate(self._pipes):
            pipe.append(u[j])
            acting[j] = pipe.popleft()
        acting[acting < 0.0] *= self._down
        step = SPEC.qdd_max * PERIOD
        v = self.qd + np.clip(acting * SPEC.qd_max - self.qd, -step, step)
        self.q = self.q + 0.5 * PERIOD * (self.qd + v)
        self.qd = v


def drive(values: list[Array], ticks: int, down: float = 1.0) -> Array:
    """Hold each value for ``ticks``; return every position on the way, shape (T, 4)."""
    rig, joints, trace = Rig(spec=SPEC), Joints(down), []
    for value in values:
        for _ in range(ticks):
            rig.q, rig.qd = joints.q, joints.qd
            joints.advance(rig.tick(rig.request(value)).applied.values)
            trace.append(joints.q)
    return np.array(trace)


def test_full_command_stops_short_of_the_limit_and_comes_near_it() -> None:
    for sign in (1.0, -1.0):
        trace = sign * drive([np.full(4, sign)], 2500)
        assert (trace <= 1.5).all()
        assert (trace[-1] > 1.35).all(), trace[-1]
        assert (np.abs(trace[-1] - trace[-200]) < 0.05).all()


def test_the_way_back_is_free() -> None:
    trace = drive([np.ones(4), -np.ones(4)], 1500)
    assert (trace[-1] < -1.3).all()


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4).map(np.array),
        min_size=1,
        max_size=6,
    )
)
def test_no_sequence_of_commands_reaches_a_limit(values: list[Array]) -> None:
    assert (np.abs(drive(values, 150)) <= 1.5).all()


def test_motion_away_from_a_limit_that_comes_short_is_not_counted_on() -> None:
    # To the limit, away from it for less than the dead time, and at it again.
    for away in (10, 20, 40):
        values = [np.ones(4)] * (800 // away) + [-np.ones(4), np.ones(4)] * 20
        for down in (1.0, 0.3, 0.0):
            assert (drive(values, away, down) <= 1.5).all(), (away, down)


def test_a_joint_pushed_beyond_its_limit_may_only_come_back() -> None:
    rig = Rig(spec=SPEC, q=(0.0, 1.6, -1.6, 0.0))
    out = rig.run((0.0, 0.5, -0.5, 0.0), 5)
    assert not out.applied.values.any()
    assert "boom_joint, arm_joint" in out.safety.reasons[-1]
    assert (rig.run((0.0, -0.5, 0.5, 0.0), 10).applied.values == (0.0, -0.5, 0.5, 0.0)).all()
