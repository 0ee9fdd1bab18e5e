"""Tracking of the joints that cylinders and motors on the working pump move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.adaptive.oil import OilLearning
from kuwa_policies.control.chunk import NEUTRAL, TRACK, VELOCITY, interpolate, push, sample
from kuwa_policies.control.drive import DriveModel, displacement_at, spool_command, spool_flow
from kuwa_policies.control.gains import Gains
from kuwa_policies.control.slewing import SlewingGive

Knots = tuple[Array, Array, Array, Array]
"""Times (K,), then positions, velocities and lead of the oil, each (K, n)."""


class OilControl:
    """State and parameters of the n joints with oil drives, stepped in place.

    Args:
        spec: the machine.
        period: of control [s].
        gains: tuning.
        learning: what learns the machine's own, for these joints; none if None.
    """

    def __init__(
        self, spec: MachineSpec, period: float, gains: Gains, learning: OilLearning | None = None
    ) -> None:
        drive = DriveModel(spec)
        self.learning = learning
        self.index = drive.index
        """Which of the machine's joints these are, shape (n,)."""
        n = len(self.index)
        self._give = SlewingGive(spec)
        self._pump_flow = spec.hydraulics.pump_flow
        self._pump_power = spec.hydraulics.pump_power
        delay = np.maximum(np.rint(drive.dead_time / period).astype(np.int64), 1)
        depth = int(delay.max(initial=0)) + 1
        self.command = np.zeros(n)
        self._pipe = np.zeros((n, depth))
        """Flows that the applied commands ask for, newest last: what is still to be felt."""
        self._promise = np.zeros((n, depth))
        """Predicted positions, in the order in which they come due."""
        self._travel = np.zeros((n, depth))
        """How far each of them lay from the position at the time."""
        self._memory = np.zeros((4, n))
        """Rows: flow behind the lag now, g, whether the joint rests, how long its reference has
        been at rest [s]."""
        self._learned = np.zeros(n)
        """Velocity that the joints are expected to make beyond the model's, one dead time and one
        lag from now [rad/s]; written by what learns it, taken at every step."""
        ahead = np.maximum(np.rint((drive.dead_time + drive.lag) / period).astype(np.int64), delay)
        self._expected = np.zeros((n, int(ahead.max(initial=0)) + 1))
        """Those velocities, newest last."""
        self._late = np.zeros(n)
        """Mean velocity over the last dead time beyond what was predicted [rad/s]."""
        self._moving = np.zeros(n)
        """1 where a joint was commanded to move at the last step."""
        self.asked = np.zeros(n)
        """Velocities that the last step asked of the valves, before what was learnt: in VELOCITY
        mode they are what is followed [rad/s]."""
        self._nothing: Knots = (np.zeros(1), np.zeros((1, n)), np.zeros((1, n)), np.zeros((1, n)))
        self._knots = self._nothing
        slewing = self.index == (self._give.chain or [-1])[0]
        share = np.where(slewing, gains.k_p_slewing, gains.k_p)
        self._bound = (
            self._learned, self._expected, ahead, self._late, self._moving, self.asked,
            self.command, self._pipe, self._promise, self._travel, self._memory, delay,
            drive.lag, 1.0 - np.exp(-period / drive.lag), drive.dead_band, drive.curve,
            drive.max_flow,
            drive.displacement, drive.grid_start, drive.grid_step,
            spec.q_min[self.index], spec.q_max[self.index], period,
            np.minimum(share / drive.dead_time, gains.k_p_max), gains.k_g, gains.g_max,
            gains.rest_in, gains.rest_out, gains.settle,
            np.where(slewing, gains.held, gains.rest_out),
            np.where(slewing, gains.give, 0.0), gains.still, gains.soft, gains.slew,
        )  # fmt: skip

    def forget(self, q: Array) -> None:
        """Start from rest at the machine's positions ``q``."""
        self._pipe[:] = 0.0
        self._promise[:] = q[self.index, None]
        self._travel[:] = 0.0
        self._memory[:] = 0.0
        self._memory[1:3] = 1.0
        self.command[:] = 0.0
        self._learned[:] = 0.0
        self._expected[:] = 0.0
        self._late[:] = 0.0
        self._moving[:] = 0.0
        self.asked[:] = 0.0
        self._knots = self._nothing
        if self.learning is not None:
            self.learning.forget()

    def take(self, t: Array, q: Array, qd: Array, load: float) -> None:
        """Bind a chunk's knots as the oil has to move, which is ahead of the joints by ``lead``.

        Args:
            t: knot times, (K,) [s]. q, qd: of all the machine's joints, (K, joints).
            load: mass in the tool [kg]; NaN counts as none.
        """
        at = self.index
        oil, rate = np.ascontiguousarray(q[:, at]), np.ascontiguousarray(qd[:, at])
        lead = np.zeros(oil.shape)
        if self._give.chain:
            swing = int(np.flatnonzero(at == self._give.chain[0])[0])
            lead[:, swing], ahead = self._give.lead(t, q, qd, load)
            oil += lead
            rate[:, swing] += ahead
        self._knots = (t, oil, rate, lead)

    def step(
        self, mode: int, start: float, ticks: int, pressure: float, q: Array, applied: Array,
        velocity: Array, pressures: Array,
    ) -> Array:  # fmt: skip
        """Return the commands of these joints, shape (n,).

        Args:
            mode: NEUTRAL, TRACK (the chunk taken last) or VELOCITY.
            start: time since the chunk's first knot [s].
            ticks: control periods since the last call.
            pressure: of the pump [Pa]; without a reading the whole flow is taken to be there.
            q, applied, velocity: of all the machine's joints, shape (joints,).
            pressures: of their drives, shape (joints, 2) [Pa].
        """
        available = min(self._pump_flow, self._pump_power / (pressure if pressure > 0.0 else 1.0))
        at = self.index
        if self.learning is not None:
            self._learned[:] = self.learning.step(
                mode, start, ticks, velocity[at], pressures[at], *self._knots,
                self._late, self._moving, self.command, applied[at],
            )  # fmt: skip
        step_oil(
            mode, start, ticks, available, q[at], applied[at], velocity[at], *self._knots,
            *self._bound,
        )  # fmt: skip
        return self.command


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def step_oil(
    mode: Any, start: Any, ticks: Any, available: Any, q: Any, applied: Any, velocity: Any,
    chunk_t: Any, chunk_q: Any, chunk_qd: Any, lead: Any,
    learned: Any, expected: Any, lead_ticks: Any, surplus: Any, moving: Any, asked: Any,
    command: Any, pipe: Any, promise: Any, travel: Any, memory: Any, delay: Any,
    lag: Any, blend: Any, band: Any, curve: Any, max_flow: Any,
    table: Any, grid_start: Any, grid_step: Any,
    q_min: Any, q_max: Any, period: Any, k_p: Any, k_g: Any, g_max: Any,
    rest_in: Any, rest_out: Any, settle: Any, held: Any, give: Any,
    still: Any, soft: Any, slew: Any,
) -> None:  # fmt: skip
    """One control tick; see the equations of :mod:`kuwa_policies.control.tracking`.

    Writes ``command`` and ``asked``; the arrays are those of an :class:`OilControl`.
    """
    n = q.shape[0]
    depth = pipe.shape[1]
    flow, g, resting, waited = memory[0], memory[1], memory[2], memory[3]

    # Age the pipe: what leaves it now reaches the valve, whose lag is the model's only state.
    for _ in range(ticks):
        for j in range(n):
            push(pipe[j], spool_flow(applied[j], band[j], curve[j], max_flow[j]))
            flow[j] += (pipe[j, depth - 1 - delay[j]] - flow[j]) * blend[j]

    # Learn from the promise that comes due now: normalised least mean squares.
    for j in range(n):
        # Made ``delay`` ticks ago: the last call, ``ticks`` ago, wrote the newest.
        due = min(depth - 1, depth - 1 - delay[j] + ticks)
        far = travel[j, due]
        late = q[j] - promise[j, due]
        surplus[j] = late / (delay[j] * period)
        if abs(late) < 0.3 * abs(far):
            share = k_g * ticks / delay[j]
            g[j] *= 1.0 + share * late * far / (far * far + 0.05**2)
            g[j] = min(max(g[j], 1.0 / g_max), g_max)

    # Run the model through the pipe; what the pump delivers is shared in proportion.
    ahead = q.copy()
    x = flow.copy()
    for i in range(depth - 1):
        total = 0.0
        for j in range(n):
            if i < delay[j]:
                x[j] += (pipe[j, depth - delay[j] + i] - x[j]) * blend[j]
            total += abs(x[j])
        share = min(1.0, available / total) if total > 0.0 else 1.0
        for j in range(n):
            if i < delay[j]:
                side = 1 if x[j] > 0.0 else 0
                D = displacement_at(table[j, side], grid_start[j], grid_step[j], ahead[j])
                more = expected[j, expected.shape[1] - lead_ticks[j] + i]
                ahead[j] += (g[j] * x[j] * share / D + more) * period

    for j in range(n):
        T = delay[j] * period
        # The pipe holds what the oil will do; the joint lags behind it by its lead, now and then.
        hat = come = ahead[j]
        if mode == TRACK:
            hat += interpolate(start, chunk_t, lead[:, j])
            come = hat - interpolate(start + T, chunk_t, lead[:, j])
        for _ in range(ticks):
            push(promise[j], come)
            push(travel[j], come - q[j])
        before = command[j]
        command[j] = 0.0
        moving[j] = asked[j] = 0.0
        for _ in range(ticks):
            push(expected[j], 0.0)
        if mode == NEUTRAL:
            resting[j] = 0.0
            continue
        if mode == VELOCITY:
            v = velocity[j]
            if abs(v) < still:
                # A stick at rest means a valve at rest, whatever was learnt.
                continue
        else:
            q_r, _ = sample(start + T, j, chunk_t, chunk_q, chunk_qd)
            _, v = sample(start + T + lag[j], j, chunk_t, chunk_q, chunk_qd)
            e = min(max(q_r, q_min[j]), q_max[j]) - hat
            if abs(v) < still:
                waited[j] += ticks * period
                late = waited[j] > T + settle
                if abs(e) > (held[j] if late else rest_out):
                    resting[j] = 0.0
                elif abs(e) < rest_in or (late and held[j] > rest_out):
                    resting[j] = 1.0
                if resting[j] != 0.0:
                    continue
            else:
                resting[j] = waited[j] = 0.0
                e -= min(max(e, -give[j]), give[j])
            v += k_p[j] * e
        moving[j] = 1.0
        asked[j] = v
        expected[j, expected.shape[1] - 1] = learned[j]
        v = (v - learned[j]) / g[j]
        side = 1 if v > 0.0 else 0
        D = displacement_at(table[j, side], grid_start[j], grid_step[j], hat)
        u = spool_command(v * D, band[j], curve[j], max_flow[j], soft)
        step = slew * period * ticks
        command[j] = min(max(u, before - step), before + step)
