"""How joints answer valve commands, as the gate foresees it; compiled.

A command acts one dead time later. The model follows the commands without delay: the valve's
opening goes to s**curve, s = (|u| − band)/(1 − band), with its lag, and the velocity is that
opening times v_full(q), but for a slewing body, whose motor's torque over its inertia bounds how
fast that changes. Since both are known roughly, there are two models of each joint: in one all
change upwards is as fast as it may be and all change downwards as slow, in the other the reverse.
A motion up is judged by the first, a motion down by the second: who turns about may do so early.
What the model did one dead time ago is what the joint does now; what it does from then to now is
what the joint will do until a command given now begins to act.

Before a position limit only motion towards it is counted on: what is on its way away from the limit
may come short, where others take the pump's flow, or not come at all, where the tool meets ground.

All arrays have one row per joint; columns are named below.
"""

from __future__ import annotations

import math

from numba import njit

# Parameters. From LEVER on, how fast each distance of ``postures`` changes with the joint at
# most [m/rad].
(
    Q_MIN, Q_MAX, QD_MAX, QDD, DEAD, BAND, CURVE, LAG, OVER, FLOW_POS, FLOW_NEG, TORQUE, TABLE_Q,
    TABLE_STEP, FREE, LEVER,
) = range(16)  # fmt: skip
N_PARAMETERS = LEVER + 5
# States, seven of both models, UP and DOWN: velocity, travel, travel in that direction alone,
# position one dead time ahead, the same if only that direction's motion comes, velocity in excess
# of the model, and what of it is taken to go on. Then growth of the command, deceleration that can
# be counted on and acceleration that must be reckoned with, and the valve's opening as a share of
# its full flow.
V, S, PUSH, AHEAD, FARTHEST, EXCESS, CARRIED, GROWTH, BRAKE, SPEEDUP, OPENING, N_STATES = (
    0, 2, 4, 6, 8, 10, 12, 14, 15, 16, 17, 18,
)  # fmt: skip
UP, DOWN = 0, 1
# The ring of past travels holds S and PUSH, both of both models.
RING_S, RING_PUSH, N_RING = 0, 2, 4
# Clock of the ring of past velocities and travels; and the share of what was asked for that the
# limits of space let through last.
HEAD, REST, SHARE, N_CLOCK = range(4)

BIN = 0.005
"""Of the ring [s]."""
HOLD = 0.02
"""A command acts at least until the gate decides again [s]."""
SMOOTH = 0.15
"""Of the measured excess from state to state: a quarter of a velocity's noise is left."""
RINGING = 0.02
"""Excess that is the oil column's swinging, not a motion that goes on [rad/s]."""
TICK = 0.02
"""Longest time for which a command may grow at once: a loop that stood still jumps nowhere [s]."""

TINY = 1e-9
"""A command below it has no sign that a product would keep."""

# Settings.
SLOPE, NEUTRAL_SLOPE, JERK_LIMIT, POWER_LIMIT, MARGIN, N_SETTINGS = range(6)

# What bounded a joint's command, as bits.
(
    HUGE, CAP, VELOCITY, ACCELERATION, JERK, POWER, POSITION, OVERSPEED, REACH, TIP, SELF, ZONE,
) = (1 << k for k in range(12))  # fmt: skip


@njit(cache=True, error_model="numpy")
def full_velocity(p, table, j, q, positive):  # type: ignore[no-untyped-def]
    """Velocity at full stroke in a direction, at joint position q [rad/s]."""
    x = (q - p[j, TABLE_Q]) / p[j, TABLE_STEP]
    last = table.shape[2] - 1
    side = 0 if positive else 1
    if not x > 0.0:
        return table[j, side, 0]
    if x >= last:
        return table[j, side, last]
    k = int(x)
    return table[j, side, k] + (x - k) * (table[j, side, k + 1] - table[j, side, k])


@njit(cache=True, error_model="numpy")
def opening(p, j, u):  # type: ignore[no-untyped-def]
    """Share of the full flow that a command leads to, with its sign."""
    s = (abs(u) - p[j, BAND]) / (1.0 - p[j, BAND])
    if s <= 0.0:
        return 0.0
    return math.copysign(min(s, 1.0) ** p[j, CURVE], u)


@njit(cache=True, error_model="numpy")
def steady(p, table, j, u, q):  # type: ignore[no-untyped-def]
    """Velocity that a command leads to [rad/s]."""
    return opening(p, j, u) * full_velocity(p, table, j, q, u > 0.0)


@njit(cache=True, error_model="numpy")
def stroke(p, table, j, v, q, positive):  # type: ignore[no-untyped-def]
    """Magnitude of the command that leads to the speed v ≥ 0, at most 1."""
    if v <= 0.0:
        return 0.0
    full = full_velocity(p, table, j, q, positive)
    if v >= full:
        return 1.0
    u = p[j, BAND] + (1.0 - p[j, BAND]) * (v / full) ** (1.0 / p[j, CURVE])
    # The dead band of the machine may be smaller than that of its file.
    return u * min(v / (0.02 * p[j, QD_MAX]), 1.0)


