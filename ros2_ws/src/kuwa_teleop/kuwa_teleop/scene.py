"""The machine and its ground in viser: links from the machine's own shapes, soil as it deforms.

Everything hangs on one frame that is moved against the machine, so that a view that stands still
goes with a machine that drives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import trimesh

from kuwa_machines.arrays import Array
from kuwa_machines.contracts import HeightMap, Task
from kuwa_machines.kinematics import rotation
from kuwa_machines.looks import Ram, Solid, rams, solids
from kuwa_machines.posing import Posing, quaternion
from kuwa_machines.spec import MachineSpec
from kuwa_teleop.sealed import SealedViser

ROOT = "/site"
SKY = (196, 214, 228)
GRASS, SOIL, CUT, HEAP = (
    np.array(c) for c in ((0.50, 0.50, 0.36), (0.58, 0.47, 0.33), (0.36, 0.25, 0.16),
                          (0.45, 0.33, 0.22))
)  # fmt: skip
TURNED = 0.03
"""Soil whose height changed by this was turned [m]."""
CELLS = 150
"""The ground is drawn with at most this many corners a side."""
AROUND = 60.0
"""Flat land around the measured ground [m]."""
MOVED = 2e-4
"""A part that moved by less than this is not sent again."""
GROWN = 0.004
"""Nor is ground that changed by less [m]."""


class Scene:
    """What the operator sees in three dimensions.

    Args:
        spec: the machine.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self.viser = SealedViser()
        self._spec, self._posing = spec, Posing(spec)
        scene = self.viser.server.scene
        scene.set_up_direction("+z")
        scene.configure_default_lights(enabled=False)
        scene.add_light_ambient("/light/all", intensity=1.1)
        scene.add_light_hemisphere(
            "/light/sky", sky_color=(235, 242, 250), ground_color=(120, 100, 80), intensity=1.2
        )
        scene.add_light_directional(
            "/light/sun", color=(255, 248, 235), intensity=2.6, cast_shadow=False,
            position=(-6.0, -7.0, 10.0),
        )  # fmt: skip
        scene.set_background_image(np.full((2, 2, 3), SKY, np.uint8))
        self._scene = scene
        self._root = scene.add_frame(ROOT, show_axes=False)
        machine = f"{ROOT}/machine"
        self._machine = scene.add_frame(machine, show_axes=False)
        self._links = {
            link: scene.add_mesh_trimesh(f"{machine}/{link}", _mesh(solid))
            for link, solid in solids(spec).items()
        }
        self._rams = [self._add_ram(machine, k, ram) for k, ram in enumerate(rams(spec))]
        self._told: dict[int, Array] = {}
        self._start: HeightMap | None = None
        self._drawn: Array | None = None
        self._ground: Any = None
        self._task: Any = None
        reach = 1.0 if spec.kind == "excavator" else 0.8
        camera = self.viser.server.initial_camera
        camera.position = (-5.0 * reach, -9.6 * reach, 5.0 * reach)
        camera.look_at = (2.6 * reach, 0.7, 1.75)
        camera.fov = math.radians(50)
        self.pose(spec.home, np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]))

    def close(self) -> None:
        """Take the scene down."""
        self.viser.close()

    def _add_ram(self, above: str, k: int, ram: Ram) -> tuple[Ram, Any, Any]:
        add = self._scene.add_mesh_trimesh
        return (ram, add(f"{above}/barrel{k}", _mesh(ram.barrel)),
                add(f"{above}/rod{k}", _mesh(ram.rod_solid)))  # fmt: skip

    def pose(self, q: Array, base: Array, wxyz: Array) -> None:
        """Show the machine at joint positions ``q`` [rad] and a pose in the map.

        Args:
            base: of the undercarriage's origin, shape (3,) [m]; wxyz: its attitude, shape (4,).
        """
        places = self._posing.places(q)
        with self.viser.server.atomic():
            self._put(self._root, np.eye(3), np.array([-base[0], -base[1], 0.0]))
            self._put(self._machine, rotation(wxyz), base)
            for link, handle in self._links.items():
                self._put(handle, *places[link])
            for ram, barrel, rod in self._rams:
                (r0, p0), (r1, p1) = places[ram.parent], places[ram.child]
                a, b = r0 @ ram.base + p0, r1 @ ram.rod + p1
                self._put(barrel, _along(b - a), a)
                self._put(rod, _along(a - b), b)

    def _put(self, handle: Any, turned: Array, at: Array) -> None:
        now = np.concatenate([turned.ravel(), at])
        before = self._told.get(id(handle))
        if before is not None and np.abs(now - before).max() < MOVED:
            return
        self._told[id(handle)] = now
        handle.wxyz, handle.position = quaternion(turned), at

    def ground(self, terrain: HeightMap) -> None:
        """Show the ground, if it has changed."""
        step = max(1, math.ceil(max(terrain.height.shape) / CELLS))
        height = terrain.height[::step, ::step]
        if self._start is None or self._start.height.shape != terrain.height.shape:
            self._start, self._drawn = terrain, None
        if self._drawn is not None and np.abs(height - self._drawn).max() < GROWN:
            return
        self._drawn = height.copy()
        start = self._start.height[::step, ::step]
        x, y = terrain.xs()[::step], terrain.ys()[::step]
        mesh = _field(x, y, height, _paint(height, start))
        self._ground = self._scene.add_mesh_trimesh(f"{ROOT}/ground", mesh)
        if self._task is None:
            level = float(np.median(height))
            self._scene.add_mesh_trimesh(f"{ROOT}/land", _land(x, y, level - 0.02))

    def task(self, task: Task) -> None:
        """Mark where the task is to be done."""
        level = 0.0 if self._drawn is None else float(np.median(self._drawn))
        lines = []
        if task.length > 0.0 and task.width > 0.0:
            c, s = math.cos(task.yaw), math.sin(task.yaw)
            turn = np.array([[c, -s], [s, c]])
            half = 0.5 * np.array([task.length, task.width])
            corners = half * [[-1, -1], [1, -1], [1, 1], [-1, 1]] @ turn.T + (task.x, task.y)
            lines = _ring(corners, level + 0.04)
        elif len(task.path) > 1:
            way = np.array(task.path)
            lines = _ring(way, level + 0.04)[:-1]
        if not lines:
            return
        points = np.array(lines, np.float32)
        self._task = self._scene.add_line_segments(
            f"{ROOT}/task", points, (255, 255, 250), thickness=4.0, thickness_units="screen"
        )


