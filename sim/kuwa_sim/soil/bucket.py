"""The bucket as a soil tool: its outside as contact points, its inside as a table of what it holds.

Bucket frame: origin at the pin, x towards the cutting edge, z from the mouth out through the shell.
At pitch p (0: bucket straight out, positive curls in) a point (x, z) lies at s = x cos p + z sin p
along the horizontal and at -x sin p + z cos p in height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.layout import (
    N_SHELL,
    SHELL_LENGTH,
    SHELL_NX,
    SHELL_NZ,
    SHELL_X,
    SHELL_Z,
)
from kuwa_sim.soil.parameters import SoilError

if TYPE_CHECKING:
    from kuwa_machines.spec import Bucket

Array = NDArray[np.float64]

N_PITCH = 181
"""Pitches of the table: 0° to 360° in steps of 2°."""
PITCH_STEP = 2 * math.pi / (N_PITCH - 1)
N_DAM = 9
"""Heights of the ground in front of the edge in the table, 0 to 0.8 m."""
DAM_STEP = 0.1
N_CAPACITY = N_DAM + 4
"""Columns: capacity by dam; then full centre (x, z) and lowest inside point (x, z)."""
COLUMNS = 240
_TABLES: dict[tuple[bytes, float, float, float], Array] = {}


@dataclass(frozen=True)
class BucketShape:
    """Geometry of a bucket.

    Args:
        profile: side view from the upper lip over back and heel to the cutting edge ("tip"), shape
            (n, 2), n >= 3, x and z in the bucket frame [m]; the mouth closes it.
        width: of the cutting edge [m].
        heaped: volume it can hold at most, loose [m³].
        edge_thickness: width of the strip that the edge presses into the ground [m].
    """

    profile: Array
    width: float
    heaped: float
    edge_thickness: float

    def __post_init__(self) -> None:
        """Refuse a profile that is no bucket."""
        profile = np.asarray(self.profile, dtype=np.float64)
        object.__setattr__(self, "profile", profile)
        if profile.ndim != 2 or profile.shape[1] != 2 or len(profile) < 3:
            raise SoilError(
                f"bucket profile has shape {profile.shape}; expected (n, 2) with n >= 3"
            )
        if not np.all(np.isfinite(profile)):
            raise SoilError("bucket profile is not finite")
        for name in ("width", "heaped", "edge_thickness"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise SoilError(f"bucket {name} is {value}; expected a positive number")
        lip, tip = profile[0], profile[-1]
        if tip[0] - lip[0] <= 0.0 or np.any(profile[1:-1, 1] <= 0.0):
            raise SoilError(
                "bucket profile must run from the upper lip near the pin to the edge at larger x, "
                "with the shell between them on the side z > 0"
            )
        if self.heaped < 0.5 * self.struck or self.heaped > 2.5 * self.struck:
            raise SoilError(
                f"bucket heaped capacity {self.heaped:.3f} m³ does not fit its profile and width, "
                f"which hold {self.struck:.3f} m³ struck"
            )

    @classmethod
    def from_spec(cls, tool: Bucket) -> Self:
        """Return the shape of a machine's ``tool``."""
        return cls(np.array(tool.profile), tool.width, tool.heaped_capacity, tool.edge_thickness)

    @property
    def area(self) -> float:
        """Of the side view between shell and mouth [m²]."""
        x, z = self.profile.T
        return 0.5 * abs(float(np.dot(x, np.roll(z, 1)) - np.dot(z, np.roll(x, 1))))

    @property
    def struck(self) -> float:
        """Volume up to the mouth, loose [m³]."""
        return self.area * self.width

    @property
    def tip(self) -> Array:
        """Cutting edge, shape (2,) [m]."""
        return self.profile[-1]

    @property
    def floor(self) -> Array:
        """Unit vector from the tip to the heel, shape (2,)."""
        along = self.profile[-2] - self.profile[-1]
        return along / np.linalg.norm(along)

    @property
    def inward(self) -> Array:
        """Unit vector into the bucket, square to the mouth, shape (2,)."""
        mouth = self.profile[0] - self.profile[-1]
        normal = np.array([mouth[1], -mouth[0]]) / np.linalg.norm(mouth)
        return normal if normal[1] > 0 else -normal

    def contact_points(self) -> Array:
        """Return the shell's contact points, shape (n - 1, N_SHELL): floor's middle, then corners.

        Corners between the upper lip and the tip carry half of each side they join, the middle of
        the floor the middle half of the floor; normals are the mean of the sides' outward ones.
        """
        points = self.profile[::-1] - self.tip
        sides = np.diff(points, axis=0)
        lengths = np.linalg.norm(sides, axis=1)
        normals = np.stack([-sides[:, 1], sides[:, 0]], axis=1) / lengths[:, None]
        if normals[0] @ (points.mean(axis=0) - points[0]) > 0:
            normals = -normals
        rows = np.zeros((len(points) - 1, N_SHELL))
        middle = 0.5 * (points[0] + points[1])
        rows[0, [SHELL_X, SHELL_Z]] = middle
        rows[0, [SHELL_NX, SHELL_NZ]] = normals[0]
        rows[0, SHELL_LENGTH] = 0.5 * lengths[0]
        for k in range(1, len(points) - 1):
            mean = normals[k - 1] + normals[k]
            rows[k, [SHELL_X, SHELL_Z]] = points[k]
            rows[k, [SHELL_NX, SHELL_NZ]] = mean / np.linalg.norm(mean)
            before = 0.25 * lengths[0] if k == 1 else 0.5 * lengths[k - 1]
            rows[k, SHELL_LENGTH] = before + 0.5 * lengths[k]
        return rows

    def outline(self) -> Array:
        """Return the shell from the tip to the upper lip, relative to the tip, shape (n, 2) [m]."""
        return np.ascontiguousarray(self.profile[::-1] - self.tip)

    def capacity_table(self, repose: float) -> Array:
        """Return what the bucket holds at every pitch, shape (N_PITCH, N_CAPACITY), loose [m³].

        In each vertical column of the side view soil rests on the shell, never on the mouth, and
        rises no higher than a slope of ``repose`` [rad] that starts at either lip. In front of the
        edge the ground may stand higher than the edge and dam the soil up: one column of the table
        for every height of this dam.
        """
        # Kept, because every reset of a site asks for it again.
        key = (self.profile.tobytes(), self.width, self.heaped, repose)
        if key not in _TABLES:
            table = np.empty((N_PITCH, N_CAPACITY))
            for k in range(N_PITCH):
                self._fill_row(table[k], k * PITCH_STEP, math.tan(repose))
            _TABLES[key] = table
        return _TABLES[key].copy()

    def _fill_row(self, row: Array, pitch: float, slope: float) -> None:
        cos, sin = math.cos(pitch), math.sin(pitch)
        s = self.profile[:, 0] * cos + self.profile[:, 1] * sin
        z = -self.profile[:, 0] * sin + self.profile[:, 1] * cos
        n = len(s)
        columns = s.min() + (np.arange(COLUMNS) + 0.5) * (s.max() - s.min()) / COLUMNS
        step = columns[1] - columns[0]
        crossing = np.full((n, COLUMNS), np.inf)
        for e in range(n):  # the last edge, from the tip back to the upper lip, is the mouth
            a, b = e, (e + 1) % n
            if s[a] == s[b]:
                continue
            u = (columns - s[a]) / (s[b] - s[a])
            hit = (u >= 0.0) & (u < 1.0)
            crossing[e, hit] = z[a] + u[hit] * (z[b] - z[a])
        order = np.argsort(crossing, axis=0, kind="stable")
        level = np.take_along_axis(crossing, order, axis=0)
        for dam in range(N_DAM):
            roof = np.minimum(
                z[-1] + dam * DAM_STEP + slope * np.abs(columns - s[-1]),
                z[0] + slope * np.abs(columns - s[0]),
            )
            area = moment_s = moment_z = 0.0
            for pair in range(0, n - 1, 2):
                low, high = level[pair], level[pair + 1]
                held = np.isfinite(high) & (order[pair] != n - 1)
                top = np.where(order[pair + 1] == n - 1, roof, np.minimum(roof, high))
                bottom = np.where(held, low, 0.0)
                depth = np.where(held, np.maximum(top - bottom, 0.0), 0.0) * step
                area += float(depth.sum())
                moment_s += float((depth * columns).sum())
                moment_z += float((depth * (bottom + 0.5 * depth / step)).sum())
            row[dam] = min(area * self.width, self.heaped)
        if area > 1e-6:
            cs, cz = moment_s / area, moment_z / area
        else:
            cs, cz = float(s.mean()), float(z.mean())
        lowest = int(np.argmin(z[1:])) + 1 if area > 1e-6 else -1
        ls, lz = (float(s[lowest]), float(z[lowest])) if lowest >= 0 else (cs, cz)
        row[N_DAM:] = (
            cs * cos - cz * sin,
            cs * sin + cz * cos,
            ls * cos - lz * sin,
            ls * sin + lz * cos,
        )


