"""From what is wanted to what may be applied: every limit, met before it is reached; compiled.

Each joint by itself: stroke, velocity, slope and jerk of the command, position with braking
distance and dead time, overspeed. All together: power, and the four distances of ``postures`` along
the way on which the joints would come to rest if this command were given until the next decision
and neutral after it.
"""

from __future__ import annotations

import math

from numba import njit

from kuwa_hardware.kernels.motion import (
    AHEAD,
    BAND,
    BRAKE,
    CAP,
    CURVE,
    DEAD,
    DOWN,
    EXCESS,
    FARTHEST,
    FLOW_POS,
    FREE,
    GROWTH,
    HUGE,
    JERK_LIMIT,
    LAG,
    MARGIN,
    NEUTRAL_SLOPE,
    OVER,
    OVERSPEED,
    POSITION,
    POWER,
    POWER_LIMIT,
    Q_MAX,
    Q_MIN,
    QD_MAX,
    QDD,
    SLOPE,
    SPEEDUP,
    TICK,
    TORQUE,
    UP,
    VELOCITY,
    V,
    foresee,
    full_velocity,
    shape,
    speed_within,
    stroke,
)  # fmt: skip
from kuwa_hardware.kernels.postures import (
    COM_X,
    COM_Y,
    COM_Z,
    FAR,
    LOAD,
    LOAD_LINK,
    LOAD_X,
    LOAD_Y,
    LOAD_Z,
    MASS,
    place,
    to_base,
)  # fmt: skip
from kuwa_hardware.kernels.scaling import kept_apart

BRAKE_SHARE, SPEEDUP_SHARE = 0.8, 1.5
"""Of a slewing motor's relief torque over the inertia: counted on for braking, and reckoned with
for speeding up, since the inertia is taken on the high side."""
SURGE = 0.7
"""Of a jump in speed that the oil column adds on top, when a joint that went without the pump's
flow suddenly gets it; 0.62 was seen."""


@njit(cache=True, error_model="numpy")
def swing_inertia(q, world):  # type: ignore[no-untyped-def]
    """Moment of inertia of all that slews about the slewing axis [kg·m²]."""
    links, led, led_grid, weight, rot, pos = (
        world[0], world[1], world[2], world[11], world[13], world[14],
    )  # fmt: skip
    place(q, links, led, led_grid, rot, pos)
    x0, y0 = pos[0, 0], pos[0, 1]
    total = 0.0
    for k in range(links.shape[0] + 1):
        if k < links.shape[0]:
            m = links[k, MASS]
            x, y, _ = to_base(k, links[k, COM_X], links[k, COM_Y], links[k, COM_Z], rot, pos)
        else:
            m = weight[LOAD]
            load = int(weight[LOAD_LINK])
            x, y, _ = to_base(load, weight[LOAD_X], weight[LOAD_Y], weight[LOAD_Z], rot, pos)
        # A quarter more for what the parts have about their own centres.
        total += 1.25 * m * ((x - x0) ** 2 + (y - y0) ** 2)
    return total


@njit(cache=True, error_model="numpy")
def single(u, j, q, qd, p, table, x, slope, margin):  # type: ignore[no-untyped-def]
    """Bound one joint's command by its position limits and its velocity; return it and flags."""
    if u == 0.0:
        return u, 0
    positive = u > 0.0
    sign, side = (1.0, UP) if positive else (-1.0, DOWN)
    ahead, farthest = x[j, AHEAD + side], x[j, FARTHEST + side]
    v, brake = x[j, V + side], x[j, BRAKE]
    flags = 0
    limit = p[j, Q_MAX] if positive else p[j, Q_MIN]
    drift = max(sign * x[j, EXCESS + side], 0.0)
    if abs(limit) < FAR:
        room = sign * (limit - farthest) - margin - drift * p[j, DEAD]
        # Towards its end a cylinder's lever falls, and the same flow moves the joint faster.
        gain = full_velocity(p, table, j, limit, positive)
        gain = max(gain / full_velocity(p, table, j, ahead, positive), 1.0)
        allowed = speed_within(gain * p[j, LAG], room, brake / gain, slope)
        if sign * v + drift > allowed * 1.02 + 1e-3 and sign * v > -1e-3:
            allowed = 0.0
        # Should the valve have no dead band at all, it still must not be too fast.
        most = allowed / p[j, QD_MAX]
        for at in (ahead, farthest, farthest + sign * 0.2 * allowed):
            most = min(most, stroke(p, table, j, allowed, at, positive))
        if abs(u) > most:
            u, flags = sign * most, POSITION
    if sign * qd > p[j, OVER]:
        u, flags = 0.0, flags | OVERSPEED
    return u, flags


@njit(cache=True, error_model="numpy")
def _slowest(speed, j, start, positive, p, table):  # type: ignore[no-untyped-def]
    """Return the stroke with which a joint is nowhere faster, from ``start`` on for 0.2 s."""
    most, way = 1.0, 0.1 * p[j, QD_MAX]
    for k in range(3):
        at = start + k * way if positive else start - k * way
        most = min(most, stroke(p, table, j, speed, at, positive))
    return most


