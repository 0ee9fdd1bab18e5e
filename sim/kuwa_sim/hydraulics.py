"""Valves, pump and oil columns: from spool commands to joint torques.

Each function runs: dead time → dead band → flow curve → first-order lag → flow from the pump → oil
column → relief. With load sensing the pump holds the highest load pressure plus a margin, and the
functions share what it can give by demand; open-centre valves are in
:mod:`kuwa_sim.open_centre`. The oil column between valve and piston is a stiff spring,

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
from kuwa_machines.spec import CylinderDrive, HydrostaticDrive, LoadSensing, MachineSpec
from kuwa_sim.circuit_layout import (
    AREA_EXTEND,
    AREA_RETRACT,
    BULK,
    CIRCUIT,
    CIRCUITS,
    COLUMN,
    CURVE,
    DAMPING_TIME,
    DEAD_BAND,
    DEAD_VOLUME,
    DELAY_STEPS,
    FLOW,
    FLOW_NEG,
    FLOW_POS,
    FORCE,
    HEAD_PRESSURE,
    INLET_POS,
    LAG,
    LEAKAGE,
    LENGTH_MAX,
    LENGTH_MIN,
    MARGIN,
    MAX_FLOW,
    MAX_POWER,
    N_PARAMETERS,
    N_PUMP,
    N_STATES,
    OUTLET_NEG,
    OVERFLOW,
    PUMP_FLOW,
    PUMP_POWER,
    PUMP_PRESSURE,
    PUMP_RELIEF,
    Q_LOW,
    Q_STEP,
    RELIEF,
    ROD_PRESSURE,
    SPOOL,
    STANDBY,
    STROKE,
    TABLE_POINTS,
    TANK,
    TORQUE,
    column_stiffness,
    interpolate,
)
from kuwa_sim.open_centre import bypass_table, conductances, step_open_centre


class HydraulicCircuit:
    """All functions of one machine on its working pump, stepped in place; travel has its own.

    Args:
        spec: the machine.
        dt: physics step [s]; dead times are rounded to whole steps.
    """

    def __init__(self, spec: MachineSpec, dt: float) -> None:
        h = spec.hydraulics
        joints = [
            (name, joint, joint.drive)
            for name, joint in spec.joints.items()
            if not isinstance(joint.drive, HydrostaticDrive)
        ]
        n = len(joints)
        self.dt = dt
        self.parameters = np.zeros((n, N_PARAMETERS))
        self.table = np.zeros((n, 2, TABLE_POINTS))
        self.bypass = np.zeros((n, 2, TABLE_POINTS))
        for i, (name, joint, drive) in enumerate(joints):
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
            if not isinstance(h, LoadSensing):
                p[INLET_POS : OUTLET_NEG + 1] = conductances(h, name, drive)
                p[CIRCUIT] = h.spools[name].pump - 1
                self.bypass[i] = bypass_table(h, name, drive)
        self.pump = np.zeros(N_PUMP)
        self.pump[[MAX_FLOW, MAX_POWER, PUMP_RELIEF]] = h.pump_flow, h.pump_power, h.pump_relief
        self.pump[[TANK, BULK]] = h.tank_pressure, h.bulk_modulus
        if isinstance(h, LoadSensing):
            self.pump[MARGIN] = h.load_sensing_margin
        else:
            self.pump[[MAX_FLOW, MAX_POWER]] /= h.pumps
            self.pump[CIRCUITS:] = (
                h.pumps, h.standby_flow, h.control_low, h.control_high, h.pump_time_constant,
                h.control_high / h.standby_flow**2,
            )  # fmt: skip
        self.states = np.zeros((n, N_STATES))
        self.pump_state = np.zeros(STROKE + 2 * max(int(self.pump[CIRCUITS]), 1))
        self.pump_state[STROKE::2] = self.pump[STANDBY]
        self.history = np.zeros((n, 1 + int(self.parameters[:, DELAY_STEPS].max(initial=0))))
        self.head = np.zeros(1, dtype=np.int64)

    def reset(self, q: Array, holding_torque: Array) -> None:
        """Centre the spools and set the oil columns to carry ``holding_torque`` [N·m] at rest."""
        self.states[:] = 0.0
        self.pump_state[:] = 0.0
        self.pump_state[STROKE::2] = self.pump[STANDBY]
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
def valve_flow(u, band, curve):  # type: ignore[no-untyped-def]
    """Fraction of full flow that a spool command u asks for: dead band, then a power curve."""
    magnitude = (abs(u) - band) / (1.0 - band)
    if magnitude <= 0.0:
        return 0.0
    return math.copysign(min(magnitude, 1.0) ** curve, u)


# fmt: off
@njit(cache=True)
def step_circuit(  # type: ignore[no-untyped-def]
    command, q, qd, p, table, bypass, pump, x, pump_x, history, head, dt
):
    # fmt: on
    """Advance all functions by dt; torques are left in ``x[:, TORQUE]``.

    Args:
        command: spool commands, shape (n,), in [-1, 1], positive along the positive joint.
        q, qd: joint positions and velocities, shape (n,) [rad], [rad/s].
        p, table, bypass, pump, x, pump_x, history, head: arrays of a HydraulicCircuit.
    """
    n = command.shape[0]
    length = history.shape[1]
    head[0] = (head[0] + 1) % length
    for i in range(n):
        history[i, head[0]] = command[i]
        u = history[i, (head[0] - int(p[i, DELAY_STEPS])) % length]
        target = valve_flow(u, p[i, DEAD_BAND], p[i, CURVE])
        x[i, SPOOL] += dt / p[i, LAG] * (target - x[i, SPOOL])
        if target == 0.0 and abs(x[i, SPOOL]) < 1e-3:
            x[i, SPOOL] = 0.0
    if pump[CIRCUITS] == 0.0:
        step_load_sensing(q, p, table, pump, x, pump_x)
    else:
        step_open_centre(q, qd, p, table, bypass, pump, x, pump_x, dt)

    for i in range(n):
        lever = interpolate(table[i, 1], p[i], q[i])
        a_h, a_r = p[i, AREA_EXTEND], p[i, AREA_RETRACT]
        flow = x[i, FLOW] if lever > 0.0 else -x[i, FLOW]
        wanted = flow / (a_h if flow > 0.0 else a_r)
        stiffness = column_stiffness(p[i], table[i], pump[BULK], q[i])
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


@njit(cache=True)
def step_load_sensing(q, p, table, pump, x, pump_x):  # type: ignore[no-untyped-def]
    """Leave each function's flow in ``x[:, FLOW]``: its demand, or its share of the pump's flow."""
    n = q.shape[0]
    demand = 0.0
    load_pressure = 0.0
    for i in range(n):
        s = x[i, SPOOL]
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
        x[i, FLOW] *= share
