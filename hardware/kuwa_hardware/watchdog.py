"""The last watchdog, at the actuator boundary: neutral when no good command came in time.

It sits in the process that talks to the valves, behind the gate, and trusts nobody: what it is
given must be valve commands for exactly this machine's joints, finite and in range.
"""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.contracts import CommandKind, JointCommand
from kuwa_machines.errors import CommandError


class Watchdog:
    """Keeps the newest applied command while it is fresh.

    Args:
        names: the machine's joints.
        timeout: a command older than this since its receipt is not sent any more [s].
    """

    def __init__(self, names: tuple[str, ...], timeout: float = 0.2) -> None:
        if not (math.isfinite(timeout) and timeout > 0.0):
            raise CommandError(f"watchdog time-out is {timeout!r} s; it must be above 0")
        self.names = names
        self.timeout = timeout
        self.trips = 0
        self.refused = 0
        self._command: JointCommand | None = None
        self._at = 0.0

    def receive(self, now: float, command: JointCommand) -> str:
        """Take a command at steady time ``now`` [s]; return why it is refused, or ``""``."""
        why = self._refusal(command)
        if why:
            self.refused += 1
        else:
            self._command, self._at = command, now
        return why

    def current(self, now: float) -> JointCommand | None:
        """Return the command to send, or None: the valves must be neutral."""
        if self._command is not None and now - self._at > self.timeout:
            self._command = None
            self.trips += 1
        return self._command

    def _refusal(self, command: JointCommand) -> str:
        try:
            values = command.ordered(self.names)
        except CommandError as error:
            return str(error)
        if command.kind is not CommandKind.VALVE:
            return f"kind {command.kind.name}; the valves take VALVE"
        if len(values) != len(self.names) or not (np.abs(values) <= 1.0).all():
            return f"values {values.tolist()}; expected {len(self.names)} numbers in [-1, 1]"
        return ""
