"""Dead time of torques: where the joints will be when the torque of now acts, and whose error.

    q̂(t+T) from q(t) by M̂(q) q̈ = τ − ŷ − Ĉq̇ − Ĝ

with the torques that are still on their way; what was learnt belongs to the model as well. What is
measured now came of the torque, the reference and the activity of T ago.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_policies.control.options import whole_ratio

Model = Callable[[Array, Array], tuple[Array, Array, Array]]
"""From q and q̇, shape (n,), to M̂ (n, n), Ĉ (n, n), Ĝ (n,): the rigid body as far as it is known."""


class Predictor:
    """Of n joints behind one dead time of D periods.

    Args:
        model: what is known.
        joints: n.
        period: of control [s].
        dead_time: a whole number of periods [s]; 0: nothing is predicted.
    """

    def __init__(self, model: Model, joints: int, period: float, dead_time: float) -> None:
        self._model, self._period = model, period
        self.ticks = (
            whole_ratio(dead_time, period, ("dead time", "control period"))
            if dead_time > 0.0
            else 0
        )
        # Rows: τ, ŷ, q_d, q̇_d, q̈_d of one tick.
        self._rows = np.zeros((self.ticks + 1, 5, joints))
        self._traces = np.zeros((self.ticks + 1, 0))
        self._at, self._seen = 0, 0
        self._q, self._qd = np.zeros(joints), np.zeros(joints)

    def reset(self, q: Array) -> None:
        """Nothing is on its way; the joints should stay."""
        self._rows[:] = 0.0
        self._rows[:, 2] = q
        self._traces[:] = 0.0
        self._seen = 0

    @property
    def filled(self) -> bool:
        """Whether what is measured now comes of a torque since the reset."""
        return self._seen > self.ticks

    def push(self, tau: Array, y: Array, motion: tuple[Array, Array, Array]) -> Array:
        """Take what was applied and learnt in the last tick and what is asked of this one.

        Returns τ and ŷ that acted over the last period and the motion that is due now, (5, n).
        """
        row = self._rows[self._at]
        row[0], row[1] = tau, y
        row[2], row[3], row[4] = motion
        self._at = (self._at + 1) % len(self._rows)
        self._seen += 1
        return np.asarray(self._rows[self._at])

    def ahead(self, q: Array, qd: Array) -> tuple[Array, Array]:
        """Return q̂ and q̇̂ when the torque of now begins to act."""
        if not self.ticks:
            return q, qd
        self._q[:], self._qd[:] = q, qd
        T = self._period
        for k in range(1, self.ticks + 1):
            tau, y = self._rows[(self._at + k) % len(self._rows), :2]
            M, C, G = self._model(self._q, self._qd)
            qdd = np.linalg.solve(M, tau - y - C @ self._qd - G)
            self._q += T * (self._qd + 0.5 * T * qdd)
            self._qd += T * qdd
        return self._q, self._qd

    def earned(self, trace: Array) -> Array:
        """Take the activity of now; return the one that has earned the error of now, shape (K,)."""
        if not self.ticks:
            return trace
        if self._traces.shape[1] != len(trace):
            self._traces = np.zeros((self.ticks + 1, len(trace)))
        # `push` has moved on already: the slot before is that of this tick.
        self._traces[self._at - 1] = trace
        return np.asarray(self._traces[self._at])
