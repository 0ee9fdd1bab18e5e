"""From a machine's data and its MuJoCo file to a compiled model standing on a height field."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import mujoco
import numpy as np

from kuwa_machines.linkage import Triangle
from kuwa_machines.spec import CylinderDrive, MachineSpec

END_STOP_MARGIN = 0.03
"""Mechanical end stops lie this far outside the operating limits [rad]."""

TERRAIN_DEPTH = 3.0
"""How far below and above the original ground the drawn height field reaches [m]."""

LOAD_BODY = "tool_load"
TERRAIN_ASSET = "terrain"


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular grid of ground: ``nx × ny`` cells of edge ``cell``, the first at (x0, y0) [m]."""

    x0: float
    y0: float
    cell: float
    nx: int
    ny: int

    @property
    def centre(self) -> tuple[float, float]:
        """World (x, y) of the middle of the ground [m]."""
        half = self.cell / 2
        return self.x0 + (self.nx - 1) * half, self.y0 + (self.ny - 1) * half


def build_model(spec: MachineSpec, grid: Grid, dt: float) -> mujoco.MjModel:
    """Compile the machine's model with the numbers of its data file.

    Args:
        spec: the machine.
        grid: the ground; it is drawn as a height field that touches nothing.
        dt: physics step [s].
    """
    mj = mujoco.MjSpec.from_file(str(spec.model_path))
    mj.option.timestep = dt
    mj.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    mj.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    mj.visual.quality.shadowsize = 0
    mj.visual.quality.offsamples = 0
    mj.visual.global_.offwidth, mj.visual.global_.offheight = 1280, 720
    mj.visual.map.znear, mj.visual.map.zfar = 0.005, 5.0
    mj.visual.headlight.ambient = [0.35, 0.35, 0.35]
    mj.visual.headlight.diffuse = [0.35, 0.35, 0.35]

    for name, link in spec.links.items():
        body = mj.body(name)
        body.explicitinertial = True
        body.mass = link.mass
        body.ipos = link.com
        body.inertia = link.inertia
    for name, joint in spec.joints.items():
        mj.body(joint.child).pos = joint.origin
        hinge = mj.joint(name)
        hinge.axis = (0, 0, 1) if joint.axis == "z" else (0, 1, 0)
        hinge.damping = (joint.drive.friction, 0.0, 0.0)
        if joint.axis == "y":
            hinge.limited = mujoco.mjtLimited.mjLIMITED_TRUE
            stops = (joint.position.min - END_STOP_MARGIN, joint.position.max + END_STOP_MARGIN)
            hinge.range = np.degrees(stops) if mj.compiler.degree else stops
            hinge.solref_limit = (0.02, 1.0)
    _draw_cylinders(mj, spec)
    _add_bucket(mj, spec)
    _add_scenery(mj, grid)
    model = mj.compile()
    # The compiler stretches heights to 0…1, which moves flat ground to the bottom.
    model.hfield_data[:] = 0.5
    return model


def _draw_cylinders(mj: mujoco.MjSpec, spec: MachineSpec) -> None:
    """Draw each cylinder as a line between its pins; it carries no force."""
    for name, joint in spec.joints.items():
        if not isinstance(joint.drive, CylinderDrive):
            continue
        linkage = joint.drive.linkage
        rod_pin = linkage.rod_pin if isinstance(linkage, Triangle) else linkage.link_pin
        base = np.add(joint.origin, (linkage.base[0], 0.0, linkage.base[1]))
        mj.body(joint.parent).add_site(name=f"{name}_base", pos=base, size=(0.01,) * 3)
        mj.body(joint.child).add_site(
            name=f"{name}_rod", pos=(rod_pin[0], 0.0, rod_pin[1]), size=(0.01,) * 3
        )
        line = mj.add_tendon(name=f"{name}_cylinder", width=0.06, rgba=(0.75, 0.76, 0.78, 1.0))
        line.wrap_site(f"{name}_base")
        line.wrap_site(f"{name}_rod")


