"""What the COM3 driver takes from the bus, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import can
import numpy as np
import pytest

from com3_rig import Com3Rig, running
from kuwa_hardware.com3.codec import messages
from kuwa_hardware.com3.driver import WrongMachineError

NOTHING = b"\xff" * 8
"""Every signal of it is "not available"."""


@pytest.fixture
def rig() -> Iterator[Com3Rig]:
    made = running()
    yield made
    made.close()


def test_what_the_adapter_says_of_itself_is_heard(rig: Com3Rig) -> None:
    rig.stranger.send(
        can.Message(arbitration_id=0x040, is_error_frame=True, is_extended_id=False, data=bytes(8))
    )
    assert "bus_off" in rig.driver.read().faults


def test_a_question_on_the_bus_is_no_answer_and_no_command(rig: Com3Rig) -> None:
    """Who looks for a fault in the machine asks by remote frames, which carry nothing."""
    for name in ("Front_Angle", "Pilot_Pressure_Cmd_1"):
        identifier = messages()[name].id
        rig.stranger.send(
            can.Message(arbitration_id=identifier, is_extended_id=True, is_remote_frame=True)
        )
    rig.tick()
    assert rig.driver.why == {}


def test_another_commander_is_named_and_nothing_more_is_asked_of_the_valves(rig: Com3Rig) -> None:
    rig.stranger_sends("Pilot_Pressure_Cmd_1", bytes(8), source=0x21)
    rig.tick()
    assert "21 commands the machine" in rig.driver.why["foreign_commander"]
    rig.tick()
    assert not rig.sent.any()


def test_joint_angles_without_values_are_corrupt_and_not_taken(rig: Com3Rig) -> None:
    rig.stranger_sends("Front_Angle", NOTHING)
    state = rig.tick()
    assert "Front_Angle: no value" in rig.driver.why["frame_corrupt"]
    assert np.isfinite(state.q).all()
    for _ in range(100):
        rig.machine.panel.mute.add("Front_Angle")
        rig.stranger_sends("Front_Angle", NOTHING)
        state = rig.tick()
    assert "machine_silent" in state.faults, "a sensor that says nothing is a silent one"


def test_pins_that_are_not_known_do_not_make_another_machine_the_right_one() -> None:
    rig = Com3Rig("zx200", there="zx120")

    def begin() -> None:
        """The driver comes in the middle of the pins, and the machine has none yet."""
        for i in (3, 1, 2, 3):
            rig.stranger_sends(f"Front_Pin_Position_{i}", NOTHING)
        rig.waiting = rig.machine.step

    rig.waiting = begin
    with pytest.raises(WrongMachineError):
        rig.driver.connect()
    rig.close()


def test_waiting_for_a_measurement_ends_in_its_time_however_much_else_comes(rig: Com3Rig) -> None:
    """A bus that is asked to wait for less than no time raises."""
    rig.driver.read()
    began = rig.now

    def other() -> None:
        rig.stranger_sends("Vehicle_Azimuth", bytes(8))
        rig.now += 0.001

    rig.waiting = other
    rig.driver.read()
    assert rig.now - began <= messages()["Front_Angle"].cycle


def test_stamps_grow_while_the_computers_clock_is_set_back(rig: Com3Rig) -> None:
    stamps = [rig.tick().stamp]
    rig.set_back = 100.0
    stamps += [rig.tick().stamp for _ in range(5)]
    assert all(b > a for a, b in pairwise(stamps))
