"""A tractor on ISOBUS, emulated: its controllers as they behave on the bus, a plant behind them.

It claims its address, takes commands of one commander, centres valves whose command is stale,
reports its state, and has a switch that stops all implements.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import can
import numpy as np

from kuwa_hardware.isobus.codec import IsobusError, Message, by_pgn, message
from kuwa_hardware.isobus.mapping import Mapping, load_mapping
from kuwa_hardware.isobus.receivers import (
    HitchController,
    SteeringController,
    ValveController,
    receivers,
)
from kuwa_hardware.j1939.claim import AddressClaim
from kuwa_hardware.j1939.identifier import ADDRESS_CLAIMED, GLOBAL, REQUEST, Frame
from kuwa_hardware.j1939.link import Link
from kuwa_hardware.j1939.name import Name
from kuwa_machines.contracts import CommandKind, JointCommand, MachineState, SimulatedRobot
from kuwa_machines.spec import MachineSpec

COMMANDER_GONE = 1.0
"""A commander that is silent for this long may be followed by another [s]."""
RPM = math.pi / 30.0
LITRES_A_MINUTE = 6e4
ENGINE_SPEED = 2000.0
"""Of the emulated engine where the plant has none [1/min]."""
STOP, PERMIT = 0.0, 1.0
TIMEOUT_REASON, CLEAR_REASON = 5.0, 0.0
NAME = Name(identity_number=100, function=132, device_class=1, industry_group=2)
"""Of the tractor. Device class 1 and function 132 are meant as a tractor's ECU: our assumption."""


