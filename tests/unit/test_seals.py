"""Sealed messages: taken once, just now, where they were sent to, and not otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kuwa_hardware.envelope import Envelope, SealedMessage, message_bytes, mode_bytes
from kuwa_hardware.freshness import Freshness
from kuwa_hardware.mode_requests import ModeRequests
from kuwa_hardware.seals import LARGEST, WINDOW, Seals

KEY = bytes(range(32))
NOW = 1.7e9
WORD = SealedMessage("/zx200/deadman/sealed", "/zx200/teleop", NOW, 7, b"\x01")

texts = st.text(max_size=4)
messages = st.builds(
    SealedMessage,
    topic=texts,
    source=texts,
    stamp=st.floats(allow_nan=False),
    sequence=st.integers(0, 2**64 - 1),
    data=st.binary(max_size=8),
)


def sealed(**changes: object) -> SealedMessage:
    return Envelope(KEY).seal_message(replace(WORD, **changes))  # type: ignore[arg-type]


@given(messages, messages)
def test_no_two_messages_share_their_bytes(one: SealedMessage, other: SealedMessage) -> None:
    assume(one != other and not one.stamp == other.stamp == 0.0)
    assert message_bytes(one) != message_bytes(other)


def test_a_code_for_one_kind_is_none_for_another() -> None:
    assert not message_bytes(WORD).startswith(mode_bytes("ready", "Ada", NOW, 7)[:12])


@pytest.mark.parametrize(
    "changes",
    [{"topic": "/truck/deadman/sealed"}, {"source": "/stranger"}, {"stamp": NOW + 0.1},
     {"sequence": 8}, {"data": b"\x00"}, {"mac": bytes(32)}, {"sequence": 2**64}],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_what_was_changed_is_refused(changes: dict[str, object]) -> None:
    seals = Seals(Envelope(KEY))
    assert seals.refusal(replace(sealed(), **changes), NOW)  # type: ignore[arg-type]
    assert seals.refusal(sealed(), NOW) == "", "what was refused must leave nothing behind"


def test_only_what_has_the_code_of_the_key_is_taken() -> None:
    seals = Seals(Envelope(KEY))
    assert "no code" in seals.refusal(WORD, NOW)
    assert "wrong" in seals.refusal(Envelope(KEY[::-1]).seal_message(WORD), NOW)
    assert seals.refusal(sealed(), NOW) == ""


def test_a_message_is_taken_once_and_in_order_of_its_source() -> None:
    seals = Seals(Envelope(KEY))
    assert seals.refusal(sealed(), NOW) == ""
    assert "no newer" in seals.refusal(sealed(), NOW)
    assert "no newer" in seals.refusal(sealed(stamp=NOW - 0.1, sequence=99), NOW)
    assert "no newer" in seals.refusal(sealed(sequence=6), NOW)
    assert seals.refusal(sealed(source="/zx200/kuwa_person", sequence=1), NOW) == ""
    assert seals.refusal(sealed(sequence=8), NOW) == ""


@pytest.mark.parametrize("age", [WINDOW + 0.01, -WINDOW - 0.01, 3600.0, float("nan")])
def test_a_message_of_another_time_is_refused(age: float) -> None:
    seals = Seals(Envelope(KEY))
    assert "clocks" in seals.refusal(sealed(stamp=NOW - age), NOW)
    assert seals.refusal(sealed(stamp=NOW - 0.9 * WINDOW), NOW) == ""


def test_a_clock_that_is_set_back_makes_no_recording_new() -> None:
    fresh = Freshness(WINDOW)
    assert fresh.refusal("teleop", NOW, 1, NOW) == ""
    assert fresh.refusal("teleop", NOW - 60.0, 2, NOW - 60.0)


def test_no_code_is_worked_out_over_a_flood_of_bytes() -> None:
    data = bytes(LARGEST + 1)
    assert "at most" in Seals(Envelope(KEY)).refusal(sealed(data=data), NOW)
    assert Seals(Envelope(KEY)).refusal(sealed(data=data[1:]), NOW) == ""


def test_a_mode_is_asked_for_once_and_just_now() -> None:
    asked = ModeRequests(Envelope(KEY))

    def refusal(stamp: float, now: float) -> str:
        mac = Envelope(KEY).seal_mode("ready", "Ada", stamp, 1)
        return asked.refusal("ready", "Ada", stamp, 1, mac, now)

    assert refusal(NOW, NOW) == ""
    assert "mode 'ready' for 'Ada' refused: it is no newer" in refusal(NOW, NOW)
    assert "made 3.0 s ago, at most 2 s" in refusal(NOW + 1.0, NOW + 4.0)
