"""Which stretches of a log show one function alone, and where the machine stands still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_policies.identification.joint_log import JointLog, pieces
from kuwa_policies.identification.model import MachineModel, Window

NEUTRAL = 0.02
"""A command within ± this asks for nothing: no valve of these machines opens so early."""
REST = 1.5
"""The other functions are at rest this long after their last command [s]."""
BEFORE, AFTER = 1.0, 5.0
"""A window begins this long before its first command and ends this long after its last [s]."""
BLOCK = 4.0
"""Positions are compared in blocks of this length, each about its own mean [s]."""
STILL = 4.0
"""After this long without a command a machine only drifts [s]."""
LEAST_HOLD = 5.0


@dataclass(frozen=True)
class Stretch:
    """A window of the log and what was measured of one function in it.

    Attributes:
        window: for the model.
        rows: rows of the log.
        block: number of each row's block, counted from 0 over all stretches.
    """

    window: Window
    rows: NDArray[np.intp]
    block: NDArray[np.intp]


class Activity:
    """When each function of a log was last commanded.

    Args:
        log: checked.
    """

    def __init__(self, log: JointLog) -> None:
        self.log = log
        self.known = np.isfinite(log.command).all(1)
        self.t_command = log.t_command[self.known]
        self.command = log.command[self.known]
        ends = np.append(self.t_command[1:], log.t[-1])
        busy = np.abs(self.command) > NEUTRAL
        latest = np.maximum.accumulate(np.where(busy, ends[:, None], -np.inf), axis=0)
        at = np.searchsorted(self.t_command, log.t, side="right") - 1
        self.busy = busy[np.maximum(at, 0)]
        """Whether each function is commanded, shape (N, n)."""
        self.since = np.maximum(log.t[:, None] - latest[np.maximum(at, 0)], 0.0)
        """Time since the last command of each function, shape (N, n) [s]."""
        for first, last in pieces(log):
            inside = (log.t >= first) & (log.t <= last)
            # What came before a gap is not known.
            passed = (log.t[inside] - first)[:, None]
            self.since[inside] = np.minimum(self.since[inside], passed)

    def stretches(self, model: MachineModel, j: int, alone: bool) -> list[Stretch]:
        """Return the stretches in which function ``j`` is commanded.

        Args:
            alone: only where the others are at rest; else where all were at rest before.
        """
        log, out = self.log, []
        others = np.delete(np.arange(len(log.joints)), j)
        blocks = 0
        for first, last in pieces(log):
            piece = np.flatnonzero((log.t >= first) & (log.t <= last))
            free = self.since[piece][:, others].min(1, initial=np.inf) > REST if alone else True
            # A window runs from rest to rest of its own function.
            own = self.since[piece, j] if alone else self.since[piece].min(1)
            inside = (own < AFTER) & free
            for run in _runs(inside):
                rows = piece[run]
                began = np.flatnonzero(self.busy[rows, j])
                if not began.size:
                    continue
                # Back to the rest before the first command.
                start = np.searchsorted(log.t, log.t[rows[began[0]]] - BEFORE)
                start = max(int(start), int(piece[0]))
                quiet = np.flatnonzero(self.since[start : rows[-1], :].min(1) > 0.5 * BEFORE)
                if not quiet.size:
                    continue
                rows = np.arange(start + quiet[0], rows[-1] + 1)
                if log.t[rows[-1]] - log.t[rows[0]] < BEFORE:
                    continue
                block = np.floor((log.t[rows] - log.t[rows[0]]) / BLOCK).astype(np.intp) + blocks
                blocks = int(block[-1]) + 1
                out.append(Stretch(self.window(model, rows), rows, block))
        return out

    def window(self, model: MachineModel, rows: NDArray[np.intp]) -> Window:
        """Return the model's window over some rows, missing positions bridged."""
        log = self.log
        q = np.empty((len(rows), len(log.joints)))
        for j in range(q.shape[1]):
            good = np.isfinite(log.q[:, j])
            q[:, j] = np.interp(log.t[rows], log.t[good], log.q[good, j])
        return model.window(self.t_command, self.command, log.t[rows], q)

    def holds(self) -> list[NDArray[np.intp]]:
        """Return the rows of each stretch in which the machine was told nothing and only drifts."""
        log, out = self.log, []
        for first, last in pieces(log):
            piece = np.flatnonzero((log.t >= first) & (log.t <= last))
            for run in _runs(self.since[piece].min(1) > STILL):
                rows = piece[run]
                if log.t[rows[-1]] - log.t[rows[0]] >= LEAST_HOLD:
                    out.append(rows)
        return out


def _runs(mask: Array | NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the indices of each run of True."""
    index = np.flatnonzero(mask)
    if not index.size:
        return []
    return np.split(index, np.flatnonzero(np.diff(index) > 1) + 1)
