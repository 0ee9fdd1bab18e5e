"""A bench for each driver: the driver and whatever it needs to move, on a clock of the bench.

A line of ``BENCHES`` puts a driver through the whole suite of ``test_robots.py``. A bench is a
class with what :class:`Bench` says; those on a bus have :class:`OnBus` besides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

import can

from canopen_bench import Blind, MachineWithSensors, sensors_of
from kuwa_hardware.canbus import BusError, BusSettings
from kuwa_hardware.canopen_sensors.robot import SensedRobot
from kuwa_hardware.canopen_sensors.sensors import JointSensors
from kuwa_hardware.com3.driver import Com3Robot
from kuwa_hardware.com3.machine import EmulatedMachine
from kuwa_hardware.isobus.driver import IsobusRobot
from kuwa_hardware.isobus.machine import EmulatedTractor
from kuwa_hardware.mock import MockRobot
from kuwa_machines.contracts import Array, MachineState, Robot
from kuwa_machines.loader import load_machine
from kuwa_sim.robot import SimRobot

TICK: Final = 0.01
_channels = itertools.count()


class Bench(Protocol):
    """A driver that is not connected yet.

    Args:
        robot: the driver. settle: seconds after which a joint that is told to moves.
    """

    robot: Robot
    settle: float

    def tick(self) -> MachineState:
        """Let one control period pass; return what the driver reads then."""

    def close(self) -> None:
        """Close the driver and all that is with it."""


@runtime_checkable
class OnBus(Protocol):
    """A bench whose driver talks to another computer over a bus.

    Args:
        remedy: what a driver says that is to be connected without its bus.
    """

    remedy: str

    def unplug(self) -> None:
        """Take the bus away under the driver's feet."""

    def plug_in(self) -> None:
        """Give it back."""

    def machine_goes_on(self) -> None:
        """Let the machine's side pass a control period, while the driver does nothing."""

    @property
    def valves(self) -> Array:
        """Openings of the valves at the machine's side, shape (n,)."""


class SimulatedBench:
    """A robot that is its own machine."""

    def __init__(self, robot: SimRobot | MockRobot, settle: float) -> None:
        self.robot, self.settle, self._sim = robot, settle, robot

    def tick(self) -> MachineState:
        self._sim.advance()
        return self.robot.read()

    def close(self) -> None:
        self.robot.close()


class BusBench:
    """A driver, a virtual bus in this process, and the emulated machine at its other end.

    Args:
        make: returns the driver and the machine; given the function that opens the driver's bus,
            the machine's bus and the clock.
    """

    settle = 0.6
    remedy = "plug it in"

    def __init__(
        self,
        make: Callable[
            [Callable[[], can.BusABC], can.BusABC, BusBench],
            tuple[Robot, EmulatedMachine | EmulatedTractor | MachineWithSensors],
        ],
    ) -> None:
        self._settings = BusSettings("virtual", f"contract-{next(_channels)}")
        self._now = 50.0
        self._unplugged = False
        self._bus: can.BusABC | None = None
        self._theirs = self._settings.open()
        self.robot, self._machine = make(self._open, self._theirs, self)

    def clock(self) -> float:
        """Every look takes a moment, or whoever waits for it waits for ever."""
        self._now += 1e-5
        return self._now

    def now(self) -> float:
        """The same for a reader beside the driver, in another thread too: a look takes nothing."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """While the driver waits the machine goes on."""
        self._machine.step()
        self._now += TICK

    def tick(self) -> MachineState:
        self.machine_goes_on()
        self._now += TICK
        return self.robot.read()

    def machine_goes_on(self) -> None:
        self._machine.step()

    @property
    def valves(self) -> Array:
        return self._machine.valves

    def unplug(self) -> None:
        assert self._bus is not None
        self._unplugged = True
        self._bus.shutdown()

    def plug_in(self) -> None:
        self._unplugged = False

    def close(self) -> None:
        self.robot.close()
        if isinstance(self._machine, MachineWithSensors):
            self._machine.close()
        self._theirs.shutdown()

    def _open(self) -> can.BusABC:
        if self._unplugged:
            raise BusError("the adapter is unplugged; plug it in")
        self._bus = self._settings.open()
        return self._bus


def _plant(machine: str) -> MockRobot:
    plant = MockRobot(load_machine(machine))
    plant.connect()
    return plant


def _com3(machine: str) -> Bench:
    def make(
        opens: Callable[[], can.BusABC], bus: can.BusABC, bench: BusBench
    ) -> tuple[Robot, EmulatedMachine]:
        there = EmulatedMachine(_plant(machine), bus, bench.clock)
        driver = Com3Robot(load_machine(machine), opens, steady=bench.clock, system=bench.clock)
        return driver, there

    return BusBench(make)


def _isobus(machine: str) -> Bench:
    def make(
        opens: Callable[[], can.BusABC], bus: can.BusABC, bench: BusBench
    ) -> tuple[Robot, EmulatedTractor]:
        there = EmulatedTractor(_plant(machine), bus, bench.clock)
        driver = IsobusRobot(
            load_machine(machine), opens,
            steady=bench.clock, system=bench.clock, sleep=bench.sleep,
        )  # fmt: skip
        return driver, there

    return BusBench(make)


def _canopen(machine: str, alone: bool) -> Bench:
    """The bench's bus is the sensors'; the valves are on a COM3 bus of their own.

    Args:
        alone: the machine measures none of its joints itself.
    """

    def make(
        opens: Callable[[], can.BusABC], bus: can.BusABC, bench: BusBench
    ) -> tuple[Robot, MachineWithSensors]:
        spec = load_machine(machine)
        com3 = BusSettings("virtual", f"contract-{next(_channels)}")
        theirs = com3.open()
        there = EmulatedMachine(_plant(machine), theirs, bench.clock)
        robot: Robot = Com3Robot(spec, com3.opener, steady=bench.clock, system=bench.clock)
        file = sensors_of(spec)
        sensors = JointSensors(
            spec, file, opens, steady=bench.now, system=bench.now, when=lambda _: bench.now()
        )
        driver = SensedRobot(Blind(robot) if alone else robot, sensors)
        return driver, MachineWithSensors(there, theirs, file, bus, bench.now, sensors)

    return BusBench(make)


def _opera(machine: str) -> Bench:
    from opera_rig import OperaBench  # needs ROS

    return OperaBench(machine)


BENCHES: Final[dict[str, Callable[[], Bench]]] = {
    "sim": lambda: SimulatedBench(SimRobot("dig_trench", maps=False), settle=1.5),
    "mock": lambda: SimulatedBench(MockRobot(load_machine("zx200")), settle=0.3),
    "com3_can": lambda: _com3("zx200"),
    "canopen beside com3_can": lambda: _canopen("zx200", alone=False),
    "canopen alone on com3_can": lambda: _canopen("zx200", alone=True),
    "isobus tractor_plough": lambda: _isobus("tractor_plough"),
    "isobus tractor_sprayer": lambda: _isobus("tractor_sprayer"),
    "opera": lambda: _opera("zx200"),
}
ON_ROS: Final = frozenset({"opera"})
"""Those that need a ROS domain of their own."""
