"""What a machine's COM3 messages say, newest first, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import can
import numpy as np

from kuwa_hardware.com3.codec import FrameError, by_id, command_groups, messages, pgn
from kuwa_hardware.com3.link import Link
from kuwa_hardware.com3.mapping import Com3Map
from kuwa_hardware.com3.supervision import BusWatch
from kuwa_machines.spec import MachineSpec

ANGLE: Final = "Front_Angle"
VELOCITY: Final = "Front_Angular_Velocity"
PINS: Final = ("boom", "arm", "bucket")
ERROR_BITS: Final = (
    "system_error", "can_error_pl", "can_error_body", "can_error_ict", "lock_receiver_error",
    "emergency_stop_receiver_error", "switch_error",
)  # fmt: skip

STAMP_TRUST: Final = 1.0
"""A frame's own time counts if it is no further from the system's [s]."""
DRAIN: Final = 2000
"""Frames taken at once at most; a flood must not hold the driver up."""
STALE_CYCLES: Final = 5
"""What a message said is unknown again after so many of its cycles."""


class Listener:
    """Takes frames from a link and keeps the newest values.

    Args:
        spec, data: the machine that should be on the bus, and how it speaks.
        link, watch: the bus and who is told what is wrong.
        steady, system: clocks [s].
    """

    def __init__(
        self,
        spec: MachineSpec,
        data: Com3Map,
        link: Link,
        watch: BusWatch,
        steady: Callable[[], float],
        system: Callable[[], float],
    ) -> None:
        self._name, self._data, self._link, self._watch = spec.name, data, link, watch
        self._steady, self._system = steady, system
        joints = list(spec.joints.values())
        self._lengths = [float(np.linalg.norm(joint.origin)) for joint in joints[2:4]]
        self._values: dict[str, dict[str, float]] = {}
        self._at: dict[str, float] = {}
        self.identified = False
        """Whether the machine has said which it is."""
        self.wrong = ""
        """Why it is another machine than the one meant; empty: it is the one."""
        self.fresh = False
        """Whether joint angles came since somebody set this to False."""
        self.stamp = 0.0
        """When the newest joint angles were received, on the system's clock [s]."""

    def listen(self, now: float, wait: float = 0.0) -> None:
        """Take what has come; with ``wait``, wait up to as long for joint angles [s]."""
        until = self._steady() + wait
        for _ in range(DRAIN):
            left = 0.0 if self.fresh else max(until - self._steady(), 0.0)
            frame = self._link.receive(now, left if wait else 0.0)
            if frame is None:
                return
            self._take(now, frame)

    def young(self, name: str) -> dict[str, float] | None:
        """Return what a message said, unless that was long ago."""
        age = self._steady() - self._at.get(name, -math.inf)
        return self._values[name] if age <= STALE_CYCLES * messages()[name].cycle else None

    def last(self, name: str) -> dict[str, float]:
        """Return what a message said last, however long ago."""
        return self._values[name]

    def _take(self, now: float, frame: can.Message) -> None:
        if frame.is_error_frame:
            self._watch.error_frame(frame)
            return
        if not frame.is_extended_id or frame.is_remote_frame:
            return
        if pgn(frame.arbitration_id) in command_groups():
            why = f"{frame.arbitration_id:08X} commands the machine, and we did not send it"
            self._watch.event(now, "foreign_commander", why)
            return
        message = by_id().get(frame.arbitration_id)
        if message is None:
            return
        try:
            values = message.decode(frame.data)
        except FrameError as error:
            self._watch.event(now, "frame_corrupt", str(error))
            return
        unknown = [name for name, value in values.items() if math.isnan(value)]
        if unknown and message.name in self._data.watched:
            # A message that the driver needs counts as heard only while it says something.
            self._watch.event(now, "frame_corrupt", f"{message.name}: no value for {unknown[0]}")
            return
        self._watch.heard(now, message.name)
        self._values[message.name], self._at[message.name] = values, now
        if message.name == ANGLE:
            self.fresh = VELOCITY in self._values
            self.stamp = self._stamped(frame.timestamp)
        elif message.name == "Machine_State":
            self._machine_state(now, values)
        elif message.name == "Front_Pin_Position_3":
            self._identify()

    def _machine_state(self, now: float, values: dict[str, float]) -> None:
        self._watch.alive(now, values["alive_counter"])
        why = ""
        if int(values["control_state"]) not in self._data.external:
            valid = ", ".join(map(str, self._data.external))
            why = f"control_state is {values['control_state']:g}; external is {valid}"
        elif not values["pilot_shutoff_valve_state"]:
            why = "the pilot oil is shut off"
        self._watch.condition("machine_not_external", why)
        errors = [name for name in ERROR_BITS if values[name]]
        said = f"the machine reports {', '.join(errors)}" if errors else ""
        self._watch.condition("machine_error", said)

    def _identify(self) -> None:
        """Compare the distances of the pins, which are the links' lengths in any frame."""
        pins = []
        for i, name in enumerate(PINS):
            said = self.young(f"Front_Pin_Position_{i + 1}")
            if said is None:
                return
            pins.append(np.array([said[f"{name}_pin_position_{axis}"] for axis in "xyz"]))
        found = [float(np.linalg.norm(b - a)) for a, b in pairwise(pins)]
        if not all(map(math.isfinite, found)):
            return
        off = max(abs(f / own - 1.0) for f, own in zip(found, self._lengths, strict=True))
        self.identified, self.wrong = True, ""
        if off > self._data.pin_tolerance:
            boom, arm = self._lengths
            self.wrong = (
                f"the machine on the bus has boom and arm of {found[0]:.2f} and {found[1]:.2f} m; "
                f"{self._name} has {boom:.2f} and {arm:.2f} m"
            )
        self._watch.condition("machine_wrong", self.wrong)

    def _stamped(self, at: float) -> float:
        now = self._system()
        stamp = at if abs(at - now) <= STAMP_TRUST else now
        return max(stamp, self.stamp + 1e-6)
