"""Speed control of sprockets and wheels with hydrostatic drives of their own.

A drive turns at ω = s ω_max − λ, s being the stroke behind dead time T and lag τ, and λ what it
loses to its load (droop). The loss is observed on the stroke that the applied commands must have
brought about by now, so the dead time does not enter the feedback (an observer of disturbances on a
Smith predictor's model):

    dλ̂/dt = (s ω_max − ω − λ̂)/t_loss,   |λ̂| bounded        s(t) = [ω_r(t+T+τ) + λ̂]/ω_max

The bound is what a drive can lose at all: one that is stalled gains nothing from more stroke, and
nothing winds up. ω_r changes no faster than the joint's acceleration limit, but for a stop. Motors
of a group are on one pump and have one speed, the mean by torque; they get one stroke.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.spec import HydrostaticDrive, MachineSpec
from kuwa_policies.control.chunk import NEUTRAL, TRACK, interpolate, push
from kuwa_policies.control.drive import spool_command, spool_flow
from kuwa_policies.control.gains import Gains


class TravelControl:
    """State and parameters of the n joints with hydrostatic drives, stepped in place.

    Args:
        spec: the machine.
        period: of control [s].
        gains: tuning.
    """

    def __init__(self, spec: MachineSpec, period: float, gains: Gains) -> None:
        drives = {
            i: joint.drive
            for i, joint in enumerate(spec.joints.values())
            if isinstance(joint.drive, HydrostaticDrive)
        }
        names = spec.joint_names
        self.index = np.array(list(drives), dtype=np.int64)
        """Which of the machine's joints these are, shape (n,)."""
        n = len(drives)
        groups = [drive.group or names[i] for i, drive in drives.items()]
        labels = list(dict.fromkeys(groups))
        group = np.array([labels.index(g) for g in groups], dtype=np.int64)
        valves = [drive.valve for drive in drives.values()]
        full = spec.qd_max[self.index]
        torque = np.array([drive.torque for drive in drives.values()])
        scale = np.bincount(group, torque * full, len(labels))[group] if n else torque
        delay = np.array([max(round(v.dead_time / period), 1) for v in valves], dtype=np.int64)
        lag = np.array([v.time_constant for v in valves])
        droop = np.array([drive.droop for drive in drives.values()])
        self.command = np.zeros(n)
        self._pipe = np.zeros((n, int(delay.max(initial=0)) + 1))
        """Strokes that the applied commands ask for, newest last."""
        self._memory = np.zeros((3, n))
        """Rows: stroke now; then loss and reference of the joint's group, over its full speed."""
        self._nothing = (np.zeros(1), np.zeros((1, n)))
        self._knots = self._nothing
        self._bound = (
            self.command, self._pipe, self._memory, delay, lag,
            1.0 - np.exp(-period / lag), np.array([v.dead_band for v in valves]),
            np.array([v.curve for v in valves]), np.ones(2), group, torque / scale,
            torque * full / scale, spec.qdd_max[self.index] / full,
            droop + gains.loss_spare, period, gains.loss_time,
            gains.crawl, gains.soft, gains.slew,
        )  # fmt: skip

    @property
    def asked(self) -> Array:
        """Speeds that the last step asked of the drives, shape (n,), fractions of their full."""
        return self._memory[2]

    def forget(self) -> None:
        """Start from rest."""
        self._pipe[:] = 0.0
        self._memory[:] = 0.0
        self.command[:] = 0.0
        self._knots = self._nothing

    def take(self, t: Array, qd: Array) -> None:
        """Bind a chunk's knots: t (K,) [s] and qd of all the machine's joints, (K, joints)."""
        self._knots = (t, np.ascontiguousarray(qd[:, self.index]))

    def step(
        self, mode: int, start: float, ticks: int, qd: Array, applied: Array, velocity: Array
    ) -> Array:
        """Return the commands of these joints, shape (n,).

        Args:
            mode: NEUTRAL, TRACK (the chunk taken last) or VELOCITY.
            start: time since the chunk's first knot [s].
            ticks: control periods since the last call.
            qd, applied, velocity: of all the machine's joints, shape (joints,).
        """
        at = self.index
        step_travel(
            mode, start, ticks, qd[at], applied[at], velocity[at], *self._knots, *self._bound
        )
        return self.command


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def step_travel(
    mode: Any, start: Any, ticks: Any, qd: Any, applied: Any, velocity: Any,
    chunk_t: Any, chunk_qd: Any, command: Any, pipe: Any, memory: Any, delay: Any, lag: Any,
    blend: Any, band: Any, curve: Any, unit: Any, group: Any, weight: Any, share: Any,
    ramp: Any, most: Any, period: Any, loss_time: Any, crawl: Any, soft: Any, slew: Any,
) -> None:  # fmt: skip
    """One control tick; writes ``command``. The arrays are those of a :class:`TravelControl`."""
    n = command.shape[0]
    depth = pipe.shape[1]
    stroke, loss, reference = memory[0], memory[1], memory[2]
    for _ in range(ticks):
        for j in range(n):
            push(pipe[j], spool_flow(applied[j], band[j], curve[j], unit))
            stroke[j] += (pipe[j, depth - 1 - delay[j]] - stroke[j]) * blend[j]
    gain = 1.0 - math.exp(-ticks * period / loss_time)
    for j in range(n):
        asked = 0.0
        speed = 0.0
        wanted = 0.0
        for k in range(n):
            if group[k] == group[j]:
                asked += share[k] * stroke[k]
                speed += weight[k] * qd[k]
                if mode == TRACK:
                    s = start + delay[k] * period + lag[k]
                    wanted += weight[k] * interpolate(s, chunk_t, chunk_qd[:, k])
                else:
                    wanted += weight[k] * velocity[k]
        before = command[j]
        command[j] = 0.0
        if mode == NEUTRAL:
            loss[j] = reference[j] = 0.0
            continue
        most_change = ramp[j] * period * ticks
        wanted = min(max(wanted, reference[j] - most_change), reference[j] + most_change)
        reference[j] = wanted
        if math.isfinite(speed):
            loss[j] += gain * (asked - speed - loss[j])
            loss[j] = min(max(loss[j], -most[j]), most[j])
        # A reference at rest is neutral, where the parking brake holds.
        if abs(wanted) < crawl:
            continue
        s = wanted + loss[j]
        u = spool_command(s, band[j], curve[j], unit, soft) if s * wanted > 0.0 else 0.0
        step = slew * period * ticks
        command[j] = min(max(u, before - step), before + step)
