"""How a joint answers valve commands by the machine's data: what a measurement is held against.

u → dead time → dead band → curve → lag → speed of the oil, then the oil column as a spring between
valve and joint (Merritt 1967, ch. 6), with ``J`` of what hangs on the joint:

    J q̈ = K (x − q) + K t_d (ẋ − q̇) − b q̇

A travel drive has a stiff circuit of its own: its shaft turns as the pilot asks.
"""

from __future__ import annotations

import math

import numpy as np

from kuwa_hardware.flow import FlowCurve
from kuwa_machines.contracts import Array
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, HydrostaticDrive, MachineSpec

DT = 0.002
"""Of the integration [s]."""


def response(
    spec: MachineSpec, joint: int, q: Array, inertia: float, t: Array, u: Array, until: float
) -> tuple[Array, Array]:
    """Return times [s] and the way of one joint [rad] under its commands, from rest at ``t[0]``.

    Args:
        joint: by its place in the machine's order.
        q: where the joints stand, shape (n,) [rad].
        inertia: about the joint, from :class:`kuwa_hardware.preflight.weights.Weights` [kg·m²].
        t, u: commands as they were applied, each in force until the next, shape (k,).
        until: end of the answer [s].
    """
    drive = list(spec.joints.values())[joint].drive
    valve, curve = drive.valve, FlowCurve(spec)
    times = np.arange(t[0], until, DT)
    late = np.searchsorted(t, times - valve.dead_time, side="right") - 1
    commands = np.where(late >= 0, np.asarray(u)[late], 0.0)
    speeds = {c: curve.one(joint, c, float(q[joint])) for c in set(commands.tolist())}
    rate = 1.0 - math.exp(-DT / valve.time_constant)
    stiffness, damping, friction = 0.0, 0.0, 0.0
    if not isinstance(drive, HydrostaticDrive):
        stiffness = column_stiffness(spec, joint, float(q[joint]))
        damping, friction = stiffness * drive.damping_time, drive.friction
    v = x = way = speed = 0.0
    out = np.zeros(len(times))
    for k, command in enumerate(commands.tolist()):
        out[k] = way
        v += rate * (speeds[command] - v)
        x += v * DT
        if stiffness == 0.0:
            way = x
            continue
        # Implicit in the joint's speed: stiff columns of light tools stay stable.
        push = stiffness * (x - way) + damping * v
        brake = stiffness * DT + damping + friction
        speed = (inertia * speed + DT * push) / (inertia + DT * brake)
        way += speed * DT
    return times, out


def column_stiffness(spec: MachineSpec, joint: int, q: float) -> float:
    """Return the stiffness of the oil column of a working function, at its joint [N·m/rad]."""
    j = list(spec.joints.values())[joint]
    drive, bulk = j.oil, spec.hydraulics.bulk_modulus
    if not isinstance(drive, CylinderDrive):
        return 2.0 * bulk * drive.displacement**2 / drive.dead_volume
    lengths = drive.linkage.length(np.linspace(j.position.min, j.position.max, 65))
    length = float(drive.linkage.length(np.array([q]))[0])
    head = drive.dead_volume + drive.head_area * max(length - float(lengths.min()), 0.0)
    rod = drive.dead_volume + drive.rod_area * max(float(lengths.max()) - length, 0.0)
    arm = float(lever_arm(drive.linkage, np.array([q]))[0])
    return arm**2 * bulk * (drive.head_area**2 / head + drive.rod_area**2 / rod)
