"""The way on which the joints come to rest, and how near to harm it leads; compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from kuwa_hardware.kernels.motion import (
    AHEAD,
    BIN,
    BRAKE,
    CARRIED,
    DEAD,
    DOWN,
    FREE,
    HEAD,
    HOLD,
    LAG,
    LEVER,
    NEUTRAL_SLOPE,
    Q_MAX,
    Q_MIN,
    QD_MAX,
    RING_S,
    SPEEDUP,
    UP,
    V,
    steady,
)  # fmt: skip
from kuwa_hardware.kernels.postures import (
    FAR,
    G_SELF,
    G_TURNED,
    N_DISTANCES,
    N_GROUPS,
    distances,
)  # fmt: skip

LEAST_STEP, MOST_STEP = 0.06, 0.35
"""Between two samples of the way to rest [s]."""
FINE = (0.2, 0.07, 0.2, 0.2)
"""So far each distance may change between two samples near a limit [m], if that takes more than the
least step: a way is looked at anew, from elsewhere, in every tick."""
COARSE = 0.12
"""Between two samples of the other ways, and of those to rest by themselves [s]."""
SAMPLES = 64
APART, MOST_WAYS = (1.0, 0.35, 1.0, 1.0), 5
"""Between two ways that are looked at a distance may differ by so much [m]; so many more ways at
most."""
PROBE = 0.02
"""Of a joint, to see whether its motion makes a limit worse [rad]."""
SLACK = 1e-6


@njit(cache=True, error_model="numpy")
def comes_to_rest(u, q, model, world, worst, floor, early, begin, least, posture):  # type: ignore[no-untyped-def]
    """Fill the least distances on the way to rest; end ``early`` where one is below its floor.

    Samples start ``begin`` seconds from now and are ``least`` seconds apart near a limit. With
    ``early`` the place of rest is looked at first.

    A joint that is told to go faster than it does is taken to do so at once, when the command
    begins to act: what it cannot stop from it must not be told. Of a body that turns about two
    models say where it may be at the most and at the least. A corner can lie between, so unless
    all distances are larger than that gap, ways between the two are looked at as well.

    Functions share the pump, and what meets ground stands still: motion of the others that is on
    its way may not come. Where it would help, it is not counted on either.
    """
    p, table, x, settings = model[0], model[1], model[2], model[3]
    n = q.shape[0]
    for i in range(N_DISTANCES):
        worst[i] = FAR
    for i in range(N_GROUPS):
        posture[i, 2 * n] = 0.0
    speed, brake, side = np.empty((n, 2)), np.empty((n, 2)), np.empty(n, np.int64)
    hold = HOLD + 0.5 / settings[NEUTRAL_SLOPE]
    # By how much each distance may differ between the two models, and change on the front's way.
    gap, front = np.zeros(N_DISTANCES), np.zeros(N_DISTANCES)
    stays = np.zeros(n, np.bool_)
    for j in range(n):
        way = u[j]
        if way == 0.0:
            way = x[j, V + UP] + x[j, V + DOWN]
        side[j] = UP if way > 0.0 else DOWN
        for m in range(2):
            speed[j, m], brake[j, m] = told(j, m, u[j], p, table, x)
        rest = _rest(j, side[j], speed, brake, hold, p, x)
        for i in range(N_DISTANCES):
            if p[j, FREE] == 0.0:
                other = _rest(j, UP + DOWN - side[j], speed, brake, hold, p, x)
                gap[i] += abs(other - rest) * p[j, LEVER + i]
            else:
                front[i] += abs(rest - q[j]) * p[j, LEVER + i]
    passed = _way(0.0, stays, q, speed, brake, side, hold, model, world, worst, floor, early,
                  begin, least, posture)  # fmt: skip
    if passed:  # no guard: a short cut, for who wants to know whether it passes at all
        return
    ways = 0
    for i in range(N_GROUPS):
        clear = i == G_SELF and worst[G_TURNED] > gap[G_TURNED]
        if worst[i] <= gap[i] and not clear:
            ways = max(ways, min(math.ceil(gap[i] / APART[i]), MOST_WAYS))
    for k in range(1, ways + 1):
        passed = _way(k / ways, stays, q, speed, brake, side, hold, model, world, worst, floor,
                      early, begin, max(least, COARSE), posture)  # fmt: skip
        if passed:  # no guard: likewise, for who wants to know whether it passes at all
            return
    helps = np.zeros((N_GROUPS, n), np.bool_)
    near = False
    for i in range(N_GROUPS):
        near = near or worst[i] <= front[i]
    if not near or not _helping(q, speed, brake, side, hold, p, x, world, helps):
        return
    for i in range(N_GROUPS):
        if not helps[i].any() or worst[i] > front[i]:  # no guard: a short cut
            continue
        for k in range(2 if gap[i] > 0.0 else 1):
            passed = _way(float(k), helps[i], q, speed, brake, side, hold, model, world, worst,
                          floor, early, begin, max(least, COARSE), posture)  # fmt: skip
            if passed:  # no guard: likewise
                return
        for m in range(i + 1, N_GROUPS):
            if (helps[m] == helps[i]).all():  # no guard: nobody looks along a way twice
                helps[m, :] = False


@njit(cache=True, error_model="numpy")
def _helping(q, speed, brake, side, hold, p, x, world, helps):  # type: ignore[no-untyped-def]
    """Fill which cylinders make a distance larger, (groups, n); return whether any does."""
    n = q.shape[0]
    at = np.empty(n)
    here, there = np.empty(N_DISTANCES), np.empty(N_DISTANCES)
    for j in range(n):
        at[j] = min(max(_rest(j, side[j], speed, brake, hold, p, x), p[j, Q_MIN]), p[j, Q_MAX])
    distances(at, 0.0, world, here)
    found = False
    for j in range(n):
        if p[j, FREE] == 0.0 or abs(at[j] - q[j]) < PROBE:
            continue
        kept, at[j] = at[j], q[j]
        distances(at, 0.0, world, there)
        at[j] = kept
        for i in range(N_GROUPS):
            helps[i, j] = there[i] < here[i] - SLACK
            found = found or helps[i, j]
    return found


@njit(cache=True, error_model="numpy")
def told(j, m, u, p, table, x):  # type: ignore[no-untyped-def]
    """Return a joint's speed [rad/s] and deceleration [rad/s²] when a command begins to act."""
    v = x[j, V + m]
    wanted = steady(p, table, j, u, x[j, AHEAD + m])
    wanted = min(max(wanted, -p[j, QD_MAX]), p[j, QD_MAX])
    if (wanted * v >= 0.0 and abs(wanted) > abs(v)) or abs(v) < 1e-4:
        v = wanted
    # The model that is slow to stop, or the one that is quick to.
    slow = p[j, FREE] > 0.0 or (v > 0.0) == (m == UP)
    brake = x[j, BRAKE] if slow else x[j, SPEEDUP]
    if p[j, LAG] > 0.0 and abs(v) > 0.0:
        brake = min(brake, abs(v) / (2.0 * p[j, LAG]))
    return v, brake


