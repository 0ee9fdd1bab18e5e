"""Zones that no part of the machine may enter: a site's file.

    clearance_m: 0.5
    zones:
      street: {frame: map, polygon_m: [[8, -3], [12, -3], [12, 3], [8, 3]], z_max_m: 6}

Numbers are choices of a site, so they carry their unit in the key. ``map`` is the frame of the
machine's positioning, ``base`` moves with its undercarriage.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kuwa_hardware.kernels.postures import FAR, N_ZONE
from kuwa_machines.arrays import Array
from kuwa_machines.datafile import Data, load_data
from kuwa_machines.errors import KuwaError

Metres = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]


class ZoneError(KuwaError):
    """A file of zones is wrong."""


class Zone(Data):
    """A polygon between two heights."""

    frame: Literal["map", "base"] = "map"
    polygon_m: tuple[tuple[Metres, Metres], ...] = Field(min_length=3, max_length=64)
    z_min_m: Metres = -FAR
    z_max_m: Metres = FAR


class SiteFile(Data):
    """All zones of a site."""

    clearance_m: Annotated[float, Field(ge=0.1, le=10.0)] = 0.5
    zones: dict[str, Zone] = Field(default_factory=dict, max_length=64)


class KeepOut:
    """Zones by name.

    Args:
        zones: by name. clearance: that every part of the machine keeps from them [m].
    """

    def __init__(self, zones: dict[str, Zone], clearance: float = 0.5) -> None:
        self.zones = dict(zones)
        self.clearance = clearance

    @classmethod
    def load(cls, path: Path) -> KeepOut:
        """Read a site's file.

        Raises:
            ZoneError: naming file, key, value and what would have been right.
        """
        file = load_data(path, SiteFile, ZoneError)
        for name, zone in file.zones.items():
            if zone.z_min_m >= zone.z_max_m:
                raise ZoneError(
                    f"{path}: zones.{name}: z_min_m {zone.z_min_m:g} must be below z_max_m "
                    f"{zone.z_max_m:g}"
                )
            if math.isclose(_area(zone.polygon_m), 0.0, abs_tol=1e-6):
                raise ZoneError(f"{path}: zones.{name}: polygon_m has no area")
        return cls(file.zones, file.clearance_m)

    def arrays(self) -> tuple[Array, Array]:
        """Return zones (z, 9) and their edges (e, 4); see :mod:`kuwa_hardware.kernels.postures`."""
        rows: list[tuple[float, ...]] = []
        edges: list[tuple[float, ...]] = []
        for zone in self.zones.values():
            first = len(edges)
            corners = [p for k, p in enumerate(zone.polygon_m) if p != zone.polygon_m[k - 1]]
            for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
                edges.append((*a, *b))
            x, y = np.array(zone.polygon_m).T
            heights = (zone.z_min_m, zone.z_max_m, zone.frame == "map")
            rows.append((first, len(edges), *heights, x.min(), x.max(), y.min(), y.max()))
        return (
            np.array(rows, dtype=float).reshape(-1, N_ZONE),
            np.array(edges, dtype=float).reshape(-1, 4),
        )


def _area(polygon: tuple[tuple[float, float], ...]) -> float:
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return 0.5 * abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs))
