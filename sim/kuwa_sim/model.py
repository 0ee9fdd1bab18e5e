"""From machines' data and their MuJoCo files to one compiled model standing on a height field."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.followers import Follower
from kuwa_machines.linkage import Triangle
from kuwa_machines.spec import CylinderDrive, HydrostaticDrive, Joint, MachineSpec, PassiveJoint
from kuwa_sim.scenery import (
    GROUND_TEXELS,
    TERRAIN_ASSET,
    Grid,
    add_obstacle,
    add_scenery,
    drawn_height,
    look_axes,
)
from kuwa_sim.soil.obstacles import Obstacle
from kuwa_sim.tool_looks import LOAD_BODY, add_tool

__all__ = ["LOAD_BODY", "TERRAIN_ASSET", "Grid", "build_model", "build_site", "drawn_height"]

END_STOP_MARGIN = 0.03
"""Mechanical end stops lie this far outside the operating limits [rad]."""

AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}

POLYNOMIAL = 5
"""Coefficients of a led joint's angle over the leading one's; MuJoCo takes five."""


def build_model(spec: MachineSpec, grid: Grid, dt: float) -> mujoco.MjModel:
    """Compile the model of one machine; its names are those of the data file."""
    mj = _machine(spec)
    return finished(mj, grid, dt)


def build_site(
    machines: Sequence[tuple[str, MachineSpec]],
    grid: Grid,
    dt: float,
    obstacles: Sequence[Obstacle] = (),
) -> mujoco.MjModel:
    """Compile a model of machines with the numbers of their data files.

    Args:
        machines: prefix of all its names (``"loader/"``) and specification of each; one machine
            may have the prefix ``""``.
        grid: the ground; it is drawn as a height field that touches nothing.
        dt: physics step [s].
        obstacles: rigid bodies in the ground, drawn only.
    """
    return finished(gathered(machines, obstacles), grid, dt)


def gathered(
    machines: Sequence[tuple[str, MachineSpec]], obstacles: Sequence[Obstacle] = ()
) -> mujoco.MjSpec:
    """Return machines and obstacles side by side, not compiled yet and without ground."""
    if len(machines) == 1 and machines[0][0] == "":
        mj = _machine(machines[0][1])
    else:
        mj = mujoco.MjSpec()
        for prefix, spec in machines:
            mj.attach(_machine(spec), prefix=prefix, frame=mj.worldbody.add_frame())
    for k, body in enumerate(obstacles):
        add_obstacle(mj, k, body)
    return mj


def finished(
    mj: mujoco.MjSpec, grid: Grid, dt: float, texels: tuple[int, int] = GROUND_TEXELS
) -> mujoco.MjModel:
    """Add ground with a picture of so many texels and lights, and compile."""
    mj.option.timestep = dt
    mj.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    mj.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    mj.visual.quality.shadowsize = 0
    mj.visual.quality.offsamples = 0
    mj.visual.global_.offwidth, mj.visual.global_.offheight = 1280, 720
    mj.visual.map.znear, mj.visual.map.zfar = 0.005, 5.0
    mj.visual.headlight.ambient = [0.35, 0.35, 0.35]
    mj.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    add_scenery(mj, grid, texels)
    model = mj.compile()
    # The compiler stretches heights to 0…1, which moves flat ground to the bottom.
    model.hfield_data[:] = 0.5
    return model


def _machine(spec: MachineSpec) -> mujoco.MjSpec:
    """Read a machine's topology and looks; write in its numbers."""
    mj = mujoco.MjSpec.from_file(str(spec.model_path))
    for name, link in spec.links.items():
        body = mj.body(name)
        body.explicitinertial = True
        body.mass = link.mass
        body.ipos = link.com
        body.inertia = link.inertia
    joints: dict[str, Joint | PassiveJoint] = {**spec.joints, **spec.passive_joints}
    for name, joint in joints.items():
        mj.body(joint.child).pos = joint.origin
        hinge = mj.joint(name)
        hinge.axis = AXES[joint.axis]
        friction = joint.drive.friction if isinstance(joint, Joint) else joint.damping
        hinge.damping = (friction, 0.0, 0.0)
        if isinstance(joint, PassiveJoint):
            hinge.stiffness = (joint.stiffness, 0.0, 0.0)
            hinge.springref = np.degrees(joint.neutral) if mj.compiler.degree else joint.neutral
        elif isinstance(joint.drive, HydrostaticDrive):
            hinge.armature = joint.drive.inertia
        if joint.position.max - joint.position.min < 2 * np.pi:
            hinge.limited = mujoco.mjtLimited.mjLIMITED_TRUE
            stops = (joint.position.min - END_STOP_MARGIN, joint.position.max + END_STOP_MARGIN)
            hinge.range = np.degrees(stops) if mj.compiler.degree else stops
            hinge.solref_limit = (0.02, 1.0)
    for name, passive in spec.passive_joints.items():
        if passive.follows is not None:
            leader = spec.joints[passive.follows.joint].position
            _lead(mj, name, passive.follows, leader.min, leader.max)
    _draw_cylinders(mj, spec)
    add_tool(mj, spec)
    for name, camera in spec.sensors.cameras.items():
        mj.body(camera.link).add_camera(
            name=camera_name(name), pos=camera.at, xyaxes=look_axes(camera.at, camera.target),
            fovy=np.degrees(camera.field_of_view),
        )  # fmt: skip
    return mj


def camera_name(name: str) -> str:
    """Return the name in the model of a machine's camera."""
    return f"{name}_camera"


def follower_polynomial(follows: Follower, low: float, high: float) -> Array:
    """Return coefficients of the led angle over the leading angle, lowest first, shape (5,).

    Least squares over the leading joint's range and its stops.
    """
    q = np.linspace(low - END_STOP_MARGIN, high + END_STOP_MARGIN, 201)
    return np.asarray(np.polynomial.polynomial.polyfit(q, follows.angle(q), POLYNOMIAL - 1))


def _lead(mj: mujoco.MjSpec, name: str, follows: Follower, low: float, high: float) -> None:
    equality = mj.add_equality(
        type=mujoco.mjtEq.mjEQ_JOINT, name1=name, name2=follows.joint,
        objtype=mujoco.mjtObj.mjOBJ_JOINT,
    )  # fmt: skip
    data = np.zeros(len(equality.data))
    data[:POLYNOMIAL] = follower_polynomial(follows, low, high)
    equality.data = data
    equality.solref = (0.02, 1.0)


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
