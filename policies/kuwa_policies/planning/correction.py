"""What finishing passes leave too high or too low, learnt from the scan, row by row.

A pass over the same ground meets the same forces, gives and leans in the same way, so what it left
beside its aim is taken off the next pass's aim (iterative learning, Arimoto 1984, in the height of
the edge instead of in the commands).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from kuwa_machines.contracts import Array


@dataclass(frozen=True, slots=True)
class CorrectionSettings:
    """Tuning of :class:`Correction`.

    Args:
        gain: share of an error that is taken off the next time.
        up, down: bounds on the correction [m]. Down is the smaller one: soil that slid in from the
            walls is no reason to dig deeper.
        noticed: ground lowered or raised by less than this was not worked [m].
        length: rows that share what they learn.
        thin: a cut of up to this thickness teaches in full [m].
    """

    gain: float = 0.6
    up: float = 0.05
    down: float = 0.02
    noticed: float = 0.008
    length: int = 5
    thin: float = 0.07


class Correction:
    """Height to add to the edge's aim, per row.

    Args:
        rows: how many.
    """

    def __init__(self, rows: int, settings: CorrectionSettings | None = None) -> None:
        self._set = settings or CorrectionSettings()
        self.value = np.zeros(rows)
        self._pending: tuple[Array, Array] | None = None

    def expect(self, surface: Array, aim: Array) -> None:
        """A pass is about to start: the surface now and the one it is to leave, (rows,) [m]."""
        self._pending = (surface.copy(), aim.copy())

    def learn(self, surface: Array) -> None:
        """Take the surface that the expected pass left, shape (rows,) [m]; without one, nothing."""
        if self._pending is None:
            return
        s = self._set
        (before, aim), self._pending = self._pending, None
        worked = np.abs(surface - before) > s.noticed
        if not worked.any():
            return
        at = np.arange(len(surface))
        # Rows that were not worked say nothing; their neighbours speak for them.
        error = np.interp(at, at[worked], (aim - surface)[worked])
        error = uniform_filter1d(error, s.length, mode="nearest")
        # A thick cut pushes harder than the thin ones to come.
        thick = float(np.mean((before - surface)[worked]))
        gain = s.gain * min(s.thin / max(thick, 1e-9), 1.0) if thick > 0 else s.gain
        self.value = np.clip(self.value + gain * error, -s.down, s.up)
