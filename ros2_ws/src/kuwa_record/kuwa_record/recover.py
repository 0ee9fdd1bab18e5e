"""Salvages a torn bag: every chunk that is whole goes into a new, whole bag.

The original is only read. Nothing in it is believed: sizes are capped before anything is read or
unpacked, and a chunk whose check sum does not match is left out and counted.
"""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final

import lz4.frame
import zstandard
from mcap.exceptions import EndOfFile
from mcap.records import Channel as ChannelRecord
from mcap.records import Chunk, Footer, Message, Metadata, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.writer import MCAP0_MAGIC

from kuwa_machines.errors import KuwaError
from kuwa_record.bagfile import Bag, Channel

HEAD: Final = struct.Struct("<BQ")
"""Of a record: its kind and the length of what follows."""
MAX_RECORD: Final = 256 * 2**20
"""A record that says it is larger ends the reading [B]."""
MAX_CHUNK: Final = 256 * 2**20
"""A chunk that unpacks to more is refused [B]."""
MAX_RATIO: Final = 1000
"""So is one that unpacks to more than so many times its size; zeros reach a few hundred."""
MAX_CHANNELS: Final = 10_000
FLUSH_BYTES: Final = 16 * 2**20
NOTES: Final = "kuwa"
"""Name of the metadata that a :class:`Bag` keeps its notes in."""


@dataclass
class Salvage:
    """What was found in a torn file.

    Args:
        messages: saved. chunks: that were whole.
        refused: chunks left out, in words.
        read: bytes read before the end or the tear. size: of the file [B].
        whole: it ended as it should.
        first, last: times of receipt [s].
    """

    messages: int = 0
    chunks: int = 0
    refused: list[str] = field(default_factory=list)
    read: int = 0
    size: int = 0
    whole: bool = False
    first: float = 0.0
    last: float = 0.0
    topics: dict[str, int] = field(default_factory=dict)

    def add(self, other: Salvage) -> None:
        """Add what was found in another file of the same bag."""
        if other.messages:
            self.first = min(self.first, other.first) if self.messages else other.first
            self.last = max(self.last, other.last)
        self.messages += other.messages
        self.chunks += other.chunks
        self.refused += other.refused
        self.read, self.size = self.read + other.read, self.size + other.size
        self.whole &= other.whole


class RecoverError(KuwaError):
    """A file from which nothing can be salvaged."""


def recover(
    paths: Sequence[Path], folder: Path, told: Callable[[int, int], None] | None = None
) -> Salvage:
    """Write what is whole in the MCAP files of a bag into a new bag.

    Args:
        paths: of the files, torn or not. folder: of the new bag, which must not be there.
        told: called with bytes read and bytes of the file, now and then.

    Raises:
        RecoverError: one is no MCAP file, or no message in them is whole.
        KuwaError: the folder is there already.
    """
    all_found = Salvage(whole=True)
    bags: list[Bag] = []
    try:
        for path in paths:
            _copy(path, folder, bags, " ".join(each.name for each in paths), all_found, told)
        for bag in bags:
            bag.close()
    except BaseException as error:
        # Half a copy would stand in the way of the next try, and might be taken for all there was.
        for bag in bags:
            bag.abandon()
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            why = error.strerror or str(error)
            raise RecoverError(f"{folder}: not written: {why}; the original is as it was") from None
        raise
    if not bags:
        why = f"; left out: {'; '.join(all_found.refused)}" if all_found.refused else ""
        raise RecoverError(f"{paths[0]}: no whole message in it{why}")
    return all_found


def _copy(
    path: Path,
    folder: Path,
    bags: list[Bag],
    names: str,
    all_found: Salvage,
    told: Callable[[int, int], None] | None,
) -> None:
    """Copy what is whole in a file into the bag, which is made for the first message."""
    found, waiting = Salvage(), 0
    for channel, message in salvaged(path, found, told):
        if not bags:
            # What the recorder noted of machine and rate: a conversion needs it.
            bags.append(Bag(folder, notes_of(path) | {"recovered_from": names}))
        bags[0].write(channel, message.log_time, message.publish_time, message.data)
        all_found.topics[channel.topic] = all_found.topics.get(channel.topic, 0) + 1
        waiting += len(message.data)
        if waiting > FLUSH_BYTES:
            bags[0].flush()
            waiting = 0
    all_found.add(found)


def notes_of(path: Path) -> dict[str, str]:
    """Return what the recorder noted at a file's beginning: machine, namespace, joints, fps.

    Empty for a bag of somebody else.

    Raises:
        RecoverError: it is no MCAP file.
    """
    with path.open("rb") as file:
        for record in _records(path, file, Salvage(size=path.stat().st_size)):
            if isinstance(record, Metadata) and record.name == NOTES:
                return dict(record.metadata)
            # Ours stand before all messages; a bag of hours need not be read for them.
            if isinstance(record, Chunk | Message):
                break
    return {}


