"""Conventional tracking control of hydraulic joints, the baseline that learned control must beat.

Every joint answers a command only after its dead time T and then with the lag τ of its valve. The
reference is known further ahead than that, so each joint is fed forward with the velocity that it
will need then, and its position error is taken then as well, against a prediction from what the
pipe still holds (Smith, 1957):

    q̂(t+T) = q(t) + g ∫ v_model(applied)        v = [q̇_r(t+T+τ) + K_p (q_r(t+T) − q̂(t+T))] / g

g is what the joint makes of a modelled velocity, learnt from what came of earlier predictions. A
slewing front is led further, by what its oil column gives under the torque (see SlewingGive).
Sprockets and wheels have drives of their own and follow velocities only: see
:mod:`kuwa_policies.control.travel`. Which joint is which is in the machine's data.
"""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.contracts import Array, MachineState, Trajectory
from kuwa_machines.errors import CommandError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.adaptive.oil import OilLearning
from kuwa_policies.control.chunk import NEUTRAL, TRACK, VELOCITY
from kuwa_policies.control.gains import Gains
from kuwa_policies.control.oil import OilControl
from kuwa_policies.control.travel import TravelControl

__all__ = ["Gains", "TrackingController"]


class TrackingController:
    """Feed-forward with preview, Smith predictor, inverse valve model; for every machine.

    Args:
        spec: the machine.
        period: of control [s].
        gains: tuning.
        learning: what learns the machine's own, for the joints with oil drives; none if None.
    """

    def __init__(
        self,
        spec: MachineSpec,
        period: float,
        gains: Gains | None = None,
        learning: OilLearning | None = None,
    ) -> None:
        gains = gains or Gains()
        self._period = period
        self._n = len(spec.joint_names)
        self._qd_max = spec.qd_max
        self._oil = OilControl(spec, period, gains, learning)
        self._travel = TravelControl(spec, period, gains)
        self._velocity = np.zeros(self._n)
        self._chunk: Trajectory | None = None
        self._stamp = -math.inf
        self._compile()

    def _compile(self) -> None:
        """Compile now, where nobody waits, rather than at the first tick."""
        n = self._n
        zero = np.zeros(n)
        rest = Trajectory(0.0, np.array([0.0, 0.1, 0.2]), np.zeros((3, n)), np.zeros((3, n)))
        self._take(rest, 0.0)
        self._commands(NEUTRAL, 0.0, 1, 0.0, zero, zero, zero, np.zeros((n, 2)))
        self._forget(zero)

    def _forget(self, q: Array) -> None:
        self._oil.forget(q)
        self._travel.forget()
        self._chunk = None

    def reset(self, state: MachineState) -> None:
        """Forget the past; start from this state at rest."""
        self._forget(state.q)
        self._stamp = state.stamp - self._period

    @property
    def asked(self) -> Array:
        """Velocities that the last step asked for, shape (n,), fractions of each joint's maximum.

        A controller of the same machine that is given these as its reference does the same.
        """
        out = np.zeros(self._n)
        oil, travel = self._oil, self._travel
        out[oil.index] = oil.asked / self._qd_max[oil.index]
        out[travel.index] = travel.asked
        return out

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
        return self._commands(
            mode, start, ticks, state.pump_pressure, state.q, state.qd, applied, state.pressure
        )

    def _commands(
        self, mode: int, start: float, ticks: int, pressure: float, q: Array, qd: Array,
        applied: Array, pressures: Array,
    ) -> Array:  # fmt: skip
        out = np.zeros(self._n)
        oil, travel, v = self._oil, self._travel, self._velocity
        if oil.index.size:
            out[oil.index] = oil.step(mode, start, ticks, pressure, q, applied, v, pressures)
        if travel.index.size:
            out[travel.index] = travel.step(mode, start, ticks, qd, applied, v)
        return out

    def _take(self, chunk: Trajectory, load: float) -> None:
        if chunk.q.shape != (len(chunk.t), self._n) or chunk.qd.shape != chunk.q.shape:
            raise CommandError(
                f"trajectory has q {chunk.q.shape} and qd {chunk.qd.shape}; expected "
                f"({len(chunk.t)}, {self._n}) for both"
            )
        self._chunk = chunk
        t = np.array(chunk.t, dtype=float)
        q, qd = np.array(chunk.q, dtype=float), np.array(chunk.qd, dtype=float)
        self._oil.take(t, q, qd, load)
        self._travel.take(t, qd)
