"""Bags: whole and torn, bombs and lies, and that their messages come out as they went in."""

from __future__ import annotations

import struct
import time
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pytest
import yaml
import zstandard
from kuwa_msgs.msg import SafetyState
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Chunk
from mcap.writer import CompressionType, Writer
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import serialize_message

from kuwa_machines.errors import KuwaError
from kuwa_record.bagfile import Bag, BagError, Channel
from kuwa_record.bagging import Bagging
from kuwa_record.convert import files_of
from kuwa_record.recover import MAX_CHUNK, RecoverError, Salvage, recover, salvaged, unpack
from kuwa_record.schemas import SchemaError, definition, stamped

pytestmark = pytest.mark.ros
TYPE = "kuwa_msgs/msg/SafetyState"
SAFETY = Channel("/zx200/safety", TYPE, definition(TYPE), latched=True)
PARTS = 20
EACH = 10


@cache  # two serializations may differ in what fills the gaps
def message(k: int) -> bytes:
    msg = SafetyState(mode="auto", reasons=[f"reason {k}"], refused=k)
    msg.header.stamp.sec = k
    return bytes(serialize_message(msg))


def write(folder: Path, finish: bool = True) -> Path:
    """Write a bag of twenty chunks of ten messages."""
    bag = Bag(folder)
    for k in range(PARTS * EACH):
        bag.write(SAFETY, 1_000_000_000 * (1000 + k), 1_000_000_000 * k, message(k))
        if k % EACH == EACH - 1:
            bag.flush()
    if finish:
        bag.close()
    return bag.path


def numbers(path: Path) -> tuple[list[int], Salvage]:
    """Return which messages are whole in a file."""
    found = Salvage()
    kept = [m.publish_time // 1_000_000_000 for _, m in salvaged(path, found)]
    return kept, found


def test_messages_come_out_of_a_bag_as_they_went_in(tmp_path: Path) -> None:
    path = write(tmp_path / "bag")
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        assert summary.statistics.message_count == PARTS * EACH
        assert all(index.compression == "lz4" for index in summary.chunk_indexes)
        for k, (schema, channel, raw, msg) in enumerate(reader.iter_decoded_messages()):
            assert schema.name == TYPE and channel.message_encoding == "cdr"
            assert raw.data == message(k) and raw.sequence == k + 1
            assert (raw.log_time, raw.publish_time) == ((1000 + k) * 10**9, k * 10**9)
            assert msg.refused == k and msg.reasons == [f"reason {k}"]
        assert "transient_local" in channel.metadata["offered_qos_profiles"]
    text = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())
    info = text["rosbag2_bagfile_information"]
    assert info["storage_identifier"] == "mcap" and info["message_count"] == PARTS * EACH
    assert info["relative_file_paths"] == ["bag_0.mcap"]
    (topic,) = info["topics_with_message_count"]
    assert topic["topic_metadata"]["name"] == "/zx200/safety"
    assert info["duration"]["nanoseconds"] == (PARTS * EACH - 1) * 10**9
    with pytest.raises(BagError, match="no bag can be made"):
        Bag(tmp_path / "bag")


def test_a_large_bag_goes_on_in_another_file(tmp_path: Path) -> None:
    bag = Bag(tmp_path / "bag", max_file=4000)
    for k in range(100):
        bag.write(SAFETY, k, k, message(k))
        bag.flush()
    bag.close()
    files = sorted((tmp_path / "bag").glob("*.mcap"), key=lambda p: int(p.stem[4:]))
    assert len(files) > 3
    assert [n for path in files for n in _log_times(path)] == list(range(100))
    target = tmp_path / "whole"
    assert recover(files, target).whole and (target / "metadata.yaml").exists()


def _log_times(path: Path) -> list[int]:
    with path.open("rb") as file:
        return [m.log_time for _, _, m in make_reader(file, validate_crcs=True).iter_messages()]


