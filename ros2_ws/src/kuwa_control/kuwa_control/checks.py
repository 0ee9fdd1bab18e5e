"""What control is told, checked before a core sees it: joint states, chunks, velocities."""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array, CommandKind, JointCommand, MachineState, Trajectory
from kuwa_machines.errors import CommandError

YOUNG = 0.25
"""A chunk that begins this near to a change of mode was made for the new mode [s]; one that ended
longer ago than this was meant for another time."""
EARLY = 1.0
"""So is one that begins later than this [s]: clocks do not agree."""


def checked_state(state: MachineState) -> MachineState:
    """Return a state whose joints are all measured.

    Raises:
        CommandError: a joint has a position or a velocity that is no number: what a core has once
            learnt from it, it would not get rid of.
    """
    if not (np.isfinite(state.q).all() and np.isfinite(state.qd).all()):
        raise CommandError(
            f"joint state at {state.stamp:.3f} s has positions {state.q.tolist()} and velocities "
            f"{state.qd.tolist()}; expected numbers"
        )
    return state


def checked_chunk(chunk: Trajectory, now: float) -> Trajectory:
    """Return a chunk that is about the time around ``now`` [s].

    Raises:
        CommandError: it is over, or begins long after now.
    """
    end = chunk.stamp + float(chunk.t[-1])
    if end < now - YOUNG or chunk.stamp > now + EARLY:
        raise CommandError(
            f"trajectory from {chunk.stamp:.3f} to {end:.3f} s is refused in a state of "
            f"{now:.3f} s: it is {'over' if end < now else 'too early'}"
        )
    return chunk


def checked_velocity(command: JointCommand, names: tuple[str, ...]) -> Array:
    """Return the values of a velocity reference in the machine's order, shape (n,).

    Raises:
        CommandError: it is of another kind or for other joints, or a value is beyond ±1 or NaN.
    """
    values = command.ordered(names)
    if command.kind is not CommandKind.VELOCITY_FRACTION or not (np.abs(values) <= 1).all():
        raise CommandError(
            f"velocity reference is {command.kind.name} {values.tolist()}; "
            f"expected VELOCITY_FRACTION with values in [-1, 1]"
        )
    return values
