"""Identifiers, names and address claim of J1939 and ISO 11783."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import can
import pytest
from can.interfaces.virtual import VirtualBus
from hypothesis import given
from hypothesis import strategies as st

from kuwa_hardware.canbus import RECOVERED, BusError
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
from kuwa_hardware.j1939.link import RETRY, Link
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


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Identifier.parse(1 << 29), "29 bits"),
        (lambda: Name(1 << 21), "identity_number"),
        (lambda: Name.parse(bytes(7)), "8 bytes, not 7"),
        (lambda: AddressClaim(LOW, NULL), "cannot be claimed"),
    ],
)
def test_numbers_that_would_become_others_are_refused(
    make: Callable[[], object], words: str
) -> None:
    with pytest.raises(J1939Error, match=words):
        make()


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


def test_who_has_not_begun_says_nothing() -> None:
    """It would answer for an address that it never claimed."""
    idle = AddressClaim(LOW, 40)
    assert idle.receive(1.0, request(ADDRESS_CLAIMED, 7)) == []
    assert idle.receive(1.0, theirs(HIGH, 40)) == [] and idle.state is ClaimState.IDLE


@pytest.mark.parametrize("address", [40, 41])
def test_its_own_claim_given_back_by_the_bus_is_nobody_elses(address: int) -> None:
    claim = claimed(LOW)
    assert claim.receive(1.0, theirs(LOW, address)) == []
    assert claim.claimed and claim.address == 40 and not claim.others


def test_a_node_that_has_no_address_any_more_is_nowhere() -> None:
    claim = claimed(LOW)
    claim.receive(1.0, theirs(HIGH, 50))
    assert claim.address_of(HIGH.value) == 50
    claim.receive(2.0, theirs(HIGH, NULL))
    assert claim.address_of(HIGH.value) is None


# --- the bus itself ---

CONTROLLER, OFF, RESTARTED = 0x004, 0x040, 0x100


class Adapter(VirtualBus):
    """A bus whose adapter says how its controller is."""

    state = can.BusState.ACTIVE


class Wire:
    """A link on a bus that can be unplugged, and the far end of it."""

    def __init__(self) -> None:
        self.there, self.tries = True, 0
        self.far = VirtualBus(self)
        self.link = Link(self.open)

    def open(self) -> can.BusABC:
        self.tries += 1
        if not self.there:
            raise BusError("unplugged; plug it in")
        self.bus = Adapter(self)
        return self.bus

    def unplug(self) -> None:
        self.there = False
        self.bus.shutdown()

    def error(self, kind: int, *data: int) -> tuple[str, ...]:
        """The controller reports an error; return what is then said of the bus."""
        self.far.send(can.Message(arbitration_id=kind, is_error_frame=True, data=data))
        assert self.link.drain(1.0) == [], "it is no frame of anybody"
        return self.link.faults

    def good(self, count: int = 1) -> tuple[str, ...]:
        """Frames arrive as they should; return what is then said of the bus."""
        for _ in range(count):
            self.far.send(can.Message(arbitration_id=0x0CF00400, data=bytes(8)))
        assert self.link.drain(1.0) == [Frame(Identifier(61444, 0, priority=3), bytes(8))] * count
        return self.link.faults


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    made.link.open(0.0)
    yield made
    made.link.close()
    made.far.shutdown()


def test_a_bus_that_cannot_be_opened_is_refused_and_not_tried_for_ever() -> None:
    wire = Wire()
    wire.there = False
    with pytest.raises(BusError, match="plug it in"):
        wire.link.open(0.0)
    wire.there = True
    assert wire.link.drain(10.0) == [] and wire.tries == 1
    wire.far.shutdown()


def test_a_link_has_one_bus_and_gives_it_back(wire: Wire) -> None:
    wire.link.open(1.0)
    assert wire.tries == 1 and wire.link.faults == ()
    for _ in range(2):
        wire.link.close()
    with pytest.raises(can.CanError):
        wire.bus.recv(0)
    assert wire.link.drain(10.0) == [] and not wire.link.send(theirs(LOW, 40))
    assert wire.tries == 1 and wire.link.faults == ("driver_disconnected",)


@pytest.mark.parametrize("way", ["send", "receive"])
def test_a_lost_bus_is_told_and_opened_again_in_its_time(wire: Wire, way: str) -> None:
    wire.unplug()
    if way == "send":
        assert not wire.link.send(theirs(LOW, 40))
    for k in range(10):
        assert wire.link.drain(0.25 * k * RETRY) == []
        assert wire.link.faults == ("driver_disconnected",)
    assert wire.tries == 3, "once at first, twice since"
    wire.there = True
    wire.link.drain(1.0)
    assert wire.good() == () and wire.link.opened == 2 and wire.link.send(theirs(LOW, 40))


def test_a_bus_that_is_off_is_so_until_it_is_restarted_heard_or_opened_again(wire: Wire) -> None:
    for end in (lambda: wire.error(RESTARTED), wire.good):
        assert wire.error(OFF) == ("bus_off",)
        assert end() == ()
    assert wire.error(OFF) == ("bus_off",)
    wire.bus.shutdown()
    for now in (1.0, 2.0):
        wire.link.drain(now)
    assert wire.link.faults == ()


def test_a_passive_bus_is_so_until_it_says_otherwise_or_enough_was_heard(wire: Wire) -> None:
    assert wire.error(CONTROLLER, 0, 0x04) == (), "a warning level"
    assert wire.error(CONTROLLER, 0) == (), "it says no more"
    for end in (lambda: wire.error(CONTROLLER, 0, 0x40), lambda: wire.error(RESTARTED)):
        assert wire.error(CONTROLLER, 0, 0x10) == ("bus_passive",)
        assert end() == ()
    for _ in range(2):
        # Another error begins the count anew.
        assert wire.error(CONTROLLER, 0, 0x20) == ("bus_passive",)
        assert wire.good(RECOVERED - 1) == ("bus_passive",)
    assert wire.good() == ()


def test_an_adapter_that_knows_says_how_its_controller_is(wire: Wire) -> None:
    for state, told in ((can.BusState.ERROR, "bus_off"), (can.BusState.PASSIVE, "bus_passive")):
        wire.bus.state = state
        assert wire.good() == (told,)
    wire.bus.state = can.BusState.ACTIVE
    assert wire.good() == ()


@pytest.mark.parametrize(
    "other", [{"is_extended_id": False}, {"is_remote_frame": True}, {"is_fd": True}]
)
def test_frames_that_are_not_of_j1939_are_passed_over(wire: Wire, other: dict[str, bool]) -> None:
    """A node of another protocol on the same wire would be read as one of ours."""
    wire.far.send(can.Message(arbitration_id=0x123, **other))
    assert wire.link.drain(1.0) == []
    assert wire.good() == ()