@njit(cache=True, error_model="numpy")
def fastest(u, j, q, qd, p, table, x):  # type: ignore[no-untyped-def]
    """Bound one joint's command by its velocity limit, wherever the command will act.

    A joint that is slower than it was told goes without the pump's flow. When that comes it jumps,
    and swings beyond what it was told: it is told so much less that this is no overspeed either.
    """
    if u == 0.0:  # no guard: a short cut
        return u, 0
    positive = u > 0.0
    sign, side = (1.0, UP) if positive else (-1.0, DOWN)
    speed, over, ahead = p[j, QD_MAX], p[j, OVER], x[j, AHEAD + side]
    most = _slowest(speed, j, ahead, positive, p, table)
    if p[j, FREE] > 0.0 and -sign * x[j, EXCESS + side] > (over - speed) / SURGE:
        speed = min(speed, (over + SURGE * max(sign * qd, 0.0)) / (1.0 + SURGE))
        # It may still be where it is, or catch up.
        most = min(most, _slowest(speed, j, q, positive, p, table))
        most = min(most, _slowest(speed, j, ahead, positive, p, table))
    if abs(u) > most:
        return sign * most, VELOCITY
    return u, 0


@njit(cache=True, error_model="numpy")
def powered(out, p, pressure, limit, flags):  # type: ignore[no-untyped-def]
    """Scale all flows down by one factor where flow times pressure is beyond the pump's power."""
    total = 0.0
    for j in range(out.shape[0]):
        s = (abs(out[j]) - p[j, BAND]) / (1.0 - p[j, BAND])
        if s > 0.0 and p[j, FLOW_POS] > 0.0:
            side = 0 if out[j] > 0.0 else 1
            total += s ** p[j, CURVE] * p[j, FLOW_POS + side] * pressure[j, side]
    if total <= limit or not total > 0.0:
        return
    share = limit / total
    for j in range(out.shape[0]):
        s = (abs(out[j]) - p[j, BAND]) / (1.0 - p[j, BAND])
        if s > 0.0 and p[j, FLOW_POS] > 0.0:
            s *= share ** (1.0 / p[j, CURVE])
            out[j] = math.copysign(p[j, BAND] + (1.0 - p[j, BAND]) * s, out[j])
            flags[j] |= POWER


@njit(cache=True, error_model="numpy")
def bound(  # type: ignore[no-untyped-def]
    wanted, q, qd, u, cap, loss, known, dt, pressure, model, world, scratch, out, flags
):
    """Fill ``out`` with what may be applied and ``flags`` with what bounded each joint.

    Args:
        wanted, u: asked for, and applied last, shape (n,). cap: greatest stroke, shape (n,).
        loss: whether neutral is wanted because something was lost. known: whether q, qd are.
        pressure: at the side that drives in the positive and negative direction, (n, 2) [Pa].
        model: parameters, table, states, settings, rings and clock of the joints. world: as
            :func:`kuwa_hardware.kernels.postures.distances` takes it. scratch: for distances.
    """
    p, table, x, settings, ring_v, ring_s, clock = model
    n = wanted.shape[0]
    moves = False
    if known:
        foresee(q, qd, p, x, ring_v, ring_s, clock)
    for j in range(n):
        flags[j] = 0
        x[j, BRAKE] = x[j, SPEEDUP] = p[j, QDD]
        if known and p[j, TORQUE] > 0.0:
            inertia = swing_inertia(q, world)
            x[j, BRAKE] = min(p[j, QDD], BRAKE_SHARE * p[j, TORQUE] / max(inertia, 1.0))
            x[j, SPEEDUP] = max(p[j, QDD], SPEEDUP_SHARE * p[j, TORQUE] / max(inertia, 1.0))
        w = min(max(wanted[j], -1.0), 1.0)
        if w != wanted[j]:
            flags[j] |= HUGE
        if abs(w) > cap[j]:
            w = math.copysign(cap[j], w)
            flags[j] |= CAP
        if known:
            w, f = fastest(w, j, q[j], qd[j], p, table, x)
            flags[j] |= f
        w, f = shape(
            w, u[j], x[j, GROWTH], dt, settings[SLOPE], settings[NEUTRAL_SLOPE],
            settings[JERK_LIMIT], loss,
        )  # fmt: skip
        flags[j] |= f
        if known:
            w, f = single(w, j, q[j], qd[j], p, table, x, settings[NEUTRAL_SLOPE], settings[MARGIN])
            flags[j] |= f
        out[j] = w
        moves = moves or w != 0.0
    if known and moves:
        powered(out, p, pressure, settings[POWER_LIMIT], flags)
        if world[0].shape[0] > 0:
            kept_apart(out, flags, q, model, world, scratch)
    tick = min(max(dt, 1e-6), TICK)
    for j in range(n):
        same = out[j] * u[j] >= 0.0
        grown = abs(out[j]) - (abs(u[j]) if same else 0.0)
        x[j, GROWTH] = min(max(grown / tick, 0.0), settings[SLOPE])
