"""Scenarios: a machine, a soil, a piece of ground, a task and what counts as success, as data.

Numbers here are choices, not facts, so they carry their unit in the key instead of a source.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.ndimage import gaussian_filter

from kuwa_machines.contracts import Array, Task
from kuwa_machines.datafile import Data, load_data
from kuwa_machines.errors import KuwaError, choices
from kuwa_sim.model import Grid

SCENARIOS = Path(__file__).parents[1] / "scenarios"
MAX_CELLS = 1_000_000


class ScenarioError(KuwaError):
    """A scenario file is wrong, or does not fit the machine."""


class Ground(Data):
    """The piece of ground that is simulated; the machine stands at the origin."""

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


class TaskData(Data):
    """The symbolic goal; see :class:`kuwa_machines.contracts.Task`."""

    kind: str
    x_m: float
    y_m: float
    yaw_deg: float
    length_m: float = Field(gt=0)
    width_m: float = Field(gt=0)
    depth_m: float = Field(gt=0, le=5)
    spoil_x_m: float
    spoil_y_m: float
    tolerance_m: float = Field(gt=0)

    @property
    def task(self) -> Task:
        """The task in SI units."""
        return Task(
            self.kind, self.x_m, self.y_m, math.radians(self.yaw_deg), self.length_m, self.width_m,
            self.depth_m, self.spoil_x_m, self.spoil_y_m, self.tolerance_m,
        )  # fmt: skip


class Randomise(Data):
    """What a seed changes: uniform within ± the bound, or a standard deviation for roughness."""

    roughness_m: float = Field(ge=0, le=0.2)
    roughness_length_m: float = Field(gt=0)
    soil_strength: float = Field(ge=0, lt=1)
    start_rad: float = Field(ge=0, le=0.2)


class Success(Data):
    """Bounds that make a run a success."""

    share_within_tolerance: float = Field(ge=0, le=1)
    limit_violations: int = Field(ge=0)


class Scenario(Data):
    """One scenario file."""

    name: str
    title: str
    machine: str
    soil: str
    duration_s: float = Field(gt=0, le=36_000)
    ground: Ground
    task: TaskData
    randomise: Randomise
    success: Success
    kind: Literal["earthwork"]


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


def rough_ground(grid: Grid, rng: np.random.Generator, std: float, length: float) -> Array:
    """Return smooth random heights of shape (nx, ny) with standard deviation ``std`` [m].

    Args:
        length: correlation length [m].
    """
    noise = gaussian_filter(rng.standard_normal((grid.nx, grid.ny)), length / grid.cell)
    spread = float(noise.std())
    return np.asarray(noise * (std / spread if spread > 0 else 0.0))
