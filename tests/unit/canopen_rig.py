"""CANopen sensors of a tractor at both ends of a bus, on a clock of ours."""

from __future__ import annotations

import itertools
import threading
import time

from kuwa_hardware.canbus import BusSettings
from kuwa_hardware.canopen_sensors.config import SensorFile
from kuwa_hardware.canopen_sensors.machine import EmulatedSensors
from kuwa_hardware.canopen_sensors.sensors import JointSensors
from kuwa_machines.loader import load_machine

TICK = 0.01
_channels = itertools.count()


def number(value: float, unit: str) -> dict[str, object]:
    return {"value": value, "unit": unit, "source": "test"}


ENCODER = {
    "type": "encoder", "node": 10, "joint": "lift_joint", "sign": -1, "units": 4096, "total": 4096,
    "scale": number(0.5, "1"), "offset": number(0.2, "rad"),
}  # fmt: skip
CHASSIS = {
    "type": "inclinometer", "node": 11, "axis": "lateral", "resolution": 10,
    "scale": number(1, "1"), "offset": number(0, "rad"),
}  # fmt: skip
FRAME = {
    "type": "inclinometer", "node": 12, "axis": "long", "resolution": 10, "joint": "roll_joint",
    "scale": number(1, "1"), "offset": number(1, "deg"), "relative_to": "chassis",
}  # fmt: skip
SENSORS = {"lift": ENCODER, "chassis": CHASSIS, "frame": FRAME}
FILE = {
    "sources": {"test": "a test's own number"}, "period": number(10, "ms"),
    "heartbeat": number(40, "ms"), "sensors": SENSORS,
}  # fmt: skip


class CanopenRig:
    """Emulated sensors and their reader; the clock goes on by one tick a step.

    Args:
        changes: of :data:`FILE`.
    """

    def __init__(self, **changes: object) -> None:
        settings = BusSettings("virtual", f"canopen-{next(_channels)}")
        self.file = SensorFile.model_validate(FILE | changes)
        self.now, self.late = 10.0, 0.0
        self.spec = load_machine("tractor_sprayer")
        self._bus = settings.open()
        self.stranger = settings.open()
        self.there = EmulatedSensors(self.file, self._bus, self.clock)
        self.sensors = JointSensors(
            self.spec, self.file, settings.opener, steady=self.clock, system=self.clock,
            when=lambda _: self.on_bus,
        )  # fmt: skip
        self.q = {"lift_joint": 0.1, "roll_joint": 0.02}

    def clock(self) -> float:
        return self.now

    @property
    def on_bus(self) -> float:
        """When the frames that are read were sent: now, unless the reader is late."""
        return self.now - self.late

    def connect(self) -> None:
        """Connect while the sensors answer from a thread, as other computers do."""
        done = threading.Event()

        def answer() -> None:
            while not done.is_set():
                self.there.step(self.q)
                time.sleep(0.001)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            self.sensors.connect()
        finally:
            done.set()
            thread.join()

    def answer(self, seconds: float) -> None:
        """Let the sensors answer for so long by the wall's clock, while ours stands still."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.there.step(self.q)
            time.sleep(0.001)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.there.step(self.q)
            self.sensors.read()

    def close(self) -> None:
        self.sensors.close()
        self._bus.shutdown()
        self.stranger.shutdown()