def test_a_long_bag_keeps_no_more_than_five_minutes_of_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuwa_record.bagfile.MAX_FLUSHES", 4)
    bag = Bag(tmp_path / "bag")
    for k in range(10):
        bag.write(SAFETY, k, k, message(k))
        bag.flush()
        assert len(bag._writer._Writer__chunk_indices) < 4  # type: ignore[attr-defined]
    bag.close()
    files = files_of(tmp_path / "bag")
    assert len(files) == 3
    assert [n for path in files for n in _log_times(path)] == list(range(10))


def test_wherever_a_bag_is_torn_all_whole_chunks_are_salvaged(tmp_path: Path) -> None:
    path = write(tmp_path / "bag")
    data = path.read_bytes()
    torn, rng = tmp_path / "torn.mcap", np.random.default_rng(0)
    last = 0
    for size in sorted(rng.integers(9, len(data), 60).tolist()):
        torn.write_bytes(data[:size])
        kept, found = numbers(torn)
        assert kept == list(range(len(kept))) and len(kept) % EACH == 0
        assert len(kept) >= last and not found.whole
        last = len(kept)
    assert last >= (PARTS - 1) * EACH
    kept, found = numbers(path)
    assert len(kept) == PARTS * EACH and found.whole and found.refused == []


def test_a_killed_bag_holds_all_that_was_flushed(tmp_path: Path) -> None:
    path = write(tmp_path / "bag", finish=False)
    with path.open("rb") as file, pytest.raises(McapError):
        list(make_reader(file).iter_messages())
    before = path.read_bytes()
    found = recover([path], tmp_path / "new")
    assert found.messages == PARTS * EACH and not found.whole
    assert path.read_bytes() == before
    assert len(_log_times(tmp_path / "new" / "new_0.mcap")) == PARTS * EACH


def test_damaged_chunks_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "bag")
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    whole = set(range(PARTS * EACH))
    for _ in range(60):
        bad = bytearray(data)
        bad[int(rng.integers(600, len(bad) - 600))] ^= 1 << int(rng.integers(8))
        torn = tmp_path / "bad.mcap"
        torn.write_bytes(bad)
        kept, _ = numbers(torn)
        # What comes out is what went in: each is whole, in order, and none is made up.
        assert set(kept) <= whole and kept == sorted(set(kept))


