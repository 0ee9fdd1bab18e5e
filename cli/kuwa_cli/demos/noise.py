"""How demonstrations differ from one another: soil, wear, oil, delays and hands, by a seed.

Episode k of a seed depends on these two numbers only: not on how many are recorded, on how many
cores, or on what was recorded before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from kuwa_machines.datafile import Data, parse_data, read_yaml
from kuwa_machines.errors import KuwaError, choices
from kuwa_policies.planning.demonstrator import Hands
from kuwa_sim.scenario import Scenario

FILE = Path(__file__).with_name("noise.yaml")
STREAM = 0xDE40
"""Keeps these numbers apart from others that the same seed gives."""
DEFAULT = "human"

Range = tuple[float, float]


class NoiseError(KuwaError):
    """No such noise, or it makes no sense for this scenario."""


class _Ranges(Data):
    @model_validator(mode="after")
    def _ordered(self) -> _Ranges:
        for name, value in self:
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name}: {value[0]} is above {value[1]}")
        return self


class HandsNoise(_Ranges):
    """Ranges of :class:`kuwa_policies.planning.demonstrator.Hands`."""

    noise: Range = (0.0, 0.0)
    wander: Range = (0.0, 0.0)
    speed: Range = (1.0, 1.0)
    pauses: Range = (0.0, 0.0)
    """Per minute."""
    pause_s: Range = (0.6, 0.6)

    def drawn(self, rng: np.random.Generator) -> Hands:
        """Return one person's hands."""
        value = {name: float(rng.uniform(*bounds)) for name, bounds in self}
        return Hands(
            noise=value["noise"], wander=value["wander"], speed=value["speed"],
            pauses=value["pauses"], pause=value["pause_s"],
        )  # fmt: skip


class Noise(_Ranges):
    """One level; see ``noise.yaml``."""

    soil_strength: float | None = Field(default=None, ge=0, lt=1)
    start_rad: float | None = Field(default=None, ge=0, le=0.2)
    oil_temperature_c: Range | None = None
    working_hours: Range = (0.0, 0.0)
    wear_leakage: Range = (0.0, 0.0)
    wear_dead_band: Range = (0.0, 0.0)
    wear_pump: Range = (0.0, 0.0)
    machine: dict[str, float] = Field(default_factory=dict)
    hands: HandsNoise = HandsNoise()


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one episode is like.

    Args:
        scenario: as it is simulated. seed: of its world. hands: of who drives.
        condition: what was drawn, in words and numbers for the notes.
    """

    scenario: Scenario
    seed: int
    hands: Hands
    condition: dict[str, Any]


def load_noise(name: str) -> Noise:
    """Return a level by its name, or one from a ``.yaml`` that has the keys of a level.

    Raises:
        NoiseError: naming the file, the key and what would be right.
    """
    if name.endswith(".yaml"):
        return parse_data(read_yaml(Path(name), NoiseError), name, Noise, NoiseError)
    levels = read_yaml(FILE, NoiseError)
    if name not in levels:
        raise NoiseError(f"--noise {name}: {choices(name, levels)}; or a .yaml of your own")
    return parse_data(levels[name], f"{FILE.name}: {name}", Noise, NoiseError)


def draw(scenario: Scenario, noise: Noise, seed: int, episode: int) -> Drawn:
    """Return what episode ``episode`` of a seed is like.

    The lead machine's condition is worn beyond what the scenario has; the others stay as they are.

    Raises:
        NoiseError: scenario and noise together are beyond what can be simulated.
    """
    rng = np.random.default_rng([STREAM, seed, episode])
    world = int(rng.integers(2**31))
    lead = next(iter(scenario.machines))
    station, change = scenario.machines[lead], scenario.randomise
    condition = station.condition
    worn: dict[str, float] = {
        name: getattr(condition, name) + float(rng.uniform(*getattr(noise, name)))
        for name in ("working_hours", "wear_leakage", "wear_dead_band", "wear_pump")
    }
    # A scenario that is about the oil keeps its own.
    if noise.oil_temperature_c is not None:
        warm = float(rng.uniform(*noise.oil_temperature_c))
        if condition.oil_temperature_c is None:
            worn["oil_temperature_c"] = warm
    hands = noise.hands.drawn(rng)
    update: dict[str, Any] = {"condition": condition.model_copy(update=worn)}
    update["randomise"] = {**noise.machine, **station.randomise}
    stations = {**scenario.machines, lead: station.model_copy(update=update)}
    ground: dict[str, float] = {}
    if noise.soil_strength is not None:
        ground["soil_strength"] = max(noise.soil_strength, change.soil_strength)
    if noise.start_rad is not None:
        ground["start_rad"] = max(noise.start_rad, change.start_rad)
    varied = scenario.model_copy(
        update={"machines": stations, "randomise": change.model_copy(update=ground)}
    )
    # Numbers were drawn within the bounds of a level, but a scenario adds its own: check the sum.
    where = f"{scenario.name}, made noisy as episode {episode} of seed {seed}"
    checked = parse_data(plain(varied), where, Scenario, NoiseError)
    told = {name: round(value, 6) for name, value in worn.items()}
    return Drawn(checked, world, hands, {**told, **ground, "hands": asdict(hands)})


def plain(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as JSON holds it; ``Scenario.model_validate`` takes it back."""
    values: dict[str, Any] = scenario.model_dump(mode="json", exclude_unset=True)
    return values
