"""A machine with CANopen sensors on its joints, at the other end of two buses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import can
import numpy as np

from kuwa_hardware.canopen_sensors.config import SensorFile
from kuwa_hardware.canopen_sensors.machine import EmulatedSensors
from kuwa_hardware.canopen_sensors.sensors import JointSensors
from kuwa_hardware.com3.machine import EmulatedMachine
from kuwa_machines.contracts import Array, JointCommand, MachineState, Robot
from kuwa_machines.spec import MachineSpec

ANSWER = 0.001
"""Sensors look so often for what they are asked [s]."""


def sensors_of(spec: MachineSpec) -> SensorFile:
    """One sensor on each joint: encoders, and an inclinometer against one on the machine's body."""

    def number(value: float, unit: str) -> dict[str, object]:
        return {"value": value, "unit": unit, "source": "test"}

    sensors: dict[str, object] = {
        "body": {
            "type": "inclinometer", "node": 1, "axis": "long", "resolution": 10,
            "scale": number(1, "1"), "offset": number(0, "rad"),
        }
    }  # fmt: skip
    for i, joint in enumerate(spec.joint_names):
        sensors[joint] = {
            "type": "encoder", "node": 10 + i, "joint": joint, "sign": (-1) ** i,
            "units": 65536, "total": 65536, "scale": number(1, "1"), "offset": number(0.3, "rad"),
        }  # fmt: skip
    tilted = "boom_joint"
    sensors[tilted] = {
        "type": "inclinometer", "node": 30, "axis": "long", "resolution": 10, "joint": tilted,
        "sign": -1, "scale": number(1, "1"), "offset": number(1, "deg"), "relative_to": "body",
    }  # fmt: skip
    return SensorFile.model_validate({
        "sources": {"test": "a test's own number"}, "period": number(10, "ms"),
        "heartbeat": number(40, "ms"), "sensors": sensors,
    })  # fmt: skip


class Blind:
    """A robot that does not measure its joints."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot
        self.spec = robot.spec
        self._nan = np.full(len(robot.spec.joint_names), np.nan)

    def connect(self) -> None:
        self._robot.connect()

    def read(self) -> MachineState:
        return replace(self._robot.read(), q=self._nan, qd=self._nan)

    def write(self, command: JointCommand) -> JointCommand:
        return self._robot.write(command)

    def neutral(self) -> None:
        self._robot.neutral()

    def close(self) -> None:
        self._robot.close()


class MachineWithSensors:
    """Steps the machine and its sensors; these answer between steps as well, as computers do.

    Args:
        machine: on its bus. file: its sensors, on another. now: clock [s].
        reader: of the sensors, which connects again by the wall's clock.
    """

    def __init__(
        self, machine: EmulatedMachine, machine_bus: can.BusABC, file: SensorFile,
        bus: can.BusABC, now: Callable[[], float], reader: JointSensors,
    ) -> None:  # fmt: skip
        self._machine, self._machine_bus, self._reader = machine, machine_bus, reader
        self._sensors = EmulatedSensors(file, bus, now)
        self._names = machine.robot.spec.joint_names
        self._q = dict(zip(self._names, machine.robot.spec.home, strict=True))
        self._lock, self._end = threading.Lock(), threading.Event()
        self._answers = threading.Thread(target=self._answer, daemon=True)
        self._answers.start()

    def step(self) -> None:
        state = self._machine.step()
        with self._lock:
            self._q = dict(zip(self._names, map(float, state.q), strict=True))
            self._sensors.step(self._q)
        if self._reader.faults():
            time.sleep(0.01)

    @property
    def valves(self) -> Array:
        return self._machine.valves

    def close(self) -> None:
        self._end.set()
        self._answers.join()
        self._machine_bus.shutdown()

    def _answer(self) -> None:
        while not self._end.wait(ANSWER):
            with self._lock, suppress(can.CanError):
                self._sensors.step(self._q)
