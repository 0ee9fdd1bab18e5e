"""CANopen sensors, emulated: nodes that answer SDO and NMT, beat, and send what joints do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import can
import canopen
from canopen import LocalNode
from canopen.nmt import NMT_STATES

from kuwa_hardware.canopen_sensors import profiles
from kuwa_hardware.canopen_sensors.config import EncoderSensor, InclinometerSensor, SensorFile

_STATES = {name: code for code, name in NMT_STATES.items()}
_OPERATIONAL, _PRE_OPERATIONAL = _STATES["OPERATIONAL"], _STATES["PRE-OPERATIONAL"]
_BOOT_UP = 0
_SDO_REQUEST = 0x600
"""Of node 0, to which a node's number is added."""


@dataclass
class _Sender:
    node: LocalNode
    beat_at: float = -math.inf
    value_at: float = -math.inf
    mapped: bool = False
    """Its process data are read as they were mapped when it was started last."""


class EmulatedSensors:
    """All sensors of a machine at the other end of a bus.

    Args:
        file: the sensors. bus: open. steady: clock [s].
    """

    def __init__(
        self, file: SensorFile, bus: can.BusABC, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self.file, self._steady = file, steady
        self._network = canopen.Network(bus)
        self._bus = bus
        self.mute: set[int] = set()
        """Nodes without a supply."""
        self.stuck: set[int] = set()
        """Nodes whose value stands still."""
        self._senders: dict[int, _Sender] = {}
        for sensor in file.sensors.values():
            if sensor.node not in self._senders:
                encoder = isinstance(sensor, EncoderSensor)
                od = profiles.encoder() if encoder else profiles.inclinometer()
                node = LocalNode(sensor.node, od)
                self._network[sensor.node] = node
                # Its own heartbeat would come from a thread by the wall's clock.
                node._write_callbacks.clear()
                self._senders[sensor.node] = _Sender(node)

    def step(self, q: dict[str, float]) -> None:
        """Answer what came and send what is due.

        Args:
            q: angles of the joints by name [rad].
        """
        while (message := self._bus.recv(0)) is not None:
            if message.is_error_frame or message.is_remote_frame or message.is_extended_id:
                continue
            if message.arbitration_id - _SDO_REQUEST not in self.mute:
                # What is no request is not answered.
                with suppress(*profiles.NO_FRAME):
                    self._network.notify(
                        message.arbitration_id, bytearray(message.data), message.timestamp
                    )
        now = self._steady()
        for number, sender in self._senders.items():
            if number not in self.mute:
                self._send(now, number, sender, q)

    def emergency(self, number: int, code: int) -> None:
        """A node reports a defect of its own; code 0: it is gone."""
        node = self._senders[number].node
        profiles.entry(node, profiles.ERROR_REGISTER).raw = register = 1 if code else 0
        node.emcy.send(code, register)

    def restart(self, number: int) -> None:
        """A node's supply fails and comes back: it has forgotten what it was told."""
        node = self._senders[number].node
        node.data_store.clear()
        node.nmt._state = _PRE_OPERATIONAL
        self._network.send_message(0x700 + number, bytes([_BOOT_UP]))

    def _send(self, now: float, number: int, sender: _Sender, q: dict[str, float]) -> None:
        node = sender.node
        beat = 1e-3 * int(profiles.entry(node, profiles.HEARTBEAT_TIME).raw)
        state = int(node.nmt._state)
        if beat > 0.0 and now - sender.beat_at >= beat - 1e-6:
            sender.beat_at = now
            self._network.send_message(0x700 + number, bytes([state]))
        timer = 1e-3 * int(profiles.entry(node, 0x1800, 5).raw)
        if state != _OPERATIONAL:
            sender.mapped = False
            return
        if timer <= 0.0 or now - sender.value_at < timer - 1e-6:
            return
        # Who steps it a little late must not make its period longer.
        due = sender.value_at + timer
        sender.value_at = due if due > now - timer else now
        if number not in self.stuck:
            self._measure(node, number, q)
        if not sender.mapped:
            node.tpdo.read(from_od=False)
            sender.mapped = True
        pdo = node.tpdo[1]
        for variable in pdo:
            variable.raw = profiles.entry(node, variable.index).raw
        pdo.transmit()

    def _measure(self, node: LocalNode, number: int, q: dict[str, float]) -> None:
        tilts = {
            name: q.get(sensor.joint, 0.0) if sensor.joint is not None else 0.0
            for name, sensor in self.file.sensors.items()
        }
        for name, sensor in self.file.sensors.items():
            if sensor.node != number:
                continue
            angle = tilts[name]
            if isinstance(sensor, InclinometerSensor) and sensor.relative_to is not None:
                angle += tilts[sensor.relative_to]
            turned = (angle - sensor.offset) / (sensor.sign * sensor.scale)
            if isinstance(sensor, EncoderSensor):
                units = int(profiles.entry(node, profiles.UNITS_PER_REVOLUTION).raw)
                total = int(profiles.entry(node, profiles.TOTAL_RANGE).raw)
                count = round(turned * units / (2.0 * math.pi)) % total
                profiles.entry(node, profiles.POSITION).raw = count
            else:
                step = math.radians(1e-3 * int(profiles.entry(node, profiles.RESOLUTION).raw))
                slope = min(max(round(turned / step), -32767), 32767)
                long = sensor.axis == "long"
                index = profiles.SLOPE_LONG if long else profiles.SLOPE_LATERAL
                profiles.entry(node, index).raw = slope
