"""Modes and levels of the gate, what it says of itself, and its protocol."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from kuwa_machines.contracts.command import JointCommand
from kuwa_machines.contracts.state import MachineState


class Mode(StrEnum):
    """Modes of the gate. Nothing moves before ``ARMED``; ``STOPPED`` is latched until released."""

    OFF = "off"
    READY = "ready"
    ARMED = "armed"
    TELEOP = "teleop"
    AUTO = "auto"
    STOPPED = "stopped"


class Level(IntEnum):
    """How far the stack has stepped down from what its mode allows; the highest demand counts."""

    NONE = 0
    """As the mode says."""
    HOLD = 1
    """The controller brings the joints to rest and holds them; the gate lets nothing else pass."""
    NEUTRAL = 2
    """Valves in neutral; goes on by itself when the cause is gone."""
    STOPPED = 3
    """Valves in neutral and the mode ``STOPPED``, latched until a person releases it."""


@dataclass(frozen=True, slots=True)
class SafetyState:
    """What the gate is doing and why.

    Args:
        mode: the mode in force.
        reasons: why the last command was changed or refused, in words; empty when it passed as is.
        limited: per joint, whether the applied value differs from the requested one, shape (n,).
        refused: requests refused since the start.
        level: how far it has stepped down.
        alarms: ids of the rows of the failure table that are in force.
    """

    mode: Mode
    reasons: tuple[str, ...] = ()
    limited: tuple[bool, ...] = ()
    refused: int = 0
    level: Level = Level.NONE
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateOutput:
    """The command that goes to the actuators, and the state of the gate that made it."""

    applied: JointCommand
    safety: SafetyState


class Gate(Protocol):
    """The sole writer of applied commands."""

    def set_mode(self, mode: Mode, who: str) -> tuple[bool, str]:
        """Ask for a mode; return (granted, why)."""

    def emergency_stop(self, active: bool, who: str) -> None:
        """Stop at once and latch; ``active=False`` only withdraws the demand, releasing nothing."""

    def degrade(self, level: Level, code: str, why: str) -> None:
        """Step down at least to ``level`` while the fault ``code`` lasts, a row of the failure
        table; ``STOPPED`` latches."""

    def recover(self, code: str) -> None:
        """The fault ``code`` is gone; a latched stop stays latched."""

    def step(
        self, now: float, state: MachineState | None, request: JointCommand | None
    ) -> GateOutput:
        """Decide on a request (None: no new one) at steady time ``now`` [s]."""
