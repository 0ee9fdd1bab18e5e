"""A site: machines on one soil in one physics model, advanced together, repeatable bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_sim.model import build_site
from kuwa_sim.plant import CONTROL_PERIOD, STEP, SUBSTEPS, Plant
from kuwa_sim.scenery import Grid
from kuwa_sim.soil import Ground, SoilParameters
from kuwa_sim.soil.obstacles import Obstacle

SETTLE_TIME = 3.0
"""The machines stand still for this long before time zero, to sink into the ground [s]."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A machine and where it starts.

    Args:
        spec: the machine.
        x, y: origin of its undercarriage [m]. yaw: [rad].
    """

    spec: MachineSpec
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0


class Site:
    """Machines on one ground.

    Args:
        machines: by name, in the order in which they act; the names prefix everything in the
            model (``"loader/boom_joint"``) but that of a single machine called ``""``.
        soil: of the whole site.
        grid: extent and resolution of the ground.
        obstacles: rigid bodies in the ground.
    """

    def __init__(
        self,
        machines: Mapping[str, Placement],
        soil: SoilParameters,
        grid: Grid,
        obstacles: Sequence[Obstacle] = (),
    ) -> None:
        if not machines:
            raise KuwaError("a site without machines; expected at least one")
        if len(machines) > 1 and "" in machines:
            raise KuwaError("a machine without a name on a site of several; give it one")
        self.grid = grid
        self.placements = dict(machines)
        prefixes = {name: f"{name}/" if name else "" for name in machines}
        self.model: mujoco.MjModel = build_site(
            [(prefixes[name], place.spec) for name, place in machines.items()],
            grid,
            STEP,
            obstacles,
        )
        self.data = mujoco.MjData(self.model)
        self.ground = Ground(soil, (grid.nx, grid.ny), grid.cell, grid.centre, obstacles)
        self.plants = [Plant(place.spec, self, prefixes[name]) for name, place in machines.items()]
        self._ticks = 0

    def __getitem__(self, name: str) -> Plant:
        """Return a machine by name."""
        return self.plants[list(self.placements).index(name)]

    def reset(
        self, height: Array | float = 0.0, starts: Sequence[Array | None] | None = None
    ) -> None:
        """Let all machines stand still on the given ground.

        Args:
            height: level of flat ground [m], or heights of shape (nx, ny).
            starts: joint positions of each machine [rad], or None for its home.
        """
        model, data = self.model, self.data
        mujoco.mj_resetData(model, data)
        self.ground.reset(height=height)
        starts = [None] * len(self.plants) if starts is None else starts
        for plant, place, q in zip(self.plants, self.placements.values(), starts, strict=True):
            plant.place(q, place.x, place.y, place.yaw)
            plant.tool.carry()
        mujoco.mj_forward(model, data)
        for plant in self.plants:
            plant.hold(settled=False)
            plant.tool.look()
        for _ in range(round(SETTLE_TIME / CONTROL_PERIOD)):
            self.advance()
        # The oil columns gave a little: put the joints back and stand again.
        for plant in self.plants:
            plant.hold(settled=True)
        data.qvel[:] = 0.0
        mujoco.mj_forward(model, data)
        for plant in self.plants:
            plant.hold(settled=True)
            plant.tool.look()
            plant.energy = 0.0
        data.time = 0.0
        self._ticks = 0

    def advance(self) -> None:
        """Advance one control period."""
        model, data, plants = self.model, self.data, self.plants
        for _ in range(SUBSTEPS):
            mujoco.mj_step1(model, data)
            for plant in plants:
                plant.apply()
            mujoco.mj_step2(model, data)
            for plant in plants:
                plant.count()
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_comVel(model, data)
        for plant in plants:
            plant.standing.mark()
            plant.tool.work(CONTROL_PERIOD)
        self.ground.level()
        for plant in plants:
            plant.tool.carry()
        self._ticks += 1

    @property
    def time(self) -> float:
        """Simulated time since the reset [s], an exact multiple of the control period."""
        return self._ticks * CONTROL_PERIOD


def lone_plant(spec: MachineSpec, soil: SoilParameters, grid: Grid) -> Plant:
    """Return a machine alone at the origin of a site, under its own names."""
    return Site({"": Placement(spec)}, soil, grid).plants[0]
