"""A COM3 driver and the machine's controllers on one bus in one process, on a clock of ours."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import can
import numpy as np
from can.interfaces.virtual import VirtualBus

from kuwa_hardware.canbus import BusError, BusSettings
from kuwa_hardware.com3.codec import messages
from kuwa_hardware.com3.driver import Com3Robot
from kuwa_hardware.com3.machine import EmulatedMachine
from kuwa_hardware.com3.mapping import FrontMode
from kuwa_hardware.mock import MockRobot
from kuwa_machines.contracts import CommandKind, JointCommand, MachineState
from kuwa_machines.loader import load_machine

TICK = 0.01
ASKED = np.array([0.4, -0.3, 0.5, -0.6])
_names = itertools.count()


class _Instant(VirtualBus):
    """Waiting for a frame turns the rig's clock instead of costing time."""

    def __init__(self, rig: Com3Rig) -> None:
        super().__init__(rig.settings.channel)
        self._rig = rig

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        if not self._rig.severed:
            super().send(msg, timeout)

    def recv(self, timeout: float | None = None) -> can.Message | None:
        assert timeout is None or timeout >= 0.0, "a bus that polls its socket raises as well"
        frame = super().recv(0.0)
        # What the adapter says of itself still comes through.
        while self._rig.severed and frame is not None and not frame.is_error_frame:
            frame = super().recv(0.0)
        if frame is None and timeout:
            self._rig.waited(timeout)
            frame = super().recv(0.0)
        return frame


class Com3Rig:
    """Both ends of a bus; the steady clock goes on by one tick a step.

    Args:
        machine: that the driver is for. there: the one that is on the bus.
        mode: of the commands.
    """

    def __init__(self, machine: str = "zx200", there: str = "", mode: FrontMode = "effort") -> None:
        self.settings = BusSettings("virtual", f"com3-rig-{next(_names)}")
        self.now = 100.0
        self.unplugged = False
        self.severed = False
        """The adapter is there and nothing passes it."""
        self.set_back = 0.0
        """The computer's clock is behind by so much [s]."""
        plant = MockRobot(load_machine(there or machine))
        plant.connect()
        self.machine = EmulatedMachine(plant, self.settings.open(), self.clock)
        self.driver = Com3Robot(
            load_machine(machine), self._open, mode, self.clock, lambda: time.time() - self.set_back
        )
        self.stranger = self.settings.open()
        self.names = self.driver.spec.joint_names
        self.sequence = 0
        self.sent = np.zeros(len(self.names))
        self.bus: can.BusABC | None = None
        self.waiting: Callable[[], object] | None = None
        """What happens meanwhile when the driver waits."""

    def clock(self) -> float:
        return self.now

    def waited(self, seconds: float) -> None:
        """Somebody waited for a frame that did not come."""
        self.now += seconds
        if self.waiting is not None:
            self.waiting()

    def _open(self) -> can.BusABC:
        if self.unplugged:
            raise BusError("unplugged; plug it in")
        self.bus = _Instant(self)
        return self.bus

    def unplug(self) -> None:
        """Take the adapter away under the driver's feet."""
        assert self.bus is not None
        self.unplugged = True
        self.bus.shutdown()

    def command(self, values: np.ndarray | None = None) -> JointCommand:
        self.sequence += 1
        u = ASKED if values is None else values
        return JointCommand(self.now, self.sequence, "control", CommandKind.VALVE, self.names, u)

    def tick(self, values: np.ndarray | None = None) -> MachineState:
        """One cycle of both: command, machine, state."""
        self.sent = self.driver.write(self.command(values)).values
        self.machine.step()
        state = self.driver.read()
        self.now += TICK
        return state

    def run(self, seconds: float) -> MachineState:
        for _ in range(round(seconds / TICK)):
            state = self.tick()
        return state

    def stranger_sends(self, name: str, data: bytes, source: int | None = None) -> None:
        """Another node sends a frame, by default with the message's own source address."""
        identifier = messages()[name].id
        if source is not None:
            identifier = identifier & ~0xFF | source
        self.stranger.send(can.Message(arbitration_id=identifier, data=data, is_extended_id=True))

    def close(self) -> None:
        self.driver.close()
        self.machine.bus.shutdown()
        self.stranger.shutdown()


def running(**options: str) -> Com3Rig:
    """Return a rig in which the machine is known and moves."""
    rig = Com3Rig(**options)  # type: ignore[arg-type]
    rig.driver.connect()
    rig.run(0.3)
    assert not rig.driver.why, rig.driver.why
    assert np.abs(rig.machine.valves).max() > 0.5
    return rig
