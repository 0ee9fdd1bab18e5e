"""What an observation holds, modality by modality, each number with its range and unit: one table.

The spaces, the filling of the numbers and the reference page are made from it. Lengths and
directions marked "task" are in the task's frame, see :class:`kuwa_sim.envs.frame.TaskFrame`;
"machine" is the undercarriage's frame: x forward, y left, z up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kuwa_machines.contracts import Task
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import HydrostaticDrive, MachineSpec
from kuwa_sim.scenery import Grid
from kuwa_sim.score.earthwork import heaped_capacity

STATE: Final = ("joints", "pressures", "base", "imu", "tool", "task")
"""What costs next to nothing to observe."""
MODALITIES: Final = (*STATE, "terrain")
"""All but pictures, which are asked for by the camera's name."""

MARGIN: Final = 0.1
"""Stops give way and encoders are noisy: this much beyond a joint's range [rad]."""
PATCH: Final = (24, 24)
"""Points of the terrain patch along and across."""
PATCH_DEPTH: Final = 5.0
"""Deeper or higher ground than this is not told apart [m]."""
AHEAD: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Points of the way at these distances ahead are observed [m]."""
AROUND: Final = 2.0
"""So much is seen around a rectangle [m]."""
BEHIND, BEFORE, BESIDE = 4.0, 12.0, 6.0
"""So much is seen of the ground around a machine on its way [m]."""
DENSEST: Final = 2500.0
"""No soil that a tool carries is denser [kg/m³]."""
SPEED: Final = 15.0
"""Of the undercarriage [m/s]."""
SPIN: Final = 3.0
"""Angular rate of the undercarriage [rad/s]."""
FORCE: Final = 500e3
"""Of the ground on the tool [N]."""
SPECIFIC_FORCE: Final = 40.0
"""[m/s²]"""
SHOCK: Final = 1.5
"""Pressures reach this multiple of the relief valve's setting."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One number of a modality.

    Args:
        name: e.g. ``"boom_joint.position"``. unit: ``"1"`` for a pure number.
        low, high: it is held within these. text: what it is, where the name does not say it.
    """

    name: str
    unit: str
    low: float
    high: float
    text: str = ""


def chosen(spec: MachineSpec, modalities: Sequence[str] | None) -> tuple[str, ...]:
    """Return the modalities that are asked for; None asks for all that the machine measures.

    Raises:
        KuwaError: no such modality, one that the machine cannot measure, or none at all.
    """
    maps = spec.sensors.terrain is not None
    if modalities is None:
        return MODALITIES if maps else STATE
    for name in modalities:
        if name not in MODALITIES:
            raise KuwaError(f"modalities: no {name!r}; {choices(name, MODALITIES)}")
    if not modalities:
        raise KuwaError(f"modalities: none; expected some of {', '.join(MODALITIES)}")
    if "terrain" in modalities and not maps:
        raise KuwaError(f"modalities: {spec.name} has no sensor of the terrain")
    return tuple(modalities)


def pictures(spec: MachineSpec, cameras: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Return the shape of each camera's pictures: rows, columns, colours.

    Raises:
        KuwaError: the machine has no such camera.
    """
    known = spec.sensors.cameras
    for name in cameras:
        if name not in known:
            raise KuwaError(f"cameras: {spec.name} has no {name!r}; {choices(name, known)}")
    return {name: (known[name].height, known[name].width, 3) for name in cameras}


def vectors(
    spec: MachineSpec, task: Task, grid: Grid, modalities: Sequence[str]
) -> dict[str, tuple[Entry, ...]]:
    """Return the numbers of each modality that is a vector, in the order of :data:`STATE`."""
    makers = {
        "joints": joints(spec),
        "pressures": pressures(spec),
        "base": base(grid),
        "imu": imu(),
        "tool": tool(spec, grid),
        "task": goal(task, grid),
    }
    return {name: tuple(entries) for name, entries in makers.items() if name in modalities}


def joints(spec: MachineSpec) -> Iterator[Entry]:
    """Yield positions, then velocities; an endless joint's position is a cosine and a sine."""
    for name, joint in spec.joints.items():
        if joint.position.bounded:
            low, high = joint.position.min - MARGIN, joint.position.max + MARGIN
            yield Entry(f"{name}.position", "rad", low, high)
        else:
            yield Entry(f"{name}.cos", "1", -1, 1, "of its position: it turns endlessly")
            yield Entry(f"{name}.sin", "1", -1, 1)
    for name, joint in spec.joints.items():
        yield Entry(f"{name}.velocity", "rad/s", -2 * joint.velocity, 2 * joint.velocity)


def pressures(spec: MachineSpec) -> Iterator[Entry]:
    """Yield both ports of each function on the working pump, then the pump."""
    oil = spec.hydraulics
    most = SHOCK * oil.pump_relief
    for name, joint in spec.joints.items():
        if not isinstance(joint.drive, HydrostaticDrive):
            yield Entry(f"{name}.head", "Pa", 0, most, "head side, or port A of a motor")
            yield Entry(f"{name}.rod", "Pa", 0, most, "rod side, or port B of a motor")
    yield Entry("pump.pressure", "Pa", 0, most)
    yield Entry("pump.flow", "m³/s", 0, SHOCK * oil.pump_flow)
    yield Entry("pump.power", "W", 0, SHOCK * oil.pump_power)


