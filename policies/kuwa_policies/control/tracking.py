"""Conventional tracking control of hydraulic joints, the baseline that learned control must beat.

Every joint answers a command only after its dead time T and then with the lag τ of its valve. The
reference is known further ahead than that, so each joint is fed forward with the velocity that it
will need then, and its position error is taken then as well, against a prediction from what the
pipe still holds (Smith, 1957):

    q̂(t+T) = q(t) + g ∫ v_model(applied)        v = [q̇_r(t+T+τ) + K_p (q_r(t+T) − q̂(t+T))] / g

g is what the joint makes of a modelled velocity, learnt from what came of earlier predictions. A
slewing front is led further, by what its oil column gives under the torque (see SlewingGive).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array, MachineState, Trajectory
from kuwa_machines.errors import CommandError
from kuwa_machines.spec import MachineSpec, MotorDrive
from kuwa_policies.control.chunk import interpolate, sample
from kuwa_policies.control.drive import (
    DriveModel,
    SlewingGive,
    displacement_at,
    spool_command,
    spool_flow,
)

NEUTRAL, TRACK, VELOCITY = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Gains:
    """Tuning of :class:`TrackingController`.

    Args:
        k_p: position gain times the dead time of a cylinder's joint. k_p_slewing: of a motor's.
        give: while it moves, a motor's joint is left alone up to this error [rad]: its oil gives
            that much, and comes back by itself before a correction could arrive.
        k_p_max: bound on the position gain where dead times are short [1/s].
        k_g: how much of a wrong prediction g takes over per dead time.
        g_max: bound on g, and 1/g_max the other; a joint further off is stalled, which says
            nothing about its valve.
        rest_in, rest_out: a resting joint is left alone below rest_out and corrected down to
            rest_in [rad].
        settle, held: so long after its reference came to rest [s] a slewing joint is left alone up
            to ``held`` [rad]: between the walls of a trench the oil would only be wound up.
        still: a reference slower than this is at rest [rad/s].
        soft: share of full flow below which the dead band is crossed on a ramp.
        slew: fastest change of a command [1/s]; below what a gate lets through.
    """

    k_p: float = 1.2
    k_p_slewing: float = 0.7
    give: float = 0.005
    k_p_max: float = 2.5
    k_g: float = 0.1
    g_max: float = 1.25
    rest_in: float = math.radians(0.08)
    rest_out: float = math.radians(0.2)
    settle: float = 1.5
    held: float = math.radians(0.6)
    still: float = 1e-3
    soft: float = 4e-4
    slew: float = 9.5


class TrackingController:
    """Feed-forward with preview, Smith predictor, inverse valve model.

    Args:
        spec: the machine.
        period: of control [s].
        gains: tuning.
    """

    def __init__(self, spec: MachineSpec, period: float, gains: Gains | None = None) -> None:
        drive = DriveModel(spec)
        n = len(spec.joint_names)
        gains = gains or Gains()
        self._period = period
        self._n = n
        self._qd_max = spec.qd_max
        self._pump_flow = spec.hydraulics.pump_flow
        self._pump_power = spec.hydraulics.pump_power
        delay = np.maximum(np.rint(drive.dead_time / period).astype(np.int64), 1)
        depth = int(delay.max()) + 1
        self._command = np.zeros(n)
        self._pipe = np.zeros((n, depth))
        """Flows that the applied commands ask for, newest last: what is still to be felt."""
        self._promise = np.zeros((n, depth))
        """Predicted positions, in the order in which they come due."""
        self._travel = np.zeros((n, depth))
        """How far each of them lay from the position at the time."""
        self._memory = np.zeros((4, n))
        """Rows: flow behind the lag now, g, whether the joint rests, how long its reference has
        been at rest [s]."""
        self._velocity = np.zeros(n)
        self._give = SlewingGive(spec)
        self._no_chunk = (np.zeros(1), np.zeros((1, n)), np.zeros((1, n)), np.zeros((1, n)))
        self._chunk: Trajectory | None = None
        self._knots = self._no_chunk
        self._stamp = -math.inf
        slewing = [isinstance(joint.drive, MotorDrive) for joint in spec.joints.values()]
        share = np.where(slewing, gains.k_p_slewing, gains.k_p)
        self._bound = (
            self._command, self._pipe, self._promise, self._travel, self._memory, delay,
            drive.lag, 1.0 - np.exp(-period / drive.lag), drive.dead_band, drive.curve,
            drive.max_flow,
            drive.displacement, drive.grid_start, drive.grid_step,
            spec.q_min, spec.q_max, period,
            np.minimum(share / drive.dead_time, gains.k_p_max), gains.k_g, gains.g_max,
            gains.rest_in, gains.rest_out, gains.settle,
            np.where(slewing, gains.held, gains.rest_out),
            np.where(slewing, gains.give, 0.0), gains.still, gains.soft, gains.slew,
        )  # fmt: skip
        self._compile()

    def _compile(self) -> None:
        """Compile now, where nobody waits, rather than at the first tick."""
        n = self._n
        rest = Trajectory(0.0, np.array([0.0, 0.1, 0.2]), np.zeros((3, n)), np.zeros((3, n)))
        self._take(rest, 0.0)
        zero = np.zeros(n)
        _step(NEUTRAL, 0.0, 1, self._pump_flow, zero, zero, zero, *self._knots, *self._bound)
        self._forget(zero)

    def _forget(self, q: Array) -> None:
        self._pipe[:] = 0.0
        self._promise[:] = q[:, None]
        self._travel[:] = 0.0
        self._memory[:] = 0.0
        self._memory[1:3] = 1.0
        self._command[:] = 0.0
        self._chunk, self._knots = None, self._no_chunk

    def reset(self, state: MachineState) -> None:
        """Forget the past; start from this state at rest."""
        self._forget(state.q)
        self._stamp = state.stamp - self._period

    def step(
        self, state: MachineState, reference: Trajectory | Array | None, applied: Array
    ) -> Array:
        """Return valve commands, shape (n,), for a trajectory, velocity fractions or None."""
        start = 0.0
        if reference is None:
            mode = NEUTRAL
        elif isinstance(reference, Trajectory):
            mode = TRACK
            if reference is not self._chunk:
                self._take(reference, state.tool_load)
            start = state.stamp - reference.stamp
        else:
            mode = VELOCITY
            if len(reference) != self._n:
                raise CommandError(
                    f"velocity reference has {len(reference)} values; expected {self._n}"
                )
            np.multiply(reference, self._qd_max, out=self._velocity)
        # A tick that was missed went by with the same command in force.
        ticks = 1
        if math.isfinite(self._stamp):
            ticks = min(max(round((state.stamp - self._stamp) / self._period), 0), 1000)
        self._stamp = state.stamp
        # Without a pressure reading the whole flow is taken to be there.
        pressure = state.pump_pressure if state.pump_pressure > 0.0 else 1.0
        available = min(self._pump_flow, self._pump_power / pressure)
        _step(
            mode, start, ticks, available, state.q, applied, self._velocity, *self._knots,
            *self._bound,
        )  # fmt: skip
        return self._command.copy()

    def _take(self, chunk: Trajectory, load: float) -> None:
        """Bind a chunk's knots as the oil has to move, which is ahead of the joints by ``lead``."""
        if chunk.q.shape != (len(chunk.t), self._n) or chunk.qd.shape != chunk.q.shape:
            raise CommandError(
                f"trajectory has q {chunk.q.shape} and qd {chunk.qd.shape}; expected "
                f"({len(chunk.t)}, {self._n}) for both"
            )
        self._chunk = chunk
        t = np.array(chunk.t, dtype=float)
        q, qd, lead = np.array(chunk.q), np.array(chunk.qd), np.zeros(chunk.q.shape)
        lead[:, 0], rate = self._give.lead(t, q, qd, load)
        q += lead
        qd[:, 0] += rate
        self._knots = (t, q, qd, lead)


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def _push(row: Any, value: float) -> None:
    """Shift by one towards the past and append."""
    for i in range(row.shape[0] - 1):
        row[i] = row[i + 1]
    row[row.shape[0] - 1] = value