@njit(cache=True, error_model="numpy")
def advance(dt, applied, p, table, x, ring_v, ring_s, clock, told):  # type: ignore[no-untyped-def]
    """The command ``applied`` was in force for dt seconds.

    Args:
        told: filled with what the joints should do now, the model's velocities one dead time ago,
            shape (n,) [rad/s].
    """
    n = applied.shape[0]
    size = ring_v.shape[0]
    clock[REST] += dt
    bins = int(clock[REST] / BIN)
    clock[REST] -= bins * BIN
    for j in range(n):
        part = 1.0 - math.exp(-dt / p[j, LAG]) if p[j, LAG] > 0.0 else 1.0
        x[j, OPENING] += part * (opening(p, j, applied[j]) - x[j, OPENING])
        for side in range(2):
            wanted = x[j, OPENING]
            wanted *= full_velocity(p, table, j, x[j, AHEAD + side], wanted > 0.0)
            v = wanted
            if p[j, FREE] == 0.0:
                most = dt * (x[j, SPEEDUP] if side == UP else x[j, BRAKE])
                least = -dt * (x[j, BRAKE] if side == UP else x[j, SPEEDUP])
                v = x[j, V + side] + min(max(wanted - x[j, V + side], least), most)
            step = 0.5 * dt * (x[j, V + side] + v)
            x[j, S + side] += step
            x[j, PUSH + side] += max(step, 0.0) if side == UP else min(step, 0.0)
            x[j, V + side] = v
    head = int(clock[HEAD])
    for _ in range(max(min(bins, size), 1)):
        if bins > 0:
            head = (head + 1) % size
        for j in range(n):
            for side in range(2):
                ring_v[head, j, side] = x[j, V + side]
                ring_s[head, j, RING_S + side] = x[j, S + side]
                ring_s[head, j, RING_PUSH + side] = x[j, PUSH + side]
    clock[HEAD] = head
    for j in range(n):
        past = (head - math.ceil(p[j, DEAD] / BIN)) % size
        up, down = ring_v[past, j, UP], ring_v[past, j, DOWN]
        told[j] = up if abs(up) > abs(down) else down


@njit(cache=True, error_model="numpy")
def foresee(q, qd, p, x, ring_v, ring_s, clock):  # type: ignore[no-untyped-def]
    """Leave in x where each joint will be one dead time ahead, and how much faster than modelled.

    What a joint does now beyond what it was told (gravity, a spool that sticks) is taken to go on.
    """
    size = ring_v.shape[0]
    for j in range(q.shape[0]):
        past = (int(clock[HEAD]) - math.ceil(p[j, DEAD] / BIN)) % size
        for side in range(2):
            v = ring_v[past, j, side]
            x[j, EXCESS + side] += SMOOTH * (qd[j] - v - x[j, EXCESS + side])
            x[j, AHEAD + side] = q[j] + x[j, S + side] - ring_s[past, j, RING_S + side]
            x[j, FARTHEST + side] = q[j] + x[j, PUSH + side] - ring_s[past, j, RING_PUSH + side]
            excess = x[j, EXCESS + side]
            # A joint that is slower than its model is taken to catch up.
            same = excess * v >= 0.0 if p[j, FREE] > 0.0 else (excess > 0.0) == (side == UP)
            if not same and p[j, FREE] > 0.0 and (v + excess) * v < 0.0:
                # It moves against its model, which is no slowness.
                same, excess = True, v + excess
            beyond = max(abs(excess) - RINGING, 0.0) if same else 0.0
            x[j, CARRIED + side] = math.copysign(beyond, excess)


@njit(cache=True, error_model="numpy")
def speed_within(lag, room, brake, slope):  # type: ignore[no-untyped-def]
    """Greatest speed at which a joint can still stop within ``room`` [rad/s].

    The command is held for HOLD and then ramped to neutral at ``slope`` [1/s].
    """
    if room <= 0.0:
        return 0.0
    hold = HOLD + 0.5 / slope
    by_brake = brake * (math.sqrt(hold * hold + 2.0 * room / brake) - hold)
    return min(by_brake, room / (hold + lag))


@njit(cache=True, error_model="numpy")
def shape(wanted, u, growth, dt, slope, neutral_slope, jerk, loss):  # type: ignore[no-untyped-def]
    """Return the next command and what bounded it: growth has a slope and a jerk, release neither.

    Growth, away from neutral, is at most ``slope``, gains at most ``jerk`` · dt and lands softly.
    On the way to neutral a command follows at ``slope``, at ``neutral_slope`` after a ``loss``.
    """
    flags = 0
    if abs(u) < TINY:
        u = 0.0
    down = (neutral_slope if loss else slope) * dt
    tick = min(dt, TICK)
    if wanted * u < 0.0 or abs(wanted) < abs(u):
        # Release, maybe through neutral and on to the other side.
        to = wanted if wanted * u > 0.0 else 0.0
        if abs(u) - abs(to) > down:
            return u - math.copysign(down, u), ACCELERATION
        if wanted * u >= 0.0:
            return wanted, 0
        left = min(down - abs(u), jerk * tick * tick)
        if abs(wanted) <= left:
            return wanted, 0
        return math.copysign(max(left, 0.0), wanted), JERK
    gap = abs(wanted) - abs(u)
    landing = math.sqrt(0.25 * jerk * jerk * tick * tick + 2.0 * jerk * gap) - 0.5 * jerk * tick
    most = max(growth, 0.0) + jerk * tick
    if most > landing:
        most = landing
        flags = JERK
    elif most < slope:
        flags = JERK
    if most > slope:
        most = slope
        flags = ACCELERATION
    if gap <= most * tick + 1e-6:
        return wanted, 0
    side = wanted if u == 0.0 else u
    return u + math.copysign(most * tick, side), flags