def salvaged(
    path: Path, found: Salvage, told: Callable[[int, int], None] | None = None
) -> Iterator[tuple[Channel, Message]]:
    """Yield every whole message of a file, torn or not; ``found`` is filled meanwhile.

    Raises:
        RecoverError: it is no MCAP file.
    """
    found.size = path.stat().st_size
    known = _Known()
    with path.open("rb") as file:
        # What is defined in a damaged chunk is often defined once more outside of it: by our own
        # bags before it, by all whole files at their end.
        for record in _records(path, file, Salvage(size=found.size)):
            known.take(record)
    with path.open("rb") as file:
        for record in _records(path, file, found):
            if told is not None:
                told(file.tell(), found.size)
            for each in _unpacked(record, found):
                channels = known.take(each)
                if isinstance(each, Message) and each.channel_id in channels:
                    at = 1e-9 * each.log_time
                    found.first = min(found.first, at) if found.messages else at
                    found.last = max(found.last, at)
                    found.messages += 1
                    yield channels[each.channel_id], each


@dataclass
class _Known:
    """Channels and schemas by their numbers, as far as they were read."""

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)

    def take(self, record: Any) -> dict[int, Channel]:
        """Take a record, if it defines something; return all channels."""
        if isinstance(record, Schema) and len(self.schemas) < MAX_CHANNELS:
            self.schemas[record.id] = record
        elif isinstance(record, ChannelRecord) and len(self.channels) < MAX_CHANNELS:
            self.channels[record.id] = _channel(record, self.schemas)
        return self.channels


def _records(path: Path, file: IO[bytes], found: Salvage) -> Iterator[Any]:
    """Yield records until the end or the tear; a record that is cut short is none."""
    if file.read(len(MCAP0_MAGIC)) != MCAP0_MAGIC:
        raise RecoverError(f"{path}: no MCAP file: it does not begin like one")
    found.read = file.tell()
    while len(head := file.read(HEAD.size)) == HEAD.size:
        _, length = HEAD.unpack(head)
        if length > min(MAX_RECORD, found.size - file.tell()):
            return
        body = file.read(length)
        reader = StreamReader(BytesIO(head + body), skip_magic=True, emit_chunks=True)
        try:
            record = next(iter(reader.records))
        except EndOfFile:
            continue  # of a kind that the reader does not know, and skips
        except Exception as error:
            found.refused.append(f"record at {found.read}: {error!r}")
            continue
        finally:
            found.read = file.tell()
        if isinstance(record, Footer):
            found.whole = file.read(len(MCAP0_MAGIC)) == MCAP0_MAGIC
            return
        yield record


def _unpacked(record: Any, found: Salvage) -> list[Any]:
    """Return the records of a chunk, or the record itself."""
    if not isinstance(record, Chunk):
        return [record]
    try:
        data = unpack(record)
        plain = Chunk("", data, record.message_end_time, record.message_start_time, 0, len(data))
        records = breakup_chunk(plain)
    except Exception as error:
        # Of the library as well, struct.error and the like, at what only looks like a chunk.
        words = str(error) if isinstance(error, KuwaError) else repr(error)
        found.refused.append(f"chunk {found.chunks + len(found.refused)}: {words}")
        return []
    found.chunks += 1
    return list(records)


def unpack(chunk: Chunk) -> bytes:
    """Return a chunk's records, unpacked within the limits, check sum compared.

    Raises:
        RecoverError: it would unpack to too much, is damaged, or is packed in an unknown way.
    """
    size = chunk.uncompressed_size
    if size > MAX_CHUNK or size > MAX_RATIO * max(len(chunk.data), 1):
        raise RecoverError(
            f"{len(chunk.data)} bytes that unpack to {size}; at most {MAX_CHUNK} and "
            f"{MAX_RATIO} times"
        )
    try:
        if chunk.compression == "":
            data = chunk.data
        elif chunk.compression == "lz4":
            # One byte more than it says, so that a liar is found without being unpacked.
            data = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, max_length=size + 1)
        elif chunk.compression == "zstd":
            with zstandard.ZstdDecompressor(max_window_size=MAX_CHUNK).stream_reader(
                chunk.data
            ) as stream:
                data = stream.read(size + 1)
        else:
            raise RecoverError(f"compression {chunk.compression[:20]!r}; valid: lz4, zstd, none")
    except (RuntimeError, zstandard.ZstdError, EOFError) as error:
        raise RecoverError(f"damaged: {error}") from None
    if len(data) != size:
        raise RecoverError(f"it unpacks to other than the {size} bytes that it says")
    if chunk.uncompressed_crc and zlib.crc32(data) != chunk.uncompressed_crc:
        raise RecoverError("its check sum does not match")
    return bytes(data)


def _channel(record: ChannelRecord, schemas: dict[int, Schema]) -> Channel:
    schema = schemas.get(record.schema_id)
    qos = record.metadata.get("offered_qos_profiles", "")
    return Channel(
        record.topic,
        schema.name if schema else "",
        schema.data.decode("utf-8", "replace") if schema else "",
        latched="transient_local" in qos,
    )
