"""Commands to OPERA's arrays, and its joint states back: names, orders and units, without ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kuwa_hardware.flow import FlowCurve
from kuwa_machines.contracts import Array
from kuwa_machines.spec import MachineSpec, Tracks
from kuwa_robot.opera_table import EFFORT, POSITION, VELOCITY, Command, OperaError, Profile

LEAD = 0.3
"""A position is asked for this far ahead of where a moving joint is, beyond its dead time [s]."""


@dataclass(frozen=True, slots=True)
class Values:
    """One JointCmd: names, and the array that its ``control_type`` selects; the others are zero."""

    names: tuple[str, ...]
    control_type: int
    values: list[float]


class Encoder:
    """From valve commands to what each topic takes.

    An effort is the command times the machine's full effort. A velocity goes through the flow curve
    of the machine's file, dead band included. A position is where the joint is plus what it would
    turn by at that velocity in the dead time and :data:`LEAD`; at neutral the last place is held.

    Args:
        spec: the machine. profile: its names.
        mode: ``effort``, ``velocity``, ``position`` or ``setpoints``.
        tracks: unit of velocities of tracks, ``rad/s`` or ``m/s``.
    """

    def __init__(
        self, spec: MachineSpec, profile: Profile, mode: str, tracks: str = "rad/s"
    ) -> None:
        self._names = tuple(spec.joint_names)
        self._profile, self._mode = profile, "position" if mode == "setpoints" else mode
        self._curve = FlowCurve(spec)
        self._lead = np.asarray(spec.dead_time) + LEAD
        self._low, self._high = spec.q_min, spec.q_max
        self._held: Array | None = None
        self._metres = np.ones(len(self._names))
        if tracks == "m/s" and isinstance(spec.undercarriage, Tracks):
            for side in (spec.undercarriage.left, spec.undercarriage.right):
                if side is not None:
                    self._metres[self._names.index(side)] = spec.undercarriage.sprocket_radius

    def encode(self, command: Command, u: Array, q: Array) -> Values:
        """Return what one topic is told.

        Args:
            u: valve commands, shape (n,). q: measured positions, shape (n,) [rad].
        """
        mode = self._mode
        if mode == "effort":
            ours = u * command.full_effort
        elif mode == "velocity":
            ours = self._curve.velocity(u, q) * self._metres
        else:
            ours = self.positions(u, q)
        names = command.ordered(mode)
        values = []
        for name in names:
            own = self._profile.ours(name)
            values.append(float(ours[self._names.index(own)]) if own in self._names else 0.0)
        kind = {"effort": EFFORT, "velocity": VELOCITY}.get(mode, POSITION)
        return Values(names, kind, values)

    def positions(self, u: Array, q: Array) -> Array:
        """Return where each joint is sent, shape (n,) [rad]."""
        if self._held is None:
            self._held = np.array(q)
        moving = u != 0.0
        ahead = np.clip(q + self._curve.velocity(u, q) * self._lead, self._low, self._high)
        self._held = np.where(moving, ahead, self._held)
        return self._held


class Decoder:
    """From arrays with their names to our joint order.

    Args:
        spec: the machine. profile: its names.
    """

    def __init__(self, spec: MachineSpec, profile: Profile) -> None:
        self._names = tuple(spec.joint_names)
        self._profile = profile
        self._seen: list[str] = []
        self._index: list[int] = []

    def index(self, names: Sequence[str]) -> list[int]:
        """Return where each of our joints stands in ``names``.

        Raises:
            OperaError: one is missing, or there under two names.
        """
        if list(names) != self._seen:
            index = []
            for own in self._names:
                aliases = self._profile.joints.get(own, (own,))
                found = [k for k, name in enumerate(names) if name in aliases]
                if len(found) != 1:
                    raise OperaError(
                        f"joints {list(names)} hold {own} {len(found)} times; expected one of "
                        f"{list(aliases)} once"
                    )
                index.append(found[0])
            self._index, self._seen = index, list(names)
        return self._index

    def take(self, names: Sequence[str], values: Sequence[float]) -> Array:
        """Return an array in our order, shape (n,).

        Raises:
            OperaError: of names; or of a value that is not finite, or a wrong number of them.
        """
        index = self.index(names)
        if len(values) != len(names):
            raise OperaError(f"{len(values)} values for {len(names)} joints")
        out = np.array([values[k] for k in index], dtype=float)
        if not np.isfinite(out).all():
            raise OperaError(f"values {out.tolist()} are not all finite")
        return out
