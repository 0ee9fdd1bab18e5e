"""The world of a scenario: its site for one seed, advanced for all machines together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import CommandError
from kuwa_machines.overlay import load_machine_as, machine_named_in
from kuwa_machines.randomise import randomised
from kuwa_machines.spec import MachineSpec
from kuwa_sim.condition import apply
from kuwa_sim.mounts import DumpMount
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.scenario import Scenario, ScenarioError, Station, check_tools, load_scenario
from kuwa_sim.site import Placement, Site
from kuwa_sim.soil import SoilParameters, load_soil


class Resident(Protocol):
    """Who is told when the world begins anew and when a tick has passed."""

    def begin(self) -> None:
        """The world stands at time zero."""

    def sense(self) -> None:
        """A control period has passed."""


class World:
    """A scenario's site with its machines.

    Args:
        scenario: a name, a path to a ``.yaml`` file, or a loaded scenario.
        machine: the lead machine's name; the scenario's own if None.
        seed: of everything random.
        specs: machines to use instead of those that the scenario names, by their names on the site.
        parameters: file with numbers in place of those of the machine that it names.

    Raises:
        KuwaError: no such scenario or machine, or a machine lacks the tool for its task.
    """

    control_period = CONTROL_PERIOD

    def __init__(
        self,
        scenario: str | Scenario = "dig_trench",
        machine: str | None = None,
        seed: int = 0,
        specs: Mapping[str, MachineSpec] | None = None,
        parameters: str = "",
    ) -> None:
        loaded = load_scenario(scenario) if isinstance(scenario, str) else scenario
        self.scenario = loaded.with_machine(machine)
        self.stations = self.scenario.machines
        self.specs = specs_of(self.scenario, parameters) | dict(specs or {})
        check_tools(self.scenario, self.specs)
        self._soil_data = load_soil(self.scenario.soil)
        self.seed = seed
        self.residents: dict[str, Resident] = {}
        self.site: Site | None = None

    @property
    def lead(self) -> str:
        """Name of the first machine."""
        return next(iter(self.stations))

    def reset(self, seed: int) -> None:
        """Build the site for a seed and let the machines stand; the same seed, the same bits."""
        self.seed = seed
        rng = np.random.default_rng(seed)
        scenario = self.scenario
        soil = self._soil(rng)
        starts, places = {}, {}
        for name, station in self.stations.items():
            real = randomised(apply(self.specs[name], station.condition), station.randomise, rng)
            starts[name], places[name] = self._start(station, real, rng)
        height = scenario.heights(rng)
        alone = len(places) == 1
        self.site = Site(
            {"" if alone else name: place for name, place in places.items()},
            soil,
            scenario.ground.grid,
            [body.obstacle for body in scenario.obstacles],
        )
        self.site.reset(height, list(starts.values()))
        for plant, station in zip(self.site.plants, self.stations.values(), strict=True):
            if isinstance(plant.tool, DumpMount):
                plant.tool.load(station.load_m3)
        for resident in self.residents.values():
            resident.begin()

    def _soil(self, rng: np.random.Generator) -> SoilParameters:
        change = self.scenario.randomise
        soil = self._soil_data
        strength = 1.0 + change.soil_strength * rng.uniform(-1, 1)
        return soil.model_copy(update={"cohesion": soil.cohesion * strength})

    def _start(
        self, station: Station, spec: MachineSpec, rng: np.random.Generator
    ) -> tuple[Array, Placement]:
        change = self.scenario.randomise
        q = spec.home + change.start_rad * rng.uniform(-1, 1, len(spec.joints))
        x, y = station.x_m, station.y_m
        if change.start_m:
            dx, dy = change.start_m * rng.uniform(-1, 1, 2)
            x, y = x + dx, y + dy
        return q, Placement(spec, x, y, math.radians(station.yaw_deg))

    def plant(self, name: str) -> Plant:
        """Return a machine's plant.

        Raises:
            CommandError: the world was not reset yet.
        """
        return self.running.plants[list(self.stations).index(name)]

    @property
    def running(self) -> Site:
        """The site.

        Raises:
            CommandError: the world was not reset yet.
        """
        if self.site is None:
            raise CommandError("the simulated robot is not connected; call connect() first")
        return self.site

    def advance(self) -> None:
        """Advance one control period."""
        self.running.advance()
        for resident in self.residents.values():
            resident.sense()

    def close(self) -> None:
        """Let the model go."""
        self.site = None


def specs_of(scenario: Scenario, parameters: str = "") -> dict[str, MachineSpec]:
    """Return the machines of a scenario by their names on the site.

    Args:
        parameters: file with numbers in place of those of the machine that it names.

    Raises:
        KuwaError: a machine or the file is wrong, or the file is for none of them.
    """
    machines = {name: station.machine for name, station in scenario.machines.items()}
    named = machine_named_in(Path(parameters)) if parameters else ""
    if parameters and named not in machines.values():
        raise ScenarioError(
            f"{parameters}: machine: {named!r}; {scenario.name} has {', '.join(machines.values())}"
        )
    return {
        name: load_machine_as(machine, parameters if machine == named else "")
        for name, machine in machines.items()
    }
