"""The envelope: what is sealed is proved, what is changed is not, and no two share their bytes."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kuwa_hardware.envelope import (
    Envelope,
    KeyFileError,
    _check_key_file,
    command_bytes,
    load_key,
    mode_bytes,
)
from kuwa_machines.contracts import CommandKind, JointCommand

KEY = bytes(range(32))
COMMAND = JointCommand(
    1.5, 7, "control", CommandKind.VALVE, ("a_joint", "b_joint"), np.array([0.25, -1.0])
)

texts = st.text(max_size=6)
floats = st.floats(allow_nan=True, allow_infinity=True)
commands = st.builds(
    JointCommand,
    stamp=floats,
    sequence=st.integers(0, 2**64 - 1),
    source=texts,
    kind=st.sampled_from(CommandKind),
    names=st.lists(texts, max_size=3).map(tuple),
    values=st.lists(floats, max_size=3).map(np.array),
)


def identity(command: JointCommand) -> tuple[Any, ...]:
    """What a command says, to the bit."""
    return (
        np.float64(command.stamp).tobytes(), command.sequence, command.source, command.kind,
        command.names, np.asarray(command.values, dtype=float).tobytes(),
    )  # fmt: skip


@given(commands)
def test_what_is_sealed_is_proved(command: JointCommand) -> None:
    envelope = Envelope(KEY)
    sealed = envelope.seal(command)
    assert envelope.check(sealed) == ""
    assert identity(sealed) == identity(command)
    assert "wrong" in Envelope(KEY[::-1]).check(sealed)
    assert "no code" in envelope.check(command)


@given(commands, commands)
def test_no_two_commands_share_their_bytes(one: JointCommand, other: JointCommand) -> None:
    assume(identity(one) != identity(other))
    assert command_bytes(one) != command_bytes(other)


@given(commands, texts, texts, floats, st.integers(0, 2**64 - 1))
def test_a_mode_request_is_no_command(
    command: JointCommand, mode: str, who: str, stamp: float, sequence: int
) -> None:
    assert command_bytes(command) != mode_bytes(mode, who, stamp, sequence)


@pytest.mark.parametrize(
    "changes",
    [
        {"stamp": 1.5000001},
        {"sequence": 8},
        {"source": "contro"},
        {"kind": CommandKind.VELOCITY_FRACTION},
        {"names": ("a_joint", "c_joint")},
        {"names": ("a_jointb", "_joint")},
        {"values": np.array([0.25, -1.0 + 1e-15])},
        {"mac": b""},
        {"mac": b"0" * 32},
    ],
)
def test_the_least_change_is_seen(changes: dict[str, Any]) -> None:
    envelope = Envelope(KEY)
    assert envelope.check(replace(envelope.seal(COMMAND), **changes)) != ""


def test_a_command_of_one_machine_moves_no_other_that_shares_the_key() -> None:
    digger, twin = Envelope(KEY, "/digger"), Envelope(KEY, "/twin")
    command = digger.seal(COMMAND)
    assert digger.check(command) == "" and "wrong" in twin.check(command)
    mac = digger.seal_mode("armed", "Ada", 10.0, 3)
    assert "wrong" in twin.check_mode("armed", "Ada", 10.0, 3, mac)


def test_a_shortened_code_proves_nothing() -> None:
    envelope = Envelope(KEY)
    sealed = envelope.seal(COMMAND)
    for length in range(32):
        assert envelope.check(replace(sealed, mac=sealed.mac[:length])) != ""


def test_numbers_beyond_the_message_are_refused_not_raised() -> None:
    envelope = Envelope(KEY)
    assert "do not fit" in envelope.check(replace(COMMAND, sequence=-1, mac=b"x" * 32))
    assert "do not fit" in envelope.check(replace(COMMAND, sequence=2**64, mac=b"x" * 32))


def test_a_mode_request_is_proved_or_not() -> None:
    envelope = Envelope(KEY)
    mac = envelope.seal_mode("armed", "Ada", 10.0, 3)
    assert envelope.check_mode("armed", "Ada", 10.0, 3, mac) == ""
    assert "no code" in envelope.check_mode("armed", "Ada", 10.0, 3, b"")
    for other in (("auto", "Ada", 10.0, 3), ("armed", "Bob", 10.0, 3), ("armed", "Ada", 11.0, 3)):
        assert "wrong" in envelope.check_mode(*other, mac)
    assert "wrong" in envelope.check_mode("armed", "Ada", 10.0, 4, mac)
    # Letters may not move from one text into the other.
    assert "wrong" in envelope.check_mode("arme", "dAda", 10.0, 3, mac)


def test_a_short_key_seals_nothing() -> None:
    with pytest.raises(KeyFileError, match="31 bytes"):
        Envelope(KEY[:31])


def test_a_key_of_another_user_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    about = list(path.stat())
    about[stat.ST_UID] = os.geteuid() + 4711
    with pytest.raises(KeyFileError, match="belongs to user"):
        _check_key_file(path, os.stat_result(about), "")


def test_a_key_file_is_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY.hex() + "\n")
    for open_to_others in (0o604, 0o640, 0o620, 0o777):
        path.chmod(open_to_others)
        with pytest.raises(KeyFileError, match="chmod 600"):
            load_key(path)
    path.chmod(0o600)
    assert load_key(path) == KEY


@pytest.mark.parametrize("text", ["", "00" * 31, "not hexadecimal", "é" * 64, "00" * 3000])
def test_a_file_without_a_key_says_how_to_make_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="openssl rand"):
        load_key(path)


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="openssl"):
        load_key(tmp_path / "missing")
    with pytest.raises(KeyFileError, match="no plain file"):
        load_key(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileError, match="no plain file"):
        load_key(tmp_path / "pipe")
