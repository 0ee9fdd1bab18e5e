"""Deformable ground and the tools that work it: numpy arrays and numba kernels, no MuJoCo.

Two rates. Every physics step a tool's *contact* turns its motion into a wrench; every tick the
tools move soil (cut, push, fill, spill) and then the *ground* is levelled to its angle of repose::

    ground = Ground(load_soil("loam"), (nx, ny), cell, centre)   # owns the fields
    tool = BucketTool(ground, BucketShape(...))                  # any number of tools on it
    ground.reset(seed=0, height=0.0)                             # flat, or an (nx, ny) array
    for each tick:
        for each physics step:
            tool_forces(*tool.force_args, pose, out)             # njit
        bucket_tick(*tool.tick_args, pose, tick)                 # njit, for each tool
        ground.level()

``pose``, shape (18,), world frame, of the middle of the cutting edge ("tip") and the bucket body:

    ======  ==========================================================================
    0:3     tip position [m]
    3:6     tip velocity [m/s]
    6:9     angular velocity of the bucket [rad/s]
    9:12    bucket x axis in the world: from the pin to the tip
    12:15   bucket y axis: along the cutting edge (machine's left)
    15:18   bucket z axis: from the mouth towards the shell (up when the bucket lies along +x)
    ======  ==========================================================================

``out``, shape (16,), all in the world frame:

    ======  ==========================================================================
    0:3     force of the ground on the bucket [N]
    3:6     its moment about the tip [N·m]
    6:9     weight of the carried soil [N] (leave it out if you change the body's mass instead)
    9:12    its moment about the tip [N·m]
    12      depth of the edge below the ground in front of it [m], >= 0
    13      rake: angle of the bucket floor against that ground [rad]
    14      earth-moving resistance of the ground ahead [N] (the yield, not the momentary force)
    15      bearing yield of the edge [N]
    ======  ==========================================================================

A wrench about the centre of mass ``c`` is ``(F, M + (tip - c) x F)``.

``tool.load``, shape (8,): see :mod:`kuwa_sim.soil.layout` (mass, centre, capacity, ...).
``surface_height(height, prm, x, y)`` and ``surface_normal(height, prm, x, y, n)`` are njit and
serve tracks and wheels; ``prm`` is ``ground.prm``. :class:`Terrain` is a ground under one bucket.
"""

from __future__ import annotations

from kuwa_sim.soil.bucket import BucketShape
from kuwa_sim.soil.bucket_tool import BucketTool
from kuwa_sim.soil.contact import tool_forces
from kuwa_sim.soil.excavation import bucket_tick
from kuwa_sim.soil.field import surface_height, surface_normal
from kuwa_sim.soil.ground import Ground
from kuwa_sim.soil.obstacles import Obstacle
from kuwa_sim.soil.parameters import SoilError, SoilParameters, load_soil
from kuwa_sim.soil.terrain import Terrain
from kuwa_sim.soil.warm import warm

__all__ = [
    "BucketShape",
    "BucketTool",
    "Ground",
    "Obstacle",
    "SoilError",
    "SoilParameters",
    "Terrain",
    "bucket_tick",
    "load_soil",
    "surface_height",
    "surface_normal",
    "tool_forces",
    "warm",
]
