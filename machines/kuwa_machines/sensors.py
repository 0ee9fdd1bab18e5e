"""What a machine measures, as data: every sensor with its rate, delay and errors.

A sensor that a machine lacks is left out of its file, and so is an error it does not have. Errors
are standard deviations: ``noise`` is white from sample to sample, ``bias`` is drawn once a run and
stays, ``wander`` drifts as a first-order Gauss–Markov process with the time constant
``wander_time``. Readings are rounded to steps of ``quantisation`` in the end.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import Field, model_validator

from kuwa_machines.datafile import Data
from kuwa_machines.units import (
    Acceleration,
    Angle,
    AngularVelocity,
    Force,
    Frequency,
    Length,
    Mass,
    Point3,
    Pressure,
    Ratio,
    Time,
    Velocity,
)

Q = TypeVar("Q")


class Sampled(Data):
    """When a sensor measures, and how late and how surely its readings arrive."""

    rate: Frequency
    delay: Time = 0.0
    """From the instant at which a reading was true until it is there [s]."""
    dropout: Ratio = 0.0
    """Share of the readings that never arrive; the last one stays in force."""

    @model_validator(mode="after")
    def _possible(self) -> Sampled:
        if self.rate <= 0:
            raise ValueError(f"rate {self.rate} Hz must be positive")
        if self.delay < 0:
            raise ValueError(f"delay {self.delay} s must not be negative")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout} must be in [0, 1)")
        return self


class Errors(Data, Generic[Q]):
    """How far readings of one quantity are from the truth."""

    noise: Q
    bias: Q = Field(default=0.0)  # type: ignore[assignment]
    wander: Q = Field(default=0.0)  # type: ignore[assignment]
    wander_time: Time = 0.0
    quantisation: Q = Field(default=0.0)  # type: ignore[assignment]

    @model_validator(mode="after")
    def _possible(self) -> Errors[Q]:
        for name in ("noise", "bias", "wander", "wander_time", "quantisation"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} must not be negative")
        if (self.wander > 0) != (self.wander_time > 0):  # type: ignore[operator]
            raise ValueError("wander and wander_time belong together")
        return self


class Encoders(Sampled):
    """Joint angles and speeds."""

    position: Errors[Angle]
    velocity: Errors[AngularVelocity]


class Pressures(Sampled, Errors[Pressure]):
    """Pressures of the working functions and of the pump; drive torques are computed from them."""


class Imu(Sampled):
    """Attitude, angular rate and specific force of the undercarriage."""

    attitude: Errors[Angle]
    """Roll and pitch."""
    heading: Errors[Angle]
    angular_rate: Errors[AngularVelocity]
    specific_force: Errors[Acceleration]


class Gnss(Sampled):
    """Satellite or total-station positioning of the undercarriage."""

    horizontal: Errors[Length]
    """Per axis."""
    vertical: Errors[Length]
    velocity: Errors[Velocity]


class HeightScan(Sampled):
    """A lidar that maps the ground it can see."""

    link: str
    at: Point3
    """Where it sits in the frame of ``link``."""
    max_range: Length
    resolution: Angle
    """Between neighbouring beams: far and flatly seen ground is not hit in every scan."""
    grazing: Angle
    """Ground that beams meet at a smaller angle than this gives no echo."""
    noise: Length
    bias: Length = 0.0

    @model_validator(mode="after")
    def _sane(self) -> HeightScan:
        if min(self.max_range, self.resolution) <= 0 or min(self.noise, self.bias) < 0:
            raise ValueError("max_range and resolution must be positive, noise and bias not below")
        if not 0 <= self.grazing < 1.5:
            raise ValueError(f"grazing {self.grazing:.3g} rad must be in [0, 1.5)")
        return self


class ToolForce(Sampled, Errors[Force]):
    """Force of the ground on the tool, per axis of the world."""


class ToolLoad(Sampled, Errors[Mass]):
    """Weighing of what the tool holds."""


class Camera(Sampled):
    """A colour camera on a link."""

    link: str
    at: Point3
    target: Point3
    """A point in the frame of ``link`` that the camera looks at."""
    field_of_view: Angle
    """Between the upper and the lower edge of the picture."""
    width: int = Field(ge=16, le=1280)
    height: int = Field(ge=16, le=720)
    noise: Ratio = 0.0
    """Of a pixel, relative to full brightness."""

    @model_validator(mode="after")
    def _sane(self) -> Camera:
        if not 0.05 <= self.field_of_view <= 2.8:
            raise ValueError(f"field_of_view {self.field_of_view:.3g} rad must be in [0.05, 2.8]")
        aside = max(abs(a - b) for a, b in zip(self.at[:2], self.target[:2], strict=True))
        if self.noise < 0 or aside < 1e-6:
            raise ValueError("noise must not be negative, and target not straight above or below")
        return self


class Sensors(Data):
    """What the machine measures."""

    encoders: Encoders
    pressures: Pressures | None = None
    imu: Imu | None = None
    gnss: Gnss | None = None
    terrain: HeightScan | None = None
    tool_force: ToolForce | None = None
    tool_load: ToolLoad | None = None
    cameras: dict[str, Camera] = Field(default_factory=dict)

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the sensors that the machine has, in the order of this class."""
        return tuple(name for name in type(self).model_fields if getattr(self, name))
