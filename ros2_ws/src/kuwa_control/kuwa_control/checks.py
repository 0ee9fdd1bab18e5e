"""What control is told, checked before a core sees it: joint states, chunks, velocities."""

from __future__ import annotations

import numpy as np

from kuwa_hardware.envelope import Envelope
from kuwa_machines.contracts import Array, CommandKind, JointCommand, MachineState, Trajectory
from kuwa_machines.errors import CommandError
from kuwa_machines.spec import HydrostaticDrive, MachineSpec

YOUNG = 0.25
"""A chunk that begins this near to a change of mode was made for the new mode [s]; one that ended
longer ago than this was meant for another time."""
EARLY = 1.0
"""So is one that begins later than this [s]: clocks do not agree."""
NEAR, JUMP_TIME = 0.15, 0.5
"""A chunk is refused where it is farther from a joint than this [rad] plus what the joint does in
this time [s] at its highest speed: no plan is meant to be chased that far."""


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


def jump_limits(spec: MachineSpec) -> Array:
    """Return how far a chunk may be from where each joint is, shape (n,) [rad].

    For an endless joint only the velocities of a chunk count: infinity.
    """
    endless = [isinstance(joint.drive, HydrostaticDrive) for joint in spec.joints.values()]
    return np.where(endless, np.inf, NEAR + JUMP_TIME * spec.qd_max)


def checked_chunk(chunk: Trajectory, state: MachineState, reach: Array) -> Trajectory:
    """Return a chunk that is about the time of the state, and begins where the joints are.

    Args:
        reach: how far each joint may be from the chunk, see :func:`jump_limits`, shape (n,) [rad].

    Raises:
        CommandError: it is over, begins long after now, or far away.
    """
    now = state.stamp
    end = chunk.stamp + float(chunk.t[-1])
    if end < now - YOUNG or chunk.stamp > now + EARLY:
        raise CommandError(
            f"trajectory from {chunk.stamp:.3f} to {end:.3f} s is refused in a state of "
            f"{now:.3f} s: it is {'over' if end < now else 'too early'}"
        )
    away = np.abs(chunk.sample(now)[0] - state.q)
    if not (away <= reach).all():
        raise CommandError(
            f"trajectory at {now:.3f} s is {away.round(3).tolist()} rad from where the joints are; "
            f"at most {reach.round(3).tolist()} is allowed"
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


def checked_applied(
    command: JointCommand, names: tuple[str, ...], envelope: Envelope | None
) -> Array:
    """Return the values of what the gate says it has applied, in the machine's order, shape (n,).

    Raises:
        CommandError: where there is a key, it is not the gate's; it is of another kind or for
            other joints, or a value is beyond ±1 or NaN.
    """
    why = "" if envelope is None else envelope.check(command)
    values = command.ordered(names)
    if why or command.kind is not CommandKind.VALVE or not (np.abs(values) <= 1).all():
        raise CommandError(
            f"applied command is {command.kind.name} {values.tolist()}; expected VALVE with "
            f"values in [-1, 1]{why and ', and ' + why}"
        )
    return values
