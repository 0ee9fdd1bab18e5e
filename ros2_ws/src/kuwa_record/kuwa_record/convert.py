"""Makes a LeRobot data set of bags: the episodes that were recorded, as the live recorder does.

Without the topic ``recording`` in it, a bag is one episode. Of a torn bag the open episode is taken
as far as it goes, without a label; nothing is asked of the recorder that was killed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from mcap.records import Message, Schema
from mcap_ros2.decoder import DecoderFactory
from PIL import Image

from kuwa_machines.errors import KuwaError
from kuwa_machines.loader import load_machine
from kuwa_policies.datasets import DatasetInfo, DatasetWriter
from kuwa_policies.datasets import features as f
from kuwa_policies.datasets.grid import Grid
from kuwa_record.bagfile import Channel
from kuwa_record.feed import Feed, camera_of
from kuwa_record.recover import Salvage, salvaged
from kuwa_record.session import label_of
from kuwa_ros import topics
from kuwa_ros.conversions import seconds
from kuwa_ros.world import image_from

COMPRESSED: Final = "/compressed"
RECORDING: Final = "recording"
LATE: Final = 5_000_000_000
"""A message comes into a bag at most this much after those that were received later [ns]."""
MOST_WAITING: Final = 256 * 2**20
"""Bytes that wait for a later one at most: pictures that were not compressed are never late."""
LOOK_AHEAD: Final = 20_000
"""Messages in which a bag must have shown all that frames hold."""


class ConvertError(KuwaError):
    """A bag of which no data set can be made."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of a conversion.

    Args:
        episodes: saved. frames: of them. open_ends: how many had no end in their bag.
        skipped: discarded by the operator, or without a frame.
        torn: what was left out of torn bags, in words.
        bad: topics of which messages were left out, and what was wrong with the last such message.
    """

    episodes: int
    frames: int
    open_ends: int
    skipped: int
    torn: tuple[str, ...]
    bad: tuple[str, ...]


def files_of(path: Path) -> list[Path]:
    """Return the MCAP files of a bag: the file itself, or those of a bag's folder in order.

    Raises:
        ConvertError: there is none.
    """
    found = [path] if path.is_file() else sorted(path.glob("*.mcap"), key=_number)
    if not found:
        raise ConvertError(f"{path}: no *.mcap there")
    return found


def _number(path: Path) -> tuple[int, str]:
    tail = path.stem.rpartition("_")[2]
    return (int(tail) if tail.isdigit() else 0, path.name)


def convert(
    bags: Iterable[Path],
    folder: Path,
    machine: str,
    *,
    fps: int = 20,
    task: str = "",
    told: Callable[[int, int], None] | None = None,
) -> Converted:
    """Make a data set of bags, or add to one that is there.

    Args:
        bags: files or folders. folder: of the data set.
        machine: by the name of its folder.
        fps: of the frames.
        task: instead of what the bag says; one that says none is refused without it.
        told: called with bytes read and bytes in all of each file.

    Raises:
        KuwaError: a bag has no joint states or no task, or the set there differs.
    """
    joints = tuple(load_machine(machine).joint_names)
    episodes = frames = open_ends = skipped = 0
    torn: list[str] = []
    bad: list[str] = []
    for bag in bags:
        files = files_of(bag)
        info, followed = _info(files, machine, joints, fps)
        with DatasetWriter(folder, info) as writer:
            before = (writer.episodes, writer.frames)
            made = _Episodes(writer, joints, task, bag, followed)
            for path in files:
                found = Salvage()
                for channel, local, log, message in _messages(path, found, told):
                    made.take(channel, local, log, message)
                torn += [f"{path.name}: {each}" for each in found.refused]
                if not found.whole:
                    torn.append(f"{path.name}: it is torn after {found.read} bytes")
            made.end()
            bad += [f"{bag.name}: {topic}: {why}" for topic, why in made.problems.items()]
            episodes += writer.episodes - before[0]
            frames += writer.frames - before[1]
            open_ends, skipped = open_ends + made.open_ends, skipped + made.skipped
    return Converted(episodes, frames, open_ends, skipped, tuple(torn), tuple(bad))


class _Episodes:
    """Follows what the recorder said it was doing, if it was heard, and does the same."""

    def __init__(
        self, writer: DatasetWriter, joints: tuple[str, ...], task: str, bag: Path, followed: bool
    ) -> None:
        self._writer, self._task, self._bag = writer, task, bag
        self._whole = not followed
        self._grid = Grid(writer.info, writer)
        self._feed = Feed(joints)
        self._feed.grid = self._grid
        self.problems = self._feed.problems
        self._state = self._awaited = ""
        self._saved = self._before = 0
        self.open_ends = self.skipped = 0

    def take(self, channel: Channel, topic: str, log: float, message: Any) -> None:
        """Take a message: topic relative to the namespace, receipt [s]."""
        if topic == RECORDING:
            self._follow(message)
            return
        states = topic == topics.JOINT_STATES.name
        if self._whole and states and not self._writer.recording and not self._grid.missing:
            self._begin(self._task)
        elif self._awaited and not self._grid.missing:
            self._begin(self._awaited)
        if topic.endswith(COMPRESSED):
            camera = camera_of(topic.removesuffix(COMPRESSED))
            if camera:
                picture = np.asarray(Image.open(io.BytesIO(bytes(message.data))).convert("RGB"))
                even = picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2]
                stamp = seconds(message.header.stamp)
                self._grid.image(camera, stamp, np.ascontiguousarray(even))
            return
        self._feed.give(topic, log, message)

    def end(self) -> None:
        """The bag has ended; so has what was open."""
        self._give_up()
        if self._writer.recording:
            self.open_ends += not self._whole
            self._save(None, torn=not self._whole)

    def _follow(self, message: Any) -> None:
        state, saved = message.state, int(message.saved)
        before = self._state
        if state == "recording" and before != "recording":
            if self._writer.recording:
                self._discard()
            self._begin(message.task)
            self._before = saved
        elif before == "recording" != state:
            self._give_up()
            self._grid.end()
        if self._writer.recording and state in ("idle", "full") and before != state:
            if saved > self._before:
                self._save(label_of(message.message))
            else:
                self._discard()
        elif saved < self._saved and self._writer.episodes:
            self._writer.undo()
        self._state, self._saved = state, saved

    def _begin(self, task: str) -> None:
        task = self._task or task
        if not task:
            raise ConvertError(f"{self._bag}: it does not say the task; give one")
        # The recorder had a picture of every camera, which may have come late into the bag.
        self._awaited = task if self._grid.missing else ""
        if self._awaited:
            return
        self._writer.begin(task, bag=self._bag.name)
        self._grid.begin()

    def _give_up(self) -> None:
        """An episode has ended before there was a picture of every camera."""
        self.skipped += bool(self._awaited)
        self._awaited = ""

    def _save(self, success: bool | None, **notes: Any) -> None:
        notes |= self._grid.end()
        if self._writer.length:
            self._writer.save(success, **notes)
        else:
            self._discard()

    def _discard(self) -> None:
        self._grid.running = False
        self._writer.discard()
        self.skipped += 1


def _messages(
    path: Path, found: Salvage, told: Callable[[int, int], None] | None
) -> Iterator[tuple[Channel, str, float, Any]]:
    """Yield what is decoded of a bag: channel, its name in the namespace, receipt [s], message.

    In the order of receipt: pictures, which are compressed first, come late into a bag.
    """
    factory, space = DecoderFactory(), _namespace(path)
    decoders: dict[str, Any] = {}
    for channel, message in _ordered(salvaged(path, found, told)):
        name, local = channel.topic, channel.topic.removeprefix(space)
        if name not in decoders:
            schema = Schema(len(decoders) + 1, channel.schema.encode(), "ros2msg", channel.type)
            wanted = _wanted(local)
            decoders[name] = factory.decoder_for("cdr", schema) if wanted else None
        decoder = decoders[name]
        if decoder is not None:
            yield channel, local, 1e-9 * message.log_time, decoder(message.data)


def _ordered(messages: Iterator[tuple[Channel, Message]]) -> Iterator[tuple[Channel, Message]]:
    """Yield messages in the order of receipt, as far as they are not later than :data:`LATE`."""
    waiting: list[tuple[int, int, Channel, Message]] = []
    size = 0
    for number, (channel, message) in enumerate(messages):
        # When the recorder said something counts, not when it heard itself.
        said = channel.topic.endswith("/" + RECORDING)
        key = message.publish_time if said else message.log_time
        heappush(waiting, (key, number, channel, message))
        size += len(message.data)
        while waiting and (waiting[0][0] < message.log_time - LATE or size > MOST_WAITING):
            oldest = heappop(waiting)[2:]
            size -= len(oldest[1].data)
            yield oldest
    while waiting:
        yield heappop(waiting)[2:]


def _namespace(path: Path) -> str:
    """Return ``"/zx200/"`` where a bag has ``"/zx200/joint_states"``; ``""`` where none tells."""
    known = ("joint_states", "joint_command/request", "joint_command/applied", "safety", RECORDING)
    for channel, _ in islice(salvaged(path, Salvage()), LOOK_AHEAD):
        for each in known:
            if channel.topic.endswith("/" + each):
                return channel.topic.removesuffix(each)
    return ""


def _wanted(local: str) -> bool:
    picture = bool(camera_of(local.removesuffix(COMPRESSED)))
    return local == RECORDING or picture or Feed(()).wants(local)


def _info(
    files: list[Path], machine: str, joints: tuple[str, ...], fps: int
) -> tuple[DatasetInfo, bool]:
    """Return what a bag's beginning shows that frames can hold, and whether it has episodes.

    Raises:
        ConvertError: no joint states.
    """
    seen: set[str] = set()
    cameras: dict[str, tuple[int, int]] = {}
    beginning = islice(_messages(files[0], Salvage(), None), LOOK_AHEAD)
    for _, local, _, message in beginning:
        seen.add(local)
        camera = camera_of(local.removesuffix(COMPRESSED))
        if camera and camera not in cameras:
            if local.endswith(COMPRESSED):
                width, height = Image.open(io.BytesIO(bytes(message.data))).size
            else:
                height, width = image_from(message).shape[:2]
            cameras[camera] = (height // 2 * 2, width // 2 * 2)
    if topics.JOINT_STATES.name not in seen:
        raise ConvertError(
            f"{files[0]}: no joint states; found {', '.join(sorted(seen)) or 'none'}"
        )
    spec = load_machine(machine)
    info = DatasetInfo.of_machine(
        machine, joints, fps, cameras=cameras, pressure=topics.PRESSURES.name in seen,
        imu=topics.IMU.name in seen,
        kuwa={"qd_max": [float(v) for v in spec.qd_max], "recorder": "kuwa data convert",
              "modes": list(f.MODES), "sources": list(f.SOURCES)},
    )  # fmt: skip
    return info, RECORDING in seen
