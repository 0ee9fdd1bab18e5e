"""What a machine works with: bucket, blade, dump body, plough or sprayer boom, as data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from kuwa_machines.datafile import Data
from kuwa_machines.units import Angle, Length, Point3, Ratio, Volume, planar_points


def _polyline(raw: Any) -> Any:
    return planar_points(raw, "a profile", "[x, z]")


Polyline = Annotated[tuple[tuple[float, float], ...], BeforeValidator(_polyline)]


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


class Blade(Data):
    """A dozer blade; its link's frame has x forward and z up when the blade stands straight.

    ``edge`` is the middle of the cutting edge, ``rake`` the angle of the blade's lower face
    against the ground ahead.
    """

    type: Literal["blade"]
    link: str
    width: Length
    height: Length
    edge: Point3
    rake: Angle
    edge_thickness: Length

    @model_validator(mode="after")
    def _possible(self) -> Blade:
        if not 0.2 <= self.rake <= 1.6:
            raise ValueError(f"rake {self.rake:.3g} rad must be in [0.2, 1.6]")
        if min(self.width, self.height, self.edge_thickness) <= 0:
            raise ValueError("width, height and edge_thickness must be positive")
        return self


class DumpBody(Data):
    """A tipping body, in its link's frame: x forward, z up; it empties over its rear edge.

    ``profile`` is the inside seen from the left, from the top of the front wall over the floor to
    the rear edge.
    """

    type: Literal["dump_body"]
    link: str
    width: Length
    heaped_capacity: Volume
    profile: Polyline


class Plough(Data):
    """A mouldboard plough that turns to the right; its link's frame has x forward, z up.

    Body k has its share's point at ``first`` − k (``spacing``, 0, 0) + k (0, ``cut_width``, 0).
    Draft follows ASABE D497: D = F_i (A + B S + C S²) W T [N], S [km/h], W [m], T [cm].
    """

    type: Literal["plough"]
    link: str
    bodies: int = Field(ge=1, le=12)
    cut_width: Length
    spacing: Length
    first: Point3
    draft_a: Ratio
    draft_b: Ratio
    draft_c: Ratio
    texture_fine: Ratio
    texture_medium: Ratio
    texture_coarse: Ratio
    side_share: Ratio
    """Greatest sideways force of the ground over the draft, where the plough drifts sideways."""
    side_angle: Angle
    """Angle of drift at which three quarters of that force are reached."""
    suction_share: Ratio
    """Downward force over the draft."""


class Tip(Data):
    """A point of a link."""

    link: str
    at: Point3


class SprayerBoom(Data):
    """A spraying boom; ``points`` are where its height above the ground counts."""

    type: Literal["sprayer_boom"]
    link: str
    width: Length
    nozzle_spacing: Length
    points: dict[str, Tip] = Field(min_length=2)


Tool = Annotated[Bucket | Blade | DumpBody | Plough | SprayerBoom, Field(discriminator="type")]
