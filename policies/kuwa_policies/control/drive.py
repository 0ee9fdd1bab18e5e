"""What a machine's drives do to a command, as tables: spool → oil flow → joint velocity, and back.

A joint that turns at q̇ takes the oil flow Q = D(q)·|q̇| from the pump, where D is the motor's
displacement or |dL/dq| times the piston area on the side that the oil enters: head when the
cylinder extends, annulus when it retracts. The valve gives Q = Q_max·s^curve with
s = (|u| − band)/(1 − band).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, HydrostaticDrive, Joint, MachineSpec

TABLE_POINTS = 257
"""Between two of them the linkages differ from a straight line by less than 1e-4."""


class DriveModel:
    """Cylinders and motors on the working pump as arrays; index 0 negative, 1 positive direction.

    Attributes:
        index: which of the machine's joints these n are, in its order, shape (n,).
        dead_time, dead_band, curve, lag: shape (n,).
        max_flow: shape (n, 2) [m³/s].
        displacement: D on a grid of joint angles, shape (n, 2, TABLE_POINTS) [m³/rad].
        grid_start, grid_step: of that grid, shape (n,) [rad].
        pump_flow: what all functions share [m³/s].
    """

    def __init__(self, spec: MachineSpec) -> None:
        self.index = np.array(
            [
                i
                for i, joint in enumerate(spec.joints.values())
                if not isinstance(joint.drive, HydrostaticDrive)
            ],
            dtype=np.int64,
        )
        joints = [list(spec.joints.values())[i] for i in self.index]
        valves = [joint.oil.valve for joint in joints]
        self.dead_time = np.array([v.dead_time for v in valves])
        self.dead_band = np.array([v.dead_band for v in valves])
        self.curve = np.array([v.curve for v in valves])
        self.lag = np.array([v.time_constant for v in valves])
        self.max_flow = np.array([[v.max_flow_negative, v.max_flow_positive] for v in valves])
        self.grid_start = spec.q_min[self.index]
        self.grid_step = (spec.q_max - spec.q_min)[self.index] / (TABLE_POINTS - 1)
        self.displacement = np.stack([_displacement(joint) for joint in joints])
        self.pump_flow = spec.hydraulics.pump_flow

    def flow(self, q: Array, qd: Array) -> Array:
        """Return the oil that each of the machine's joints takes from the working pump [m³/s].

        Args:
            q, qd: of all its joints, shape (..., joints), as is what is returned.
        """
        out = np.zeros(q.shape)
        K = TABLE_POINTS
        for i, j in enumerate(self.index):
            x = np.clip((q[..., j] - self.grid_start[i]) / self.grid_step[i], 0, K - 1.001)
            k = x.astype(int)
            side = (qd[..., j] > 0).astype(int)
            table = self.displacement[i]
            D = table[side, k] + (x - k) * (table[side, k + 1] - table[side, k])
            out[..., j] = D * np.abs(qd[..., j])
        return out


def _displacement(joint: Joint) -> Array:
    """Return D(q) for the negative and the positive direction, shape (2, TABLE_POINTS)."""
    drive = joint.oil
    q = np.linspace(joint.position.min, joint.position.max, TABLE_POINTS)
    if not isinstance(drive, CylinderDrive):
        return np.full((2, TABLE_POINTS), drive.displacement)
    arm = lever_arm(drive.linkage, q)
    positive = np.where(arm > 0, drive.head_area, drive.rod_area)
    negative = np.where(arm > 0, drive.rod_area, drive.head_area)
    return np.abs(arm) * np.stack([negative, positive])


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def displacement_at(table: Any, start: float, step: float, q: float) -> Any:
    """D(q) by linear interpolation, held at the ends of the grid; ``table`` has shape (K,)."""
    x = (q - start) / step
    last = table.shape[0] - 1
    if x <= 0.0:
        return table[0]
    if x >= last:
        return table[last]
    k = int(x)
    return table[k] + (x - k) * (table[k + 1] - table[k])


@njit(cache=True)
def spool_flow(u: float, band: float, curve: float, max_flow: Any) -> Any:
    """Signed flow at spool command u, without dead time and lag [m³/s]; ``max_flow`` (2,)."""
    s = (abs(u) - band) / (1.0 - band)
    if s <= 0.0:
        return 0.0
    if s > 1.0:
        s = 1.0
    return max_flow[1] * s**curve if u > 0.0 else -max_flow[0] * s**curve


@njit(cache=True)
def spool_command(flow: float, band: float, curve: float, max_flow: Any, soft: float) -> Any:
    """Spool command for a signed flow, in [−1, 1]; inverse of :func:`spool_flow`.

    Below ``soft`` of the full flow the step over the dead band is a ramp, so that noise about
    zero flow does not make the spool jump from side to side.
    """
    full = max_flow[1] if flow > 0.0 else max_flow[0]
    s = abs(flow) / full
    if s > 1.0:
        s = 1.0
    if s < soft:
        u = (band + (1.0 - band) * soft ** (1.0 / curve)) * s / soft
    else:
        u = band + (1.0 - band) * s ** (1.0 / curve)
    return u if flow > 0.0 else -u
