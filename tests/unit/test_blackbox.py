"""The black box: what was whole is read whatever else happened to the file, and it is bounded."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_hardware.blackbox import BlackBox, Record, files_of, read, scan
from kuwa_hardware.blackbox.files import (
    ASIDE,
    MAX_FILE,
    BlackBoxError,
    Segment,
    segments_of,
)
from kuwa_hardware.blackbox.records import (
    HEAD,
    MARK,
    MAX_PAYLOAD,
    MESSAGE,
    channel_frame,
    frame,
)

RECORDS = tuple(
    Record(100.0 + k, "/zx200/safety" if k % 2 else "/zx200/applied", "a/b", bytes(range(7 * k)))
    for k in range(6)
)


def bytes_of(records: tuple[Record, ...] = RECORDS) -> list[bytes]:
    """Return the head with the channels, then each record."""
    channels: dict[tuple[str, str], int] = {}
    out = [HEAD]
    for record in records:
        key = (record.topic, record.type)
        if key not in channels:
            channels[key] = len(channels)
            out[0] += channel_frame(channels[key], *key)
        out.append(frame(MESSAGE, channels[key], record.time, record.data))
    return out


def test_what_was_written_is_read() -> None:
    assert scan(b"".join(bytes_of())) == type(scan(b""))(RECORDS, 0)


def test_a_file_torn_at_any_byte_gives_all_whole_records_before() -> None:
    parts = bytes_of()
    whole = b"".join(parts)
    ends = [len(b"".join(parts[: k + 1])) for k in range(len(parts))]
    for cut in range(len(whole) + 1):
        found = scan(whole[:cut])
        count = max(sum(1 for end in ends if end <= cut) - 1, 0)
        assert found.records == RECORDS[:count], cut


def test_zeros_after_a_power_cut_are_told_as_torn() -> None:
    whole = b"".join(bytes_of())
    found = scan(whole + bytes(4096))
    assert found.records == RECORDS and found.torn == 4096


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_gives_no_record_that_was_not_written(data: st.DataObject) -> None:
    parts = bytes_of()
    whole = bytearray(b"".join(parts))
    start = data.draw(st.integers(0, len(whole) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=60))
    how = data.draw(st.sampled_from(["over", "in", "out"]))
    if how == "over":
        whole[start : start + len(junk)] = junk
    elif how == "in":
        whole[start:start] = junk
    else:
        del whole[start : start + len(junk)]
    found = scan(bytes(whole))
    if start > len(parts[0]):
        assert set(found.records) <= set(RECORDS)
        # The damage is in one place: records before it and well after it are there.
        assert found.records[:1] == RECORDS[:1] or start < len(parts[0]) + len(parts[1])


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    scan(data)
    scan(HEAD + MARK + data)


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def recorded(path: Path) -> list[int]:
    return [int(record.data) for record in read(path).records if record.topic]


def fill(box: BlackBox, clock: Clock, first: int, last: int) -> None:
    """Record a number a second and let the thread's work be done."""
    for number in range(first, last):
        box.record("/t", "std_msgs/msg/String", 1e9 + number, b"%d" % number)
        clock.now += 1.0
        box.work()


def test_it_keeps_the_span_and_one_segment_more(tmp_path: Path) -> None:
    clock = Clock()
    box = BlackBox(tmp_path, span=10.0, segment=3.0, clock=clock)
    fill(box, clock, 0, 60)
    numbers = recorded(tmp_path)
    assert numbers == list(range(numbers[0], 60))
    assert 10 <= len(numbers) <= 10 + 2 * 3 + 1
    assert len(segments_of(tmp_path)) <= 6


def test_what_is_put_aside_stays_with_what_came_after(tmp_path: Path) -> None:
    clock = Clock()
    box = BlackBox(tmp_path, span=10.0, segment=3.0, keep=2, clock=clock)
    fill(box, clock, 0, 20)
    box.put_aside("Stopped: ../../etc")
    fill(box, clock, 20, 100)
    (kept,) = (tmp_path / ASIDE).iterdir()
    assert kept.name.endswith("-stopped-etc")
    numbers = recorded(kept)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[0] <= 10 and numbers[-1] >= 23
    for _ in range(3):
        box.put_aside("again")
        fill(box, clock, 100, 130)
    assert len(list((tmp_path / ASIDE).iterdir())) == 2
    assert "take them away" in box.full
    assert recorded(kept) == numbers


