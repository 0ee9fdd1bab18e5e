"""What is wrong with the joints, from their measured positions and velocities; compiled."""

from __future__ import annotations

import math

from numba import njit

# Parameters of a joint. STALL: pressure at which an oil drive gives no more [Pa], or the torque of
# a travel drive [N·m]. QUIET: time that a joint may need to be still after its model is [s].
(
    LOW, HIGH, FASTEST, ENDLESS, QUIET, STALL, TRAVELS, BAND, N_PARAMETERS,
) = range(9)  # fmt: skip
# Memory of a joint: last position and velocity, and for how long each sign has been there.
(
    LAST_Q, LAST_QD, FROZEN_FOR, DRIFT, OUTSIDE, FAST_FOR, STILL_FOR, MOVED_FOR, STUCK_FOR,
    N_MEMORY,
) = range(10)  # fmt: skip
# Settings: time-outs [s] and the overspeed's share of the maximum.
(
    FROZEN_TIME, BIAS_WINDOW, OVERSPEED_TIME, UNCOMMANDED_TIME, STUCK_TIME, OVERSPEED_AT,
    N_SETTINGS,
) = range(7)  # fmt: skip

FROZEN, JUMP, BIAS, IMPOSSIBLE, FAST, UNCOMMANDED, STUCK = (1 << k for k in range(7))

JUMP_SPEED = 2.0
"""Of the maximum: a joint that moved farther than this since its last position jumped."""
JUMP_ROOM = 0.05
"""Of noise, quantisation and late samples, beyond that [rad]."""
BIAS_SPEED, BIAS_LEAST = 0.15, 0.02
"""A mean difference of velocity and change of position above this share of the maximum, and above
this [rad/s], is none of noise."""
OUTSIDE_ROOM = 0.15
"""End stops let a joint go by some degrees; beyond this no joint is [rad]."""
MOVES, MOVES_LEAST = 0.08, 0.03
"""A joint faster than this share of its maximum, and than this [rad/s], moves."""
TOLD, STANDS = 0.3, 0.02
"""Told to go faster than this share of its maximum, and slower than that."""
STALLED = 0.8
"""Of the stalling pressure: what pushes so hard is held by something."""
MANY = 5.0 / 3.0
"""Longer patience with a joint that shares the pump: a lighter load takes the oil."""


@njit(cache=True, error_model="numpy")
def look(  # type: ignore[no-untyped-def]
    dt, q, qd, told, applied, pressure, effort, stalled, moving, p, m, s, flags
):
    """Fill the signs of every joint, from one state to the next; return how many are told to move.

    Args:
        dt: since the last state [s]. told: velocity that the joint should have now, by its model
            one dead time after the commands, shape (n,) [rad/s].
        stalled: whether the pump is at its relief. moving: whether the mode lets things move.
    """
    n = q.shape[0]
    busy, rolling = 0, False
    for j in range(n):
        if abs(told[j]) > 0.1 * p[j, FASTEST]:
            busy += 1
        if p[j, TRAVELS] > 0.0 and (abs(applied[j]) > 0.5 * p[j, BAND] or told[j] != 0.0):
            rolling = True
    for j in range(n):
        flags[j] = 0
        step = q[j] - m[j, LAST_Q]
        if p[j, ENDLESS] > 0.0:
            # An endless joint's sensor begins again after a turn.
            step -= 2.0 * math.pi * math.floor((step + math.pi) / (2.0 * math.pi))
        fastest = p[j, FASTEST]
        same = q[j] == m[j, LAST_Q] and qd[j] == m[j, LAST_QD]
        if abs(step) > JUMP_SPEED * fastest * dt + JUMP_ROOM:
            flags[j] |= JUMP
            step = qd[j] * dt
        # Leaky integral: it settles at the mean difference times the window.
        if dt < 0.1:
            keep = math.exp(-dt / s[BIAS_WINDOW])
            m[j, DRIFT] = keep * m[j, DRIFT] + step - 0.5 * dt * (qd[j] + m[j, LAST_QD])
        else:
            m[j, DRIFT] = 0.0
        if abs(m[j, DRIFT]) > s[BIAS_WINDOW] * max(BIAS_SPEED * fastest, BIAS_LEAST):
            flags[j] |= BIAS
        outside = q[j] < p[j, LOW] - OUTSIDE_ROOM or q[j] > p[j, HIGH] + OUTSIDE_ROOM
        m[j, OUTSIDE] = m[j, OUTSIDE] + 1.0 if outside else 0.0
        if m[j, OUTSIDE] >= 2.0:
            flags[j] |= IMPOSSIBLE
        m[j, FAST_FOR] = m[j, FAST_FOR] + dt if abs(qd[j]) > s[OVERSPEED_AT] * fastest else 0.0
        if m[j, FAST_FOR] > s[OVERSPEED_TIME]:
            flags[j] |= FAST
        m[j, LAST_Q], m[j, LAST_QD] = q[j], qd[j]

        if p[j, TRAVELS] > 0.0:
            pushes = abs(effort[j]) > 0.6 * p[j, STALL]
        else:
            pushes = stalled or max(pressure[j, 0], pressure[j, 1]) > STALLED * p[j, STALL]
        if not moving:
            m[j, FROZEN_FOR] = m[j, MOVED_FOR] = m[j, STUCK_FOR] = m[j, STILL_FOR] = 0.0
            continue
        frozen = same and abs(told[j]) > 0.05 * fastest and not pushes
        m[j, FROZEN_FOR] = m[j, FROZEN_FOR] + dt if frozen else 0.0
        if m[j, FROZEN_FOR] > s[FROZEN_TIME]:
            flags[j] |= FROZEN
        quiet = abs(applied[j]) <= 0.5 * p[j, BAND] and abs(told[j]) < 0.01 * fastest
        if p[j, TRAVELS] > 0.0 and rolling:
            quiet = False
        m[j, STILL_FOR] = m[j, STILL_FOR] + dt if quiet else 0.0
        moves = abs(qd[j]) > max(MOVES * fastest, MOVES_LEAST) and not pushes
        on = moves and m[j, STILL_FOR] > p[j, QUIET]
        m[j, MOVED_FOR] = m[j, MOVED_FOR] + dt if on else 0.0
        if m[j, MOVED_FOR] > s[UNCOMMANDED_TIME]:
            flags[j] |= UNCOMMANDED
        stuck = abs(told[j]) > TOLD * fastest and abs(qd[j]) < STANDS * fastest and not pushes
        m[j, STUCK_FOR] = m[j, STUCK_FOR] + dt if stuck else 0.0
        if m[j, STUCK_FOR] > s[STUCK_TIME] * (1.0 if busy <= 1 else MANY):
            flags[j] |= STUCK
    return busy
