"""A bucket on a hand-driven path over a terrain, for the tests of the soil."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kuwa_sim.soil import BucketShape, Terrain, load_soil

Array = NDArray[np.float64]

TICK = 0.01
BUCKET = BucketShape(
    np.array([[0.20, 0.05], [0.12, 0.40], [0.45, 0.66], [0.95, 0.60], [1.562, 0.0]]),
    width=1.0,
    heaped=0.8,
    edge_thickness=0.04,
)


def terrain(soil: str = "sandy_loam", cells: int = 120) -> Terrain:
    """Return flat ground about the origin."""
    return Terrain(load_soil(soil), BUCKET, shape=(cells, cells))


def bucket_pose(
    tip: tuple[float, float, float],
    pitch: float,
    yaw: float = 0.0,
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Array:
    """Return the pose array of a bucket; angles in degrees, 90 hangs down with the mouth at -x."""
    p, w = math.radians(pitch), math.radians(yaw)
    out, up = np.array([math.cos(w), math.sin(w), 0.0]), np.array([0.0, 0.0, 1.0])
    x, z = math.cos(p) * out - math.sin(p) * up, math.sin(p) * out + math.cos(p) * up
    return np.concatenate([tip, velocity, np.zeros(3), x, np.cross(z, x), z])


def drive(
    ground: Terrain,
    knots: list[tuple[float, float, float, float, float, float]],
    watch: Callable[[Array], None] | None = None,
) -> None:
    """Lead the bucket through knots (time, x, y, z of the tip, pitch, yaw), a tick at a time."""
    table = np.array(knots)
    for n in range(round(table[-1, 0] / TICK) + 1):
        x, y, z, pitch, yaw = (np.interp(n * TICK, table[:, 0], c) for c in table.T[1:])
        pose = bucket_pose((x, y, z), pitch, yaw)
        ground.tick(pose, TICK)
        if watch is not None:
            watch(pose)


def dig_and_dump(ground: Terrain, depth: float = 0.2) -> None:
    """Cut from x = 1.5 to -0.8 at y = 0, curl, lift, and turn the bucket over at (0, 1.8)."""
    drive(
        ground,
        [
            (0.0, 1.8, 0.0, 0.2, 90, 0),
            (0.5, 1.8, 0.0, 0.0, 90, 0),
            (1.2, 1.5, 0.0, -depth, 105, 0),
            (4.0, -0.5, 0.0, -depth, 125, 0),
            (5.0, -0.8, 0.0, -depth + 0.15, 150, 0),
            (5.5, -0.8, 0.0, 0.6, 172, 0),
            (6.5, 0.0, 1.8, 1.8, 172, 0),
            (8.0, 0.0, 1.8, 1.8, 15, 0),
            (10.0, 0.0, 1.8, 1.8, 15, 0),
        ],
    )
