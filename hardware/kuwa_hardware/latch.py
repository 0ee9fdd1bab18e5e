"""The latch of a stop, kept in a file: a restart does not release what a person must release.

The file is there while the machine is stopped. It is written beside its place, flushed to the disk
and renamed, so that a power cut leaves the old state or the new one. A file that cannot be read
whole, or a place that cannot be written, counts as stopped.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Final

from kuwa_machines.atomic import replace_file, sync_folders

_MAX_BYTES: Final = 65536
RESTARTED: Final = "stop_restarted"
UNREADABLE: Final = "latch_unreadable"


class Latch:
    """Whether the machine was stopped and not released, and why.

    Args:
        path: of the file; its folder must be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.stopped = False
        """Whether a start must be stopped."""
        self.why = ""
        self.code = ""
        """Row of the failure table that tells why a start is stopped."""
        self._read()
        trouble = self._probe()
        if trouble:
            self.stopped, self.code = True, UNREADABLE
            self.why = f"the latch {self.path} cannot be written: {trouble}"

    def set(self, why: str) -> str:
        """Write that the machine is stopped; return what went wrong, or ``""``."""
        body = json.dumps({"stopped": True, "why": why}, ensure_ascii=False).encode()
        text = b"%s\n%08x\n" % (body, zlib.crc32(body))
        return self._write(self.path, text)

    def clear(self) -> str:
        """Take the file away: a person released the stop; return why that failed, or ``""``."""
        trouble = self._probe()
        if trouble:
            return f"the latch {self.path} cannot be written: {trouble}"
        try:
            self.path.unlink(missing_ok=True)
            sync_folders([self.path.parent])
        except OSError as error:
            return f"the latch {self.path} cannot be taken away: {error.strerror}"
        self.stopped, self.why, self.code = False, "", ""
        return ""

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                raw = file.read(_MAX_BYTES)
        except FileNotFoundError:
            return
        except OSError as error:
            self.stopped, self.code = True, UNREADABLE
            self.why = f"the latch {self.path} cannot be read: {error.strerror}"
            return
        self.stopped = True
        try:
            body, crc = raw.rstrip(b"\n").rsplit(b"\n", 1)
            if int(crc, 16) != zlib.crc32(body):
                raise ValueError("the check sum does not fit")
            why = json.loads(body)["why"]
        except (ValueError, KeyError, TypeError):
            self.code, self.why = UNREADABLE, f"the latch {self.path} is torn"
            return
        self.code, self.why = RESTARTED, f"stopped before the restart: {why}"

    def _probe(self) -> str:
        """Return why the place cannot be written, or ``""``."""
        beside = self.path.with_name(f".{self.path.name}.probe")
        trouble = self._write(beside, b"probe\n")
        if not trouble:
            try:
                beside.unlink()
            except OSError as error:
                trouble = error.strerror or str(error)
        return trouble

    def _write(self, path: Path, text: bytes) -> str:
        try:
            replace_file(path, text, path.with_name(f"{path.name}.tmp"))
        except OSError as error:
            return error.strerror or str(error)
        return ""
