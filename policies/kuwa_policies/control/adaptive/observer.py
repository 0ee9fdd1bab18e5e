"""Velocities from positions: partial observation.

    q̂̇ = v̂ + 2ω (q − q̂)        v̂̇ = a + ω² (q − q̂)

With a the acceleration that is asked for, the velocity is late only by what the joint does not do
of it: without, by 2q̈/ω.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError


class VelocityObserver:
    """Both poles at −ω, discretised exactly.

    Args:
        joints: n.
        period: of control [s].
        bandwidth: ω [rad/s].
    """

    def __init__(self, joints: int, period: float, bandwidth: float) -> None:
        if not (np.isfinite(bandwidth) and 0.0 < bandwidth * period < 2.0):
            raise KuwaError(
                f"observer bandwidth {bandwidth:g} rad/s at a period of {period:g} s; expected "
                f"above 0 and below {2.0 / period:g}"
            )
        pole = np.exp(-bandwidth * period)
        self._numbers = np.array([period, 1.0 - pole**2, (1.0 - pole) ** 2 / period])
        self.q = np.zeros(joints)
        self.qd = np.zeros(joints)
        """Estimated velocities, shape (n,) [rad/s]."""
        self.step(self.q.copy(), self.q.copy())

    def reset(self, q: Array) -> None:
        """Start at rest."""
        self.q[:] = q
        self.qd[:] = 0.0

    def step(self, q: Array, qdd: Array) -> Array:
        """Take a measurement; return the velocities, shape (n,), which is reused.

        Args:
            q: measured, shape (n,) [rad].
            qdd: acceleration over the last period, as far as known, shape (n,) [rad/s²].
        """
        observe(self._numbers, self.q, self.qd, q, qdd)
        return self.qd


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def observe(numbers: Any, q_hat: Any, qd_hat: Any, q: Any, qdd: Any) -> None:
    """Predict by a period, then correct."""
    T, l1, l2 = numbers
    for j in range(len(q)):
        ahead = q_hat[j] + T * qd_hat[j] + 0.5 * T * T * qdd[j]
        off = q[j] - ahead
        q_hat[j] = ahead + l1 * off
        qd_hat[j] += T * qdd[j] + l2 * off