@njit(cache=True)
def _step(
    mode: Any, start: Any, ticks: Any, available: Any, q: Any, applied: Any, velocity: Any,
    chunk_t: Any, chunk_q: Any, chunk_qd: Any, lead: Any,
    command: Any, pipe: Any, promise: Any, travel: Any, memory: Any, delay: Any,
    lag: Any, blend: Any, band: Any, curve: Any, max_flow: Any,
    table: Any, grid_start: Any, grid_step: Any,
    q_min: Any, q_max: Any, period: Any, k_p: Any, k_g: Any, g_max: Any,
    rest_in: Any, rest_out: Any, settle: Any, held: Any, give: Any,
    still: Any, soft: Any, slew: Any,
) -> None:  # fmt: skip
    """One control tick; see the module's equations. Writes ``command``."""
    n = q.shape[0]
    depth = pipe.shape[1]
    flow, g, resting, waited = memory[0], memory[1], memory[2], memory[3]

    # Age the pipe: what leaves it now reaches the valve, whose lag is the model's only state.
    for _ in range(ticks):
        for j in range(n):
            _push(pipe[j], spool_flow(applied[j], band[j], curve[j], max_flow[j]))
            flow[j] += (pipe[j, depth - 1 - delay[j]] - flow[j]) * blend[j]

    # Learn from the promise that comes due now: normalised least mean squares.
    for j in range(n):
        due = depth - delay[j]
        far = travel[j, due]
        late = q[j] - promise[j, due]
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
                ahead[j] += g[j] * x[j] * share / D * period

    for j in range(n):
        T = delay[j] * period
        # The pipe holds what the oil will do; the joint lags behind it by its lead, now and then.
        hat = come = ahead[j]
        if mode == TRACK:
            hat += interpolate(start, chunk_t, lead[:, j])
            come = hat - interpolate(start + T, chunk_t, lead[:, j])
        for _ in range(ticks):
            _push(promise[j], come)
            _push(travel[j], come - q[j])
        before = command[j]
        command[j] = 0.0
        if mode == NEUTRAL:
            resting[j] = 0.0
            continue
        if mode == VELOCITY:
            v = velocity[j]
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
        v /= g[j]
        side = 1 if v > 0.0 else 0
        D = displacement_at(table[j, side], grid_start[j], grid_step[j], hat)
        u = spool_command(v * D, band[j], curve[j], max_flow[j], soft)
        step = slew * period * ticks
        command[j] = min(max(u, before - step), before + step)
