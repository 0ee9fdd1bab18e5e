"""Which COM3 signals are which joint's, as data: ``com3.yaml`` in the machine's folder.

a = sign · scale · q + offset        angle on the bus of a joint at q; velocities without offset
p = (|u| + dead zone) · full         pilot pressure of a valve command u, zero below ``least``
v = sign · scale · q̇(u, q)           target velocity of u: the speed that the valve gives, by
                                     :class:`kuwa_hardware.flow.FlowCurve`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import model_validator

from kuwa_hardware.com3.codec import messages
from kuwa_hardware.flow import FlowCurve
from kuwa_machines.contracts import Array
from kuwa_machines.datafile import Data, DataFile, load_data
from kuwa_machines.errors import MachineError, choices
from kuwa_machines.spec import MachineSpec
from kuwa_machines.units import Angle, AngularVelocity, Pressure, Ratio

NAME = "com3.yaml"
FrontMode = Literal["effort", "velocity"]
MPA = 1e6


class Direction(Data):
    """One side of a valve: the pilot pressure that is commanded, and where it is measured."""

    command: str
    measured: str
    dead_zone: Ratio


class JointMap(Data):
    """One joint's signals; ``pressures`` and ``flows`` are head, rod or port A, port B."""

    angle: str
    velocity: str
    sign: Literal[-1, 1]
    scale: Ratio
    offset: Angle
    target: str
    pressures: tuple[str, str]
    flows: tuple[str, str]
    positive: Direction
    negative: Direction

    @model_validator(mode="after")
    def _known(self) -> JointMap:
        for message, names in (
            ("Front_Angle", [self.angle]),
            ("Front_Angular_Velocity", [self.velocity]),
            ("Velocity_Cmd_1", [self.target]),
            ("Pressure_1", self.pressures),
            ("Hydraulic_Flow_Rate_1", self.flows),
            ("Pilot_Pressure_Cmd_1", [self.positive.command, self.negative.command]),
            ("Pilot_Pressure_1", [self.positive.measured, self.negative.measured]),
        ):
            valid = messages()[message].signals
            for name in names:
                if name not in valid:
                    raise ValueError(f"{message} has no signal {name!r}; {choices(name, valid)}")
        if self.scale <= 0:
            raise ValueError(f"scale {self.scale} must be positive; the sign says the direction")
        return self


class Pilot(Data):
    """Pilot pressure at full command, and the command below which there is none."""

    full: Pressure
    least: Ratio


class Com3Map(DataFile):
    """How a machine speaks COM3.

    Args:
        mode: whether commands go out as pilot pressures or as velocities.
        external: values of ``control_state`` in which it takes commands from the bus.
        engine_speed: asked for [rad/s].
        pin_tolerance: another share between measured and modelled distance of pins is another
            machine.
        watched: messages that the driver cannot do without.
        pilot, joints: see above.
    """

    mode: FrontMode
    external: tuple[int, ...]
    engine_speed: AngularVelocity
    pin_tolerance: Ratio
    watched: tuple[str, ...]
    pilot: Pilot
    joints: dict[str, JointMap]

    @model_validator(mode="after")
    def _consistent(self) -> Com3Map:
        cyclic = {name for name, m in messages().items() if m.sender == "machine"}
        for name in self.watched:
            if name not in cyclic:
                raise ValueError(f"watched: no message {name!r}; {choices(name, cyclic)}")
        most = messages()["Pilot_Pressure_Cmd_1"].signals["boom_up"].high * MPA
        if not 0 < self.pilot.full <= most:
            raise ValueError(f"pilot.full {self.pilot.full} Pa must be in (0, {most:g}]")
        used = [s for j in self.joints.values() for s in (j.positive.command, j.negative.command)]
        if len(set(used)) != len(used):
            raise ValueError("two directions share one pilot pressure command")
        return self


