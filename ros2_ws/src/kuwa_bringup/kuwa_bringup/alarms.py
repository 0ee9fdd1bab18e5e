"""The alarms in force, each with its level, its reason and what a person can do, without ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kuwa_hardware.blackbox import BlackBox
from kuwa_hardware.failures import Reaction, failures
from kuwa_machines.contracts import Level, SafetyState

TORN_SHOWN = 30.0
"""What an earlier run left torn is told for this long after the start [s]."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One row of the failure table that is in force.

    Args:
        code: id of the row. level: that the gate goes to. source: who found it.
        reason: what was found. remedy: what a person can do.
    """

    code: str
    level: Level
    source: str
    reason: str
    remedy: str


class AlarmBook:
    """Collects what each source says is wrong; the first one to name a code gives its reason."""

    def __init__(self) -> None:
        self._said: dict[str, dict[str, str]] = {}
        self._told: tuple[Alarm, ...] | None = None

    def say(self, source: str, reasons: Mapping[str, str]) -> None:
        """Replace what ``source`` says: reasons by code.

        A command that was cut down to a limit is no alarm: it is the gate's daily work, and there
        is nothing that a person should do.
        """
        self._said[source] = {code: why for code, why in reasons.items() if not _daily(code)}

    def alarms(self) -> tuple[Alarm, ...]:
        """Return all alarms, the gravest first."""
        found: dict[str, Alarm] = {}
        for source, reasons in self._said.items():
            for code, reason in reasons.items():
                found.setdefault(code, _alarm(code, source, reason))
        return tuple(sorted(found.values(), key=lambda alarm: (-alarm.level, alarm.code)))

    def news(self) -> tuple[Alarm, ...] | None:
        """Return all alarms if they are others than at the last call, else None.

        A reason whose numbers went on, an age say, is no news.
        """
        now = self.alarms()
        told = self._told
        if told is not None and [a.code for a in told] == [a.code for a in now]:
            return None
        self._told = now
        return now


def of_gate(safety: SafetyState) -> dict[str, str]:
    """Return the gate's alarms with what it says of them."""
    words = "; ".join(safety.reasons)
    reasons = {}
    for code in safety.alarms:
        own = [r for r in safety.reasons if r.startswith(code)]
        reasons[code] = "; ".join(own) or words
    return reasons


def of_box(box: BlackBox, age: float) -> dict[str, str]:
    """Return the black box's alarms; ``age``: time since its start [s]."""
    reasons = {}
    if box.idle:
        reasons["black_box_idle"] = box.idle
    if box.failure or box.full:
        reasons["disk_full"] = box.failure or box.full
    if box.torn and age < TORN_SHOWN:
        reasons["black_box_torn"] = box.torn
    return reasons


def _daily(code: str) -> bool:
    row = failures().get(code)
    return row is not None and row.reaction is Reaction.LIMIT


def _alarm(code: str, source: str, reason: str) -> Alarm:
    row = failures().get(code)
    if row is None:
        return Alarm(code, Level.NONE, source, reason, f"See the log of {source}.")
    return Alarm(code, row.reaction.level, source, reason or row.fault, row.remedy)
