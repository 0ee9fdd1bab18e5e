"""Soil in a tool as it is drawn: a mesh that takes the shape of what the tool holds or pushes."""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np

from kuwa_machines.contracts import Array, HeightMap
from kuwa_machines.spec import Blade, Bucket, DumpBody, MachineSpec
from kuwa_sim.tool_looks import LOAD_BODY, SOIL

DENSITY = 1500.0
"""Of soil in a tool, to draw a mass as a volume [kg/m³]."""
REPOSE = math.radians(35.0)
"""Loose soil lies no steeper [rad]."""
ALONG, ACROSS = 15, 11
"""Vertices of the mesh along the tool and across it."""
ROUGH = 0.02
"""Clods on the drawn surface, over its length."""
LEAST = 20.0
"""Less is not drawn [kg]."""
MESH = "tool_load_surface"


def add_load(mj: mujoco.MjSpec, spec: MachineSpec, prefix: str) -> None:
    """Give a machine's tool a mesh for its soil, where it takes any; it is shaped later."""
    if not isinstance(spec.tool, Bucket | DumpBody | Blade):
        return
    mesh = mj.add_mesh(name=prefix + MESH)
    x, y = np.meshgrid(np.linspace(-1, 1, ALONG), np.linspace(-1, 1, ACROSS), indexing="ij")
    top = np.stack([x, y, np.full_like(x, 0.5)], axis=-1).reshape(-1, 3)
    mesh.uservert = np.concatenate([top, top - (0.0, 0.0, 1.0)]).ravel()
    mesh.userface = _faces().ravel()
    mj.body(prefix + LOAD_BODY).add_geom(
        type=mujoco.mjtGeom.mjGEOM_MESH, meshname=prefix + MESH, name=prefix + MESH, rgba=SOIL,
        contype=0, conaffinity=0, group=1, mass=0.0,
    )  # fmt: skip