def _add_bucket(mj: mujoco.MjSpec, spec: MachineSpec) -> None:
    """Draw the bucket from its profile, and give it a body for the soil that it carries."""
    bucket = mj.body(spec.tool.link)
    profile = np.array(spec.tool.profile)
    half = spec.tool.width / 2
    steel = (0.35, 0.36, 0.38, 1.0)
    for k, (a, b) in enumerate(pairwise(profile)):
        along = b - a
        bucket.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(np.hypot(*along) / 2, half, 0.02),
            pos=((a[0] + b[0]) / 2, 0.0, (a[1] + b[1]) / 2),
            # Rotation about y that takes x to the direction of the plate.
            quat=(np.cos(_pitch(along) / 2), 0.0, np.sin(_pitch(along) / 2), 0.0),
            rgba=steel, contype=0, conaffinity=0, group=1, mass=0.0, name=f"bucket_plate_{k}",
        )  # fmt: skip
    for side, y in (("left", half), ("right", -half)):
        points = [(x, y + dy, z) for x, z in profile for dy in (-0.015, 0.015)]
        mesh = mj.add_mesh(name=f"bucket_side_{side}")
        mesh.uservert = np.array(points).ravel()
        bucket.add_geom(
            type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"bucket_side_{side}",
            rgba=steel, contype=0, conaffinity=0, group=1, mass=0.0,
        )  # fmt: skip
    load = bucket.add_body(name=LOAD_BODY)
    load.explicitinertial = True
    load.mass, load.inertia = 1e-3, (1e-6, 1e-6, 1e-6)
    centre = profile.mean(axis=0)
    load.add_geom(
        type=mujoco.mjtGeom.mjGEOM_ELLIPSOID, size=(0.01, 0.01, 0.01),
        pos=(centre[0], 0.0, centre[1]), rgba=(0.42, 0.30, 0.20, 1.0),
        contype=0, conaffinity=0, group=1, mass=0.0, name=LOAD_BODY,
    )  # fmt: skip


def _pitch(along: np.ndarray) -> float:
    return float(-np.arctan2(along[1], along[0]))


def _add_scenery(mj: mujoco.MjSpec, grid: Grid) -> None:
    """Add the drawn ground, lights and cameras; none of it touches the machine."""
    half_x, half_y = grid.cell * (grid.nx - 1) / 2, grid.cell * (grid.ny - 1) / 2
    mj.add_texture(
        name="soil", type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        width=1024, height=1024, rgb1=(0.52, 0.40, 0.28), rgb2=(0.49, 0.37, 0.26),
        mark=mujoco.mjtMark.mjMARK_RANDOM, random=0.02, markrgb=(0.42, 0.32, 0.22),
    )  # fmt: skip
    soil = mj.add_material(name="soil", texrepeat=(round(2 * half_x), round(2 * half_y)))
    soil.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "soil"
    mj.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        width=256, height=256, rgb1=(0.62, 0.75, 0.88), rgb2=(0.93, 0.95, 0.97),
    )  # fmt: skip
    field = mj.add_hfield(name=TERRAIN_ASSET)
    field.nrow, field.ncol = grid.ny, grid.nx
    field.size = (half_x, half_y, 2 * TERRAIN_DEPTH, 0.5)
    field.userdata = np.full(grid.nx * grid.ny, 0.5)
    world = mj.worldbody
    world.add_geom(
        type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname=TERRAIN_ASSET, material="soil",
        pos=(grid.x0 + half_x, grid.y0 + half_y, -TERRAIN_DEPTH),
        contype=0, conaffinity=0, name=TERRAIN_ASSET,
    )  # fmt: skip
    world.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=(-4.5, -7.0, 16.0), dir=(0.47, 0.47, -1.0),
        diffuse=(0.75, 0.72, 0.66), castshadow=False,
    )  # fmt: skip
    for name, eye, target in (
        ("overview", (12.2, -9.3, 5.6), (3.7, 1.2, 1.5)),
        ("trench", (8.6, -4.0, 3.2), (6.1, 0.25, -0.3)),
    ):
        world.add_camera(name=name, pos=eye, xyaxes=_look(eye, target), fovy=42)


def _look(eye: tuple[float, ...], target: tuple[float, ...]) -> np.ndarray:
    """Return the camera's x and y axes that look from eye to target with z up, shape (6,)."""
    back = np.subtract(eye, target)
    right = np.cross((0.0, 0.0, 1.0), back)
    up = np.cross(back, right)
    return np.concatenate([right / np.linalg.norm(right), up / np.linalg.norm(up)])


def drawn_height(height: np.ndarray) -> np.ndarray:
    """Return MuJoCo's height-field data for heights of shape (nx, ny) [m], flattened rows of y."""
    return np.clip((height.T + TERRAIN_DEPTH) / (2 * TERRAIN_DEPTH), 0.0, 1.0).ravel()
