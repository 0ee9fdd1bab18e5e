"""A command for the joints of one machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from kuwa_machines.arrays import Array
from kuwa_machines.errors import CommandError


class CommandKind(IntEnum):
    """What the values of a :class:`JointCommand` mean."""

    VALVE = 0
    """Normalised lever or spool command in [-1, 1]; positive moves the joint positively."""
    VELOCITY_FRACTION = 1
    """Joint velocity as a fraction of the joint's maximum, in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class JointCommand:
    """A command for some joints of one machine.

    Args:
        stamp: time at which the command was made [s], on the clock of the state it answers.
        sequence: counts up by one from its source; a repeat or a step back is refused.
        source: who asks, e.g. ``"control"`` or ``"teleop"``.
        kind: the meaning of ``values``.
        names: joint names.
        values: shape (len(names),), dimensionless, in [-1, 1].
        mac: message authentication code over all of the above; empty where none is asked for.
    """

    stamp: float
    sequence: int
    source: str
    kind: CommandKind
    names: tuple[str, ...]
    values: Array
    mac: bytes = b""

    def ordered(self, names: tuple[str, ...]) -> Array:
        """Return the values in the order of ``names``, shape (len(names),).

        Raises:
            CommandError: if a joint is missing, unknown or given twice.
        """
        if self.names == names and len(self.values) == len(names):
            return self.values
        if len(self.values) != len(self.names) or sorted(self.names) != sorted(names):
            raise CommandError(
                f"command from {self.source!r} has {len(self.values)} values for joints "
                f"{list(self.names)}; expected one for each of {list(names)}"
            )
        return self.values[[self.names.index(name) for name in names]]
