"""Emptying the bucket, over a heap or over a body with a rim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.kinematics import ExcavatorKinematics
from kuwa_policies.planning.reach import BACK_OFF, reachable
from kuwa_policies.planning.spoil import Dump
from kuwa_policies.planning.trajectory import Leg


@dataclass(frozen=True, slots=True)
class EmptySettings:
    """How the bucket is emptied. Angles in radians, lengths in metres.

    Args:
        carry_pitch: mouth up. open_pitch: emptied; body_pitch: emptied over a body, where the edge
            must not swing out beyond the far side.
        drop: height of the bucket's lowest point above a heap; over_rim: above a body's rim.
        body: half the width that a body takes up around its centre.
        heap_out, body_out: the bucket's pin lies so far beyond the middle of what it is emptied
            on, since soil leaves the bucket before the edge hangs down.
    """

    carry_pitch: float = np.radians(178.0)
    open_pitch: float = np.radians(50.0)
    body_pitch: float = np.radians(85.0)
    drop: float = 0.3
    over_rim: float = 0.3
    body: float = 1.8
    heap_out: float = 0.4
    body_out: float = 0.7


class Emptying:
    """Builds the legs from a closed bucket to an empty one.

    Args:
        kin: the machine's kinematics.
    """

    def __init__(self, kin: ExcavatorKinematics, settings: EmptySettings | None = None) -> None:
        self._kin = kin
        self.settings = settings or EmptySettings()

    def legs(self, start: Array, dump: Dump) -> list[Leg]:
        """Carry to the heap while swinging, open the bucket about its pin, stay a moment.

        Args:
            start: (r, z, p) with the bucket closed and clear of the ground, shape (3,).
            dump: where to.
        """
        s, length = self.settings, self._kin.length[2]
        pin_r, pin_z = self._pin(dump)
        opened = s.body_pitch if dump.rim else s.open_pitch
        closed, opened = np.clip([s.carry_pitch, opened], *self._pitches(pin_r, pin_z))
        pitches = np.linspace(closed, opened, 12)
        open_ = np.column_stack(
            [pin_r + length * np.cos(pitches), pin_z - length * np.sin(pitches), pitches]
        )
        if dump.rim:
            # Half way up, the swing may begin: it is over the body much later.
            up = self._carried(start, open_[0], np.array([0.5, 1.0]))
            return [
                Leg("lift", up[:1], 1.2),
                Leg("lift", up[1:], 1.2, swing_to=dump.swing),
                Leg("swing_to_dump", open_[:1], 1.2),
                Leg("dump", open_[1:], 3.0, turn=1.1, swing_left=0.15, dwell=0.5),
            ]
        way = self._carried(start, open_[0], np.array([0.5]))
        return [
            Leg("swing_to_dump", np.vstack([way, open_[0]]), 1.2, swing_to=dump.swing),
            Leg("dump", open_[1:], 3.0, turn=1.1, swing_left=0.5),
        ]

    def _carried(self, start: Array, end: Array, share: Array) -> Array:
        """Return points on the way from start to end with the bucket closed, shape (k, 3)."""
        way = start + share[:, None] * (end - start)
        closed = np.full(len(way), self.settings.carry_pitch)
        way[:, 2] = reachable(self._kin, way[:, 0], way[:, 1], closed)
        return way

    def can_empty(self, dump: Dump) -> bool:
        """Whether boom and arm reach over this place."""
        q = self._over(*self._pin(dump))[:2]
        low, high = self._kin.q_min[1:3] + BACK_OFF, self._kin.q_max[1:3] - BACK_OFF
        return bool(np.all((q >= low) & (q <= high)))

    def _pin(self, dump: Dump) -> tuple[float, float]:
        """Return (r, z) of the bucket's pin while it is emptied."""
        s = self.settings
        out, above = (s.body_out, s.over_rim) if dump.rim else (s.heap_out, s.drop)
        return dump.r + out, dump.top + above + float(self._kin.length[2])

    def _over(self, pin_r: float, pin_z: float) -> Array:
        """Return boom, arm and bucket with the pin there and the bucket opened, NaN too far out."""
        kin, p = self._kin, self.settings.open_pitch
        r = pin_r + kin.length[2] * np.cos(p)
        z = pin_z - kin.length[2] * np.sin(p)
        return kin.inverse_in_plane(np.array(r), np.array(z - kin.base[2]), np.array(p))

    def _pitches(self, pin_r: float, pin_z: float) -> tuple[float, float]:
        """Return the least and the largest pitch of the bucket with its pin there [rad]."""
        q = self._over(pin_r, pin_z)
        if not np.isfinite(q).all():
            return -np.inf, np.inf  # the compiler says what is out of reach
        rest = self.settings.open_pitch - q[2]
        limits = rest + self._kin.q_min[3] + BACK_OFF, rest + self._kin.q_max[3] - BACK_OFF
        return float(limits[0]), float(limits[1])
