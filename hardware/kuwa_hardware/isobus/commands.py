"""Commands of ISOBUS functions: valve commands of joints to frames, and what they then amount to.

Flow commands are sent as they are. Steering and hitch take set points: the tractor opens the valve
by the deviation from the set point, fully at ``full_stroke``. A valve command u is therefore sent
as the set point q + q̇ τ/2 + u · full_stroke, τ the period of the commands: over a period the valve
is opened by u on average.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from kuwa_hardware.isobus.codec import Message, message
from kuwa_hardware.isobus.geometry import Steering, Travel
from kuwa_hardware.isobus.mapping import (
    AuxValve,
    EmulatedDrive,
    Guidance,
    Hitch,
    Mapping,
)
from kuwa_machines.arrays import Array
from kuwa_machines.spec import MachineSpec

NO, YES = 0.0, 1.0
BLOCK, EXTEND, RETRACT = 0.0, 1.0, 2.0
EXTENDED = 1.0
CHANNELS = 4
CHECK_SEED = 90


class Command(Protocol):
    """One message that commands one or more joints."""

    message: Message
    period: float
    joints: tuple[int, ...]
    """Places of its joints in the machine's order."""

    def compose(self, u: Array, q: Array, qd: Array) -> tuple[bytes, Array]:
        """Return the data and the valve commands that it amounts to, for its joints.

        Args:
            u, q, qd: of all joints, shape (n,): valve commands, angles [rad], speeds [rad/s].
        """

    def neutral(self) -> bytes:
        """Return the data by which the tractor centres these valves."""


class GuidanceCommand:
    """Steering by curvature."""

    def __init__(self, spec: MachineSpec, joint: str, function: Guidance) -> None:
        at = spec.joint_names.index(joint)
        self.message = message("GuidanceSystemCommand")
        self.period = function.period
        self.joints: tuple[int, ...] = (at,)
        self.steering = Steering.of(spec, joint)
        self._stroke = function.full_stroke
        self._limits = float(spec.q_min[at]), float(spec.q_max[at])

    def compose(self, u: Array, q: Array, qd: Array) -> tuple[bytes, Array]:
        at = self.joints[0]
        here = q[at] + 0.5 * self.period * qd[at]
        wanted = min(max(here + u[at] * self._stroke, self._limits[0]), self._limits[1])
        data = self.message.encode(
            CurvatureCommand=self.steering.curvature(wanted), CurvatureCommandStatus=YES
        )
        sent = self.steering.angle(self.message.decode(data)["CurvatureCommand"])
        return data, np.clip([(sent - here) / self._stroke], -1.0, 1.0)

    def neutral(self) -> bytes:
        return self.message.encode(CurvatureCommand=0.0, CurvatureCommandStatus=NO)


class HitchCommand:
    """Hitches by position, and power take-offs, which share the message."""

    def __init__(self, spec: MachineSpec, hitches: dict[str, Hitch]) -> None:
        self.message = message("HitchAndPtoCommands")
        self.period = min(function.period for function in hitches.values())
        self.joints = tuple(spec.joint_names.index(joint) for joint in hitches)
        self._signals = [f"{f.side.capitalize()}HitchPosition" for f in hitches.values()]
        self._strokes = [function.full_stroke for function in hitches.values()]
        self._travels = [Travel(float(spec.q_min[at]), float(spec.q_max[at])) for at in self.joints]
        self.rear_pto = math.nan
        """Speed that is asked of the rear power take-off [1/min]; 0 disengages, NaN: nothing."""

    def compose(self, u: Array, q: Array, qd: Array) -> tuple[bytes, Array]:
        here = [float(q[at] + 0.5 * self.period * qd[at]) for at in self.joints]
        wanted = {
            signal: travel.percent(h + float(u[at]) * stroke)
            for signal, travel, h, at, stroke in zip(
                self._signals, self._travels, here, self.joints, self._strokes, strict=True
            )
            if u[at] != 0.0  # Steps of 0.4 % are too coarse to say "stay"; no position says it.
        }
        data = self.message.encode(**wanted, **self._pto())
        values = self.message.decode(data)
        applied = [
            (travel.angle(values[signal]) - h) / stroke if signal in wanted else 0.0
            for signal, travel, h, stroke in zip(
                self._signals, self._travels, here, self._strokes, strict=True
            )
        ]
        return data, np.clip(applied, -1.0, 1.0)

    def neutral(self) -> bytes:
        """Without a position the tractor holds its hitch; power take-offs are disengaged."""
        if not math.isnan(self.rear_pto):
            self.rear_pto = 0.0
        return self.message.encode(**self._pto())

    def _pto(self) -> dict[str, float]:
        if math.isnan(self.rear_pto):
            return {}
        on = self.rear_pto > 0.0
        return {"RearPtoEngagement": float(on)} | ({"RearPtoSpeed": self.rear_pto} if on else {})


