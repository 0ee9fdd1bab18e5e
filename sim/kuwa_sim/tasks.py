"""What a machine can be asked to do, as data: one class for each kind, with the keys it needs.

Numbers are choices, not facts, so they carry their unit at the end of the key instead of a source.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import Field, model_validator

from kuwa_machines.contracts import Task
from kuwa_machines.datafile import Data
from kuwa_machines.spec import Blade, Bucket, DumpBody, Plough, SprayerBoom

UNITS: Final[dict[str, Callable[[float], float]]] = {
    "_m": float,
    "_m3": float,
    "_deg": math.radians,
    "_km_h": lambda v: v / 3.6,
    "_percent": lambda v: v / 100.0,
}
"""Ends of keys, and how they come into SI units."""

Positive = Annotated[float, Field(gt=0)]
Depth = Annotated[float, Field(ge=0, le=5)]
Speed = Annotated[float, Field(gt=0, le=30)]
Path = Annotated[tuple[tuple[float, float], ...], Field(min_length=2)]


class TaskData(Data):
    """A task as a scenario has it; ``task`` is the same in SI units.

    Class attributes:
        tool: what the machine must have. family: which figures say how well it was done.
    """

    tool: ClassVar[type[Data]]
    kind: Any
    family: ClassVar[Literal["earthwork", "haul", "guidance"]]

    @property
    def task(self) -> Task:
        """The task in SI units: each key without its unit is the name of a field."""
        values: dict[str, Any] = {}
        for key, value in self.model_dump().items():
            ends = [end for end in UNITS if key.endswith(end)]
            if not ends:
                values[key] = value
                continue
            end = max(ends, key=len)
            name = key.removesuffix(end)
            values[name] = tuple(value) if name == "path" else UNITS[end](value)
        return Task(**values)


class Rectangle(TaskData):
    """A rectangle of ground that is to have a certain shape."""

    family = "earthwork"

    x_m: float
    y_m: float
    yaw_deg: float = 0.0
    length_m: Positive
    width_m: Positive
    depth_m: Depth = 0.0
    tolerance_m: Positive


class Spoil(Rectangle):
    """A rectangle whose soil goes somewhere."""

    spoil_x_m: float
    spoil_y_m: float


class DigTrench(Spoil):
    """Dig a rectangle as wide as the bucket to a level."""

    kind: Literal["dig_trench"]
    tool = Bucket


class Grade(Rectangle):
    """Plane a rectangle with the bucket's edge, flat or on a slope."""

    kind: Literal["grade"]
    tool = Bucket
    slope_percent: float = Field(default=0.0, ge=-60, le=60)


class Dig(Spoil):
    """Dig in a rectangle, swing and dump, until the volume is moved."""

    kind: Literal["dig"]
    tool = Bucket
    volume_m3: Positive


class Load(Spoil):
    """Dig in a rectangle and load a body whose rim is at a height."""

    kind: Literal["load"]
    tool = Bucket
    volume_m3: Positive
    spoil_height_m: Positive


class Level(Rectangle):
    """Level a rectangle with a blade, flat or on a slope."""

    kind: Literal["level"]
    tool = Blade
    slope_percent: float = Field(default=0.0, ge=-30, le=30)
    speed_km_h: Speed = 3.0


class Push(Spoil):
    """Push what lies in a rectangle out of it, towards the spoil's place."""

    kind: Literal["push"]
    tool = Blade
    speed_km_h: Speed = 3.0


class Way(TaskData):
    """A way that is to be driven."""

    path_m: Path
    speed_km_h: Speed

    @model_validator(mode="after")
    def _finite(self) -> Way:
        for k, point in enumerate(self.path_m):
            if not all(map(math.isfinite, point)):
                raise ValueError(f"path_m: point {k + 1} {point} is not finite")
            if k and math.dist(point, self.path_m[k - 1]) < 1e-6:
                raise ValueError(f"path_m: point {k + 1} {point} is the point before it again")
        return self


class Haul(Way):
    """Wait for a load, drive the way, tip at its end, and come back."""

    kind: Literal["haul"]
    tool = DumpBody
    family = "haul"
    volume_m3: Positive


class FieldWork(Way):
    """A way over a field; the work is done inside a rectangle, or all along the way without one."""

    family = "guidance"

    x_m: float = 0.0
    y_m: float = 0.0
    yaw_deg: float = 0.0
    length_m: float = Field(default=0.0, ge=0)
    width_m: float = Field(default=0.0, ge=0)


class PloughField(FieldWork):
    """Plough along a way at a depth."""

    kind: Literal["plough"]
    tool = Plough
    depth_m: Annotated[float, Field(gt=0, le=0.5)]
    tolerance_m: Positive


class Spray(FieldWork):
    """Drive a way with the boom at a height over the ground."""

    kind: Literal["spray"]
    tool = SprayerBoom
    height_m: Annotated[float, Field(gt=0.1, le=3)]
    tolerance_m: Positive


AnyTask = Annotated[
    DigTrench | Grade | Dig | Load | Level | Push | Haul | PloughField | Spray,
    Field(discriminator="kind"),
]

FAMILY: Final[dict[str, str]] = {
    get_args(data.model_fields["kind"].annotation)[0]: data.family
    for data in get_args(get_args(AnyTask)[0])
}
"""Family of each kind of task."""
