"""The emulated tractor's controllers: from frames to the valves of its joints.

Each keeps the newest command of its function and forgets it when it is stale; without one the valve
is centred. Steering and hitch close their own loop: the valve opens by the deviation from the set
point, fully at ``full_stroke``.
"""

from __future__ import annotations

import math
from typing import Protocol

from kuwa_hardware.isobus.codec import Message, message
from kuwa_hardware.isobus.commands import EXTEND, EXTENDED, RETRACT, YES, checksum
from kuwa_hardware.isobus.geometry import Steering, Travel
from kuwa_hardware.isobus.mapping import AuxValve, EmulatedDrive, Guidance, Hitch, Mapping
from kuwa_machines.spec import MachineSpec


class Receiver(Protocol):
    """The controller of one joint."""

    message: Message
    place: int

    def take(self, now: float, data: bytes, values: dict[str, float]) -> None:
        """Take a command."""

    def valve(self, now: float, q: float) -> float:
        """Return the valve's opening in [-1, 1] for the joint at ``q`` [rad]."""

    def drop(self) -> None:
        """Forget the command."""


class _Newest:
    """A command that goes stale."""

    def __init__(self, timeout: float) -> None:
        self._timeout, self._value, self._at = timeout, math.nan, -math.inf

    def put(self, now: float, value: float) -> None:
        self._value, self._at = value, now

    def get(self, now: float) -> float:
        """Return it; NaN if there is none or it is stale."""
        if now - self._at > self._timeout:
            self._value = math.nan
        return self._value

    def drop(self) -> None:
        self._value = math.nan


class SteeringController:
    """Steers by curvature. After a time-out it wants to hear "not intended to steer" first."""

    def __init__(self, spec: MachineSpec, joint: str, function: Guidance) -> None:
        self.message = message("GuidanceSystemCommand")
        self.place = spec.joint_names.index(joint)
        self.steering = Steering.of(spec, joint)
        self.ready = True
        """False while the operator holds the wheel or the automatic is switched off."""
        self.reset_required = False
        self._stroke, self._newest = function.full_stroke, _Newest(function.timeout)
        self._engaged = False

    def take(self, now: float, data: bytes, values: dict[str, float]) -> None:
        intended = values["CurvatureCommandStatus"] == YES
        if not intended:
            self.reset_required = self._engaged = False
            self._newest.drop()
        elif self.ready and not self.reset_required and math.isfinite(values["CurvatureCommand"]):
            self._engaged = True
            self._newest.put(now, self.steering.angle(values["CurvatureCommand"]))

    def valve(self, now: float, q: float) -> float:
        wanted = self._newest.get(now)
        if self._engaged and (math.isnan(wanted) or not self.ready):
            self._engaged, self.reset_required = False, True
            self._newest.drop()
        return 0.0 if math.isnan(wanted) or not self.ready else (wanted - q) / self._stroke

    def drop(self) -> None:
        self._newest.drop()
        if self._engaged:
            self._engaged, self.reset_required = False, True


class HitchController:
    """Lifts to a position."""

    def __init__(self, spec: MachineSpec, joint: str, function: Hitch) -> None:
        self.message = message("HitchAndPtoCommands")
        self.place = spec.joint_names.index(joint)
        self.side = function.side.capitalize()
        self.travel = Travel(float(spec.q_min[self.place]), float(spec.q_max[self.place]))
        self._stroke, self._newest = function.full_stroke, _Newest(function.timeout)

    def take(self, now: float, data: bytes, values: dict[str, float]) -> None:
        percent = values[f"{self.side}HitchPosition"]
        if math.isnan(percent):
            self._newest.drop()
        else:
            self._newest.put(now, self.travel.angle(percent))

    def valve(self, now: float, q: float) -> float:
        wanted = self._newest.get(now)
        return 0.0 if math.isnan(wanted) else (wanted - q) / self._stroke

    def drop(self) -> None:
        self._newest.drop()


class ValveController:
    """Opens an auxiliary valve."""

    def __init__(self, spec: MachineSpec, joint: str, function: AuxValve) -> None:
        self.message = message(f"AuxValve{function.valve}Command")
        self.place = spec.joint_names.index(joint)
        self.number = function.valve
        self.sign = 1.0 if function.positive == "extend" else -1.0
        self._newest = _Newest(function.timeout)

    def take(self, now: float, data: bytes, values: dict[str, float]) -> None:
        extended = values["ResolutionMode"] == EXTENDED
        percent = values["PortFlowExtended" if extended else "PortFlow"]
        direction = {EXTEND: 1.0, RETRACT: -1.0}.get(values["ValveState"], 0.0)
        if direction and math.isnan(percent):
            return
        self._newest.put(now, direction and direction * 0.01 * percent)

    def valve(self, now: float, q: float) -> float:
        flow = self._newest.get(now)
        return 0.0 if math.isnan(flow) else self.sign * flow

    def drop(self) -> None:
        self._newest.drop()


class DriveController:
    """One travel drive; a command with a wrong check or an old alive count does not count."""

    def __init__(self, spec: MachineSpec, joint: str, function: EmulatedDrive) -> None:
        self.message = message("EmulatedDriveCommand")
        self.place = spec.joint_names.index(joint)
        self._signal = f"Drive{function.channel}"
        self._newest = _Newest(function.timeout)
        self._alive = math.nan

    def take(self, now: float, data: bytes, values: dict[str, float]) -> None:
        alive, value = values["DriveAlive"], values[self._signal]
        fine = data[7] == checksum(data) and alive != self._alive and math.isfinite(value)
        self._alive = alive
        if fine:
            self._newest.put(now, value)

    def valve(self, now: float, q: float) -> float:
        value = self._newest.get(now)
        return 0.0 if math.isnan(value) else value

    def drop(self) -> None:
        self._newest.drop()


def receivers(spec: MachineSpec, mapping: Mapping) -> list[Receiver]:
    """Return the controllers of all joints."""
    made: list[Receiver] = []
    for joint, function in mapping.functions.items():
        if isinstance(function, Guidance):
            made.append(SteeringController(spec, joint, function))
        elif isinstance(function, Hitch):
            made.append(HitchController(spec, joint, function))
        elif isinstance(function, AuxValve):
            made.append(ValveController(spec, joint, function))
        else:
            made.append(DriveController(spec, joint, function))
    return made
