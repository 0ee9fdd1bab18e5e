"""The driver of a machine that speaks COM3: a :class:`kuwa_machines.contracts.Robot` on a CAN bus.

It has no thread: :meth:`Com3Robot.read` takes what the bus has received, :meth:`Com3Robot.write`
sends one cycle. Who calls both every 10 ms keeps the machine's cycle; when nobody calls, the
machine's own controllers go to neutral.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import can
import numpy as np

from kuwa_hardware.com3.codec import messages
from kuwa_hardware.com3.link import Link
from kuwa_hardware.com3.listener import ANGLE, VELOCITY, Listener
from kuwa_hardware.com3.mapping import FrontMode, JointSignals, load_map
from kuwa_hardware.com3.oil import Drives, delivered, pump_pressure
from kuwa_hardware.com3.pose import BusPose, from_bus
from kuwa_hardware.com3.supervision import BusWatch
from kuwa_hardware.failures import failure
from kuwa_machines.contracts import Array, CommandKind, JointCommand, Level, MachineState
from kuwa_machines.datafile import fingerprint
from kuwa_machines.errors import CommandError, KuwaError
from kuwa_machines.spec import MachineSpec

SIGNAL_SWITCH: Final = {"none": 0, "effort": 1, "velocity": 2}
COMMAND: Final = {"effort": "Pilot_Pressure_Cmd_1", "velocity": "Velocity_Cmd_1"}
SETTING: Final = "Machine_Setting_Cmd"

CONNECT_WAIT: Final = 1.0
"""``connect`` waits this long for the machine to say which it is [s]."""
_LOOK: Final = 0.02
LAST_WORDS: Final = 5
"""``close`` sends neutral so many times."""
RPM: Final = math.pi / 30


class WrongMachineError(KuwaError):
    """The machine on the bus is not the one that the stack was started for."""


class Com3Robot:
    """One machine on a COM3 bus.

    Args:
        spec: the machine. Its folder, or that of its model, holds ``com3.yaml``.
        open_bus: opens the bus, on which this node does not hear itself; called again after it
            was lost.
        mode: commands go out as pilot pressures (``effort``) or as velocities (``velocity``); as
            the machine's file says if None.
        steady, system: clocks [s].
    """

    def __init__(
        self,
        spec: MachineSpec,
        open_bus: Callable[[], can.BusABC],
        mode: FrontMode | None = None,
        steady: Callable[[], float] = time.monotonic,
        system: Callable[[], float] = time.time,
    ) -> None:
        self.spec = spec
        self.signals: JointSignals = load_map(spec)
        self.mode: FrontMode = mode or self.signals.data.mode
        self.fingerprint = fingerprint(self.signals.data, self.mode)
        self.why: dict[str, str] = {}
        """What is at fault and why, as of the last read."""
        self._steady = steady
        table, data = messages(), self.signals.data
        self._watch = BusWatch({name: table[name].cycle for name in data.watched})
        self._link = Link(open_bus, self._watch)
        self._heard = Listener(spec, data, self._link, self._watch, steady, system)
        self._command, self._setting = table[COMMAND[self.mode]], table[SETTING]
        self._setting_at = -math.inf
        self._alive = 0
        self._drives = Drives(spec)
        self._margin = float(getattr(spec.hydraulics, "load_sensing_margin", 0.0))
        joints = list(spec.joints.values())
        self._mount = np.array(joints[0].origin, dtype=float)
        n = len(joints)
        self._carried = np.zeros(n)
        self._state = MachineState(
            stamp=0.0, q=np.full(n, np.nan), qd=np.full(n, np.nan), effort=np.full(n, np.nan),
            pressure=np.full((n, 2), np.nan), pump_pressure=math.nan, pump_flow=math.nan,
            pump_power=math.nan, base_position=np.full(3, np.nan),
            base_quaternion_wxyz=np.full(4, np.nan), base_velocity=np.full(6, np.nan),
            tool_load=math.nan,
        )  # fmt: skip

    def connect(self) -> None:
        """Open the bus and listen which machine is there; one that is off may come later.

        Raises:
            BusError: the bus cannot be opened.
            WrongMachineError: another machine is on it.
        """
        if self._link.is_open:
            return
        self._link.open(self._steady())
        heard = self._heard
        for _ in range(round(CONNECT_WAIT / _LOOK)):
            if heard.identified:  # no guard: a short cut, nobody waits for what is known
                break
            heard.fresh = False
            heard.listen(self._steady(), _LOOK)
        if heard.wrong:
            self._link.close()
            raise WrongMachineError(
                f"{heard.wrong}; start the stack with the machine that is there"
            )

    def read(self) -> MachineState:
        """Return the newest state; its stamp is that of the last ``Front_Angle``."""
        heard = self._heard
        now = self._steady()
        self._link.maintain(now)
        heard.listen(now)
        if not heard.fresh and self._state.stamp:
            # Two clocks of 100 Hz that beat would now skip a measurement and now find two.
            heard.listen(now, 0.5 * messages()[ANGLE].cycle)
        self.why = self._watch.report(self._steady())
        faults = tuple(self.why)
        if heard.fresh:
            self._state, heard.fresh = self._measured(faults), False
        elif faults != self._state.faults:
            self._state = replace(self._state, faults=faults)
        return self._state

    def write(self, command: JointCommand) -> JointCommand:
        """Send a VALVE command; return it as the bus carries it, zero while a fault forbids more.

        Raises:
            CommandError: of another kind, not finite or out of range; neutral was sent instead.
        """
        try:
            values = self._checked(command)
        except CommandError:
            self.neutral()
            raise
        names, sent = self.signals.names, self._cycle(values)
        return replace(command, names=names, values=sent, mac=b"")

    def neutral(self) -> None:
        """Send one cycle with all valves centred."""
        self._cycle(np.zeros(len(self.signals.names)))

    def close(self) -> None:
        """Send neutral several times, then leave the bus."""
        for _ in range(LAST_WORDS if self._link.is_open else 0):
            self.neutral()
        self._link.close()

    @property
    def blocked(self) -> bool:
        """Whether a fault forbids any command but neutral."""
        demanded = (failure(code).reaction.level for code in self.why)
        return bool(self._heard.wrong) or any(level >= Level.NEUTRAL for level in demanded)

    # Sending ---------------------------------------------------------------------------------

    def _checked(self, command: JointCommand) -> Array:
        if command.kind is not CommandKind.VALVE:
            raise CommandError(f"command kind {command.kind.name}; the valves take VALVE")
        values = command.ordered(self.signals.names)
        if len(values) != len(self.signals.names) or not (np.abs(values) <= 1.0).all():
            raise CommandError(
                f"valve values {values.tolist()}; expected {len(self.signals.names)} numbers "
                "in [-1, 1]"
            )
        return values

    def _cycle(self, u: Array) -> Array:
        """Send the command and, when it is due, the setting; return the command as carried."""
        now = self._steady()
        if self.blocked:
            u = np.zeros(len(u))
        effort, signals, q = self.mode == "effort", self.signals, self._state.q
        data = self._command.encode_raw(
            signals.pilot_raw(u) if effort else signals.target_raw(u, q)
        )
        if now - self._setting_at >= self._setting.cycle - 0.5 * self._command.cycle:
            self._setting_at = now
            self._link.send(now, self._setting.id, self._setting_frame())
        self._link.send(now, self._command.id, data)
        carried = self._command.decode(data)
        self._carried = (
            signals.valves(carried) if effort else signals.opened(signals.speeds(carried), q)
        )
        return self._carried.copy()

    def _setting_frame(self) -> bytes:
        self._alive = (self._alive + 1) % 256
        return self._setting.encode(
            {
                "engine_rpm": self.signals.data.engine_speed / RPM,
                "power_eco_mode": 1,
                "travel_speed_mode": 1,
                "working_mode_notice": 1,
                "yellow_led_mode": 1,
                "horn_cmd": 0,
                "travel_signal_switch_command": SIGNAL_SWITCH["none"],
                "front_signal_switch_command": SIGNAL_SWITCH[self.mode],
                "alive_counter": self._alive,
            }
        )

    # The state -------------------------------------------------------------------------------

    def _measured(self, faults: tuple[str, ...]) -> MachineState:
        signals, heard = self.signals, self._heard
        q = signals.q(heard.last(ANGLE))
        oil, flows = heard.young("Pressure_1"), heard.young("Hydraulic_Flow_Rate_1")
        machine = heard.young("Machine_State")
        pressure = signals.pressure(oil) if oil else np.full((len(q), 2), np.nan)
        pump = flow = power = math.nan
        if oil and flows:
            taken = signals.flow(flows)
            asked = self._drives.inlets(q, self._carried)
            pump = pump_pressure(pressure, taken, asked, self._margin)
            flow, power = delivered(pressure, taken)
        position, attitude = self._pose(q)
        return MachineState(
            stamp=heard.stamp,
            q=q,
            qd=signals.qd(heard.last(VELOCITY)),
            effort=self._drives.torque(q, pressure),
            pressure=pressure,
            pump_pressure=pump,
            pump_flow=flow,
            pump_power=power,
            base_position=position,
            base_quaternion_wxyz=attitude,
            base_velocity=np.full(6, np.nan),
            tool_load=math.nan,
            # The bus tells whether the engine runs, not how fast.
            engine_speed=math.nan if machine is None or machine["engine_state"] else 0.0,
            oil_temperature=math.nan if machine is None else machine["hydraulic_oil_temp"],
            faults=faults,
        )

    def _pose(self, q: Array) -> tuple[Array, Array]:
        young = self._heard.young
        level, heading = young("Roll_Pitch_Angle"), young("Vehicle_Azimuth")
        centre = [young(f"Swing_Center_Position_{i}") for i in (1, 2, 3)]
        if level is None or heading is None:
            return np.full(3, np.nan), np.full(4, np.nan)
        pose = BusPose(
            np.array([math.nan if c is None else next(iter(c.values())) for c in centre]),
            level["roll_angle"],
            level["pitch_angle"],
            heading["upper_body_azimuth"],
            heading["track_body_azimuth"],
        )
        return from_bus(pose, float(q[0]), self._mount)
