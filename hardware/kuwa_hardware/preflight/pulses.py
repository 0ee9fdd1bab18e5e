"""Small guided motions: how far, how fast and which way first, and what came of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kuwa_hardware.flow import FlowCurve
from kuwa_hardware.preflight.motion import response
from kuwa_machines.contracts import Array
from kuwa_machines.spec import HydrostaticDrive, MachineSpec

SPEED = 0.12
"""Of a guided motion, as a share of the joint's full speed; the gate allows 0.2."""
COMMAND = 0.28
"""Most that a guided motion asks of a valve; the gate allows 0.3."""
WAY = 0.03
"""Of a guided motion, where the joint may be that slow [rad]: twenty times an encoder's noise."""
HOLD = (0.5, 1.5)
"""Shortest and longest command [s]."""
LATEST = 0.6
"""A joint may answer this much later than its dead time says and still be seen [s]."""
ROOM = 0.02
"""Kept free at the end of a motion before a limit [rad]."""


@dataclass(frozen=True, slots=True)
class Mover:
    """Joints that are moved together: one, or all travel drives.

    Args:
        name: for people. joints: by their places in the machine's order.
        travel: the machine rolls.
    """

    name: str
    joints: tuple[int, ...]
    travel: bool = False


@dataclass(frozen=True, slots=True)
class Pulse:
    """One command for a while, then neutral.

    Args:
        command: shape (n,), in [-1, 1]. hold: how long [s]. after: until it is over [s].
        way: of the farthest joint by the model [rad].
    """

    command: Array
    hold: float
    after: float
    way: float


@dataclass(frozen=True, slots=True)
class Trace:
    """What was seen of one pulse; stamps of the states.

    Args:
        q0: where it began, shape (n,) [rad].
        t: shape (k,) [s]. q, qd: shape (k, n).
        u: commands as applied, each from its stamp on, shape (k, n).
    """

    q0: Array
    t: Array
    q: Array
    qd: Array
    u: Array


@dataclass(frozen=True, slots=True)
class Answer:
    """One joint in one pulse against the model: ``q(t) ≈ q0 + scale · model(t − delay)``.

    Args:
        scale: measured over modelled way. delay: beyond the dead time of the file [s].
        moved, wanted: measured and modelled way at the end [rad].
        others: how far every joint moved at most, shape (n,) [rad].
        frozen: the position was the same to the last bit.
        velocity: way by integrated velocity over the way by position.
        t, measured, model, command: for the picture, from the start of the command.
    """

    scale: float
    delay: float
    moved: float
    wanted: float
    others: Array
    frozen: bool
    velocity: float
    t: Array
    measured: Array
    model: Array
    command: Array


def movers(spec: MachineSpec) -> tuple[Mover, ...]:
    """Return what is moved one after the other: the tool first, the machine itself last."""
    joints = list(spec.joints.items())
    travel = tuple(i for i, (_, j) in enumerate(joints) if isinstance(j.drive, HydrostaticDrive))
    single = [Mover(name, (i,)) for i, (name, _) in reversed(list(enumerate(joints)))
              if i not in travel]  # fmt: skip
    return (*single, *((Mover("travel", travel, travel=True),) if travel else ()))


def first_way(spec: MachineSpec, joint: int, q: float, lift: float) -> float:
    """Return the direction to begin with: away from a near limit, else upwards."""
    low, high = q - spec.q_min[joint], spec.q_max[joint] - q
    if min(low, high) < 4.0 * WAY + ROOM:
        return 1.0 if low < high else -1.0
    return lift or 1.0


def plan(
    spec: MachineSpec, q: Array, mover: Mover, direction: float, most: float, back: float = 0.0
) -> Pulse | None:
    """Return the pulse, or None where there is no room for one.

    Args:
        direction: +1 or −1. most: longest way [rad]. back: how far it just came from there [rad];
            that way back is free however near a limit it began, but for a fifth of it.
    """
    curve, n = FlowCurve(spec), len(spec.joints)
    command, hold, after = np.zeros(n), HOLD[1], 0.0
    speeds = []
    for j in mover.joints:
        valve = list(spec.joints.values())[j].drive.valve
        u = curve.inverse(j, direction * SPEED * spec.qd_max[j], float(q[j]))
        command[j] = float(np.clip(u, -COMMAND, COMMAND))
        # None at all where the dead band is wider than what the gate allows.
        speed = max(abs(curve.one(j, float(command[j]), float(q[j]))), 1e-6)
        limit = spec.q_max[j] if direction > 0.0 else spec.q_min[j]
        room = max(direction * (limit - q[j]) - ROOM, 0.8 * back)
        wanted = HOLD[1] if mover.travel else most / speed
        hold = min(hold, max(wanted, HOLD[0]))
        if speed * hold > room:
            hold = room / speed
        speeds.append(speed)
        after = max(after, valve.dead_time + 4.0 * valve.time_constant + 0.4 + LATEST)
    if hold < 0.5 * HOLD[0]:
        return None
    return Pulse(command, hold, after, max(speeds) * hold)


def answer(
    spec: MachineSpec, trace: Trace, joint: int, inertia: float, late: float = LATEST
) -> Answer:
    """Fit scale and delay of one joint by least squares over a grid of delays.

    Args:
        inertia: about the joint [kg·m²]. late: longest delay that is looked for [s].
    """
    t, y = trace.t - trace.t[0], trace.q[:, joint] - trace.q0[joint]
    tm, model = response(
        spec, joint, trace.q0, inertia, t, trace.u[:, joint], float(t[-1]) + DT_AFTER
    )
    best = (np.inf, 0.0, 0.0)
    for delay in np.arange(-late, late, 0.01):
        m = np.interp(t - delay, tm, model)
        power = float(m @ m)
        scale = float(m @ y) / power if power > 0.0 else 0.0
        error = float(((y - scale * m) ** 2).sum())
        if error < best[0]:
            best = (error, float(delay), scale)
    _, delay, scale = best
    moved = float(np.median(y[-10:]))
    turned = float(np.trapezoid(trace.qd[:, joint], t))
    others = np.abs(trace.q - trace.q0)
    return Answer(
        scale, delay, moved, float(model[-1]), np.sort(others, axis=0)[-4:].min(axis=0),
        bool(np.ptp(trace.q[:, joint]) == 0.0), turned / moved if moved else np.nan,
        t, y, np.interp(t, tm, model), trace.u[:, joint],
    )  # fmt: skip


DT_AFTER = 0.1


def together(answers: Sequence[Answer]) -> tuple[float, float]:
    """Return scale and delay of both directions: way-weighted mean, so that noise cancels."""
    weights = np.array([abs(a.wanted) for a in answers])
    weights = weights / weights.sum()
    scale = float(weights @ np.array([a.scale for a in answers]))
    delay = float(weights @ np.array([a.delay for a in answers]))
    return scale, delay
