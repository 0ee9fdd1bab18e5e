"""A machine for tests of the preflight: joints behind valves, sensors with noise, no forces."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from kuwa_hardware.gate import Gate
from kuwa_hardware.preflight import Plan, Preflight
from kuwa_hardware.preflight.lockstep import run
from kuwa_machines.contracts import (
    CommandKind,
    GroundTruth,
    JointCommand,
    MachineState,
    SimulatedRobot,
)
from kuwa_machines.loader import load_machine
from plant_double import JointDouble

SPEC = load_machine("zx200")
NAMES = SPEC.joint_names
BOOM, ARM = NAMES.index("boom_joint"), NAMES.index("arm_joint")
TICK = 0.01


class ValveRobot:
    """A simulated robot whose valves and linkages are those of its home; it measures no pressures.

    Args:
        seed: of the sensors' noise. gain: true speeds over those of the data file.
    """

    control_period = TICK

    def __init__(self, seed: int = 0, gain: float = 1.0) -> None:
        self.spec = SPEC
        double = JointDouble(SPEC, TICK)
        valves = [joint.drive.valve for joint in SPEC.joints.values()]
        flows = [[v.max_flow_negative, v.max_flow_positive] for v in valves]  # type: ignore[union-attr]
        ways = [[double.displacement(j, up) for up in (False, True)] for j in range(len(NAMES))]
        self.full = gain * np.array(flows) / np.array(ways)
        self.band = np.array([v.dead_band for v in valves])
        self.curve = np.array([v.curve for v in valves])
        self.rate = 1.0 - np.exp(-TICK / np.array([v.time_constant for v in valves]))
        self.late = [deque([0.0] * round(v.dead_time / TICK)) for v in valves]
        self.noise = SPEC.sensors.encoders.position.noise
        self.rng = np.random.default_rng(seed)
        self.q, self.qd = SPEC.home.copy(), np.zeros(len(NAMES))
        self.u = np.zeros(len(NAMES))
        self.most = 0.0
        self.time = 0.0
        self.base = replace(
            double.state(), acceleration=np.array([0.0, 0.0, 9.81]),
            pressure=np.full((len(NAMES), 2), np.nan),
        )  # fmt: skip

    def connect(self) -> None:
        pass

    def close(self) -> None:
        pass

    def neutral(self) -> None:
        self.u = np.zeros(len(NAMES))

    def reset(self, seed: int) -> MachineState:
        raise NotImplementedError

    def read(self) -> MachineState:
        noise = self.noise * self.rng.standard_normal(len(NAMES))
        return replace(self.base, stamp=self.time, q=self.q + noise, qd=self.qd)

    def write(self, command: JointCommand) -> JointCommand:
        assert command.kind is CommandKind.VALVE
        self.u = command.ordered(NAMES)
        self.most = max(self.most, float(np.abs(self.u).max()))
        return command

    def advance(self) -> MachineState:
        for late, value in zip(self.late, self.u, strict=True):
            late.append(float(value))
        u = np.array([late.popleft() for late in self.late])
        opening = np.maximum(np.abs(u) - self.band, 0.0) / (1.0 - self.band)
        side = (u > 0.0).astype(int)
        wanted = np.sign(u) * self.full[np.arange(len(u)), side] * opening**self.curve
        self.qd = self.qd + self.rate * (wanted - self.qd)
        self.q = self.q + TICK * self.qd
        self.time += TICK
        return self.read()

    def truth(self) -> GroundTruth:
        raise NotImplementedError


def plan(robot: SimulatedRobot, **changes: object) -> Plan:
    """Return the plan of a person who measured the pose."""
    pose = dict(zip(NAMES, map(float, SPEC.home), strict=True))
    return replace(Plan(SPEC, SPEC, "sim", True, pose, False), **changes)  # type: ignore[arg-type]


def checked(robot: SimulatedRobot, gate: Gate | None = None, **changes: object) -> Preflight:
    """Return the preflight of a robot, at its end."""
    return run(Preflight(plan(robot, **changes)), robot, gate)
