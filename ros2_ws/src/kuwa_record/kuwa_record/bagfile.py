"""One bag as ROS 2 keeps it: a folder of MCAP files and their ``metadata.yaml``.

Every chunk bears a check sum. Finished chunks are flushed to the disk several times a second by
whoever calls :meth:`Bag.flush`, so that a crash costs only what came after.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from mcap import records
from mcap.data_stream import RecordBuilder
from mcap.writer import CompressionType, Writer

from kuwa_machines.atomic import make_folder, replace_file, sync_folders
from kuwa_machines.errors import KuwaError
from kuwa_record.schemas import ENCODING

CHUNK: Final = 4 * 2**20
"""A chunk is finished when it is larger, or at the next flush [B]."""
MAX_FILE: Final = 8 * 2**30
"""Then the next file of the bag is begun [B]."""
MAX_FLUSHES: Final = 2500
"""Likewise after so many, five minutes of recording: a file's index is kept in memory until its
end, a kilobyte a chunk."""
METADATA: Final = "metadata.yaml"
FOREVER: Final = {"sec": 9223372036, "nsec": 854775807}


class BagError(KuwaError):
    """A bag that cannot be written or read."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic as a bag knows it.

    Args:
        topic: full name. type: e.g. ``"sensor_msgs/msg/JointState"``.
        schema: its definition.
        depth: of its writer's history. latched: whether late joiners get the last message.
    """

    topic: str
    type: str
    schema: str
    depth: int = 1
    latched: bool = False

    @property
    def qos(self) -> dict[str, Any]:
        """The quality of service that was offered, as ``ros2 bag play`` takes it."""
        return {
            "history": "keep_last", "depth": self.depth, "reliability": "reliable",
            "durability": "transient_local" if self.latched else "volatile",
            "deadline": FOREVER, "lifespan": FOREVER, "liveliness": "automatic",
            "liveliness_lease_duration": FOREVER, "avoid_ros_namespace_conventions": False,
        }  # fmt: skip


@dataclass
class _Part:
    """What one file holds; times in [ns]."""

    name: str
    first: int = 0
    last: int = 0
    count: int = 0


@dataclass
class _Counts:
    parts: list[_Part] = field(default_factory=list)
    by_topic: dict[str, int] = field(default_factory=dict)


class Bag:
    """Writes one bag.

    Args:
        folder: of the bag, which must not be there yet.
        notes: kept in the file as metadata ``kuwa``.

    Raises:
        BagError: the folder is there already, or cannot be made.
    """

    def __init__(
        self, folder: Path, notes: dict[str, str] | None = None, max_file: int = MAX_FILE
    ) -> None:
        self.folder = folder
        self._notes, self._max_file = dict(notes or {}), max_file
        self._channels: dict[str, Channel] = {}
        self._ids: dict[str, int] = {}
        self._sequences: dict[str, int] = {}
        self._counts = _Counts()
        self._done = 0
        try:
            make_folder(folder.parent)
            folder.mkdir()
        except OSError as error:
            raise BagError(f"{folder}: no bag can be made there: {error.strerror}") from None
        try:
            self._open()
        except OSError as error:
            # Without its head it is no bag, and would stand in the way of the next try.
            shutil.rmtree(folder, ignore_errors=True)
            raise BagError(f"{folder}: no bag can be made there: {error.strerror}") from None

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._done + self._file.tell()

    @property
    def path(self) -> Path:
        """The file that is being written."""
        return self.folder / self._counts.parts[-1].name

    def write(self, channel: Channel, log: int, publish: int, data: bytes) -> None:
        """Add a message.

        Args:
            log: when it was received, system time [ns]. publish: its own stamp [ns].
            data: serialized, as it came.
        """
        topic = channel.topic
        if topic not in self._ids:
            self._channels[topic] = channel
            self._ids[topic] = self._register(channel)
        number = self._sequences[topic] = self._sequences.get(topic, 0) + 1
        self._writer.add_message(self._ids[topic], log, data, max(publish, 0), number & 0xFFFFFFFF)
        part = self._counts.parts[-1]
        part.first = log if not part.count else min(part.first, log)
        part.last = max(part.last, log)
        part.count += 1
        self._counts.by_topic[topic] = self._counts.by_topic.get(topic, 0) + 1

    def flush(self) -> None:
        """Finish the chunk and wait until the disk has it."""
        self._writer.flush()
        os.fsync(self._file.fileno())
        self._flushes += 1
        if self._file.tell() > self._max_file or self._flushes >= MAX_FLUSHES:
            self._finish()
            self._open()

    def close(self) -> None:
        """Finish the file and write ``metadata.yaml``."""
        self._finish()
        self._write_metadata()

    def abandon(self) -> None:
        """Let go of a file that cannot be finished, the disk being full: the metadata know it."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._write_metadata()

    def _open(self) -> None:
        name = f"{self.folder.name}_{len(self._counts.parts)}.mcap"
        self._counts.parts.append(_Part(name))
        self._flushes = 0
        self._file = (self.folder / name).open("wb")
        self._writer = Writer(
            self._file, chunk_size=CHUNK, compression=CompressionType.LZ4, enable_crcs=True
        )
        self._writer.start(profile="ros2", library="kuwa")
        self._writer.add_metadata("kuwa", self._notes | {"began": f"{time.time():.6f}"})
        self._ids = {topic: self._register(each) for topic, each in self._channels.items()}
        self._writer.flush()
        os.fsync(self._file.fileno())
        sync_folders([self.folder])

    def _register(self, channel: Channel) -> int:
        metadata = {"offered_qos_profiles": yaml.safe_dump([channel.qos], sort_keys=False)}
        body = channel.schema.encode()
        schema = self._writer.register_schema(channel.type, ENCODING, body)
        number = self._writer.register_channel(channel.topic, "cdr", schema, metadata)
        # Also before the chunk in which the library puts them: if that one is damaged, messages of
        # the later ones can still be read.
        record = RecordBuilder()
        records.Schema(schema, body, ENCODING, channel.type).write(record)
        records.Channel(number, channel.topic, "cdr", metadata, schema).write(record)
        self._file.write(record.end())
        return int(number)

    def _finish(self) -> None:
        text = yaml.safe_dump(self._metadata(), sort_keys=False)
        self._writer.add_metadata("rosbag2", {"serialized_metadata": text, "ROS_DISTRO": "jazzy"})
        self._writer.finish()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._done += self._file.tell()
        self._file.close()

    def _write_metadata(self) -> None:
        text = yaml.safe_dump({"rosbag2_bagfile_information": self._metadata()}, sort_keys=False)
        partial = self.folder / f".{METADATA}.part"
        replace_file(self.folder / METADATA, text.encode(), partial)

    def _metadata(self) -> dict[str, Any]:
        parts = self._counts.parts
        full = [part for part in parts if part.count]
        first = min((part.first for part in full), default=0)
        last = max((part.last for part in full), default=0)
        return {
            "version": 9,
            "storage_identifier": "mcap",
            "duration": {"nanoseconds": last - first},
            "starting_time": {"nanoseconds_since_epoch": first},
            "message_count": sum(part.count for part in parts),
            "topics_with_message_count": [
                {
                    "topic_metadata": {
                        "name": topic, "type": self._channels[topic].type,
                        "serialization_format": "cdr",
                        "offered_qos_profiles": [self._channels[topic].qos],
                        "type_description_hash": "",
                    },
                    "message_count": count,
                }
                for topic, count in sorted(self._counts.by_topic.items())
            ],
            "compression_format": "",
            "compression_mode": "",
            "relative_file_paths": [part.name for part in parts],
            "files": [
                {
                    "path": part.name,
                    "starting_time": {"nanoseconds_since_epoch": part.first},
                    "duration": {"nanoseconds": part.last - part.first},
                    "message_count": part.count,
                }
                for part in parts
            ],
            "custom_data": None,
            "ros_distro": "jazzy",
        }  # fmt: skip
