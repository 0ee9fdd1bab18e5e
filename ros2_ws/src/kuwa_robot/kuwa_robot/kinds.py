"""Kinds of robot by name; each is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kuwa_machines.contracts import Robot
from kuwa_machines.errors import KuwaError, choices

SENSOR_PATIENCE: Final = 20.0
"""CANopen sensors, which have their supply with the machine, may start with the stack [s]."""


@dataclass(frozen=True)
class Asked:
    """What a robot is made from.

    Args:
        machine: by the name of its folder. parameters: file with numbers in place of its own.
        scenario, seed, cameras: of a simulated robot.
        bus: how a real one is reached, in the words of its kind.
        node: for kinds that speak through the node that owns them.
    """

    machine: str
    parameters: str = ""
    scenario: str = ""
    seed: int = 0
    cameras: bool = False
    bus: str = ""
    node: Any = None


def _sim(asked: Asked) -> Mapping[str, Robot]:
    from kuwa_sim.robot import robots_of
    from kuwa_sim.world import World

    world = World(asked.scenario, asked.machine, asked.seed, parameters=asked.parameters)
    return robots_of(world, asked.cameras)


def _mock(asked: Asked) -> Mapping[str, Robot]:
    from kuwa_hardware.mock import MockRobot
    from kuwa_machines.overlay import load_machine_as

    return {asked.machine: MockRobot(load_machine_as(asked.machine, asked.parameters))}


def _opera(asked: Asked) -> Mapping[str, Robot]:
    from kuwa_machines.overlay import load_machine_as
    from kuwa_robot.opera import OperaRobot
    from kuwa_robot.opera_table import parse

    if asked.node is None:
        raise KuwaError("an OPERA robot speaks through a node; none was given")
    spec = load_machine_as(asked.machine, asked.parameters)
    return {asked.machine: OperaRobot(asked.node, spec, parse(asked.bus, asked.machine))}


def _com3_can(asked: Asked) -> Mapping[str, Robot]:
    from kuwa_hardware.canbus import BusSettings
    from kuwa_hardware.com3.driver import Com3Robot
    from kuwa_machines.overlay import load_machine_as

    bus = BusSettings.parse(asked.bus)
    spec = load_machine_as(asked.machine, asked.parameters)
    return {asked.machine: Com3Robot(spec, bus.opener)}


def _isobus(asked: Asked) -> Mapping[str, Robot]:
    from kuwa_hardware.canbus import BusSettings
    from kuwa_hardware.isobus.driver import IsobusRobot
    from kuwa_machines.overlay import load_machine_as

    bus = BusSettings.parse(asked.bus)
    spec = load_machine_as(asked.machine, asked.parameters)
    return {asked.machine: IsobusRobot(spec, bus.opener)}


KINDS: Final[dict[str, Callable[[Asked], Mapping[str, Robot]]]] = {
    "sim": _sim,
    "mock": _mock,
    "opera": _opera,
    "com3_can": _com3_can,
    "isobus": _isobus,
}


def _sensed(robot: Robot, file: str, bus: str) -> Robot:
    """Return the robot with CANopen sensors on its joints."""
    from kuwa_hardware.canbus import BusSettings
    from kuwa_hardware.canopen_sensors.config import load_sensors
    from kuwa_hardware.canopen_sensors.robot import sensed
    from kuwa_hardware.canopen_sensors.sensors import JointSensors

    spec = robot.spec
    sensors = load_sensors(spec, Path(file) if file else None)
    opener = BusSettings.parse(bus).opener
    return sensed(robot, JointSensors(spec, sensors, opener, patience=SENSOR_PATIENCE))


def make_robots(
    kind: str,
    machine: str,
    parameters: str,
    scenario: str,
    seed: int,
    cameras: bool = False,
    bus: str = "",
    node: Any = None,
    sensors: str = "",
    sensors_bus: str = "",
) -> Mapping[str, Robot]:
    """Return the robots of this kind by name, the machine's own first; not connected yet.

    Args:
        sensors_bus: of CANopen joint sensors on the first robot; empty: there are none.
        sensors: their file; empty: ``canopen.yaml`` in the machine's folder.

    Raises:
        KuwaError: if the kind, the machine or the scenario is unknown.
    """
    if kind not in KINDS:
        raise KuwaError(f"no robot kind {kind!r}; {choices(kind, KINDS)}")
    if sensors and not sensors_bus:
        raise KuwaError(f"sensors {sensors!r} without sensors_bus; give it, e.g. socketcan:can1")
    robots = KINDS[kind](Asked(machine, parameters, scenario, seed, cameras, bus, node))
    if not sensors_bus:
        return robots
    first = next(iter(robots))
    return {**robots, first: _sensed(robots[first], sensors, sensors_bus)}
