"""How a machine looks, as triangles: the shapes of its model and its tool, without a simulator.

The model's file holds boxes, cylinders and capsules in the frames of the links; buckets, blades
and dump bodies are drawn from their data, and hydraulic cylinders between their pins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.errors import MachineError
from kuwa_machines.linkage import Triangle
from kuwa_machines.spec import Blade, Bucket, CylinderDrive, DumpBody, MachineSpec

Colour = tuple[float, float, float]

STEEL: Colour = (0.35, 0.36, 0.38)
CHROME: Colour = (0.78, 0.79, 0.81)
DARK: Colour = (0.17, 0.18, 0.20)
SEGMENTS = 20
"""Corners of a drawn circle."""
PLATE = 0.04
"""Thickness of a drawn plate [m]."""
BLADE_PLATES = 6
"""A blade's curved face is drawn with this many plates."""
BLADE_CURL = math.radians(75)
"""How far the drawn face turns from its edge to its top."""
BARREL, ROD = 0.09, 0.05
"""Radii of a drawn hydraulic cylinder [m]."""


@dataclass(frozen=True, slots=True)
class Solid:
    """Triangles of one rigid part.

    Args:
        link: in whose frame they are.
        vertices: shape (k, 3) [m].
        faces: indices of the corners, anticlockwise from outside, shape (m, 3).
        colours: of each vertex, shape (k, 3), from 0 to 1.
    """

    link: str
    vertices: Array
    faces: Array
    colours: Array


@dataclass(frozen=True, slots=True)
class Ram:
    """A hydraulic cylinder between two pins: its barrel and its rod point at each other.

    Args:
        parent, child: links of its pins. base, rod: the pins in their frames, shape (3,) [m].
        barrel, rod_solid: along +x from the pin.
    """

    parent: str
    child: str
    base: Array
    rod: Array
    barrel: Solid
    rod_solid: Solid


def solids(spec: MachineSpec) -> dict[str, Solid]:
    """Return one solid for each link that is drawn.

    Raises:
        MachineError: the model's file has a shape that is none of box, cylinder and capsule.
    """
    parts: dict[str, list[tuple[Array, Array, Colour]]] = {}
    for link, vertices, faces, colour in (*_model(spec), *_tool(spec)):
        parts.setdefault(link, []).append((vertices, faces, colour))
    return {link: _joined(link, pieces) for link, pieces in parts.items()}


def rams(spec: MachineSpec) -> list[Ram]:
    """Return the hydraulic cylinders; their lengths are those of the home pose."""
    from kuwa_machines.posing import Posing

    posing = Posing(spec)
    places = posing.places(spec.home)
    found = []
    for joint in spec.joints.values():
        if not isinstance(joint.drive, CylinderDrive):
            continue
        linkage = joint.drive.linkage
        pin = linkage.rod_pin if isinstance(linkage, Triangle) else linkage.link_pin
        base = np.add(joint.origin, (linkage.base[0], 0.0, linkage.base[1]))
        rod = np.array([pin[0], 0.0, pin[1]])
        (r0, p0), (r1, p1) = places[joint.parent], places[joint.child]
        length = float(np.linalg.norm(r1 @ rod + p1 - r0 @ base - p0))
        thick = min(1.0, length / 1.2)
        barrel, stick = (
            _joined("", [(*_cylinder(r * thick, 0.31 * length, _along_x(0.31 * length)), colour)])
            for r, colour in ((BARREL, DARK), (ROD, CHROME))
        )
        found.append(Ram(joint.parent, joint.child, base, rod, barrel, stick))
    return found


def _model(spec: MachineSpec) -> Iterator[tuple[str, Array, Array, Colour]]:
    root = ET.parse(spec.model_path).getroot()
    paints = {
        default.get("class", ""): _rgb(geom.get("rgba", "0.5 0.5 0.5 1"))
        for default in root.iter("default")
        for geom in default.findall("geom")
    }
    for body in root.iter("body"):
        for geom in body.findall("geom"):
            colour = paints.get(geom.get("class", ""), (0.5, 0.5, 0.5))
            yield (body.get("name", ""), *_shape(geom, spec), colour)


def _shape(geom: ET.Element, spec: MachineSpec) -> tuple[Array, Array]:
    kind, size = geom.get("type", ""), _numbers(geom.get("size", ""))
    at = np.eye(4)
    if geom.get("fromto"):
        a, b = _numbers(geom.get("fromto", "")).reshape(2, 3)
        at[:3, :3], at[:3, 3] = _towards(b - a), (a + b) / 2
        size = np.array([size[0], np.linalg.norm(b - a) / 2])
    else:
        at[:3, :3] = _euler(_numbers(geom.get("euler", "0 0 0")))
        at[:3, 3] = _numbers(geom.get("pos", "0 0 0"))
    if kind == "box":
        return _box(size, at)
    if kind in ("cylinder", "capsule"):
        return _cylinder(size[0], size[1], at)
    raise MachineError(f"{spec.model_path}: a geom of type {kind!r}; valid: box, capsule, cylinder")


