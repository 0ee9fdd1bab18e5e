"""What a robot knows: of itself, of the ground, and what only a simulation knows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.arrays import Array


@dataclass(frozen=True, slots=True)
class HeightMap:
    """Terrain heights on a regular grid in the world frame.

    Args:
        height: shape (nx, ny) [m]; ``height[i, j]`` belongs to the cell centre
            ``(x0 + i*cell, y0 + j*cell)``.
        x0: world x of the first cell centre [m].
        y0: world y of the first cell centre [m].
        cell: edge of a square cell [m].
    """

    height: Array
    x0: float
    y0: float
    cell: float

    def index(self, x: float, y: float) -> tuple[int, int]:
        """Return the cell that holds world point (x, y), clamped to the map."""
        nx, ny = self.height.shape
        i = min(max(round((x - self.x0) / self.cell), 0), nx - 1)
        j = min(max(round((y - self.y0) / self.cell), 0), ny - 1)
        return i, j

    def xs(self) -> Array:
        """World x of the rows, shape (nx,) [m]."""
        return self.x0 + self.cell * np.arange(self.height.shape[0], dtype=np.float64)

    def ys(self) -> Array:
        """World y of the columns, shape (ny,) [m]."""
        return self.y0 + self.cell * np.arange(self.height.shape[1], dtype=np.float64)


def _unknown3() -> Array:
    return np.full(3, np.nan)


@dataclass(frozen=True, slots=True)
class MachineState:
    """What a robot knows of itself at one instant.

    Args:
        stamp: time of the measurement [s].
        q: joint positions, shape (n,) [rad].
        qd: joint velocities, shape (n,) [rad/s].
        effort: joint torques from the drives, shape (n,) [N·m].
        pressure: drive pressures, shape (n, 2) [Pa]: head and rod side of a cylinder, ports A and
            B of a motor.
        pump_pressure: [Pa]. pump_flow: [m³/s]. pump_power: hydraulic power delivered to
            work and travel [W].
        base_position: origin of the undercarriage in the world as the machine's positioning last
            measured it, shape (3,) [m].
        base_quaternion_wxyz: attitude of the undercarriage in the world, shape (4,).
        base_velocity: linear [m/s] then angular [rad/s] velocity in the world, shape (6,).
        tool_load: mass of the soil held by the tool [kg]; NaN where the machine cannot tell.
        terrain: a new height map, or None when none was measured at this instant.
        base_stamp: the instant at which ``base_position`` was true [s]: older than ``stamp`` by the
            receiver's delay, and older still in an outage; NaN where the machine cannot tell.
        acceleration: specific force in the undercarriage's frame, shape (3,) [m/s²]; at rest on
            level ground (0, 0, 9.81). NaN without an inertial sensor.
        tool_force: force of the ground on the tool, in the world, shape (3,) [N]; NaN without
            load pins.
        images: new camera images by camera name, each shape (height, width, 3), uint8.
        engine_speed: of the crankshaft [rad/s]; NaN where the machine does not tell.
        oil_temperature: of the hydraulic oil [°C]; NaN where the machine does not tell.
        faults: what the driver finds wrong at the actuator boundary: rows of the failure table by
            their ids (``"bus_off"``); empty while all is well.
    """

    stamp: float
    q: Array
    qd: Array
    effort: Array
    pressure: Array
    pump_pressure: float
    pump_flow: float
    pump_power: float
    base_position: Array
    base_quaternion_wxyz: Array
    base_velocity: Array
    tool_load: float
    terrain: HeightMap | None = None
    base_stamp: float = math.nan
    acceleration: Array = field(default_factory=_unknown3)
    tool_force: Array = field(default_factory=_unknown3)
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    engine_speed: float = math.nan
    oil_temperature: float = math.nan
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What only a simulation knows: where the machine really is. For scores and pictures.

    Args:
        position: origin of the undercarriage in the world, shape (3,) [m].
        quaternion_wxyz: its attitude, shape (4,).
        velocity: linear [m/s], then angular [rad/s] in the world, shape (6,).
        points: of the tool in the world, shape (k, 3) [m]: the middle of an edge, the shares of a
            plough, the points of a boom at which its height counts.
        load: mass of the soil that the tool holds or pushes [kg].
    """

    position: Array
    quaternion_wxyz: Array
    velocity: Array
    points: Array
    load: float = 0.0


@dataclass(slots=True)
class TerrainMemory:
    """Keeps the newest height map, since a state carries one only when it was measured."""

    newest: HeightMap | None = field(default=None)

    def update(self, state: MachineState) -> HeightMap | None:
        """Take the state's map if it has one; return the newest."""
        if state.terrain is not None:
            self.newest = state.terrain
        return self.newest
