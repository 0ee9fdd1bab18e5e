"""A dig cycle as a table of legs: return, penetrate, dig, curl, lift, swing, dump.

Everything lies in the vertical plane of the front: r from the swing axis, z up from the machine's
foot, p the bucket's pitch. The bucket's floor runs from the heel to the edge; at pitch p it stands
at the clearance angle π − p − floor_angle above the ground behind an edge that moves inward.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.kinematics import ExcavatorKinematics, ReachError
from kuwa_policies.planning.spoil import Dump
from kuwa_policies.planning.trajectory import Leg

BACK_OFF = np.radians(1.5)
"""The bucket's joint stays this far from its limits [rad]."""


@dataclass(frozen=True, slots=True)
class DigSettings:
    """How an expert digs. Angles in radians, lengths in metres, speeds in m/s.

    Args:
        pass_volume: bank volume per pass, as a share of the heaped bucket.
        cut_speed, finish_speed: of the edge in the ground.
        entry_clearance: angle between the bucket's floor and the horizontal on entry, nearly a
            right angle so that the far wall stands.
        drag_clearance: the same once the pass is under way; small, so that the floor is planed.
        heel: height that the shell keeps above the floor when the bucket curls.
        wall: height that the shell keeps above the ground behind the far end.
        carry_pitch: mouth up. open_pitch: emptied.
        clear: height of the bucket above the ground before it may swing.
        approach: height above the ground at which the edge starts down. beyond: distance beyond
            both ends at which the path has its rounded corners, as far as the machine reaches:
            there the edge comes down, and the wall stays that it does not cut quite to its foot.
        press_time: in the last passes the edge stays so long where it went in [s]: the machine
            gives while the ground resists.
        settle: the swing stands this long before the edge goes down between walls [s].
        drop: height of the bucket's lowest point above the heap.
        over_rim: the bucket passes over a body's rim at least so high. body: half the width that a
            body takes up around its centre [m]. body_pitch: emptied over a body, where the edge
            must not swing out beyond the far side.
        heap_out, body_out: the bucket's pin lies so far beyond the middle of what it is emptied
            on, since soil leaves the bucket before the edge hangs down.
    """

    pass_volume: float = 0.7
    cut_speed: float = 0.7
    finish_speed: float = 0.5
    entry_clearance: float = np.radians(75.0)
    drag_clearance: float = np.radians(10.0)
    heel: float = 0.06
    wall: float = 0.05
    carry_pitch: float = np.radians(178.0)
    open_pitch: float = np.radians(50.0)
    clear: float = 0.35
    drop: float = 0.3
    approach: float = 0.15
    beyond: float = 0.06
    over_rim: float = 0.3
    body: float = 1.8
    heap_out: float = 0.4
    body_out: float = 0.7
    body_pitch: float = np.radians(85.0)
    ramp: float = np.radians(60.0)
    press_time: float = 0.25
    settle: float = 0.1


@dataclass(frozen=True, slots=True)
class Cut:
    """One pass along a strip.

    Args:
        r: stations from near to far, shape (k,) [m]. floor: edge height at each, shape (k,) [m].
        surface: of the ground there now, shape (k,) [m]. ground: its height beside the strip [m].
        swing: of the strip [rad].
        finishing: the floor is the target everywhere.
    """

    r: Array
    floor: Array
    surface: Array
    ground: float
    swing: float
    finishing: bool