def with_a_damaged_first_chunk(path: Path) -> bytes:
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    first = min(summary.chunk_indexes, key=lambda index: index.chunk_start_offset)
    data = bytearray(path.read_bytes())
    data[first.chunk_start_offset + first.chunk_length // 2] ^= 1
    return bytes(data)


def test_messages_outlive_the_chunk_that_defined_their_channel(tmp_path: Path) -> None:
    path = write(tmp_path / "bag")
    data = with_a_damaged_first_chunk(path)
    torn = tmp_path / "bad.mcap"
    for end in (len(data), len(data) // 2):  # with the definitions at the end, and without
        torn.write_bytes(data[:end])
        kept, found = numbers(torn)
        assert kept[0] == EACH and len(kept) >= (PARTS // 2 - 2) * EACH, (end, kept[:3])
        assert len(found.refused) == 1


def test_definitions_at_the_end_of_a_file_of_others_are_found(tmp_path: Path) -> None:
    path = tmp_path / "other.mcap"
    writer = Writer(str(path), chunk_size=200, compression=CompressionType.LZ4)
    writer.start()
    schema = writer.register_schema(TYPE, "ros2msg", SAFETY.schema.encode())
    channel = writer.register_channel(SAFETY.topic, "cdr", schema)
    for k in range(EACH):
        writer.add_message(channel, 10**9 * k, message(k), 10**9 * k)
    writer.finish()
    path.write_bytes(with_a_damaged_first_chunk(path))
    kept, found = numbers(path)
    assert kept and kept == list(range(kept[0], EACH)) and found.refused


def chunk(data: bytes, size: int, kind: str, crc: int = 0) -> Chunk:
    return Chunk(kind, data, 0, 0, crc, size)


def test_bombs_and_liars_are_refused_before_they_are_unpacked() -> None:
    zeros = bytes(64 * 2**20)
    bombs = {"zstd": zstandard.compress(zeros, 19), "lz4": lz4.frame.compress(zeros)}
    for kind, data in bombs.items():
        began = time.monotonic()
        with pytest.raises(RecoverError, match="at most"):
            unpack(chunk(data, MAX_CHUNK + 1, kind))
        with pytest.raises(RecoverError, match="other than the 100 bytes"):
            unpack(chunk(data, 100, kind))
        assert time.monotonic() - began < 1.0
    with pytest.raises(RecoverError, match="1000 times"):
        unpack(chunk(bombs["zstd"], len(zeros), "zstd"))
    with pytest.raises(RecoverError, match="valid: lz4"):
        unpack(chunk(b"", 0, "xz"))
    with pytest.raises(RecoverError, match=r"damaged|other than"):
        unpack(chunk(b"no such thing", 13, "lz4"))
    with pytest.raises(RecoverError, match="check sum"):
        unpack(chunk(b"abc", 3, "", zlib.crc32(b"abd")))
    assert unpack(chunk(lz4.frame.compress(b"abc"), 3, "lz4", zlib.crc32(b"abc"))) == b"abc"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no MCAP file"), (b"PK\x03\x04 something else", "no MCAP file"),
        (b"\x89MCAP0\r\n", "no whole message"),
        (b"\x89MCAP0\r\n" + struct.pack("<BQ", 6, 2**62), "no whole message"),
        (b"\x89MCAP0\r\n" + struct.pack("<BQ", 6, 4) + b"abcd", "no whole message"),
    ],
)  # fmt: skip
def test_what_is_no_bag_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "some.mcap"
    path.write_bytes(data)
    with pytest.raises(RecoverError, match=words):
        recover([path], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_no_half_of_a_recovered_bag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "bag", finish=False)

    def full(bag: Bag) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Bag, "close", full)
        with pytest.raises(RecoverError, match="not written: No space left on device"):
            recover([path], tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert recover([path], tmp_path / "new").messages == PARTS * EACH


def test_a_disk_too_full_for_the_head_of_a_bag_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("kuwa_record.bagfile.os.fsync", full)
        with pytest.raises(BagError, match="no bag can be made there: No space left on device"):
            Bag(tmp_path / "bag")
    assert not (tmp_path / "bag").exists()
    Bag(tmp_path / "bag").close()


def test_nobody_waits_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = Bag(tmp_path / "bag")
    slow = bag.flush

    def flush() -> None:
        time.sleep(0.3)
        slow()

    monkeypatch.setattr(bag, "flush", flush)
    bagging = Bagging(bag, lambda why: None, most=3000)
    worst = 0.0
    for k in range(200):
        began = time.perf_counter()
        bagging.put(SAFETY, k, k, message(k))
        worst = max(worst, time.perf_counter() - began)
        time.sleep(0.002)
    bagging.stop()
    assert worst < 0.1
    assert bagging.dropped > 0 and bagging.dropped + bagging.written == 200
    assert len(_log_times(bag.path)) == bagging.written


def test_a_full_disk_ends_a_bag_and_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    bag = Bag(tmp_path / "bag")
    told: list[str] = []
    bagging = Bagging(bag, told.append)
    bagging.put(SAFETY, 1, 1, message(1))
    deadline = time.monotonic() + 10.0
    while bagging.written < 1 and time.monotonic() < deadline:
        time.sleep(0.01)

    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bag, "flush", full)
    bagging.put(SAFETY, 2, 2, message(2))
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    assert told == ["the bag is not written any more: No space left on device"]
    assert not bagging.put(SAFETY, 3, 3, message(3))
    bagging.stop()
    assert numbers(bag.path)[0] == [0] and (tmp_path / "bag" / "metadata.yaml").exists()


def test_definitions_are_whole_and_say_which_are_stamped() -> None:
    text = definition("trajectory_msgs/msg/JointTrajectory")
    for part in ("std_msgs/Header", "trajectory_msgs/JointTrajectoryPoint",
                 "builtin_interfaces/Duration", "builtin_interfaces/Time"):  # fmt: skip
        assert text.count(f"MSG: {part}\n") == 1
    assert stamped("sensor_msgs/msg/Imu") and not stamped("std_msgs/msg/Bool")
    with pytest.raises(SchemaError, match="no_such"):
        definition("no_such/msg/Thing")
    assert issubclass(SchemaError, KuwaError)
