"""Who must be heard: heartbeats, the deadman, perception's doubt; each by itself."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kuwa_hardware.failures import failures
from kuwa_hardware.limits import GateLimits
from kuwa_hardware.watch import GONE, Deadman, Doubt, Heartbeats
from kuwa_machines.contracts import Level

T = GateLimits().heartbeat_timeout
LATE = 100.0 + 1.01 * T


def heard(*nodes: str, **limits: Any) -> Heartbeats:
    """All of them were active at time 100."""
    beats = Heartbeats(GateLimits(**limits))
    for node in nodes:
        beats.heard(100.0, node, "active")
    return beats


def test_only_who_is_silent_is_named_and_only_after_its_time() -> None:
    beats = heard("control", "planning")
    assert beats.silent(100.0 + 0.99 * T) == []
    beats.heard(LATE, "planning", "active")
    ((code, level, why),) = beats.silent(LATE)
    assert code == "control_killed" and level is failures()[code].reaction.level
    assert why == f"no heartbeat of control for {T:g} s"


def test_a_node_that_says_it_is_inactive_is_not_watched() -> None:
    beats = heard("control", "planning")
    beats.heard(100.0, "control", "inactive")
    beats.heard(100.0, "stranger", "inactive")
    assert [code for code, _, _ in beats.silent(LATE)] == ["planning_killed"]
    beats.heard(100.0, "planning", "finalized")
    assert beats.silent(LATE) == []


def test_its_last_words_are_told() -> None:
    beats = heard()
    beats.heard(100.0, "control", "active", "the disk is full")
    assert beats.silent(LATE)[0][2].endswith("it last said: the disk is full")


@pytest.mark.parametrize("code", [code for code in failures() if code.endswith("_killed")])
def test_no_death_is_worth_less_than_a_hold(code: str) -> None:
    node = code.removesuffix("_killed")
    beats = heard(node)
    found = {code: level for code, level, _ in beats.silent(LATE)}
    assert found[code] is failures()[code].reaction.level >= Level.HOLD


def test_a_node_without_a_row_matters_too() -> None:
    assert heard("camera").silent(LATE)[0][:2] == ("camera_killed", Level.HOLD)


def test_who_is_gone_can_be_gone_on_without_but_not_the_supervisor() -> None:
    beats = heard("camera", "supervisor", supervisor_timeout=0.0)
    beats.heard(101.0, "planning", "active")
    late = 100.01 + GONE
    assert beats.go_on_without(late) == ["camera_killed"]
    assert {code for code, _, _ in beats.silent(late)} == {"supervisor_killed", "planning_killed"}
    assert beats.go_on_without(late) == []


def test_a_supervisor_that_is_gone_stops_the_machine() -> None:
    beats = heard("supervisor", "control", supervisor_timeout=2.0)
    assert "supervisor_gone" not in [code for code, _, _ in beats.silent(101.9)]
    assert ("supervisor_gone", Level.STOPPED) in [row[:2] for row in beats.silent(102.1)]
    # Where nobody is to wait for it, it never does.
    assert len(heard("supervisor", supervisor_timeout=0.0).silent(1e6)) == 1
    assert len(heard("control", supervisor_timeout=2.0).silent(1e6)) == 1


def test_the_deadman_must_be_held_and_heard() -> None:
    deadman = Deadman(GateLimits(deadman_timeout=0.2))
    assert not deadman.known and "never" in deadman.trouble(100.0)[1]
    deadman.said(100.0, True)
    assert deadman.known and deadman.trouble(100.19) == ("", "")
    assert deadman.trouble(100.21)[0] == "teleop_killed"
    deadman.said(100.3, False)
    assert deadman.trouble(100.3) == ("deadman_released", "the deadman is not held")


def said(doubt: Doubt, since: float, until: float, energy: float, limit: float = 10.0) -> None:
    """Perception says this every tenth of a second."""
    for k in range(round(10 * (until - since))):
        doubt.said(since + 0.1 * k, energy, limit)


def test_an_unknown_scene_is_held_after_a_while_and_trusted_after_as_long() -> None:
    doubt = Doubt(GateLimits(unknown_time=0.5))
    said(doubt, 100.0, 100.5, 11.0)
    assert doubt.demand(100.49) is None
    demand = doubt.demand(100.51)
    assert demand is not None and demand[:2] == ("scene_unknown", Level.HOLD)
    said(doubt, 100.6, 101.1, 9.0)
    assert doubt.demand(101.1) is not None, "known for less than half a second"
    said(doubt, 101.1, 101.3, 9.0)
    assert doubt.demand(101.3) is None
    # What was known again begins anew.
    said(doubt, 101.3, 101.7, 11.0)
    assert doubt.demand(101.7) is None


def test_a_moment_of_doubt_is_forgotten_at_once() -> None:
    doubt = Doubt(GateLimits(unknown_time=0.5))
    doubt.said(100.0, 11.0, 10.0)
    doubt.said(100.1, 10.0, 10.0)
    assert doubt.demand(200.0) is None


def test_one_good_word_does_not_end_a_doubt_in_force() -> None:
    doubt = Doubt(GateLimits(unknown_time=0.5))
    doubt.said(100.0, 11.0, 10.0)
    assert doubt.demand(101.0)
    doubt.said(101.0, 1.0, 10.0)
    doubt.said(101.1, 11.0, 10.0)
    doubt.said(101.6, 1.0, 10.0)
    assert doubt.demand(101.6), "the good words did not follow one another"


@pytest.mark.parametrize(("energy", "limit"), [(math.nan, 10.0), (math.inf, 10.0), (1.0, math.nan)])
def test_what_is_no_number_is_a_doubt_of_its_own(energy: float, limit: float) -> None:
    doubt = Doubt(GateLimits(unknown_time=0.5))
    doubt.said(100.0, energy, limit)
    demand = doubt.demand(101.0)
    assert demand is not None and demand[0] == "latent_nan"
