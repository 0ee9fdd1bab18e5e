"""A tractor on ISOBUS behind the Robot protocol.

``read`` drains the bus and says what is wrong with it, ``write`` sends the cycle; there is no
thread. A command is sent when its period has passed, at once when valves go to neutral.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import can
import numpy as np

from kuwa_hardware.isobus.codec import IsobusError, by_pgn
from kuwa_hardware.isobus.commands import Command, GuidanceCommand, HitchCommand, commands
from kuwa_hardware.isobus.feedback import Feedback
from kuwa_hardware.isobus.mapping import Mapping, load_mapping
from kuwa_hardware.isobus.supervision import Supervision
from kuwa_hardware.j1939.claim import AddressClaim, ClaimState
from kuwa_hardware.j1939.identifier import ADDRESS_CLAIMED, GLOBAL, REQUEST, Frame
from kuwa_hardware.j1939.link import Link
from kuwa_hardware.j1939.name import Name
from kuwa_machines.arrays import Array
from kuwa_machines.contracts import CommandKind, JointCommand, MachineState
from kuwa_machines.datafile import fingerprint
from kuwa_machines.errors import CommandError
from kuwa_machines.spec import MachineSpec

EARLY = 0.003
"""A cycle that begins this early is not a cycle early [s]."""
POLL = 0.005
CONNECT_WAIT = 1.0
"""Connecting listens for the tractor for this long [s]."""
GUIDANCE_INFO, STOP_SWITCH = 44032, 64770
ENGINE, REAR_PTO, PUMP = TOLD = 61444, 65091, 65288
COMMANDS = frozenset(m.pgn for m in by_pgn().values() if m.name.endswith("Command")) | {65090}
"""Groups that command valves: of nobody but us."""
OPERATOR = 1.0
"""Limit status: the operator has taken the function over."""
IDENTITY = (1 << 21) - 1
"""Bits of the serial number in a NAME."""
RPM = np.pi / 30.0
LITRES_A_MINUTE = 6e4
OLD = 1.0
"""What engine, power take-off and pump said is true for this long [s]."""
NAME = Name(identity_number=1, function=134, device_class=0, industry_group=2)
"""Of the commander. Function 134 is meant as a controller of a whole machine: our assumption."""


class IsobusRobot:
    """Commands a tractor's steering, hitch, valves and, emulated only, its travel drives.

    Satisfies :class:`kuwa_machines.contracts.Robot`.

    Args:
        spec: the machine.
        open_bus: returns a bus, e.g. :attr:`kuwa_hardware.canbus.BusSettings.opener`.
        mapping: the machine's own ``isobus.yaml`` if None.
        steady: clock of time-outs [s]. system: clock of stamps [s].
        sleep: waits for so many seconds while connecting.
        name: who we are on the bus.

    Raises:
        IsobusError: the machine cannot be driven over ISOBUS.
    """

    def __init__(
        self, spec: MachineSpec, open_bus: Callable[[], can.BusABC], *,
        mapping: Mapping | None = None, steady: Callable[[], float] = time.monotonic,
        system: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep,
        name: Name = NAME,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.mapping = mapping or load_mapping(spec)
        self.fingerprint = fingerprint(self.mapping)
        self._clock, self._system, self._sleep = steady, system, sleep
        self.link = Link(open_bus)
        self.claim = AddressClaim(name, self.mapping.commander.address)
        self._feedback = Feedback(spec, self.mapping)
        self._commands = commands(spec, self.mapping)
        self.supervision = Supervision(self._feedback.expected)
        self._connected = False
        self._opened = 0
        self._tractor = self.mapping.tractor.address
        self._had_address = False
        self._wrong = ""
        self._told: dict[int, tuple[float, dict[str, float]]] = {}
        self._forget()

    def connect(self) -> None:
        """Open the bus, claim an address and listen; a tractor that is off may come later.

        Raises:
            BusError: the bus cannot be opened.
            IsobusError: another has our address, or another tractor is there than the one expected.
        """
        if self._connected:
            return
        begun = now = self._clock()
        self.link.open(begun)
        self._begin(begun)
        self._connected = True
        while not self._ready(now) and now - begun < CONNECT_WAIT and not self._why_not():
            self._sleep(POLL)
            now = self._listen()
        why = self._why_not()
        if why:
            self.close()
            raise IsobusError(why)

    def read(self) -> MachineState:
        """Return the newest state; its stamp is the time at which its last frame was taken.

        Raises:
            CommandError: it is not connected.
        """
        self._must_be_connected()
        now = self._listen()
        return self._state(now)

    def write(self, command: JointCommand) -> JointCommand:
        """Send a VALVE command; return it as it stands in the frames.

        Without an address, while all implements are stopped and while the steering refuses,
        neutral is sent and returned.

        Raises:
            CommandError: not connected, of another kind, not finite or out of range, wrong joints;
                neutral was sent instead.
        """
        self._must_be_connected()
        try:
            u = self._checked(command)
        except CommandError:
            self._send(None)
            raise
        self._send(u)
        return JointCommand(
            command.stamp, command.sequence, command.source, command.kind,
            tuple(self.spec.joint_names), self._applied.copy(), command.mac,
        )  # fmt: skip

    def neutral(self) -> None:
        """Centre all valves at once and disengage what guidance and power take-off have."""
        self._must_be_connected()
        self._send(None)

    def close(self) -> None:
        """Centre the valves and give the bus back; safe to call twice."""
        if self._connected:
            self._send(None, at_once=True)
        self._connected = False
        self.link.close()

    def pto(self, speed: float) -> None:
        """Ask for a speed of the rear power take-off [1/min]; 0 disengages it.

        Raises:
            CommandError: the machine's mapping has no hitch, whose message carries it, or the
                speed is not from 0 to 8000.
        """
        hitch = next((c for c in self._commands if isinstance(c, HitchCommand)), None)
        if hitch is None or not 0.0 <= speed <= 8000.0:
            raise CommandError(
                f"power take-off at {speed} 1/min: expected 0 to 8000 and a hitch in isobus.yaml"
            )
        hitch.rear_pto = speed

    @property
    def pto_speed(self) -> float:
        """Of the rear power take-off as the tractor says it [1/min]; NaN if it does not."""
        return self._newest(self._clock(), REAR_PTO).get("PtoSpeed", float("nan"))

    # --- bus in ---

    def _listen(self) -> float:
        now = self._clock()
        for frame in self.link.drain(now):
            self._take(now, frame)
        if self.link.opened != self._opened:
            self._begin(now)
        for frame in self.claim.poll(now):
            self.link.send(frame)
        self._had_address |= self.claim.claimed
        self._feedback.settle(self._system())
        return now

    def _take(self, now: float, frame: Frame) -> None:
        identifier = frame.identifier
        if identifier.pgn in (ADDRESS_CLAIMED, REQUEST):
            for answer in self.claim.receive(now, frame):
                self.link.send(answer)
            self._follow_tractor()
            self._wrong = self._why_not() if self.claim.state is not ClaimState.CANNOT else ""
            return
        if identifier.pgn in COMMANDS:
            self.supervision.once(now, "foreign_commander")
            return
        known = by_pgn().get(identifier.pgn)
        if known is None or identifier.destination not in (GLOBAL, self.claim.address):
            return
        try:
            values = known.decode(frame.data)
        except IsobusError:
            self.supervision.once(now, "frame_corrupt")
            return
        if identifier.pgn == STOP_SWITCH:
            self.supervision.stop_switch(identifier.source, values)
        if identifier.source != self._tractor:
            return
        self.supervision.heard(now, identifier.pgn)
        if identifier.pgn == GUIDANCE_INFO:
            self.supervision.steering(now, values)
        elif "HitchPositionLimit" in values:
            refuses = values["HitchPositionLimit"] == OPERATOR
            self.supervision.refuse(now, known.name, refuses)
        elif identifier.pgn in TOLD:
            self._told[identifier.pgn] = now, values
        if "JointAlive" in values:
            self.supervision.counted(now, identifier.pgn, int(values["JointAlive"]))
        if not self._feedback.take(now, known, values):
            self.supervision.once(now, "frame_corrupt")

    def _begin(self, now: float) -> None:
        """Start on a bus that was opened: nothing is known, and the address is to be claimed."""
        self._opened = self.link.opened
        self._had_address = False
        self._feedback.reset()
        self.supervision.reset(now)
        self._forget()
        for frame in self.claim.start(now):
            self.link.send(frame)

    def _follow_tractor(self) -> None:
        identity = self.mapping.tractor.identity
        for address, value in self.claim.others.items():
            if identity is not None and value & IDENTITY == identity:
                self._tractor = address

    def _faults(self, now: float) -> tuple[str, ...]:
        found = dict.fromkeys(self.link.faults)
        if self.link.connected:
            found |= dict.fromkeys(self.supervision.faults(now))
        if not self.claim.claimed:
            found["address_lost" if self._had_address else "driver_disconnected"] = None
        if self._wrong:
            found["machine_wrong"] = None
        return tuple(found)

    def _state(self, now: float) -> MachineState:
        n = len(self.spec.joint_names)
        unknown = np.full(n, np.nan)
        pump = self._newest(now, PUMP)
        return MachineState(
            stamp=self._feedback.stamp,
            q=self._feedback.q.copy(),
            qd=self._feedback.qd.copy(),
            effort=unknown,
            pressure=np.full((n, 2), np.nan),
            pump_pressure=1e3 * pump.get("PumpPressure", np.nan),
            pump_flow=pump.get("PumpFlow", np.nan) / LITRES_A_MINUTE,
            pump_power=pump.get("PumpPower", np.nan),
            base_position=np.full(3, np.nan),
            base_quaternion_wxyz=np.full(4, np.nan),
            base_velocity=np.full(6, np.nan),
            tool_load=np.nan,
            engine_speed=self._newest(now, ENGINE).get("EngineSpeed", np.nan) * RPM,
            faults=self._faults(now),
        )

    def _newest(self, now: float, pgn: int) -> dict[str, float]:
        """Return what the tractor said in this group; nothing if that is old."""
        then, values = self._told.get(pgn, (-np.inf, {}))
        return values if now - then < OLD else {}

    # --- bus out ---

    def _send(self, u: Array | None, at_once: bool = False) -> None:
        """Send what is due: valve commands, or None for neutral."""
        now = self._clock()
        if not self.claim.claimed or not self.link.connected:
            self._applied[:] = 0.0
            return
        if self.supervision.stopped or self._wrong:
            u = None
        # The steering asks for "not intended to steer" before it takes more; and a stack that moves
        # nothing, as in a stop, gives the wheel back to the driver.
        hands_off = self.supervision.steering_refuses or u is None or not u.any()
        for i, command in enumerate(self._commands):
            wanted = u
            if isinstance(command, GuidanceCommand) and hands_off:
                wanted = None
            fresh = wanted is None and self._moving[i]
            if not (at_once or fresh or now - self._sent[i] >= command.period - EARLY):
                continue
            places = list(command.joints)
            if wanted is None:
                data, applied = command.neutral(), np.zeros(len(places))
            else:
                data, applied = command.compose(wanted, self._feedback.q, self._feedback.qd)
            frame = Frame(self._identifier(command), data)
            if self.link.send(frame):
                self._sent[i], self._moving[i] = now, wanted is not None
                self._applied[places] = applied

    def _checked(self, command: JointCommand) -> Array:
        if command.kind is not CommandKind.VALVE:
            raise CommandError(f"kind {command.kind.name}; a robot takes VALVE commands")
        u = np.asarray(command.ordered(self.spec.joint_names), dtype=float)
        n = len(self.spec.joint_names)
        if u.shape != (n,) or not (np.abs(u) <= 1.0).all():
            raise CommandError(
                f"command from {command.source!r} has values {u.tolist()}; expected {n} finite "
                "numbers in [-1, 1]"
            )
        return u

    def _identifier(self, command: Command) -> Any:
        known = command.message
        addressed = known.pgn < 0xF000
        return known.identifier(self.claim.address, self._tractor if addressed else GLOBAL)

    def _forget(self) -> None:
        self._sent = [-np.inf] * len(self._commands)
        self._moving = [False] * len(self._commands)
        self._applied = np.zeros(len(self.spec.joint_names))

    def _must_be_connected(self) -> None:
        if not self._connected:
            raise CommandError("the ISOBUS robot is not connected; call connect() first")

    def _ready(self, now: float) -> bool:
        whole = self.claim.claimed and self._feedback.complete
        return whole and not self.supervision.missing(now)

    def _why_not(self) -> str:
        """Return why this bus is not for us, or ``""``."""
        if self.claim.state is ClaimState.CANNOT:
            return (
                f"address {self.claim.preferred} on the bus belongs to another node; give one of "
                "the two another address in isobus.yaml"
            )
        value = self.claim.others.get(self._tractor)
        wanted = self.mapping.tractor.identity
        found = None if value is None else value & IDENTITY
        if None in (wanted, found) or found == wanted:
            return ""
        return (
            f"the tractor at address {self._tractor} says that its serial number is {found}, that "
            f"of {self.spec.name} is {wanted}; start the stack with the machine that is there"
        )
