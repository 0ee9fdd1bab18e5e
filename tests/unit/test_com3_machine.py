"""What the emulated machine's controllers do by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import can
import numpy as np
import pytest

from com3_rig import TICK, Com3Rig, running
from kuwa_hardware.com3.codec import messages


@pytest.fixture
def rig() -> Iterator[Com3Rig]:
    made = running()
    yield made
    made.close()


def until_neutral(rig: Com3Rig, most: int = 40) -> float:
    """Let only the machine go on; return after how long its valves are in neutral [s]."""
    start = rig.now
    for _ in range(most):
        rig.machine.step()
        if not rig.machine.valves.any():
            return rig.now - start
        rig.now += TICK
    raise AssertionError("the valves stay open")


def test_without_commands_it_is_in_neutral_after_its_time_out_and_not_before(rig: Com3Rig) -> None:
    rig.now -= TICK  # since the last command
    assert 0.1 <= until_neutral(rig) <= 0.1 + 2 * TICK
    assert rig.machine.why_neutral(rig.now) == "no Pilot_Pressure_Cmd_1 for 0.1 s"


def test_commands_without_a_counting_alive_counter_are_no_commands(rig: Com3Rig) -> None:
    """A gateway that hangs and repeats its last frames must not keep a machine moving."""
    table = messages()
    frames = [
        (table["Machine_Setting_Cmd"], rig.driver._setting_frame()),
        (
            table["Pilot_Pressure_Cmd_1"],
            table["Pilot_Pressure_Cmd_1"].encode_raw(rig.driver.signals.pilot_raw(np.full(4, 0.5))),
        ),
    ]
    for tick in range(30):
        for message, data in frames:
            rig.stranger.send(
                can.Message(arbitration_id=message.id, data=data, is_extended_id=True)
            )
        rig.machine.step()
        rig.now += TICK
        if tick != 15:  # the bound itself, up to rounding
            assert rig.machine.valves.any() == (tick < 15), tick
    assert rig.machine.why_neutral(rig.now) == "the alive counter stands still"


@pytest.mark.parametrize(
    ("switch", "says"),
    [
        ("external", "not on external"),
        ("unlocked", "shut off"),
        ("engine", "does not run"),
    ],
)
def test_people_have_the_last_word(rig: Com3Rig, switch: str, says: str) -> None:
    setattr(rig.machine.panel, switch, False)
    rig.machine.step()
    assert not rig.machine.valves.any()
    assert says in rig.machine.why_neutral(rig.now)
    for _ in range(30):
        state = rig.tick()
    if switch == "engine":
        assert state.engine_speed == 0.0
    else:
        assert state.faults == ("machine_not_external",)


def test_a_target_that_is_not_available_is_not_taken() -> None:
    rig = running(mode="velocity")
    message = messages()["Velocity_Cmd_1"]
    before = rig.machine.valves
    rig.stranger_sends(message.name, b"\xff" * 8)
    rig.stranger_sends(message.name, bytes(3))
    rig.machine.step()
    assert rig.machine.refused == 2
    # The joints have gone on a little, and their valves with them.
    assert np.abs(rig.machine.valves - before).max() < 0.01
    rig.close()


def test_a_machine_that_was_held_up_goes_on_by_as_many_periods_and_tells_once(
    rig: Com3Rig,
) -> None:
    plant, sent = rig.machine.robot, rig.machine.sent
    before = plant.read().stamp
    state = rig.machine.step(5)
    assert state.stamp == pytest.approx(before + 5 * plant.control_period)
    # One of each that was due in the meantime, not five.
    assert 6 <= rig.machine.sent - sent <= 17
