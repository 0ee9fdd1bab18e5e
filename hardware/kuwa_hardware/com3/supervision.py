"""What is wrong with the bus and the machine on it, by rows of the failure table, with the reason.

Ages count from receipt on a steady clock. What happens at one instant, as a corrupt frame does,
stays in the report for :data:`LINGER`, so that nobody who looks ten times a second misses it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import can

from kuwa_hardware.canbus import RECOVERED
from kuwa_hardware.failures import failure

LINGER: Final = 0.5
"""An event is reported for this long after it happened last [s]."""
MISSED: Final = 3
"""A slow message may be late by so many of its cycles, however short the table's time-out is."""

# Classes and details of Linux's error frames (linux/can/error.h).
_CLASS_CONTROLLER, _CLASS_BUS_OFF, _CLASS_RESTARTED = 0x004, 0x040, 0x100
_PASSIVE, _ACTIVE = 0x10 | 0x20, 0x40


class BusWatch:
    """Collects what is heard; reports what is at fault.

    Args:
        watched: messages that must come, with their cycles [s].
    """

    def __init__(self, watched: Mapping[str, float]) -> None:
        silent = failure("machine_silent").timeout
        self._limits = {name: max(silent, MISSED * cycle) for name, cycle in watched.items()}
        self._nothing = failure("driver_disconnected").timeout
        self._still = failure("alive_counter_lost").timeout
        self._heard: dict[str, float] = {}
        self._any = 0.0
        self._lost = ""
        self._counter = math.nan
        self._counted = 0.0
        self._off = self._passive = False
        self._good = 0
        self._state = can.BusState.ACTIVE
        self._events: dict[str, tuple[float, str]] = {}
        self._conditions: dict[str, str] = {}

    def opened(self, now: float) -> None:
        """The bus was opened; every message has its time from now on."""
        self._lost = ""
        self._any = self._counted = now
        self._heard = dict.fromkeys(self._limits, now)
        self._off = self._passive = False

    def lost(self, why: str) -> None:
        """The bus raised an error, and is closed."""
        self._lost = why

    def heard(self, now: float, name: str) -> None:
        """A good message of the machine came."""
        self._any = now
        self._off = False
        self._good += 1
        if self._good >= RECOVERED:
            self._passive = False
        if name in self._heard:
            self._heard[name] = now

    def alive(self, now: float, counter: float) -> None:
        """The machine's alive counter came."""
        if counter != self._counter:
            self._counter, self._counted = counter, now

    def event(self, now: float, code: str, why: str) -> None:
        """Something happened that a row of the table is about."""
        self._events[code] = (now, why)

    def condition(self, code: str, why: str) -> None:
        """Set what the machine itself says is the matter; an empty ``why``: it is not."""
        if why:
            self._conditions[code] = why
        else:
            self._conditions.pop(code, None)

    def error_frame(self, frame: can.Message) -> None:
        """The bus's own controller says how it is, in a frame as Linux makes them."""
        kind = frame.arbitration_id
        detail = frame.data[1] if len(frame.data) > 1 else 0
        if kind & _CLASS_BUS_OFF:
            self._off = True
        if kind & _CLASS_RESTARTED:
            self._off = self._passive = False
        if kind & _CLASS_CONTROLLER:
            self._passive = bool(detail & _PASSIVE) and not detail & _ACTIVE
            self._good = 0

    def controller(self, state: can.BusState) -> None:
        """The adapter's driver says how its controller is, where it says so at all."""
        if state is can.BusState.ERROR:
            self._off = True
        elif state is can.BusState.PASSIVE:
            self._passive = True
            self._good = 0
        elif self._state is not state:
            # Not merely "active" as always: an adapter that cannot tell says that as well.
            self._off = self._passive = False
        self._state = state

    def report(self, now: float) -> dict[str, str]:
        """Return what is at fault and why, by the ids of the failure table."""
        out: dict[str, str] = {}
        if self._off:
            out["bus_off"] = "the bus controller went off after errors"
        if self._passive:
            out["bus_passive"] = "the bus controller is error-passive"
        if self._lost:
            out["driver_disconnected"] = self._lost
        elif now - self._any > self._nothing:
            out["driver_disconnected"] = f"nothing received for {now - self._any:.2f} s"
        else:
            silent = {n: now - at for n, at in self._heard.items() if now - at > self._limits[n]}
            if silent:
                name = max(silent, key=silent.__getitem__)
                out["machine_silent"] = f"no {name} for {silent[name]:.2f} s"
            elif now - self._counted > self._still:
                out["alive_counter_lost"] = (
                    f"the alive counter stands at {self._counter:g} for {now - self._counted:.2f} s"
                )
        for code, (at, why) in self._events.items():
            if now - at <= LINGER:
                out[code] = why
        return out | self._conditions