def base(grid: Grid) -> Iterator[Entry]:
    """Yield pose and velocity of the undercarriage as its positioning measured them."""
    far = reach(grid)
    yield Entry("x", "m", -far, far, "origin of the undercarriage, task")
    yield Entry("y", "m", -far, far)
    yield Entry("z", "m", -PATCH_DEPTH, PATCH_DEPTH)
    yield Entry("heading.cos", "1", -1, 1, "task")
    yield Entry("heading.sin", "1", -1, 1)
    for axis in "xyz":
        yield Entry(f"velocity.{axis}", "m/s", -SPEED, SPEED, "machine" if axis == "x" else "")


def imu() -> Iterator[Entry]:
    """Yield attitude, angular rate and specific force, the machine's frame."""
    yield Entry("roll", "rad", -math.pi, math.pi, "right side down positive")
    yield Entry("pitch", "rad", -math.pi / 2, math.pi / 2, "nose down positive")
    for axis in "xyz":
        yield Entry(f"rate.{axis}", "rad/s", -SPIN, SPIN, "machine" if axis == "x" else "")
    for axis in "xyz":
        text = "machine; zero without an inertial sensor" if axis == "x" else ""
        yield Entry(f"specific_force.{axis}", "m/s²", -SPECIFIC_FORCE, SPECIFIC_FORCE, text)


def tool(spec: MachineSpec, grid: Grid) -> Iterator[Entry]:
    """Yield what the tool holds, the ground's force on it, and where it is by its joints."""
    far = reach(grid)
    most = DENSEST * (heaped_capacity(spec) or 0.0)
    yield Entry("load", "kg", 0, max(most, 1.0), "zero where the machine cannot tell")
    for axis in "xyz":
        text = "machine; zero without load pins" if axis == "x" else ""
        yield Entry(f"force.{axis}", "N", -FORCE, FORCE, text)
    for point in tool_points(spec):
        for axis, bound in (("x", far), ("y", far), ("z", 3 * PATCH_DEPTH)):
            text = "of the tool, task; from joints and base as measured" if axis == "x" else ""
            yield Entry(f"{point}.{axis}", "m", -bound, bound, text)


def tool_points(spec: MachineSpec) -> dict[str, tuple[str, tuple[float, float, float]]]:
    """Return the points by which a tool's place is told: name → link and point in its frame."""
    of = spec.tool
    if of.type == "bucket":
        x, z = of.profile[-1]
        return {"edge": (of.link, (x, 0.0, z))}
    if of.type == "blade":
        return {"edge": (of.link, of.edge)}
    if of.type == "plough":
        return {"share": (of.link, of.first)}
    if of.type == "sprayer_boom":
        return {name: (tip.link, tip.at) for name, tip in of.points.items()}
    return {"body": (of.link, (0.0, 0.0, 0.0))}


def goal(task: Task, grid: Grid) -> Iterator[Entry]:
    """Yield what the task asks for, and of a way what lies ahead; last the time that is left."""
    far = reach(grid)
    if task.length > 0 and task.width > 0:
        yield Entry("length", "m", 0, 2 * far)
        yield Entry("width", "m", 0, 2 * far)
    if not task.path:
        yield Entry("slope", "1", -1, 1, "rise over run along the length")
        yield Entry("spoil.x", "m", -far, far, "task")
        yield Entry("spoil.y", "m", -far, far)
        yield Entry("spoil.height", "m", 0, PATCH_DEPTH)
    yield Entry("depth", "m", 0, PATCH_DEPTH)
    yield Entry("tolerance", "m", 0, 1)
    yield Entry("volume", "m³", 0, 1000, "loose; zero where the task has none")
    if task.path:
        yield Entry("speed", "m/s", 0, SPEED)
        yield Entry("height", "m", 0, PATCH_DEPTH)
        yield Entry("cross_track", "m", -far, far, "positive to the left of the way")
        yield Entry("remaining", "1", 0, 1, "share of the way")
        for distance in AHEAD:
            for axis in "xy":
                text = f"the way {distance:g} m ahead, machine" if axis == "x" else ""
                yield Entry(f"ahead_{distance:g}.{axis}", "m", -far, far, text)
    yield Entry("time_left", "1", 0, 1, "share of the scenario's duration")


def extent(task: Task) -> tuple[float, float, float, float]:
    """Return least and greatest x and y of the terrain patch in its frame [m].

    Over a rectangle it stays; along a way it goes with the machine, mostly ahead of it.
    """
    if task.path:
        return (-BEHIND, BEFORE, -BESIDE, BESIDE)
    x, y = task.length / 2 + AROUND, task.width / 2 + AROUND
    return (-x, x, -y, y)


def reach(grid: Grid) -> float:
    """Return the diagonal of the ground: nothing on it is further apart [m]."""
    return math.hypot(grid.nx * grid.cell, grid.ny * grid.cell)
