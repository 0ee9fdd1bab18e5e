"""A CAN bus that may be lost at any moment: nothing raises once it was open, it is opened again."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import can

from kuwa_hardware.canbus import BUS_ERRORS, BusError
from kuwa_hardware.com3.supervision import BusWatch

OPEN_AGAIN: Final = 0.5
"""A lost bus is opened again this long after it was lost [s]."""


class Link:
    """One end of a bus.

    Args:
        open_bus: opens the bus, on which this end does not hear itself.
        watch: told of every trouble.
    """

    def __init__(self, open_bus: Callable[[], can.BusABC], watch: BusWatch) -> None:
        self._open_bus, self._watch = open_bus, watch
        self._bus: can.BusABC | None = None
        self._retry_at = math.inf

    @property
    def is_open(self) -> bool:
        """Whether there is a bus."""
        return self._bus is not None

    def open(self, now: float) -> None:
        """Open the bus at steady time ``now`` [s].

        Raises:
            BusError: with the remedy.
        """
        self._bus = self._open_bus()
        self._watch.opened(now)

    def maintain(self, now: float) -> None:
        """Open a lost bus again when it is time, and ask the adapter how it is."""
        if self._bus is None:
            if now >= self._retry_at:
                try:
                    self.open(now)
                except BusError as error:
                    self._watch.lost(str(error))
                    self._retry_at = now + OPEN_AGAIN
            return
        # Few adapters know; the others answer "active", or not at all.
        with suppress(NotImplementedError, AttributeError, *BUS_ERRORS):
            self._watch.controller(self._bus.state)

    def send(self, now: float, identifier: int, data: bytes) -> None:
        """Send one frame, if there is a bus."""
        if self._bus is None:
            return
        try:
            self._bus.send(can.Message(arbitration_id=identifier, data=data, is_extended_id=True))
        except BUS_ERRORS as error:
            self._lose(now, f"cannot send: {error}")

    def receive(self, now: float, wait: float = 0.0) -> can.Message | None:
        """Return the next frame, waiting up to ``wait`` [s]; None: there is none, or no bus."""
        if self._bus is None:
            return None
        try:
            return self._bus.recv(wait)
        except BUS_ERRORS as error:
            self._lose(now, f"cannot receive: {error}")
            return None

    def close(self) -> None:
        """Leave the bus for good; safe to call twice."""
        self._drop()
        self._retry_at = math.inf

    def _lose(self, now: float, why: str) -> None:
        self._watch.lost(why)
        self._drop()
        self._retry_at = now + OPEN_AGAIN

    def _drop(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            with suppress(*BUS_ERRORS):
                bus.shutdown()
