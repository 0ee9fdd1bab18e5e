"""The simulated machine behind the same protocol as a real one."""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import (
    Array,
    CommandKind,
    GroundTruth,
    HeightMap,
    JointCommand,
    MachineState,
    Task,
)
from kuwa_machines.errors import CommandError
from kuwa_machines.spec import MachineSpec
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.scenario import Scenario
from kuwa_sim.world import World

LIMIT_TOLERANCE = 0.005
"""A joint this far outside its operating range counts as a violation [rad]."""

NOISE_MARGIN = 64
"""A scan's noise is a window of one field of noise, shifted by up to this many cells each time:
drawing a new field for every scan would cost more than the physics of its ticks."""


class SimRobot:
    """A :class:`kuwa_machines.contracts.SimulatedRobot`: one machine in the world of a scenario.

    Args:
        scenario: a name, a path to a ``.yaml`` file, or a loaded scenario.
        machine: name of the lead machine's data; the scenario's own if None.
        seed: of everything random: ground, soil strength, start pose, sensor noise.
        world: a world that several robots share; one of its own if None.
        name: which of the world's machines; the lead if None.
    """

    control_period = CONTROL_PERIOD

    def __init__(
        self,
        scenario: str | Scenario = "dig_trench",
        machine: str | None = None,
        seed: int = 0,
        world: World | None = None,
        name: str | None = None,
    ) -> None:
        self.world = world or World(scenario, machine, seed)
        self.name = name or self.world.lead
        self.spec: MachineSpec = self.world.specs[self.name]
        task = self.world.stations[self.name].task
        self.task: Task | None = None if task is None else task.task
        self.plant: Plant | None = None
        self.limit_violations = 0
        self.world.residents[self.name] = self

    def connect(self) -> None:
        """Build the model and put the machine on its site."""
        if self.plant is None:
            self.world.reset(self.world.seed)

    def reset(self, seed: int) -> MachineState:
        """Return the whole world to the start; the same seed gives the same bits."""
        self.world.reset(seed)
        return self._state

    def begin(self) -> None:
        """Take the world's new start for this machine's."""
        plant = self.plant = self.world.plant(self.name)
        self.limit_violations = 0
        grid = plant.grid
        place = list(self.world.stations).index(self.name)
        self._noise = np.random.default_rng([self.world.seed, 1 + place])
        self._scan_noise = self.spec.sensors.terrain.noise * self._noise.standard_normal(
            (grid.nx + NOISE_MARGIN, grid.ny + NOISE_MARGIN)
        )
        self._terrain_every = round(1 / self.spec.sensors.terrain.rate / CONTROL_PERIOD)
        self._tick = 0
        self._state = self._measure(plant)

    def read(self) -> MachineState:
        """Return the state measured at the last tick."""
        return self._state

    def write(self, command: JointCommand) -> JointCommand:
        """Set the valves from a VALVE command; return it as applied.

        Raises:
            CommandError: of another kind, not finite or out of range; the valves stay as they were.
        """
        if command.kind is not CommandKind.VALVE:
            raise CommandError(f"command kind {command.kind.name}; the valves take VALVE")
        self._connected.write(command.ordered(self.spec.joint_names))
        return command

    def neutral(self) -> None:
        """Centre all valves."""
        self._connected.write(np.zeros(len(self.spec.joints)))

    def advance(self) -> MachineState:
        """Advance the whole world one control period; return the new state."""
        self.world.advance()
        return self._state

    def sense(self) -> None:
        """Measure after a tick of the world."""
        plant = self._connected
        self._tick += 1
        q = plant.q
        if np.any(q < self.spec.q_min - LIMIT_TOLERANCE) or np.any(
            q > self.spec.q_max + LIMIT_TOLERANCE
        ):
            self.limit_violations += 1
        self._state = self._measure(plant)

    def truth(self) -> GroundTruth:
        """Return where the machine really is."""
        plant = self._connected
        return GroundTruth(
            plant.base_position, plant.base_quaternion_wxyz, plant.base_velocity, plant.tool.points
        )

    def close(self) -> None:
        """Centre the valves and let the model go."""
        if self.plant is not None:
            self.neutral()
            self.plant = None
            self.world.close()

    @property
    def volume_error(self) -> float:
        """Soil gained or lost since the reset, relative to the soil moved; rounding only."""
        return self._connected.terrain.volume_error()

    @property
    def _connected(self) -> Plant:
        if self.plant is None:
            raise CommandError("the simulated robot is not connected; call connect() first")
        return self.plant

    def _measure(self, plant: Plant) -> MachineState:
        n = len(self.spec.joints)
        encoders = self.spec.sensors.encoders
        noise: Array = self._noise.standard_normal((2, n))
        terrain = self._scan(plant) if self._tick % self._terrain_every == 0 else None
        pressure, flow, power = plant.pump
        return MachineState(
            stamp=plant.time,
            q=plant.q + encoders.noise * noise[0],
            qd=plant.qd + encoders.velocity_noise * noise[1],
            effort=plant.torque,
            pressure=plant.pressures,
            pump_pressure=pressure,
            pump_flow=flow,
            pump_power=power,
            base_position=plant.base_position,
            base_quaternion_wxyz=plant.base_quaternion_wxyz,
            base_velocity=plant.base_velocity,
            tool_load=plant.tool_load,
            terrain=terrain,
        )

    def _scan(self, plant: Plant) -> HeightMap:
        grid = plant.grid
        i, j = self._noise.integers(0, NOISE_MARGIN, 2)
        height = plant.terrain.height + self._scan_noise[i : i + grid.nx, j : j + grid.ny]
        return HeightMap(height, grid.x0, grid.y0, grid.cell)


def robots_of(world: World) -> dict[str, SimRobot]:
    """Return a robot for each of a world's machines, by name."""
    return {name: SimRobot(world=world, name=name) for name in world.stations}