def test_what_is_asked_for_while_something_is_put_aside_is_put_aside_with_it(
    tmp_path: Path,
) -> None:
    clock = Clock()
    box = BlackBox(tmp_path, span=10.0, segment=3.0, clock=clock)
    fill(box, clock, 0, 5)
    box.put_aside("stopped")
    fill(box, clock, 5, 6)
    box.put_aside("and armed again")
    fill(box, clock, 6, 20)
    (kept,) = (tmp_path / ASIDE).iterdir()
    assert kept.name.endswith("-stopped")
    box.put_aside("later")
    fill(box, clock, 20, 21)
    assert len(list((tmp_path / ASIDE).iterdir())) == 2


def test_it_waits_for_nobody(tmp_path: Path) -> None:
    box = BlackBox(tmp_path)
    box.start()
    try:
        box.record("/t", "x", 1.0, b"7")
        end = time.monotonic() + 3.0
        while not (tmp_path / "00000001.kbb").exists() or recorded(tmp_path) != [7]:
            assert time.monotonic() < end, "not on the disk"
            time.sleep(0.01)
    finally:
        box.stop()
    assert not any(thread.name == "blackbox" for thread in threading.enumerate())


def test_a_run_that_ended_in_order_leaves_nothing_aside(tmp_path: Path) -> None:
    for number in range(2):
        box = BlackBox(tmp_path)
        box.start()
        box.record("/t", "x", 1.0, b"%d" % number)
        box.stop()
        assert recorded(tmp_path) == [number]
    assert not (tmp_path / ASIDE).exists()