def _ring(corners: Array, z: float) -> list[list[Sequence[float]]]:
    after = np.roll(corners, -1, axis=0)
    return [[(*a, z), (*b, z)] for a, b in zip(corners, after, strict=True)]


def _linear(colours: Array) -> Array:
    """Return colours as bytes of linear light, which is what a mesh's vertices have."""
    return np.asarray(np.clip(255.0 * colours**2.2, 0, 255), np.uint8)


def _mesh(solid: Solid) -> trimesh.Trimesh:
    return trimesh.Trimesh(
        solid.vertices, solid.faces, vertex_colors=_linear(solid.colours), process=False
    )


def _paint(height: Array, start: Array) -> Array:
    """Return the colour of each corner: turned soil dark, heaps lighter, old ground as it was."""
    change = height - start
    turned = np.clip(np.abs(change) / TURNED, 0.0, 1.0)[..., None]
    fresh = np.where((change > 0)[..., None], HEAP, CUT)
    grain = np.random.default_rng(0).normal(0.0, 0.02, height.shape)[..., None]
    return np.asarray((SOIL + (fresh - SOIL) * turned) * (1.0 + grain))


def _field(x: Array, y: Array, height: Array, colours: Array) -> trimesh.Trimesh:
    nx, ny = height.shape
    k = np.arange(nx * ny).reshape(nx, ny)
    a, b, c, d = (v.ravel() for v in (k[:-1, :-1], k[1:, :-1], k[1:, 1:], k[:-1, 1:]))
    faces = np.vstack([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    xx, yy = np.meshgrid(x, y, indexing="ij")
    points = np.column_stack([xx.ravel(), yy.ravel(), height.ravel()])
    return trimesh.Trimesh(
        points, faces, vertex_colors=_linear(colours.reshape(-1, 3)), process=False
    )


def _land(x: Array, y: Array, level: float) -> trimesh.Trimesh:
    """Return flat land around the measured ground: a frame, so that it hides no trench."""
    # It reaches under the border of the measured ground, so that no sky shines through.
    (x0, x1), (y0, y1) = ((v[2], v[-3]) for v in (x, y))
    xs = np.array([x0 - AROUND, x0, x1, x1 + AROUND])
    ys = np.array([y0 - AROUND, y0, y1, y1 + AROUND])
    mesh = _field(xs, ys, np.full((4, 4), level), np.tile(GRASS, (4, 4, 1)))
    cx, cy = mesh.triangles_center[:, 0], mesh.triangles_center[:, 1]
    hole = (cx > x0) & (cx < x1) & (cy > y0) & (cy < y1)
    mesh.update_faces(~hole)
    return mesh


def _along(direction: Array) -> Array:
    """Return a rotation that takes x to a direction."""
    x = direction / max(float(np.linalg.norm(direction)), 1e-9)
    z = np.cross(x, (0.0, 1.0, 0.0) if abs(x[1]) < 0.9 else (1.0, 0.0, 0.0))
    z /= np.linalg.norm(z)
    return np.column_stack([x, np.cross(z, x), z])
