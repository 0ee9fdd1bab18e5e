"""Valves, pump and oil columns: from spool commands to joint torques.

Each function runs: dead time → dead band → flow curve → first-order lag → share of the pump's flow
and power → oil column → relief. The oil column between valve and piston is a stiff spring,

    K = β (A_h²/V_h + A_r²/V_r)  [N/m]  (cylinder),   K = 2 β D²/V  [N·m/rad]  (motor)

(Merritt 1967, *Hydraulic Control Systems*, ch. 6), driven by the difference of the velocity that
the valve's flow asks for and the piston's velocity. The net force is limited by the relief
pressure, so a blocked function stalls; a closed valve holds, up to a leakage that lets a load
sink slowly.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, HydrostaticDrive, MachineSpec

TABLE_POINTS = 257
"""Knots of the tables of cylinder length and lever arm over the joint's range."""

# Columns of the per-function parameter array.
(
    DELAY_STEPS, DEAD_BAND, CURVE, LAG, FLOW_POS, FLOW_NEG, AREA_EXTEND, AREA_RETRACT,
    DEAD_VOLUME, RELIEF, LEAKAGE, DAMPING_TIME, Q_LOW, Q_STEP, LENGTH_MIN, LENGTH_MAX,
) = range(16)  # fmt: skip
N_PARAMETERS = 16

# Columns of the per-function state array.
SPOOL, FORCE, FLOW, TORQUE, HEAD_PRESSURE, ROD_PRESSURE, OVERFLOW, COLUMN = range(8)
N_STATES = 8

# Entries of the pump arrays.
MAX_FLOW, MAX_POWER, PUMP_RELIEF, MARGIN, TANK, BULK = range(6)
PUMP_PRESSURE, PUMP_FLOW, PUMP_POWER = range(3)


class HydraulicCircuit:
    """All functions of one machine on its working pump, stepped in place; travel has its own.

    Args:
        spec: the machine.
        dt: physics step [s]; dead times are rounded to whole steps.
    """

    def __init__(self, spec: MachineSpec, dt: float) -> None:
        joints = [
            (joint, joint.drive)
            for joint in spec.joints.values()
            if not isinstance(joint.drive, HydrostaticDrive)
        ]
        n = len(joints)
        self.dt = dt
        self.parameters = np.zeros((n, N_PARAMETERS))
        self.table = np.zeros((n, 2, TABLE_POINTS))
        for i, (joint, drive) in enumerate(joints):
            valve = drive.valve
            p = self.parameters[i]
            p[DELAY_STEPS] = round(valve.dead_time / dt)
            p[DEAD_BAND], p[CURVE], p[LAG] = valve.dead_band, valve.curve, valve.time_constant
            p[FLOW_POS], p[FLOW_NEG] = valve.max_flow_positive, valve.max_flow_negative
            p[DEAD_VOLUME], p[RELIEF], p[LEAKAGE] = drive.dead_volume, drive.relief, drive.leakage
            p[DAMPING_TIME] = drive.damping_time
            # The tables reach past the limits, where the end stops let a joint go a little.
            q = np.linspace(joint.position.min - 0.05, joint.position.max + 0.05, TABLE_POINTS)
            p[Q_LOW], p[Q_STEP] = q[0], q[1] - q[0]
            if isinstance(drive, CylinderDrive):
                p[AREA_EXTEND], p[AREA_RETRACT] = drive.head_area, drive.rod_area
                self.table[i, 0] = drive.linkage.length(q)
                self.table[i, 1] = lever_arm(drive.linkage, q)
                p[LENGTH_MIN], p[LENGTH_MAX] = self.table[i, 0].min(), self.table[i, 0].max()
            else:
                # A motor is a cylinder of area D [m³/rad] with a lever arm of one.
                p[AREA_EXTEND] = p[AREA_RETRACT] = drive.displacement
                self.table[i, 1] = 1.0
        h = spec.hydraulics
        self.pump = np.array([
            h.pump_flow, h.pump_power, h.pump_relief,
            h.load_sensing_margin, h.tank_pressure, h.bulk_modulus,
        ])  # fmt: skip
        self.states = np.zeros((n, N_STATES))
        self.pump_state = np.zeros(3)
        self.history = np.zeros((n, 1 + int(self.parameters[:, DELAY_STEPS].max(initial=0))))
        self.head = np.zeros(1, dtype=np.int64)

    def reset(self, q: Array, holding_torque: Array) -> None:
        """Centre the spools and set the oil columns to carry ``holding_torque`` [N·m] at rest."""
        self.states[:] = 0.0
        self.pump_state[:] = 0.0
        self.history[:] = 0.0
        self.head[0] = 0
        for i in range(len(q)):
            lever = interpolate(self.table[i, 1], self.parameters[i], q[i])
            self.states[i, FORCE] = self.states[i, COLUMN] = holding_torque[i] / lever
            self.states[i, TORQUE] = holding_torque[i]

    @property
    def pressures(self) -> Array:
        """Head and rod pressure (ports A and B of a motor) by function, shape (n, 2) [Pa]."""
        return self.states[:, HEAD_PRESSURE : ROD_PRESSURE + 1].copy()


