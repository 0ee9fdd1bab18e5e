"""Tools on machines: from MuJoCo's poses to the soil tools' forces, and loads as real mass."""

from __future__ import annotations

from typing import Protocol

import mujoco
import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.spec import Blade, Bucket, DumpBody, MachineSpec, Plough, SprayerBoom
from kuwa_sim.poses import apply_tool, shift_pose, tool_pose
from kuwa_sim.soil import BucketShape, BucketTool, Ground, bucket_tick, tool_forces
from kuwa_sim.soil.blade import BladeTool, blade_forces, blade_tick
from kuwa_sim.soil.dump import DumpTool
from kuwa_sim.soil.layout import CENTRE_X, CENTRE_Z, MASS
from kuwa_sim.soil.plough import PloughTool, plough_forces, plough_tick
from kuwa_sim.tool_looks import LOAD_BODY

LOAD_DIAMETER = 0.6
"""Inertia of the soil in a bucket is that of a sphere of this diameter [m]."""


class LoadBody:
    """The body that has the mass of the soil in a tool.

    Args:
        diameter: the inertia is that of a sphere of this diameter [m].
    """

    def __init__(self, model: mujoco.MjModel, prefix: str, diameter: float) -> None:
        self._model = model
        self._body = model.body(prefix + LOAD_BODY).id
        self._share = diameter**2 / 10
        chain = [int(model.body_parentid[self._body])]
        while model.body_parentid[chain[-1]] != 0:
            chain.append(int(model.body_parentid[chain[-1]]))
        self._ancestors = np.array([self._body, *chain])
        self._empty = model.body_subtreemass[self._ancestors].copy()

    def set(self, mass: float, x: float, z: float) -> None:
        """Carry this mass [kg] at (x, 0, z) in the tool's frame [m]."""
        model = self._model
        mass = max(mass, 1e-3)
        model.body_mass[self._body] = mass
        model.body_inertia[self._body] = mass * self._share
        model.body_ipos[self._body] = (x, 0.0, z)
        model.body_subtreemass[self._ancestors] = self._empty + mass


class Mount(Protocol):
    """A tool as the plant sees it."""

    pose: np.ndarray
    """Of the tool's edge; layout of :mod:`kuwa_sim.soil`."""
    out: np.ndarray
    """Forces of the ground on the tool; layout of :mod:`kuwa_sim.soil`."""

    def look(self) -> None:
        """Take the pose from MuJoCo."""

    def apply(self) -> None:
        """Put the ground's force on the tool, every physics step."""

    def work(self, dt: float) -> None:
        """Move soil, every tick; the ground is levelled afterwards."""

    def carry(self) -> None:
        """Give the load its mass, every tick."""

    @property
    def mass(self) -> float:
        """Of the soil that the tool holds or pushes [kg]."""

    @property
    def points(self) -> Array:
        """Of the tool in the world, see :class:`kuwa_machines.contracts.GroundTruth`, (k, 3)."""


class _Edge:
    """What mounts with an edge share: the pose of the edge and the wrench on the link."""

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, link: int, edge: tuple[float, float]
    ) -> None:
        self.pose = np.zeros(18)
        self.out = np.zeros(16)
        """Forces on the tool; layout of :mod:`kuwa_sim.soil`."""
        root = int(model.body_rootid[link])
        self._pose_args = (
            np.array(edge), data.xpos[link], data.xmat[link], data.cvel[link],
            data.subtree_com[root], self.pose,
        )  # fmt: skip
        self._wrench_args = (data.xipos[link], data.xfrc_applied[link])

    def look(self) -> None:
        """Take the pose from MuJoCo."""
        tool_pose(*self._pose_args)

    @property
    def points(self) -> Array:
        """The middle of the edge, shape (1, 3) [m]."""
        return self.pose[None, :3].copy()


class BucketMount(_Edge):
    """A bucket."""

    def __init__(
        self, tool: Bucket, ground: Ground, model: mujoco.MjModel, data: mujoco.MjData, prefix: str
    ) -> None:
        super().__init__(model, data, model.body(prefix + tool.link).id, tool.profile[-1])
        self.tool = BucketTool(ground, BucketShape.from_spec(tool))
        self._load = LoadBody(model, prefix, LOAD_DIAMETER)

    def apply(self) -> None:
        """Put the ground's force on the bucket."""
        tool_pose(*self._pose_args)
        tool_forces(*self.tool.force_args, self.pose, self.out)
        apply_tool(self.out, self.pose, *self._wrench_args)

    def work(self, dt: float) -> None:
        """Cut, fill and spill."""
        tool_pose(*self._pose_args)
        bucket_tick(*self.tool.tick_args, self.pose, dt)

    def carry(self) -> None:
        """Give the soil in the bucket its mass."""
        load = self.tool.load
        self._load.set(load[MASS], load[CENTRE_X], load[CENTRE_Z])

    @property
    def mass(self) -> float:
        """Of the soil in the bucket [kg]."""
        return self.tool.mass


