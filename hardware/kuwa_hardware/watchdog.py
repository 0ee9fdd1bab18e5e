"""The last watchdog, at the actuator boundary: neutral when no good command came in time.

It sits in the process that talks to the valves, behind the gate, and trusts nobody: what it is
given must be valve commands for exactly this machine's joints, finite and in range, newer than the
last one, an answer to what was measured just now, and with a key also genuine. It shares no code
with the gate but the envelope.
"""

from __future__ import annotations

import math

import numpy as np

from kuwa_hardware.envelope import Envelope
from kuwa_hardware.failures import timeout as table_timeout
from kuwa_machines.contracts import CommandKind, JointCommand
from kuwa_machines.errors import CommandError

_FORGET = 10.0
"""Time-outs of silence after which a gate that counts anew is taken for a restarted one."""


class Watchdog:
    """Keeps the newest applied command while it is fresh.

    Args:
        names: the machine's joints.
        timeout: a command older than this since its receipt is not sent any more [s].
        envelope: of the gate's key; without one, codes are not asked for.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        timeout: float = table_timeout("robot.watchdog"),
        envelope: Envelope | None = None,
    ) -> None:
        if not (math.isfinite(timeout) and timeout > 0.0):
            raise CommandError(f"watchdog time-out is {timeout!r} s; it must be above 0")
        self.names = names
        self.timeout = timeout
        self.trips = 0
        self.refused = 0
        self._envelope = envelope
        self._answer_age = table_timeout("safety.answer_age")
        self._command: JointCommand | None = None
        self._at = 0.0
        self._newest: int | None = None

    def receive(self, now: float, command: JointCommand, measured: float = math.nan) -> str:
        """Take a command at steady time ``now`` [s]; return why it is refused, or ``""``.

        Args:
            measured: stamp of the newest state of this robot [s]; not finite: there is none.
        """
        why = self._refusal(now, command) or self._recorded(command, measured)
        if why:
            self.refused += 1
        else:
            self._command, self._at, self._newest = command, now, command.sequence
        return why

    def current(self, now: float) -> JointCommand | None:
        """Return the command to send, or None: the valves must be neutral."""
        if self._command is not None and not 0.0 <= now - self._at <= self.timeout:
            self._command = None
            self.trips += 1
        return self._command

    def _recorded(self, command: JointCommand, measured: float) -> str:
        """Return why a command is of another time, however genuine: one of an earlier start."""
        age = measured - command.stamp
        if math.isfinite(measured) and not abs(age) <= self._answer_age:
            return (
                f"command {command.sequence} answers a state {age:.3f} s before the newest, "
                f"at most ±{self._answer_age:g} s is allowed"
            )
        return ""

    def _refusal(self, now: float, command: JointCommand) -> str:
        try:
            values = command.ordered(self.names)
        except CommandError as error:
            return str(error)
        if command.kind is not CommandKind.VALVE:
            return f"kind {command.kind.name}; the valves take VALVE"
        if len(values) != len(self.names) or not (np.abs(values) <= 1.0).all():
            return f"values {values.tolist()}; expected {len(self.names)} numbers in [-1, 1]"
        if self._envelope is not None:
            why = self._envelope.check(command)
            if why:
                return f"command {command.sequence} is not the gate's: {why}"
        if self._newest is not None and command.sequence <= self._newest:
            # Without codes a gate that was restarted may count anew, once the valves are neutral
            # for long. With codes it may not: an old recording would be as genuine.
            silent = now - self._at > _FORGET * self.timeout
            if self._envelope is not None or not silent:
                return (
                    f"sequence {self._newest} was taken before, the next must be higher than that, "
                    f"not {command.sequence}"
                )
        return ""
