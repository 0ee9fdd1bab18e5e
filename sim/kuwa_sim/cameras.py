"""Where to look from: views that hold given points, and views that go along with a machine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d

from kuwa_machines.contracts import Array

FIELD_OF_VIEW = math.radians(40.0)
"""Of every picture, from top to bottom [rad]."""
ASIDE = math.radians(129.0)
"""A view from ahead and right: so far the view's direction is left of the machine's [rad]."""
DOWN = math.radians(-19.0)
BEHIND = math.radians(33.0)
"""A view from behind and right, as the driver of the next machine has it [rad]."""
SLOW = 2.5
"""A camera that goes along does not follow what is quicker than this [s]."""


@dataclass(frozen=True, slots=True)
class View:
    """A camera that looks at a point.

    Args:
        target: looked at, shape (3,) [m].
        distance: of the camera from it [m].
        azimuth: direction of the view about +z from +x [rad].
        elevation: of the view, negative looking down [rad].
    """

    target: Array
    distance: float
    azimuth: float
    elevation: float


def axes(azimuth: float, elevation: float) -> Array:
    """Return right, up and forward of a view, rows, shape (3, 3)."""
    ca, sa = math.cos(azimuth), math.sin(azimuth)
    ce, se = math.cos(elevation), math.sin(elevation)
    return np.array([(sa, -ca, 0.0), (-ca * se, -sa * se, ce), (ca * ce, sa * ce, se)])


def fitted(
    points: ArrayLike,
    azimuth: float,
    elevation: float = DOWN,
    aspect: float = 16 / 9,
    margin: float = 0.10,
) -> View:
    """Return the nearest view in which all points are seen.

    With the camera at c, a point p is inside when |right · (p − c)| ≤ t (forward · (p − c)) with t
    the tangent of half the field of view: linear in c, so that the nearest c is found directly.

    Args:
        points: shape (k, 3) [m].
        margin: of the picture's half width and height that stays free.
    """
    p = np.asarray(points, dtype=float).reshape(-1, 3)
    turn = axes(azimuth, elevation)
    right, up, ahead = turn @ p.T
    tall = (1.0 - margin) * math.tan(FIELD_OF_VIEW / 2)
    at, back = [], []
    for across, t in ((right, tall * aspect), (up, tall)):
        high, low = float(np.max(across - t * ahead)), float(np.max(-across - t * ahead))
        at.append((high - low) / 2)
        back.append(-(high + low) / (2 * t))
    depth = min(back)
    # Where one side leaves room the points come to the middle of the picture.
    for k, across in enumerate((right, up)):
        for _ in range(8):
            seen = (across - at[k]) / (ahead - depth)
            at[k] += (float(seen.max()) + float(seen.min())) / 2 * float(ahead.mean() - depth)
    middle = float(ahead.mean())
    return View(turn.T @ (at[0], at[1], middle), middle - depth, azimuth, elevation)


def along(
    times: Array, positions: Array, headings: Array, size: float, azimuth: float = BEHIND
) -> tuple[Array, Array]:
    """Return a calm camera's targets and azimuths for each row of a machine's way.

    Args:
        times: evenly spaced, shape (N,) [s].
        positions: of the machine, shape (N, 3) [m]. headings: shape (N,) [rad].
        size: of the machine; the camera looks at its middle height [m].

    Returns:
        targets, shape (N, 3) [m], and azimuths, shape (N,) [rad].
    """
    step = float(times[1] - times[0]) if len(times) > 1 else 1.0
    calm = min(max(SLOW / max(step, 1e-6), 1e-3), len(times))
    targets = gaussian_filter1d(positions, 0.4 * calm, axis=0, mode="nearest")
    targets[:, 2] += 0.12 * size
    turned = gaussian_filter1d(np.unwrap(headings), calm, mode="nearest")
    return targets, turned + azimuth
