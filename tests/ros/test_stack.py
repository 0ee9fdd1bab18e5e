"""The stack with the mock robot, from outside: it comes up, moves as told, stops, and ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stack_rig import NAMES, Rig, mock_stack, running, wait_for

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def rig(ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    logs: Path = tmp_path_factory.mktemp("logs")
    with running(mock_stack(stats_file=str(logs / "stats.json")), logs) as rig:
        yield rig


def test_it_comes_up_in_ready_and_reads_only(rig: Rig) -> None:
    assert rig.probe.mode == "ready"
    assert list(rig.probe.states[-1].name) == list(NAMES)
    wait_for("an applied command", lambda: rig.probe.applied)
    assert rig.probe.out() == 0.0
    for name in ("robot", "safety", "control", "planning"):
        wait_for(f"{name} says so", lambda n=name: rig.probe.says(n, "state") == "active")


def test_the_clock_ticks_without_a_gap(rig: Rig) -> None:
    start = len(rig.probe.clock)
    wait_for("200 ticks", lambda: len(rig.probe.clock) > start + 200)
    np.testing.assert_allclose(np.diff(rig.probe.clock[start:]), 0.01, atol=1e-6)


def test_it_follows_a_velocity_reference_in_teleop(rig: Rig) -> None:
    probe = rig.probe
    before = probe.position("arm_joint")
    with probe.repeating(probe.deadman):
        with probe.repeating(lambda: probe.velocity([0.0, 0.0, -0.3, 0.0])):
            probe.engage("teleop")
            wait_for("the arm moves", lambda: probe.position("arm_joint") < before - 0.05)
        # The reference is silent now: zero velocity, although control goes on.
        wait_for("standstill", lambda: probe.speed() < 1e-3, 5.0)
        assert probe.mode == "teleop"
    # And without the deadman nobody drives any more.
    wait_for("armed", lambda: probe.mode == "armed", 2.0)
    assert probe.set_mode("ready")[0]


def test_it_follows_a_trajectory_in_auto(rig: Rig) -> None:
    probe = rig.probe
    probe.engage("auto")
    start = list(probe.states[-1].position)
    goal = list(start)
    goal[NAMES.index("swing_joint")] += 0.2
    begin = probe.now()
    # As a planner does: a chunk that is not sent again is too old after two seconds.
    with probe.repeating(lambda: probe.trajectory([(0.0, start), (4.0, goal)], begin), period=0.2):
        # The controller expects dead times that the mock does not have: it arrives, not exactly.
        wait_for("the swing arrives", lambda: abs(probe.position("swing_joint") - goal[0]) < 0.05)
    assert abs(probe.position("boom_joint") - start[1]) < 0.02
    assert probe.set_mode("ready")[0]


def test_applied_commands_answer_states(rig: Rig) -> None:
    probe = rig.probe
    probe.engage("auto")
    wait_for("an answered state", lambda: float(probe.says("robot", "latency_median_ms")) > 0.0)
    answered = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in probe.applied[-100:]}
    sent = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in probe.states}
    assert answered <= sent
    assert probe.set_mode("ready")[0]


def test_a_bad_trajectory_is_refused(rig: Rig) -> None:
    probe = rig.probe
    probe.engage("auto")
    errors = int(probe.says("control", "errors"))
    here = list(probe.states[-1].position)
    probe.trajectory([(0.0, here), (1.0, [float("nan")] * 4)])
    wait_for("the error is counted", lambda: int(probe.says("control", "errors")) > errors)
    assert max(abs(a - b) for a, b in zip(probe.states[-1].position, here, strict=True)) < 0.02
    assert probe.set_mode("ready")[0]


def test_an_emergency_stop_is_latched(rig: Rig) -> None:
    probe = rig.probe
    with probe.repeating(lambda: probe.velocity([0.3, 0.0, 0.0, 0.0])):
        probe.engage("teleop")
        wait_for("motion", lambda: probe.speed() > 0.05)
        probe.stop(True)
        took = wait_for("neutral", lambda: probe.mode == "stopped" and probe.out() == 0.0, 2.0)
        assert took < 1.0
        wait_for("standstill", lambda: probe.speed() < 1e-3, 5.0)
        assert not probe.set_mode("ready")[0]
        probe.stop(False)
        wait_for("the demand is withdrawn", lambda: probe.set_mode("ready", "Ada")[0])
        assert probe.mode in ("stopped", "ready")
        assert probe.out() == 0.0


def test_a_program_cannot_release_a_stop(rig: Rig) -> None:
    probe = rig.probe
    assert probe.set_mode("stopped")[0]
    granted, why = probe.set_mode("ready", "supervisor")
    assert not granted
    assert "person" in why
    assert probe.set_mode("ready")[0]
