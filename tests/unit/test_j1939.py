"""Identifiers, names and address claim of J1939 and ISO 11783."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuwa_hardware.j1939.claim import WAIT, AddressClaim, ClaimState
from kuwa_hardware.j1939.identifier import (
    ADDRESS_CLAIMED,
    GLOBAL,
    NULL,
    REQUEST,
    Frame,
    Identifier,
    J1939Error,
    request,
)
from kuwa_hardware.j1939.name import Name

LOW, HIGH = Name(identity_number=1), Name(identity_number=2)


def test_identifiers_of_known_messages() -> None:
    # EEC1 of an engine at address 0, priority 3: in every introduction to J1939.
    assert Identifier.parse(0x0CF00400) == Identifier(61444, 0, GLOBAL, 3)
    # A request from 0x17 to 0x2A, and an address claim of 0x26 to everybody.
    assert Identifier.parse(0x18EA2A17) == Identifier(REQUEST, 0x17, 0x2A, 6)
    assert Identifier.parse(0x18EEFF26) == Identifier(ADDRESS_CLAIMED, 0x26, GLOBAL, 6)


@given(st.integers(0, (1 << 29) - 1))
def test_every_identifier_comes_back(can_id: int) -> None:
    assert Identifier.parse(can_id).can_id == can_id


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"pgn": 1 << 18, "source": 0}, "pgn"),
        ({"pgn": 61444, "source": 256}, "source"),
        ({"pgn": 61444, "source": 0, "destination": 4}, "everybody"),
        ({"pgn": 59905, "source": 0}, "PDU1"),
        ({"pgn": 61444, "source": 0, "priority": 8}, "priority"),
    ],
)
def test_what_does_not_fit_is_refused(parts: dict[str, int], words: str) -> None:
    with pytest.raises(J1939Error, match=words):
        Identifier(**parts)


@given(st.integers(0, (1 << 64) - 1))
def test_every_name_comes_back(value: int) -> None:
    value &= ~(1 << 48)  # The reserved bit.
    assert Name.parse(value.to_bytes(8, "little")).value == value


def test_arbitrary_address_capability_is_the_top_bit() -> None:
    on, off = Name(5, arbitrary_address_capable=True), Name(5, arbitrary_address_capable=False)
    assert on.value - off.value == 1 << 63
    assert Name(5, industry_group=2).data[7] >> 4 & 7 == 2


def claimed(name: Name, address: int = 40) -> AddressClaim:
    claim = AddressClaim(name, address)
    claim.start(0.0)
    claim.poll(WAIT)
    assert claim.claimed
    return claim


def theirs(name: Name, address: int) -> Frame:
    return Frame(Identifier(ADDRESS_CLAIMED, address), name.data)


def test_an_address_is_ours_after_a_quarter_of_a_second_without_objection() -> None:
    claim = AddressClaim(LOW, 40)
    frames = claim.start(0.0)
    assert frames[0] == request(ADDRESS_CLAIMED, NULL)
    assert frames[1] == theirs(LOW, 40)
    claim.poll(WAIT - 0.01)
    assert not claim.claimed
    claim.poll(WAIT)
    assert claim.claimed


def test_the_lower_name_keeps_its_address_and_says_so() -> None:
    claim = claimed(LOW)
    assert claim.receive(1.0, theirs(HIGH, 40)) == [theirs(LOW, 40)]
    assert claim.claimed and claim.address == 40


def test_the_higher_name_takes_another_address() -> None:
    claim = claimed(HIGH)
    claim.receive(0.5, theirs(Name(9), 128))
    assert claim.receive(1.0, theirs(LOW, 40)) == [theirs(HIGH, 129)]
    assert claim.state is ClaimState.WAITING and claim.losses == 1
    claim.poll(1.0 + WAIT)
    assert claim.claimed and claim.address == 129


def test_who_cannot_take_another_says_so_after_a_while_and_keeps_silent() -> None:
    fixed = Name(3, arbitrary_address_capable=False)
    claim = claimed(fixed)
    winner = Name(2, arbitrary_address_capable=False)
    assert claim.receive(1.0, theirs(winner, 40)) == []
    assert claim.state is ClaimState.CANNOT
    assert claim.poll(1.0 + 0.001) == []
    assert claim.poll(1.0 + 0.002) == [theirs(fixed, NULL)]
    assert claim.poll(2.0) == []
    assert claim.receive(3.0, request(ADDRESS_CLAIMED, 7)) == [theirs(fixed, NULL)]


@pytest.mark.parametrize("destination", [GLOBAL, 40])
def test_who_is_asked_claims_again(destination: int) -> None:
    assert claimed(LOW).receive(1.0, request(ADDRESS_CLAIMED, 7, destination)) == [theirs(LOW, 40)]


@pytest.mark.parametrize("frame", [request(ADDRESS_CLAIMED, 7, 41), request(65240, 7, 40)])
def test_what_is_asked_of_others_or_of_another_kind_is_not_answered(frame: Frame) -> None:
    assert claimed(LOW).receive(1.0, frame) == []


def test_both_sides_of_a_contention_agree() -> None:
    a, b = AddressClaim(LOW, 40), AddressClaim(HIGH, 40)
    wires = [(a, b, f) for f in a.start(0.0)] + [(b, a, f) for f in b.start(0.0)]
    for _ in range(10):
        wires = [(to, by, answer) for by, to, f in wires for answer in to.receive(0.01, f)]
    assert not wires
    a.poll(1.0), b.poll(1.0)
    assert (a.address, b.address) == (40, 128)
    assert a.address_of(HIGH.value) == 128 and b.address_of(LOW.value) == 40


def test_a_short_claim_is_ignored() -> None:
    claim = claimed(HIGH)
    assert claim.receive(1.0, Frame(Identifier(ADDRESS_CLAIMED, 40), b"\0\0")) == []
    assert claim.claimed
