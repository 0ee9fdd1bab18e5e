"""The motion of all functions of a machine from their spool commands: the model that is fitted.

    target = max_flow · s^curve, s = (|u(t − dead_time)| − dead_band)/(1 − dead_band)
    lag · ṡ = target − s;  pump's flow and power shared by demand;
    Ḟ = K (flow/A − lever·q̇ − leak·F/A²), |F| within relief;
    M(q) (b̈, q̈) = g(q) + (ground, lever·F − c q̇)

The equations and the step are those of the simulator's plant (Merritt 1967, *Hydraulic Control
Systems*, ch. 6), so that what is identified reproduces there. The undercarriage rocks on the
ground by small motions b, on points that push and do not pull: a boom that is accelerated tilts
its machine. M, g, levers and oil stiffness are
taken along the measured posture, which leaves a model that is linear in the motion it predicts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

STEP = 0.002
"""Step of the model [s]; the simulator's plant takes the same."""

# Columns of the per-function parameters.
(
    LAG, FLOW_POS, FLOW_NEG, AREA_EXTEND, AREA_RETRACT, RELIEF, LEAKAGE, DAMPING_TIME, STIFFNESS,
    FRICTION,
) = range(10)  # fmt: skip
N_COLUMNS = 10

# Entries of the pump.
MAX_FLOW, MAX_POWER, PUMP_RELIEF, MARGIN, TANK = range(5)


@njit(cache=True, error_model="numpy")
def push(effort, base, speed, footing, spring, damper):  # type: ignore[no-untyped-def]
    """Put the normal forces of the ground on height, roll and pitch of the undercarriage."""
    effort[2] = effort[3] = effort[4] = 0.0
    for i in range(footing.shape[0]):
        x, y = footing[i, 0], footing[i, 1]
        depth = -(base[2] + base[3] * y - base[4] * x)
        if depth > 0.0:
            rise = speed[2] + speed[3] * y - speed[4] * x
            force = max(spring * depth - damper * rise, 0.0)
            effort[2] += force
            effort[3] += force * y
            effort[4] -= force * x


@njit(cache=True, error_model="numpy")
def stand(base, weight, footing, spring):  # type: ignore[no-untyped-def]
    """Set height, roll and pitch at which the ground carries the weight; some points may hang."""
    held = np.ones(footing.shape[0])
    A = np.zeros((3, 3))
    for _ in range(20):
        A[:] = 0.0
        for i in range(footing.shape[0]):
            J = np.array([1.0, footing[i, 1], -footing[i, 0]])
            A += held[i] * spring * np.outer(J, J)
        level = np.linalg.solve(A + 1e-3 * spring * np.eye(3), weight[2:5])
        changed = False
        for i in range(footing.shape[0]):
            touches = level[0] + level[1] * footing[i, 1] - level[2] * footing[i, 0] < 0.0
            changed = changed or touches != (held[i] > 0.0)
            held[i] = 1.0 if touches else 0.0
        base[2:5] = level
        if not changed:
            break


