"""What a machine's own controllers do on a COM3 bus, around a simulated plant.

They take pilot pressures or velocities, whichever the setting asks for, while both command and
alive counter keep coming, the operator's switch stands on external and the pilot oil is unlocked;
otherwise the valves are in neutral. They tell what the machine measures, each message in its
cycle, as coarsely as the bus carries it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import can
import numpy as np
from numpy.typing import NDArray

from kuwa_hardware.canbus import BUS_ERRORS
from kuwa_hardware.com3.codec import FrameError, MessageCodec, by_id, command_groups, messages, pgn
from kuwa_hardware.com3.driver import COMMAND, SETTING, SIGNAL_SWITCH
from kuwa_hardware.com3.listener import ANGLE, ERROR_BITS, PINS, VELOCITY
from kuwa_hardware.com3.mapping import load_map
from kuwa_hardware.com3.oil import Drives
from kuwa_hardware.com3.pose import to_bus
from kuwa_hardware.failures import failure
from kuwa_machines.contracts import (
    Array,
    CommandKind,
    HeightMap,
    JointCommand,
    MachineState,
    SimulatedRobot,
)
from kuwa_machines.kinematics import ExcavatorKinematics

COMMAND_TIMEOUT: Final = failure("robot_killed").timeout
"""Without a command for this long the valves go to neutral [s]."""
ALIVE_CYCLES: Final = 3
"""The setting's alive counter must count within so many of its cycles."""
OIL_TEMPERATURE: Final = 50.0
"""Told where the plant does not say [°C]."""


@dataclass(slots=True)
class Panel:
    """What people and defects do to the machine, beside the bus.

    Args:
        external: the switch that hands the valves to the bus. unlocked: the pilot oil's lever.
        engine: whether it runs.
        errors: of Machine_State's error bits, those that are set.
        hanging: the controller repeats its last alive counter.
        mute: messages that stay away.
    """

    external: bool = True
    unlocked: bool = True
    engine: bool = True
    errors: set[str] = field(default_factory=set)
    hanging: bool = False
    mute: set[str] = field(default_factory=set)