class Load:
    """The soil in one machine's tool.

    Args:
        model: with what :func:`add_load` added.
    """

    def __init__(self, model: mujoco.MjModel, spec: MachineSpec, prefix: str) -> None:
        self._model, self._tool = model, spec.tool
        self.mesh = int(model.mesh(prefix + MESH).id)
        self._geom = int(model.geom(prefix + MESH).id)
        self.link = int(model.body(prefix + spec.tool.link).id)
        # Drawn as a mesh here, so not as the plant's plain lump.
        model.geom(prefix + LOAD_BODY).rgba = (0, 0, 0, 0)
        # The compiler has moved the mesh to its middle; it is written in the link's frame.
        model.geom_pos[self._geom] = 0.0
        model.geom_quat[self._geom] = (1, 0, 0, 0)
        model.geom_sameframe[self._geom] = 0
        clods = np.random.default_rng(0).uniform(-1, 1, (ALONG, ACROSS))
        clods[[0, -1]] = 0.0
        self._clods = clods
        self._side = np.linspace(-1, 1, ACROSS)

    def shape(self, mass: float, position: Array, rotation: Array, ground: HeightMap) -> None:
        """Write the mesh for this mass.

        Args:
            mass: of the soil [kg]; NaN shows none.
            position, rotation: of the tool's link in the world, shapes (3,), (3, 3).
            ground: on which the soil before a blade lies.
        """
        model = self._model
        shown = bool(np.isfinite(mass) and mass >= LEAST)
        model.geom_rgba[self._geom, 3] = 1.0 if shown else 0.0
        if not shown:
            return
        volume = mass / DENSITY
        if isinstance(self._tool, Blade):
            top, low = self._heap(self._tool, volume, position, rotation, ground)
        else:
            top, low = self._filling(self._tool, volume, rotation)
        self._write(np.stack([top, low]))

    def _filling(self, tool: Any, volume: float, rotation: Array) -> tuple[Array, Array]:
        """Return the upper and lower surface of the soil in a vessel, shape (along, across, 3)."""
        profile = np.array(tool.profile)
        up = _surface_normal(profile, rotation)
        a, b, crown = level_in(profile, up, volume / tool.width)
        if (b[0] - a[0]) * up[1] < (b[1] - a[1]) * up[0]:
            a, b = b, a  # so that the drawn side is up
        s = np.linspace(0, 1, ALONG)[:, None]
        length = float(np.hypot(*(b - a)))
        side = self._side[None, :]
        bump = (crown * 4 * s * (1 - s) + 0.04 * length * (4 * s * (1 - s)) ** 0.5) * (
            1 - np.abs(side) ** 3
        )
        bump = bump + ROUGH * length * self._clods
        flat = a + s[..., None] * (b - a) + 0 * side[..., None]
        top = flat + bump[..., None] * up
        low = flat - 0.04 * up
        y = np.broadcast_to(side * (0.48 * tool.width), bump.shape)
        return _in_link(top, y), _in_link(low, y)

    def _heap(
        self, blade: Blade, volume: float, position: Array, rotation: Array, ground: HeightMap
    ) -> tuple[Array, Array]:
        """Return the surface of the soil before a blade and its foot, shape (along, across, 3).

        A wedge at the angle of repose, h² / (2 tan φ) in section, that loses its height towards
        the ends; one whose height comes to that of the blade grows forward.
        """
        area = volume / (0.8 * blade.width)
        height = min(math.sqrt(2 * area * math.tan(REPOSE)), 1.05 * blade.height)
        reach = 2 * area / height
        side = self._side[None, :]
        s = np.linspace(0, 1, ALONG)[:, None]
        # To its ends the heap falls at the angle of repose, from a part of its height.
        end = (1 - np.abs(side)) * (blade.width / 2) * math.tan(REPOSE) / height
        less = np.minimum(1.0, 0.12 + end) ** 0.8 * (1 - 0.15 * side**2)
        # Rounded at the crest, running out at the foot.
        rise = (1 - s) ** 1.15 * (1 - 0.25 * (1 - s) ** 6)
        behind = 0.25 * blade.height
        ahead = s * (reach + behind) * np.maximum(less, 0.35) - behind
        h = height * less * rise + ROUGH * 2 * height * self._clods * (1 - s)
        y = np.broadcast_to(side * (0.49 * blade.width), h.shape)
        forward = rotation @ (1.0, 0.0, 0.0)
        heading = math.atan2(forward[1], forward[0])
        c, n = math.cos(heading), math.sin(heading)
        edge = position + rotation @ np.array(blade.edge)
        x0, y0 = edge[0] + c * ahead - n * y, edge[1] + n * ahead + c * y
        under = _heights(ground, x0, y0)
        top = np.stack([x0, y0, under + h], axis=-1)
        low = np.stack([x0, y0, under - 0.15], axis=-1)
        return (top - position) @ rotation, (low - position) @ rotation

    def _write(self, vertices: Array) -> None:
        model, k = self._model, self.mesh
        normals = np.concatenate([_normals(vertices[0]), -_normals(vertices[1])])
        for values, adr, num, target in (
            (vertices.reshape(-1, 3), model.mesh_vertadr, model.mesh_vertnum, model.mesh_vert),
            (normals, model.mesh_normaladr, model.mesh_normalnum, model.mesh_normal),
        ):
            first = int(adr[k])
            target[first : first + int(num[k])] = values


def level_in(profile: Array, up: Array, area: float) -> tuple[Array, Array, float]:
    """Return where soil of this sectional area stands in a vessel.

    Args:
        profile: of its inside, from lip to lip, shape (n, 2) [m].
        up: normal of the soil's surface, shape (2,).
        area: of the soil's section [m²].

    Returns:
        Both ends of the surface's chord, shape (2,) [m], and how high it is crowned [m].
    """
    height = profile @ up
    lip = float(min(height[0], height[-1]))
    low = float(height.min())
    held = _area_below(profile, height, lip)
    if area >= held:
        a, b = _chord(profile, height, lip)
        length = float(np.hypot(*(b - a)))
        crown = 1.5 * (area - held) / length if length > 1e-3 else 0.0
        return a, b, min(crown, 0.5 * length)
    high = lip
    for _ in range(24):
        level = (low + high) / 2
        if _area_below(profile, height, level) < area:
            low = level
        else:
            high = level
    return (*_chord(profile, height, high), 0.0)


