"""The tick of all sensors that deliver numbers: sampled, spoiled, delayed, held; compiled.

The readings of a machine are one vector. A *group* is a stretch of it that one sensor measures at
the same instants. Readings wait in a ring, one row a tick, until their delay has passed.
"""

from __future__ import annotations

import math

from numba import njit

# Columns of the elements' parameters.
NOISE, BIAS, WANDER, DECAY, STEP = range(5)
# Columns of the groups' parameters.
RATE, DELAY, DROPOUT = range(3)
# Columns of the faults.
KIND, VALUE, FROM, TO = range(4)
STUCK, OFFSET, EXTRA_NOISE, SCALE, DROP, LATE = range(6)

BLOCK = 256
"""Samples for which random numbers are drawn at once."""


@njit(cache=True)
def _active(faults, f, kind, now):  # type: ignore[no-untyped-def]
    return int(faults[f, KIND]) == kind and faults[f, FROM] <= now < faults[f, TO]


# fmt: off
@njit(cache=True)
def sample(  # type: ignore[no-untyped-def]
    tick, dt, x, spans, groups, elements, faults, on_element, on_group, normal, uniform,
    bias, wander, last, count, ring, ring_tick, out, out_tick, spent,
):
    # fmt: on
    """Measure the truth x at a tick, and deliver what is due.

    Args:
        x: truth, shape (N,). spans: first and last + 1 element of each group, shape (G, 2).
        groups: rate [Hz] (0: there is no such sensor), delay [ticks], dropout, shape (G, 3).
        elements: shape (N, 5). faults: shape (F, 4); on_element, on_group: whom each concerns,
            shapes (F, N) and (F, G).
        normal: for noise and for wander, shape (BLOCK, N, 2). uniform: shape (BLOCK, G).
        bias, wander, last, count: state of elements and groups.
        ring, ring_tick: readings on their way and the ticks of their sampling.
        out, out_tick: readings in force, shape (N,), and when they were true, shape (G,) [ticks].
        spent: set to 1 for each group that needs new random numbers.
    """
    depth = ring.shape[0]
    row = tick % depth
    now = tick * dt
    for g in range(groups.shape[0]):
        rate = groups[g, RATE]
        if rate <= 0.0:
            continue
        ring_tick[row, g] = -(1 << 60)
        period = dt * rate
        if math.floor(tick * period + 1e-9) > math.floor((tick - 1) * period + 1e-9):
            k = count[g] % BLOCK
            count[g] += 1
            spent[g] = 1 if count[g] % BLOCK == 0 else 0
            chance = uniform[k, g]
            lost = tick >= 0 and chance < groups[g, DROPOUT]
            for f in range(faults.shape[0]):
                if on_group[f, g] and _active(faults, f, DROP, now):
                    lost = lost or chance < groups[g, DROPOUT] + faults[f, VALUE]
            for i in range(spans[g, 0], spans[g, 1]):
                _element(
                    i, x, now, chance, elements, faults, on_element, normal[k, i], bias, wander,
                    last,
                )  # fmt: skip
                ring[row, i] = last[i]
            if not lost:
                ring_tick[row, g] = tick
        delay = int(groups[g, DELAY])
        for f in range(faults.shape[0]):
            if on_group[f, g] and _active(faults, f, LATE, now):
                delay += int(faults[f, VALUE])
        due = tick - delay
        oldest = max(out_tick[g], tick - depth)
        while due > oldest:
            if ring_tick[due % depth, g] == due:
                out_tick[g] = due
                for i in range(spans[g, 0], spans[g, 1]):
                    out[i] = ring[due % depth, i]
                break
            due -= 1


