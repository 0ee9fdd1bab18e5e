"""A gate in motion for tests: clock, states and requests in step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kuwa_hardware.gate import Gate, GateLimits
from kuwa_machines.contracts import Array, CommandKind, GateOutput, JointCommand, MachineState, Mode

PERIOD = 0.01


@dataclass
class Spec:
    """A stand-in for a machine's specification with round numbers."""

    joint_names: tuple[str, ...] = ("swing_joint", "boom_joint", "arm_joint", "bucket_joint")
    q_min: Any = (-np.inf, -1.0, -1.0, -1.0)
    q_max: Any = (np.inf, 1.0, 1.0, 1.0)
    qd_max: Any = (1.1, 0.5, 1.0, 1.0)
    qdd_max: Any = (0.35, 0.7, 3.0, 4.0)
    dead_time: Any = (0.9, 0.6, 0.4, 0.3)
    home: Any = (0.0, 0.0, 0.0, 0.0)
    joints: Any = field(default_factory=dict)
    """None: velocities go with the stroke, and nothing is known of valves and bodies."""

    def __post_init__(self) -> None:
        for name in ("q_min", "q_max", "qd_max", "qdd_max", "dead_time", "home"):
            setattr(self, name, np.asarray(getattr(self, name), dtype=float))


def state_at(stamp: float, q: Any = None, qd: Any = None, n: int = 4) -> MachineState:
    zero = np.zeros(n)
    return MachineState(
        stamp=stamp,
        q=zero.copy() if q is None else np.asarray(q, dtype=float),
        qd=zero.copy() if qd is None else np.asarray(qd, dtype=float),
        effort=zero,
        pressure=np.zeros((n, 2)),
        pump_pressure=np.nan,
        pump_flow=0.0,
        pump_power=0.0,
        base_position=np.zeros(3),
        base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]),
        base_velocity=np.zeros(6),
        tool_load=0.0,
    )


class Rig:
    """Drives a gate tick by tick."""

    def __init__(
        self,
        mode: Mode = Mode.AUTO,
        spec: Any = None,
        gate: dict[str, Any] | None = None,
        q: Any = None,
        **limits: float,
    ) -> None:
        self.spec = spec or Spec()
        self.names = tuple(self.spec.joint_names)
        self.gate = Gate(self.spec, GateLimits(**limits), **(gate or {}))
        self.now = 100.0
        self.sequence = 0
        self.q: Array = np.zeros(len(self.names)) if q is None else np.asarray(q, dtype=float)
        self.qd: Array = np.zeros(len(self.names))
        self.tick(None)
        if mode is Mode.TELEOP:
            self.gate.deadman(self.now, True)
        path = {Mode.OFF: [], Mode.READY: [Mode.READY], Mode.ARMED: [Mode.READY, Mode.ARMED]}
        for step in path.get(mode, [Mode.READY, Mode.ARMED, mode]):
            granted, why = self.gate.set_mode(step, "person")
            assert granted, why

    def request(self, values: Any, /, **changes: Any) -> JointCommand:
        self.sequence += 1
        parts: dict[str, Any] = {
            "stamp": self.now,
            "sequence": self.sequence,
            "source": "control",
            "kind": CommandKind.VALVE,
            "names": self.names,
            "values": np.asarray(values, dtype=float),
        }
        return JointCommand(**(parts | changes))

    def tick(
        self, request: JointCommand | None, dt: float = PERIOD, state: bool = True
    ) -> GateOutput:
        self.now += dt
        measured = state_at(self.now, self.q, self.qd, len(self.names)) if state else None
        return self.gate.step(self.now, measured, request)

    def run(self, values: Any, ticks: int) -> GateOutput:
        for _ in range(ticks):
            out = self.tick(self.request(values))
        return out
