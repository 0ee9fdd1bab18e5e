"""What a valve command makes of a joint's speed once everything has settled, and back.

    |q̇| = Q_max s^curve / D(q),  s = (|u| − band)/(1 − band)

with D the motor's displacement, or |dL/dq| times the piston area on the side that the oil enters; a
travel drive turns at s^curve of its full speed. Pump limits and loads are left out: this is for low
commands, and for drivers of machines that are told velocities where Kuwa speaks of valves.
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, HydrostaticDrive, Joint, MachineSpec

LEAST_DISPLACEMENT = 1e-5
"""Near a linkage's dead centre a drop of oil would turn the joint at any speed [m³/rad]."""


class FlowCurve:
    """The steady speeds of all joints of a machine, in its joint order.

    Args:
        spec: the machine.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self._joints = tuple(spec.joints.values())

    def velocity(self, u: Array, q: Array) -> Array:
        """Return the joint velocities of valve commands, shape (n,) [rad/s].

        Args:
            u: valve commands, shape (n,), in [-1, 1]. q: joint positions, shape (n,) [rad].
        """
        return np.array(
            [self.one(i, float(u[i]), float(q[i])) for i in range(len(self._joints))], dtype=float
        )

    def valve(self, v: Array, q: Array) -> Array:
        """Return the valve commands of joint velocities, shape (n,), in [-1, 1].

        Args:
            v: joint velocities, shape (n,) [rad/s]. q: joint positions, shape (n,) [rad].
        """
        return np.array(
            [self.inverse(i, float(v[i]), float(q[i])) for i in range(len(self._joints))],
            dtype=float,
        )

    def one(self, joint: int, u: float, q: float) -> float:
        """Return the velocity of one joint, by its place in the machine's order [rad/s]."""
        valve = self._joints[joint].drive.valve
        s = (min(abs(u), 1.0) - valve.dead_band) / (1.0 - valve.dead_band)
        if s <= 0.0:
            return 0.0
        return float(np.copysign(s**valve.curve * full_speed(self._joints[joint], q, u), u))

    def inverse(self, joint: int, v: float, q: float) -> float:
        """Return the valve command of one joint's velocity, in [-1, 1]; 0 for 0."""
        if v == 0.0:
            return 0.0
        valve = self._joints[joint].drive.valve
        s = min(abs(v) / full_speed(self._joints[joint], q, v), 1.0)
        u = valve.dead_band + (1.0 - valve.dead_band) * s ** (1.0 / valve.curve)
        return float(np.copysign(u, v))


def full_speed(joint: Joint, q: float, direction: float) -> float:
    """Return the speed of a joint at full command, of the valve alone [rad/s]."""
    drive = joint.drive
    if isinstance(drive, HydrostaticDrive):
        return joint.velocity
    valve = drive.valve
    flow = valve.max_flow_positive if direction > 0.0 else valve.max_flow_negative
    if not isinstance(drive, CylinderDrive):
        return flow / drive.displacement
    arm = float(lever_arm(drive.linkage, np.array([q]))[0])
    area = drive.head_area if (arm > 0.0) == (direction > 0.0) else drive.rod_area
    return flow / max(abs(arm) * area, LEAST_DISPLACEMENT)
