"""What the driver finds wrong at the bus and the tractor, by the rows of the failure table."""

from __future__ import annotations

from collections.abc import Iterable

from kuwa_hardware.failures import failure
from kuwa_hardware.isobus.codec import Message

SLACK = 2.5
"""A cyclic message is missed after so many of its periods, and never before the table's time."""
SHOWN = 0.1
"""A fault of one frame is reported for this long [s]."""
PERMIT = 1.0
STEERING = "steering"
READY, NOT_REQUIRED, NOT_ACTIVE = 1.0, 0.0, 0.0


class Supervision:
    """Ages, counters and reports of one tractor.

    Args:
        expected: the cyclic messages that the tractor has to send.
    """

    def __init__(self, expected: Iterable[Message]) -> None:
        silent = failure("machine_silent").timeout
        self._patience = {m.pgn: max(silent, SLACK * m.period) for m in expected}
        fastest = min(self._patience.values(), default=silent)
        self._nothing = max(failure("driver_disconnected").timeout, fastest)
        self._external = failure("machine_not_external").timeout
        self._frozen = failure("alive_counter_lost").timeout
        self.reset(0.0)

    def reset(self, now: float) -> None:
        """Begin anew: everything is heard from ``now`` on [s]."""
        self._heard = dict.fromkeys(self._patience, now)
        self._never = set(self._patience)
        self._any = now
        self._counter: dict[int, tuple[int, float]] = {}
        self._until: dict[str, float] = {}
        self._refusing: dict[str, float] = {}
        self._stops: dict[int, tuple[float, float]] = {}
        self._stopping: set[int] = set()

    def heard(self, now: float, pgn: int) -> None:
        """A frame of the tractor came."""
        self._any = now
        if pgn in self._heard:
            self._heard[pgn] = now
            self._never.discard(pgn)

    def counted(self, now: float, pgn: int, count: int) -> None:
        """A frame with an alive counter came."""
        before = self._counter.get(pgn)
        if before is None or before[0] != count:
            self._counter[pgn] = (count, now)

    def once(self, now: float, code: str) -> None:
        """Report a fault of one frame for a moment."""
        self._until[code] = now + SHOWN

    def steering(self, now: float, values: dict[str, float]) -> None:
        """Take what the steering controller says of itself."""
        takes = (
            values["SteeringReadiness"] == READY
            and values["MechanicalSystemLockout"] == NOT_ACTIVE
            and values["RequestReset"] == NOT_REQUIRED
        )
        self.refuse(now, STEERING, not takes)

    def refuse(self, now: float, who: str, refuses: bool) -> None:
        """A function of the tractor does not take commands, or does so again."""
        if refuses:
            self._refusing.setdefault(who, now)
        else:
            self._refusing.pop(who, None)

    def stop_switch(self, source: int, values: dict[str, float]) -> None:
        """Take the state of a switch that stops all implements, of whoever has one.

        A count that went up without a change of the state is a change that was missed.
        """
        state, count = values["StopAllImplements"], values["StopTransitions"]
        before = self._stops.get(source)
        missed = before is not None and before == (state, before[1]) and count != before[1]
        self._stops[source] = (state, count)
        if state == PERMIT and not missed:
            self._stopping.discard(source)
        else:
            self._stopping.add(source)

    @property
    def stopped(self) -> bool:
        """Whether somebody stops all implements."""
        return bool(self._stopping)

    def faults(self, now: float) -> tuple[str, ...]:
        """Return the rows of the failure table that are in force."""
        found = [code for code, until in self._until.items() if now < until]
        if now - self._any > self._nothing:
            found.append("driver_disconnected")
        elif any(now - self._heard[pgn] > wait for pgn, wait in self._patience.items()):
            found.append("machine_silent")
        elif any(now - since > self._frozen for _, since in self._counter.values()):
            found.append("alive_counter_lost")
        if any(now - since > self._external for since in self._refusing.values()):
            found.append("machine_not_external")
        if self._stopping:
            found.append("all_implements_stop")
        return tuple(found)

    def missing(self, now: float) -> tuple[int, ...]:
        """Return the groups that stay away or never came."""
        late = {p for p, wait in self._patience.items() if now - self._heard[p] > wait}
        return tuple(sorted(late | self._never))

    @property
    def steering_refuses(self) -> bool:
        """Whether the steering does not take commands."""
        return STEERING in self._refusing