class DigCycle:
    """Builds the legs of a cycle for one machine.

    Args:
        kin: its kinematics. settings: how to dig.
    """

    def __init__(self, kin: ExcavatorKinematics, settings: DigSettings | None = None) -> None:
        self._kin = kin
        self.settings = settings or DigSettings()
        back = kin.profile[-1] - kin.profile[-2]
        self.floor_angle = float(np.arctan2(-back[1], back[0]))

    def pitch_at(self, clearance: float) -> float:
        """Return the pitch at which the bucket's floor has this clearance angle."""
        return np.pi - self.floor_angle - clearance

    def legs(self, cut: Cut, dump: Dump) -> list[Leg]:
        """Return the legs from wherever the machine rests to an empty bucket over the heap."""
        s = self.settings
        cut = self._extended(cut)
        wanted = np.array([self.pitch_at(s.entry_clearance)])
        entry = float(self.reachable(cut.r[-1:], cut.floor[-1:], wanted)[0])
        far, top = cut.r[-1], max(cut.ground, float(cut.surface.max()))
        out = self._ramp_top(cut, entry)
        dig = self._drag(cut, entry)
        curl = self._curl(dig[-1], top + s.clear)
        return [
            *self._come(cut, dump, out, top + 0.6, entry),
            Leg("approach", point(out, cut.ground + s.approach, entry), 0.8, swing_left=0.15),
            # Between the walls of a trench the swing must stand.
            Leg("penetrate", point(out, cut.ground + 0.05, entry), 0.8,
                swing_left=0.0, pause=s.settle),
            Leg("penetrate", point(far, cut.floor[-1], entry), 0.4,
                dwell=s.press_time if cut.finishing else 0.0),
            Leg("dig", dig, s.finish_speed if cut.finishing else s.cut_speed),
            Leg("curl", curl, 0.6),
            *self.empty(curl[-1], cut.swing, dump),
        ]  # fmt: skip

    def _ramp_top(self, cut: Cut, entry: float) -> float:
        """Return the radius at which the edge goes in, on a ramp down to the cut's far end [m]."""
        depth = max(cut.ground - cut.floor[-1], 0.0)
        r = cut.r[-1] + depth / np.tan(self.settings.ramp) * np.array([1.0, 0.75, 0.5, 0.25])
        kin = self._kin
        z = cut.ground + 0.6 - kin.base[2]
        q = kin.inverse_in_plane(r, np.full(len(r), z), np.full(len(r), entry))
        with np.errstate(invalid="ignore"):
            ok = (q >= kin.q_min[1:] + BACK_OFF) & (q <= kin.q_max[1:] - BACK_OFF)
        return float(r[np.argmax(ok.all(-1))]) if ok.all(-1).any() else float(cut.r[-1])

    def _come(self, cut: Cut, dump: Dump, r: float, z: float, pitch: float) -> list[Leg]:
        """Return to the cut's far end; away from a body before coming down from it."""
        left = 1.0
        if dump.rim:
            away = self.settings.body / dump.r
            left = min(left, max(abs(dump.swing - cut.swing) - away, 0.0))
        return [Leg("return", point(r, z, pitch), 1.5, swing_to=cut.swing, swing_left=left)]

    def _extended(self, cut: Cut) -> Cut:
        """Let the cut begin beyond its far end and end beyond its near one, level."""
        s, kin = self.settings, self._kin
        entry = np.array([self.pitch_at(s.entry_clearance)])
        r, floor = cut.r, cut.floor
        for share in (1.0, 0.6, 0.25, 0.0):
            far = r[-1] + share * s.beyond
            try:
                self.reachable(np.full(2, far), np.array([floor[-1], cut.ground]), entry.repeat(2))
                break
            except ReachError:
                if share == 0.0:
                    raise
        near = max(r[0] - s.beyond, kin.mount[0])
        return Cut(
            r=np.concatenate([[near], r, [far]]),
            floor=np.concatenate([floor[:1], floor, floor[-1:]]),
            surface=np.concatenate([cut.surface[:1], cut.surface, [cut.ground]]),
            ground=cut.ground, swing=cut.swing, finishing=cut.finishing,
        )  # fmt: skip

    def _drag(self, cut: Cut, entry: float) -> Array:
        """Follow the floor from far to near; plane it as soon as the far wall leaves room."""
        s = self.settings
        r, z = cut.r[::-1], cut.floor[::-1]
        pitches = np.arange(entry, self.pitch_at(s.drag_clearance), np.radians(1.0))
        outline = self._outline(pitches)
        wanted = np.full(len(r), entry)
        for k, (a, b) in enumerate(zip(r, z, strict=True)):
            behind = a + outline[..., 0] > cut.r[-1]
            above = b + outline[..., 1] > cut.ground + s.wall
            free = pitches[np.all(above | ~behind, axis=-1)]
            if len(free):
                wanted[k] = free[-1]
        return np.column_stack([r, z, self.reachable(r, z, wanted)])

    def _outline(self, pitch: Array) -> Array:
        """Return points close together on the shell, relative to the edge, (len(pitch), M, 2)."""
        corners = self._kin.outline_from_edge(pitch)
        w = np.linspace(0.0, 1.0, 9)[1:, None, None]
        dense = [a + w * (b - a) for a, b in pairwise(corners.swapaxes(0, 1))]
        return np.concatenate(dense).swapaxes(0, 1)

    def _curl(self, start: Array, clear: float) -> Array:
        """Lift straight up the near wall, curling only as fast as the heel keeps off the floor."""
        s = self.settings
        r, floor, p = start
        lift = np.linspace(0.0, clear - floor, 12)[1:]
        z = floor + lift
        grid = np.linspace(p, s.carry_pitch, 60)
        lowest = -self._kin.outline_from_edge(grid)[..., 1].min(-1)
        wanted = np.array([grid[lowest <= max(up - s.heel, lowest[0])][-1] for up in lift])
        r = np.full(len(z), r)
        return np.column_stack([r, z, self.reachable(r, z, wanted)])

    def empty(self, start: Array, swing: float, dump: Dump) -> list[Leg]:
        """Carry to the heap while swinging, open the bucket about its pin, stay a moment.

        Args:
            start: (r, z, p) with the bucket closed and clear of the ground, shape (3,).
            swing: where it is. dump: where to.
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
        way[:, 2] = self.reachable(way[:, 0], way[:, 1], closed)
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

    def reachable(self, r: Array, z: Array, pitch: Array) -> Array:
        """Return the pitches nearest to the wanted ones at which the edge can be at (r, z), (k,).

        Raises:
            ReachError: no pitch reaches one of the points.
        """
        kin = self._kin
        grid = np.radians(np.arange(-30.0, 271.0))
        q = kin.inverse_in_plane(r[:, None], z[:, None] - kin.base[2], np.tile(grid, (len(r), 1)))
        with np.errstate(invalid="ignore"):
            ok = np.all((q >= kin.q_min[1:]) & (q <= kin.q_max[1:]), axis=-1)
        if not ok.any(-1).all():
            k = int(np.argmin(ok.any(-1)))
            raise ReachError(
                f"the edge cannot be {z[k]:.2f} m high at {r[k]:.2f} m from the swing axis: no "
                "bucket angle reaches there"
            )
        # A degree inside the limits, since the base rocks.
        ok[:, 1:-1] &= ok[:, 2:] & ok[:, :-2]
        low = grid[np.argmax(ok, axis=1)]
        high = grid[len(grid) - 1 - np.argmax(ok[:, ::-1], axis=1)]
        return np.clip(pitch, low, high)


def point(r: float, z: float, p: float) -> Array:
    """Return a leg's only point, shape (1, 3)."""
    return np.array([[r, z, p]])
