"""Tools as drawn from their data, each with a body for the soil that it carries or pushes."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.looks import blade_face
from kuwa_machines.spec import Blade, Bucket, DumpBody, MachineSpec

LOAD_BODY = "tool_load"
STEEL = (0.35, 0.36, 0.38, 1.0)
SOIL = (0.42, 0.30, 0.20, 1.0)


def add_tool(mj: mujoco.MjSpec, spec: MachineSpec) -> None:
    """Draw the tool from its data and give it a body for soil, where it takes any."""
    tool = spec.tool
    if isinstance(tool, Bucket):
        profile = np.array(tool.profile)
        _plates(mj, tool.link, "bucket", profile, tool.width, STEEL)
        _sides(mj, tool.link, "bucket", profile, tool.width, STEEL)
        centre = profile.mean(axis=0)
        _load(mj, tool.link, (centre[0], 0.0, centre[1]), borne=False)
    elif isinstance(tool, DumpBody):
        profile = np.array(tool.profile)
        paint = tuple(mj.body(tool.link).first_geom().rgba) if _painted(mj, tool.link) else STEEL
        _plates(mj, tool.link, "body", profile, tool.width, paint)
        _sides(mj, tool.link, "body", profile, tool.width, paint)
        centre = profile.mean(axis=0)
        _load(mj, tool.link, (centre[0], 0.0, centre[1]), borne=False)
    elif isinstance(tool, Blade):
        _plates(mj, tool.link, "blade", blade_face(tool), tool.width, STEEL)
        # The soil in front lies on the ground, which bears its weight; the blade feels its inertia.
        _load(mj, tool.link, (tool.edge[0] + 0.3, tool.edge[1], tool.edge[2]), borne=True)


def _painted(mj: mujoco.MjSpec, link: str) -> bool:
    return mj.body(link).first_geom() is not None


def _plates(
    mj: mujoco.MjSpec, link: str, name: str, profile: Array, width: float, rgba: tuple[float, ...]
) -> None:
    body = mj.body(link)
    for k in range(len(profile) - 1):
        a, b = profile[k], profile[k + 1]
        along = b - a
        # Rotation about y that takes x to the direction of the plate.
        half = -math.atan2(along[1], along[0]) / 2
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX, size=(np.hypot(*along) / 2, width / 2, 0.02),
            pos=((a[0] + b[0]) / 2, 0.0, (a[1] + b[1]) / 2),
            quat=(math.cos(half), 0.0, math.sin(half), 0.0),
            rgba=rgba, contype=0, conaffinity=0, group=1, mass=0.0, name=f"{name}_plate_{k}",
        )  # fmt: skip


def _sides(
    mj: mujoco.MjSpec, link: str, name: str, profile: Array, width: float, rgba: tuple[float, ...]
) -> None:
    body = mj.body(link)
    for side, y in (("left", width / 2), ("right", -width / 2)):
        points = [(x, y + dy, z) for x, z in profile for dy in (-0.015, 0.015)]
        mesh = mj.add_mesh(name=f"{name}_side_{side}")
        mesh.uservert = np.array(points).ravel()
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"{name}_side_{side}",
            rgba=rgba, contype=0, conaffinity=0, group=1, mass=0.0,
        )  # fmt: skip


def _load(mj: mujoco.MjSpec, link: str, centre: tuple[float, ...], borne: bool) -> None:
    load = mj.body(link).add_body(name=LOAD_BODY)
    load.explicitinertial = True
    load.mass, load.inertia = 1e-3, (1e-6, 1e-6, 1e-6)
    load.gravcomp = 1.0 if borne else 0.0
    load.add_geom(
        type=mujoco.mjtGeom.mjGEOM_ELLIPSOID, size=(0.01, 0.01, 0.01), pos=centre, rgba=SOIL,
        contype=0, conaffinity=0, group=1, mass=0.0, name=LOAD_BODY,
    )  # fmt: skip
