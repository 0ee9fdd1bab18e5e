"""What the bucket does to the ground, once a tick: cut, fill, push aside, spill."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.bearing import AHEAD, depth_ahead
from kuwa_sim.soil.bucket import capacity_at, centre_at
from kuwa_sim.soil.cover import PUSH, cover, uncover
from kuwa_sim.soil.field import put_down
from kuwa_sim.soil.layout import (
    CAPACITY,
    CELL,
    CENTRE_X,
    CENTRE_Z,
    COVERED,
    CUT,
    FLOW_TIME,
    GAMMA,
    GRAVITY,
    LIP_X,
    LIP_Z,
    M_TIP,
    M_VALID,
    MASS,
    MOUTH_X,
    MOUTH_Z,
    PUSHED,
    SPILLED,
    VOLUME,
    WIDTH,
)
from kuwa_sim.soil.pour import pour
from kuwa_sim.soil.sweep import remember, sweep
from kuwa_sim.soil.tool import came_from

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]
Counters = NDArray[np.int64]
Cells = NDArray[np.int32]

LAST = 0.02
"""Least flow of what leaves the bucket [bank m³/s], so that it ends in finite time."""


@njit(cache=True)
def _spill(
    bank: Array,
    loose: Array,
    height: Array,
    tiles: Flags,
    prm: Array,
    bodies: Array,
    load: Array,
    pose: Array,
    rx: float,
    ry: float,
    dt: float,
) -> None:
    """Let what the bucket cannot hold at its attitude run out over its lower lip."""
    excess = load[VOLUME] - load[CAPACITY]
    if excess <= 0.0:
        return
    out = max(excess * (1.0 - math.exp(-dt / prm[FLOW_TIME])), min(excess, LAST * dt))
    lip_s = prm[LIP_X] * (pose[9] * rx + pose[10] * ry) + prm[LIP_Z] * (
        pose[15] * rx + pose[16] * ry
    )
    lip_z = prm[LIP_X] * pose[11] + prm[LIP_Z] * pose[17]
    inside_s = prm[MOUTH_X] * (pose[9] * rx + pose[10] * ry) + prm[MOUTH_Z] * (
        pose[15] * rx + pose[16] * ry
    )
    s = 0.0 if lip_z >= 0.0 else lip_s
    s -= math.copysign(PUSH + 0.5 * prm[CELL], inside_s)  # in front of the lip, not under the shell
    load[VOLUME] -= out
    load[SPILLED] += out
    pour(
        bank, loose, height, tiles, prm, bodies, pose[0] + s * rx, pose[1] + s * ry,
        pose[2] + min(lip_z, 0.0), rx, ry, PUSH, 0.5 * prm[WIDTH], out,
    )  # fmt: skip


@njit(cache=True)
def bucket_tick(
    bank: Array,
    loose: Array,
    packed: Array,
    height: Array,
    roof: Array,
    tiles: Flags,
    own: Counters,
    prm: Array,
    bodies: Array,
    outline: Array,
    covered: Cells,
    side: Array,
    capacity: Array,
    motion: Array,
    load: Array,
    pose: Array,
    dt: float,
) -> None:
    """Move the soil that the bucket moves on its way to ``pose`` in one tick of ``dt`` [s].

    Levelling is the ground's, once for all tools.

    ``pose`` is described in :mod:`kuwa_sim.soil`; its velocities are not used, the motion is that
    since the last tick.
    """
    rx = pose[13]
    ry = -pose[12]
    norm = math.sqrt(rx * rx + ry * ry)
    if norm < 0.1:  # lying on its side: cuts nothing, holds nothing
        motion[M_VALID] = 0.0
        load[CAPACITY] = 0.0
        uncover(roof, covered[0], own[COVERED])
        own[COVERED] = 0
        _spill(bank, loose, height, tiles, prm, bodies, load, pose, 1.0, 0.0, dt)
    else:
        rx /= norm
        ry /= norm
        came, dx, dy, _ = came_from(motion, pose)
        moved_r = dx * rx + dy * ry
        moved_v = dy * rx - dx * ry
        if not came:
            cut = 0.0
            moved_r = 0.0
            moved_v = 0.0
        else:
            cut, _ = sweep(bank, loose, packed, height, tiles, prm, motion, pose, 0.0)
        pitch = math.atan2(-pose[11], pose[17])
        dam = depth_ahead(height, prm, pose, -AHEAD * rx, -AHEAD * ry)
        load[CAPACITY] = capacity_at(capacity, pitch, dam)
        if cut > 0.0:
            load[CUT] += cut
            inward = 0.0
            for k in range(3):
                into = prm[MOUTH_X] * pose[9 + k] + prm[MOUTH_Z] * pose[15 + k]
                inward -= (pose[k] - motion[M_TIP + k]) * into
            room = max(load[CAPACITY] - load[VOLUME], 0.0)
            kept = min(cut, room) if inward > 0.0 else 0.0
            load[VOLUME] += kept
            if cut > kept:
                load[PUSHED] += cut - kept
                ahead = math.copysign(PUSH + 0.5 * prm[CELL], moved_r)
                put_down(
                    bank, loose, height, tiles, prm, pose[0] + ahead * rx, pose[1] + ahead * ry,
                    rx, ry, PUSH, 0.5 * prm[WIDTH], cut - kept,
                )  # fmt: skip
        load[PUSHED] += cover(
            bank, loose, packed, height, roof, tiles, own, prm, outline, covered, side, pose, rx,
            ry, moved_r, moved_v,
        )  # fmt: skip
        _spill(bank, loose, height, tiles, prm, bodies, load, pose, rx, ry, dt)
        remember(motion, pose)
        load[MASS] = load[VOLUME] * prm[GAMMA] / prm[GRAVITY]
        if load[VOLUME] > 0.0:
            full = max(capacity_at(capacity, pitch, 10.0), load[VOLUME])
            load[CENTRE_X], load[CENTRE_Z] = centre_at(capacity, pitch, load[VOLUME] / full)
    load[MASS] = load[VOLUME] * prm[GAMMA] / prm[GRAVITY]