class BladeMount(_Edge):
    """A dozer blade."""

    def __init__(
        self, tool: Blade, ground: Ground, model: mujoco.MjModel, data: mujoco.MjData, prefix: str
    ) -> None:
        edge = (tool.edge[0], tool.edge[2])
        super().__init__(model, data, model.body(prefix + tool.link).id, edge)
        self.tool = BladeTool.from_spec(ground, tool)
        self._load = LoadBody(model, prefix, tool.height)
        self._centre = (tool.edge[0] + 0.5 * tool.height, tool.edge[2] + 0.3 * tool.height)

    def apply(self) -> None:
        """Put the force of the ground and of the pushed soil on the blade."""
        tool_pose(*self._pose_args)
        blade_forces(*self.tool.force_args, self.pose, self.out)
        apply_tool(self.out, self.pose, *self._wrench_args)

    def work(self, dt: float) -> None:
        """Cut, push, lay down and spill."""
        tool_pose(*self._pose_args)
        blade_tick(*self.tool.tick_args, self.pose, dt)

    def carry(self) -> None:
        """Give the pushed soil its inertia; the ground bears its weight."""
        self._load.set(self.tool.mass, *self._centre)

    @property
    def mass(self) -> float:
        """Of the soil in front of the blade [kg]."""
        return self.tool.mass


class PloughMount(_Edge):
    """A plough."""

    def __init__(
        self, tool: Plough, ground: Ground, model: mujoco.MjModel, data: mujoco.MjData, prefix: str
    ) -> None:
        edge = (tool.first[0], tool.first[2])
        super().__init__(model, data, model.body(prefix + tool.link).id, edge)
        self._side = tool.first[1]
        self._length = (tool.bodies - 1) * tool.spacing
        self._across = (tool.bodies - 1) * tool.cut_width
        self.tool = PloughTool.from_spec(ground, tool)

    def look(self) -> None:
        """Take the pose from MuJoCo: the first share is beside the middle."""
        tool_pose(*self._pose_args)
        shift_pose(self.pose, self._side)

    def apply(self) -> None:
        """Put the draft on the plough."""
        self.look()
        plough_forces(*self.tool.force_args, self.pose, self.out)
        apply_tool(self.out, self.pose, *self._wrench_args)

    def work(self, dt: float) -> None:
        """Turn furrows."""
        self.look()
        plough_tick(*self.tool.tick_args, self.pose, dt)

    @property
    def points(self) -> Array:
        """The shares of the first and the last body, shape (2, 3) [m]."""
        forward, left = self.pose[9:12], self.pose[12:15]
        last = self.pose[:3] - self._length * forward + self._across * left
        return np.stack([self.pose[:3], last])

    def carry(self) -> None:
        """A plough carries nothing."""

    @property
    def mass(self) -> float:
        """A plough carries nothing."""
        return 0.0


class DumpMount:
    """A tipping body."""

    def __init__(
        self, tool: DumpBody, ground: Ground, model: mujoco.MjModel, data: mujoco.MjData,
        prefix: str,
    ) -> None:  # fmt: skip
        link = model.body(prefix + tool.link).id
        self.pose = np.zeros(18)
        self.out = np.zeros(16)
        self._position, self._rotation = data.xpos[link], data.xmat[link]
        profile = np.array(tool.profile)
        self.tool = DumpTool(ground, profile, tool.width, tool.heaped_capacity)
        self._load = LoadBody(model, prefix, tool.width)

    def load(self, loose: float) -> None:
        """Bring soil from elsewhere into the body: a loose volume [m³]."""
        self.tool.fill(loose)
        self.carry()

    def look(self) -> None:
        """Tell the ground where the body is."""
        self.pose[:3] = self._position
        self.tool.place(self._position, self._rotation)

    def apply(self) -> None:
        """The body touches nothing."""

    def work(self, dt: float) -> None:
        """Take in and let out."""
        self.pose[:3] = self._position
        self.tool.tick(self._position, self._rotation, dt)

    def carry(self) -> None:
        """Give the load its mass."""
        self._load.set(self.tool.mass, *self.tool.centre)

    @property
    def mass(self) -> float:
        """Of the load [kg]."""
        return self.tool.mass

    @property
    def points(self) -> Array:
        """Origin of the body, shape (1, 3) [m]."""
        return self.pose[None, :3].copy()


class BoomMount:
    """A sprayer's boom, which moves no soil."""

    mass = 0.0

    def __init__(
        self, tool: SprayerBoom, model: mujoco.MjModel, data: mujoco.MjData, prefix: str
    ) -> None:
        self.pose = np.zeros(18)
        self.out = np.zeros(16)
        links = [model.body(prefix + tip.link).id for tip in tool.points.values()]
        self._at = np.array([tip.at for tip in tool.points.values()])
        self._positions = [data.xpos[link] for link in links]
        self._rotations = [data.xmat[link] for link in links]

    @property
    def points(self) -> Array:
        """Where its height counts, shape (k, 3) [m]."""
        rotation = np.array(self._rotations).reshape(-1, 3, 3)
        return np.array(self._positions) + np.einsum("kij,kj->ki", rotation, self._at)

    def look(self) -> None:
        """Nothing to see."""

    apply = carry = look

    def work(self, dt: float) -> None:
        """Nothing to move."""


def tool_points(spec: MachineSpec) -> int:
    """Return how many points a machine's mount tells of, see ``Mount.points``."""
    if isinstance(spec.tool, SprayerBoom):
        return len(spec.tool.points)
    return 2 if isinstance(spec.tool, Plough) else 1


def make_mount(
    spec: MachineSpec, ground: Ground, model: mujoco.MjModel, data: mujoco.MjData, prefix: str
) -> Mount:
    """Return the mount for a machine's tool."""
    tool = spec.tool
    if isinstance(tool, Bucket):
        return BucketMount(tool, ground, model, data, prefix)
    if isinstance(tool, Blade):
        return BladeMount(tool, ground, model, data, prefix)
    if isinstance(tool, DumpBody):
        return DumpMount(tool, ground, model, data, prefix)
    if isinstance(tool, Plough):
        return PloughMount(tool, ground, model, data, prefix)
    return BoomMount(tool, model, data, prefix)
