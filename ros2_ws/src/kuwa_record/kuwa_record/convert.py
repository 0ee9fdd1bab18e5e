"""Makes a LeRobot data set of bags: the episodes that were recorded, as the live recorder does.

Without the topic ``recording`` in it, a bag is one episode. Of a torn bag the open episode is taken
as far as it goes, without a label; nothing is asked of the recorder that was killed.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from mcap.records import Message, Schema
from mcap_ros2.decoder import DecoderFactory
from numpy.typing import NDArray
from PIL import Image

from kuwa_machines.errors import CommandError, KuwaError
from kuwa_machines.loader import load_machine
from kuwa_policies.datasets import DatasetError, DatasetInfo, DatasetWriter
from kuwa_policies.datasets import features as f
from kuwa_policies.datasets.grid import Grid
from kuwa_record.bagfile import Channel
from kuwa_record.feed import Feed, camera_of, even
from kuwa_record.recover import Salvage, notes_of, salvaged
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
FPS: Final = 20
"""Frames in a second of a bag that notes none."""
LOOK_AHEAD: Final = 20_000
"""Messages in which a bag must have shown all that frames hold."""


Saved = dict[tuple[str, int], int]
"""By the recorder's folder and number of an episode, its index in the new set."""


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
    machine: str = "",
    *,
    fps: int = 0,
    task: str = "",
    told: Callable[[int, int], None] | None = None,
) -> Converted:
    """Make a data set of bags, or add to one that is there.

    Args:
        bags: files or folders. folder: of the data set.
        machine: by the name of its folder; empty: as each bag notes it.
        fps: of the frames; 0: as each bag notes it, and 20 where it does not.
        task: instead of what the bag says; one that says none is refused without it.
        told: called with bytes read and bytes in all of each file.

    Raises:
        KuwaError: a bag has no joint states or no task, is of another machine than ``machine`` or
            does not say of which, or the set there differs.
    """
    episodes = frames = open_ends = skipped = 0
    torn: list[str] = []
    bad: list[str] = []
    saved: Saved = {}
    for bag in bags:
        files = files_of(bag)
        notes = notes_of(files[0])
        name = _machine(bag, notes, machine)
        joints = tuple(load_machine(name).joint_names)
        info, followed = _info(files, name, joints, fps or _fps(bag, notes))
        with DatasetWriter(folder, info) as writer:
            before = (writer.episodes, writer.frames)
            made = _Episodes(writer, joints, task, bag, followed, saved)
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


def _machine(bag: Path, notes: Mapping[str, str], asked: str) -> str:
    """Return whose bag it is. Joints of several machines have the same names, their speeds differ.

    Raises:
        ConvertError: it says another than was asked for, or neither says one.
    """
    noted = notes.get("machine", "")
    if asked and noted and asked != noted:
        raise ConvertError(
            f"{bag}: recorded of a {noted}, not of a {asked}; leave --machine out, or name {noted}"
        )
    if not (asked or noted):
        raise ConvertError(f"{bag}: it does not say of which machine it is; give --machine")
    return asked or noted


def _fps(bag: Path, notes: Mapping[str, str]) -> int:
    noted = notes.get("fps", str(FPS))
    if not noted.isdecimal():
        raise ConvertError(f"{bag}: it notes fps {noted[:20]!r}; expected a number; give --fps")
    return int(noted)


class _Episodes:
    """Follows what the recorder said it was doing, if it was heard, and does the same."""

    def __init__(
        self, writer: DatasetWriter, joints: tuple[str, ...], task: str, bag: Path, followed: bool,
        kept: Saved,
    ) -> None:  # fmt: skip
        self._writer, self._task, self._bag, self._kept = writer, task, bag, kept
        self._whole = not followed
        self._grid = Grid(writer.info, writer)
        self._feed = Feed(joints)
        self._feed.grid = self._grid
        self.problems = self._feed.problems
        self._state = self._awaited = ""
        self._saved = self._before = 0
        self._broken: Counter[str] = Counter()
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
                self._picture(camera, topic, message)
            return
        self._feed.give(topic, log, message)

    def end(self) -> None:
        """The bag has ended; so has what was open."""
        self._give_up()
        if self._writer.recording:
            self.open_ends += not self._whole
            self._save(None, torn=not self._whole)

    def _picture(self, camera: str, topic: str, message: Any) -> None:
        """Take a compressed picture; one that is none, or of another size, is left out and told."""
        try:
            picture = even(_unpacked(message))
            self._grid.image(camera, seconds(message.header.stamp), picture)
        except DatasetError as error:
            self._broken[topic] += 1
            self.problems[topic] = f"{self._broken[topic]} pictures, the last one: {error}"

    def _follow(self, message: Any) -> None:
        state, saved = message.state, int(message.saved)
        before = self._state
        if state == "recording" and before != "recording":
            if self._writer.recording:
                self._discard()
            self._begin(message.task)
            self._before = saved
            for key in [k for k in self._kept if k[0] == message.folder and k[1] >= saved]:
                del self._kept[key]  # others had these numbers, in a set that is gone
        elif before == "recording" != state:
            self._give_up()
            self._grid.end()
        if self._writer.recording and state in ("idle", "full") and before != state:
            if saved > self._before:
                count = self._writer.episodes
                self._save(label_of(message.message))
                if self._writer.episodes > count:
                    self._kept[message.folder, self._before] = count
            else:
                self._discard()
        elif saved < self._saved:
            for number in reversed(range(saved, self._saved)):
                self._take_back(message.folder, number)
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

    def _take_back(self, folder: str, number: int) -> None:
        """Take back what the recorder took back, if it is here; never another episode."""
        index = self._kept.pop((folder, number), None)
        if index is None:
            return
        if index == self._writer.episodes - 1:
            self._writer.undo()
        else:
            self.problems[RECORDING] = (
                f"episode {number} was taken back, which stays as {index}: there are later ones"
            )

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


def _unpacked(message: Any) -> NDArray[np.uint8]:
    """Return a compressed picture, RGB, shape (height, width, 3).

    Raises:
        DatasetError: it is none, or torn.
    """
    try:
        return np.asarray(Image.open(io.BytesIO(bytes(message.data))).convert("RGB"), np.uint8)
    # Of the library whatever a damaged file makes of it: OSError, SyntaxError, a bomb's warning.
    except Exception as error:
        raise DatasetError(
            f"no picture can be made of {len(message.data)} bytes: {error}"
        ) from None


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
            try:
                packed = local.endswith(COMPRESSED)
                picture = even(_unpacked(message) if packed else image_from(message))
            except (CommandError, DatasetError):
                continue  # it is told when frames are made
            cameras[camera] = (picture.shape[0], picture.shape[1])
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
