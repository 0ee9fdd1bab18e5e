"""The watchdog at the actuator boundary, and the mock robot."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gate_rig import Spec
from kuwa_hardware.envelope import Envelope
from kuwa_hardware.mock import MockRobot
from kuwa_hardware.watchdog import Watchdog
from kuwa_machines.contracts import CommandKind, JointCommand, SimulatedRobot
from kuwa_machines.errors import CommandError

SPEC = Spec()
GOOD = JointCommand(0.0, 1, "gate", CommandKind.VALVE, SPEC.joint_names, np.full(4, 0.5))


def test_a_fresh_command_stays_and_an_old_one_goes() -> None:
    dog = Watchdog(SPEC.joint_names, timeout=0.2)
    assert dog.current(0.0) is None
    assert dog.trips == 0
    assert dog.receive(10.0, GOOD) == ""
    assert dog.current(10.2) is GOOD
    assert dog.current(10.21) is None
    assert dog.current(10.22) is None
    assert dog.trips == 1
    again = replace(GOOD, sequence=2)
    dog.receive(11.0, again)
    assert dog.current(11.0) is again


def test_a_replay_is_refused_and_is_no_sign_of_life() -> None:
    dog = Watchdog(SPEC.joint_names, timeout=0.1)
    assert dog.receive(10.0, GOOD) == ""
    assert "must be higher" in dog.receive(10.09, GOOD)
    assert "must be higher" in dog.receive(10.09, replace(GOOD, sequence=0))
    assert dog.current(10.11) is None
    # A gate that was restarted counts anew; the valves have been neutral for ten time-outs.
    assert "must be higher" in dog.receive(10.5, GOOD)
    assert dog.receive(11.5, GOOD) == ""


def test_a_genuine_command_of_an_earlier_start_is_refused() -> None:
    envelope = Envelope(b"k" * 32)
    dog = Watchdog(SPEC.joint_names, timeout=0.1, envelope=envelope)
    measured = 5000.0
    fresh = envelope.seal(replace(GOOD, stamp=measured - 0.02))
    for stamp in (0.0, measured - 0.6, measured + 0.6, 1e12, math.nan):
        recorded = envelope.seal(replace(GOOD, stamp=stamp, sequence=10**9))
        assert "before the newest" in dog.receive(10.0, recorded, measured)
    assert dog.current(10.0) is None
    # Nor does it stand in the way of the genuine ones.
    assert dog.receive(10.0, fresh, measured) == ""
    # Before anything was measured there is nothing to hold it against.
    assert Watchdog(SPEC.joint_names).receive(10.0, GOOD, -math.inf) == ""


def test_with_a_key_only_the_gate_is_heard_and_never_twice() -> None:
    envelope = Envelope(b"k" * 32)
    dog = Watchdog(SPEC.joint_names, timeout=0.1, envelope=envelope)
    assert "no code" in dog.receive(10.0, GOOD)
    assert "code is wrong" in dog.receive(10.0, Envelope(b"x" * 32).seal(GOOD))
    sealed = envelope.seal(GOOD)
    assert "code is wrong" in dog.receive(10.0, replace(sealed, values=-GOOD.values))
    assert dog.current(10.0) is None
    assert dog.receive(10.0, sealed) == ""
    assert dog.current(10.0) is sealed
    # However long the silence: a recording is as genuine as the gate.
    assert "must be higher" in dog.receive(1000.0, sealed)


def test_a_clock_that_steps_back_does_not_keep_a_command_alive() -> None:
    dog = Watchdog(SPEC.joint_names, timeout=0.1)
    dog.receive(10.0, GOOD)
    assert dog.current(9.0) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"values": np.array([np.nan, 0, 0, 0])},
        {"values": np.array([1.01, 0, 0, 0])},
        {"values": np.zeros(3)},
        {"names": ("a", "b", "c", "d")},
        {"kind": CommandKind.VELOCITY_FRACTION},
    ],
)
def test_what_no_valve_may_be_told_is_refused(changes: dict[str, Any]) -> None:
    dog = Watchdog(SPEC.joint_names)
    assert dog.receive(0.0, replace(GOOD, **changes))
    assert dog.current(0.0) is None
    assert dog.refused == 1


def test_a_timeout_must_be_positive() -> None:
    with pytest.raises(CommandError, match="above 0"):
        Watchdog(SPEC.joint_names, timeout=0.0)


def test_the_mock_moves_its_joints_as_told() -> None:
    robot = MockRobot(SPEC)
    assert isinstance(robot, SimulatedRobot)
    with pytest.raises(CommandError, match="connect"):
        robot.write(GOOD)
    robot.connect()
    first = robot.reset(0)
    assert first.terrain is not None
    robot.write(GOOD)
    for _ in range(100):
        state = robot.advance()
    np.testing.assert_allclose(state.qd, 0.5 * SPEC.qd_max, rtol=1e-3)
    assert state.stamp == pytest.approx(1.0)
    robot.neutral()
    for _ in range(100):
        state = robot.advance()
    np.testing.assert_allclose(state.qd, 0.0, atol=1e-3)
    robot.close()
    robot.close()
