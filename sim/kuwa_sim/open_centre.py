"""Open-centre valves under negative flow control.

A pump feeds the functions of its circuit and, through the bypasses of their spools in a row, an
orifice before the tank. All are turbulent restrictions, Q = C √Δp (Merritt 1967, *Hydraulic Control
Systems*, ch. 3). With the pump's pressure p and the load pressure p_L of a function's inlet (net
force over the area that the oil enters),

    Q = √((p − p_L)/(1/C_in² + 1/C_out²))          both edges of its spool; a check valve holds
    Q = C_out √(p_tank − p_L),  C_in √(p − p_tank) of it from the pump    the load pulls, and the
                                                    inlet is made up from the tank
    Q_b = √(p/(R_orifice + Σ R_bypass))             the bypass
    p_c = R_orifice Q_b²                            control pressure
    Q_pump → Q_max − (Q_max − Q_standby) (p_c − p_low)/(p_high − p_low), first-order lag

and p is where Q_b + Σ Q = min(Q_pump, P/p): the lightest load moves first, and a heavy one only
once the bypass is throttled enough (Axin 2015, *Mobile Working Hydraulic System Dynamics*,
Linköping, on open-centre systems). The oil column that a flow fills rises within the step, so p_L
is taken at the step's end, p_L = LOAD + GIVE · Q, which keeps the stiff column stable.

A spool's bypass is cut so that, alone and at its design load, a function's flow goes with the
opening: R_bypass(s) follows from the equations above with Q = s · Q_full, beyond a notch in which
it leaves its neutral width.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.drives import OilDrive
from kuwa_machines.spec import NegativeFlow
from kuwa_sim.circuit_layout import (
    AREA_EXTEND,
    AREA_RETRACT,
    BULK,
    CIRCUIT,
    CIRCUITS,
    COLUMN,
    CONTROL,
    CONTROL_HIGH,
    CONTROL_LOW,
    DAMPING_TIME,
    FLOW,
    GIVE,
    INLET,
    INLET_POS,
    LEAKAGE,
    LOAD,
    MAX_FLOW,
    MAX_POWER,
    ORIFICE,
    OUTLET,
    OUTLET_POS,
    PUMP_FLOW,
    PUMP_LAG,
    PUMP_POWER,
    PUMP_PRESSURE,
    PUMP_RELIEF,
    RELIEF,
    SPOOL,
    STANDBY,
    STROKE,
    TABLE_POINTS,
    TANK,
    column_stiffness,
    interpolate,
)

HALVINGS = 44
"""Of the pump's range of pressure: down to a microbar."""


def conductances(h: NegativeFlow, name: str, drive: OilDrive) -> tuple[float, ...]:
    """Return C of a fully open spool: inlet positive, negative, outlet positive, negative."""
    spool, valve = h.spools[name], drive.valve
    full = (valve.max_flow_positive, valve.max_flow_negative)
    edges = (spool.positive, spool.negative)
    inlets = [flow / math.sqrt(h.inlet_drop) for flow in full]
    outlets = [f / math.sqrt(e.outlet_drop) for f, e in zip(full, edges, strict=True)]
    return (*inlets, *outlets)


def bypass_table(h: NegativeFlow, name: str, drive: OilDrive) -> Array:
    """Return C of a spool's bypass over its opening, 0 to 1, shape (2, TABLE_POINTS).

    Row 0 for the negative direction, row 1 for the positive.
    """
    orifice = h.control_high / h.standby_flow**2
    neutral = h.bypass_drop / h.standby_flow**2
    opening = np.linspace(0.0, 1.0, TABLE_POINTS)
    spool, valve = h.spools[name], drive.valve
    others = (sum(s.pump == spool.pump for s in h.spools.values()) - 1) * neutral
    out = np.empty((2, TABLE_POINTS))
    for row, edges, full in (
        (0, spool.negative, valve.max_flow_negative),
        (1, spool.positive, valve.max_flow_positive),
    ):
        pressure = max(edges.load + edges.outlet_drop, 0.0) + h.inlet_drop
        left = np.array([bypass_flow(h, full * s) for s in opening])
        with np.errstate(divide="ignore"):
            resistance = pressure / left**2 - orifice - others
        made = 1.0 / np.sqrt(np.maximum(resistance, neutral))
        notch = np.maximum(1.0 - opening / h.bypass_notch, 0.0) ** 2
        out[row] = made + (1.0 / math.sqrt(neutral) - made) * notch
    return out


def bypass_flow(h: NegativeFlow, taken: float) -> float:
    """Return what runs through a bypass at rest while its functions take ``taken`` [m³/s]."""
    low, high = 0.0, h.standby_flow
    orifice = h.control_high / h.standby_flow**2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        share = (orifice * middle**2 - h.control_low) / (h.control_high - h.control_low)
        most = h.pump_flow / h.pumps
        pump = most - (most - h.standby_flow) * min(max(share, 0.0), 1.0)
        low, high = (middle, high) if pump - middle > taken else (low, middle)
    return high if high > 1e-6 * h.standby_flow else 0.0


