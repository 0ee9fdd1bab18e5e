"""A hold is the controller's work; the gate sees to it that the joints do come to rest.

Each joint has the time it needs to stop at its modelled deceleration, and some more. One that moves
after that shows that nobody holds it: the valves go to neutral.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from kuwa_machines.contracts import Array

if TYPE_CHECKING:
    from kuwa_machines.spec import MachineSpec

GRACE: Final = 0.5
"""Beyond dead time and deceleration, for the controller to hear of it and to settle [s]."""
PATIENCE: Final = 0.3
"""For which a joint may move afterwards: holding means small corrections [s]."""
REST: Final = 0.05
"""A joint slower than this share of its maximum is at rest."""
LEAST_CAP: Final = 0.3
"""Of the stroke: corrections that a hold may always make."""


class Hold:
    """Watches the joints while a hold is in force.

    Args:
        spec: gives ``qd_max``, ``qdd_max`` and ``dead_time`` of each joint, shape (n,).
    """

    def __init__(self, spec: MachineSpec) -> None:
        self._qd_max = np.asarray(spec.qd_max, dtype=float)
        self._qdd_max = np.asarray(spec.qdd_max, dtype=float)
        self._dead_time = np.asarray(spec.dead_time, dtype=float)
        self._deadline: Array | None = None
        self._moved_since = np.full(len(self._qd_max), np.inf)
        self.cap = np.ones(len(self._qd_max))
        """Greatest command that a hold allows, shape (n,): none goes faster than at its start."""
        self.failed = False

    def end(self) -> None:
        """No hold is in force."""
        self._deadline, self.failed = None, False

    def watch(self, now: float, qd: Array, applied: Array) -> bool:
        """Look at the joints at steady time ``now`` [s]; return whether the hold has failed.

        Args:
            qd: measured velocities, shape (n,) [rad/s]. applied: the command in force, shape (n,).
        """
        if self._deadline is None:
            speed = np.maximum(np.abs(qd), np.abs(applied) * self._qd_max)
            self._deadline = now + self._dead_time + speed / self._qdd_max + GRACE
            self.cap = np.maximum(np.abs(applied), LEAST_CAP)
            self._moved_since[:] = np.inf
        moves = (np.abs(qd) > REST * self._qd_max) & (now > self._deadline)
        self._moved_since = np.where(moves, np.minimum(self._moved_since, now), np.inf)
        if (now - self._moved_since > PATIENCE).any():
            self.failed = True
        return self.failed
