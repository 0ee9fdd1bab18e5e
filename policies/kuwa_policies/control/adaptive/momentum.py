"""Torque that the model does not explain, from momentum: no acceleration is needed.

    p = M̂(q) q̇,   ṗ̂ = τ + Ĉᵀq̇ − Ĝ − d,   d = ω (p̂ − p)

d is the unexplained torque behind a low-pass of ω (De Luca & Mattone 2003); it uses Ṁ̂ = Ĉ + Ĉᵀ.
What was learnt, ŷ, passes the same low-pass, so e_p = d − ŷ_f compares like with like: it is the
error of prediction of composite adaptation (Slotine & Li 1989).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError


class MomentumObserver:
    """Of n joints.

    Args:
        joints: n.
        period: of control [s].
        bandwidth: ω [rad/s].
    """

    def __init__(self, joints: int, period: float, bandwidth: float) -> None:
        if not (np.isfinite(bandwidth) and 0.0 < bandwidth * period < 1.0):
            raise KuwaError(
                f"momentum bandwidth {bandwidth:g} rad/s at a period of {period:g} s; expected "
                f"above 0 and below {1.0 / period:g}"
            )
        self._numbers = np.array([period, bandwidth])
        self.d = np.zeros(joints)
        """Torque that is needed beyond the model's, low-passed, shape (n,) [N·m]."""
        self.error = np.zeros(joints)
        """e_p = d − ŷ_f, shape (n,) [N·m]."""
        self._p, self._y = np.zeros(joints), np.zeros(joints)
        self._started = False
        zero = np.zeros(joints)
        self.step(np.eye(joints), np.zeros((joints, joints)), zero, zero, zero, zero)
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        for array in (self.d, self.error, self._p, self._y):
            array[:] = 0.0
        self._started = False

    def step(self, M: Array, C: Array, G: Array, qd: Array, tau: Array, y: Array) -> Array:
        """Return e_p, shape (n,), which is reused.

        Args:
            M, C, G: of the model where the joints are now.
            qd: shape (n,) [rad/s].
            tau: applied over the last period, y: what was learnt of it; shape (n,) [N·m].
        """
        observe_momentum(
            self._numbers, M, C, G, qd, tau, y, self._started, self._p, self._y, self.d, self.error
        )
        self._started = True
        return self.error


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def observe_momentum(
    numbers: Any, M: Any, C: Any, G: Any, qd: Any, tau: Any, y: Any, started: Any,
    p_hat: Any, y_f: Any, d: Any, error: Any,
) -> None:  # fmt: skip
    """Advance by one period."""
    T, w = numbers
    n = len(qd)
    for i in range(n):
        p = 0.0
        for j in range(n):
            p += M[i, j] * qd[j]
        if started:
            push = tau[i] - G[i] - d[i]
            for j in range(n):
                push += C[j, i] * qd[j]
            p_hat[i] += T * push
        else:
            p_hat[i] = p
        d[i] = w * (p_hat[i] - p)
        y_f[i] += T * w * (y[i] - y_f[i])
        error[i] = d[i] - y_f[i]
