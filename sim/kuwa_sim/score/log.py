"""What the scores need of a run, and the figures that every run has."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec

Mask = NDArray[np.bool_]
Values = dict[str, float | None]

LIMIT_TOLERANCE = 0.005
"""A joint this far outside its operating range counts as a violation [rad]."""


class ScoreError(KuwaError):
    """Maps or logs that do not fit together, so that no score can be given."""


@dataclass(frozen=True, slots=True)
class WorkLog:
    """One machine's run, one row per recorded tick.

    Args:
        t: time of each row, increasing, shape (N,) [s].
        q, qd: joint positions and velocities, shape (N, n) [rad], [rad/s].
        cycle: the planner's count of work cycles, 0 before the first, shape (N,).
        done: whether the planner called the task finished, shape (N,).
        pump_power: hydraulic power delivered, shape (N,) [W].
        load: mass in the tool, shape (N,) [kg].
        position: true origin of the undercarriage, shape (N, 3) [m].
        heading: its true direction about +z, shape (N,) [rad].
        velocity: its true velocity in the world, shape (N, 3) [m/s].
        points: true points of the tool in the world, shape (N, k, 3) [m].
    """

    t: Array
    q: Array
    cycle: NDArray[np.int64]
    done: Mask
    pump_power: Array
    qd: Array = field(default_factory=lambda: np.empty((0, 0)))
    load: Array = field(default_factory=lambda: np.empty(0))
    position: Array = field(default_factory=lambda: np.empty((0, 3)))
    heading: Array = field(default_factory=lambda: np.empty(0))
    velocity: Array = field(default_factory=lambda: np.empty((0, 3)))
    points: Array = field(default_factory=lambda: np.empty((0, 0, 3)))

    def check(self) -> None:
        """Refuse what no score can be made of.

        Raises:
            ScoreError: numbers that are not finite, and how many.
        """
        for name, values in (
            ("time", self.t), ("joint positions", self.q), ("pump power", self.pump_power),
            ("position", self.position),
        ):  # fmt: skip
            if not np.isfinite(values).all():
                bad = int(np.count_nonzero(~np.isfinite(values)))
                raise ScoreError(f"{name}: {bad} of {values.size} numbers are not finite")

    @property
    def finished(self) -> bool:
        """Whether the planner called the task done."""
        return bool(self.done.any())

    @property
    def duration(self) -> float:
        """Until the task was called done, or the end [s]."""
        if not self.t.size:
            return 0.0
        last = int(np.argmax(self.done)) if self.finished else self.t.size - 1
        return float(self.t[last] - self.t[0])


def common(log: WorkLog, spec: MachineSpec) -> Values:
    """Return the figures of every run."""
    return {
        "duration_s": log.duration,
        "energy_kwh": energy(log.t, log.pump_power) / 3.6e6,
        "limit_violations": limit_violations(log.q, spec),
    }


def cycles(log: WorkLog) -> Values:
    """Return the figures of work cycles."""
    times = cycle_times(log.t, log.cycle, log.done)
    some = bool(times.size)
    return {
        "cycles": int(times.size),
        "cycle_mean_s": float(times.mean()) if some else None,
        "cycle_min_s": float(times.min()) if some else None,
        "cycle_max_s": float(times.max()) if some else None,
    }


def cycle_times(t: Array, cycle: NDArray[np.int64], done: Mask) -> Array:
    """Return the durations of the cycles that were finished, shape (cycles,) [s].

    A cycle ends when the next begins, the last one when the task is called done.
    """
    starts = np.flatnonzero(np.diff(cycle, prepend=0) > 0)
    ends = list(t[starts[1:]])
    if starts.size and done.any() and (end := float(t[int(np.argmax(done))])) > t[starts[-1]]:
        ends.append(end)
    return np.array(ends) - t[starts[: len(ends)]]


def limit_violations(q: Array, spec: MachineSpec) -> int:
    """Return how many rows have a joint outside its operating range."""
    below, above = q < spec.q_min - LIMIT_TOLERANCE, q > spec.q_max + LIMIT_TOLERANCE
    return int(np.count_nonzero((below | above).any(axis=1)))


def energy(t: Array, power: Array) -> float:
    """Return the integral of power over time by the trapezoid rule [J]."""
    return float(np.trapezoid(power, t)) if t.size > 1 else 0.0
