"""A simulated robot put into service with a mistake: what a preflight must find.

:mod:`kuwa_sim.faults` breaks sensors and valves of a sound machine during a run; here cables,
names, units and settings were wrong from the start, between the machine and whoever reads it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from kuwa_machines.contracts import (
    Array,
    GroundTruth,
    JointCommand,
    MachineState,
    SimulatedRobot,
)
from kuwa_machines.errors import KuwaError, choices

MISTAKES: Final = (
    "swapped_sensors", "swapped_valves", "sensor_sign", "valve_sign", "offset", "degrees",
    "half_scale", "rate", "late", "pressure_unit", "velocity_unit", "frozen", "noise",
    "valve_off",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake.

    Args:
        kind: one of :data:`MISTAKES`.
        joint, other: places of the joints that it concerns; the second one for swaps only.
        size: of an offset [rad], of lateness [s], or how many times the usual noise.
    """

    kind: str
    joint: int = 0
    other: int = 0
    size: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in MISTAKES:
            raise KuwaError(f"no mistake {self.kind!r}; {choices(self.kind, MISTAKES)}")


class MiswiredRobot:
    """A simulated robot with a mistake between it and who uses it.

    Args:
        robot: connected. mistake: what is wrong. seed: of the noise.
    """

    def __init__(self, robot: SimulatedRobot, mistake: Mistake, seed: int = 0) -> None:
        self.robot = robot
        self.spec = robot.spec
        self.control_period = robot.control_period
        self._mistake = mistake
        self._rng = np.random.default_rng(seed)
        self._first: MachineState | None = None
        self._last: MachineState | None = None
        late = round(mistake.size / robot.control_period) if mistake.kind == "late" else 0
        self._late: deque[Array] = deque([np.zeros(len(self.spec.joints))] * late)
        self._tick = 0

    def connect(self) -> None:
        """Connect the robot."""
        self.robot.connect()

    def read(self) -> MachineState:
        """Return the newest state, as it is told."""
        return self._told(self.robot.read()) if self._last is None else self._last

    def write(self, command: JointCommand) -> JointCommand:
        """Send a command through the mistake."""
        m, names = self._mistake, tuple(self.spec.joint_names)
        values = command.ordered(names).copy()
        if m.kind == "swapped_valves":
            values[[m.joint, m.other]] = values[[m.other, m.joint]]
        elif m.kind == "valve_sign":
            values[m.joint] = -values[m.joint]
        elif m.kind == "valve_off":
            values[m.joint] = 0.0
        elif m.kind == "late":
            self._late.append(values)
            values = self._late.popleft()
        self.robot.write(replace(command, names=names, values=values))
        return command

    def neutral(self) -> None:
        """Centre all valves."""
        self.robot.neutral()

    def close(self) -> None:
        """Close the robot."""
        self.robot.close()

    def reset(self, seed: int) -> MachineState:
        """Return to the start; the mistake stays."""
        self._first = self._last = None
        self._tick = 0
        return self._told(self.robot.reset(seed))

    def truth(self) -> GroundTruth:
        """Return where it is."""
        return self.robot.truth()

    def advance(self) -> MachineState:
        """Advance one control period and return the state as it is told."""
        state = self.robot.advance()
        self._tick += 1
        if self._mistake.kind == "rate" and self._tick % 2 and self._last is not None:
            return self._last
        self._last = self._told(state)
        return self._last

    def _told(self, state: MachineState) -> MachineState:
        m = self._mistake
        q, qd, pressure = state.q.copy(), state.qd.copy(), state.pressure
        self._first = self._first or state
        if m.kind == "swapped_sensors":
            for values in (q, qd):
                values[[m.joint, m.other]] = values[[m.other, m.joint]]
        elif m.kind == "sensor_sign":
            q[m.joint], qd[m.joint] = -q[m.joint], -qd[m.joint]
        elif m.kind == "offset":
            q[m.joint] += m.size
        elif m.kind == "degrees":
            q, qd = np.degrees(q), np.degrees(qd)
        elif m.kind == "half_scale":
            q[m.joint], qd[m.joint] = 0.5 * q[m.joint], 0.5 * qd[m.joint]
        elif m.kind == "pressure_unit":
            pressure = 1e-5 * pressure
        elif m.kind == "velocity_unit":
            qd = np.degrees(qd)
        elif m.kind == "frozen":
            q[m.joint], qd[m.joint] = self._first.q[m.joint], self._first.qd[m.joint]
        elif m.kind == "noise":
            error = self.spec.sensors.encoders.position
            usual = float(np.hypot(error.noise, error.quantisation / np.sqrt(12.0)))
            q[m.joint] += m.size * usual * self._rng.standard_normal()
        return replace(state, q=q, qd=qd, pressure=pressure)
