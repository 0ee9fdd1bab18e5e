"""Address claim of ISO 11783-5 and SAE J1939-81, as a protocol without a bus or a clock.

A node claims an address with its NAME and may use it when nobody objected for 250 ms. Of two that
want the same address the lower NAME wins; the other takes a free one if it can, or says from the
null address that it has none.
"""

from __future__ import annotations

from enum import StrEnum

from kuwa_hardware.j1939.identifier import (
    ADDRESS_CLAIMED,
    GLOBAL,
    NULL,
    REQUEST,
    Frame,
    Identifier,
    J1939Error,
    request,
    requested,
)
from kuwa_hardware.j1939.name import Name

WAIT = 0.25
"""An address is ours when nobody objected for this long [s]."""
DELAY = 0.6e-3
"""Unit of the delay before a cannot-claim, so that two that cannot do not collide for ever [s]."""
ARBITRARY = range(128, 248)
"""Addresses that a node may choose for itself."""


class ClaimState(StrEnum):
    """How far a claim is."""

    IDLE = "idle"
    WAITING = "waiting"
    CLAIMED = "claimed"
    CANNOT = "cannot claim"


class AddressClaim:
    """One node's claim. Every method returns the frames to send now.

    Args:
        name: of the node.
        address: preferred, 0 to 253.
    """

    def __init__(self, name: Name, address: int) -> None:
        if not 0 <= address < NULL:
            raise J1939Error(f"address {address} cannot be claimed; expected 0 to {NULL - 1}")
        self.name = name
        self.preferred = self.address = address
        self.state = ClaimState.IDLE
        self.losses = 0
        """Addresses lost to a lower NAME so far."""
        self.others: dict[int, int] = {}
        """NAME of every other node heard, by its address."""
        self._since = 0.0
        self._say_at = float("inf")

    @property
    def claimed(self) -> bool:
        """Whether the node may send."""
        return self.state is ClaimState.CLAIMED

    def start(self, now: float) -> list[Frame]:
        """Ask who is there and claim the preferred address."""
        self.others.clear()
        self._say_at = float("inf")
        self.address = self.preferred
        ask = request(ADDRESS_CLAIMED, NULL)
        return [ask, *self._claim(now)]

    def poll(self, now: float) -> list[Frame]:
        """Let time pass."""
        if self.state is ClaimState.WAITING and now - self._since >= WAIT:
            self.state = ClaimState.CLAIMED
        if now >= self._say_at:
            self._say_at = float("inf")
            return [self._frame()]
        return []

    def receive(self, now: float, frame: Frame) -> list[Frame]:
        """Take an address claim or a request; anything else is not for us."""
        if self.state is ClaimState.IDLE:
            return []
        identifier = frame.identifier
        if identifier.pgn == REQUEST:
            asked = requested(frame.data) == ADDRESS_CLAIMED
            ours = identifier.destination in (GLOBAL, self.address)
            return [self._frame()] if asked and ours and self._say_at == float("inf") else []
        if identifier.pgn != ADDRESS_CLAIMED or len(frame.data) != 8:
            return []
        theirs, source = int.from_bytes(frame.data, "little"), identifier.source
        if theirs == self.name.value and source != self.address:
            return []  # Our own older claim, come back by a bus that echoes.
        for address in [a for a, other in self.others.items() if other == theirs]:
            del self.others[address]
        if source == NULL:
            return []
        if source != self.address or self.state is ClaimState.CANNOT:
            self.others[source] = theirs
            return []
        if theirs == self.name.value:
            return []
        if self.name.value < theirs:
            return [self._frame()]
        self.others[source] = theirs
        self.losses += 1
        free = self._free()
        if free is not None:
            self.address = free
            return self._claim(now)
        self.address, self.state = NULL, ClaimState.CANNOT
        self._say_at = now + DELAY * (self.name.identity_number % 256)
        return []

    def address_of(self, name: int) -> int | None:
        """Return where the node of this NAME is now; None if it was not heard."""
        return next((a for a, other in self.others.items() if other == name), None)

    def _claim(self, now: float) -> list[Frame]:
        self.state, self._since = ClaimState.WAITING, now
        return [self._frame()]

    def _frame(self) -> Frame:
        return Frame(Identifier(ADDRESS_CLAIMED, self.address), self.name.data)

    def _free(self) -> int | None:
        if not self.name.arbitrary_address_capable:
            return None
        return next((a for a in ARBITRARY if a not in self.others), None)
