"""Tracking of torque-driven joints by a sliding variable, with a learnt feed-forward.

    s = q̇ − q̇_r,   q̇_r = q̇_d − Λ(q − q_d)
    τ = M̂(q) q̈_r + Ĉ(q, q̇) q̇_r + Ĝ(q) − K_D s + ŷ,   ŷ learns from −s + κ e_p

(Slotine & Li 1987 and 1989, with an EBN in the place of the regressor; e_p is the torque that the
motion needed beyond what was predicted, see :mod:`kuwa_policies.control.adaptive.momentum`.) The
network reads the reference (q_d, q̇_d, q̈_d), as it will be when its answer is there: desired
compensation (Sadegh & Horowitz 1990), free of the measurement's noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import CommandError, KuwaError
from kuwa_policies.control.adaptive.feedforward import AdaptiveFeedforward
from kuwa_policies.control.adaptive.momentum import MomentumObserver
from kuwa_policies.control.adaptive.observer import VelocityObserver
from kuwa_policies.control.adaptive.predictor import Model, Predictor

STALE: Final = "no reference"
UNREADABLE: Final = "joint angles are no angles"
OVERRIDDEN: Final = "another torque was applied than was asked for"
SANE: Final = 1e6
"""Angles, velocities, accelerations and torques beyond this are no measurement of a machine."""
ALTERED: Final = 1e-3
"""A torque that differs by more than this share of the limit was not the controller's."""


class Motion(NamedTuple):
    """Where the joints should be: q, q̇, q̈, shape (n,) each."""

    q: Array
    qd: Array
    qdd: Array


@dataclass(frozen=True, slots=True)
class SlidingGains:
    """Tuning, one value a joint where not said otherwise.

    Args:
        slope: Λ [1/s].
        damping: K_D [N·m·s/rad].
        limit: torque that the drive can do [N·m].
        observer: bandwidth of the velocity observer, of all joints [rad/s].
        prediction: κ, weight of the error of prediction in learning [rad/s/(N·m)]; 0: none.
        momentum: bandwidth of the momentum observer behind it, of all joints [rad/s].
        dead_time: from torque to motion, of all joints [s]; a whole number of periods.
    """

    slope: tuple[float, ...]
    damping: tuple[float, ...]
    limit: tuple[float, ...]
    observer: float = 400.0
    prediction: tuple[float, ...] = ()
    momentum: float = 100.0
    dead_time: float = 0.0

    def __post_init__(self) -> None:
        n = len(self.slope)
        for name in ("slope", "damping", "limit"):
            values = getattr(self, name)
            if len(values) != n or not all(np.isfinite(v) and v > 0.0 for v in values):
                raise KuwaError(f"{name} is {values}; expected {n} finite values above 0")
        kappa = self.prediction
        if len(kappa) not in (0, n) or not all(np.isfinite(v) and v >= 0.0 for v in kappa):
            raise KuwaError(f"prediction is {kappa}; expected {n} finite values, none below 0")


