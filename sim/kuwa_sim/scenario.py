"""Scenarios: machines, a soil, a piece of ground, tasks and what counts as success, as data.

Numbers here are choices, not facts, so they carry their unit in the key instead of a source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from pydantic import Field, model_validator
from scipy.ndimage import gaussian_filter

from kuwa_machines.contracts import Array
from kuwa_machines.datafile import Data, load_data
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import DumpBody, MachineSpec
from kuwa_sim.condition import Condition
from kuwa_sim.faults import AnyFault
from kuwa_sim.scenery import Grid
from kuwa_sim.score.figures import FIGURES
from kuwa_sim.soil.obstacles import Obstacle
from kuwa_sim.tasks import AnyTask

SCENARIOS = Path(__file__).parents[1] / "scenarios"
MAX_CELLS = 1_000_000


class ScenarioError(KuwaError):
    """A scenario file is wrong, or does not fit the machine."""


class Ground(Data):
    """The piece of ground that is simulated."""

    x_min_m: float
    x_max_m: float
    y_min_m: float
    y_max_m: float
    cell_m: float = Field(gt=0.01, le=0.5)

    @model_validator(mode="after")
    def _sane(self) -> Ground:
        if self.x_min_m >= self.x_max_m or self.y_min_m >= self.y_max_m:
            raise ValueError("x_min_m must be below x_max_m and y_min_m below y_max_m")
        grid = self.grid
        if grid.nx * grid.ny > MAX_CELLS:
            raise ValueError(f"{grid.nx} × {grid.ny} cells; at most {MAX_CELLS}: use larger cells")
        return self

    @property
    def grid(self) -> Grid:
        """The grid of cell centres that covers the ground."""
        nx = round((self.x_max_m - self.x_min_m) / self.cell_m)
        ny = round((self.y_max_m - self.y_min_m) / self.cell_m)
        half = self.cell_m / 2
        return Grid(self.x_min_m + half, self.y_min_m + half, self.cell_m, nx, ny)


class Feature(Data):
    """Something that the ground has before the work begins, added to its height.

    A ``mound`` is a cone of a height with rounded foot; a ``slope`` tilts everything about the
    point (x, y); ``bumps`` are a patch of smooth random heights with a standard deviation.
    """

    shape: Literal["mound", "slope", "bumps"]
    x_m: float = 0.0
    y_m: float = 0.0
    yaw_deg: float = 0.0
    height_m: float = Field(default=0.0, ge=-5, le=5)
    radius_m: float = Field(default=1.0, gt=0)
    rise_percent: float = Field(default=0.0, ge=-60, le=60)

    def heights(self, grid: Grid, rng: np.random.Generator) -> Array:
        """Return what it adds, shape (nx, ny) [m]."""
        dx = grid.x0 + grid.cell * np.arange(grid.nx)[:, None] - self.x_m
        dy = grid.y0 + grid.cell * np.arange(grid.ny)[None, :] - self.y_m
        yaw = math.radians(self.yaw_deg)
        if self.shape == "slope":
            return self.rise_percent / 100 * (math.cos(yaw) * dx + math.sin(yaw) * dy)
        away = np.hypot(dx, dy) / self.radius_m
        if self.shape == "mound":
            return self.height_m * np.clip(1.0 - away, 0.0, 1.0)
        inside = np.clip(1.25 * (1.0 - away), 0.0, 1.0)
        return inside * rough_ground(grid, rng, self.height_m, self.radius_m / 6)


class Buried(Data):
    """A rigid body in the ground; see :class:`kuwa_sim.soil.obstacles.Obstacle`."""

    kind: Literal["ellipsoid", "box"]
    centre_m: tuple[float, float, float]
    half_m: tuple[float, float, float]
    yaw_deg: float = 0.0

    @property
    def obstacle(self) -> Obstacle:
        """The body in SI units."""
        return Obstacle(self.kind, self.centre_m, self.half_m, math.radians(self.yaw_deg))


class Randomise(Data):
    """What a seed changes: uniform within ± the bound, or a standard deviation for roughness.

    ``soil_strength`` is a share of the soil's cohesion.
    """

    roughness_m: float = Field(default=0.0, ge=0, le=0.2)
    roughness_length_m: float = Field(default=0.6, gt=0)
    soil_strength: float = Field(default=0.0, ge=0, lt=1)
    start_rad: float = Field(default=0.0, ge=0, le=0.2)
    start_m: float = Field(default=0.0, ge=0, le=2)


class Bound(Data):
    """What a figure must keep to."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _given(self) -> Bound:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either at_least or at_most")
        return self

    def holds(self, value: float | None) -> bool:
        """Return whether the value keeps to it; no value, no success."""
        if value is None or not math.isfinite(value):
            return False
        return value >= self.at_least if self.at_least is not None else value <= self.at_most  # type: ignore[operator]

    def __str__(self) -> str:
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


Success = dict[str, Bound]
"""Bounds on figures of :mod:`kuwa_sim.score`, by name."""


