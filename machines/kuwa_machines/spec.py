"""What a machine is: the model that every ``machine.yaml`` must satisfy, number by number."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, PrivateAttr, model_validator

from kuwa_machines.contracts import Array
from kuwa_machines.datafile import Data, DataFile
from kuwa_machines.errors import choices
from kuwa_machines.linkage import FourBar, Triangle
from kuwa_machines.units import (
    Angle,
    AngularAcceleration,
    AngularVelocity,
    Flow,
    Frequency,
    Leakage,
    Length,
    Mass,
    MotorDisplacement,
    Point3,
    Power,
    Pressure,
    Ratio,
    RotationalViscosity,
    Stiffness,
    Time,
    Volume,
)


def _polyline(raw: Any) -> Any:
    if not isinstance(raw, dict) or set(raw) != {"value", "unit", "source"}:
        raise ValueError("expected {value: [[x, z], …], unit: m, source: …}")
    if raw["unit"] != "m":
        raise ValueError(f"unit {raw['unit']!r} is not valid here; valid: m")
    points = tuple(tuple(float(v) for v in point) for point in raw["value"])
    if len(points) < 3 or any(len(point) != 2 for point in points):
        raise ValueError("a profile needs at least three points [x, z]")
    if not np.all(np.isfinite(points)):
        raise ValueError("a profile's points must be finite")
    return points


Polyline = Annotated[tuple[tuple[float, float], ...], BeforeValidator(_polyline)]


class Link(Data):
    """A rigid body. ``size`` is the box whose inertia the link has, about its centre of mass."""

    mass: Mass
    com: Point3
    size: Point3

    @model_validator(mode="after")
    def _positive(self) -> Link:
        if self.mass <= 0:
            raise ValueError(f"mass {self.mass} kg must be positive")
        if min(self.size) <= 0:
            raise ValueError(f"size {self.size} m must be positive in every direction")
        return self

    @property
    def inertia(self) -> tuple[float, float, float]:
        """Principal moments of a solid box of ``size`` [kg·m²]."""
        x, y, z = (side**2 for side in self.size)
        return (self.mass / 12 * (y + z), self.mass / 12 * (x + z), self.mass / 12 * (x + y))


class Valve(Data):
    """A proportional directional valve with its pilot circuit.

    Spool command u → dead time → dead band → flow = max_flow · s**curve, s = (|u| − band)/(1 −
    band) → first-order lag. ``max_flow_*`` are the flows at full spool in each joint direction.
    """

    dead_time: Time
    dead_band: Ratio
    curve: Ratio
    time_constant: Time
    max_flow_positive: Flow
    max_flow_negative: Flow

    @model_validator(mode="after")
    def _plausible(self) -> Valve:
        if not 0 <= self.dead_band < 0.5:
            raise ValueError(f"dead_band {self.dead_band} must be in [0, 0.5)")
        if not 0 <= self.dead_time <= 2.0:
            raise ValueError(f"dead_time {self.dead_time} s must be in [0, 2]")
        if self.time_constant <= 0 or self.curve < 1:
            raise ValueError("time_constant must be positive and curve at least 1")
        if min(self.max_flow_positive, self.max_flow_negative) <= 0:
            raise ValueError("max_flow must be positive in both directions")
        return self


class _Drive(Data):
    valve: Valve
    relief: Pressure
    dead_volume: Volume
    """Oil behind each port with the piston at its end; the softness of the oil column."""
    leakage: Leakage
    friction: RotationalViscosity
    damping_time: Time
    """Of the oil column: damping force = stiffness · damping_time · velocity difference."""


class CylinderDrive(_Drive):
    """One or more equal cylinders that move a joint through a linkage."""

    type: Literal["cylinder"]
    count: int = Field(ge=1, le=4)
    bore: Length
    rod: Length
    linkage: Annotated[Triangle | FourBar, Field(discriminator="type")]

    @model_validator(mode="after")
    def _rod_fits(self) -> CylinderDrive:
        if not 0 < self.rod < self.bore:
            raise ValueError(f"rod {self.rod} m must be positive and below bore {self.bore} m")
        return self

    @property
    def head_area(self) -> float:
        """Piston area on the head side, all cylinders [m²]."""
        return self.count * math.pi / 4 * self.bore**2

    @property
    def rod_area(self) -> float:
        """Annulus on the rod side, all cylinders [m²]."""
        return self.count * math.pi / 4 * (self.bore**2 - self.rod**2)


class MotorDrive(_Drive):
    """A hydraulic motor with its reduction; ``displacement`` is per radian of the joint."""

    type: Literal["motor"]
    displacement: MotorDisplacement


Drive = Annotated[CylinderDrive | MotorDrive, Field(discriminator="type")]


class Range(Data):
    """Joint range; ``min`` below ``max``."""

    min: Angle
    max: Angle

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.min >= self.max:
            raise ValueError(f"min {self.min:.4g} rad must be below max {self.max:.4g} rad")
        return self


class Joint(Data):
    """A driven joint: where it sits, how far and how fast it may go, what drives it."""

    parent: str
    child: str
    axis: Literal["y", "z"]
    origin: Point3
    position: Range
    velocity: AngularVelocity
    acceleration: AngularAcceleration
    home: Angle
    drive: Drive

    @model_validator(mode="after")
    def _plausible(self) -> Joint:
        if self.velocity <= 0 or self.acceleration <= 0:
            raise ValueError("velocity and acceleration limits must be positive")
        if not self.position.min <= self.home <= self.position.max:
            raise ValueError(f"home {self.home:.4g} rad is outside the joint's range")
        return self


class Hydraulics(Data):
    """The pump and the oil that all functions share."""

    pump_flow: Flow
    pump_power: Power
    pump_relief: Pressure
    load_sensing_margin: Pressure
    tank_pressure: Pressure
    bulk_modulus: Pressure
    engine_efficiency: Ratio


class Bucket(Data):
    """A bucket as a soil tool, in its link's frame: x from pin to cutting edge, z outward.

    ``profile`` runs from the upper lip over the back and the heel to the cutting edge; the mouth
    is the line from the last point back to the first.
    """

    type: Literal["bucket"]
    link: str
    width: Length
    heaped_capacity: Volume
    edge_thickness: Length
    profile: Polyline


class Tracks(Data):
    """Contact of the undercarriage with the ground."""

    link: str
    length: Length
    gauge: Length
    shoe_width: Length
    stiffness: Stiffness
    damping_ratio: Ratio
    friction: Ratio


class Encoder(Data):
    """Joint position and velocity measurement."""

    rate: Frequency
    noise: Angle
    velocity_noise: AngularVelocity


class HeightScan(Data):
    """Terrain heights as a perception system delivers them."""

    rate: Frequency
    noise: Length


class Sensors(Data):
    """What the machine measures."""

    encoders: Encoder
    terrain: HeightScan


class MachineSpec(DataFile):
    """A machine, complete: every array below follows ``joint_names``."""

    name: str
    title: str
    kind: Literal["excavator"]
    model: str
    links: dict[str, Link]
    joints: dict[str, Joint]
    hydraulics: Hydraulics
    tool: Bucket
    tracks: Tracks
    sensors: Sensors
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _consistent(self) -> MachineSpec:
        used = {
            name: f"joints.{j}.{end}"
            for j, joint in self.joints.items()
            for end, name in (("parent", joint.parent), ("child", joint.child))
        }
        used |= {self.tool.link: "tool.link", self.tracks.link: "tracks.link"}
        for link, key in used.items():
            if link not in self.links:
                raise ValueError(f"{key}: no link {link!r}; {choices(link, self.links)}")
        return self

    @property
    def folder(self) -> Path:
        """The machine's own folder."""
        return self._folder

    @property
    def model_path(self) -> Path:
        """The MuJoCo model of the machine."""
        return self._folder / self.model

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """Joint names in the order of the file; the order of every array."""
        return tuple(self.joints)

    @cached_property
    def q_min(self) -> Array:
        """Lower position limits, shape (n,) [rad]."""
        return np.array([j.position.min for j in self.joints.values()])

    @cached_property
    def q_max(self) -> Array:
        """Upper position limits, shape (n,) [rad]."""
        return np.array([j.position.max for j in self.joints.values()])

    @cached_property
    def qd_max(self) -> Array:
        """Velocity limits, shape (n,) [rad/s]."""
        return np.array([j.velocity for j in self.joints.values()])

    @cached_property
    def qdd_max(self) -> Array:
        """Acceleration limits, shape (n,) [rad/s²]."""
        return np.array([j.acceleration for j in self.joints.values()])

    @cached_property
    def home(self) -> Array:
        """Joint positions at rest, shape (n,) [rad]."""
        return np.array([j.home for j in self.joints.values()])

    @cached_property
    def dead_time(self) -> Array:
        """Command dead times, shape (n,) [s]."""
        return np.array([j.drive.valve.dead_time for j in self.joints.values()])
