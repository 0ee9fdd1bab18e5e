"""An authenticated envelope for commands, mode requests and messages: HMAC-SHA256.

For networks where DDS security is not available. It proves who made a command and that nobody
changed it; it hides nothing. That an old command is not sent again is proved by what is under the
code, stamp and sequence, and checked by the receiver: :mod:`kuwa_hardware.intake` for requests,
:mod:`kuwa_hardware.watchdog` for applied commands, :mod:`kuwa_hardware.freshness` for the rest.

Canonical bytes: a label of what is meant, numbers of fixed width, texts and lists with their length
before them. So no two commands share their bytes, and a code for one kind is none for the other.
"""

from __future__ import annotations

import hmac
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from kuwa_machines.contracts import JointCommand
from kuwa_machines.errors import KuwaError

KEY_BYTES: Final = 32
"""Shortest key: as long as the code, NIST SP 800-107 section 5.3.4."""
MAC_BYTES: Final = 32
_MAX_FILE: Final = 4096
_KEY: Final = b"kuwa/key/1\0"
_COMMAND: Final = b"kuwa/command/1\0"
_MODE: Final = b"kuwa/mode/1\0"
_MESSAGE: Final = b"kuwa/message/1\0"


class KeyFileError(KuwaError):
    """A key file that is missing, open to others, or holds no key."""


@dataclass(frozen=True, slots=True)
class SealedMessage:
    """A serialised message with its code, for types that have no field for one.

    Args:
        topic: full name of where it is sent: on another machine's its code is wrong.
        source: who sealed it. stamp: of sealing, system time [s]. sequence: counts up there.
        data: serialised message. mac: code; empty: none.
    """

    topic: str
    source: str
    stamp: float
    sequence: int
    data: bytes
    mac: bytes = b""


class Envelope:
    """Seals and checks with one key that both ends share.

    Machines may share a key: each has its own made of it, so that what was sealed for one proves
    nothing to another.

    Args:
        key: at least 32 bytes. machine: namespace of its topics, with a leading slash.

    Raises:
        KeyFileError: it is shorter.
    """

    def __init__(self, key: bytes, machine: str = "") -> None:
        if len(key) < KEY_BYTES:
            raise KeyFileError(f"a key of {len(key)} bytes; it needs at least {KEY_BYTES}")
        self._key = hmac.digest(key, _KEY + machine.encode(), "sha256")

    def seal(self, command: JointCommand) -> JointCommand:
        """Return the command with its code.

        Raises:
            KeyFileError: a number of it does not fit the message.
        """
        try:
            mac = self._mac(command_bytes(command))
        except struct.error as error:
            raise KeyFileError(f"command {command.sequence} cannot be sealed: {error}") from None
        return replace(command, mac=mac)

    def check(self, command: JointCommand) -> str:
        """Return why the code does not prove the command, or ``""``."""
        return self._check(command.mac, lambda: command_bytes(command))

    def seal_mode(self, mode: str, who: str, stamp: float, sequence: int) -> bytes:
        """Return the code of a mode request.

        Args:
            stamp: of asking, system time [s]. sequence: counts up at its source.
        """
        return self._mac(mode_bytes(mode, who, stamp, sequence))

    def check_mode(self, mode: str, who: str, stamp: float, sequence: int, mac: bytes) -> str:
        """Return why the code does not prove the mode request, or ``""``."""
        return self._check(mac, lambda: mode_bytes(mode, who, stamp, sequence))

    def seal_message(self, message: SealedMessage) -> SealedMessage:
        """Return the message with its code."""
        return replace(message, mac=self._mac(message_bytes(message)))

    def check_message(self, message: SealedMessage) -> str:
        """Return why the code does not prove the message, or ``""``."""
        return self._check(message.mac, lambda: message_bytes(message))

    def _check(self, mac: bytes, canonical: Callable[[], bytes]) -> str:
        if not mac:
            return "it carries no code"
        try:
            wanted = self._mac(canonical())
        except struct.error as error:
            return f"its numbers do not fit the message: {error}"
        return "" if hmac.compare_digest(wanted, bytes(mac)) else "its code is wrong"

    def _mac(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, "sha256")


def command_bytes(command: JointCommand) -> bytes:
    """Return the canonical bytes of a command, without its code.

    Raises:
        struct.error: a number is out of the message's range.
    """
    source = command.source.encode()
    values = np.ascontiguousarray(command.values, dtype=">f8").tobytes()
    head = struct.pack(
        ">dQBII",
        command.stamp, command.sequence, int(command.kind), len(source), len(command.names),
    )  # fmt: skip
    names = b"".join(_text(name) for name in command.names)
    return b"".join((_COMMAND, head, source, names, struct.pack(">I", len(values)), values))


def mode_bytes(mode: str, who: str, stamp: float, sequence: int) -> bytes:
    """Return the canonical bytes of a mode request.

    Raises:
        struct.error: a number is out of the message's range.
    """
    return b"".join((_MODE, struct.pack(">dQ", stamp, sequence), _text(str(mode)), _text(who)))


def message_bytes(message: SealedMessage) -> bytes:
    """Return the canonical bytes of a serialised message, without its code.

    Raises:
        struct.error: a number is out of the message's range.
    """
    head = struct.pack(">dQ", message.stamp, message.sequence)
    return b"".join((_MESSAGE, head, _text(message.topic), _text(message.source), message.data))


def load_key(path: Path) -> bytes:
    """Read a key file: hexadecimal digits of at least 32 bytes, readable by its owner alone.

    Raises:
        KeyFileError: naming the file, what is wrong, and what would be right.
    """
    remedy = f"make one: umask 077; openssl rand -hex {KEY_BYTES} > {path}"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; {remedy}") from None
    try:
        # Asked of the open file, not of the name: nobody can change what the name means between.
        _check_key_file(path, os.fstat(handle), remedy)
        text = os.read(handle, _MAX_FILE + 1)
    finally:
        os.close(handle)
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        raise KeyFileError(f"{path}: not hexadecimal digits; {remedy}") from None
    if not KEY_BYTES <= len(key) <= _MAX_FILE // 2:
        raise KeyFileError(f"{path}: a key of {len(key)} bytes; {remedy}")
    return key


def _check_key_file(path: Path, about: os.stat_result, remedy: str) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise KeyFileError(f"{path}: no plain file; {remedy}")
    if about.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(
            f"{path}: belongs to user {about.st_uid}; it must be yours ({os.geteuid()})"
        )
    if about.st_mode & 0o077:
        raise KeyFileError(
            f"{path}: others may read or change it (mode {stat.S_IMODE(about.st_mode):03o}); "
            f"chmod 600 {path}, and make a new key"
        )


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">I", len(raw)) + raw
