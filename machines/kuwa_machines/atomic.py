"""Files that are whole or not there: written beside, flushed to the disk, renamed.

A rename is atomic, and lasting once its folder has been flushed too (POSIX ``rename``, ``fsync``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def write_durable(path: Path, data: bytes) -> None:
    """Write a file and flush it to the disk; it may be torn by a crash, so write it beside."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Flush a file that somebody else wrote to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folders(paths: Iterable[Path]) -> None:
    """Flush folders, so that what was renamed into them is there after a power cut."""
    for path in dict.fromkeys(paths):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder with those above it, each lasting."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folders([folder.parent])


def replace_file(path: Path, data: bytes, partial: Path) -> None:
    """Replace a file as a whole; ``partial`` is where it is written first, on the same disk."""
    write_durable(partial, data)
    put(partial, path)


def put(partial: Path, path: Path) -> None:
    """Let a file that was flushed take the place of another, lastingly."""
    os.replace(partial, path)
    sync_folders([path.parent])