@njit(cache=True, error_model="numpy")
def _rest(j, m, speed, brake, hold, p, x):  # type: ignore[no-untyped-def]
    """Return where a joint comes to rest by a model."""
    v = speed[j, m]
    at = x[j, AHEAD + m] + x[j, CARRIED + m] * p[j, DEAD] + v * hold
    if v != 0.0:
        at += 0.5 * v * abs(v) / brake[j, m]
    return at


@njit(cache=True, error_model="numpy")
def _placed(j, m, t, q, speed, brake, hold, p, x, ring_v, ring_s, past, told_at):  # type: ignore[no-untyped-def]
    """Return where a joint is ``t`` seconds from now by a model, and how fast it may be then.

    Args:
        past, told_at: places in the rings of what acts then, and of what acts now.
    """
    late, v = t - p[j, DEAD], speed[j, m]
    if late < 0.0:
        at = (
            q[j]
            + ring_s[past, j, RING_S + m]
            - ring_s[told_at, j, RING_S + m]
            + x[j, CARRIED + m] * t
        )
        return at, max(abs(ring_v[past, j, m] + x[j, CARRIED + m]), abs(v))
    at = x[j, AHEAD + m] + x[j, CARRIED + m] * p[j, DEAD] + v * min(late, hold)
    rate = abs(v)
    if late > hold and v != 0.0:
        d = min(late - hold, abs(v) / brake[j, m])
        at += v * d - math.copysign(0.5 * brake[j, m] * d * d, v)
        rate = max(abs(v) - brake[j, m] * d, 0.0)
    return at, rate