@njit(cache=True)
def _through(c2, give, drop):  # type: ignore[no-untyped-def]
    """Q = C √(drop − give · Q), zero if nothing drives it; ``c2`` is C²."""
    if drop <= 0.0:
        return 0.0
    b = c2 * give
    return 2.0 * c2 * drop / (b + math.sqrt(b * b + 4.0 * c2 * drop))


@njit(cache=True)
def _taken(x, relief, tank, p):  # type: ignore[no-untyped-def]
    """Flow into one function at pump pressure p, and what of it the pump gives."""
    inlet, outlet = x[INLET], x[OUTLET]
    if inlet <= 0.0:
        return 0.0, 0.0
    pulled = _through(outlet * outlet, x[GIVE], tank - x[LOAD])
    given = inlet * math.sqrt(max(p - tank, 0.0))
    if given < pulled:
        return pulled, given
    c2 = 1.0 / (1.0 / (inlet * inlet) + 1.0 / (outlet * outlet))
    flow = _through(c2, x[GIVE], p - x[LOAD])
    if p > relief:
        # What the port's relief valve lets go keeps the load pressure from rising further.
        flow = max(flow, math.sqrt(c2 * (p - relief)))
    return flow, flow


@njit(cache=True)
def step_open_centre(q, qd, p, table, bypass, pump, x, pump_x, dt):  # type: ignore[no-untyped-def]
    """Find the pump's pressure and leave each function's flow in ``x[:, FLOW]``.

    Args:
        bypass: of every spool, shape (n, 2, TABLE_POINTS); see :func:`bypass_table`.
        q, qd, p, table, pump, x, pump_x, dt: as for ``hydraulics.step_circuit``, spools moved.
    """
    pump_x[PUMP_PRESSURE] = pump_x[PUMP_FLOW] = pump_x[PUMP_POWER] = 0.0
    for i in range(q.shape[0]):
        s = x[i, SPOOL]
        opening = abs(s)
        side = 0 if s > 0.0 else 1
        x[i, INLET] = opening * p[i, INLET_POS + side]
        x[i, OUTLET] = opening * p[i, OUTLET_POS + side]
        if opening == 0.0:
            continue
        lever = interpolate(table[i, 1], p[i], q[i])
        out = 1.0 if (s > 0.0) == (lever > 0.0) else -1.0
        area = a_in = p[i, AREA_EXTEND]
        a_out = p[i, AREA_RETRACT]
        if out < 0.0:
            a_in, a_out = a_out, a_in
        stiffness = column_stiffness(p[i], table[i], pump[BULK], q[i])
        x[i, GIVE] = stiffness * (dt + p[i, DAMPING_TIME]) / (a_in * a_in)
        speed = out * (lever * qd[i] + p[i, LEAKAGE] * x[i, COLUMN] / (area * area))
        load = (out * x[i, COLUMN] + pump[TANK] * a_out) / a_in
        x[i, LOAD] = load - x[i, GIVE] * a_in * speed
    for circuit in range(int(pump[CIRCUITS])):
        _step_circuit(circuit, p, bypass, pump, x, pump_x, dt)


@njit(cache=True)
def _step_circuit(circuit, p, bypass, pump, x, pump_x, dt):  # type: ignore[no-untyped-def]
    """Balance one pump with its functions and its bypass, then move its swash plate."""
    n = p.shape[0]
    tank = pump[TANK]
    resistance = pump[ORIFICE]
    for i in range(n):
        if p[i, CIRCUIT] == circuit:
            at = min(abs(x[i, SPOOL]), 1.0) * (TABLE_POINTS - 1)
            k = min(int(at), TABLE_POINTS - 2)
            row = bypass[i, 1 if x[i, SPOOL] > 0.0 else 0]
            c = row[k] + (at - k) * (row[k + 1] - row[k])
            resistance = resistance + 1.0 / (c * c) if c > 0.0 else math.inf
    stroke = STROKE + 2 * circuit
    low, high = 0.0, pump[PUMP_RELIEF]
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        gone = math.sqrt(middle / resistance)
        for i in range(n):
            if p[i, CIRCUIT] == circuit:
                gone += _taken(x[i], p[i, RELIEF], tank, middle)[1]
        if gone < min(pump_x[stroke], pump[MAX_POWER] / middle):
            low = middle
        else:
            high = middle
    for i in range(n):
        if p[i, CIRCUIT] == circuit:
            flow = _taken(x[i], p[i, RELIEF], tank, high)[0]
            x[i, FLOW] = math.copysign(flow, x[i, SPOOL])
    given = min(pump_x[stroke], pump[MAX_POWER] / high)
    control = pump[ORIFICE] * high / resistance
    share = (control - pump[CONTROL_LOW]) / (pump[CONTROL_HIGH] - pump[CONTROL_LOW])
    wanted = pump[MAX_FLOW] - (pump[MAX_FLOW] - pump[STANDBY]) * min(max(share, 0.0), 1.0)
    pump_x[stroke] += dt / pump[PUMP_LAG] * (wanted - pump_x[stroke])
    pump_x[CONTROL + 2 * circuit] = control
    pump_x[PUMP_PRESSURE] = max(pump_x[PUMP_PRESSURE], high)
    pump_x[PUMP_FLOW] += given
    pump_x[PUMP_POWER] += high * given
