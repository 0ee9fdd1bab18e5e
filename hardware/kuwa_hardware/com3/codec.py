"""COM3 frames to and from physical values; the database ``com3.dbc`` is read once and bound.

A raw number r means r·scale + offset. Of a measured signal (one with a unit) the top of the raw
range says that there is no value, as SAE J1939-71 has it: in whole bytes the top byte 0xFE an
error and 0xFF "not available"; in other widths the two highest numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final, NoReturn

import cantools
from cantools.database.can import Database
from cantools.database.can import Message as DbcMessage
from cantools.database.can.signal import Signal as DbcSignal

from kuwa_machines.errors import KuwaError, choices

FILE: Final = Path(__file__).with_name("com3.dbc")
LENGTH: Final = 8
"""Of every COM3 frame [bytes]."""


class FrameError(KuwaError):
    """A frame that cannot be what its identifier says, or a value that no frame can carry."""


class Status(Enum):
    """What a raw number says."""

    VALID = "valid"
    OUT_OF_RANGE = "out of range"
    ERROR = "error"
    UNAVAILABLE = "not available"


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal, in bits from the lowest of the frame's first byte on.

    Args:
        name: as the database has it.
        start, length: in bits.
        scale, offset: physical value of raw r is r·scale + offset.
        low, high: physical range.
        unit: empty for counters and switches, which have no "not available".
    """

    name: str
    start: int
    length: int
    scale: float
    offset: float
    low: float
    high: float
    unit: str

    @property
    def top(self) -> int:
        """The highest raw number."""
        return (1 << self.length) - 1

    @property
    def unavailable(self) -> int:
        """The raw number that we send for "not available"."""
        return self.top

    @property
    def error(self) -> int:
        """The raw number that we send for "error"."""
        return 0xFE << (self.length - 8) if self.length % 8 == 0 else self.top - 1

    def value(self, raw: int) -> float:
        """Return the physical value of a raw number, valid or not."""
        return raw * self.scale + self.offset

    def raw(self, value: float) -> int:
        """Return the nearest raw number in range; NaN is "not available".

        Raises:
            FrameError: NaN for a counter or switch.
        """
        if math.isnan(value):
            if not self.unit:
                raise FrameError(f"{self.name} is NaN; a counter or switch always has a value")
            return self.unavailable
        if not self.unit:
            return min(max(round((value - self.offset) / self.scale), 0), self.top)
        inside = min(max(value, self.low), self.high)
        return round((inside - self.offset) / self.scale)

    def status(self, raw: int) -> Status:
        """Say whether a raw number is a value."""
        if not self.unit or raw <= round((self.high - self.offset) / self.scale):
            return Status.VALID
        first = self.error
        if raw < first:
            return Status.OUT_OF_RANGE
        last = first | ((1 << (self.length - 8)) - 1) if self.length % 8 == 0 else first
        return Status.ERROR if raw <= last else Status.UNAVAILABLE


class MessageCodec:
    """One message: values by signal name to eight bytes and back.

    Args:
        message: of the database; all its signals are unsigned and little endian.
    """

    def __init__(self, message: DbcMessage) -> None:
        self.name = message.name
        self.id = message.frame_id
        self.pgn = pgn(message.frame_id)
        self.source = message.frame_id & 0xFF
        self.sender = message.senders[0]
        self.cycle = 1e-3 * (message.cycle_time or 0)
        """Between two of them [s]."""
        self.comment = message.comment or ""
        self.signals = {signal.name: _bound(signal) for signal in message.signals}
        self._places = {name: (s.start, s.top) for name, s in self.signals.items()}
        # One tuple per signal: decoding runs a thousand times a second.
        self._fields = tuple(
            (s.name, s.start, s.top, s.scale, s.offset,
             round((s.high - s.offset) / s.scale) if s.unit else s.top)
            for s in self.signals.values()
        )  # fmt: skip

    def encode(self, values: Mapping[str, float]) -> bytes:
        """Return the frame with these physical values; one for every signal.

        Raises:
            FrameError: a signal is missing or unknown.
        """
        signals = self.signals
        return self.encode_raw(
            {n: signals[n].raw(v) if n in signals else 0 for n, v in values.items()}
        )

    def encode_raw(self, raws: Mapping[str, int]) -> bytes:
        """Return the frame with these raw numbers.

        Raises:
            FrameError: a signal is missing or unknown, or a number does not fit.
        """
        if len(raws) != len(self.signals):
            missing = sorted(set(self.signals) - set(raws))
            unknown = sorted(set(raws) - set(self.signals))
            raise FrameError(f"{self.name}: signals {missing} are missing, {unknown} unknown")
        bits = 0
        for name, raw in raws.items():
            start, top = self._places.get(name) or self._unknown(name)
            if not 0 <= raw <= top:
                raise FrameError(f"{self.name}: {name} is raw {raw}; expected 0 to {top}")
            bits |= raw << start
        return bits.to_bytes(LENGTH, "little")

    def decode(self, data: bytes | bytearray) -> dict[str, float]:
        """Return the physical values; NaN where the frame says that there is none.

        Raises:
            FrameError: the frame is too short.
        """
        if len(data) < LENGTH:
            raise FrameError(f"{self.name}: {len(data)} bytes; expected {LENGTH}")
        bits = int.from_bytes(data[:LENGTH], "little")
        out = {}
        for name, start, mask, scale, offset, most in self._fields:
            raw = (bits >> start) & mask
            out[name] = raw * scale + offset if raw <= most else math.nan
        return out

    def decode_raw(self, data: bytes | bytearray) -> dict[str, int]:
        """Return the raw numbers.

        Raises:
            FrameError: the frame is too short.
        """
        if len(data) < LENGTH:
            raise FrameError(f"{self.name}: {len(data)} bytes; expected {LENGTH}")
        bits = int.from_bytes(data[:LENGTH], "little")
        return {name: (bits >> s.start) & s.top for name, s in self.signals.items()}

    def _unknown(self, name: str) -> NoReturn:
        raise FrameError(f"{self.name} has no signal {name!r}; {choices(name, self.signals)}")


def pgn(identifier: int) -> int:
    """Return the parameter group number of a 29-bit identifier."""
    number = (identifier >> 8) & 0x3FFFF
    # Below format 240 the low byte is an address, not part of the group.
    return number if (number >> 8) & 0xFF >= 240 else number & ~0xFF


@cache
def messages() -> dict[str, MessageCodec]:
    """Return every message of COM3 by name.

    Raises:
        FrameError: the database has a signal of a kind that COM3 does not have.
    """
    database = cantools.database.load_file(FILE)
    assert isinstance(database, Database)
    return {message.name: MessageCodec(message) for message in database.messages}


@cache
def by_id() -> dict[int, MessageCodec]:
    """Return the same by 29-bit identifier."""
    return {message.id: message for message in messages().values()}


@cache
def command_groups() -> frozenset[int]:
    """Return the group numbers by which a controller commands a machine."""
    return frozenset(m.pgn for m in messages().values() if m.sender == "controller")


def _bound(signal: DbcSignal) -> Signal:
    if signal.byte_order != "little_endian" or signal.is_signed or signal.is_multiplexer:
        raise FrameError(f"{FILE.name}: {signal.name} must be unsigned, little endian and plain")
    if signal.minimum is None or signal.maximum is None:
        raise FrameError(f"{FILE.name}: {signal.name} has no range")
    return Signal(
        signal.name,
        signal.start,
        signal.length,
        float(signal.scale),
        float(signal.offset),
        float(signal.minimum),
        float(signal.maximum),
        signal.unit or "",
    )
