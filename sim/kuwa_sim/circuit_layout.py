"""Where each number of a hydraulic circuit stands in its arrays, and how tables are read."""

from __future__ import annotations

from numba import njit

TABLE_POINTS = 257
"""Knots of the tables of cylinder length, lever arm and bypass."""

# Columns of the per-function parameter array.
(
    DELAY_STEPS, DEAD_BAND, CURVE, LAG, FLOW_POS, FLOW_NEG, AREA_EXTEND, AREA_RETRACT,
    DEAD_VOLUME, RELIEF, LEAKAGE, DAMPING_TIME, Q_LOW, Q_STEP, LENGTH_MIN, LENGTH_MAX,
    INLET_POS, INLET_NEG, OUTLET_POS, OUTLET_NEG, CIRCUIT,
) = range(21)  # fmt: skip
N_PARAMETERS = 21

# Columns of the per-function state array; the last four are of an open-centre valve only.
SPOOL, FORCE, FLOW, TORQUE, HEAD_PRESSURE, ROD_PRESSURE, OVERFLOW, COLUMN = range(8)
INLET, OUTLET, LOAD, GIVE = range(8, 12)
N_STATES = 12

# Entries of the pump array; those after the bulk modulus are of open-centre valves only, whose
# flow and power are those of one pump. CIRCUITS is zero with load sensing.
(
    MAX_FLOW, MAX_POWER, PUMP_RELIEF, MARGIN, TANK, BULK, CIRCUITS, STANDBY, CONTROL_LOW,
    CONTROL_HIGH, PUMP_LAG, ORIFICE,
) = range(12)  # fmt: skip
N_PUMP = 12

# Entries of the pumps' state; the last two once for every circuit of open-centre valves.
PUMP_PRESSURE, PUMP_FLOW, PUMP_POWER, STROKE, CONTROL = range(5)


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
def column_stiffness(p, table, bulk, q):  # type: ignore[no-untyped-def]
    """K of one function's oil column at q; ``p`` and ``table`` are its rows."""
    a_h, a_r = p[AREA_EXTEND], p[AREA_RETRACT]
    if p[LENGTH_MAX] > 0.0:
        piston = interpolate(table[0], p, q)
        v_h = p[DEAD_VOLUME] + a_h * max(piston - p[LENGTH_MIN], 0.0)
        v_r = p[DEAD_VOLUME] + a_r * max(p[LENGTH_MAX] - piston, 0.0)
    else:
        v_h = v_r = p[DEAD_VOLUME]
    return bulk * (a_h * a_h / v_h + a_r * a_r / v_r)