class EmulatedTractor:
    """One tractor: a plant and the controllers that open its valves.

    Args:
        robot: the plant, connected.
        bus: open. steady: clock [s].
        mapping: of its joints; the machine's ``isobus.yaml`` if None.
    """

    def __init__(
        self, robot: SimulatedRobot, bus: can.BusABC,
        steady: Callable[[], float] = time.monotonic, mapping: Mapping | None = None,
    ) -> None:  # fmt: skip
        self.robot, self.bus, self._steady = robot, bus, steady
        spec: MachineSpec = robot.spec
        self.mapping = mapping or load_mapping(spec)
        self._link = Link(lambda: bus)
        node = self.mapping.tractor
        identity = NAME.identity_number if node.identity is None else node.identity
        self.claim = AddressClaim(replace(NAME, identity_number=identity), node.address)
        self._names = tuple(spec.joint_names)
        self._receivers = receivers(spec, self.mapping)
        self.stop_pressed = False
        """The switch that stops all implements."""
        self.muted: set[int] = set()
        """Groups that are not sent: a controller that fails."""
        self.frozen = False
        """Alive counters stand still: a controller that hangs."""
        self.operator = False
        """The operator holds wheel and levers: no command is taken."""
        self.pto = 0.0
        """Speed of the rear power take-off [1/min]."""
        self._ticks = self._transitions = 0
        self._stop_said = self._reset_said = False
        self._commander: int | None = None
        self._commander_heard = -math.inf
        self._distance = 0.0
        self._alive = 0
        self._radius = _rear_radius(spec)
        self.valves = np.zeros(len(self._names))
        """As they are opened now, shape (n,)."""

    def step(self, ticks: int = 1) -> MachineState:
        """Take what came, open the valves, let the plant go on, report.

        Args:
            ticks: control periods to go on; more than one where the computer was held up.
        """
        now = self._steady()
        if not self._link.connected:
            self._link.open(now)
            self._say(self.claim.start(now))
        for frame in self._link.drain(now):
            self._take(now, frame)
        self._say(self.claim.poll(now))
        self._drive(now, self.robot.read())
        for _ in range(ticks):
            state = self.robot.advance()
        if self.claim.claimed:
            self._report(state)
        self._ticks += 1
        return state

    @property
    def commander(self) -> int | None:
        """NAME of the node whose commands are taken, or None."""
        return self._commander

    def _take(self, now: float, frame: Frame) -> None:
        identifier = frame.identifier
        if identifier.pgn in (ADDRESS_CLAIMED, REQUEST):
            self._say(self.claim.receive(now, frame))
            return
        known = by_pgn().get(identifier.pgn)
        if known is None or identifier.destination not in (GLOBAL, self.claim.address):
            return
        # Who has not claimed an address is nobody; of two commanders the first is obeyed.
        name = self.claim.others.get(identifier.source)
        if name is None:
            return
        if self._commander is not None and now - self._commander_heard > COMMANDER_GONE:
            self._commander = None
        if self._commander not in (None, name):
            return
        takers = [r for r in self._receivers if r.message.pgn == identifier.pgn]
        if not takers:
            return
        try:
            values = known.decode(frame.data)
        except IsobusError:
            return
        self._commander, self._commander_heard = name, now
        for receiver in takers:
            receiver.take(now, frame.data, values)
        if "RearPtoEngagement" in values and not math.isnan(values["RearPtoEngagement"]):
            self._turn(values["RearPtoEngagement"], values["RearPtoSpeed"])

    def _turn(self, engagement: float, speed: float) -> None:
        if engagement == 0.0:
            self.pto = 0.0
        elif engagement == 1.0 and math.isfinite(speed) and not self.stop_pressed:
            self.pto = speed

    def _drive(self, now: float, state: MachineState) -> None:
        barred = self.stop_pressed or self.operator
        for receiver in self._receivers:
            if isinstance(receiver, SteeringController):
                receiver.ready = not self.operator
            if barred:
                receiver.drop()
            place = receiver.place
            opening = receiver.valve(now, float(state.q[place]))
            self.valves[place] = min(max(opening, -1.0), 1.0)
        if self.stop_pressed:
            self.pto = 0.0
        command = JointCommand(
            state.stamp, self._ticks, "tractor", CommandKind.VALVE, self._names, self.valves.copy()
        )
        self.robot.write(command)

    # --- reports ---

    def _report(self, state: MachineState) -> None:
        if not self.frozen:
            self._alive = (self._alive + 1) % 256
        for place in range(len(self._names)):
            self._send(
                message(f"EmulatedJoint{place}"),
                JointPosition=float(state.q[place]), JointVelocity=float(state.qd[place]),
                JointAlive=self._alive, JointValid=1.0,
            )  # fmt: skip
        if self._ticks % 2 == 0:
            self._send(
                message("EmulatedPump"),
                PumpPressure=1e-3 * state.pump_pressure,
                PumpFlow=LITRES_A_MINUTE * state.pump_flow,
                PumpPower=state.pump_power,
            )
        self._report_stop()
        steering = next((r for r in self._receivers if isinstance(r, SteeringController)), None)
        # Each has its own tick of the ten, so that the bus is loaded evenly.
        turn = self._ticks % self._every(0.1)
        if steering is not None and (turn == 0 or steering.reset_required != self._reset_said):
            self._report_steering(steering, state)
        if turn == 1:
            self._report_hitches(state)
        elif turn == 2:
            self._report_speed(state)
        elif turn == 3:
            self._report_valves()
        elif turn == 4:
            speed = state.engine_speed / RPM if math.isfinite(state.engine_speed) else ENGINE_SPEED
            self._send(message("EngineSpeed"), EngineSpeed=speed)
            on = float(self.pto > 0.0)
            self._send(message("RearPtoStatus"), PtoSpeed=self.pto, PtoEngagement=on)

    def _report_stop(self) -> None:
        changed = self.stop_pressed != self._stop_said
        if changed:
            self._stop_said = self.stop_pressed
            self._transitions = (self._transitions + 1) % 256
        if changed or self._ticks % self._every(1.0) == 0:
            self._send(
                message("AllImplementsStop"),
                StopTransitions=self._transitions,
                StopAllImplements=STOP if self.stop_pressed else PERMIT,
            )

    def _report_steering(self, steering: SteeringController, state: MachineState) -> None:
        self._reset_said = steering.reset_required
        self._send(
            message("GuidanceMachineInfo"),
            EstimatedCurvature=steering.steering.curvature(float(state.q[steering.place])),
            MechanicalSystemLockout=0.0,
            SteeringReadiness=float(steering.ready),
            SteeringInputPosition=1.0,
            RequestReset=float(steering.reset_required),
            GuidanceLimit=0.0 if steering.ready else 1.0,
            GuidanceExitReason=TIMEOUT_REASON if steering.reset_required else CLEAR_REASON,
        )

    def _report_hitches(self, state: MachineState) -> None:
        for hitch in (r for r in self._receivers if isinstance(r, HitchController)):
            draft = float(np.hypot(*state.tool_force[:2]))
            self._send(
                message(f"{hitch.side}HitchStatus"),
                HitchPosition=hitch.travel.percent(float(state.q[hitch.place])),
                HitchPositionLimit=float(self.operator),
                Draft=draft,
                HitchExitReason=3.0 if self.operator else CLEAR_REASON,
            )

    def _report_speed(self, state: MachineState) -> None:
        wheels = [p for p, name in enumerate(self._names) if name.startswith("rear_")]
        rolled = self._radius * float(np.mean(state.qd[wheels])) if wheels else 0.0
        ground = float(np.hypot(*state.base_velocity[:2]))
        self._distance += abs(rolled) * 0.1
        self._send(
            message("WheelBasedSpeed"),
            WheelSpeed=abs(rolled), WheelDistance=self._distance,
            WheelDirection=float(rolled >= 0.0), KeySwitch=1.0,
        )  # fmt: skip
        self._send(
            message("GroundBasedSpeed"), GroundSpeed=ground, GroundDirection=float(rolled >= 0.0)
        )

    def _report_valves(self) -> None:
        for valve in (r for r in self._receivers if isinstance(r, ValveController)):
            flow = 100.0 * valve.sign * float(self.valves[valve.place])
            self._send(
                message(f"AuxValve{valve.number}EstimatedFlow"),
                ExtendPortFlow=flow, RetractPortFlow=-flow, FailSafeMode=0.0, FlowLimit=0.0,
                ValveState=0.0 if flow == 0.0 else 1.0 if flow > 0.0 else 2.0,
            )  # fmt: skip

    def _every(self, period: float) -> int:
        return max(round(period / self.robot.control_period), 1)

    def _send(self, known: Message, **values: float) -> None:
        if known.pgn not in self.muted:
            identifier = known.identifier(self.claim.address)
            self._link.send(Frame(identifier, known.encode(**values)))

    def _say(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self._link.send(frame)


def _rear_radius(spec: MachineSpec) -> float:
    wheels = getattr(spec.undercarriage, "wheels", {})
    tyres = getattr(spec.undercarriage, "tyres", {})
    rear = next((tyres[w.tyre] for name, w in wheels.items() if name.startswith("rear")), None)
    return 0.5 * rear.diameter if rear is not None else 0.0