class JointSignals:
    """The map of one machine, bound to its joints in the machine's order.

    Args:
        spec: the machine. data: how it speaks COM3.
    """

    def __init__(self, spec: MachineSpec, data: Com3Map) -> None:
        self.data = data
        self.names = tuple(spec.joint_names)
        maps = [data.joints[name] for name in self.names]
        self._maps = maps
        self._factor = np.array([j.sign * j.scale for j in maps])
        self._offset = np.array([j.offset for j in maps])
        self._curve = FlowCurve(spec)
        self._pilot = messages()["Pilot_Pressure_Cmd_1"].signals
        self._target = messages()["Velocity_Cmd_1"].signals

    # What the machine says -------------------------------------------------------------------

    def q(self, front_angle: Mapping[str, float]) -> Array:
        """Return joint positions of a ``Front_Angle``, shape (n,) [rad]."""
        angle = np.array([front_angle[j.angle] for j in self._maps])
        return (angle - self._offset) / self._factor

    def qd(self, velocity: Mapping[str, float]) -> Array:
        """Return joint velocities of a ``Front_Angular_Velocity``, shape (n,) [rad/s]."""
        return np.array([velocity[j.velocity] for j in self._maps]) / self._factor

    def pressure(self, pressures: Mapping[str, float]) -> Array:
        """Return drive pressures of a ``Pressure_1``, shape (n, 2) [Pa]."""
        return MPA * np.array([[pressures[name] for name in j.pressures] for j in self._maps])

    def flow(self, flows: Mapping[str, float]) -> Array:
        """Return oil flows of a ``Hydraulic_Flow_Rate_1``, shape (n, 2) [m³/s]; in is positive."""
        return np.array([[flows[name] for name in j.flows] for j in self._maps]) / 6e4

    def front_angle(self, q: Array) -> dict[str, float]:
        """Return the signals of a ``Front_Angle``."""
        angle = (q * self._factor + self._offset).tolist()
        return {j.angle: a for j, a in zip(self._maps, angle, strict=True)}

    def front_velocity(self, qd: Array) -> dict[str, float]:
        """Return the signals of a ``Front_Angular_Velocity``."""
        return {
            j.velocity: v for j, v in zip(self._maps, (qd * self._factor).tolist(), strict=True)
        }

    def pressure_1(self, pressure: Array) -> dict[str, float]:
        """Return the signals of a ``Pressure_1``."""
        values = (pressure / MPA).tolist()
        return {n: v for j, pair in zip(self._maps, values, strict=True)
                for n, v in zip(j.pressures, pair, strict=True)}  # fmt: skip

    def flow_1(self, flow: Array) -> dict[str, float]:
        """Return the signals of a ``Hydraulic_Flow_Rate_1``."""
        values = (6e4 * flow).tolist()
        return {n: v for j, pair in zip(self._maps, values, strict=True)
                for n, v in zip(j.flows, pair, strict=True)}  # fmt: skip

    # What is asked of the machine ------------------------------------------------------------

    def pilot_raw(self, u: Array) -> dict[str, int]:
        """Return the raw signals of a ``Pilot_Pressure_Cmd_1`` for valve commands in [−1, 1]."""
        raws = dict.fromkeys(self._pilot, 0)
        pilot = self.data.pilot
        for joint, value in zip(self._maps, u.tolist(), strict=True):
            if abs(value) >= pilot.least:
                side = joint.positive if value > 0.0 else joint.negative
                pressure = min(abs(value) + side.dead_zone, 1.0) * pilot.full
                raws[side.command] = self._pilot[side.command].raw(pressure / MPA)
        return raws

    def valves(self, pilot: Mapping[str, float], measured: bool = False) -> Array:
        """Return the valve commands that these pilot pressures [MPa] are, shape (n,).

        Args:
            pilot: of a ``Pilot_Pressure_Cmd_1``, or of a ``Pilot_Pressure_1`` if ``measured``.
        """
        out = np.zeros(len(self._maps))
        for i, joint in enumerate(self._maps):
            for side, sign in ((joint.positive, 1.0), (joint.negative, -1.0)):
                share = pilot[side.measured if measured else side.command] * MPA
                share = share / self.data.pilot.full - side.dead_zone
                if share > 0.0:
                    out[i] += sign * share
        return np.clip(out, -1.0, 1.0)

    def target_raw(self, u: Array, q: Array) -> dict[str, int]:
        """Return the raw signals of a ``Velocity_Cmd_1`` for valve commands in [−1, 1].

        The gate foresees what valves do, dead band and curve included, so that is what is asked
        for: a command that it takes for none must be none. Where a joint is not known to be, its
        speed is not known either, and it is told to stand.

        Args:
            u: shape (n,). q: joint positions, shape (n,) [rad].
        """
        speed = self._curve.velocity(np.where(np.isfinite(q), u, 0.0), q) * self._factor
        return {j.target: self._target[j.target].raw(v)
                for j, v in zip(self._maps, speed.tolist(), strict=True)}  # fmt: skip

    def speeds(self, targets: Mapping[str, float]) -> Array:
        """Return the joint velocities that these targets are, shape (n,) [rad/s]."""
        return np.array([targets[j.target] for j in self._maps]) / self._factor

    def opened(self, speeds: Array, q: Array) -> Array:
        """Return the valve commands that give these joint velocities, shape (n,).

        Args:
            speeds: shape (n,) [rad/s]. q: joint positions, shape (n,) [rad].
        """
        return self._curve.valve(np.where(np.isfinite(q), speeds, 0.0), q)


def map_file(spec: MachineSpec) -> Path:
    """Return the machine's file, or that of the machine whose model it uses.

    Raises:
        MachineError: there is none.
    """
    for folder in (spec.folder, spec.model_path.resolve().parent):
        if (folder / NAME).is_file():
            return folder / NAME
    raise MachineError(
        f"machine {spec.name!r} has no {NAME}, so it does not speak COM3; write one beside its "
        "machine.yaml (docs/how-to/run-on-a-com3-machine.md)"
    )


def load_map(spec: MachineSpec) -> JointSignals:
    """Return how a machine speaks COM3.

    Raises:
        MachineError: naming the file, the key and what would be right.
    """
    path = map_file(spec)
    data = load_data(path, Com3Map, MachineError)
    if set(data.joints) != set(spec.joint_names):
        raise MachineError(
            f"{path}: joints: {sorted(data.joints)}; expected {sorted(spec.joint_names)}"
        )
    return JointSignals(spec, data)
