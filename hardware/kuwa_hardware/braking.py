"""How fast a joint may still be told to move towards a limit, given dead time and deceleration.

A command given now acts one dead time later. A model of the joint that follows the applied
commands without delay (velocity ``u * qd_max``, acceleration at most ``qdd_max``) says where the
joint will be then and how fast; from there it must be able to stop: ``v**2 / (2 * qdd_max)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kuwa_machines.contracts import Array

if TYPE_CHECKING:
    from kuwa_machines.spec import MachineSpec

_BIN_S: Final = 0.005
_HOLD_S: Final = 0.02
"""A command acts at least until the gate decides again; it must be able to stop after that."""


class BrakingModel:
    """Predicts each joint one dead time ahead and bounds the next valve command.

    Args:
        spec: gives ``q_min``, ``q_max`` [rad], ``qd_max`` [rad/s], ``qdd_max`` [rad/s²] and
            ``dead_time`` [s], each shape (n,).
        margin: distance kept from the position limits [rad].
    """

    def __init__(self, spec: MachineSpec, margin: float) -> None:
        self._low = np.asarray(spec.q_min, dtype=float) + margin
        self._high = np.asarray(spec.q_max, dtype=float) - margin
        self._qd_max = np.asarray(spec.qd_max, dtype=float)
        self._qdd_max = np.asarray(spec.qdd_max, dtype=float)
        self._dead_time = np.asarray(spec.dead_time, dtype=float)
        n = len(self._qd_max)
        self._joints = np.arange(n)
        self._lag = np.ceil(self._dead_time / _BIN_S).astype(int)
        self._size = int(self._lag.max()) + 1
        # One row per bin of time: the model's velocity and its travel since the start.
        self._velocity = np.zeros((self._size, n))
        self._travel = np.zeros((self._size, n))
        self._v = np.zeros(n)
        self._s = np.zeros(n)
        self._head = 0
        self._rest = 0.0

    def advance(self, dt: float, applied: Array) -> None:
        """The command ``applied``, shape (n,), was in force for ``dt`` seconds."""
        self._rest += dt
        bins = int(self._rest / _BIN_S)
        self._rest -= bins * _BIN_S
        step = self._qdd_max * dt
        v = self._v + np.clip(applied * self._qd_max - self._v, -step, step)
        self._s = self._s + 0.5 * dt * (self._v + v)
        self._v = v
        for _ in range(min(bins, self._size)):
            self._head = (self._head + 1) % self._size
            self._velocity[self._head] = self._v
            self._travel[self._head] = self._s
        if not bins:
            self._velocity[self._head] = self._v
            self._travel[self._head] = self._s

    def bounds(self, q: Array, qd: Array) -> tuple[Array, Array]:
        """Return the lowest (≤ 0) and highest (≥ 0) valve command that can still stop in time.

        Args:
            q: measured positions, shape (n,) [rad].
            qd: measured velocities, shape (n,) [rad/s].
        """
        past = (self._head - self._lag) % self._size
        # What the joint does now beyond what it was told (gravity, a spool that sticks) is taken
        # to go on: it shifts the prediction by one dead time of travel.
        excess = qd - self._velocity[past, self._joints]
        ahead = q + self._s - self._travel[past, self._joints]
        high = self._side(self._high - ahead, self._v, np.maximum(excess, 0.0))
        low = self._side(ahead - self._low, -self._v, np.maximum(-excess, 0.0))
        return -low, high

    def _side(self, room: Array, v: Array, excess: Array) -> Array:
        room = np.maximum(room - excess * self._dead_time, 0.0)
        # The largest v with v * hold + v**2 / (2 * qdd_max) <= room.
        a = self._qdd_max
        allowed = a * (np.sqrt(_HOLD_S**2 + 2.0 * room / a) - _HOLD_S)
        bound = np.minimum(allowed / self._qd_max, 1.0)
        bound[v + excess > allowed] = 0.0
        return bound
