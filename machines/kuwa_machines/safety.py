"""What the gate must know of a machine to keep it and others whole, as data.

Every part may be left out: then it follows from the rest of the machine's data, or is not looked
at where nothing else tells. Frames: ``base`` is the undercarriage's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from kuwa_machines.arrays import Array
from kuwa_machines.datafile import Data
from kuwa_machines.hydraulics import LoadSensing
from kuwa_machines.tools import Blade, Bucket, DumpBody
from kuwa_machines.undercarriage import Tracks
from kuwa_machines.units import (
    AngularVelocity,
    CommandJerk,
    Length,
    Point3,
    Pressure,
    Temperature,
    planar_points,
)

if TYPE_CHECKING:
    from kuwa_machines.spec import MachineSpec

JERK = 400.0
"""Of valve commands where a machine has no figure of its own [1/s²]: full slope in 25 ms."""
CLEARANCE = 0.15
STABILITY_MARGIN = 0.15
SOIL_DENSITY = 1800.0
"""Of what a tool is taken to hold where nothing weighs it: wet loam, loose [kg/m³]."""


def _polygon(raw: Any) -> Any:
    return planar_points(raw, "a polygon", "[x, y]")


Polygon = Annotated[tuple[tuple[float, float], ...], BeforeValidator(_polygon)]


class WorkSpace(Data):
    """Where the tool's points may be, in the base frame; a side that is left out is open."""

    radius: Length | None = None
    """From the axis of the first joint of the tool's chain, level."""
    height: Length | None = None
    """Above the ground on which the machine stands."""
    depth: Length | None = None
    """Below it."""
    low: Point3 | None = None
    """Corner of a box: the least x, y, z."""
    high: Point3 | None = None

    @model_validator(mode="after")
    def _room(self) -> WorkSpace:
        for key in ("radius", "height", "depth"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ValueError(f"{key} {value:.4g} m must be positive")
        if self.low and self.high and not np.all(np.less(self.low, self.high)):
            raise ValueError(f"low {self.low} m must be below high {self.high} m")
        return self


class Box(Data):
    """A part of the machine that its own tool must not hit: a box in a link's frame."""

    link: str
    low: Point3
    high: Point3

    @model_validator(mode="after")
    def _ordered(self) -> Box:
        if not np.all(np.less(self.low, self.high)):
            raise ValueError(f"low {self.low} m must be below high {self.high} m")
        return self


class Spot(Data):
    """A point of a link."""

    link: str
    at: Point3


class Safety(Data):
    """Limits and shapes for the gate.

    ``jerk`` is of the valve commands: the greatest growth of their slope. Below
    ``pump_pressure_min`` the pump has failed; ``engine_speed`` is the rated one, below
    ``engine_speed_min`` the engine stalls; below ``oil_cold`` people are told that joints answer
    late. ``support`` is the polygon, in the base frame, on whose edges the machine would tip;
    ``stability_margin`` how far from them the centre of mass must stay. ``boxes`` are parts of the
    machine from which ``tool_points`` keep ``clearance``.
    """

    jerk: CommandJerk | None = Field(default=None, gt=0)
    pump_pressure_min: Pressure | None = Field(default=None, gt=0)
    engine_speed: AngularVelocity | None = Field(default=None, gt=0)
    engine_speed_min: AngularVelocity | None = Field(default=None, gt=0)
    oil_cold: Temperature | None = None
    workspace: WorkSpace = Field(default_factory=WorkSpace)
    support: Polygon | None = None
    stability_margin: Length | None = Field(default=None, ge=0)
    boxes: dict[str, Box] = Field(default_factory=dict)
    tool_points: dict[str, Spot] = Field(default_factory=dict)
    clearance: Length | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _engine(self) -> Safety:
        low, rated = self.engine_speed_min, self.engine_speed
        if low is not None and rated is not None and low >= rated:
            raise ValueError(
                f"engine_speed_min {low:.4g} rad/s must be below engine_speed {rated:.4g} rad/s"
            )
        return self

    def links(self) -> dict[str, str]:
        """Return the links that are named, with the keys that name them."""
        named = {box.link: f"safety.boxes.{name}.link" for name, box in self.boxes.items()}
        return named | {p.link: f"safety.tool_points.{n}.link" for n, p in self.tool_points.items()}


def pump_pressure_min(spec: MachineSpec) -> float:
    """Return the pressure below which the pump has failed [Pa]: half of what it holds at rest."""
    if spec.safety.pump_pressure_min is not None:
        return spec.safety.pump_pressure_min
    h = spec.hydraulics
    return 0.5 * (h.load_sensing_margin if isinstance(h, LoadSensing) else h.control_low)


def support_polygon(spec: MachineSpec) -> Array:
    """Return the corners on whose lines the machine tips, base frame, shape (k, 2) [m].

    Tracks tip over the ends of their contact and over the middles of their shoes, which is on the
    safe side of the shoes' edges; wheels over the lines between them.
    """
    if spec.safety.support is not None:
        return np.array(spec.safety.support)
    under = spec.undercarriage
    if isinstance(under, Tracks):
        x, y = under.length / 2, under.gauge / 2
        c = under.centre
        return np.array([(c - x, -y), (c + x, -y), (c + x, y), (c - x, y)])
    from kuwa_machines.chain import Chain

    at = [
        Chain(spec, wheel.link).place(spec.home, (0.0, 0.0, 0.0)) for wheel in under.wheels.values()
    ]
    return convex_hull(np.array(at)[:, :2])


def tool_points(spec: MachineSpec) -> tuple[str, Array]:
    """Return the tool's link and the points of it that must not hit anything, (k, 3) [m]."""
    tool = spec.tool
    if isinstance(tool, Bucket | DumpBody):
        profile = np.array(tool.profile)
        if isinstance(tool, DumpBody):
            profile = profile[:0]
        y = np.repeat([-tool.width / 2, tool.width / 2], len(profile))
        x, z = np.tile(profile, (2, 1)).T if len(profile) else (np.zeros(0), np.zeros(0))
        return tool.link, np.column_stack([x, y, z])
    if isinstance(tool, Blade):
        x, _, z = tool.edge
        half = tool.width / 2
        return tool.link, np.array(
            [(x, side * half, z + up) for side in (-1, 1) for up in (0.0, tool.height)]
        )
    return tool.link, np.zeros((0, 3))


def heaviest_load(spec: MachineSpec) -> float:
    """Return what the tool is taken to hold where nothing weighs it [kg]."""
    tool = spec.tool
    return tool.heaped_capacity * SOIL_DENSITY if isinstance(tool, Bucket | DumpBody) else 0.0


def load_point(spec: MachineSpec) -> Array:
    """Return where the load's mass is taken to be, in the tool's link, shape (3,) [m]."""
    tool = spec.tool
    if isinstance(tool, Bucket | DumpBody):
        x, z = np.mean(tool.profile, axis=0)
        return np.array([x, 0.0, z])
    return np.zeros(3)


def convex_hull(points: Array) -> Array:
    """Return the corners of the convex hull, anticlockwise, shape (k, 2) (Andrew 1979)."""
    order = sorted({(float(x), float(y)) for x, y in points})

    def half(path: list[tuple[float, float]]) -> list[tuple[float, float]]:
        out: list[tuple[float, float]] = []
        for p in path:
            while len(out) > 1:
                (ax, ay), (bx, by) = out[-2], out[-1]
                if (bx - ax) * (p[1] - ay) - (by - ay) * (p[0] - ax) > 0:
                    break
                out.pop()
            out.append(p)
        return out[:-1]

    return np.array(half(order) + half(order[::-1]))
