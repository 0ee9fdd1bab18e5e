"""One machine on a ground of one's own, with a position that is measured noisily and late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from kuwa_hardware.gate import Gate
from kuwa_machines import MachineSpec
from kuwa_machines.contracts import (
    Array,
    CommandKind,
    GroundTruth,
    HeightMap,
    JointCommand,
    MachineState,
    Planner,
    Task,
)
from kuwa_policies.control.tracking import TrackingController
from kuwa_sim.lockstep import Tick, run_lockstep
from kuwa_sim.plant import CONTROL_PERIOD
from kuwa_sim.scenery import Grid
from kuwa_sim.site import Placement, Site
from kuwa_sim.soil import load_soil

FIX_EVERY, FIX_LATE = 5, 5
"""Ticks between two fixes, and ticks that each is late."""
HIDDEN = 3.4
"""The scan does not see the ground this close to the machine [m]."""


class TrackedRig:
    """A simulated robot with sensors like those of a machine on a site.

    Noise: fixes 8 mm level and 12 mm in height, velocity 3 cm/s, roll and pitch 0.03°, heading
    0.1°, load 60 kg, scan 8 mm; the scan sees nothing near the machine.
    """

    control_period = CONTROL_PERIOD

    def __init__(
        self, spec: MachineSpec, grid: Grid, height: Array | float = 0.0,
        start: tuple[float, float, float] = (0.0, 0.0, 0.0), soil: str = "sandy_loam",
        seed: int = 0, noise: float = 1.0,
    ) -> None:  # fmt: skip
        self.spec, self.noise = spec, noise
        self.site = Site({"": Placement(spec, *start)}, load_soil(soil), grid)
        self.site.reset(height)
        self.plant = self.site.plants[0]
        self.rng = np.random.default_rng(seed)
        self.blind: Callable[[float], bool] = lambda time: False
        self.tick = 0
        g = self.plant.grid
        self.seen = self.plant.terrain.height + 0.008 * noise * self.rng.standard_normal(
            (g.nx, g.ny)
        )
        self.past = deque([self.plant.base_position] * (FIX_LATE + 1), maxlen=FIX_LATE + 1)
        self.fix = self.plant.base_position
        self.fix_stamp = 0.0
        self.state = self.measure()

    def read(self) -> MachineState:
        return self.state

    def write(self, command: JointCommand) -> JointCommand:
        assert command.kind is CommandKind.VALVE
        self.plant.write(command.ordered(self.spec.joint_names))
        return command

    def neutral(self) -> None:
        self.plant.write(np.zeros(len(self.spec.joint_names)))

    def connect(self) -> None: ...
    def close(self) -> None: ...

    def advance(self) -> MachineState:
        self.plant.advance()
        self.tick += 1
        self.past.append(self.plant.base_position)
        self.state = self.measure()
        return self.state

    def truth(self) -> GroundTruth:
        p = self.plant
        return GroundTruth(p.base_position, p.base_quaternion_wxyz, p.base_velocity, p.tool.points)

    def measure(self) -> MachineState:
        p, draw, k = self.plant, self.rng.standard_normal, self.noise
        if self.tick % FIX_EVERY == 0 and not self.blind(p.time):
            self.fix = self.past[0] + k * np.array([0.008, 0.008, 0.012]) * draw(3)
            self.fix_stamp = max(p.time - FIX_LATE * CONTROL_PERIOD, 0.0)
        pressure, flow, power = p.pump
        n = len(self.spec.joint_names)
        tilt = np.radians([0.03, 0.03, 0.1]) * k * draw(3) / 2
        a, b = p.base_quaternion_wxyz, np.array([1.0, *tilt])
        turned = np.array([
            a[0] * b[0] - a[1:] @ b[1:], *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])),
        ])  # fmt: skip
        return MachineState(
            stamp=p.time,
            q=p.q + np.radians(0.02) * k * draw(n),
            qd=p.qd + 0.003 * k * draw(n),
            effort=p.torque,
            pressure=p.pressures,
            pump_pressure=pressure,
            pump_flow=flow,
            pump_power=power,
            base_position=self.fix.copy(),
            base_quaternion_wxyz=turned / np.linalg.norm(turned),
            base_velocity=p.base_velocity + k * np.repeat([0.03, 0.002], 3) * draw(6),
            tool_load=p.tool_load + 60 * k * draw(),
            terrain=self.scan() if self.tick % 20 == 0 else None,
            base_stamp=self.fix_stamp,
        )

    def scan(self) -> HeightMap:
        g, p = self.plant.grid, self.plant
        x = g.x0 + g.cell * np.arange(g.nx)[:, None] - p.base_position[0]
        y = g.y0 + g.cell * np.arange(g.ny)[None, :] - p.base_position[1]
        visible = np.hypot(x, y) > HIDDEN
        noise = 0.008 * self.noise * self.rng.standard_normal((g.nx, g.ny))
        self.seen = np.where(visible, p.terrain.height + noise, self.seen)
        return HeightMap(self.seen.copy(), g.x0, g.y0, g.cell)

    def run(
        self, planner: Planner, task: Task, duration: float,
        observe: Callable[[Tick], bool | None] | None = None,
    ) -> MachineState:  # fmt: skip
        """Run the whole loop until the task is done or time is up."""
        controller = TrackingController(self.spec, CONTROL_PERIOD)
        return run_lockstep(self, planner, controller, Gate(self.spec), task, duration, observe)