# fmt: off
@njit(cache=True, error_model="numpy")
def simulate(  # type: ignore[no-untyped-def]
    target, p, pump, inverse_inertia, weight, lever, stiffness, footing, spring, damper, slide,
    slide_damper, every, q0, q, qd,
):
    # fmt: on
    """Fill ``q`` and ``qd`` with the motion from rest at ``q0``.

    Args:
        target: flow fraction asked for in each step, dead time and curve applied, shape (K, n).
        p: parameters, shape (n, N_COLUMNS), SI.
        pump: shape (5,), SI.
        inverse_inertia: M⁻¹ at each knot of posture, shape (P, 6 + n, 6 + n), undercarriage first.
        weight: force of gravity at each knot, shape (P, 6 + n) [N], [N·m].
        lever: dL/dq (1 for a motor) at each knot, shape (P, n) [m/rad].
        stiffness: of the oil columns at each knot, shape (P, n) [N/m] or [N·m/rad].
        footing: points on which the undercarriage stands, shape (m, 2) [m].
        spring, damper: of the ground under each point [N/m], [N·s/m].
        slide, slide_damper: the same along the ground.
        every: steps from one knot to the next; P·every covers K.
        q0: start, shape (n,) [rad].
        q, qd: filled with the motion after each step, shape (K, n).
    """
    K, n = target.shape
    s = np.zeros(n)
    x = q0.copy()
    v = np.zeros(n)
    column = -weight[0, 6:] / lever[0]
    force = column.copy()
    flow = np.zeros(n)
    size = 6 + n
    effort = np.zeros(size)
    speed = np.zeros(size)
    base = np.zeros(6)
    stand(base, weight[0], footing, spring)
    m = footing.shape[0]
    yaw = 0.0
    for i in range(m):
        yaw += footing[i, 0] ** 2 + footing[i, 1] ** 2
    for k in range(K):
        knot = k // every
        a = (k - knot * every) / every
        W = inverse_inertia[knot]
        demand = 0.0
        load = 0.0
        for i in range(n):
            s[i] += STEP / p[i, LAG] * (target[k, i] - s[i])
            if target[k, i] == 0.0 and abs(s[i]) < 1e-3:
                s[i] = 0.0
            flow[i] = s[i] * (p[i, FLOW_POS] if s[i] > 0.0 else p[i, FLOW_NEG])
            demand += abs(flow[i])
            if s[i] != 0.0:
                extending = (s[i] > 0.0) == (lever[knot, i] > 0.0)
                a_h, a_r = p[i, AREA_EXTEND], p[i, AREA_RETRACT]
                pressure = pump[TANK]
                if extending and force[i] >= 0.0:
                    pressure = (force[i] + pump[TANK] * a_r) / a_h
                elif not extending and force[i] < 0.0:
                    pressure = (pump[TANK] * a_h - force[i]) / a_r
                load = max(load, pressure)
        share = 1.0
        if demand > 0.0:
            pressure = min(load + pump[MARGIN], pump[PUMP_RELIEF])
            share = min(1.0, min(pump[MAX_FLOW], pump[MAX_POWER] / pressure) / demand)
        for i in range(n):
            arm = (1.0 - a) * lever[knot, i] + a * lever[knot + 1, i]
            oil_spring = (1.0 - a) * stiffness[knot, i] + a * stiffness[knot + 1, i]
            oil_spring *= p[i, STIFFNESS]
            a_h, a_r = p[i, AREA_EXTEND], p[i, AREA_RETRACT]
            oil = flow[i] * share if arm > 0.0 else -flow[i] * share
            slip = oil / (a_h if oil > 0.0 else a_r) - arm * v[i]
            slip -= p[i, LEAKAGE] * column[i] / (a_h * a_h)
            most = p[i, RELIEF] * a_h - pump[TANK] * a_r
            least = pump[TANK] * a_h - p[i, RELIEF] * a_r
            column[i] = min(max(column[i] + STEP * oil_spring * slip, least), most)
            damped = column[i] + oil_spring * p[i, DAMPING_TIME] * slip
            force[i] = min(max(damped, least), most)
            effort[6 + i] = force[i] * arm - p[i, FRICTION] * v[i]
        push(effort, base, speed, footing, spring, damper)
        effort[0] = -m * (slide * base[0] + slide_damper * speed[0])
        effort[1] = -m * (slide * base[1] + slide_damper * speed[1])
        effort[5] = -yaw * (slide * base[5] + slide_damper * speed[5])
        for i in range(size):
            effort[i] += (1.0 - a) * weight[knot, i] + a * weight[knot + 1, i]
        for i in range(size):
            acceleration = 0.0
            for j in range(size):
                acceleration += W[i, j] * effort[j]
            speed[i] += STEP * acceleration
        for i in range(6):
            base[i] += STEP * speed[i]
        for i in range(n):
            v[i] = speed[6 + i]
            x[i] += STEP * v[i]
            q[k, i] = x[i]
            qd[k, i] = v[i]
