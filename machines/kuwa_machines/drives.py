"""What moves a joint: valves, cylinders, motors and travel drives, as data."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from kuwa_machines.datafile import Data
from kuwa_machines.linkage import FourBar, Triangle
from kuwa_machines.units import (
    Flow,
    Leakage,
    Length,
    MomentOfInertia,
    MotorDisplacement,
    Power,
    Pressure,
    Ratio,
    RotationalViscosity,
    Time,
    Torque,
    Volume,
)


class Pilot(Data):
    """From a command u to a spool or swash plate, in fractions of its stroke.

    u → dead time → dead band → s**curve, s = (|u| − band)/(1 − band) → first-order lag.
    """

    dead_time: Time
    dead_band: Ratio
    curve: Ratio
    time_constant: Time

    @model_validator(mode="after")
    def _plausible(self) -> Pilot:
        if not 0 <= self.dead_band < 0.5:
            raise ValueError(f"dead_band {self.dead_band} must be in [0, 0.5)")
        if not 0 <= self.dead_time <= 2.0:
            raise ValueError(f"dead_time {self.dead_time} s must be in [0, 2]")
        if self.time_constant <= 0 or self.curve < 1:
            raise ValueError("time_constant must be positive and curve at least 1")
        return self


class Valve(Pilot):
    """A proportional directional valve with its pilot circuit.

    ``max_flow_*`` are the flows at full spool in each joint direction.
    """

    max_flow_positive: Flow
    max_flow_negative: Flow

    @model_validator(mode="after")
    def _flows(self) -> Valve:
        if min(self.max_flow_positive, self.max_flow_negative) <= 0:
            raise ValueError("max_flow must be positive in both directions")
        return self


class _OilColumn(Data):
    valve: Valve
    relief: Pressure
    dead_volume: Volume
    """Oil behind each port with the piston at its end; the softness of the oil column."""
    leakage: Leakage
    friction: RotationalViscosity
    damping_time: Time
    """Ratio of the oil column's damping to its stiffness."""


class CylinderDrive(_OilColumn):
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


class MotorDrive(_OilColumn):
    """A hydraulic motor with its reduction; ``displacement`` is per radian of the joint."""

    type: Literal["motor"]
    displacement: MotorDisplacement


class HydrostaticDrive(Data):
    """A closed hydrostatic circuit of its own that turns a sprocket or wheel.

    It gives torque T = T_max (ω_ref − ω)/(droop · ω_max), at most T_max and at most ``power``/|ω|;
    ω_ref is the pilot's output times the joint's velocity. Motors of one ``group`` are in parallel
    on one pump: they share pressure, hence torque, and together take the speed, as wheels behind
    differentials do. At zero command a parking brake holds.
    """

    type: Literal["hydrostatic"]
    valve: Pilot
    torque: Torque
    droop: Ratio
    """Loss of speed at full torque, as a fraction of the joint's velocity: leakage."""
    power: Power
    inertia: MomentOfInertia
    """Of track, gears and motor, seen at the joint."""
    friction: RotationalViscosity
    group: str = ""

    @model_validator(mode="after")
    def _positive(self) -> HydrostaticDrive:
        for key in ("torque", "droop", "power", "inertia"):
            if getattr(self, key) <= 0:
                raise ValueError(f"{key} {getattr(self, key)} must be positive")
        return self


OilDrive = CylinderDrive | MotorDrive
Drive = Annotated[CylinderDrive | MotorDrive | HydrostaticDrive, Field(discriminator="type")]
