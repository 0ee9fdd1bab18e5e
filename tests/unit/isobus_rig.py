"""An ISOBUS driver and an emulated tractor on one bus in one process, on a clock of ours."""

from __future__ import annotations

import itertools
from typing import Any

import can
import numpy as np

from kuwa_hardware.canbus import BusError, BusSettings
from kuwa_hardware.isobus.codec import IsobusError, message
from kuwa_hardware.isobus.driver import NAME, IsobusRobot
from kuwa_hardware.isobus.machine import EmulatedTractor
from kuwa_hardware.isobus.mapping import Mapping, load_mapping
from kuwa_hardware.j1939.identifier import ADDRESS_CLAIMED, GLOBAL, Frame, Identifier
from kuwa_hardware.j1939.name import Name
from kuwa_hardware.mock import MockRobot
from kuwa_machines.contracts import CommandKind, JointCommand, MachineState
from kuwa_machines.datafile import read_yaml
from kuwa_machines.loader import load_machine

TICK = 0.01
_channels = itertools.count()


class IsobusRig:
    """Both ends of a bus; the steady clock goes on by one tick a step.

    Args:
        machine: that the driver is for. mapping: of the driver, the machine's own if None.
        there: the tractor that is on the bus; the same machine if empty.
        name: of the driver.
    """

    def __init__(
        self, machine: str = "tractor_sprayer", mapping: Mapping | None = None, there: str = "",
        name: Name = NAME,
    ) -> None:  # fmt: skip
        self.settings = BusSettings("virtual", f"isobus-{next(_channels)}")
        self.now = 100.0
        self.unplugged = False
        self.plant = MockRobot(load_machine(there or machine))
        self.plant.connect()
        self._theirs = self.settings.open()
        self.tractor = EmulatedTractor(self.plant, self._theirs, self.clock)
        self.spec = load_machine(machine)
        self.driver = IsobusRobot(
            self.spec, self._open, mapping=mapping or load_mapping(self.spec),
            steady=self.clock, system=self.clock, sleep=self._sleep, name=name,
        )  # fmt: skip
        self.stranger = self.settings.open()
        self.names = tuple(self.spec.joint_names)
        self.sent = np.zeros(len(self.names))
        self.bus: can.BusABC | None = None

    def clock(self) -> float:
        return self.now

    def command(self, values: np.ndarray) -> JointCommand:
        return JointCommand(self.now, 1, "control", CommandKind.VALVE, self.names, values)

    def tick(self, values: np.ndarray | None = None) -> MachineState:
        """One cycle of both: command (None: neutral), machine, state."""
        if values is None:
            self.driver.neutral()
        else:
            self.sent = self.driver.write(self.command(values)).values
        self.tractor.step()
        self.now += TICK
        return self.driver.read()

    def run(self, values: np.ndarray | None, seconds: float) -> MachineState:
        for _ in range(max(round(seconds / TICK), 1)):
            state = self.tick(values)
        return state

    def all(self, value: float) -> np.ndarray:
        return np.full(len(self.names), value)

    def place(self, joint: str) -> int:
        return self.names.index(joint)

    def stranger_sends(
        self, name: str, source: int = 77, destination: int = GLOBAL, **values: float
    ) -> None:
        """Another node sends a message."""
        known = message(name)
        self.put(Frame(known.identifier(source, destination), known.encode(**values)))

    def stranger_claims(self, name: Name, address: int) -> None:
        """Another node claims an address."""
        self.put(Frame(Identifier(ADDRESS_CLAIMED, address), name.data))

    def put(self, frame: Frame) -> None:
        self.stranger.send(can.Message(arbitration_id=frame.identifier.can_id, data=frame.data))

    def unplug(self) -> None:
        assert self.bus is not None
        self.unplugged = True
        self.bus.shutdown()

    def close(self) -> None:
        self.driver.close()
        self._theirs.shutdown()
        self.stranger.shutdown()

    def _open(self) -> can.BusABC:
        if self.unplugged:
            raise BusError("unplugged; plug it in")
        self.bus = self.settings.open()
        return self.bus

    def _sleep(self, seconds: float) -> None:
        self.tractor.step()
        self.now += TICK


def working(machine: str = "tractor_sprayer") -> IsobusRig:
    """Return a rig whose driver is connected and moves the machine."""
    rig = IsobusRig(machine)
    rig.driver.connect()
    state = rig.run(rig.all(0.3), 0.3)
    assert state.faults == (), state.faults
    assert np.abs(rig.tractor.valves).min() > 0.1
    return rig


def yaml_of(machine: str) -> dict[str, Any]:
    """Return a machine's ``isobus.yaml`` to be changed."""
    raw: dict[str, Any] = read_yaml(load_machine(machine).folder / "isobus.yaml", IsobusError)
    return raw
