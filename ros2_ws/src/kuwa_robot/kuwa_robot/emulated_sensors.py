"""CANopen joint sensors that are not there, as a process on their bus.

It is no part of the stack. The emulated machine, or the simulated robot, tells it where the joints
of its plant are; to the driver it is all sensors of the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rclpy.node import Node
from rclpy.utilities import try_shutdown

from kuwa_hardware.canbus import BusSettings
from kuwa_hardware.canopen_sensors.config import load_sensors
from kuwa_hardware.canopen_sensors.machine import EmulatedSensors
from kuwa_machines.overlay import load_machine_as
from kuwa_robot.plant_joints import PLANT_JOINTS
from kuwa_ros.loop import DeadlineLoop, Reader
from kuwa_ros.main import run
from kuwa_ros.parameters import declare, parameter, read

PERIOD: Final = 0.0025
"""They look so often for what they are asked and for what is due [s]."""


@dataclass(frozen=True)
class SensorsParameters:
    """Parameters of the emulated sensors."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    sensors: str = parameter("", "file of the sensors; empty: canopen.yaml of the machine")
    bus: str = parameter("", "the bus, e.g. udp_multicast:239.74.163.2:31113")


class EmulatedSensorsNode(Node):
    """All sensors of one machine; ends with its process."""

    def __init__(self) -> None:
        super().__init__("sensors")
        declare(self, SensorsParameters)
        p = read(self, SensorsParameters)
        settings = BusSettings.parse(p.bus)
        spec = load_machine_as(p.machine, p.parameters)
        file = load_sensors(spec, Path(p.sensors) if p.sensors else None)
        self._q = dict(zip(spec.joint_names, map(float, spec.home), strict=True))
        self._joints = Reader(self, PLANT_JOINTS)
        self.bus = settings.open()
        self.sensors = EmulatedSensors(file, self.bus)
        self._loop = DeadlineLoop("sensors", PERIOD, self._step, self._failed)
        self._loop.start()
        self.get_logger().info(f"{len(file.sensors)} sensors of {p.machine} answer on {settings}")

    def finish(self) -> None:
        """Stop the loop and leave the bus."""
        self._loop.stop()
        self.bus.shutdown()

    def _step(self, now: float) -> None:
        message = self._joints.take()
        if message is not None:
            self._q = dict(zip(message.name, message.position, strict=True))
        self.sensors.step(self._q)

    def _failed(self, error: Exception) -> None:
        self.get_logger().fatal(f"the sensors broke down: {error}")
        try_shutdown()


def main() -> None:
    """Run the sensors."""
    run(EmulatedSensorsNode)


if __name__ == "__main__":
    main()
