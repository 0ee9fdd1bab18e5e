"""Joint angles from CANopen encoders and inclinometers.

Nodes are configured by SDO while connecting, for which a thread listens; from then on ``read``
takes what has come, without a thread and without waiting. A bus that is lost, or a node that stays
silent, is connected again by a thread of its own, since an SDO that nobody answers takes half a
second: a node that lost its supply has forgotten what it was told.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import can
import canopen
from canopen import RemoteNode
from canopen.emcy import EmcyError
from canopen.nmt import NMT_COMMANDS, NMT_STATES, NmtError
from canopen.sdo.exceptions import SdoError

from kuwa_hardware.canbus import BUS_ERRORS, BusError
from kuwa_hardware.canopen_sensors import profiles
from kuwa_hardware.canopen_sensors.config import (
    EncoderSensor,
    InclinometerSensor,
    Sensor,
    SensorError,
    SensorFile,
    SilentSensorError,
)
from kuwa_hardware.failures import failure
from kuwa_machines.spec import MachineSpec

SPEED_SAMPLES = 4
"""The speed is the mean over so many values: one step of an encoder must not look like motion."""
MOST = 2000
RETRY = 0.5
"""Between two tries to connect again, and before the first one to a silent node [s]."""
SHOWN = 0.5
"""A frame that was refused is a fault for this long [s]."""
JOIN = 2.0
"""A try to connect that fails has ended by then [s]."""


@dataclass
class _Node:
    """One node on the bus and what was heard of it."""

    remote: RemoteNode
    heartbeat: float = -math.inf
    value_at: float = -math.inf
    on_bus: float = 0.0
    """When the value was on the bus, by the clock of whoever stamped it there [s]."""
    emergency: str = ""
    raw: dict[int, int] = field(default_factory=dict)


@dataclass
class Reading:
    """One sensor's angle.

    Args:
        angle, speed: of the joint [rad], [rad/s]. stamp: when the value came, system time [s].
        raw: as the sensor counts.
    """

    angle: float = math.nan
    speed: float = math.nan
    stamp: float = 0.0
    raw: int = 0


class JointSensors:
    """All CANopen sensors of a machine.

    Args:
        spec: the machine. file: its sensors.
        open_bus: returns a bus, e.g. :attr:`kuwa_hardware.canbus.BusSettings.opener`.
        steady, system: clocks [s]; time-outs go by the first, stamps by the second.
        when: returns when a frame was on the bus, of which only differences count [s]: who reads
            late, and several values at once, must not measure another speed.
        patience: ``connect`` waits so long for sensors that do not answer yet, by the wall's
            clock [s].
    """

    def __init__(
        self, spec: MachineSpec, file: SensorFile, open_bus: Callable[[], can.BusABC],
        steady: Callable[[], float] = time.monotonic, system: Callable[[], float] = time.time,
        when: Callable[[can.Message], float] | None = None, patience: float = 0.0,
    ) -> None:  # fmt: skip
        self.spec, self.file = spec, file
        self._connect_patience = patience
        self._when = when or _stamped
        self._open_bus, self._steady, self._system = open_bus, steady, system
        self.readings = {name: Reading() for name in file.sensors}
        self._history: dict[str, deque[tuple[float, float]]] = {
            name: deque(maxlen=SPEED_SAMPLES) for name in file.sensors
        }
        self._network: canopen.Network | None = None
        self._nodes: dict[int, _Node] = {}
        self._lost = "driver_disconnected"
        self._refused_at = -math.inf
        self._end = threading.Event()
        self._again: threading.Thread | None = None
        self._lock = threading.Lock()
        silent = failure("sensor_silent").timeout
        self._patience = max(silent, 2.5 * file.heartbeat, 2.5 * file.period)

    def connect(self) -> None:
        """Open the bus, set the nodes up and start them; nothing if that is done.

        Raises:
            BusError: the bus cannot be opened.
            SensorError: a node does not answer, or is of another profile.
        """
        if self._network is not None:
            return
        self._end.set()
        self._end = threading.Event()
        until = time.monotonic() + self._connect_patience
        while True:
            try:
                return self._open(self._end)
            except SilentSensorError:
                if time.monotonic() > until:
                    raise

    def _open(self, end: threading.Event) -> None:
        """Connect, and keep the connection unless ``end`` says that nobody wants it any more."""
        network = canopen.Network(self._open_bus())
        network.NOTIFIER_CYCLE = 0.02
        nodes: dict[int, _Node] = {}
        try:
            network.connect()
            network.check()
            for name, sensor in self.file.sensors.items():
                if sensor.node not in nodes:
                    nodes[sensor.node] = self._set_up(network, name, sensor)
            for number in nodes:
                _command(network, number, "OPERATIONAL")
            # From here on nobody but read() takes frames.
            assert network.notifier is not None
            network.notifier.stop()
        except BaseException:
            with suppress(Exception):
                network.disconnect()
            raise
        now = self._steady()
        for node in nodes.values():
            node.heartbeat = node.value_at = now
        with self._lock:
            if self._network is None and not end.is_set():
                for history in self._history.values():
                    history.clear()  # a speed is not measured across a gap
                self._nodes, self._network = nodes, network
                return
        _leave(network)

    def read(self) -> dict[str, Reading]:
        """Take what has come; return every sensor's reading by its name. Never waits."""
        network = self._network
        if network is None:
            return self.readings
        bus = network.bus
        assert bus is not None
        try:
            for _ in range(MOST):
                message = bus.recv(0)
                if message is None:
                    break
                if not (
                    message.is_error_frame or message.is_remote_frame or message.is_extended_id
                ):
                    self._take(network, message)
        except BUS_ERRORS:
            self._lose(network, "driver_disconnected")
            return self.readings
        self._convert()
        if self._silence() > self._patience + RETRY:
            self._lose(network, "sensor_silent")
        return self.readings

    def joints(self) -> dict[str, Reading]:
        """Return the readings by joint, of the sensors that measure one and have done so."""
        return {
            sensor.joint: self.readings[name]
            for name, sensor in self.file.sensors.items()
            if sensor.joint is not None and math.isfinite(self.readings[name].angle)
        }

    def faults(self) -> tuple[str, ...]:
        """Return the rows of the failure table that are in force."""
        if self._network is None:
            return (self._lost,)
        found = []
        nodes = self._nodes.values()
        # After a gap the old angle counts for nothing until the first new value is there.
        if self._silence() > self._patience or not all(node.raw for node in nodes):
            found.append("sensor_silent")
        if self._steady() - self._refused_at < SHOWN:
            found.append("frame_corrupt")
        if any(node.emergency for node in nodes):
            found.append("sensor_emergency")
        return tuple(found)

    @property
    def emergencies(self) -> dict[int, str]:
        """What nodes report of defects of their own, by node."""
        return {number: node.emergency for number, node in self._nodes.items() if node.emergency}

    def close(self) -> None:
        """Leave the bus; the sensors go on by themselves. Safe to call twice."""
        with self._lock:
            self._end.set()
            network, self._network = self._network, None
        if network is not None:
            _leave(network)
        if self._again is not None:
            self._again.join(JOIN)
        self._lost = "driver_disconnected"

    def _silence(self) -> float:
        """Return how long the most silent node has not told its state or its value [s]."""
        heard = (min(node.heartbeat, node.value_at) for node in self._nodes.values())
        return self._steady() - min(heard, default=-math.inf)

    def _take(self, network: canopen.Network, message: can.Message) -> None:
        try:
            network.notify(message.arbitration_id, bytearray(message.data), self._when(message))
        except profiles.NO_FRAME:
            self._refused_at = self._steady()

    def _lose(self, network: canopen.Network, why: str) -> None:
        """Let the bus go and connect again, without waiting for either."""
        self._network, self._lost = None, why
        self._again = threading.Thread(
            target=self._reconnect, args=(network, self._end), name="canopen", daemon=True
        )
        self._again.start()

    def _reconnect(self, lost: canopen.Network, end: threading.Event) -> None:
        _leave(lost)
        while not end.is_set():
            try:
                self._open(end)
                return
            except SensorError:
                self._lost = "sensor_silent"
            except (BusError, *BUS_ERRORS):
                self._lost = "driver_disconnected"
            except Exception:
                # Without this thread nobody would try again: whatever it was, the bus is there.
                logging.getLogger(__name__).exception("CANopen sensors cannot be set up")
                self._lost = "sensor_silent"
            end.wait(RETRY)

    def _set_up(self, network: canopen.Network, name: str, sensor: Sensor) -> _Node:
        encoder = isinstance(sensor, EncoderSensor)
        od = profiles.encoder() if encoder else profiles.inclinometer()
        remote = RemoteNode(sensor.node, od)
        network.add_node(remote)
        remote.sdo.RESPONSE_TIMEOUT = 0.5
        wanted = profiles.ENCODER if encoder else profiles.INCLINOMETER
        node = _Node(remote)
        try:
            found = int(profiles.entry(remote, profiles.DEVICE_TYPE).raw) & 0xFFFF
            if found != wanted:
                raise SensorError(
                    f"sensor {name}: node {sensor.node} has device profile {found}; expected "
                    f"{wanted}: look at its node id"
                )
            _command(network, sensor.node, "PRE-OPERATIONAL")
            if isinstance(sensor, EncoderSensor):
                profiles.entry(remote, profiles.UNITS_PER_REVOLUTION).raw = sensor.units
                profiles.entry(remote, profiles.TOTAL_RANGE).raw = sensor.total
                objects = [profiles.POSITION]
            else:
                profiles.entry(remote, profiles.RESOLUTION).raw = sensor.resolution
                objects = [profiles.SLOPE_LONG, profiles.SLOPE_LATERAL]
            profiles.entry(remote, profiles.HEARTBEAT_TIME).raw = round(1e3 * self.file.heartbeat)
            # Its emergency message may have been sent while nobody listened.
            if register := int(profiles.entry(remote, profiles.ERROR_REGISTER).raw):
                node.emergency = f"error register {register:#04x}"
            self._map(node, sensor.node, objects)
        except (SdoError, NmtError, *profiles.NO_FRAME) as error:
            raise SilentSensorError(
                f"sensor {name}: node {sensor.node} does not answer as it should: {error}; look at "
                "its supply, node id and bit rate"
            ) from None
        remote.nmt.add_heartbeat_callback(lambda state: self._beat(node, state))
        remote.emcy.add_callback(lambda entry: self._emergency(node, entry))
        return node

    def _map(self, node: _Node, number: int, objects: list[int]) -> None:
        """Have the objects sent every period."""
        pdo = node.remote.tpdo
        pdo.read()
        one = pdo[1]
        one.clear()
        for index in objects:
            one.add_variable(index)
        one.cob_id = 0x180 + number
        one.trans_type = 254
        one.event_timer = round(1e3 * self.file.period)
        one.enabled = True
        pdo.save()

        length = len(one.data)

        def received(mapped: canopen.pdo.PdoMap) -> None:
            if len(mapped.data) != length:
                raise ValueError(f"{len(mapped.data)} bytes; expected {length}")
            node.value_at, node.on_bus = self._steady(), mapped.timestamp or 0.0
            node.raw = {variable.index: int(variable.raw) for variable in mapped}

        one.add_callback(received)

    def _beat(self, node: _Node, state: int) -> None:
        if state not in NMT_STATES:
            raise ValueError(f"state {state} of a node; there is none such")
        node.heartbeat = self._steady()

    def _emergency(self, node: _Node, entry: EmcyError) -> None:
        node.emergency = (
            "" if entry.code & 0xFF00 == 0 else f"{entry.code:#06x}: {entry.get_desc()}"
        )

    def _convert(self) -> None:
        stamp = self._system()
        measured: dict[str, float] = {}
        fresh = set()
        for name, sensor in self.file.sensors.items():
            node = self._nodes.get(sensor.node)
            if node is None or not node.raw:
                continue
            if node.value_at >= self._steady() - self._patience:
                measured[name] = self._measured(name, sensor, node)
                fresh.add(name)
        for name in fresh:
            sensor, reading = self.file.sensors[name], self.readings[name]
            other = getattr(sensor, "relative_to", None)
            if other is not None and other not in measured:
                continue
            angle = measured[name] - (measured[other] if other is not None else 0.0)
            at = self._nodes[sensor.node].on_bus
            history = self._history[name]
            if history and history[-1][0] == at:
                continue
            history.append((at, angle))
            (first, then), span = history[0], at - history[0][0]
            reading.angle, reading.stamp = angle, stamp
            reading.speed = (angle - then) / span if span > 0.0 and at > first else 0.0

    def _measured(self, name: str, sensor: Sensor, node: _Node) -> float:
        """Return the angle before another sensor's is taken off [rad]."""
        reading = self.readings[name]
        if isinstance(sensor, InclinometerSensor):
            long = sensor.axis == "long"
            reading.raw = node.raw[profiles.SLOPE_LONG if long else profiles.SLOPE_LATERAL]
            turned = math.radians(1e-3 * sensor.resolution * reading.raw)
            return sensor.sign * sensor.scale * turned + sensor.offset
        reading.raw = node.raw[profiles.POSITION]
        turn = 2.0 * math.pi / sensor.units
        angle = sensor.sign * sensor.scale * turn * reading.raw + sensor.offset
        # The count begins anew at its end: of all angles that look alike, the one nearest to the
        # last, or to the middle of the joint's travel at first.
        whole = abs(sensor.scale) * turn * sensor.total
        near = reading.angle
        if math.isnan(near):
            near = self._middle(sensor)
        return angle + whole * round((near - angle) / whole)

    def _middle(self, sensor: Sensor) -> float:
        if sensor.joint is None:
            return 0.0
        travel = self.spec.joints[sensor.joint].position
        return 0.5 * (travel.min + travel.max) if travel.bounded else 0.0


def _stamped(message: can.Message) -> float:
    """Return the adapter's or the kernel's stamp of a frame, or now where neither gave one [s]."""
    return float(message.timestamp) or time.time()


def _command(network: canopen.Network, number: int, state: str) -> None:
    """Ask a node for a state, whatever it said of its own."""
    network.send_message(0x000, bytes([NMT_COMMANDS[state], number]))


def _leave(network: canopen.Network) -> None:
    with suppress(Exception):
        network.disconnect()
