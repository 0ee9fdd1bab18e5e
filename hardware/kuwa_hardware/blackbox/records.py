"""Records of the black box: bytes that say by themselves whether they are whole.

A file is a head and records, one after the other:

    mark (4)  length (4)  CRC-32 (4)  payload (length)

The check sum is over length and payload. A payload is a kind (1), a channel (2), a time (8) and
what was recorded. A channel gets its meaning, a topic and its type, by a record of its own, once in
every file, so that each file can be read alone. Numbers are little endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEAD: Final = b"kuwa black box 1\n"
MARK: Final = b"\xf5BB\x00"
_FRAME: Final = struct.Struct("<4sII")
_META: Final = struct.Struct("<BHd")
_LENGTH: Final = struct.Struct("<I")
MAX_PAYLOAD: Final = 16 * 2**20
"""A longer record is not written, and a longer length is not believed [bytes]."""
CHANNEL, MESSAGE, NOTE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that was recorded.

    Args:
        time: system time [s]. topic, type: of a message; empty for a note.
        data: the message as it went over the wire, or the note's words in UTF-8.
    """

    time: float
    topic: str
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds.

    Args:
        records: whole ones, in the order of the file.
        torn: bytes that belong to no whole record.
    """

    records: tuple[Record, ...]
    torn: int


def frame(kind: int, channel: int, time: float, data: bytes) -> bytes:
    """Return a record as bytes; too long a one as none."""
    if len(data) > MAX_PAYLOAD - _META.size:
        return b""
    payload = _META.pack(kind, channel, time) + data
    return _FRAME.pack(MARK, len(payload), _check(payload)) + payload


def channel_frame(channel: int, topic: str, kind: str) -> bytes:
    """Return the record that gives a channel its meaning."""
    return frame(CHANNEL, channel, 0.0, f"{topic}\n{kind}".encode())


def scan(data: bytes) -> Recording:
    """Return all whole records of a file's bytes, whatever else is in it."""
    channels: dict[int, tuple[str, str]] = {}
    records: list[Record] = []
    whole = len(HEAD) if data.startswith(HEAD) else 0
    for payload in _payloads(data, whole):
        whole += _FRAME.size + len(payload)
        kind, channel, time = _META.unpack_from(payload)
        body = payload[_META.size :]
        if kind == CHANNEL:
            topic, _, name = body.decode(errors="replace").partition("\n")
            channels[channel] = (topic, name)
        elif kind == NOTE:
            records.append(Record(time, "", "", body))
        elif kind == MESSAGE and channel in channels:
            records.append(Record(time, *channels[channel], body))
    return Recording(tuple(records), len(data) - whole)


def _payloads(data: bytes, at: int) -> Iterator[bytes]:
    """Yield the payloads of whole records; after a torn one look for the next mark."""
    while True:
        at = data.find(MARK, at)
        if at < 0 or at + _FRAME.size > len(data):
            return
        _, length, crc = _FRAME.unpack_from(data, at)
        end = at + _FRAME.size + length
        payload = data[at + _FRAME.size : end]
        believable = _META.size <= length <= MAX_PAYLOAD and end <= len(data)
        if believable and _check(payload) == crc:
            yield payload
            at = end
        else:
            at += 1


def _check(payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_LENGTH.pack(len(payload))))