class EmulatedMachine:
    """The controllers of one machine.

    Args:
        robot: the plant, connected.
        bus: open. steady: clock [s].
    """

    def __init__(
        self,
        robot: SimulatedRobot,
        bus: can.BusABC,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.robot, self.bus, self.panel = robot, bus, Panel()
        spec = robot.spec
        self.signals = load_map(spec)
        n = len(spec.joints)
        self.valves: Array = np.zeros(n)
        """What the valves were told in the last step, shape (n,)."""
        self.received = self.sent = self.refused = 0
        """Frames of commands, frames of the machine, frames that made no sense."""
        self._steady = steady
        self._period = robot.control_period
        self._drives = Drives(spec)
        self._kinematics = ExcavatorKinematics(spec)
        self._mount = np.array(next(iter(spec.joints.values())).origin, dtype=float)
        data = self.signals.data
        self._state_of = {
            True: data.external[0],
            False: next(v for v in range(256) if v not in data.external),
        }
        self._asked: dict[str, Array] = {name: np.zeros(n) for name in COMMAND}
        """Valve commands of ``effort``, joint velocities [rad/s] of ``velocity``."""
        self._q = np.full(n, np.nan)
        self._asked_at = dict.fromkeys(COMMAND, -math.inf)
        self._front = 0
        self._alive_heard = math.nan
        self._alive_at = -math.inf
        self._alive = 0
        self._tick = 0
        self._sequence = 0
        own = [m for m in messages().values() if m.sender == "machine"]
        # As they would win the bus: the lowest identifier first. Slow ones take turns.
        self._cyclic = [
            (m, max(round(m.cycle / self._period), 1), i)
            for i, m in enumerate(sorted(own, key=lambda m: m.id))
        ]

    def step(self, ticks: int = 1) -> MachineState:
        """Listen, set the valves, let the plant go on, tell what it measures.

        Args:
            ticks: control periods to go on; more than one where the computer was held up.
        """
        now = self._steady()
        self._listen(now)
        self.valves = self._decide(now)
        self._sequence += 1
        self.robot.write(
            JointCommand(0.0, self._sequence, "machine", CommandKind.VALVE,
                         self.signals.names, self.valves)
        )  # fmt: skip
        terrain: HeightMap | None = None
        images: dict[str, NDArray[np.uint8]] = {}
        for _ in range(ticks):
            state = self.robot.advance()
            terrain, images = state.terrain or terrain, {**images, **state.images}
        self._q = state.q
        self._tell(state, ticks)
        return state if ticks == 1 else replace(state, terrain=terrain, images=images)

    def why_neutral(self, now: float) -> str:
        """Return why no command reaches the valves, or ``""``."""
        panel = self.panel
        front = next((name for name in COMMAND if SIGNAL_SWITCH[name] == self._front), "")
        if not panel.external:
            return "the operator's switch is not on external"
        if not panel.unlocked:
            return "the pilot oil is shut off"
        if not panel.engine:
            return "the engine does not run"
        if not front:
            return "no kind of command is switched on"
        if now - self._asked_at[front] > COMMAND_TIMEOUT:
            return f"no {COMMAND[front]} for {COMMAND_TIMEOUT:g} s"
        if now - self._alive_at > ALIVE_CYCLES * messages()[SETTING].cycle:
            return "the alive counter stands still"
        return ""

    def _decide(self, now: float) -> Array:
        if self.why_neutral(now):
            return np.zeros_like(self.valves)
        if self._front == SIGNAL_SWITCH["effort"]:
            return self._asked["effort"]
        # The machine's own velocity control: what its valve curve asks for, without feedback.
        return self.signals.opened(self._asked["velocity"], self._q)

    # Receiving -------------------------------------------------------------------------------

    def _listen(self, now: float) -> None:
        while (frame := self._receive()) is not None:
            if frame.is_error_frame or pgn(frame.arbitration_id) not in command_groups():
                continue
            message = by_id().get(frame.arbitration_id)
            if message is None:
                continue
            try:
                self._take(now, message, message.decode(frame.data))
                self.received += 1
            except FrameError:
                self.refused += 1

    def _receive(self) -> can.Message | None:
        try:
            return self.bus.recv(0.0)
        except BUS_ERRORS:
            return None

    def _take(self, now: float, message: MessageCodec, values: dict[str, float]) -> None:
        if message.name == SETTING:
            self._front = int(values["front_signal_switch_command"])
            if values["alive_counter"] != self._alive_heard:
                self._alive_heard, self._alive_at = values["alive_counter"], now
            return
        for mode, name in COMMAND.items():
            if message.name != name:
                continue
            asked = self.signals.valves if mode == "effort" else self.signals.speeds
            wish = asked(values)
            if not np.isfinite(wish).all():
                raise FrameError(f"{name}: a target is not available")
            self._asked[mode], self._asked_at[mode] = wish, now

    # Telling ---------------------------------------------------------------------------------

    def _tell(self, state: MachineState, ticks: int) -> None:
        before, self._tick = self._tick, self._tick + ticks
        for message, every, turn in self._cyclic:
            due = (self._tick + turn) // every > (before + turn) // every
            if not due or message.name in self.panel.mute:
                continue
            data = message.encode(self._values(message, state))
            with suppress(*BUS_ERRORS):
                self.bus.send(
                    can.Message(arbitration_id=message.id, data=data, is_extended_id=True)
                )
                self.sent += 1

    def _values(self, message: MessageCodec, state: MachineState) -> dict[str, float]:
        name, signals = message.name, self.signals
        if name == ANGLE:
            return signals.front_angle(state.q)
        if name == VELOCITY:
            return signals.front_velocity(state.qd)
        if name == "Pressure_1":
            return signals.pressure_1(state.pressure)
        if name == "Hydraulic_Flow_Rate_1":
            return signals.flow_1(self._drives.flow(state.q, state.qd))
        if name == "Machine_State":
            return self._machine_state(state)
        if name == "Pilot_Pressure_1":
            return self._pilot_pressures()
        if name.startswith("Front_Pin_Position"):
            return self._pin(PINS[int(name[-1]) - 1], int(name[-1]), state)
        if name in ("Roll_Pitch_Angle", "Vehicle_Azimuth") or name.startswith("Swing_Center"):
            return self._pose(message, state)
        # Tracks, attachment and assist stand still.
        return dict.fromkeys(message.signals, 0.0)

    def _machine_state(self, state: MachineState) -> dict[str, float]:
        panel = self.panel
        if not panel.hanging:
            self._alive = (self._alive + 1) % 256
        temperature = state.oil_temperature
        return {
            **{bit: float(bit in panel.errors) for bit in ERROR_BITS},
            "lock_cmd_state": float(not panel.unlocked),
            "pilot_shutoff_valve_state": float(panel.unlocked),
            "control_state": float(self._state_of[panel.external]),
            "hydraulic_oil_temp": temperature if math.isfinite(temperature) else OIL_TEMPERATURE,
            "engine_state": float(panel.engine),
            "alive_counter": float(self._alive),
        }

    def _pilot_pressures(self) -> dict[str, float]:
        raws = self.signals.pilot_raw(self.valves)
        table = messages()["Pilot_Pressure_Cmd_1"].signals
        return {
            side.measured: table[side.command].value(raws[side.command])
            for joint in self.signals.data.joints.values()
            for side in (joint.positive, joint.negative)
        }

    def _pin(self, pin: str, number: int, state: MachineState) -> dict[str, float]:
        """Return a pin in the upper structure's frame, from the centre of the swing on."""
        still = np.concatenate([[0.0], state.q[1:]])
        frame = self._kinematics.frames(still)[self.signals.names[number]]
        at = frame[:3, 3] - self._kinematics.base
        return {f"{pin}_pin_position_{axis}": float(x) for axis, x in zip("xyz", at, strict=True)}

    def _pose(self, message: MessageCodec, state: MachineState) -> dict[str, float]:
        pose = to_bus(
            state.base_position, state.base_quaternion_wxyz, float(state.q[0]), self._mount
        )
        said = {
            "roll_angle": pose.roll, "pitch_angle": pose.pitch,
            "upper_body_azimuth": pose.upper, "track_body_azimuth": pose.track,
            **{f"swing_center_position_{axis}": float(x)
               for axis, x in zip("xyz", pose.centre, strict=True)},
        }  # fmt: skip
        return {name: said[name] for name in message.signals}
