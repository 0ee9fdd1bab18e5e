"""A bus that may go away: opened again by itself, drained without waiting, frames out."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import can

from kuwa_hardware.canbus import BUS_ERRORS, RECOVERED, BusError
from kuwa_hardware.j1939.identifier import Frame, Identifier

RETRY = 0.1
"""Between two attempts to open a lost bus [s]."""
MOST = 4000
"""Frames taken in one go; a flood must not keep the caller from its own work."""

# Classes of error frames as Linux's SocketCAN reports them (linux/can/error.h).
_CONTROLLER, _BUS_OFF, _RESTARTED = 0x04, 0x40, 0x100
_PASSIVE = 0x30
_CONTROLLER_BYTE = 1


class Link:
    """A bus by the function that opens it.

    Args:
        open_bus: returns a new bus, e.g. :attr:`kuwa_hardware.canbus.BusSettings.opener`.
            It must not give back what we sent.
    """

    def __init__(self, open_bus: Callable[[], can.BusABC]) -> None:
        self._open_bus = open_bus
        self._bus: can.BusABC | None = None
        self._wanted = False
        self._tried = -math.inf
        self._off = self._passive = False
        self._good = 0
        self.opened = 0
        """How often it was opened."""

    @property
    def connected(self) -> bool:
        """Whether there is a bus at the moment."""
        return self._bus is not None

    @property
    def faults(self) -> tuple[str, ...]:
        """What the controller of the bus says: rows of the failure table."""
        if self._bus is None:
            return ("driver_disconnected",)
        try:
            state = self._bus.state
        except (NotImplementedError, can.CanError, OSError):
            state = can.BusState.ACTIVE
        if self._off or state is can.BusState.ERROR:
            return ("bus_off",)
        return ("bus_passive",) if self._passive or state is can.BusState.PASSIVE else ()

    def open(self, now: float) -> None:
        """Open the bus and keep it open from now on.

        Raises:
            BusError: it cannot be opened.
        """
        if self._bus is None and not self._try(now):
            raise BusError(self._why)
        self._wanted = True

    def close(self) -> None:
        """Give the bus back; safe to call twice."""
        self._wanted = False
        self._drop()

    def drain(self, now: float) -> list[Frame]:
        """Return what has come since, at steady time ``now`` [s]; opens a lost bus again."""
        frames: list[Frame] = []
        if self._bus is None and self._wanted and now - self._tried >= RETRY:
            self._try(now)
        bus = self._bus
        if bus is None:
            return frames
        for _ in range(MOST):
            try:
                message = bus.recv(0)
            except BUS_ERRORS:
                self._drop()
                break
            if message is None:
                break
            self._take(message, frames)
        return frames

    def send(self, frame: Frame) -> bool:
        """Send one frame; False if there is no bus."""
        if self._bus is None:
            return False
        message = can.Message(
            arbitration_id=frame.identifier.can_id, is_extended_id=True, data=frame.data
        )
        try:
            self._bus.send(message)
        except BUS_ERRORS:
            self._drop()
            return False
        return True

    def _take(self, message: can.Message, frames: list[Frame]) -> None:
        if message.is_error_frame:
            kind = message.arbitration_id
            if kind & _BUS_OFF:
                self._off = True
            if kind & _CONTROLLER and len(message.data) > _CONTROLLER_BYTE:
                self._passive = bool(message.data[_CONTROLLER_BYTE] & _PASSIVE)
                self._good = 0
            if kind & _RESTARTED:
                self._off = self._passive = False
            return
        if not message.is_extended_id or message.is_remote_frame or message.is_fd:
            return
        identifier = Identifier.parse(message.arbitration_id)
        self._off = False
        self._good += 1
        if self._good >= RECOVERED:
            self._passive = False
        frames.append(Frame(identifier, bytes(message.data)))

    def _try(self, now: float) -> bool:
        self._tried = now
        try:
            self._bus = self._open_bus()
        except (BusError, *BUS_ERRORS) as error:
            self._why = str(error)
            return False
        self.opened += 1
        self._off = self._passive = False
        return True

    def _drop(self) -> None:
        bus, self._bus = self._bus, None
        if bus is not None:
            with suppress(*BUS_ERRORS):
                bus.shutdown()
