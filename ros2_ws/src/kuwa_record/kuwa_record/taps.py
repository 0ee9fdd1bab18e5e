"""Takes every topic of a machine as bytes: those of the contracts, and whatever else is there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from kuwa_record.bagfile import Channel
from kuwa_record.schemas import definition, stamped
from kuwa_ros import topics
from kuwa_ros.loop import Reader
from kuwa_ros.topics import Topic

DEPTH: Final = 100
"""Messages that wait for the next look: a second of the fastest topics."""
PICTURES: Final = 4
"""Pictures that wait for the next look; each has megabytes."""
AT_ONCE: Final = 200
"""Messages of one topic that are taken in one look."""
MOST_TOPICS: Final = 300
WRITERS: Final = 16
"""Writers of one topic that are told apart."""
JUMP: Final = 10_000
"""A number further on is that of another writer: nobody is away for a hundred seconds."""
IMAGE: Final = "sensor_msgs/msg/Image"
HIDDEN: Final = ("/parameter_events", "/rosout")
_STAMP = {1: struct.Struct("<iI"), 0: struct.Struct(">iI")}


@dataclass(frozen=True, slots=True)
class _BestEffort(Topic):
    """A topic of somebody else, whose writers are not all reliable."""

    def qos(self, depth: int | None = None) -> QoSProfile:
        profile = Topic.qos(self, depth)
        profile.reliability = ReliabilityPolicy.BEST_EFFORT
        return profile


@dataclass(frozen=True, slots=True)
class Taken:
    """One message as it came.

    Args:
        tap: where from.
        log: receipt, system time [ns]. publish: its header's stamp, else when it was sent [ns].
        data: serialized.
    """

    tap: Tap
    log: int
    publish: int
    data: bytes


class Arrivals:
    """Counts what one topic lost because nobody looked in time.

    The middleware numbers what each writer sends, but does not say which writer a message is of. A
    number that follows none heard last is another writer's, unless as many messages were found as
    may wait: then it is taken for that of the writer whose last number is closest below, and what
    is skipped in between was lost. With one writer, as topics of a machine have, that is exact.

    Args:
        depth: messages that may wait.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._last: list[int] = []
        self.lost = 0

    def look(self, numbers: list[int | None]) -> None:
        """Take the numbers of what one look has found, in order; None where there are none."""
        known = [number for number in numbers if number is not None]
        # Before the first look nothing was there to be lost.
        full = bool(self._last) and len(numbers) >= self._depth
        for number in known:
            below = max((last for last in self._last if last < number), default=-2 * JUMP)
            skipped = number - below - 1
            if skipped == 0 or (full and skipped < JUMP):
                self.lost += skipped
                self._last.remove(below)
            self._last = [*self._last, number][-WRITERS:]


class Tap:
    """One topic.

    Args:
        node: that reads. topic: what.
    """

    def __init__(self, node: Node, topic: Topic) -> None:
        self.type = topics.type_name(topic.type)
        self.is_image = self.type == IMAGE
        self._stamped = stamped(self.type)
        depth = PICTURES if self.is_image else max(DEPTH, topic.depth)
        self._reader, self._arrivals = Reader(node, topic, depth), Arrivals(depth)
        full = str(self._reader.subscription.topic_name)
        self.channel = Channel(full, self.type, definition(self.type), topic.depth, topic.latched)
        self.local = full.removeprefix(node.get_namespace().rstrip("/") + "/")
        """Its name relative to the machine's namespace."""
        self.message = topic.type
        self.newest: Taken | None = None

    def take(self) -> Iterator[Taken]:
        """Yield what has arrived since the last look, the oldest first."""
        handle = self._reader.subscription.handle
        numbers: list[int | None] = []
        for _ in range(AT_ONCE):
            found = handle.take_message(self.message, True)
            if found is None:
                break
            data, info = found
            numbers.append(info["publication_sequence_number"])
            log = int(info["received_timestamp"])
            publish = self._stamp(data) or int(info["source_timestamp"]) or log
            self.newest = Taken(self, log, publish, data)
            yield self.newest
        self._arrivals.look(numbers)

    @property
    def lost(self) -> int:
        """Messages that were overwritten before they were taken."""
        return self._arrivals.lost

    def _stamp(self, data: bytes) -> int:
        """Return the header's stamp [ns] from the bytes after the encapsulation (CDR); 0: none."""
        if not self._stamped or len(data) < 12:
            return 0
        sec, nanosec = _STAMP[data[1] & 1].unpack_from(data, 4)
        return int(sec) * 1_000_000_000 + int(nanosec)


class Taps:
    """All topics of a machine.

    Args:
        node: in the machine's namespace.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.taps: dict[str, Tap] = {}
        self._local: dict[str, Tap] = {}
        self.refused: dict[str, str] = {}
        """Topics that cannot be recorded, and why."""
        known = [each for each in topics.TOPICS if "<" not in each.name]
        self._contracts = {self._full(each): each for each in known}
        for name, topic in self._contracts.items():
            self._tap(name, topic)

    def discover(self) -> None:
        """Tap what has come into the machine's namespace since the last call."""
        inside = self._node.get_namespace().rstrip("/") + "/"
        for name, kinds in self._node.get_topic_names_and_types():
            strange = name in self.taps or name in self.refused or name in HIDDEN
            if strange or not name.startswith(inside) or len(self.taps) >= MOST_TOPICS:
                continue
            if name.rsplit("/", 1)[-1].startswith("_"):
                continue
            try:
                self._tap(name, self._topic(name, kinds[0]))
            except Exception as error:
                # Unknown here, or the middleware's permissions do not let us read it.
                self.refused[name] = str(error)

    def take(self) -> list[Taken]:
        """Return what has arrived since the last look, in the order of receipt."""
        found = [each for tap in list(self.taps.values()) for each in tap.take()]
        found.sort(key=lambda each: each.log)
        return found

    @property
    def lost(self) -> int:
        """Messages that were overwritten before they were taken, of all topics."""
        return sum(tap.lost for tap in list(self.taps.values()))

    def by_local(self, name: str) -> Tap | None:
        """Return a tap by its topic's name relative to the machine's namespace."""
        return self._local.get(name)

    def _full(self, topic: Topic) -> str:
        return topic.within(self._node.get_namespace().rstrip("/"))

    def _topic(self, name: str, kind: str) -> Topic:
        package, _, message = kind.split("/")
        message_class: Any = getattr(import_module(f"{package}.msg"), message)
        writers = self._node.get_publishers_info_by_topic(name)
        reliable = all(
            each.qos_profile.reliability == ReliabilityPolicy.RELIABLE for each in writers
        )
        return (Topic if reliable else _BestEffort)(name, message_class, "", "", "")

    def _tap(self, name: str, topic: Topic) -> None:
        tap = self.taps[name] = Tap(self._node, topic)
        self._local[tap.local] = tap
