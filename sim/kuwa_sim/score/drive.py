"""Figures of driving: how much wheels and tracks slip."""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.spec import HydrostaticDrive, MachineSpec, Tracks
from kuwa_sim.score.log import Mask, WorkLog

MOVING = 0.15
"""Slower than this nothing is said of slip [m/s]."""


def rolling_radii(spec: MachineSpec) -> dict[str, float]:
    """Return the radius at which each driven wheel or sprocket drives, by joint name [m]."""
    under = spec.undercarriage
    if isinstance(under, Tracks):
        joints = [name for name in (under.left, under.right) if name is not None]
        return dict.fromkeys(joints, under.sprocket_radius)
    driven = {
        joint.child: name
        for name, joint in spec.joints.items()
        if isinstance(joint.drive, HydrostaticDrive)
    }
    return {
        driven[wheel.link]: under.tyres[wheel.tyre].diameter / 2
        for wheel in under.wheels.values()
        if wheel.link in driven
    }


def mean_slip(log: WorkLog, spec: MachineSpec, rows: Mask | None = None) -> float | None:
    """Return the mean of 1 − v/(ω r) over the rows in which the machine drives, or None."""
    radii = rolling_radii(spec)
    if not radii or not log.velocity.size:
        return None
    columns = [spec.joint_names.index(name) for name in radii]
    turned = (log.qd[:, columns] * np.array(list(radii.values()))).mean(axis=1)
    forward = forward_speed(log)
    driving = np.abs(turned) > MOVING
    if rows is not None:
        driving &= rows
    if not driving.any():
        return None
    return float(np.mean(1.0 - forward[driving] / turned[driving]))


def forward_speed(log: WorkLog) -> Array:
    """Return the speed along the machine's heading, shape (N,) [m/s]."""
    v = log.velocity
    return np.asarray(v[:, 0] * np.cos(log.heading) + v[:, 1] * np.sin(log.heading))
