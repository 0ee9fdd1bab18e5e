"""Learning what oil drives do beyond the model: dead bands, gains, leaks and loads that differ.

The joint moves with q̇(t+T) = v_model(u(t)) + δ(z). What is learnt, ŷ ≈ δ, is subtracted from the
velocity that is commanded and added to the prediction through the dead time T. The error is the
mean velocity over the last dead time beyond what was predicted for it,

    e = [q(t) − q̂(t | t−T)]/T = mean(δ − ŷ) over that time,

which needs no derivative of a measured position, and is linear in the weights of then.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.adaptive.credit import Credit
from kuwa_policies.control.adaptive.foresight import Foresight
from kuwa_policies.control.adaptive.learner import OutputLearner
from kuwa_policies.control.drive import DriveModel

SCALE = 0.15
"""Unit of the learnt velocity, as a share of q̇_max."""
STALLED = 0.3
"""A joint that lost more than this share of q̇_max ran into something: that says nothing about its
valve."""
MOST = 2.0
"""Bound of ŷ in that unit: a machine further off its data file is broken, or another one."""
OVERRIDDEN = 0.01
"""A command changed by the gate by more than this was not the controller's."""

Maker = Callable[[float], OutputLearner]
"""From the delay between an output and its error [s]."""


class OilLearning:
    """A learner for each of the n joints with oil drives.

    Args:
        spec: the machine. period: of control [s].
        make: makes a learner.
        lag: of the learner's output behind its inputs [s].
    """

    def __init__(self, spec: MachineSpec, period: float, make: Maker, lag: float = 0.0) -> None:
        drive = DriveModel(spec)
        self.index, self.dead_time = drive.index, drive.dead_time
        """Which of the machine's joints these are, and their dead times [s], shape (n,)."""
        n = len(self.index)
        qd_max = spec.qd_max[self.index]
        self._unit = SCALE * qd_max
        self._worst = STALLED / SCALE
        act = drive.dead_time + drive.lag
        self._foresight = Foresight(act + lag, drive.dead_time, qd_max, period)
        self.learners = [make(act[j] + drive.dead_time[j] / 2) for j in range(n)]
        lead = np.maximum(np.rint(act / period).astype(int), 1)
        window = np.maximum(np.rint(drive.dead_time / period).astype(int), 1)
        self._credits = [
            Credit(len(learner.psi), int(lead[j]), int(window[j]))
            for j, learner in enumerate(self.learners)
        ]
        self.frozen = ""
        """Why nothing is to be learnt; empty while something is."""
        self._window = lead + window
        self._spoilt = np.zeros(n, dtype=np.int64)
        """Ticks for which an error is still owed to a command that was not the controller's."""
        self.velocity = np.zeros(n)
        """ŷ, shape (n,) [rad/s]."""
        self.error = np.zeros(n)
        """e, shape (n,) [rad/s]."""
        self._asked = np.zeros((2, n))

    def forget(self) -> None:
        """Start from rest; what was learnt stays."""
        for learner, credit in zip(self.learners, self._credits, strict=True):
            learner.reset()
            credit.forget()
        self._foresight.forget()
        self.velocity[:] = self.error[:] = 0.0
        self._asked[:] = 0.0
        self._spoilt[:] = 0

    @property
    def reason(self) -> str:
        """Why a joint learns nothing now; empty while all learn."""
        return self.frozen or ("the gate overrides a command" if self._spoilt.any() else "")

    def step(
        self, mode: int, start: float, ticks: int, velocity: Array, pressure: Array,
        t: Array, q: Array, qd: Array, lead: Array,
        late: Array, moving: Array, command: Array, applied: Array,
    ) -> Array:  # fmt: skip
        """Return ŷ, shape (n,) [rad/s].

        Args:
            mode, start, ticks, velocity, pressure, t, q, qd, lead: as :meth:`Foresight.step` has
                them.
            late: the error at the last tick [rad/s]. moving: 1 where a joint was commanded then.
            command: asked for at the last tick. applied: what came of it.
        """
        # Through ROS the answer to the last command may still be under way: then it is the one
        # before that was applied.
        self._asked[1] = self._asked[0]
        self._asked[0] = command
        kept = np.abs(applied - self._asked).min(axis=0) <= OVERRIDDEN
        np.maximum(self._spoilt - ticks, 0, out=self._spoilt)
        self._spoilt[~kept] = self._window[~kept]
        z = self._foresight.step(mode, start, ticks, velocity, pressure, t, q, qd, lead)
        for j, learner in enumerate(self.learners):
            credit = self._credits[j]
            credit.push(learner.psi, moving[j] if kept[j] else 0.0, ticks)
            self.error[j] = late[j]
            e = late[j] / self._unit[j]
            learn = not (self.frozen or self._spoilt[j]) and ticks > 0 and abs(e) < self._worst
            y = learner.step(z[j], e, credit.earned, learn)
            self.velocity[j] = self._unit[j] * min(max(y, -MOST), MOST)
        return self.velocity
