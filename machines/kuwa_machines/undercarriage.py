"""What a machine stands and drives on: tracks or wheels, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kuwa_machines.datafile import Data
from kuwa_machines.units import Length, Ratio, Stiffness


class Tracks(Data):
    """Two tracks flat on the ground at z = 0 of ``link``.

    ``left`` and ``right`` name the joints of their sprockets; without one the track is locked.
    """

    type: Literal["tracks"]
    link: str
    length: Length
    gauge: Length
    shoe_width: Length
    stiffness: Stiffness
    damping_ratio: Ratio
    centre: Length
    """x of the middle of the contact length in the link's frame."""
    sprocket_radius: Length
    left: str | None = None
    right: str | None = None

    @model_validator(mode="after")
    def _positive(self) -> Tracks:
        for key in ("length", "gauge", "shoe_width", "stiffness", "sprocket_radius"):
            if getattr(self, key) <= 0:
                raise ValueError(f"{key} {getattr(self, key)} must be positive")
        return self


class Tyre(Data):
    """A pneumatic tyre; its deflection under load follows from ``stiffness``."""

    diameter: Length
    width: Length
    section_height: Length
    stiffness: Stiffness
    damping_ratio: Ratio

    @model_validator(mode="after")
    def _positive(self) -> Tyre:
        for key in ("diameter", "width", "section_height", "stiffness"):
            if getattr(self, key) <= 0:
                raise ValueError(f"{key} {getattr(self, key)} must be positive")
        return self


class Wheel(Data):
    """A wheel: a link that turns about its own y axis through its origin, and its tyre's name."""

    link: str
    tyre: str


class Wheels(Data):
    """A machine on tyres; ``link`` is its chassis."""

    type: Literal["wheels"]
    link: str
    tyres: dict[str, Tyre]
    wheels: dict[str, Wheel] = Field(min_length=2)

    @model_validator(mode="after")
    def _known(self) -> Wheels:
        for name, wheel in self.wheels.items():
            if wheel.tyre not in self.tyres:
                raise ValueError(
                    f"wheels.{name}.tyre: {wheel.tyre!r} is not among {', '.join(self.tyres)}"
                )
        return self
