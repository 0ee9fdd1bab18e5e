"""A stand-in for a machine: valves and joint velocities without forces; soil that a blade moves.

It shares no code with the controller or the planner that it tests, apart from the machine's data.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, MachineState
from kuwa_machines.kinematics import ExcavatorKinematics
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, MachineSpec


class JointDouble:
    """Dead time → dead band and flow curve → lag → shared pump → joint velocity.

    Args:
        gain: true velocity over modelled velocity, a scalar or per joint.
        noise: standard deviation of the measured angle [rad].
    """

    def __init__(
        self, spec: MachineSpec, period: float, gain: float = 1.0, noise: float = 0.0
    ) -> None:
        self.spec, self.period, self.gain, self.noise = spec, period, gain, noise
        self.drives = [joint.drive for joint in spec.joints.values()]
        self.rng = np.random.default_rng(0)
        self.blocked = np.zeros(len(self.drives), dtype=bool)
        self.reset(spec.home)

    def reset(self, q: Array) -> None:
        self.q = np.array(q, dtype=float)
        self.qd = np.zeros_like(self.q)
        self.spool = np.zeros_like(self.q)
        self.time = 0.0
        self.queues = [deque([0.0] * round(d.valve.dead_time / self.period)) for d in self.drives]

    def displacement(self, j: int, positive: bool) -> float:
        drive = self.drives[j]
        if not isinstance(drive, CylinderDrive):
            return float(drive.displacement)
        arm = float(lever_arm(drive.linkage, self.q[j]))
        return abs(arm) * (drive.head_area if (arm > 0) == positive else drive.rod_area)

    def advance(self, command: Array) -> None:
        for j, drive in enumerate(self.drives):
            valve = drive.valve
            self.queues[j].append(float(np.clip(command[j], -1, 1)))
            u = self.queues[j].popleft()
            s = max(abs(u) - valve.dead_band, 0.0) / (1 - valve.dead_band)
            full = valve.max_flow_positive if u > 0 else valve.max_flow_negative
            wanted = np.sign(u) * full * s**valve.curve
            self.spool[j] += (wanted - self.spool[j]) * min(
                1.0, 1 - np.exp(-self.period / valve.time_constant)
            )
        share = min(1.0, self.spec.hydraulics.pump_flow / max(np.abs(self.spool).sum(), 1e-12))
        for j in range(len(self.drives)):
            D = self.displacement(j, self.spool[j] > 0)
            self.qd[j] = 0.0 if self.blocked[j] else self.gain * share * self.spool[j] / D
        self.q = np.clip(self.q + self.qd * self.period, self.spec.q_min, self.spec.q_max)
        self.time += self.period

    def state(self, terrain: HeightMap | None = None) -> MachineState:
        n = len(self.q)
        return MachineState(
            stamp=self.time,
            q=self.q + self.noise * self.rng.standard_normal(n),
            qd=self.qd.copy(),
            effort=np.zeros(n),
            pressure=np.zeros((n, 2)),
            pump_pressure=0.0,
            pump_flow=float(np.abs(self.spool).sum()),
            pump_power=0.0,
            base_position=np.zeros(3),
            base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]),
            base_velocity=np.zeros(6),
            tool_load=float("nan"),
            terrain=terrain,
        )


class SoilDouble:
    """Heights that the bucket's edge cuts; what it cuts it keeps, pushes inward, or drops."""

    def __init__(self, spec: MachineSpec, cell: float = 0.1, swell: float = 1.2) -> None:
        self.kin = ExcavatorKinematics(spec)
        self.width, self.capacity = spec.tool.width, spec.tool.heaped_capacity
        self.cell, self.swell = cell, swell
        self.map = HeightMap(np.zeros((160, 200)), -6.0 + cell / 2, -10.0 + cell / 2, cell)
        self.load = 0.0
        self.before: Array | None = None

    def advance(self, q: Array) -> None:
        edge, pitch = self.kin.forward(q)
        if self.before is None:
            self.before = edge
        steps = max(2, int(np.linalg.norm(edge - self.before) / (self.cell / 4)) + 1)
        for w in np.linspace(0, 1, steps)[1:]:
            self._cut(self.before + w * (edge - self.before), float(q[0]))
        self.before = edge
        if pitch < np.radians(85) and self.load > 0:
            self._drop(edge, 0.05 * self.capacity)

    def _cells(self, edge: Array, swing: float) -> list[tuple[int, int]]:
        across = np.linspace(-0.5, 0.5, 2 * round(self.width / self.cell) + 1)[1::2] * self.width
        points = edge[:2] + across[:, None] * np.array([-np.sin(swing), np.cos(swing)])
        return sorted({self.map.index(x, y) for x, y in points})

    def _cut(self, edge: Array, swing: float) -> None:
        inward = -np.array([np.cos(swing), np.sin(swing), 0.0]) * self.cell
        for cell in self._cells(edge, swing):
            excess = self.map.height[cell] - edge[2]
            if excess <= 0:
                continue
            loose = excess * self.cell**2 * self.swell
            kept = min(loose, self.capacity - self.load)
            self.load += kept
            self.map.height[cell] = edge[2]
            if loose > kept:
                ahead = self.map.index(
                    self.map.x0 + cell[0] * self.cell + inward[0] * 2,
                    self.map.y0 + cell[1] * self.cell + inward[1] * 2,
                )
                self.map.height[ahead] += (loose - kept) / self.cell**2

    def _drop(self, edge: Array, volume: float) -> None:
        volume = min(volume, self.load)
        i, j = self.map.index(edge[0], edge[1])
        r = round(0.5 / self.cell)
        self.map.height[i - r : i + r, j - r : j + r] += volume / (2 * r * self.cell) ** 2
        self.load -= volume
