"""Which activity has earned the error of now, behind a dead time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array


class Credit:
    """Remembers what K basis functions did, and gives their mean over the window that shows now.

    What is issued in one tick acts ``lead`` ticks later; an error that is measured as a mean over
    ``window`` ticks is owed to the mean of what was issued from lead + window to lead ticks ago.

    Args:
        K: basis functions. lead, window: [ticks].
    """

    def __init__(self, K: int, lead: int, window: int) -> None:
        self._ring = np.zeros((lead + window, K))
        self._sum = np.zeros(K)
        self._at = np.zeros(1, np.int64)
        self._window = window
        self.earned = np.zeros(K)
        """The mean, shape (K,)."""
        self.push(self.earned, 0.0)
        self.forget()

    def forget(self) -> None:
        """Nothing was done so far."""
        for array in (self._ring, self._sum, self.earned, self._at):
            array[:] = 0

    def push(self, psi: Array, weight: float, ticks: int = 1) -> None:
        """Remember the activity of the last ticks, shape (K,), and age the rest.

        Args:
            weight: 0 where it moved nothing and has earned nothing.
        """
        _push(psi, weight, ticks, self._window, self._ring, self._sum, self._at, self.earned)


@njit(cache=True)
def _push(
    psi: Any, weight: float, ticks: int, window: int, ring: Any, total: Any, at: Any, earned: Any
) -> None:
    depth, K = ring.shape
    for _ in range(min(ticks, depth)):
        head = at[0]
        # The slot that is overwritten leaves the window; the one a lead behind enters it.
        enters = (head + window) % depth
        for k in range(K):
            leaves = ring[head, k]
            ring[head, k] = weight * psi[k]
            total[k] += ring[enters, k] - leaves
        at[0] = (head + 1) % depth
        if at[0] == 0:  # rounding must not add up over hours
            for k in range(K):
                total[k] = 0.0
                for i in range(window):
                    total[k] += ring[i, k]
    for k in range(K):
        earned[k] = total[k] / window
