"""Messages of the ISOBUS database as plain numbers: eight bytes to signals and back.

cantools reads the database once; packing is done here on one 64-bit integer, since a hundred
messages in ten milliseconds are too many for a general codec in Python.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cantools.database import load_file
from cantools.database.can import Database, Signal

from kuwa_hardware.j1939.identifier import Identifier
from kuwa_machines.errors import KuwaError, choices

DATABASE = Path(__file__).with_name("isobus.dbc")
LENGTH = 8
_ALL_ONES = (1 << 8 * LENGTH) - 1


class IsobusError(KuwaError):
    """A message, a mapping or a tractor that is not as it must be; says what would be right."""


@dataclass(frozen=True, slots=True)
class Field:
    """One signal of a message.

    Args:
        start: of its lowest bit. length: in bits. signed: two's complement.
        scale, offset: physical = raw · scale + offset.
        low, high: raw values that are measurements or states; what lies outside means, as SAE
            J1939-71 has it, an error or "not available".
    """

    name: str
    start: int
    length: int
    scale: float
    offset: float
    signed: bool
    low: int
    high: int

    @property
    def mask(self) -> int:
        """Its bits, shifted down."""
        return (1 << self.length) - 1

    def pack(self, value: float) -> int:
        """Return the raw bits of a physical value, held to the range; NaN is not available."""
        if math.isnan(value):
            return 1 << self.length - 1 if self.signed else self.mask
        if math.isinf(value):
            raw = self.high if value > 0.0 else self.low
        else:
            raw = round((value - self.offset) / self.scale)
        return min(max(raw, self.low), self.high) & self.mask

    def unpack(self, bits: int) -> float:
        """Return the physical value; NaN for an error and for not available."""
        if self.signed and bits >> self.length - 1:
            bits -= 1 << self.length
        if not self.low <= bits <= self.high:
            return math.nan
        return bits * self.scale + self.offset


@dataclass(frozen=True, slots=True)
class Message:
    """One parameter group.

    Args:
        pgn, priority: of its identifier. period: of sending as the database has it [s].
        fields: by name. blank: the eight bytes in which no signal is available, as a number.
    """

    name: str
    pgn: int
    priority: int
    period: float
    fields: dict[str, Field]
    blank: int

    def encode(self, **values: float) -> bytes:
        """Return the eight bytes; signals that are not given are "not available".

        Raises:
            IsobusError: the message has no such signal.
        """
        word = self.blank
        for name, value in values.items():
            field = self.fields.get(name)
            if field is None:
                raise IsobusError(f"{self.name} has no {name!r}; {choices(name, self.fields)}")
            word &= ~(field.mask << field.start)
            word |= field.pack(value) << field.start
        return word.to_bytes(LENGTH, "little")

    def decode(self, data: bytes) -> dict[str, float]:
        """Return all signals; NaN where the sender says error or not available.

        Raises:
            IsobusError: not eight bytes.
        """
        if len(data) != LENGTH:
            raise IsobusError(f"{self.name} has {len(data)} bytes; expected {LENGTH}")
        word = int.from_bytes(data, "little")
        return {
            name: field.unpack(word >> field.start & field.mask)
            for name, field in self.fields.items()
        }

    def identifier(self, source: int, destination: int = 255) -> Identifier:
        """Return the identifier of a frame of this group."""
        return Identifier(self.pgn, source, destination, self.priority)


@cache
def database() -> Database:
    """Return the database as cantools reads it."""
    found = load_file(DATABASE)
    assert isinstance(found, Database)
    return found


@cache
def messages() -> dict[str, Message]:
    """Return every message by its name."""
    table = {}
    for raw in database().messages:
        identifier = Identifier.parse(raw.frame_id)
        fields = {signal.name: _field(signal) for signal in raw.signals}
        blank = _ALL_ONES
        for field in fields.values():
            blank ^= (field.mask ^ field.pack(math.nan)) << field.start
        table[raw.name] = Message(
            raw.name,
            identifier.pgn,
            identifier.priority,
            1e-3 * (raw.cycle_time or 0),
            fields,
            blank,
        )
    return table


@cache
def by_pgn() -> dict[int, Message]:
    """Return every message by its parameter group number."""
    return {message.pgn: message for message in messages().values()}


def message(name: str) -> Message:
    """Return one message.

    Raises:
        IsobusError: there is no such message.
    """
    table = messages()
    if name not in table:
        raise IsobusError(f"no message {name!r} in {DATABASE.name}; {choices(name, table)}")
    return table[name]


def _field(signal: Signal) -> Field:
    scale, offset = float(signal.scale), float(signal.offset)
    if signal.minimum is None or signal.maximum is None:
        raise IsobusError(f"{DATABASE.name}: signal {signal.name} has no range")
    return Field(
        signal.name, signal.start, signal.length, scale, offset, signal.is_signed,
        round((float(signal.minimum) - offset) / scale),
        round((float(signal.maximum) - offset) / scale),
    )  # fmt: skip