@contextmanager
def no_room() -> Iterator[None]:
    """Let the kernel refuse every byte that this process writes into a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_told_and_nothing_of_the_last_span_is_lost(tmp_path: Path) -> None:
    clock = Clock()
    box = BlackBox(tmp_path, span=30.0, segment=5.0, clock=clock)
    fill(box, clock, 0, 8)
    assert box.problem == ""
    with no_room():
        fill(box, clock, 8, 20)
        assert str(tmp_path) in box.problem
    clock.now += 2.0
    fill(box, clock, 20, 22)
    assert box.problem == ""
    assert recorded(tmp_path) == list(range(22))


def test_a_disk_that_failed_is_not_asked_again_at_every_turn_and_no_file_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, asked = Clock(), []
    box = BlackBox(tmp_path, span=10.0, segment=3.0, clock=clock)
    fill(box, clock, 0, 1)

    def refused(self: Segment, data: bytes) -> NoReturn:
        asked.append(clock.now)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (first,) = segments_of(tmp_path)
    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch:
        patch.setattr(Segment, "append", refused)
        box.record("/t", "std_msgs/msg/String", 1.0, b"1")
        for _ in range(20):
            box.work()
            clock.now += 0.1
    assert len(asked) == 2, "at once, and a second later"
    assert len(os.listdir("/proc/self/fd")) == len(before) - 1, "its file is closed"
    # What had failed is forgotten in its time, like any other segment.
    assert first.exists()
    clock.now += 2.0
    fill(box, clock, 2, 30)
    assert not first.exists()


def test_a_segment_is_closed_once(tmp_path: Path) -> None:
    segment = Segment(tmp_path, 1)
    number = segment._fd
    segment.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    segment.close()


def test_what_is_too_long_is_neither_written_nor_read(tmp_path: Path) -> None:
    assert frame(MESSAGE, 0, 1.0, bytes(MAX_PAYLOAD)) == b""
    assert frame(MESSAGE, 0, 1.0, bytes(MAX_PAYLOAD - 100)) != b""
    path = tmp_path / "long.kbb"
    path.touch()
    os.truncate(path, MAX_FILE + 1)
    with pytest.raises(BlackBoxError, match="longer than"):
        read(path)


def test_a_folder_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    clock = Clock()
    folder = tmp_path / "box"
    box = BlackBox(folder, segment=2.0, clock=clock)
    fill(box, clock, 0, 3)
    for path in segments_of(folder):
        path.unlink()
    folder.rmdir()
    fill(box, clock, 3, 9)
    assert box.problem == "" and recorded(folder)[-1] == 8


def test_a_killed_process_leaves_what_it_had_and_the_next_one_puts_it_aside(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import os, signal, time
        from pathlib import Path
        from kuwa_hardware.blackbox import BlackBox
        box = BlackBox(Path({str(tmp_path)!r}))
        box.start()
        for number in range(100):
            box.record("/t", "x", float(number), b"%d" % number)
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    numbers = recorded(tmp_path)
    assert numbers == list(range(len(numbers))) and len(numbers) >= 60
    # A power cut may leave less, and torn.
    path = files_of(tmp_path)[-1]
    os.truncate(path, path.stat().st_size - 5)
    box = BlackBox(tmp_path)
    box.work()
    (kept,) = (tmp_path / ASIDE).iterdir()
    assert recorded(kept) == numbers[:-1]
    assert "torn" in box.torn and "whole" in box.torn
    assert recorded(tmp_path) == []


def until(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 5.0
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def spoil(path: Path) -> None:
    """Make a segment one that a bad card does not give back: reading it is an I/O error."""
    path.unlink()
    path.symlink_to("/proc/self/mem")
    with pytest.raises(OSError) as caught:
        path.read_bytes()
    assert caught.value.errno == errno.EIO


def test_a_segment_that_cannot_be_read_is_kept_and_told_and_stops_nothing(tmp_path: Path) -> None:
    clock = Clock()
    for run in range(2):
        fill(BlackBox(tmp_path, segment=3.0, clock=clock), clock, 0, 9)
        bad = segments_of(tmp_path)[1]
        spoil(bad)
        box = BlackBox(tmp_path)
        box.start()
        box.record("/t", "x", 1.0, b"77")
        box.stop()
        assert recorded(tmp_path) == [77] and box.problem == ""
        kept = bad.with_name(bad.name + (".unreadable" if run == 0 else ".unreadable-2"))
        assert kept.is_symlink() and not bad.exists()
        assert "cannot be read" in box.torn and kept.name in box.torn
        # What the disk does give back is put aside, and the box itself says what is missing.
        aside = max((tmp_path / ASIDE).iterdir(), key=lambda folder: folder.stat().st_ctime_ns)
        assert recorded(aside) == [0, 1, 2, 6, 7, 8]
        assert any(kept.name in r.data.decode() for r in read(tmp_path).records if not r.topic)
        # As if nothing had been before, but for what was kept: numbers begin again.
        for path in (*segments_of(tmp_path), tmp_path / "ended"):
            path.unlink()


def test_no_error_ends_the_thread_and_each_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Segment) -> NoReturn:
        raise ValueError("nobody thought of this")

    box = BlackBox(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Segment, "flush", broken)
        box.start()
        box.record("/t", "x", 1.0, b"5")
        until(lambda: "nobody thought of this" in box.problem, "not told")
    until(lambda: box.problem == "", "it does not go on")
    until(lambda: recorded(tmp_path) == [5], "lost")
    box.stop()


def test_a_disk_that_refuses_everything_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After errors the kernel mounts a card read-only: not even old files can be taken away."""

    def refused(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    clock = Clock()
    box = BlackBox(tmp_path, span=10.0, segment=2.0, clock=clock)
    fill(box, clock, 0, 9)
    with monkeypatch.context() as patch:
        for where, name in ((Segment, "append"), (Segment, "close"), (Path, "unlink")):
            patch.setattr(where, name, refused)
        fill(box, clock, 9, 40)
        assert "Read-only" in box.problem
    clock.now += 2.0
    fill(box, clock, 40, 42)
    assert box.problem == "" and recorded(tmp_path)[-10:] == list(range(32, 42))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_ended_is_a_problem_until_it_should_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = BlackBox(tmp_path / "one")
    box.start()
    feeder = threading.Thread(target=lambda: None, name="recorder")
    feeder.start()
    feeder.join()
    assert box.problem == ""
    box.watch(feeder)
    assert "thread recorder of the black box has ended" in box.problem
    box.stop()
    assert box.problem == ""

    def ends() -> NoReturn:
        raise SystemExit

    other = BlackBox(tmp_path / "other")
    monkeypatch.setattr(other, "work", ends)
    other.start()
    until(lambda: "thread blackbox" in other.problem, "nobody is told")
    other.stop()


def test_what_does_not_come_is_a_problem(tmp_path: Path) -> None:
    box = BlackBox(tmp_path)
    box.unfed = "imu is not recorded"
    assert box.problem == "imu is not recorded"


def test_what_is_no_black_box_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(BlackBoxError, match="no such"):
        files_of(tmp_path / "none")
    with pytest.raises(BlackBoxError, match="no segment"):
        files_of(tmp_path)
    clock = Clock()
    fill(BlackBox(tmp_path / "run", clock=clock), clock, 0, 2)
    with pytest.raises(BlackBoxError, match="run"):
        files_of(tmp_path)
    (tmp_path / "words").write_text("nothing")
    assert read(tmp_path / "words").records == ()
