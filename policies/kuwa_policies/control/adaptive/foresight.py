"""What a joint will be asked for when the command of now begins to act: inputs of what learns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_policies.control.chunk import TRACK, VELOCITY, interpolate, sample

INPUTS: Final = ("speed", "direction", "acceleration", "load", "give")
"""Of each joint, in units of about one: speed over ½ q̇_max; its direction, −1 to 1; acceleration
times the dead time over ½ q̇_max; difference of the pressures over LOAD; the rate at which a
slewing motor's oil gives, by the model, over GIVE q̇_max."""
LOAD: Final = 20e6
GIVE: Final = 0.01
"""A load that nobody told doubles what the oil gives, and what it gives grows with the jerk: no
other input says it."""
CROSSING: Final = 0.008
"""Share of q̇_max over which a direction changes: below it the spool is within its dead band."""
SPAN: Final = 0.05
"""Half the time over which an acceleration is taken [s]."""
BLUR: Final = 0.1
"""Time constant of a stick's acceleration [s]."""


class Foresight:
    """Inputs of n joints, each at its own horizon.

    Args:
        horizon: how far ahead, shape (n,) [s].
        dead_time: shape (n,) [s].
        qd_max: shape (n,) [rad/s].
        period: of control [s].
    """

    def __init__(self, horizon: Array, dead_time: Array, qd_max: Array, period: float) -> None:
        self.z = np.zeros((len(horizon), len(INPUTS)))
        """Shape (n, inputs)."""
        self._stick = np.zeros((2, len(horizon)))
        self._bound = horizon, dead_time, qd_max, period, self._stick, self.z

    def forget(self) -> None:
        """Nothing was asked for so far."""
        self.z[:] = 0.0
        self._stick[:] = 0.0

    def step(
        self, mode: int, start: float, ticks: int, velocity: Array, pressure: Array,
        t: Array, q: Array, qd: Array, lead: Array,
    ) -> Array:  # fmt: skip
        """Return the inputs, shape (n, inputs), which is reused.

        Args:
            mode: NEUTRAL, TRACK or VELOCITY. start: time since the chunk's first knot [s].
            velocity: asked for by a stick, shape (n,) [rad/s]. pressure: (n, 2) [Pa]; NaN is none.
            t, q, qd: the chunk's knots, (K,), (K, n), (K, n).
            lead: what the oil gives there, (K, n) [rad].
        """
        _foresee(mode, start, ticks, velocity, pressure, t, q, qd, lead, *self._bound)
        return self.z


@njit(cache=True)
def _foresee(
    mode: Any, start: Any, ticks: Any, velocity: Any, pressure: Any, t: Any, q: Any, qd: Any,
    lead: Any, horizon: Any, dead_time: Any, qd_max: Any, period: Any, stick: Any, z: Any,
) -> None:  # fmt: skip
    for j in range(z.shape[0]):
        v = a = give = 0.0
        if mode == TRACK:
            s = start + horizon[j]
            _, v = sample(s, j, t, q, qd)
            _, before = sample(s - SPAN, j, t, q, qd)
            _, after = sample(s + SPAN, j, t, q, qd)
            a = (after - before) / (2.0 * SPAN)
            give = interpolate(s + SPAN, t, lead[:, j]) - interpolate(s - SPAN, t, lead[:, j])
            give /= 2.0 * SPAN
        elif mode == VELOCITY:
            v = velocity[j]
            stick[1, j] += min(ticks * period / BLUR, 1.0) * (v - stick[1, j])
            a = (v - stick[1, j]) / BLUR
        half = 0.5 * qd_max[j]
        z[j, 0] = v / half
        z[j, 1] = np.tanh(v / (CROSSING * qd_max[j]))
        z[j, 2] = dead_time[j] * a / half
        load = (pressure[j, 0] - pressure[j, 1]) / LOAD
        z[j, 3] = load if np.isfinite(load) else 0.0
        z[j, 4] = give / (GIVE * qd_max[j])
        for i in range(z.shape[1]):
            z[j, i] = min(max(z[j, i], -2.0), 2.0)