class AuxValveCommand:
    """Flow through one auxiliary valve."""

    def __init__(self, spec: MachineSpec, joint: str, function: AuxValve) -> None:
        self.message = message(f"AuxValve{function.valve}Command")
        self.period = function.period
        self.joints: tuple[int, ...] = (spec.joint_names.index(joint),)
        self._sign = 1.0 if function.positive == "extend" else -1.0

    def compose(self, u: Array, q: Array, qd: Array) -> tuple[bytes, Array]:
        data = self._encode(self._sign * float(u[self.joints[0]]))
        values = self.message.decode(data)
        flow = 0.01 * values["PortFlowExtended"] * (1.0 if values["ValveState"] == EXTEND else -1.0)
        return data, np.array([self._sign * flow])

    def neutral(self) -> bytes:
        return self._encode(0.0)

    def _encode(self, flow: float) -> bytes:
        state = BLOCK if flow == 0.0 else EXTEND if flow > 0.0 else RETRACT
        percent = 100.0 * abs(flow)
        return self.message.encode(
            PortFlow=percent, PortFlowExtended=percent, ResolutionMode=EXTENDED,
            ValveState=state, FailSafeMode=BLOCK,
        )  # fmt: skip


class DriveCommand:
    """Travel drives of the emulated tractor."""

    def __init__(self, spec: MachineSpec, drives: dict[str, EmulatedDrive]) -> None:
        self.message = message("EmulatedDriveCommand")
        self.period = min(function.period for function in drives.values())
        self.joints = tuple(spec.joint_names.index(joint) for joint in drives)
        self._signals = [f"Drive{function.channel}" for function in drives.values()]
        self._alive = 0

    def compose(self, u: Array, q: Array, qd: Array) -> tuple[bytes, Array]:
        data = self._encode([float(u[at]) for at in self.joints])
        values = self.message.decode(data)
        return data, np.array([values[signal] for signal in self._signals])

    def neutral(self) -> bytes:
        return self._encode([0.0] * len(self.joints))

    def _encode(self, values: list[float]) -> bytes:
        self._alive = (self._alive + 1) % 256
        drives = {f"Drive{channel}": 0.0 for channel in range(CHANNELS)}
        drives |= dict(zip(self._signals, values, strict=True))
        data = self.message.encode(DriveAlive=self._alive, DriveCheck=0.0, **drives)
        return data[:-1] + bytes([checksum(data)])


def checksum(data: bytes) -> int:
    """Return the check byte of a drive command."""
    return (sum(data[:7]) + CHECK_SEED) % 256


def commands(spec: MachineSpec, mapping: Mapping) -> list[Command]:
    """Return the messages that command the joints of a machine."""
    made: list[Command] = []
    hitches: dict[str, Hitch] = {}
    drives: dict[str, EmulatedDrive] = {}
    for joint, function in mapping.functions.items():
        if isinstance(function, Guidance):
            made.append(GuidanceCommand(spec, joint, function))
        elif isinstance(function, AuxValve):
            made.append(AuxValveCommand(spec, joint, function))
        elif isinstance(function, Hitch):
            hitches[joint] = function
        elif isinstance(function, EmulatedDrive):
            drives[joint] = function
    if hitches:
        made.append(HitchCommand(spec, hitches))
    if drives:
        made.append(DriveCommand(spec, drives))
    return made
