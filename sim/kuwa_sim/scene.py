"""Machines and their ground as a model that is only drawn: any pose on any ground."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from scipy.ndimage import gaussian_filter

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.spec import MachineSpec
from kuwa_sim.loads import Load, add_load
from kuwa_sim.model import TERRAIN_ASSET, Grid, drawn_height, finished, gathered
from kuwa_sim.paint import GroundPaint, texels
from kuwa_sim.soil.obstacles import Obstacle

CORNERS, MANY_CORNERS = 40_000, 240_000
"""The drawn surface has at most so many corners, in a film and in a still."""


class Scene:
    """A model that is only drawn: machines in any pose on any ground.

    Args:
        machines: by name.
        start: the ground before any work.
        tasks: marked on the ground.
        obstacles: rigid bodies in the ground.
        corners: the drawn surface has at most so many; colours keep every cell.
    """

    def __init__(
        self,
        machines: Mapping[str, MachineSpec],
        start: HeightMap,
        tasks: Sequence[Task] = (),
        obstacles: Sequence[Obstacle] = (),
        corners: int = CORNERS,
    ) -> None:
        self._step = max(math.ceil(math.sqrt(start.height.size / corners)), 1)
        nx, ny = ((n - 1) // self._step + 1 for n in start.height.shape)
        self.grid = Grid(start.x0, start.y0, self._step * start.cell, nx, ny)
        self.specs = dict(machines)
        alone = len(machines) == 1
        self._prefix = {name: "" if alone else f"{name}/" for name in machines}
        mj = gathered([(self._prefix[name], spec) for name, spec in machines.items()], obstacles)
        for name, spec in machines.items():
            add_load(mj, spec, self._prefix[name])
        start = self._trimmed(start)
        size = texels(*start.height.shape)
        self.model = model = finished(mj, self.grid, 0.002, size)
        self.data = mujoco.MjData(model)
        self.field = int(model.hfield(TERRAIN_ASSET).id)
        self.texture = int(model.texture("soil").id)
        self.plane = _plane(start)
        self.loads: dict[str, Load] = {}
        self._bodies: dict[str, Body] = {}
        for name, spec in machines.items():
            self._bodies[name] = Body(model, spec, self._prefix[name])
            if self._bodies[name].takes_soil:
                self.loads[name] = Load(model, spec, self._prefix[name])
        self.paint = GroundPaint(start, tasks, size, coarse=self._step)
        model.mat_texrepeat[model.material("soil").id] = (1, 1)
        self.set_terrain(start)
        for name, spec in machines.items():
            self.set_machine(name, spec.home, np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]), 0.0)
        self.update()

    def set_terrain(self, terrain: HeightMap) -> None:
        """Show this ground; a subclass uploads what was written into the model."""
        model, terrain = self.model, self._trimmed(terrain)
        self._terrain = terrain
        first = int(model.hfield_adr[self.field])
        height = terrain.height
        if self._step > 1:
            height = gaussian_filter(height, self._step / 2, truncate=2.0, mode="nearest")
        flat = drawn_height(height[:: self._step, :: self._step])
        model.hfield_data[first : first + flat.size] = flat
        colours = self.paint.picture(terrain).reshape(-1)
        at = int(model.tex_adr[self.texture])
        model.tex_data[at : at + colours.size] = colours

    def set_machine(
        self,
        name: str,
        q: Array,
        base_position: Array,
        base_quaternion_wxyz: Array,
        tool_load: float,
    ) -> None:
        """Show a machine like this from the next :meth:`update` on.

        Args:
            q: joint positions in the spec's order [rad].
            tool_load: soil in the tool [kg]; NaN shows none.
        """
        body = self._bodies[name]
        body.place(self.data, q, base_position, base_quaternion_wxyz)
        body.load = tool_load

    def update(self) -> None:
        """Work out where all parts of the machines are, and shape their loads."""
        model, data = self.model, self.data
        mujoco.mj_kinematics(model, data)
        for name, load in self.loads.items():
            position = data.xpos[load.link]
            rotation = data.xmat[load.link].reshape(3, 3)
            load.shape(self._bodies[name].load, position, rotation, self._terrain)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_tendon(model, data)
        mujoco.mj_camlight(model, data)

    def base(self, name: str) -> int:
        """Return the id of a machine's undercarriage in the model."""
        return int(self.model.body(self._prefix[name] + self.specs[name].undercarriage.link).id)

    def box(self, name: str) -> Array:
        """Return the corners of what a machine takes up as it stands, shape (8, 3) [m].

        They are relative to the origin of its undercarriage, along the axes of the world.
        """
        model, data = self.model, self.data
        base = self.base(name)
        own = np.flatnonzero(model.body_rootid[model.geom_bodyid] == model.body_rootid[base])
        own = own[model.geom_rgba[own, 3] > 0.0]
        half = np.einsum("kij,kj->ki", np.abs(data.geom_xmat[own].reshape(-1, 3, 3)),
                         model.geom_aabb[own, 3:])  # fmt: skip
        middle = data.geom_xpos[own] + np.einsum(
            "kij,kj->ki", data.geom_xmat[own].reshape(-1, 3, 3), model.geom_aabb[own, :3]
        )
        low = (middle - half).min(axis=0) - data.xpos[base]
        high = (middle + half).max(axis=0) - data.xpos[base]
        return np.array([[(low, high)[k >> i & 1][i] for i in range(3)] for k in range(8)])

    def _trimmed(self, terrain: HeightMap) -> HeightMap:
        """Leave out the rows and columns beyond the last drawn corner."""
        nx, ny = (self._step * ((n - 1) // self._step) + 1 for n in terrain.height.shape)
        return HeightMap(terrain.height[:nx, :ny], terrain.x0, terrain.y0, terrain.cell)


class Body:
    """Where one machine's coordinates are in the scene."""

    def __init__(self, model: mujoco.MjModel, spec: MachineSpec, prefix: str) -> None:
        base = int(model.jnt_qposadr[model.body(prefix + spec.undercarriage.link).jntadr[0]])
        self._base = slice(base, base + 7)
        self._joints = [int(model.joint(prefix + name).qposadr[0]) for name in spec.joint_names]
        self._led = [
            (int(model.joint(prefix + name).qposadr[0]), joint.follows,
             spec.joint_names.index(joint.follows.joint))
            for name, joint in spec.passive_joints.items()
            if joint.follows is not None
        ]  # fmt: skip
        self.takes_soil = any(
            model.mesh(k).name.startswith(prefix + "tool_load") for k in range(model.nmesh)
        )
        self.load = 0.0

    def place(self, data: mujoco.MjData, q: Array, position: Array, quaternion: Array) -> None:
        """Write the machine's coordinates."""
        data.qpos[self._base] = (*position, *quaternion)
        data.qpos[self._joints] = q
        for at, follows, leader in self._led:
            data.qpos[at] = float(np.ravel(follows.angle(q[leader]))[0])


def _plane(ground: HeightMap) -> Array:
    """Return height at the middle and slopes of the plane through the map's border, shape (3,)."""
    h, x, y = ground.height, ground.xs(), ground.ys()
    dx, dy = x - x.mean(), y - y.mean()
    rim = np.concatenate([h[0], h[-1], h[:, 0], h[:, -1]])
    rim_x = np.concatenate([0 * dy + dx[0], 0 * dy + dx[-1], dx, dx])
    rim_y = np.concatenate([dy, dy, 0 * dx + dy[0], 0 * dx + dy[-1]])
    slope_x = float(rim @ rim_x / (rim_x @ rim_x))
    slope_y = float(rim @ rim_y / (rim_y @ rim_y))
    return np.array([np.median(rim - slope_x * rim_x - slope_y * rim_y), slope_x, slope_y])
