"""Torque and oil flow of a machine's drives from what its bus tells: pressures, angles, speeds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, MachineSpec

LEAST_FLOW = 0.5 * 8.0 / 6e4
"""Half a step of COM3's flows [m³/s]."""
LEAST_COMMAND = 0.05
"""Smaller ones are within the dead band of most valves."""
POINTS = 257
"""Of each joint's table; between two of them a lever arm is a straight line to 1e-4."""


class Drives:
    """Cylinders and motors of one machine.

    A side moves V oil per radian of the joint: V = A·dL/dq, a motor's displacement on both sides.
    Torque is p_A·V_A − p_B·V_B, the flow into a side V·q̇ with the other one's sign turned.

    Args:
        spec: every joint of it has a cylinder or a motor.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self._grid: list[Array] = []
        self._sides: list[tuple[Array, Array]] = []
        for joint in spec.joints.values():
            drive = joint.oil
            q = np.linspace(joint.position.min, joint.position.max, POINTS)
            self._grid.append(q)
            if isinstance(drive, CylinderDrive):
                arm = lever_arm(drive.linkage, q)
                self._sides.append((drive.head_area * arm, drive.rod_area * arm))
            else:
                same = np.full(POINTS, drive.displacement)
                self._sides.append((same, same))

    def volumes(self, q: Array) -> Array:
        """Return V of both sides, shape (n, 2) [m³/rad]."""
        return np.array(
            [
                [np.interp(x, grid, a), np.interp(x, grid, b)]
                for x, grid, (a, b) in zip(q, self._grid, self._sides, strict=True)
            ]
        )

    def torque(self, q: Array, pressure: Array) -> Array:
        """Return the joints' torques, shape (n,) [N·m], for pressures of shape (n, 2) [Pa]."""
        V = self.volumes(q)
        return np.asarray(pressure[:, 0] * V[:, 0] - pressure[:, 1] * V[:, 1])

    def inlets(self, q: Array, u: Array) -> NDArray[np.bool_]:
        """Return which ports commands u open to the pump, shape (n, 2)."""
        moved = u * self.volumes(q)[:, 0]
        opened = np.abs(u) > LEAST_COMMAND
        return np.column_stack([opened & (moved > 0.0), opened & (moved < 0.0)])

    def flow(self, q: Array, qd: Array) -> Array:
        """Return the oil that enters each side, shape (n, 2) [m³/s]; out of it is negative."""
        V = self.volumes(q)
        return np.column_stack([V[:, 0] * qd, -V[:, 1] * qd])


def pump_pressure(pressure: Array, flow: Array, asked: NDArray[np.bool_], margin: float) -> float:
    """Return the pump's pressure [Pa] as the drives show it; NaN while nothing takes oil.

    One pump serves the highest load: what enters a port comes at no less than that port's pressure,
    and before a joint that is told to move and cannot the pump stands at that joint's pressure.

    It serves the controllers, which share out the pump's power by it. That the pump works is taken
    for granted: the result is never below the margin, so it cannot show that the pump fails.

    Args:
        pressure: of the ports, shape (n, 2) [Pa]. flow: into them [m³/s].
        asked: whether a command opens the port to the pump, shape (n, 2).
        margin: that the pump keeps above the highest load [Pa].
    """
    taking = asked | (flow > LEAST_FLOW)
    return float(pressure[taking].max()) + margin if taking.any() else math.nan


def delivered(pressure: Array, flow: Array) -> tuple[float, float]:
    """Return what the pump delivers at least: flow [m³/s] and power [W] into the drives.

    Losses over the valves are not in it, and oil that a load drives in by itself is.
    """
    inward = np.maximum(flow, 0.0)
    return float(inward.sum()), float((inward * np.maximum(pressure, 0.0)).sum())
