"""Goals, chunks of motion, plans, and the protocol of planners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.contracts.state import HeightMap, MachineState


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A chunk of joint motion: knots joined by cubic Hermite segments, held at both ends.

    For an endless joint, a wheel or a sprocket, only the velocities count; its positions are any
    finite numbers, since the ground slips.

    Args:
        stamp: time of the first knot [s] on the state's clock (added to ``t``).
        t: knot times, strictly increasing, starting at 0, shape (K,) [s].
        q: positions, shape (K, n) [rad].
        qd: velocities, shape (K, n) [rad/s].
    """

    stamp: float
    t: Array
    q: Array
    qd: Array

    def sample(self, time: float) -> tuple[Array, Array]:
        """Return (q, qd) at ``time`` [s], each shape (n,); before and after the chunk, at rest."""
        s = time - self.stamp
        if s <= self.t[0]:
            return self.q[0].copy(), (self.qd[0] if s == self.t[0] else np.zeros_like(self.qd[0]))
        if s >= self.t[-1]:
            return self.q[-1].copy(), np.zeros_like(self.qd[-1])
        k = int(np.searchsorted(self.t, s, side="right")) - 1
        h = self.t[k + 1] - self.t[k]
        u = (s - self.t[k]) / h
        q0, q1, m0, m1 = self.q[k], self.q[k + 1], h * self.qd[k], h * self.qd[k + 1]
        q = (
            (2 * u**3 - 3 * u**2 + 1) * q0
            + (u**3 - 2 * u**2 + u) * m0
            + (-2 * u**3 + 3 * u**2) * q1
            + (u**3 - u**2) * m1
        )
        qd = (
            (6 * u**2 - 6 * u) * (q0 - q1) + (3 * u**2 - 4 * u + 1) * m0 + (3 * u**2 - 2 * u) * m1
        ) / h
        return q, qd


@dataclass(frozen=True, slots=True)
class Task:
    """A symbolic goal: what to make of a rectangle of ground, or along which path to work.

    A kind uses the fields that it needs; the others stay at their defaults.

    Args:
        kind: e.g. ``"dig_trench"``; planners say which kinds they know.
        x, y: centre of the rectangle in the world [m].
        yaw: direction of its length, about +z from +x [rad].
        length, width: [m].
        depth: below the ground that was there at the start, positive down [m].
        spoil_x, spoil_y: centre of the spoil heap, or of the body that is to be loaded [m].
        tolerance: a cell within ± this of its target counts as done [m].
        slope: rise of the wanted surface along the length [m/m].
        volume: of soil to move, measured loose, as a bucket or body holds it [m³]; 0: no bound.
        spoil_height: of what receives the spoil, above the ground there [m]; 0: the ground.
        path: way to drive, points (x, y) in the world, joined by straight lines [m].
        speed: to work at [m/s].
        height: of the tool above the ground [m].
    """

    kind: str
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0
    length: float = 0.0
    width: float = 0.0
    depth: float = 0.0
    spoil_x: float = 0.0
    spoil_y: float = 0.0
    tolerance: float = 0.0
    slope: float = 0.0
    volume: float = 0.0
    spoil_height: float = 0.0
    path: tuple[tuple[float, float], ...] = ()
    speed: float = 0.0
    height: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A planner's answer: where to move next, and what it is doing in words.

    Args:
        trajectory: the next chunk, or None while the planner waits.
        phase: e.g. ``"dig"``, ``"swing_to_dump"``, ``"done"``.
        cycle: work cycles begun so far, from 1.
        done: the task is finished as far as the planner can tell.
    """

    trajectory: Trajectory | None
    phase: str
    cycle: int
    done: bool


class Planner(Protocol):
    """From a task and the terrain to joint trajectory chunks."""

    period: float
    """Time between two calls of ``step`` [s]."""

    def reset(self, task: Task) -> None:
        """Begin a task; raises KuwaError if the task's kind is unknown or out of reach."""

    def step(self, state: MachineState, terrain: HeightMap) -> Plan:
        """Return the plan at the state's stamp. ``terrain`` is the newest map."""
