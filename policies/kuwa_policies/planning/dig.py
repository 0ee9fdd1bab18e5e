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
from kuwa_policies.planning.trajectory import Leg


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
            both ends at which the path has its rounded corners.
        press, press_time: in the last passes the edge is driven in this much deeper [m] and stays
            so long [s], because the machine gives while the ground resists.
        settle: the swing stands this long before the edge goes down between walls [s].
        drop: height of the bucket's lowest point above the heap.
    """

    pass_volume: float = 0.7
    cut_speed: float = 0.7
    finish_speed: float = 0.5
    entry_clearance: float = np.radians(88.0)
    drag_clearance: float = np.radians(10.0)
    heel: float = 0.06
    wall: float = 0.05
    carry_pitch: float = np.radians(178.0)
    open_pitch: float = np.radians(50.0)
    clear: float = 0.35
    drop: float = 0.3
    approach: float = 0.15
    beyond: float = 0.04
    press: float = 0.02
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


@dataclass(frozen=True, slots=True)
class Dump:
    """Where to empty the bucket: swing angle [rad], radius [m], height of what lies there [m]."""

    swing: float
    r: float
    top: float


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
        wanted = np.array([self.pitch_at(s.entry_clearance)])
        entry = float(self._reachable(cut.r[-1:] + s.beyond, cut.floor[-1:], wanted)[0])
        far, top = cut.r[-1] + s.beyond, max(cut.ground, float(cut.surface.max()))
        speed = s.finish_speed if cut.finishing else s.cut_speed
        press = s.press if cut.finishing else 0.0
        dig = self._drag(cut, entry)
        curl = self._curl(dig[-1], top + s.clear)
        return [
            Leg("return", _point(far, top + 0.6, entry), 1.5, swing_to=cut.swing, swing_left=1.0),
            Leg("approach", _point(far, cut.ground + s.approach, entry), 0.8, swing_left=0.15),
            # Between the walls of a trench the swing must stand.
            Leg("penetrate", _point(far, cut.surface[-1] + 0.05, entry), 0.8,
                swing_left=0.0, pause=s.settle),
            Leg("penetrate", _point(far, cut.floor[-1] - press, entry), 0.4,
                dwell=s.press_time if cut.finishing else 0.0),
            Leg("dig", dig, speed),
            Leg("curl", curl, 0.6),
            *self._empty(curl[-1], dump),
        ]  # fmt: skip

    def _drag(self, cut: Cut, entry: float) -> Array:
        """Follow the floor from far to near; plane it as soon as the far wall leaves room."""
        s = self.settings
        r, z = cut.r[::-1].copy(), cut.floor[::-1]
        r[-1] -= s.beyond
        pitches = np.arange(entry, self.pitch_at(s.drag_clearance), np.radians(1.0))
        outline = self._outline(pitches)
        wanted = np.full(len(r), entry)
        for k, (a, b) in enumerate(zip(r, z, strict=True)):
            behind = a + outline[..., 0] > cut.r[-1] + s.beyond
            above = b + outline[..., 1] > cut.ground + s.wall
            free = pitches[np.all(above | ~behind, axis=-1)]
            if len(free):
                wanted[k] = free[-1]
        return np.column_stack([r, z, self._reachable(r, z, wanted)])

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
        return np.column_stack([r, z, self._reachable(r, z, wanted)])

    def _empty(self, start: Array, dump: Dump) -> list[Leg]:
        """Carry to the heap while swinging, open the bucket about its pin, stay a moment."""
        s, length = self.settings, self._kin.length[2]
        pin_r = dump.r + 0.4
        pin_z = dump.top + s.drop + length
        pitches = np.linspace(s.carry_pitch, s.open_pitch, 12)
        open_ = np.column_stack(
            [pin_r + length * np.cos(pitches), pin_z - length * np.sin(pitches), pitches]
        )
        halfway = (start + open_[0]) / 2
        halfway[2] = s.carry_pitch
        return [
            Leg("swing_to_dump", np.array([halfway, open_[0]]), 1.2, swing_to=dump.swing),
            Leg("dump", open_[1:], 3.0, turn=1.1, swing_left=0.5),
        ]

    def _reachable(self, r: Array, z: Array, pitch: Array) -> Array:
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


def _point(r: float, z: float, p: float) -> Array:
    return np.array([[r, z, p]])
