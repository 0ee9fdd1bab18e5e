"""Rows about the driver's process: the machine's own controllers notice that it is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from failure_rows import Seen, row
from kuwa_hardware.canbus import GROUP, BusSettings
from kuwa_hardware.com3.machine import EmulatedMachine
from kuwa_hardware.mock import MockRobot
from kuwa_machines.loader import load_machine

TICK = 0.01
PATIENCE = 20.0
PROCESS = Path(__file__).with_name("com3_driver_process.py")


class MachineInTime:
    """An emulated machine at 100 Hz of real time on the loopback, and the driver's process."""

    def __init__(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.settings = BusSettings("udp_multicast", GROUP, port)
        plant = MockRobot(load_machine("zx200"))
        plant.connect()
        self.bus = self.settings.open()
        self.machine = EmulatedMachine(plant, self.bus)
        self.driver: subprocess.Popen[bytes] | None = None
        self._deadline = time.monotonic()

    def start_driver(self) -> None:
        self.driver = subprocess.Popen([sys.executable, str(PROCESS), str(self.settings)])

    def until(self, holds: Callable[[], bool]) -> float:
        """Let the machine work until it holds; return how long that took [ms]."""
        start = time.monotonic()
        while time.monotonic() - start < PATIENCE:
            self.machine.step()
            if holds():
                return 1e3 * (time.monotonic() - start)
            self._deadline = max(self._deadline + TICK, time.monotonic())
            time.sleep(max(self._deadline - time.monotonic(), 0.0))
        raise AssertionError(
            f"not within {PATIENCE:g} s; the driver: {self.driver and self.driver.poll()}"
        )

    def moves(self) -> bool:
        return bool(self.machine.valves.all())

    def stands(self) -> bool:
        return not self.machine.valves.any()

    def send(self, number: signal.Signals) -> None:
        assert self.driver is not None
        os.kill(self.driver.pid, number)

    def close(self) -> None:
        if self.driver is not None:
            with suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
            self.driver.wait()
        self.bus.shutdown()


@contextmanager
def machine_in_motion() -> Iterator[MachineInTime]:
    """A machine that a driver's process moves."""
    machine = MachineInTime()
    try:
        machine.start_driver()
        machine.until(machine.moves)
        yield machine
    finally:
        machine.close()


@row("robot_killed")
def robot_killed(tmp_path: Path) -> Seen:
    with machine_in_motion() as machine:
        machine.send(signal.SIGKILL)
        after = machine.until(machine.stands)
        said = machine.machine.why_neutral(time.monotonic())
        assert machine.driver is not None
        machine.driver.wait()
        machine.start_driver()
        machine.until(machine.moves)
    return Seen("neutral", after, True, said)


@row("robot_frozen")
def robot_frozen(tmp_path: Path) -> Seen:
    with machine_in_motion() as machine:
        machine.send(signal.SIGSTOP)
        after = machine.until(machine.stands)
        said = machine.machine.why_neutral(time.monotonic())
        machine.send(signal.SIGCONT)
        machine.until(machine.moves)
    return Seen("neutral", after, True, said)