@njit(cache=True)
def _element(  # type: ignore[no-untyped-def]
    i, x, now, chance, elements, faults, on_element, normal, bias, wander, last
):
    """Spoil one number and leave it in ``last``."""
    gain, offset, variance = 1.0, 0.0, elements[i, NOISE] ** 2
    held, forced = False, math.nan
    for f in range(faults.shape[0]):
        if on_element[f, i] and faults[f, FROM] <= now < faults[f, TO]:
            kind, value = int(faults[f, KIND]), faults[f, VALUE]
            if kind == SCALE:
                gain *= value
            elif kind == OFFSET:
                offset += value
            elif kind == EXTRA_NOISE:
                variance += value * value
            elif kind == DROP:
                held = held or chance < value
            elif kind == STUCK:
                held = True
                forced = value
    if elements[i, WANDER] > 0.0:
        a = elements[i, DECAY]
        wander[i] = a * wander[i] + math.sqrt(1.0 - a * a) * elements[i, WANDER] * normal[1]
    if held:
        if not math.isnan(forced):
            last[i] = forced
        return
    value = gain * x[i] + bias[i] + offset + wander[i] + math.sqrt(variance) * normal[0]
    step = elements[i, STEP]
    last[i] = step * round(value / step) if step > 0.0 else value


@njit(cache=True)
def attitude_truth(wxyz, velocity, before, dt, out):  # type: ignore[no-untyped-def]
    """Fill roll, pitch, heading, angular rate and specific force of the body, shape (9,).

    Args:
        wxyz: attitude. velocity: linear, then angular in the world, shape (6,).
        before: linear velocity one tick earlier, shape (3,); replaced.
    """
    w, x, y, z = wxyz[0], wxyz[1], wxyz[2], wxyz[3]
    out[0] = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    out[1] = math.asin(min(max(2 * (w * y - z * x), -1.0), 1.0))
    out[2] = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    ax = (velocity[0] - before[0]) / dt
    ay = (velocity[1] - before[1]) / dt
    az = (velocity[2] - before[2]) / dt + GRAVITY
    for k in range(3):
        before[k] = velocity[k]
    u, v, t = velocity[3], velocity[4], velocity[5]
    for start, a, b, c in ((3, u, v, t), (6, ax, ay, az)):
        out[start] = (1 - 2 * (y * y + z * z)) * a + 2 * (x * y + w * z) * b + (
            2 * (x * z - w * y)
        ) * c
        out[start + 1] = 2 * (x * y - w * z) * a + (1 - 2 * (x * x + z * z)) * b + (
            2 * (y * z + w * x)
        ) * c
        out[start + 2] = 2 * (x * z + w * y) * a + 2 * (y * z - w * x) * b + (
            1 - 2 * (x * x + y * y)
        ) * c


@njit(cache=True)
def attitude_state(measured, wxyz, rate):  # type: ignore[no-untyped-def]
    """Turn measured roll, pitch, heading and rate of the body into wxyz and rate in the world."""
    cr, sr = math.cos(measured[0] / 2), math.sin(measured[0] / 2)
    cp, sp = math.cos(measured[1] / 2), math.sin(measured[1] / 2)
    cy, sy = math.cos(measured[2] / 2), math.sin(measured[2] / 2)
    w, x = cr * cp * cy + sr * sp * sy, sr * cp * cy - cr * sp * sy
    y, z = cr * sp * cy + sr * cp * sy, cr * cp * sy - sr * sp * cy
    wxyz[0], wxyz[1], wxyz[2], wxyz[3] = w, x, y, z
    a, b, c = measured[3], measured[4], measured[5]
    rate[0] = (1 - 2 * (y * y + z * z)) * a + 2 * (x * y - w * z) * b + 2 * (x * z + w * y) * c
    rate[1] = 2 * (x * y + w * z) * a + (1 - 2 * (x * x + z * z)) * b + 2 * (y * z - w * x) * c
    rate[2] = 2 * (x * z - w * y) * a + 2 * (y * z + w * x) * b + (1 - 2 * (x * x + y * y)) * c


GRAVITY = 9.81
"""As the physics has it [m/s²]."""
