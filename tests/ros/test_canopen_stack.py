"""The stack with CANopen joint sensors: as described, and at work through their frames."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kuwa_bringup.launching import ALWAYS, ARGUMENTS, specs_of
from kuwa_bringup.stack import EMULATED_SENSORS_BUS, NodeSpec, stack
from kuwa_cli.settings import settings
from kuwa_hardware.canbus import GROUP, PORT
from kuwa_hardware.canopen_sensors.robot import SensedRobot, SensedSimulation
from kuwa_hardware.com3.driver import Com3Robot
from kuwa_hardware.failures import failure
from kuwa_machines.errors import KuwaError
from kuwa_robot.kinds import make_robots
from stack_rig import Rig, running, wait_for

pytestmark = pytest.mark.ros
FILE = str(Path(__file__).parents[2] / "docs" / "how-to" / "canopen-zx200.yaml")
SENSORS_PORT = PORT + 1000
COUNT = 2.0 * math.pi / 65536
"""Of the swing's encoder [rad]."""
TRIES = 3
"""The bound is of the stack; a computer that others use may be late once."""


def test_emulated_sensors_are_a_node_beside_the_stack() -> None:
    specs = {s.name: s for s in stack("zx200", "com3_can", emulated=True, sensors=FILE)}
    sensors, robot = specs["sensors"], specs["robot"].parameters
    assert (sensors.package, sensors.executable) == ("kuwa_robot", "emulated_sensors")
    assert not sensors.lifecycle and sensors.namespace == "/zx200"
    assert "sensors" not in specs["supervisor"].parameters["nodes"]
    assert sensors.parameters["bus"] == robot["sensors_bus"] == EMULATED_SENSORS_BUS
    assert sensors.parameters["bus"] != robot["bus"]
    assert sensors.parameters["sensors"] == robot["sensors"] == FILE
    assert specs["machine"].parameters["plant_joints"] is True


def test_real_sensors_need_their_bus_and_have_no_such_node() -> None:
    specs = stack("zx200", "com3_can", bus="socketcan:can0", sensors_bus="socketcan:can1")
    assert [spec.name for spec in specs] == ["robot", "safety", "control", "planning", "supervisor"]
    assert specs[0].parameters["sensors_bus"] == "socketcan:can1"
    assert specs[0].parameters["sensors"] == ""
    with pytest.raises(ValueError, match="without sensors_bus"):
        stack("zx200", "com3_can", bus="socketcan:can0", sensors=FILE)
    with pytest.raises(ValueError, match="at speed 1"):
        stack("zx200", "sim", speed=2.0, sensors=FILE)


def test_launch_files_take_them_as_well() -> None:
    plain = {name: default for name, (default, _) in ARGUMENTS.items()}
    assert {"sensors", "sensors_bus"} <= set(ALWAYS)
    specs = specs_of(plain | {"robot": "com3_can", "sensors": FILE}, emulated=True)
    assert specs == stack("zx200", "com3_can", emulated=True, sensors=FILE)
    specs = specs_of(plain | {"robot": "mock", "sensors_bus": "virtual:a"})
    assert next(s for s in specs if s.name == "robot").parameters["sensors_bus"] == "virtual:a"


@pytest.mark.parametrize(
    ("scenario", "options", "says"),
    [
        ("dig_trench", {"lockstep": True}, "a clock of their own"),
        ("dig_trench", {"speed": 2.0}, "a clock of their own"),
        ("load_truck", {}, "in which one works"),
        ("plough_straight", {}, "sensors.swing.joint"),
    ],
)
def test_a_run_that_cannot_have_them_is_refused(scenario: str, options: dict, says: str) -> None:
    asked = {"lockstep": False, "speed": None} | options
    with pytest.raises(KuwaError, match=says):
        settings(
            scenario, None, 0, asked["lockstep"], asked["speed"], None, False, sensors=Path(FILE)
        )