@njit(cache=True)
def capacity_at(table: Array, pitch: float, dam: float) -> float:
    """Return the capacity at a pitch [rad] behind a dam of this height [m], as in ``table``."""
    x = (pitch % (2 * math.pi)) / PITCH_STEP
    k = min(int(x), N_PITCH - 2)
    u = x - k
    y = min(max(dam / DAM_STEP, 0.0), N_DAM - 1.0)
    m = min(int(y), N_DAM - 2)
    v = y - m
    low = (1 - u) * table[k, m] + u * table[k + 1, m]
    high = (1 - u) * table[k, m + 1] + u * table[k + 1, m + 1]
    return (1 - v) * low + v * high


@njit(cache=True)
def centre_at(table: Array, pitch: float, fill: float) -> tuple[float, float]:
    """Return the load's centre (x, z) in the bucket frame [m]; it rises as the root of the fill.

    Exact when full, and when empty; between them soil in a corner grows in height as the root of
    its area.
    """
    x = (pitch % (2 * math.pi)) / PITCH_STEP
    k = min(int(x), N_PITCH - 2)
    u = x - k
    root = math.sqrt(min(max(fill, 0.0), 1.0))
    full_x = (1 - u) * table[k, N_DAM] + u * table[k + 1, N_DAM]
    full_z = (1 - u) * table[k, N_DAM + 1] + u * table[k + 1, N_DAM + 1]
    low_x = (1 - u) * table[k, N_DAM + 2] + u * table[k + 1, N_DAM + 2]
    low_z = (1 - u) * table[k, N_DAM + 3] + u * table[k + 1, N_DAM + 3]
    return low_x + root * (full_x - low_x), low_z + root * (full_z - low_z)
