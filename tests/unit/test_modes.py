"""The mode machine: every transition of the table, and that a stop is latched."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuwa_hardware.modes import NEXT, PROGRAMS, ModeMachine
from kuwa_machines.contracts import Mode


def in_mode(mode: Mode) -> ModeMachine:
    modes = ModeMachine()
    path = {
        Mode.OFF: (),
        Mode.READY: (Mode.READY,),
        Mode.ARMED: (Mode.READY, Mode.ARMED),
        Mode.TELEOP: (Mode.READY, Mode.ARMED, Mode.TELEOP),
        Mode.AUTO: (Mode.READY, Mode.ARMED, Mode.AUTO),
        Mode.STOPPED: (Mode.STOPPED,),
    }[mode]
    for step in path:
        assert modes.request(step, "person")[0]
    return modes


@pytest.mark.parametrize(("before", "after"), list(product(Mode, Mode)))
def test_only_the_transitions_of_the_table_are_granted(before: Mode, after: Mode) -> None:
    modes = in_mode(before)
    granted, why = modes.request(after, "person")
    assert granted == (after in NEXT[before] or after is before or after is Mode.STOPPED)
    assert modes.mode is (after if granted else before)
    assert why


def test_motion_is_two_steps_away_from_ready() -> None:
    modes = in_mode(Mode.READY)
    granted, why = modes.request(Mode.AUTO, "person")
    assert not granted
    assert "armed" in why


def test_a_stop_is_latched_until_withdrawn_and_released_by_a_person() -> None:
    modes = in_mode(Mode.AUTO)
    modes.stop("button")
    assert modes.mode is Mode.STOPPED
    assert "button" in modes.request(Mode.READY, "Ada")[1]
    modes.withdraw("button")
    assert modes.mode is Mode.STOPPED
    for program in PROGRAMS:
        assert not modes.request(Mode.READY, program)[0]
    assert modes.request(Mode.READY, "Ada")[0]
    assert modes.mode is Mode.READY


def test_every_stop_demand_must_be_withdrawn() -> None:
    modes = in_mode(Mode.AUTO)
    modes.stop("button")
    modes.stop("supervisor")
    modes.withdraw("button")
    assert "supervisor" in modes.request(Mode.READY, "Ada")[1]


def test_a_stop_asked_for_as_a_mode_tells_who_and_the_first_reason_stays() -> None:
    modes = in_mode(Mode.AUTO)
    assert modes.request(Mode.STOPPED, "Ada") == (True, "stopped by Ada")
    modes = in_mode(Mode.AUTO)
    modes.stop("button", "it was pushed")
    assert modes.why == "stopped by button: it was pushed"
    assert modes.request(Mode.STOPPED, "Ada") == (True, modes.why)


def test_the_mode_in_force_is_granted_and_its_reason_stays() -> None:
    modes = in_mode(Mode.ARMED)
    granted, why = modes.request(Mode.ARMED, "Bob")
    assert granted and "already" in why
    assert modes.why.startswith("person asked")


@pytest.mark.parametrize("mode", Mode)
def test_falling_back_never_arms_what_was_at_rest(mode: Mode) -> None:
    modes = in_mode(mode)
    modes.fall_back("the deadman was let go")
    assert modes.mode is (Mode.ARMED if mode in (Mode.TELEOP, Mode.AUTO) else mode)


def test_an_unknown_mode_names_the_valid_ones() -> None:
    granted, why = ModeMachine().request("reddy", "Ada")
    assert not granted
    assert "did you mean 'ready'" in why


@given(st.lists(st.tuples(st.sampled_from(Mode), st.sampled_from(["Ada", "supervisor"]))))
def test_no_sequence_of_requests_by_programs_leaves_stopped(asked: list[tuple[Mode, str]]) -> None:
    modes = in_mode(Mode.STOPPED)
    for mode, who in asked:
        released = modes.request(mode, who)[0] and mode is not Mode.STOPPED
        if released:
            assert who == "Ada"
            return
        assert modes.mode is Mode.STOPPED