class SlidingController:
    """One tick after another; keeps going, safely, when something is missing.

    Args:
        model: of the machine without what is to be learnt.
        gains: see there.
        period: of control [s].
        feedforward: learns the rest; its inputs are (q_d, q̇_d, q̈_d), its outputs torques. None:
            nothing is learnt.
    """

    def __init__(
        self,
        model: Model,
        gains: SlidingGains,
        period: float,
        feedforward: AdaptiveFeedforward | None = None,
    ) -> None:
        n = self.n = len(gains.slope)
        self.period, self.feedforward = period, feedforward
        self._model = model
        self._slope, self._damping = np.array(gains.slope), np.array(gains.damping)
        self._limit = np.array(gains.limit)
        self.observer = VelocityObserver(n, period, gains.observer)
        self.momentum = MomentumObserver(n, period, gains.momentum)
        self._kappa = np.array(gains.prediction or (0.0,) * n)
        self.predictor = Predictor(model, n, period, gains.dead_time)
        self.s = np.zeros(n)
        """The sliding variable, shape (n,) [rad/s]."""
        self.refused: str = ""
        """Why the last tick was not an ordinary one; empty when it was."""
        self._owed = 0
        """Ticks in which an error is still owed to a torque that was not the controller's."""
        self._hold = Motion(np.zeros(n), np.zeros(n), np.zeros(n))
        self._qd_r, self._qdd_r, self._tau = np.zeros(n), np.zeros(n), np.zeros(n)
        self._y, self._error, self._last_q = np.zeros(n), np.zeros(n), np.zeros(n)
        self._z = np.zeros(3 * n)
        zero = np.zeros(n)
        self.step(zero, self._hold)  # compiled now rather than at the first tick
        self.reset(zero, keep_weights=False)

    def reset(self, q: Array, keep_weights: bool = True) -> None:
        """Start at rest in this posture [rad]."""
        self.observer.reset(q)
        self.momentum.reset()
        self.predictor.reset(q)
        self._hold.q[:] = self._last_q[:] = q
        for array in (self._tau, self._y, self.s):
            array[:] = 0.0
        self.refused, self._owed = "", 0
        if self.feedforward is not None:
            self.feedforward.reset(keep_weights)

    def step(
        self,
        q: Array,
        reference: Motion | None,
        ahead: Motion | None = None,
        applied: Array | None = None,
    ) -> Array:
        """Return torques, shape (n,) [N·m], which is reused.

        Without a reference the arm is held where it last should have been. Without readable angles
        the torques carry the last posture's weight and what was learnt of it. Nothing is learnt in
        either case.

        Args:
            q: measured, shape (n,) [rad].
            reference: for the time when this torque acts: ``dead_time`` from now.
            ahead: a network's lag later than that; by default extrapolated.
            applied: torques that were really applied in the last tick, shape (n,); by default
                those that were asked for.

        Raises:
            CommandError: a wrong number of joints.
        """
        if np.shape(q) != (self.n,):
            raise CommandError(f"angles have shape {np.shape(q)}; expected ({self.n},)")
        done = self._tau if applied is None else applied
        learn = self._check(q, reference, done)
        self._owed = self.predictor.ticks if self.refused == OVERRIDDEN else max(self._owed - 1, 0)
        learn = learn and not self._owed
        if self.refused == UNREADABLE:
            _, _, G = self._model(self._last_q, np.zeros(self.n))
            np.clip(G + self._y, -self._limit, self._limit, out=self._tau)
            return self._tau
        motion = self._hold if reference is None or self.refused == STALE else reference
        if not _sane(done):
            # With no reference it is not even looked at, but it would stay in the predictor.
            done = self._tau
        due = self.predictor.push(done, self._y, motion)
        qd = self.observer.step(q, due[4])
        self._last_q[:] = q
        self._judge(q, qd, due)
        q_then, qd_then = self.predictor.ahead(q, qd)
        self._refer(q_then, qd_then, *motion)
        self._y[:] = self._adapt(q_then, qd_then, motion, ahead, learn and self.predictor.filled)
        M, C, G = self._model(q_then, qd_then)
        command(
            M, C, G, self._qd_r, self._qdd_r, self._damping, self.s, self._y, self._limit,
            self._tau,
        )  # fmt: skip
        if motion is not self._hold:
            self._hold.q[:] = motion.q
        return self._tau

    def _check(self, q: Array, reference: Motion | None, applied: Array) -> bool:
        """Set why this tick is not an ordinary one; return whether it may teach."""
        self.refused = ""
        if not _sane(q):
            self.refused = UNREADABLE
        elif reference is None or not all(_sane(part) for part in reference):
            self.refused = STALE
        elif any(np.shape(part) != (self.n,) for part in reference):
            raise CommandError(f"a reference must have q, q̇ and q̈ of shape ({self.n},)")
        elif (
            not np.isfinite(applied).all()
            or (np.abs(applied - self._tau) > ALTERED * self._limit).any()
        ):
            self.refused = OVERRIDDEN
        return not self.refused

    def _judge(self, q: Array, qd: Array, due: Array) -> None:
        """Set the error that teaches, −s + κ e_p, of what is measured now.

        Anti-windup: no joint at its limit learns to push further into it.
        """
        tau, y = due[0], due[1]
        self._refer(q, qd, due[2], due[3], due[4])
        np.negative(self.s, out=self._error)
        if self._kappa.any():
            M, C, G = self._model(q, qd)
            self._error += self._kappa * self.momentum.step(M, C, G, qd, tau, y)
        at_limit = np.abs(tau) >= (1.0 - ALTERED) * self._limit
        self._error[at_limit & (np.sign(self._error) == np.sign(tau))] = 0.0

    def _refer(self, q: Array, qd: Array, q_d: Array, qd_d: Array, qdd_d: Array) -> None:
        refer(self._slope, q, qd, q_d, qd_d, qdd_d, self._qd_r, self._qdd_r, self.s)

    def _adapt(
        self, q: Array, qd: Array, motion: Motion, ahead: Motion | None, learn: bool
    ) -> Array:
        """Return ŷ; overridden by controllers that learn otherwise."""
        if self.feedforward is None:
            return self._y
        n, z = self.n, self._z
        if ahead is None:
            lag = self.feedforward.lag
            z[:n] = motion.q + lag * (motion.qd + 0.5 * lag * motion.qdd)
            z[n : 2 * n] = motion.qd + lag * motion.qdd
            z[2 * n :] = motion.qdd
        else:
            z[:n], z[n : 2 * n], z[2 * n :] = ahead
        earned = self.predictor.earned(self.feedforward.trace)
        return self.feedforward.step(z, self._error, learn, earned)


def _sane(values: Array) -> bool:
    """Whether all are finite and of a size that a machine can have."""
    return bool((np.abs(values) < SANE).all())


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def refer(
    slope: Any, q: Any, qd: Any, q_d: Any, qd_d: Any, qdd_d: Any, qd_r: Any, qdd_r: Any, s: Any
) -> None:
    """Write q̇_r, q̈_r and s."""
    for j in range(len(q)):
        qd_r[j] = qd_d[j] - slope[j] * (q[j] - q_d[j])
        qdd_r[j] = qdd_d[j] - slope[j] * (qd[j] - qd_d[j])
        s[j] = qd[j] - qd_r[j]


@njit(cache=True)
def command(
    M: Any, C: Any, G: Any, qd_r: Any, qdd_r: Any, damping: Any, s: Any, y: Any, limit: Any,
    tau: Any,
) -> None:  # fmt: skip
    """Write M̂q̈_r + Ĉq̇_r + Ĝ − K_D s + ŷ within the limits."""
    for i in range(len(s)):
        total = G[i] - damping[i] * s[i] + y[i]
        for j in range(len(s)):
            total += M[i, j] * qdd_r[j] + C[i, j] * qd_r[j]
        tau[i] = min(max(total, -limit[i]), limit[i])
