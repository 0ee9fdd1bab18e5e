"""What a machine's drives do to a command, as tables: spool → oil flow → joint velocity, and back.

A joint that turns at q̇ takes the oil flow Q = D(q)·|q̇| from the pump, where D is the motor's
displacement or |dL/dq| times the piston area on the side that the oil enters: head when the
cylinder extends, annulus when it retracts. The valve gives Q = Q_max·s^curve with
s = (|u| − band)/(1 − band).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, Joint, MachineSpec, MotorDrive

TABLE_POINTS = 257
"""Between two of them the linkages differ from a straight line by less than 1e-4."""


class DriveModel:
    """The drives of a machine as arrays in joint order; index 0 negative, 1 positive direction.

    Attributes:
        dead_time, dead_band, curve, lag: shape (n,).
        max_flow: shape (n, 2) [m³/s].
        displacement: D on a grid of joint angles, shape (n, 2, TABLE_POINTS) [m³/rad].
        grid_start, grid_step: of that grid, shape (n,) [rad].
        pump_flow: what all functions share [m³/s].
    """

    def __init__(self, spec: MachineSpec) -> None:
        joints = list(spec.joints.values())
        valves = [joint.oil.valve for joint in joints]
        self.dead_time = np.array([v.dead_time for v in valves])
        self.dead_band = np.array([v.dead_band for v in valves])
        self.curve = np.array([v.curve for v in valves])
        self.lag = np.array([v.time_constant for v in valves])
        self.max_flow = np.array([[v.max_flow_negative, v.max_flow_positive] for v in valves])
        self.grid_start = spec.q_min.copy()
        self.grid_step = (spec.q_max - spec.q_min) / (TABLE_POINTS - 1)
        self.displacement = np.stack([_displacement(joint) for joint in joints])
        self.pump_flow = spec.hydraulics.pump_flow

    def flow(self, q: Array, qd: Array) -> Array:
        """Return the oil each joint takes, shape (..., n) [m³/s], for q and qd of that shape."""
        out = np.zeros(q.shape)
        K = TABLE_POINTS
        for j in range(len(self.grid_step)):
            x = np.clip((q[..., j] - self.grid_start[j]) / self.grid_step[j], 0, K - 1.001)
            k = x.astype(int)
            side = (qd[..., j] > 0).astype(int)
            table = self.displacement[j]
            D = table[side, k] + (x - k) * (table[side, k + 1] - table[side, k])
            out[..., j] = D * np.abs(qd[..., j])
        return out


class SlewingGive:
    """How far the oil of a slewing motor runs ahead of the front that it turns.

    The oil column is a spring of stiffness K = 2 β D²/V (Merritt 1967). It turns the front with the
    torque d(I q̇)/dt, I being the front's inertia about the swing axis, so that the oil is ahead by

        L + T_d dL/dt = (1/K) d(I q̇)/dt

    where T_d is the column's damping time. Cylinders are so much stiffer that nothing is gained
    there.
    """

    def __init__(self, spec: MachineSpec) -> None:
        joints = list(spec.joints.values())
        drive = joints[0].oil
        self._stiffness = math.inf
        self._damping_time = drive.damping_time
        if isinstance(drive, MotorDrive):
            bulk = spec.hydraulics.bulk_modulus
            self._stiffness = 2 * bulk * drive.displacement**2 / drive.dead_volume
        links = [spec.links[j.child] for j in joints]
        self._mass = np.array([link.mass for link in links])
        # In each link's frame, (x, z) of its centre of mass and of the next joint, or of the load.
        self._com = np.array([[link.com[0], link.com[2]] for link in links])
        origins = [[j.origin[0], j.origin[2]] for j in joints[1:]]
        self._next = np.array([*origins, np.array(spec.bucket.profile[-1]) / 2])
        self._own = float(sum(link.inertia[2] for link in links))

    def lead(self, t: Array, q: Array, qd: Array, load: float) -> tuple[Array, Array]:
        """Return L and its rate along a trajectory, each shape (K,) [rad], [rad/s].

        Args:
            t, q, qd: of the trajectory, shapes (K,), (K, n), (K, n).
            load: mass in the tool [kg]; NaN counts as none.
        """
        out = np.zeros((2, len(t)))
        if len(t) >= 3 and math.isfinite(self._stiffness):
            load = load if load > 0.0 else 0.0
            _lead(
                t, q, qd, self._mass, self._com, self._next, self._own, load,
                self._stiffness, self._damping_time, out,
            )  # fmt: skip
        return out[0], out[1]


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


@njit(cache=True)
def slewing_inertia(q: Any, mass: Any, com: Any, joint: Any, own: float, load: float) -> Any:
    """Inertia about the swing axis at q: point masses at the links' centres, plus their own."""
    total, r, pitch = own, 0.0, 0.0
    for i in range(mass.shape[0]):
        if i > 0:
            pitch += q[i]
        c, s = math.cos(pitch), math.sin(pitch)
        total += mass[i] * (r + c * com[i, 0] + s * com[i, 1]) ** 2
        r += c * joint[i, 0] + s * joint[i, 1]
    return total + load * r**2


@njit(cache=True)
def _gradient(x: Any, t: Any, out: Any) -> None:
    """Central differences; one-sided at the ends."""
    n = t.shape[0]
    for k in range(n):
        i, j = max(k - 1, 0), min(k + 1, n - 1)
        out[k] = (x[j] - x[i]) / (t[j] - t[i])


@njit(cache=True)
def _lead(
    t: Any, q: Any, qd: Any, mass: Any, com: Any, joint: Any, own: float, load: float,
    stiffness: float, damping_time: float, out: Any,
) -> None:  # fmt: skip
    """See :class:`SlewingGive`, to first order in the damping time; writes L and its rate."""
    n = t.shape[0]
    momentum, torque, rate = np.empty(n), np.empty(n), np.empty(n)
    for k in range(n):
        momentum[k] = slewing_inertia(q[k], mass, com, joint, own, load) * qd[k, 0]
    _gradient(momentum, t, torque)
    _gradient(torque, t, rate)
    for k in range(n):
        out[0, k] = (torque[k] - damping_time * rate[k]) / stiffness
    _gradient(out[0], t, out[1])