@njit(cache=True)
def interpolate(table, p, q):  # type: ignore[no-untyped-def]
    """Linear interpolation in a table over the joint's range; held at its ends."""
    x = (q - p[Q_LOW]) / p[Q_STEP]
    k = int(x)
    if k < 0:
        return table[0]
    if k >= table.shape[0] - 1:
        return table[-1]
    return table[k] + (x - k) * (table[k + 1] - table[k])


@njit(cache=True)
def valve_flow(u, band, curve):  # type: ignore[no-untyped-def]
    """Fraction of full flow that a spool command u asks for: dead band, then a power curve."""
    magnitude = (abs(u) - band) / (1.0 - band)
    if magnitude <= 0.0:
        return 0.0
    return math.copysign(min(magnitude, 1.0) ** curve, u)


@njit(cache=True)
def step_circuit(command, q, qd, p, table, pump, x, pump_x, history, head, dt):  # type: ignore[no-untyped-def]
    """Advance all functions by dt; torques are left in ``x[:, TORQUE]``.

    Args:
        command: spool commands, shape (n,), in [-1, 1], positive along the positive joint.
        q, qd: joint positions and velocities, shape (n,) [rad], [rad/s].
        p, table, pump, x, pump_x, history, head: arrays of a HydraulicCircuit.
    """
    n = command.shape[0]
    length = history.shape[1]
    head[0] = (head[0] + 1) % length
    demand = 0.0
    load_pressure = 0.0
    for i in range(n):
        history[i, head[0]] = command[i]
        u = history[i, (head[0] - int(p[i, DELAY_STEPS])) % length]
        target = valve_flow(u, p[i, DEAD_BAND], p[i, CURVE])
        x[i, SPOOL] += dt / p[i, LAG] * (target - x[i, SPOOL])
        s = x[i, SPOOL]
        if target == 0.0 and abs(s) < 1e-3:
            x[i, SPOOL] = s = 0.0
        x[i, FLOW] = s * (p[i, FLOW_POS] if s > 0.0 else p[i, FLOW_NEG])
        demand += abs(x[i, FLOW])
        if s != 0.0:
            extending = (s > 0.0) == (interpolate(table[i, 1], p[i], q[i]) > 0.0)
            pressure = x[i, HEAD_PRESSURE] if extending else x[i, ROD_PRESSURE]
            load_pressure = max(load_pressure, pressure)

    pump_pressure = min(load_pressure + pump[MARGIN], pump[PUMP_RELIEF])
    available = min(pump[MAX_FLOW], pump[MAX_POWER] / pump_pressure)
    share = min(1.0, available / demand) if demand > 0.0 else 1.0
    pump_x[PUMP_PRESSURE] = pump_pressure if demand > 0.0 else pump[MARGIN]
    pump_x[PUMP_FLOW] = demand * share
    pump_x[PUMP_POWER] = pump_x[PUMP_PRESSURE] * pump_x[PUMP_FLOW]

    for i in range(n):
        lever = interpolate(table[i, 1], p[i], q[i])
        a_h, a_r = p[i, AREA_EXTEND], p[i, AREA_RETRACT]
        x[i, FLOW] *= share
        flow = x[i, FLOW] if lever > 0.0 else -x[i, FLOW]
        wanted = flow / (a_h if flow > 0.0 else a_r)
        if p[i, LENGTH_MAX] > 0.0:
            piston = interpolate(table[i, 0], p[i], q[i])
            v_h = p[i, DEAD_VOLUME] + a_h * max(piston - p[i, LENGTH_MIN], 0.0)
            v_r = p[i, DEAD_VOLUME] + a_r * max(p[i, LENGTH_MAX] - piston, 0.0)
        else:
            v_h = v_r = p[i, DEAD_VOLUME]
        stiffness = pump[BULK] * (a_h * a_h / v_h + a_r * a_r / v_r)
        leak = p[i, LEAKAGE] * x[i, COLUMN] / (a_h * a_h)
        slip = wanted - lever * qd[i] - leak
        most = p[i, RELIEF] * a_h - pump[TANK] * a_r
        least = -(p[i, RELIEF] * a_r - pump[TANK] * a_h)
        x[i, COLUMN] = min(max(x[i, COLUMN] + dt * stiffness * slip, least), most)
        damped = x[i, COLUMN] + stiffness * p[i, DAMPING_TIME] * slip
        force = min(max(damped, least), most)
        x[i, OVERFLOW] = 1.0 if force != damped else 0.0
        x[i, FORCE] = force
        x[i, TORQUE] = force * lever
        if force >= 0.0:
            x[i, ROD_PRESSURE] = pump[TANK]
            x[i, HEAD_PRESSURE] = (force + pump[TANK] * a_r) / a_h
        else:
            x[i, HEAD_PRESSURE] = pump[TANK]
            x[i, ROD_PRESSURE] = (pump[TANK] * a_h - force) / a_r