def _surface_normal(profile: Array, rotation: Array) -> Array:
    """Return the normal of a vessel's soil surface: straight up, or leaning to its mouth.

    Soil leans by up to its angle of repose towards the mouth, against the vessel's back.
    """
    up = np.array([rotation[2, 0], rotation[2, 2]])
    mouth = profile[-1] - profile[0]
    out = np.array([mouth[1], -mouth[0]])
    if out @ (profile.mean(axis=0) - profile[0]) > 0:
        out = -out
    angle = math.atan2(up[0] * out[1] - up[1] * out[0], up @ out)
    turn = math.copysign(max(abs(angle) - math.pi / 2 + REPOSE, 0.0), angle)
    turn = math.copysign(min(abs(turn), abs(angle)), angle)
    c, s = math.cos(turn), math.sin(turn)
    normal = np.array([c * up[0] - s * up[1], s * up[0] + c * up[1]])
    return np.asarray(normal / max(float(np.hypot(*normal)), 1e-9))


def _area_below(profile: Array, height: Array, level: float) -> float:
    """Return the area of the closed polygon below a level."""
    part = []
    for k in range(len(profile)):
        p, q, hp, hq = profile[k - 1], profile[k], height[k - 1], height[k]
        if (hp <= level) != (hq <= level):
            part.append(p + (level - hp) / (hq - hp) * (q - p))
        if hq <= level:
            part.append(q)
    if len(part) < 3:
        return 0.0
    x, z = np.array(part).T
    return float(abs(np.dot(x, np.roll(z, 1)) - np.dot(z, np.roll(x, 1))) / 2)


def _chord(profile: Array, height: Array, level: float) -> tuple[Array, Array]:
    """Return the outermost points of the closed polygon at a level."""
    found = []
    for k in range(len(profile)):
        p, q, hp, hq = profile[k - 1], profile[k], height[k - 1], height[k]
        if hp == level:
            found.append(p)
        if (hp < level) != (hq < level) and hq != hp:
            found.append(p + (level - hp) / (hq - hp) * (q - p))
    if not found:
        found = [profile[int(np.argmin(np.abs(height - level)))]]
    points = np.array(found)
    order = np.argsort(points @ (profile[-1] - profile[0]))
    return points[order[0]], points[order[-1]]


def _heights(ground: HeightMap, x: Array, y: Array) -> Array:
    """Return the heights of the cells that hold the points (x, y), held at the map's border."""
    nx, ny = ground.height.shape
    i = np.clip(np.round((x - ground.x0) / ground.cell).astype(int), 0, nx - 1)
    j = np.clip(np.round((y - ground.y0) / ground.cell).astype(int), 0, ny - 1)
    return np.asarray(ground.height[i, j])


def _in_link(xz: Array, y: Array) -> Array:
    return np.stack([xz[..., 0], y, xz[..., 1]], axis=-1)


def _normals(surface: Array) -> Array:
    """Return unit normals of a surface of vertices, shape (along · across, 3)."""
    normal = np.cross(np.gradient(surface, axis=0), np.gradient(surface, axis=1))
    size = np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    return np.asarray((normal / size).reshape(-1, 3))


def _faces() -> Array:
    """Return the triangles of two surfaces joined at their rims, shape (k, 3)."""
    index = np.arange(ALONG * ACROSS).reshape(ALONG, ACROSS)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    top = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    low = top[:, ::-1] + ALONG * ACROSS
    rim = np.concatenate([index[:-1, 0], index[-1, :-1], index[:0:-1, -1], index[0, :0:-1]])
    following = np.roll(rim, -1)
    under = ALONG * ACROSS
    side = np.concatenate([
        np.stack([rim, rim + under, following], -1),
        np.stack([following, rim + under, following + under], -1),
    ])  # fmt: skip
    return np.concatenate([top, low, side])