def _tool(spec: MachineSpec) -> Iterator[tuple[str, Array, Array, Colour]]:
    tool = spec.tool
    if isinstance(tool, Blade):
        profile = blade_face(tool)
    elif isinstance(tool, Bucket | DumpBody):
        profile = np.array(tool.profile)
        for y in (-tool.width / 2, tool.width / 2):
            yield (tool.link, *_side(profile, y), STEEL)
    else:
        return
    for a, b in pairwise(profile):
        along = b - a
        at = np.eye(4)
        at[:3, :3] = _turn(1, -math.atan2(along[1], along[0]))
        at[:3, 3] = ((a[0] + b[0]) / 2, 0.0, (a[1] + b[1]) / 2)
        half = np.array([np.hypot(*along) / 2 + PLATE / 2, tool.width / 2, PLATE / 2])
        yield (tool.link, *_box(half, at), STEEL)


def blade_face(tool: Blade) -> Array:
    """Return the face from its top to its edge, (x, z) in the link's frame, shape (n, 2) [m]."""
    step = tool.height / BLADE_PLATES
    points = [(tool.edge[0], tool.edge[2])]
    for k in range(BLADE_PLATES):
        angle = math.pi - tool.rake - BLADE_CURL * (k + 0.5) / BLADE_PLATES
        x, z = points[-1]
        points.append((x + step * math.cos(angle), z + step * math.sin(angle)))
    return np.array(points[::-1])


def _side(profile: Array, y: float) -> tuple[Array, Array]:
    """Return a plate over the profile, closed by the line of its mouth, seen from both sides."""
    n = len(profile)
    centre = profile.mean(axis=0)
    points = np.vstack([profile, centre])
    sides = [np.column_stack([points[:, 0], np.full(n + 1, y + d), points[:, 1]])
             for d in (-PLATE / 2, PLATE / 2)]  # fmt: skip
    fan = np.array([[k, (k + 1) % n, n] for k in range(n)])
    both = [fan, fan[:, ::-1]]
    faces = np.vstack([f + s * (n + 1) for s in (0, 1) for f in both])
    return np.vstack(sides), faces


def _box(half: Array, at: Array) -> tuple[Array, Array]:
    """Return a box with corners of its own for each side, so that its edges are sharp."""
    vertices: list[Array] = []
    faces: list[tuple[int, int, int]] = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            i, j = (axis + 1) % 3, (axis + 2) % 3
            corners = np.zeros((4, 3))
            corners[:, axis] = side
            corners[:, i], corners[:, j] = (-1, 1, 1, -1), (-1, -1, 1, 1)
            k = 4 * len(vertices)
            order = (0, 1, 2, 3) if side > 0 else (3, 2, 1, 0)
            a, b, c, d = (k + v for v in order)
            vertices.append(corners * half)
            faces += [(a, b, c), (a, c, d)]
    return _moved(np.vstack(vertices), at), np.array(faces)


def _cylinder(radius: float, half: float, at: Array) -> tuple[Array, Array]:
    """Return a cylinder along z with flat ends."""
    angle = np.linspace(0, 2 * np.pi, SEGMENTS, endpoint=False)
    ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    n, rows = SEGMENTS, []
    for z in (-half, half):
        rows.append(np.column_stack([ring, np.full(n, z)]))
    # Ends have corners of their own; the middle of each comes last.
    vertices = np.vstack([*rows, *rows, [[0, 0, -half], [0, 0, half]]])
    faces = []
    for k in range(n):
        m = (k + 1) % n
        faces += [(k, m, n + m), (k, n + m, n + k)]
        faces += [(2 * n + m, 2 * n + k, 4 * n), (3 * n + k, 3 * n + m, 4 * n + 1)]
    return _moved(vertices, at), np.array(faces)


def _joined(link: str, pieces: list[tuple[Array, Array, Colour]]) -> Solid:
    starts = np.cumsum([0, *(len(v) for v, _, _ in pieces)])
    return Solid(
        link,
        np.vstack([v for v, _, _ in pieces]),
        np.vstack([f + s for (_, f, _), s in zip(pieces, starts, strict=False)]),
        np.vstack([np.tile(c, (len(v), 1)) for v, _, c in pieces]),
    )


def _moved(points: Array, at: Array) -> Array:
    return points @ at[:3, :3].T + at[:3, 3]


def _along_x(half: float) -> Array:
    at = np.eye(4)
    at[:3, :3], at[:3, 3] = _turn(1, math.pi / 2), (half, 0.0, 0.0)
    return at


def _towards(direction: Array) -> Array:
    """Return a rotation that takes z to a direction."""
    z = direction / np.linalg.norm(direction)
    x = np.cross((0.0, 1.0, 0.0) if abs(z[1]) < 0.9 else (1.0, 0.0, 0.0), z)
    x /= np.linalg.norm(x)
    return np.column_stack([x, np.cross(z, x), z])


def _turn(axis: int, angle: float) -> Array:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    r = np.eye(3)
    c, s = math.cos(angle), math.sin(angle)
    r[i, i], r[i, j], r[j, i], r[j, j] = c, -s, s, c
    return r


def _euler(degrees: Array) -> Array:
    """Return MuJoCo's rotation of Euler angles: about x, then the new y, then the new z."""
    x, y, z = np.radians(degrees)
    return _turn(0, x) @ _turn(1, y) @ _turn(2, z)


def _numbers(text: str) -> Array:
    return np.array([float(v) for v in text.split()])


def _rgb(text: str) -> Colour:
    r, g, b = _numbers(text)[:3]
    return float(r), float(g), float(b)