class Station(Data):
    """A machine of a scenario: where it stands at the start, and what it is to do.

    Without a task it stands where it is. ``condition`` and ``randomise`` change the machine, not
    what is known of it: whoever plans and controls has the numbers of its data file. ``randomise``
    gives shares by pattern, see :func:`kuwa_machines.randomise.randomised`.
    """

    machine: str = ""
    x_m: float = 0.0
    y_m: float = 0.0
    yaw_deg: float = 0.0
    load_m3: float = Field(default=0.0, ge=0)
    """Loose soil in a dump body at the start."""
    condition: Condition = Condition()
    randomise: dict[str, float] = Field(default_factory=dict)
    task: AnyTask | None = None
    success: Success = Field(default_factory=dict)
    faults: tuple[AnyFault, ...] = ()

    @model_validator(mode="after")
    def _measured(self) -> Station:
        known = FIGURES[self.task.family] if self.task else {}
        for name in self.success:
            if name not in known:
                raise ValueError(f"success: {name}: no such figure; {choices(name, known)}")
        return self


class Scenario(Data):
    """One scenario file; the first of its machines leads."""

    name: str
    title: str
    soil: str
    duration_s: float = Field(gt=0, le=36_000)
    ground: Ground
    features: tuple[Feature, ...] = ()
    obstacles: tuple[Buried, ...] = ()
    machines: dict[str, Station] = Field(min_length=1)
    randomise: Randomise = Randomise()

    @model_validator(mode="before")
    @classmethod
    def _named(cls, raw: Any) -> Any:
        """A machine that is not named otherwise has the name of its station."""
        if not isinstance(raw, dict) or not isinstance(raw.get("machines"), dict):
            return raw
        stations = {
            name: {"machine": name} | station if isinstance(station, dict) else station
            for name, station in raw["machines"].items()
        }
        return raw | {"machines": stations}

    @property
    def lead(self) -> Station:
        """The first machine."""
        return next(iter(self.machines.values()))

    def with_machine(self, machine: str | None) -> Scenario:
        """Return the scenario with another lead machine, or itself for None."""
        if machine is None or machine == self.lead.machine:
            return self
        first = next(iter(self.machines))
        other = self.lead.model_copy(update={"machine": machine})
        rest = {name: station for name, station in self.machines.items() if name != first}
        return self.model_copy(update={"machines": {machine: other, **rest}})

    def heights(self, rng: np.random.Generator) -> Array:
        """Return the ground before the work, shape (nx, ny) [m]."""
        change, grid = self.randomise, self.ground.grid
        height = rough_ground(grid, rng, change.roughness_m, change.roughness_length_m)
        for feature in self.features:
            height = height + feature.heights(grid, rng)
        return height


def scenario_names() -> list[str]:
    """Return the names of the scenarios that come with Kuwa."""
    return sorted(file.stem for file in SCENARIOS.glob("*.yaml"))


def load_scenario(name: str) -> Scenario:
    """Load a scenario by name, or from a path that ends in ``.yaml``.

    Raises:
        ScenarioError: naming file, key, value and what would have been right.
    """
    path = Path(name) if name.endswith(".yaml") else SCENARIOS / f"{name}.yaml"
    if not path.is_file():
        raise ScenarioError(f"no scenario {name!r}; {choices(name, scenario_names())}")
    scenario = load_data(path, Scenario, ScenarioError)
    if scenario.name != path.stem:
        raise ScenarioError(f"{path}: name: {scenario.name!r} must equal the file's name")
    return scenario


def check_tools(scenario: Scenario, specs: Mapping[str, MachineSpec]) -> None:
    """Refuse a machine that lacks the tool for its task.

    Raises:
        ScenarioError: naming scenario, machine, task and what the task needs.
    """
    for name, station in scenario.machines.items():
        task, tool = station.task, specs[name].tool
        room = tool.heaped_capacity if isinstance(tool, DumpBody) else 0.0
        if station.load_m3 > room:
            raise ScenarioError(
                f"{scenario.name}: machines.{name}.load_m3: {station.load_m3:g}; the "
                f"{tool.type.replace('_', ' ')} of {specs[name].name!r} holds {room:g} m³"
            )
        if task is not None and not isinstance(tool, task.tool):
            needed = task.tool.model_fields["type"].annotation
            raise ScenarioError(
                f"{scenario.name}: machines.{name}: {specs[name].name!r} works with a "
                f"{tool.type}; its task {task.kind!r} needs a {get_args(needed)[0]}"
            )


def rough_ground(grid: Grid, rng: np.random.Generator, std: float, length: float) -> Array:
    """Return smooth random heights of shape (nx, ny) with standard deviation ``std`` [m].

    Args:
        length: correlation length [m].
    """
    noise = gaussian_filter(rng.standard_normal((grid.nx, grid.ny)), length / grid.cell)
    spread = float(noise.std())
    return np.asarray(noise * (std / spread if spread > 0 else 0.0))
