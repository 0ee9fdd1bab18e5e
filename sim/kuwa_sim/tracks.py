"""Standing on soil: elastic contact of the tracks with the height field, with sticking friction.

MuJoCo's own height-field contact costs ten times the rest of a step, so the undercarriage stands
on a few points whose normal force is a spring and damper against the interpolated ground and whose
tangential force is a spring anchored to the ground that slides where it exceeds Coulomb friction.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from kuwa_machines.spec import MachineSpec
from kuwa_sim.soil import surface_height

POINTS_PER_TRACK = 6

# Entries of the parameter array.
STIFFNESS, DAMPING, FRICTION = range(3)


class TrackContact:
    """Contact points of two tracks, stepped in place.

    Args:
        spec: the machine; its weight is shared equally by the points at rest.
    """

    def __init__(self, spec: MachineSpec) -> None:
        tracks = spec.tracks
        along = np.linspace(-tracks.length / 2, tracks.length / 2, POINTS_PER_TRACK)
        self.points = np.array(
            [(x, side * tracks.gauge / 2, 0.0) for side in (-1, 1) for x in along]
        )
        """Contact points in the track link's frame, shape (m, 3) [m]."""
        count = len(self.points)
        mass = sum(link.mass for link in spec.links.values())
        k = tracks.stiffness / count
        c = 2 * tracks.damping_ratio * math.sqrt(k * mass / count)
        self.parameters = np.array([k, c, tracks.friction])
        self.anchors = np.full((count, 2), np.nan)
        """Where each point sticks to the ground in world x, y; NaN in the air."""

    def reset(self) -> None:
        """Forget where the points stuck."""
        self.anchors[:] = np.nan

    @property
    def weight_sinkage_per_newton(self) -> float:
        """Elastic sinkage of the whole undercarriage per newton of weight [m/N]."""
        return 1.0 / float(self.parameters[STIFFNESS] * len(self.points))


@njit(cache=True)
def track_forces(points, anchors, p, position, rotation, v, w, com, height, grid, wrench):  # type: ignore[no-untyped-def]
    """Write force and torque of the ground on the undercarriage into ``wrench``.

    Args:
        points, anchors, p: arrays of a TrackContact.
        position, rotation: pose of the track link in the world, shapes (3,), (9,).
        v, w: its linear velocity at ``position`` and angular velocity in the world, shape (3,).
        com: its centre of mass in the world, about which the torque is taken, shape (3,).
        height, grid: the ground and its grid parameters (``terrain.height``, ``terrain.prm``).
        wrench: force then torque in the world, shape (6,) [N], [N·m].
    """
    wrench[:] = 0.0
    for m in range(points.shape[0]):
        px, py, pz = points[m, 0], points[m, 1], points[m, 2]
        rx = rotation[0] * px + rotation[1] * py + rotation[2] * pz
        ry = rotation[3] * px + rotation[4] * py + rotation[5] * pz
        rz = rotation[6] * px + rotation[7] * py + rotation[8] * pz
        x, y = position[0] + rx, position[1] + ry
        depth = surface_height(height, grid, x, y) - (position[2] + rz)
        if depth <= 0.0:
            anchors[m, 0] = math.nan
            continue
        vx = v[0] + w[1] * rz - w[2] * ry
        vy = v[1] + w[2] * rx - w[0] * rz
        vz = v[2] + w[0] * ry - w[1] * rx
        normal = max(p[STIFFNESS] * depth - p[DAMPING] * vz, 0.0)
        if math.isnan(anchors[m, 0]):
            anchors[m, 0] = x
            anchors[m, 1] = y
        fx = p[STIFFNESS] * (anchors[m, 0] - x) - p[DAMPING] * vx
        fy = p[STIFFNESS] * (anchors[m, 1] - y) - p[DAMPING] * vy
        size = math.hypot(fx, fy)
        if size > p[FRICTION] * normal:
            fx *= p[FRICTION] * normal / size
            fy *= p[FRICTION] * normal / size
            anchors[m, 0] = x + (fx + p[DAMPING] * vx) / p[STIFFNESS]
            anchors[m, 1] = y + (fy + p[DAMPING] * vy) / p[STIFFNESS]
        ax, ay, az = x - com[0], y - com[1], position[2] + rz - com[2]
        wrench[0] += fx
        wrench[1] += fy
        wrench[2] += normal
        wrench[3] += ay * normal - az * fy
        wrench[4] += az * fx - ax * normal
        wrench[5] += ax * fy - ay * fx