@njit(cache=True, error_model="numpy")
def _way(  # type: ignore[no-untyped-def]
    share,
    stays,
    q,
    speed,
    brake,
    side,
    hold,
    model,
    world,
    worst,
    floor,
    early,
    begin,
    least,
    posture,
):
    """Look along one way; return whether it ends the search.

    Args:
        share: how far bodies that turn about go by their other model, 0 to 1. stays: which joints
            do not move, shape (n,).
        speed, brake: when a command begins to act, shape (n, 2). side: each joint's model, (n,).
    """
    p, _, x, _, ring_v, ring_s, clock = model
    links, before, now = world[0], world[-2], world[-1]
    n = q.shape[0]
    size = ring_v.shape[0]
    end = 0.0
    acts, model_of = np.empty(n, np.int64), side.copy()
    at, own = np.empty(n), np.empty(n)
    g, rates = np.empty(N_DISTANCES), np.empty(N_DISTANCES)
    for j in range(n):
        acts[j] = (int(clock[HEAD]) - math.ceil(p[j, DEAD] / BIN)) % size
        own[j] = speed[j, side[j]]
        for m in range(2):
            v = speed[j, m]
            if m != side[j] and (share == 0.0 or p[j, FREE] > 0.0):
                continue
            if links.shape[0] > 0 and (v != 0.0 or x[j, CARRIED + m] != 0.0):
                stop = p[j, DEAD] + (hold + abs(v) / brake[j, m] if v != 0.0 else 0.0)
                end = max(end, stop)
    if early and end > 0.0:
        for j in range(n):
            at[j] = q[j] if stays[j] else _rest(j, side[j], speed, brake, hold, p, x)
            if share > 0.0 and p[j, FREE] == 0.0:
                other = _rest(j, UP + DOWN - side[j], speed, brake, hold, p, x)
                at[j] += share * (other - at[j])
            at[j] = min(max(at[j], p[j, Q_MIN]), p[j, Q_MAX])
        distances(at, 0.0, world, g)
        if _passed(at, 0.0, own, g, worst, floor, posture):
            return True
    t, dt = min(begin, end), 0.0
    for k in range(SAMPLES):
        turns, bins = False, int(t / BIN)
        for i in range(N_DISTANCES):
            rates[i] = 1e-3
        for j in range(n):
            if stays[j]:
                at[j] = q[j]
                continue
            m = side[j]
            past = (acts[j] + bins) % size
            if t < p[j, DEAD]:
                # What is on its way may be in the other direction than what is told now.
                m = UP if ring_v[past, j, UP] + ring_v[past, j, DOWN] > 0.0 else DOWN
            at[j], rate = _placed(
                j, m, t, q, speed, brake, hold, p, x, ring_v, ring_s, past, acts[j]
            )
            if share > 0.0 and p[j, FREE] == 0.0:
                other, fast = _placed(
                    j, UP + DOWN - m, t, q, speed, brake, hold, p, x, ring_v, ring_s, past, acts[j]
                )
                at[j] += share * (other - at[j])
                rate = max(rate, fast)
            at[j] = min(max(at[j], p[j, Q_MIN]), p[j, Q_MAX])
            for i in range(N_DISTANCES):
                rates[i] += rate * p[j, LEVER + i]
            turns = turns or (m != model_of[j] and p[j, FREE] == 0.0)
            model_of[j] = m
        # From one model to the other a joint jumps, which is no motion.
        distances(at, 0.0 if turns else dt, world, g)
        if _passed(at, 1.0, own, g, worst, floor, posture) and early:
            return True
        for i in range(before.shape[0]):
            before[i, 0], before[i, 1], before[i, 2] = now[i, 0], now[i, 1], now[i, 2]
        if t >= end:
            break
        dt = MOST_STEP
        for i in range(N_GROUPS):
            step = max(abs(g[i]), FINE[i]) / rates[i]
            # However the whole upper machine turns meanwhile.
            if i == G_SELF:  # no guard: a short cut
                step = max(step, g[G_TURNED] / rates[G_TURNED])  # no guard: likewise
            dt = min(dt, step)
        dt = min(max(dt, least), end - t + 1e-9)
        if k >= SAMPLES - 2:
            dt = end - t + 1e-9
        t += dt
    return False


@njit(cache=True, error_model="numpy")
def _passed(at, moving, speed, g, worst, floor, posture):  # type: ignore[no-untyped-def]
    """Take a posture's distances; return whether one is below its floor, and keep where first."""
    n = at.shape[0]
    passed = False
    worst[G_TURNED] = min(worst[G_TURNED], g[G_TURNED])
    for i in range(N_GROUPS):
        # What cannot be reckoned is no distance.
        room = g[i] if g[i] == g[i] else -FAR
        worst[i] = min(worst[i], room)
        if room < floor[i] - SLACK:
            passed = True
            if posture[i, 2 * n] == 0.0:
                # Where on the way this limit is passed first, and how fast.
                for j in range(n):
                    posture[i, j], posture[i, n + j] = at[j], moving * speed[j]
                posture[i, 2 * n] = 1.0
    return passed
