"""Files of the black box: segments that are only ever appended to, and folders put aside."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from kuwa_hardware.blackbox.records import HEAD, Record, Recording, scan
from kuwa_machines.errors import KuwaError

SUFFIX: Final = ".kbb"
ASIDE: Final = "kept"
"""Folder of what was put aside, below that of the running black box."""
UNREADABLE: Final = ".unreadable"
"""After the name of a segment that the disk does not give back; such a file is kept and passed
over."""
MAX_FILE: Final = 256 * 2**20
"""A longer file is not read [bytes]."""
_SEGMENT: Final = re.compile(r"^\d{8}" + re.escape(SUFFIX) + "$")


class BlackBoxError(KuwaError):
    """A black box cannot be read."""


class Segment:
    """A file that is appended to and flushed to the disk.

    Raises:
        OSError: the disk is full, say.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder / f"{number:08d}{SUFFIX}"
        self.size = 0
        # Not over an older one: whatever is there was recorded.
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            self.append(HEAD)
            flush_folder(folder)
        except OSError:
            self.close()
            self.path.unlink(missing_ok=True)
            raise

    def append(self, data: bytes) -> None:
        """Write all of it; what a full disk took of it is torn and will be found out."""
        view = memoryview(data)
        while view:
            done = os.write(self._fd, view)
            self.size += done
            view = view[done:]

    def flush(self) -> None:
        """Return when the disk has it."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        # Also where closing fails the number is free, and may be another file's by the next time.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def flush_folder(folder: Path) -> None:
    """Return when the disk has the folder's list of files."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def segments_of(folder: Path) -> list[Path]:
    """Return the segments of a folder, the oldest first."""
    return sorted(path for path in folder.iterdir() if _SEGMENT.match(path.name))


def put_aside(segments: Iterable[Path], folder: Path) -> None:
    """Give segments a second name in ``folder``: they outlive the first, and cost no writing."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in segments:
        try:
            os.link(path, folder / path.name)
        except FileExistsError:
            continue
        except OSError:
            # A file system without second names.
            shutil.copyfile(path, folder / path.name)
    flush_folder(folder)


def files_of(path: Path) -> list[Path]:
    """Return the files of a black box: one file, or a folder's segments, the oldest first.

    Raises:
        BlackBoxError: there are none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BlackBoxError(f"{path}: there is no such file or folder")
    found = segments_of(path)
    if not found:
        inside = [p for p in sorted(path.rglob(f"*{SUFFIX}")) if _SEGMENT.match(p.name)]
        folders = sorted({str(p.parent) for p in inside})
        hint = f"; there are some in {', '.join(folders)}" if folders else ""
        raise BlackBoxError(f"{path}: no segment of a black box (*{SUFFIX}) in it{hint}")
    return found


def read(path: Path) -> Recording:
    """Return all whole records of a file, or of a folder's segments.

    Raises:
        BlackBoxError: there is none, or it is too large or unreadable.
    """
    found, unreadable = read_each(files_of(path))
    for why in unreadable.values():
        raise BlackBoxError(why)
    return found


def read_each(files: Iterable[Path]) -> tuple[Recording, dict[Path, str]]:
    """Return all whole records of files, and of each that cannot be read why not, in words."""
    records: dict[Record, None] = {}
    torn = 0
    unreadable: dict[Path, str] = {}
    for file in files:
        try:
            if file.stat().st_size > MAX_FILE:
                unreadable[file] = f"{file}: longer than {MAX_FILE} bytes, no black box's segment"
                continue
            found = scan(file.read_bytes())
        except OSError as error:
            unreadable[file] = f"{file}: cannot be read: {error.strerror}"
            continue
        # What a full disk took in part was written again into the next file.
        records.update(dict.fromkeys(found.records))
        torn += found.torn
    return Recording(tuple(records), torn), unreadable


def out_of_the_way(path: Path) -> Path:
    """Give a segment that cannot be read a name that is no segment's; return it."""
    other, count = path.with_name(path.name + UNREADABLE), 1
    while other.exists():
        count += 1
        other = path.with_name(f"{path.name}{UNREADABLE}-{count}")
    return path.rename(other)
