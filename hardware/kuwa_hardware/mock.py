"""A robot without physics behind the Robot protocol: first-order joints, for tests of the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kuwa_machines.contracts import (
    CommandKind,
    GroundTruth,
    HeightMap,
    JointCommand,
    MachineState,
)
from kuwa_machines.errors import CommandError

if TYPE_CHECKING:
    from kuwa_machines.spec import MachineSpec


class MockRobot:
    """Each joint's velocity follows ``u * qd_max`` with one time constant, stops at the limits.

    Flat ground is measured every 0.2 s. Satisfies
    :class:`kuwa_machines.contracts.SimulatedRobot`.

    Args:
        spec: the machine.
        control_period: length of one tick [s].
        time_constant: of the joints' velocity [s].
    """

    def __init__(
        self, spec: MachineSpec, control_period: float = 0.01, time_constant: float = 0.1
    ) -> None:
        self.spec = spec
        self.control_period = control_period
        self._rate = 1.0 - np.exp(-control_period / time_constant)
        self._terrain_ticks = max(round(0.2 / control_period), 1)
        self._flat = HeightMap(np.zeros((64, 64)), -8.0, -8.0, 0.25)
        self._connected = False
        self.reset(0)

    def reset(self, seed: int) -> MachineState:
        """Return to rest at the machine's home position; ``seed`` changes nothing."""
        self._q = np.array(self.spec.home, dtype=float)
        self._qd = np.zeros(len(self._q))
        self._u = np.zeros(len(self._q))
        self._tick = 0
        return self._state()

    def connect(self) -> None:
        """Nothing to open."""
        self._connected = True

    def read(self) -> MachineState:
        """Return the state at the current tick.

        Raises:
            CommandError: it is not connected.
        """
        if not self._connected:
            raise CommandError("the mock robot is not connected; call connect() first")
        return self._state()

    def _state(self) -> MachineState:
        n = len(self._q)
        new_map = self._tick % self._terrain_ticks == 0
        return MachineState(
            stamp=self._tick * self.control_period,
            q=self._q.copy(),
            qd=self._qd.copy(),
            effort=np.zeros(n),
            pressure=np.zeros((n, 2)),
            pump_pressure=float("nan"),
            pump_flow=0.0,
            pump_power=0.0,
            base_position=np.zeros(3),
            base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]),
            base_velocity=np.zeros(6),
            tool_load=float("nan"),
            terrain=self._flat if new_map else None,
        )

    def write(self, command: JointCommand) -> JointCommand:
        """Take a VALVE command."""
        if not self._connected:
            raise CommandError("the mock robot is not connected; call connect() first")
        if command.kind is not CommandKind.VALVE:
            raise CommandError(f"kind {command.kind.name}; a robot takes VALVE commands")
        u = command.ordered(self.spec.joint_names)
        if len(u) != len(self._q) or not (np.abs(u) <= 1.0).all():
            raise CommandError(
                f"values {u.tolist()}; expected {len(self._q)} finite numbers in [-1, 1]"
            )
        self._u = np.array(u, dtype=float)
        return command

    def neutral(self) -> None:
        """Centre all valves."""
        self._u = np.zeros(len(self._q))

    def advance(self) -> MachineState:
        """Advance one control period and return the new state."""
        self._qd = self._qd + self._rate * (self._u * self.spec.qd_max - self._qd)
        q = self._q + self._qd * self.control_period
        self._q = np.clip(q, self.spec.q_min, self.spec.q_max)
        self._qd = np.where(self._q == q, self._qd, 0.0)
        self._tick += 1
        return self._state()

    def truth(self) -> GroundTruth:
        """Return where it is: it never leaves the origin."""
        still = np.array([1.0, 0.0, 0.0, 0.0])
        return GroundTruth(np.zeros(3), still, np.zeros(6), np.zeros((1, 3)))

    def close(self) -> None:
        """Centre all valves."""
        self.neutral()
        self._connected = False
