"""A two-link arm in a vertical plane with an unknown payload: the plant of adaptive control.

    M(q) q̈ + C(q, q̇) q̇ + G(q) + friction = τ

Angles: q1 from the horizontal, q2 from the first link; gravity along −z. The payload is a point
mass at the tip. Integrated by Runge-Kutta of fourth order; encoders have noise and steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError

GRAVITY: Final = 9.81
STICTION_SPEED: Final = 0.02
"""Coulomb friction is full from about twice this speed on [rad/s]."""


@dataclass(frozen=True, slots=True)
class ArmParameters:
    """Of the arm; lengths [m], masses [kg].

    Args:
        length: of each link. mass: of each link; uniform rods.
        payload: at the tip.
        viscous: friction of each joint [N·m·s/rad]. coulomb: the same [N·m].
        torque: what each drive can do [N·m].
        encoder_step: of the angles [rad]. encoder_noise: standard deviation [rad].
    """

    length: tuple[float, float] = (0.5, 0.5)
    mass: tuple[float, float] = (8.0, 6.0)
    payload: float = 0.0
    viscous: tuple[float, float] = (0.0, 0.0)
    coulomb: tuple[float, float] = (0.0, 0.0)
    torque: tuple[float, float] = (400.0, 200.0)
    encoder_step: float = 2.0 * np.pi / 2**16
    encoder_noise: float = 5e-5

    def __post_init__(self) -> None:
        if min(self.length) <= 0.0 or min(self.mass) <= 0.0 or self.payload < 0.0:
            raise KuwaError(
                f"arm with lengths {self.length} m, masses {self.mass} kg, payload "
                f"{self.payload} kg; lengths and masses must be above 0, the payload not below"
            )

    def numbers(self) -> Array:
        """Return what the kernels take: three inertias, two moments of weight, friction."""
        (l1, l2), (m1, m2), p = self.length, self.mass, self.payload
        return np.array([
            m1 * l1**2 / 3 + (m2 + p) * l1**2,
            m2 * l2**2 / 3 + p * l2**2,
            (m2 / 2 + p) * l1 * l2,
            (m1 / 2 + m2 + p) * l1 * GRAVITY,
            (m2 / 2 + p) * l2 * GRAVITY,
            *self.viscous, *self.coulomb,
        ])  # fmt: skip


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def arm_terms(a: Any, q: Any, qd: Any, M: Any, C: Any, G: Any) -> None:
    """Write M (2, 2), C (2, 2) and G (2,) of the arm with :meth:`ArmParameters.numbers` ``a``."""
    c2, s2 = np.cos(q[1]), np.sin(q[1])
    M[0, 0] = a[0] + a[1] + 2.0 * a[2] * c2
    M[0, 1] = M[1, 0] = a[1] + a[2] * c2
    M[1, 1] = a[1]
    h = -a[2] * s2
    C[0, 0] = h * qd[1]
    C[0, 1] = h * (qd[0] + qd[1])
    C[1, 0] = -h * qd[0]
    C[1, 1] = 0.0
    tip = a[4] * np.cos(q[0] + q[1])
    G[0] = a[3] * np.cos(q[0]) + tip
    G[1] = tip


@njit(cache=True)
def _accelerate(a: Any, x: Any, tau: Any, out: Any, M: Any, C: Any, G: Any) -> None:
    q, qd = x[:2], x[2:]
    arm_terms(a, q, qd, M, C, G)
    b0 = tau[0] - G[0] - C[0, 0] * qd[0] - C[0, 1] * qd[1]
    b1 = tau[1] - G[1] - C[1, 0] * qd[0] - C[1, 1] * qd[1]
    b0 -= a[5] * qd[0] + a[7] * np.tanh(qd[0] / STICTION_SPEED)
    b1 -= a[6] * qd[1] + a[8] * np.tanh(qd[1] / STICTION_SPEED)
    det = M[0, 0] * M[1, 1] - M[0, 1] * M[1, 0]
    out[0], out[1] = qd[0], qd[1]
    out[2] = (M[1, 1] * b0 - M[0, 1] * b1) / det
    out[3] = (M[0, 0] * b1 - M[1, 0] * b0) / det


@njit(cache=True)
def _advance(
    a: Any, x: Any, tau: Any, dt: Any, steps: Any, k: Any, at: Any, M: Any, C: Any, G: Any
) -> None:
    for _ in range(steps):
        _accelerate(a, x, tau, k[0], M, C, G)
        at[:] = x + 0.5 * dt * k[0]
        _accelerate(a, at, tau, k[1], M, C, G)
        at[:] = x + 0.5 * dt * k[1]
        _accelerate(a, at, tau, k[2], M, C, G)
        at[:] = x + dt * k[2]
        _accelerate(a, at, tau, k[3], M, C, G)
        x += dt / 6.0 * (k[0] + 2.0 * k[1] + 2.0 * k[2] + k[3])


class ArmModel:
    """The rigid-body model of an arm, as a controller asks for it.

    Args:
        parameters: of the arm that the controller believes in.
    """

    def __init__(self, parameters: ArmParameters) -> None:
        self._a = parameters.numbers()
        self.M, self.C, self.G = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2)
        self(np.zeros(2), np.zeros(2))

    def __call__(self, q: Array, qd: Array) -> tuple[Array, Array, Array]:
        """Return M, C and G at q and q̇; the arrays are reused."""
        arm_terms(self._a, q, qd, self.M, self.C, self.G)
        return self.M, self.C, self.G


class TwoLinkArm:
    """The plant.

    Args:
        parameters: of the arm.
        period: between torques [s]. substeps: of integration in it.
        dead_time: until a torque acts, a whole number of periods.
        seed: of the encoders' noise.
    """

    def __init__(
        self, parameters: ArmParameters, period: float = 1e-3, substeps: int = 2,
        dead_time: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        self.parameters = parameters
        self._dt, self._substeps = period / substeps, substeps
        self._limit = np.array(parameters.torque)
        self._rng = np.random.default_rng(seed)
        self.x = np.zeros(4)
        """q and q̇, shape (4,) [rad, rad/s]."""
        self._pipe = np.zeros((dead_time + 1, 2))
        self._work = np.zeros((4, 4)), np.zeros(4), np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2)
        self._a = parameters.numbers()
        self.reset(np.zeros(2))

    def reset(self, q: Array, qd: Array | None = None) -> None:
        """Put the arm there."""
        self.x[:2] = q
        self.x[2:] = 0.0 if qd is None else qd
        self._pipe[:] = 0.0

    def load(self, payload: float) -> None:
        """Change the payload [kg]."""
        self.parameters = replace(self.parameters, payload=payload)
        self._a = self.parameters.numbers()

    def read(self) -> Array:
        """Return what the encoders say, shape (2,) [rad]."""
        p = self.parameters
        q = self.x[:2] + p.encoder_noise * self._rng.standard_normal(2)
        return np.asarray(p.encoder_step * np.round(q / p.encoder_step))

    def step(self, tau: Array) -> Array:
        """Apply torques for one period; return those that the drives could do, shape (2,)."""
        applied = np.clip(tau, -self._limit, self._limit)
        self._pipe[:-1] = self._pipe[1:]
        self._pipe[-1] = applied
        _advance(self._a, self.x, self._pipe[0], self._dt, self._substeps, *self._work)
        return applied

    def energy(self) -> float:
        """Return kinetic and potential energy [J]."""
        _, _, M, C, G = self._work
        q, qd = self.x[:2], self.x[2:]
        arm_terms(self._a, q, qd, M, C, G)
        height = self._a[3] * np.sin(q[0]) + self._a[4] * np.sin(q[0] + q[1])
        return float(0.5 * qd @ M @ qd + height)
