"""The stack with a COM3 machine: as described, and as a person may ask for it."""

from __future__ import annotations

import pytest

from kuwa_bringup.stack import EMULATED_BUS, stack
from kuwa_cli.settings import SettingsError, settings
from kuwa_hardware.canbus import BusError
from kuwa_hardware.com3.driver import Com3Robot
from kuwa_robot.kinds import make_robots

pytestmark = pytest.mark.ros


def test_an_emulated_machine_is_a_node_that_the_supervisor_has_nothing_to_do_with() -> None:
    specs = stack("zx200", "com3_can", seed=4, emulated=True)
    machine, robot = specs[0], specs[1]
    assert (machine.package, machine.executable) == ("kuwa_robot", "emulated_machine")
    assert not machine.lifecycle and machine.namespace == "/zx200"
    assert "machine" not in specs[-1].parameters["nodes"]
    assert specs[-1].parameters["auto_arm"] is True
    assert machine.parameters["bus"] == robot.parameters["bus"] == EMULATED_BUS["com3_can"]
    assert (machine.parameters["seed"], machine.parameters["scenario"]) == (4, "dig_trench")


def test_a_real_machine_has_no_such_node_and_a_person_arms_it() -> None:
    specs = stack("zx200", "com3_can", bus="socketcan:can0")
    assert [spec.name for spec in specs] == ["robot", "safety", "control", "planning", "supervisor"]
    assert specs[0].parameters["bus"] == "socketcan:can0"
    assert specs[-1].parameters["auto_arm"] is False
    with pytest.raises(ValueError, match="a person arms a real machine"):
        stack("zx200", "com3_can", auto_arm=True)


@pytest.mark.parametrize(
    "wrong", [{"robot": "mock"}, {"speed": 2.0}, {"partners": {"truck": "ic120"}}]
)
def test_an_emulated_machine_works_alone_in_real_time(wrong: dict) -> None:
    with pytest.raises(ValueError, match="works alone, at speed 1"):
        stack(**({"robot": "com3_can", "emulated": True} | wrong))


def test_the_driver_is_made_from_its_bus_by_name() -> None:
    robot = make_robots("com3_can", "zx200", "", "", 0, bus="socketcan:can0")["zx200"]
    assert isinstance(robot, Com3Robot)
    with pytest.raises(BusError, match="no interface ''"):
        make_robots("com3_can", "zx200", "", "", 0)


@pytest.mark.parametrize(
    ("scenario", "options", "says"),
    [
        ("dig_trench", {"robot": "com3"}, "did you mean 'com3_can'"),
        ("dig_trench", {"robot": "com3_can", "lockstep": True}, "a clock of its own"),
        ("dig_trench", {"robot": "com3_can", "speed": 2.0}, "a clock of its own"),
        ("load_truck", {"robot": "com3_can"}, "only one machine can be on the bus"),
    ],
)
def test_what_cannot_be_is_refused_with_what_could(scenario: str, options: dict, says: str) -> None:
    asked = {"lockstep": False, "speed": None, "robot": "sim"} | options
    with pytest.raises(SettingsError, match=says):
        settings(
            scenario, None, 0, asked["lockstep"], asked["speed"], None, False, robot=asked["robot"]
        )
