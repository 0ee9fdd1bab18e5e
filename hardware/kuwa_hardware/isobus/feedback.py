"""Angles and speeds of a tractor's joints from the messages that its mapping names."""

from __future__ import annotations

import math

import numpy as np

from kuwa_hardware.isobus.codec import Message, message
from kuwa_hardware.isobus.geometry import Steering, Travel
from kuwa_hardware.isobus.mapping import Guidance, Hitch, Mapping
from kuwa_machines.spec import MachineSpec

VALID = 1.0


class _Status:
    """A joint whose angle stands in the status message of its function; its speed is the change."""

    def __init__(self, place: int, signal: str, angle: Steering | Travel) -> None:
        self.place, self.signal, self.angle = place, signal, angle
        self.last = math.nan, math.nan


class Feedback:
    """Collects the joints' messages; the state is whole when all of one instant are there.

    Args:
        spec: the machine. mapping: of its joints.
    """

    def __init__(self, spec: MachineSpec, mapping: Mapping) -> None:
        n = len(spec.joint_names)
        self._emulated: dict[int, int] = {}
        self._status: dict[int, _Status] = {}
        self.expected: list[Message] = []
        for place, name in enumerate(spec.joint_names):
            function = mapping.functions[name]
            if function.feedback == "emulated":
                found = message(f"EmulatedJoint{place}")
                self._emulated[found.pgn] = place
            elif isinstance(function, Guidance):
                found = message("GuidanceMachineInfo")
                self._status[found.pgn] = _Status(
                    place, "EstimatedCurvature", Steering.of(spec, name)
                )
            else:
                assert isinstance(function, Hitch)
                found = message(f"{function.side.capitalize()}HitchStatus")
                travel = Travel(float(spec.q_min[place]), float(spec.q_max[place]))
                self._status[found.pgn] = _Status(place, "HitchPosition", travel)
            self.expected.append(found)
            own = None
            if isinstance(function, Guidance):
                own = message("GuidanceMachineInfo")
            elif isinstance(function, Hitch):
                own = message(f"{function.side.capitalize()}HitchStatus")
            if own is not None and own not in self.expected:
                self.expected.append(own)
        self.q = np.full(n, np.nan)
        self.qd = np.full(n, np.nan)
        self.stamp = 0.0
        """When the newest whole state was taken [s]; 0 before the first."""
        self.reset()

    def reset(self) -> None:
        """Forget what came; the last whole state is kept."""
        self._next_q, self._next_qd = np.full_like(self.q, np.nan), np.full_like(self.qd, np.nan)
        self._counts: dict[int, int] = {}
        self._fresh = False
        self.complete = False
        """Whether a whole state has come since."""
        for status in self._status.values():
            status.last = math.nan, math.nan

    def take(self, now: float, known: Message, values: dict[str, float]) -> bool:
        """Take one message; False if its sender says that its value is not valid."""
        place = self._emulated.get(known.pgn)
        if place is not None:
            if not (
                values["JointValid"] == VALID
                and math.isfinite(values["JointPosition"])
                and math.isfinite(values["JointVelocity"])
            ):
                return False
            self._next_q[place] = values["JointPosition"]
            self._next_qd[place] = values["JointVelocity"]
            self._counts[place] = int(values["JointAlive"])
            same = len(set(self._counts.values())) == 1
            if same and len(self._counts) == len(self._emulated):
                self._whole()
            return True
        status = self._status.get(known.pgn)
        if status is None:
            return True
        value = values[status.signal]
        if not math.isfinite(value):
            return False
        angle = status.angle.angle(value)
        then, before = status.last
        self._next_q[status.place] = angle
        self._next_qd[status.place] = (angle - before) / (now - then) if now > then else 0.0
        status.last = now, angle
        if not self._emulated:
            self._whole()
        return True

    def settle(self, now: float) -> None:
        """All that waited was taken: a whole state that came is of system time ``now`` [s]."""
        if self._fresh:
            self._fresh = False
            self.stamp = max(now, np.nextafter(self.stamp, np.inf))

    def _whole(self) -> None:
        if np.isfinite(self._next_q).all() and np.isfinite(self._next_qd).all():
            self.q[:], self.qd[:] = self._next_q, self._next_qd
            self._fresh = self.complete = True
