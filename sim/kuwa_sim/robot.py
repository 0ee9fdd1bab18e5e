"""The simulated machine behind the same protocol as a real one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kuwa_machines.contracts import (
    CommandKind,
    GroundTruth,
    JointCommand,
    MachineState,
    Task,
)
from kuwa_machines.errors import CommandError
from kuwa_machines.spec import MachineSpec
from kuwa_sim.faults import ActuatorFault, ActuatorFaults, Fault, check_faults
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.scenario import Scenario
from kuwa_sim.sensing import SensorSuite
from kuwa_sim.world import World

LIMIT_TOLERANCE = 0.005
"""A joint this far outside its operating range counts as a violation [rad]."""


class SimRobot:
    """A :class:`kuwa_machines.contracts.SimulatedRobot`: one machine in the world of a scenario.

    Args:
        scenario: a name, a path to a ``.yaml`` file, or a loaded scenario.
        machine: name of the lead machine's data; the scenario's own if None.
        seed: of everything random: ground, soil strength, start pose, sensor noise.
        world: a world that several robots share; one of its own if None.
        name: which of the world's machines; the lead if None.
        faults: of sensors and valves, besides those of the scenario.
        cameras: make pictures; see :class:`kuwa_sim.sensing.SensorSuite`.
        maps: measure the terrain.

    Raises:
        FaultError: a fault of something that the machine does not have.
    """

    control_period = CONTROL_PERIOD

    def __init__(
        self,
        scenario: str | Scenario = "dig_trench",
        machine: str | None = None,
        seed: int = 0,
        world: World | None = None,
        name: str | None = None,
        faults: Sequence[Fault | ActuatorFault] = (),
        cameras: bool = False,
        maps: bool = True,
    ) -> None:
        self.world = world or World(scenario, machine, seed)
        self.name = name or self.world.lead
        self.spec: MachineSpec = self.world.specs[self.name]
        task = self.world.stations[self.name].task
        self.task: Task | None = None if task is None else task.task
        self.faults = (*self.world.stations[self.name].faults, *faults)
        check_faults(self.faults, self.spec)
        self._cameras, self._maps = cameras, maps
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
        seed = (self.world.seed, list(self.world.stations).index(self.name))
        self._valves = ActuatorFaults(self.faults, self.spec)
        self.sensors = SensorSuite(
            plant, seed, self.faults, self._cameras, self.task, self._maps,
            self.world.stations[self.name].condition.oil_temperature_c,
        )  # fmt: skip
        self._state = self.sensors.measure()

    def read(self) -> MachineState:
        """Return the state measured at the last tick.

        Raises:
            CommandError: it is not connected.
        """
        _ = self._connected
        return self._state

    def write(self, command: JointCommand) -> JointCommand:
        """Set the valves from a VALVE command; return it as sent, whatever a broken valve does.

        Raises:
            CommandError: of another kind, not finite or out of range; the valves stay as they were.
        """
        if command.kind is not CommandKind.VALVE:
            raise CommandError(f"command kind {command.kind.name}; the valves take VALVE")
        plant = self._connected
        plant.write(self._valves.apply(command.ordered(self.spec.joint_names), plant.time))
        return command

    def neutral(self) -> None:
        """Centre all valves."""
        plant = self._connected
        plant.write(self._valves.apply(np.zeros(len(self.spec.joints)), plant.time))

    def advance(self) -> MachineState:
        """Advance the whole world one control period; return the new state."""
        self.world.advance()
        return self._state

    def sense(self) -> None:
        """Measure after a tick of the world."""
        plant = self._connected
        q = plant.q
        if np.any(q < self.spec.q_min - LIMIT_TOLERANCE) or np.any(
            q > self.spec.q_max + LIMIT_TOLERANCE
        ):
            self.limit_violations += 1
        self._state = self.sensors.measure()

    def truth(self) -> GroundTruth:
        """Return where the machine really is."""
        plant = self._connected
        return GroundTruth(
            plant.base_position,
            plant.base_quaternion_wxyz,
            plant.base_velocity,
            plant.tool.points,
            plant.tool_load,
        )

    def close(self) -> None:
        """Centre the valves and let the model go."""
        if self.plant is not None:
            self.neutral()
            self.sensors.close()
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


def robots_of(world: World, cameras: bool = False) -> dict[str, SimRobot]:
    """Return a robot for each of a world's machines, by name."""
    return {name: SimRobot(world=world, name=name, cameras=cameras) for name in world.stations}