def test_who_asks_for_none_has_none() -> None:
    specs = {s.name: s for s in stack("zx200", "com3_can", emulated=True)}
    assert "sensors" not in specs and "sensors_bus" not in specs["robot"].parameters
    assert "plant_joints" not in specs["machine"].parameters


def test_the_driver_is_made_around_the_robots() -> None:
    asked = {"bus": "socketcan:can0", "sensors": FILE, "sensors_bus": "socketcan:can1"}
    robot = make_robots("com3_can", "zx200", "", "", 0, **asked)["zx200"]
    assert isinstance(robot, SensedRobot) and isinstance(robot.robot, Com3Robot)
    assert isinstance(make_robots("mock", "zx200", "", "", 0, **asked)["zx200"], SensedSimulation)
    with pytest.raises(KuwaError, match="without sensors_bus"):
        make_robots("mock", "zx200", "", "", 0, sensors=FILE)
    with pytest.raises(KuwaError, match=r"zx200/canopen\.yaml"):
        make_robots("mock", "zx200", "", "", 0, sensors_bus="socketcan:can1")


@contextmanager
def at_work(kind: str, domain: int, logs: Path) -> Iterator[Rig]:
    """A stack whose joints are measured by CANopen sensors, before the mock plant."""
    emulated = kind != "mock"
    specs = stack(
        "zx200", kind, planner="", auto_arm=False, emulated=emulated, sensors=FILE,
        bus=f"udp_multicast:{GROUP}:{PORT + domain}" if kind == "com3_can" else "",
        sensors_bus=f"udp_multicast:{GROUP}:{SENSORS_PORT + domain}",
    )  # fmt: skip

    def before_mock(spec: NodeSpec) -> NodeSpec:
        more = {"plant": "mock"} if spec.name == "machine" else {}
        return replace(spec, parameters=spec.parameters | more)

    with running(tuple(map(before_mock, specs)), logs) as rig:
        yield rig


def moves(rig: Rig) -> bool:
    return abs(rig.probe.out()) > 0.05 and rig.probe.speed() > 0.05


@pytest.mark.parametrize(
    "kind",
    ["com3_can", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("opera", "mock"))],
)
def test_a_joint_moves_by_its_sensor_and_stands_without_it(
    ros_domain: int, tmp_path: Path, kind: str
) -> None:
    bound = 1e-3 * failure("sensor_silent").within_ms
    with at_work(kind, ros_domain, tmp_path) as rig:
        probe, processes = rig.probe, rig.processes
        start, took = probe.position("swing_joint"), []
        with probe.repeating(lambda: probe.velocity([(-1) ** len(took) * 0.2, 0.0, 0.0, 0.0])):
            probe.engage("teleop")
            wait_for("motion", lambda: probe.position("swing_joint") > start + 0.05)
            # Neither the bus of the machine nor the plant has steps of the encoder's size.
            counts = [float(state.position[0]) / COUNT for state in probe.states[-50:]]
            assert max(abs(count - round(count)) for count in counts) < 1e-3
            wait_for("speed", lambda: moves(rig))
            for _ in range(TRIES):
                processes.send("sensors", signal.SIGKILL)
                at = time.monotonic()
                wait_for("neutral", lambda: probe.out() == 0.0, 2.0)
                took.append(time.monotonic() - at)
                wait_for("its reason", lambda: "sensor_silent" in probe.safety.alarms, 2.0)
                assert probe.mode == "teleop", "a silent sensor is no stop"
                wait_for("its end", lambda: "sensors" in processes.ended())
                processes.start()
                wait_for("its return", lambda: "sensor_silent" not in probe.safety.alarms)
                # On a busy computer this test's own deadman may have been late meanwhile.
                probe.engage("teleop")
                wait_for("motion again", lambda: moves(rig))
        print(f"{kind}: sensors killed, valves in neutral after {took} s")
        assert min(took) < bound, took
