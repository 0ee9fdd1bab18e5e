"""The gate: what it refuses, what it lets through, and when it goes to neutral."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gate_rig import PERIOD, Rig, Spec, state_at
from kuwa_hardware.envelope import Envelope
from kuwa_hardware.gate import Gate, GateLimits
from kuwa_hardware.watch import GONE
from kuwa_machines import load_machine
from kuwa_machines.contracts import CommandKind, GateOutput, JointCommand, Level, Mode
from kuwa_machines.contracts import Gate as GateProtocol
from kuwa_machines.errors import CommandError

HALF = (0.3, 0.2, 0.5, -0.4)


def test_a_good_request_passes_as_it_is() -> None:
    rig = Rig()
    out = rig.run(HALF, 10)
    np.testing.assert_array_equal(out.applied.values, HALF)
    assert out.applied.source == "gate"
    assert out.applied.kind is CommandKind.VALVE
    assert out.safety.reasons == ()
    assert out.safety.limited == (False,) * 4
    assert out.safety.refused == 0


def test_the_applied_command_carries_the_stamp_of_the_state_it_answers() -> None:
    rig = Rig()
    request = rig.request(HALF, stamp=rig.now - 0.03)
    assert rig.tick(request).applied.stamp == request.stamp


def test_with_a_key_an_old_recording_is_told_from_a_message_that_came_twice() -> None:
    envelope = Envelope(bytes(range(32)))
    rig = Rig(gate={"envelope": envelope})
    first = envelope.seal(rig.request(HALF))
    rig.tick(first)
    assert "request_replayed" in rig.tick(first).safety.alarms
    for _ in range(200):
        rig.tick(envelope.seal(rig.request(HALF)))
    alarms = rig.tick(first).safety.alarms
    assert "code_replayed" in alarms and "request_out_of_order" not in alarms


def test_joints_are_matched_by_name() -> None:
    rig = Rig()
    back = rig.names[::-1]
    for _ in range(10):
        out = rig.tick(rig.request(HALF[::-1], names=back))
    np.testing.assert_array_equal(out.applied.values, HALF)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("nan", {"values": np.array([np.nan, 0, 0, 0])}, "finite"),
    ("infinite", {"values": np.array([0, np.inf, 0, 0])}, "finite"),
    ("too short", {"values": np.zeros(3)}, "3 values for 4 names"),
    ("unknown joint", {"names": ("a", "boom_joint", "arm_joint", "bucket_joint")}, "'a'"),
    ("joint twice", {"names": ("boom_joint",) * 2 + ("arm_joint", "bucket_joint")}, "one for"),
    ("no joints", {"names": (), "values": np.zeros(0)}, "0 values"),
    ("wrong kind", {"kind": CommandKind.VELOCITY_FRACTION}, "takes VALVE"),
    ("wrong source", {"source": "teleop"}, "only 'control'"),
    ("unknown source", {"source": "stranger"}, "only 'control'"),
    ("repeated", {"sequence": 5}, "must be higher"),
    ("stepped back", {"sequence": 4}, "must be higher"),
    ("old state", {"stamp": 99.0}, "before the newest"),
    ("future state", {"stamp": 1e6}, "before the newest"),
    ("no stamp", {"stamp": float("nan")}, "before the newest"),
]


@pytest.mark.parametrize(("changes", "why"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_bad_request_is_refused_in_words_and_moves_nothing(
    changes: dict[str, Any], why: str
) -> None:
    rig = Rig()
    before = rig.run((0.1, 0.1, 0.1, 0.1), 5)
    request = rig.request((1.0, 1.0, 1.0, 1.0), **changes)
    out = rig.tick(request)
    np.testing.assert_array_equal(out.applied.values, before.applied.values)
    assert out.safety.refused == 1
    assert why in out.safety.reasons[0]
    # It is no sign of life either: what it refused for 100 ms ends in neutral.
    for _ in range(30):
        out = rig.tick(rig.request((1.0, 1.0, 1.0, 1.0), **changes))
    assert not out.applied.values.any()
    # And it blocks nobody: the next good request is taken.
    rig.sequence = 100
    assert rig.run((0.1, 0.1, 0.1, 0.1), 5).safety.reasons == ()


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.READY, Mode.ARMED])
def test_nothing_moves_before_a_motion_mode(mode: Mode) -> None:
    rig = Rig(mode)
    out = rig.run(HALF, 50)
    assert out.safety.mode is mode
    assert out.safety.refused == 50
    said = "only 'preflight' moves" if mode is Mode.ARMED else "nothing moves"
    assert said in out.safety.reasons[0]
    assert not out.applied.values.any()


def test_teleop_takes_teleop_only() -> None:
    rig = Rig(Mode.TELEOP)
    assert rig.tick(rig.request(HALF)).safety.refused == 1
    for _ in range(10):
        out = rig.tick(rig.request(HALF, source="teleop"))
    np.testing.assert_array_equal(out.applied.values, HALF)


def test_nobody_drives_by_hand_without_a_deadman_that_is_heard() -> None:
    rig = Rig(Mode.ARMED)
    granted, why = rig.gate.set_mode(Mode.TELEOP, "Ada")
    assert not granted and "never held" in why
    rig.gate.deadman(rig.now, True)
    assert rig.gate.set_mode(Mode.TELEOP, "Ada")[0]
    for _ in range(15):
        out = rig.tick(rig.request(HALF, source="teleop"))
    assert out.safety.mode is Mode.ARMED and not out.applied.values.any()
    assert "teleop_killed" in out.safety.alarms


def test_the_gate_tells_who_asked_for_its_mode() -> None:
    rig = Rig(Mode.READY)
    assert rig.gate.why == "person asked for 'ready'"
    rig.gate.emergency_stop(True, "Ada")
    assert rig.gate.why == "stopped by Ada"


def test_what_is_applied_never_answers_an_old_state() -> None:
    rig = Rig()
    asked = rig.request(HALF)
    assert rig.tick(asked).applied.stamp == asked.stamp
    for _ in range(100):
        out = rig.tick(None)
    assert rig.now - out.applied.stamp < 2 * PERIOD, "the state's, for want of a request"


def test_values_beyond_one_are_bounded() -> None:
    rig = Rig(spec=Spec(q_min=[-np.inf] * 4, q_max=[np.inf] * 4))
    out = rig.run((2.0, -3.0, 0.5, 1.0), 20)
    np.testing.assert_array_equal(out.applied.values, (1.0, -1.0, 0.5, 1.0))
    assert out.safety.limited == (True, True, False, False)
    assert "swing_joint, boom_joint" in out.safety.reasons[0]


def test_the_slew_rate_bounds_every_step() -> None:
    rig = Rig(slew=4.0)
    values = [rig.tick(rig.request(HALF)).applied.values for _ in range(20)]
    steps = np.abs(np.diff([np.zeros(4), *values], axis=0))
    assert steps.max() <= 4.0 * PERIOD + 1e-12
    np.testing.assert_array_equal(values[-1], HALF)


def test_a_silent_source_is_held_for_60_ms_then_ramped_to_neutral_in_50_ms() -> None:
    rig = Rig()
    rig.run(HALF, 10)
    held = [rig.tick(None) for _ in range(5)]
    assert all((out.applied.values == HALF).all() for out in held)
    falling = [rig.tick(None) for _ in range(6)]
    assert 0 < abs(falling[1].applied.values[2]) < abs(HALF[2])
    assert not falling[-1].applied.values.any()
    assert "no good request from 'control'" in falling[-1].safety.reasons[0]
    assert "request_lost" in falling[-1].safety.alarms


def test_a_silent_robot_is_tolerated_for_80_ms() -> None:
    rig = Rig()
    rig.run(HALF, 10)
    stamp = rig.now
    for _ in range(7):
        out = rig.tick(rig.request(HALF, stamp=stamp), state=False)
    assert (out.applied.values == HALF).all()
    for _ in range(6):
        out = rig.tick(rig.request(HALF, stamp=stamp), state=False)
    assert not out.applied.values.any()
    assert "none for" in out.safety.reasons[0]
    assert "state_lost" in out.safety.alarms


def test_a_state_that_is_not_finite_counts_as_none() -> None:
    rig = Rig()
    rig.run(HALF, 10)
    stamp = rig.now
    rig.q = np.array([np.nan, 0, 0, 0])
    for _ in range(30):
        out = rig.tick(rig.request(HALF, stamp=stamp))
    assert not out.applied.values.any()
    assert "not 4 finite" in out.safety.reasons[0]


def test_an_emergency_stop_is_at_once_latched_and_survives_its_withdrawal() -> None:
    rig = Rig()
    rig.run(HALF, 10)
    rig.gate.emergency_stop(True, "button")
    out = rig.tick(rig.request(HALF), dt=1e-6)
    assert out.safety.mode is Mode.STOPPED
    assert not out.applied.values.any()
    assert not rig.gate.set_mode(Mode.READY, "Ada")[0]
    rig.gate.emergency_stop(False, "button")
    assert not rig.run(HALF, 10).applied.values.any()
    for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
        assert rig.gate.set_mode(mode, "Ada")[0]
        # What was asked for before the stop is forgotten.
        assert not rig.tick(None).applied.values.any()
    assert rig.run(HALF, 10).applied.values.any()


def test_a_released_stop_is_told_no_more() -> None:
    rig = Rig()
    rig.gate.emergency_stop(True, "button")
    assert "emergency_stop" in rig.tick(None).safety.alarms
    rig.gate.emergency_stop(False, "button")
    assert "emergency_stop" in rig.tick(None).safety.alarms, "it is latched"
    assert rig.gate.set_mode(Mode.READY, "Ada")[0]
    assert rig.tick(None).safety.alarms == ()


def test_nobody_arms_while_a_fault_demands_a_hold() -> None:
    rig = Rig(Mode.READY)
    rig.gate.degrade(Level.HOLD, "disk_full", "the disk is full")
    granted, why = rig.gate.set_mode(Mode.ARMED, "Ada")
    assert not granted and "the disk is full" in why
    rig.gate.recover("disk_full")
    assert rig.gate.set_mode(Mode.ARMED, "Ada")[0]


def test_a_deadman_that_was_let_go_is_told_until_somebody_drives_again() -> None:
    rig = Rig(Mode.ARMED)
    rig.gate.deadman(rig.now, True)
    assert rig.gate.set_mode(Mode.TELEOP, "Ada")[0]
    rig.gate.deadman(rig.now, False)
    assert "deadman_released" in rig.tick(None).safety.alarms
    rig.gate.deadman(rig.now, True)
    assert "deadman_released" in rig.tick(None).safety.alarms
    assert rig.gate.set_mode(Mode.TELEOP, "Ada")[0]
    assert "deadman_released" not in rig.tick(None).safety.alarms


def test_arming_needs_a_fresh_state() -> None:
    gate = Gate(Spec())
    assert gate.set_mode(Mode.READY, "Ada")[0]
    granted, why = gate.set_mode(Mode.ARMED, "Ada")
    assert not granted
    assert "none received yet" in why
    gate.step(1.0, state_at(0.0), None)
    gate.step(1.3, None, None)
    assert "0.30 s" in gate.set_mode(Mode.ARMED, "Ada")[1]
    gate.step(1.4, state_at(0.4), None)
    assert gate.set_mode(Mode.ARMED, "Ada")[0]


def test_a_source_restarted_elsewhere_is_taken_after_arming_again() -> None:
    rig = Rig()
    rig.sequence = 1000
    rig.run(HALF, 5)
    rig.sequence = 0
    assert rig.run(HALF, 5).safety.refused == 5
    for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
        assert rig.gate.set_mode(mode, "Ada")[0]
    rig.sequence = 0
    assert rig.run(HALF, 5).safety.refused == 5


def test_a_joint_that_is_too_fast_gets_no_more() -> None:
    rig = Rig(overspeed=1.2)
    rig.run((0.0, 0.2, 0.5, 0.0), 10)
    rig.qd = np.array([0.0, 0.7, -1.5, 0.0])
    out = rig.tick(rig.request((0.0, 0.2, 0.5, 0.0)))
    assert out.applied.values[1] == 0.0
    assert out.applied.values[2] == 0.5  # against the motion, so it slows it down
    assert "boom_joint: faster than it may" in out.safety.reasons[-1]


def test_limits_must_be_positive() -> None:
    with pytest.raises(CommandError, match="slew"):
        GateLimits(slew=0.0)


def test_it_satisfies_the_protocol() -> None:
    gate: GateProtocol = Gate(Spec())
    assert gate.step(0.0, None, None).safety.mode is Mode.OFF


any_float = st.floats(allow_nan=True, allow_infinity=True)
any_request = st.builds(
    JointCommand,
    stamp=any_float,
    sequence=st.integers(0, 2**64 - 1),
    source=st.sampled_from(["control", "teleop", ""]),
    kind=st.sampled_from(CommandKind),
    names=st.just(Spec().joint_names),
    values=st.lists(any_float, min_size=0, max_size=5).map(np.array),
)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), any_request), st.floats(0.0, 0.3), st.booleans()),
        max_size=30,
    )
)
def test_whatever_comes_in_what_goes_out_is_finite_in_range_and_slewed(
    events: list[tuple[JointCommand | None, float, bool]],
) -> None:
    rig = Rig(slew=5.0)
    last = np.zeros(4)
    for request, dt, with_state in events:
        out = rig.tick(request, dt, with_state).applied.values
        assert np.isfinite(out).all()
        assert (np.abs(out) <= 1.0).all()
        towards = np.abs(out) > np.abs(last)
        assert (np.abs(out - last)[towards] <= 5.0 * dt + 1e-9).all()
        last = out


def test_planner_and_operator_pass_the_machine_to_one_another_without_a_rest() -> None:
    rig = Rig(Mode.AUTO)
    rig.tick(rig.request(HALF))
    rig.gate.deadman(rig.now, False)
    granted, why = rig.gate.set_mode(Mode.TELEOP, "teleop")
    assert not granted and "hold it" in why, "taking over needs the deadman"
    rig.gate.deadman(rig.now, True)
    assert rig.gate.set_mode(Mode.TELEOP, "teleop")[0]
    assert not rig.tick(rig.request(HALF)).applied.values.any(), "the planner's are refused now"
    rig.gate.deadman(rig.now, True)
    out = rig.tick(rig.request(HALF, source="teleop"))
    assert out.applied.values.any()
    assert rig.gate.set_mode(Mode.AUTO, "Ada")[0]
    out = rig.tick(rig.request(HALF, source="teleop"))
    assert any("only 'control'" in why for why in out.safety.reasons)


def test_a_hold_goes_no_faster_than_at_its_start_and_ends_in_neutral_if_nobody_holds() -> None:
    rig = Rig()
    swing = np.array([0.4, 0.0, 0.0, 0.0])
    rig.run(swing, 30)
    rig.gate.degrade(Level.HOLD, "planning_killed", "the planner is gone")
    out = rig.run(2.0 * swing, 20)
    assert out.safety.level is Level.HOLD and "hold: the planner is gone" in out.safety.reasons
    np.testing.assert_array_equal(out.applied.values, swing)

    def moves_on(ticks: int, until: Level | None = None) -> GateOutput:
        for k in range(ticks):
            rig.qd[0] = 0.4 + 1e-3 * (k % 2)
            rig.q[0] += PERIOD * rig.qd[0]
            out = rig.tick(rig.request(swing))
            if out.safety.level is until:
                break
        return out

    out = moves_on(500, Level.NEUTRAL)
    assert "does not bring the joints to rest" in " ".join(out.safety.reasons)
    assert not moves_on(20).applied.values.any()
    # Who is back may go on, and the next hold begins anew.
    rig.gate.recover("planning_killed")
    assert moves_on(20).safety.level is Level.NONE
    rig.gate.degrade(Level.HOLD, "planning_killed", "the planner is gone")
    assert moves_on(1).safety.level is Level.HOLD


def test_nobody_goes_on_with_a_node_that_is_still_on_its_way_back() -> None:
    """It has been started again and is not heard yet: forgotten now, its next death would not be
    noticed."""
    rig = Rig()
    rig.gate.heard(rig.now, "planning", "active", "")
    rig.run(HALF, 30)
    assert rig.gate.mode is Mode.AUTO and rig.run(HALF, 1).safety.level is Level.HOLD
    rig.gate.emergency_stop(True, "Ada")
    rig.gate.emergency_stop(False, "Ada")
    rig.run(HALF, 10)
    assert rig.gate.set_mode(Mode.READY, "Ada")[0]
    granted, why = rig.gate.set_mode(Mode.ARMED, "Ada")
    assert not granted and "no heartbeat of planning" in why
    rig.gate.heard(rig.now, "planning", "active", "")
    rig.run(HALF, 1)
    assert rig.gate.set_mode(Mode.ARMED, "Ada")[0]
    # Who does not come back at all can be gone on without.
    assert rig.gate.set_mode(Mode.READY, "Ada")[0]
    rig.run(HALF, round(1.01 * GONE / PERIOD))
    assert rig.gate.set_mode(Mode.ARMED, "Ada")[0]
    assert rig.run(HALF, 10).safety.level is Level.NONE


def test_silence_is_no_fault_while_nobody_is_expected_to_move_anything() -> None:
    rig = Rig(Mode.ARMED)
    for _ in range(100):
        out = rig.tick(None)
    assert out.safety.level is Level.NONE
    assert out.safety.alarms == () and out.safety.reasons == ()


def test_what_makes_it_neutral_is_told_with_its_level() -> None:
    rig = Rig()
    rig.gate.degrade(Level.NEUTRAL, "pressure_loss", "no pressure")
    out = rig.run(HALF, 2)
    assert out.safety.level is Level.NEUTRAL and "neutral: no pressure" in out.safety.reasons
    rig = Rig()
    rig.run(HALF, 2)
    for _ in range(20):
        out = rig.tick(rig.request(HALF), state=False)
    assert out.safety.level is Level.NEUTRAL and "none for" in out.safety.reasons[0]
    rig = Rig()
    rig.run(HALF, 2)
    for _ in range(20):
        out = rig.tick(None)
    assert out.safety.level is Level.NEUTRAL and "no good request" in out.safety.reasons[0]


def test_a_clock_that_goes_back_does_not_drive_the_model_mad() -> None:
    spec = load_machine("zx200")
    rig = Rig(spec=spec, q=spec.home)
    rig.run(HALF, 100)
    rig.now -= 5.0
    rig.run(HALF, 100)
    assert (np.abs(rig.gate._bounds.told()) <= 1.5 * spec.qd_max).all()
