"""How much of a command is let through where its way to rest leads to harm; compiled.

What is wanted is let through if the four distances of ``postures`` stay above their floors along
that way. Else the joints that make it worse are scaled back together, as little as is needed.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from kuwa_hardware.kernels.motion import AHEAD, DEAD, DOWN, QD_MAX, REACH, SHARE, UP, steady
from kuwa_hardware.kernels.postures import FAR, G_TIP, N_DISTANCES, N_GROUPS, distances
from kuwa_hardware.kernels.resting import COARSE, LEAST_STEP, PROBE, SLACK, comes_to_rest

RISE, FALL, LEAST_SHARE = 1 / 16, 1 / 16, 1 / 32
"""By how much what is let through may grow or shrink between two decisions, before it is halved;
less than the last is nothing. A search anew each time would cost three times as much."""
CREEP = 0.03
"""Of a joint's velocity: slower than that nothing is let through near a limit of the space."""


@njit(cache=True, error_model="numpy")
def _below(worst, floor):  # type: ignore[no-untyped-def]
    """Return the bits of the limits whose least distance is below its floor."""
    bits = 0
    for i in range(N_GROUPS):
        if worst[i] < floor[i] - SLACK:
            bits |= REACH << i
    return bits


@njit(cache=True, error_model="numpy")
def kept_apart(out, flags, q, model, world, scratch):  # type: ignore[no-untyped-def]
    """Scale back the joints that would bring the machine to harm, and leave the others alone.

    Never is anything asked for that is worse than to stop now: from beyond a limit every way back
    is free. What other joints do to help is not counted on before they do it.
    """
    n = out.shape[0]
    p, table, x, clock = model[0], model[1], model[2], model[6]
    worst, floor, stop, posture = scratch
    for i in range(N_GROUPS):
        floor[i] = 0.0
    comes_to_rest(out, q, model, world, worst, floor, True, 0.0, LEAST_STEP, posture)
    bad = _below(worst, floor)
    if not bad:
        clock[SHARE] = 1.0
        return
    guilty = _guilty(out, posture, bad, world)
    trial = out.copy()
    # From now on: what passes leaves nothing to ask of a stop.
    share = _let_through(out, trial, guilty, q, model, world, worst, floor, 0.0, posture)
    # What is on its way is the same whatever is told now.
    begin = FAR
    for j in range(n):
        if out[j] != 0.0:
            begin = min(begin, p[j, DEAD])
    beyond = 0
    if share == 0.0:
        comes_to_rest(np.zeros(n), q, model, world, stop, floor, False, 0.0, COARSE, posture)
        beyond = _below(stop, floor)
    if beyond:
        # Stopping now would not be in time: of what makes it worse nothing is left.
        guilty = _guilty(out, posture, beyond, world)
        for j in range(n):
            if guilty[j] and out[j] != 0.0:
                out[j] = 0.0
                flags[j] |= beyond
        for i in range(N_GROUPS):
            floor[i] = min(stop[i], 0.0)
        comes_to_rest(out, q, model, world, worst, floor, True, begin, LEAST_STEP, posture)
        bad = _below(worst, floor)
        if not bad:
            return
        guilty = _guilty(out, posture, bad, world)
        share = _let_through(out, trial, guilty, q, model, world, worst, floor, begin, posture)
    others = False
    for j in range(n):
        others = others or (out[j] != 0.0 and not guilty[j])
    clock[SHARE] = share
    for j in range(n):
        trial[j] = out[j]
        if guilty[j]:
            trial[j] = share * out[j]
            # What is left of a stroke when almost nothing is allowed would let a joint creep on.
            m = UP if trial[j] > 0.0 else DOWN
            speed = abs(steady(p, table, j, trial[j], x[j, AHEAD + m]))
            if speed < CREEP * p[j, QD_MAX]:
                trial[j] = 0.0
    if others:
        comes_to_rest(trial, q, model, world, worst, floor, True, begin, LEAST_STEP, posture)
        if _below(worst, floor):
            for j in range(n):
                if not guilty[j]:
                    trial[j] = 0.0
    for j in range(n):
        if trial[j] != out[j]:
            flags[j] |= bad
            out[j] = trial[j]


@njit(cache=True, error_model="numpy")
def _let_through(  # type: ignore[no-untyped-def]
    out, trial, guilty, q, model, world, worst, floor, begin, posture
):
    """Return the share of the guilty joints' commands that leads to no harm while others stand.

    Where no joint is guilty all are. ``trial`` is used up.
    """
    n, s = out.shape[0], 0.0
    last, clock = 2.0, model[6]
    if not guilty.any():
        guilty[:] = True
    for attempt in range(4):
        if attempt == 0:
            s = min(clock[SHARE] + RISE, 1.0)
        elif attempt == 1:
            s = clock[SHARE]
        elif attempt == 2:
            s -= FALL
        else:
            s *= 0.5
        if s >= last or s < LEAST_SHARE:
            continue
        last = s
        for j in range(n):
            trial[j] = s * out[j] if guilty[j] else 0.0
        comes_to_rest(trial, q, model, world, worst, floor, True, begin, LEAST_STEP, posture)
        if not _below(worst, floor):
            return s
    return 0.0


@njit(cache=True, error_model="numpy")
def _guilty(out, posture, bad, world):  # type: ignore[no-untyped-def]
    """Return which joints' motion makes a limit worse where it is passed first on the way."""
    n = out.shape[0]
    guilty = np.zeros(n, np.bool_)
    here, there = np.empty(N_DISTANCES), np.empty(N_DISTANCES)
    for i in range(N_GROUPS):
        if not bad & (REACH << i):
            continue
        at = posture[i, :n].copy()
        distances(at, 0.0, world, here)
        for j in range(n):
            if out[j] == 0.0 or guilty[j]:
                continue
            kept = at[j]
            at[j] += math.copysign(PROBE, out[j])
            distances(at, 0.0, world, there)
            at[j] = kept
            # Of the stability motion itself takes, whichever way.
            moves = i == G_TIP and abs(posture[i, n + j]) > 0.05
            guilty[j] = moves or there[i] < here[i] - 1e-3 * PROBE
    return guilty
