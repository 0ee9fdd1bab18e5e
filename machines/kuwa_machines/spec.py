"""What a machine is: the model that every ``machine.yaml`` must satisfy, number by number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from kuwa_machines.arrays import Array
from kuwa_machines.datafile import Data, DataFile
from kuwa_machines.drives import (
    CylinderDrive,
    Drive,
    HydrostaticDrive,
    MotorDrive,
    OilDrive,
    Pilot,
    Valve,
)
from kuwa_machines.errors import MachineError, choices
from kuwa_machines.followers import Follower
from kuwa_machines.hydraulics import Hydraulics, LoadSensing, NegativeFlow
from kuwa_machines.safety import Safety
from kuwa_machines.sensors import Sensors
from kuwa_machines.tools import Blade, Bucket, DumpBody, Plough, SprayerBoom, Tool
from kuwa_machines.undercarriage import Tracks, Wheels
from kuwa_machines.units import (
    Angle,
    AngularAcceleration,
    AngularVelocity,
    Mass,
    Point3,
    RotationalStiffness,
    RotationalViscosity,
)

__all__ = [
    "Blade",
    "Bucket",
    "CylinderDrive",
    "DumpBody",
    "HydrostaticDrive",
    "Joint",
    "Link",
    "LoadSensing",
    "MachineSpec",
    "MotorDrive",
    "NegativeFlow",
    "PassiveJoint",
    "Pilot",
    "Plough",
    "SprayerBoom",
    "Tracks",
    "Valve",
    "Wheels",
]

Axis = Literal["x", "y", "z"]


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


class Range(Data):
    """Joint range; ``min`` below ``max``. The word ``endless`` stands for no limits at all."""

    min: Angle
    max: Angle

    @model_validator(mode="wrap")
    @classmethod
    def _endless(cls, raw: Any, handler: ModelWrapValidatorHandler[Range]) -> Range:
        if raw == "endless":
            return cls.model_construct(min=-math.inf, max=math.inf)
        return handler(raw)

    @property
    def bounded(self) -> bool:
        """Whether there are limits."""
        return math.isfinite(self.max)

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.min >= self.max:
            raise ValueError(f"min {self.min:.4g} rad must be below max {self.max:.4g} rad")
        return self


class Joint(Data):
    """A driven joint: where it sits, how far and how fast it may go, what drives it."""

    parent: str
    child: str
    axis: Axis
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
        if self.position.bounded == (self.drive.type == "hydrostatic"):
            raise ValueError("position: a hydrostatic drive's joint is endless, any other is not")
        return self

    @property
    def oil(self) -> OilDrive:
        """The cylinder or motor on the working pump.

        Raises:
            MachineError: the joint has a travel drive of its own.
        """
        if isinstance(self.drive, HydrostaticDrive):
            raise MachineError(
                f"joint from {self.parent} to {self.child} is a {self.drive.type} drive; expected "
                "a cylinder or a motor on the working pump"
            )
        return self.drive


class PassiveJoint(Data):
    """A hinge that nothing drives: a wheel that rolls, a spring, or one led by another joint."""

    parent: str
    child: str
    axis: Axis
    origin: Point3
    position: Range
    stiffness: RotationalStiffness
    damping: RotationalViscosity
    neutral: Angle
    """Where the spring is at rest."""
    follows: Follower | None = None


class MachineSpec(DataFile):
    """A machine, complete: every array below follows ``joint_names``."""

    name: str
    title: str
    kind: str
    model: str
    links: dict[str, Link]
    joints: dict[str, Joint]
    passive_joints: dict[str, PassiveJoint] = Field(default_factory=dict)
    hydraulics: Hydraulics
    tool: Tool
    undercarriage: Annotated[Tracks | Wheels, Field(discriminator="type")]
    sensors: Sensors
    safety: Safety = Field(default_factory=Safety)
    _folder: Path = PrivateAttr(default=Path())
    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> MachineSpec:
        joints: dict[str, Joint | PassiveJoint] = {**self.joints, **self.passive_joints}
        if len(joints) != len(self.joints) + len(self.passive_joints):
            raise ValueError("passive_joints: a name of joints is used again")
        used = {
            name: f"joints.{j}.{end}"
            for j, joint in joints.items()
            for end, name in (("parent", joint.parent), ("child", joint.child))
        }
        used |= {self.tool.link: "tool.link", self.undercarriage.link: "undercarriage.link"}
        if isinstance(self.undercarriage, Wheels):
            used |= {
                w.link: f"undercarriage.wheels.{n}.link"
                for n, w in self.undercarriage.wheels.items()
            }
        if isinstance(self.tool, SprayerBoom):
            used |= {p.link: f"tool.points.{n}.link" for n, p in self.tool.points.items()}
        if self.sensors.terrain:
            used |= {self.sensors.terrain.link: "sensors.terrain.link"}
        used |= {c.link: f"sensors.cameras.{n}.link" for n, c in self.sensors.cameras.items()}
        used |= self.safety.links()
        for link, key in used.items():
            if link not in self.links:
                raise ValueError(f"{key}: no link {link!r}; {choices(link, self.links)}")
        if isinstance(self.hydraulics, NegativeFlow):
            oil = {j for j, joint in self.joints.items() if joint.drive.type != "hydrostatic"}
            if oil != set(self.hydraulics.spools):
                odd = sorted(oil ^ set(self.hydraulics.spools))[0]
                raise ValueError(f"hydraulics.spools: {odd!r} is wrong; {choices(odd, oil)}")
        named = {
            joint.follows.joint: f"passive_joints.{j}.follows.joint"
            for j, joint in self.passive_joints.items()
            if joint.follows
        }
        if isinstance(self.undercarriage, Tracks):
            named |= {
                j: f"undercarriage.{side}"
                for side, j in (
                    ("left", self.undercarriage.left),
                    ("right", self.undercarriage.right),
                )
                if j is not None
            }
        for name, key in named.items():
            if name not in self.joints:
                raise ValueError(f"{key}: no joint {name!r}; {choices(name, self.joints)}")
        return self

    @property
    def bucket(self) -> Bucket:
        """The tool of a machine that digs.

        Raises:
            MachineError: the machine has another tool.
        """
        if not isinstance(self.tool, Bucket):
            raise MachineError(f"{self.name}: its tool is a {self.tool.type}; this needs a bucket")
        return self.tool

    @property
    def folder(self) -> Path:
        """The machine's own folder."""
        return self._folder

    @property
    def raw(self) -> dict[str, Any]:
        """The text that this machine was built from, as parsed; copy it before changing it.

        Raises:
            MachineError: a copy whose numbers were changed by hand has none.
        """
        if not self._raw:
            raise MachineError(f"{self.name}: was changed by hand and has no text to build on")
        return self._raw

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; one with updates has no :attr:`raw`."""
        copy = super().model_copy(update=update, deep=deep)
        if update:
            copy._raw = {}
        return copy

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
