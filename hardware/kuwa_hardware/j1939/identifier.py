"""The 29-bit identifier of SAE J1939-21 and ISO 11783-3.

priority (3 bits) · reserved/extended data page (1) · data page (1) · PDU format (8) · PDU specific
(8) · source address (8). Below format 240 the specific byte is the destination (PDU1); from 240 on
it belongs to the parameter group's number and the frame is for everybody (PDU2).
"""

from __future__ import annotations

from dataclasses import dataclass

from kuwa_machines.errors import KuwaError

GLOBAL = 255
"""Destination: everybody."""
NULL = 254
"""Source of a node that has no address."""
PDU2 = 240
MAX_PGN = 0x3FFFF

REQUEST = 59904
"""PGN by which a node asks for another PGN; three bytes, low byte first."""
ADDRESS_CLAIMED = 60928
"""PGN with a node's NAME: "this address is mine"; from :data:`NULL`: "I have none"."""


class J1939Error(KuwaError):
    """A number that does not fit into its field."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier, taken apart.

    Args:
        pgn: parameter group number, 18 bits; the low byte is 0 in PDU1.
        source: address of the sender.
        destination: address; :data:`GLOBAL` in PDU2.
        priority: 0 (first) to 7.
    """

    pgn: int
    source: int
    destination: int = GLOBAL
    priority: int = 6

    def __post_init__(self) -> None:
        for name, value, top in (
            ("pgn", self.pgn, MAX_PGN),
            ("source", self.source, 255),
            ("destination", self.destination, 255),
            ("priority", self.priority, 7),
        ):
            if not 0 <= value <= top:
                raise J1939Error(f"{name} {value} does not fit; expected 0 to {top}")
        if addressed(self.pgn):
            if self.pgn & 0xFF:
                raise J1939Error(
                    f"pgn {self.pgn} is PDU1, so its low byte must be 0, not {self.pgn & 0xFF}"
                )
        elif self.destination != GLOBAL:
            raise J1939Error(
                f"pgn {self.pgn} is PDU2 and goes to everybody, not to {self.destination}"
            )

    @property
    def can_id(self) -> int:
        """The 29 bits."""
        low = self.destination if addressed(self.pgn) else 0
        return self.priority << 26 | (self.pgn | low) << 8 | self.source

    @classmethod
    def parse(cls, can_id: int) -> Identifier:
        """Take 29 bits apart."""
        if not 0 <= can_id < 1 << 29:
            raise J1939Error(f"identifier {can_id:#x} does not fit into 29 bits")
        pgn = can_id >> 8 & MAX_PGN
        destination = GLOBAL
        if addressed(pgn):
            pgn, destination = pgn & ~0xFF, pgn & 0xFF
        return cls(pgn, can_id & 0xFF, destination, can_id >> 26)


def addressed(pgn: int) -> bool:
    """Whether frames of this group have a destination (PDU1)."""
    return (pgn >> 8 & 0xFF) < PDU2


@dataclass(frozen=True, slots=True)
class Frame:
    """What is sent or was received: an identifier and up to eight bytes."""

    identifier: Identifier
    data: bytes


def request(pgn: int, source: int, destination: int = GLOBAL) -> Frame:
    """Return the request for a parameter group."""
    return Frame(Identifier(REQUEST, source, destination), pgn.to_bytes(3, "little"))


def requested(data: bytes) -> int | None:
    """Return the group that a request asks for; None if it is too short."""
    return int.from_bytes(data[:3], "little") if len(data) >= 3 else None
