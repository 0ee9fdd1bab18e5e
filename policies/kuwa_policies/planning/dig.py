"""A dig cycle as a table of legs: return, approach, penetrate, dig, curl, and then the emptying.

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
from kuwa_policies.planning.empty import Emptying
from kuwa_policies.planning.reach import BACK_OFF, point, reachable
from kuwa_policies.planning.spoil import Dump
from kuwa_policies.planning.trajectory import Leg


@dataclass(frozen=True, slots=True)
class DigSettings:
    """How an expert digs. Angles in radians, lengths in metres, speeds in m/s.

    Args:
        pass_volume: bank volume per pass, as a share of the heaped bucket.
        cut_speed, finish_speed, over_speed: of the edge in the ground; the last where an obstacle
            is in it.
        entry_clearance: angle between the bucket's floor and the horizontal on entry, steeper than
            the ramp.
        drag_clearance: the same once the pass is under way; small, so that the floor is planed.
        heel: height that the shell keeps above the floor when the bucket curls.
        wall: height that the shell keeps above the ground behind the far end.
        clear: height of the bucket above the ground before it may swing.
        approach: height above the ground at which the edge starts down. beyond: distance beyond
            both ends at which the path has its rounded corners, as far as the machine reaches:
            there the edge comes down, and the wall stays that it does not cut quite to its foot.
        press_time: in the last passes the edge stays so long where it went in [s]: the machine
            gives while the ground resists.
        settle: the swing stands this long before the edge goes down between walls [s].
        ramp: slope of the way in, from beyond the far end; straight down, at full reach, the
            machine would lift itself instead.
    """

    pass_volume: float = 0.7
    cut_speed: float = 0.7
    finish_speed: float = 0.5
    over_speed: float = 0.4
    entry_clearance: float = np.radians(75.0)
    drag_clearance: float = np.radians(10.0)
    heel: float = 0.06
    wall: float = 0.05
    clear: float = 0.35
    approach: float = 0.15
    beyond: float = 0.06
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
        keep: height that the shell must stay above at each station, -inf where it is free, shape
            (k,) [m]; None where nothing is in its way.
    """

    r: Array
    floor: Array
    surface: Array
    ground: float
    swing: float
    finishing: bool
    keep: Array | None = None


class DigCycle:
    """Builds the legs of a cycle for one machine.

    Args:
        kin: its kinematics. settings: how to dig.
    """

    def __init__(self, kin: ExcavatorKinematics, settings: DigSettings | None = None) -> None:
        self._kin = kin
        self.settings = settings or DigSettings()
        self.emptying = Emptying(kin)
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
        entry = float(reachable(self._kin, cut.r[-1:], cut.floor[-1:], wanted)[0])
        far, top = cut.r[-1], max(cut.ground, float(cut.surface.max()))
        out = self._ramp_top(cut, entry)
        dig = self._drag(cut, entry)
        curl = self._curl(dig[-1], top + s.clear)
        name, speed = "dig", s.finish_speed if cut.finishing else s.cut_speed
        if cut.keep is not None:
            name, speed = "dig_over_obstacle", s.over_speed
        return [
            *self._come(cut, dump, out, top + 0.6, entry),
            Leg("approach", point(out, cut.ground + s.approach, entry), 0.8, swing_left=0.15),
            # Between the walls of a trench the swing must stand.
            Leg("penetrate", point(out, cut.ground + 0.05, entry), 0.8,
                swing_left=0.0, pause=s.settle),
            Leg("penetrate", point(far, cut.floor[-1], entry), 0.4,
                dwell=s.press_time if cut.finishing else 0.0),
            Leg(name, dig, speed),
            Leg("curl", curl, 0.6),
            *self.emptying.legs(curl[-1], dump),
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
            away = self.emptying.settings.body / dump.r
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
                reachable(
                    self._kin, np.full(2, far), np.array([floor[-1], cut.ground]), entry.repeat(2)
                )
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
            keep=None if cut.keep is None else np.pad(cut.keep, 1, constant_values=-np.inf),
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
            clear = above | ~behind
            if cut.keep is not None:
                at = np.searchsorted(cut.r, a + outline[..., 0])
                clear &= b + outline[..., 1] > cut.keep[np.minimum(at, len(cut.r) - 1)]
            free = pitches[np.all(clear, axis=-1)]
            if len(free):
                wanted[k] = free[-1]
        return np.column_stack([r, z, reachable(self._kin, r, z, wanted)])

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
        grid = np.linspace(p, self.emptying.settings.carry_pitch, 60)
        lowest = -self._kin.outline_from_edge(grid)[..., 1].min(-1)
        wanted = np.array([grid[lowest <= max(up - s.heel, lowest[0])][-1] for up in lift])
        r = np.full(len(z), r)
        return np.column_stack([r, z, reachable(self._kin, r, z, wanted)])
