"""From a path to chunks of sprocket speeds: aim ahead, roll the machine forward, end at rest.

The machine aims at a point some way ahead on the path and turns in proportion to how far its
heading is off. What is commanded now is felt one lag later, so each chunk begins with what was
asked for before, rolls the machine forward with that, and goes on from there by the law; its end is
a ramp to a stop, which is what happens when no further chunk comes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.paths import Polyline
from kuwa_policies.planning.driving.pose import Pose
from kuwa_policies.planning.driving.skid import SkidSteer

KNOT = 0.1
"""Between two knots [s]."""
HORIZON = 1.2
"""Of a chunk, without the ramp at its end [s]."""
NOTHING = 1e-3
"""Less than this is no speed at all [m/s], [rad/s]."""


@dataclass(frozen=True, slots=True)
class Law:
    """Tuning.

    Args:
        gain: of the heading [1/s]. reach: aim so far ahead: at least [m], and a time at speed [s].
        rate: fastest turning [rad/s]. turn: its change [rad/s²].
        acceleration: along the way [m/s²]. brake: of the ramp at a chunk's end [m/s²].
        approach: steepest angle back to the path [rad].
        sharp: a heading this far off halves the speed [rad].
        least: slowest turning on the spot: less only winds up the ground [rad/s].
        close: stand when no more than this is left [m] or [rad] of a turn on the spot.
        begin: who stands does not set off for less than this [m] or [rad]: short moves only wind
            up the ground.
        creep: slowest speed while something is left [m/s].
    """

    gain: float = 2.0
    reach: tuple[float, float] = (1.1, 1.0)
    rate: float = 0.45
    turn: float = 0.6
    acceleration: float = 0.5
    brake: float = 0.8
    approach: float = 0.6
    sharp: float = 0.35
    least: float = 0.12
    close: tuple[float, float] = (0.03, 0.03)
    begin: tuple[float, float] = (0.08, 0.1)
    creep: float = 0.06


@dataclass(frozen=True, slots=True)
class Way:
    """One stretch to drive without a stop.

    Args:
        path: of the point about which the machine turns. reverse: rear first.
        speed: [m/s].
        until: arc length at which its origin stops [m]; None: with its turning point at the end.
    """

    path: Polyline
    reverse: bool
    speed: float
    until: float | None
    corners: Array = field(init=False)
    """Arc length and bend of the corners on the way, shape (k, 2) [m], [rad]."""

    def __post_init__(self) -> None:
        s = self.path.s
        yaw = np.asarray(self.path.direction(0.5 * (s[1:] + s[:-1])))
        bend = np.abs(np.remainder(np.diff(yaw) + np.pi, 2 * np.pi) - np.pi)
        object.__setattr__(self, "corners", np.column_stack([s[1:-1], bend]))


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn on the spot to a heading [rad]."""

    yaw: float


class Driver:
    """Makes chunks of speed and turning rate; one per machine.

    Args:
        skid: the machine's tracks.
        law: tuning.
    """

    def __init__(self, skid: SkidSteer, law: Law | None = None) -> None:
        self.skid = skid
        self.law = law or Law()
        self.reset()

    def reset(self) -> None:
        """Nothing was asked for yet."""
        self._t = np.zeros(1)
        self._v = np.zeros(1)
        self._w = np.zeros(1)
        self._s: float | None = None
        self._goal: Way | Turn | None = None
        self._end = 0.0

    @property
    def place(self) -> float:
        """Arc length on the present way [m]."""
        return self._s or 0.0

    def step(self, stamp: float, pose: Pose, goal: Way | Turn | None) -> tuple[Array, Array, bool]:
        """Return knot times from ``stamp``, shape (K,), sprocket speeds (K, 2), and whether it
        stands at its goal.

        Args:
            goal: where to; None: stop.
        """
        if goal is not self._goal:
            self._goal, self._s = goal, None
        t = np.asarray(stamp + KNOT * np.arange(round(HORIZON / KNOT) + 1), dtype=np.float64)
        v, w = self._asked(t)
        x, y = pose.middle
        yaw, s = pose.yaw, self._s
        if isinstance(goal, Way):
            s = goal.path.project((x, y), s)[0]
            self._s = s
            # Forwards the origin is ahead of a turning point that has a negative x.
            shift = -pose.centre if goal.reverse else pose.centre
            self._end = goal.path.length if goal.until is None else goal.until + shift
        begun = math.ceil(self.skid.lag / KNOT)
        for k in range(len(t)):
            if k >= begun:
                wanted_v, wanted_w, s = self._law(goal, x, y, yaw, s, v[k - 1], w[k - 1])
                v[k] = approach(v[k - 1], wanted_v, self.law.acceleration * KNOT)
                w[k] = approach(w[k - 1], wanted_w, self.law.turn * KNOT)
            yaw += w[k] * KNOT
            x += v[k] * math.cos(yaw) * KNOT
            y += v[k] * math.sin(yaw) * KNOT
        ramp = max(abs(v[-1]) / self.law.brake, abs(w[-1]) / self.law.turn, KNOT)
        self._t = np.append(t, t[-1] + ramp)
        # What interpolating between old knots leaves over dies out here.
        self._v, self._w = (np.append(np.where(np.abs(x) < 1e-6, 0.0, x), 0.0) for x in (v, w))
        asked = max(float(np.abs(self._v).max()), float(np.abs(self._w).max()))
        still = asked < NOTHING and abs(pose.speed) < 0.02
        return self._t - stamp, self.skid.sprockets(self._v, self._w, pose.gauge), still

    def _asked(self, t: Array) -> tuple[Array, Array]:
        return (
            np.interp(t, self._t, self._v, 0.0, 0.0), np.interp(t, self._t, self._w, 0.0, 0.0)
        )  # fmt: skip

    def _law(
        self, goal: Way | Turn | None, x: float, y: float, yaw: float, s: float | None, v: float,
        w: float,
    ) -> tuple[float, float, float | None]:  # fmt: skip
        """Return speed, turning rate and arc length for a pose that is reached at v and w."""
        law = self.law
        if goal is None:
            return 0.0, 0.0, s
        if isinstance(goal, Turn):
            off = math.remainder(goal.yaw - yaw, 2 * math.pi)
            turns = abs(w) > 0.5 * law.least
            if abs(off) < (law.close[1] if turns else law.begin[1]):
                return 0.0, 0.0, s
            rate = min(law.rate, law.gain * abs(off), math.sqrt(law.turn * abs(off)))
            return 0.0, math.copysign(max(rate, law.least), off), s
        s = goal.path.project((x, y), s)[0]
        left = self._end - s
        if left < (law.close[0] if abs(v) > 0.5 * law.creep else law.begin[0]):
            return 0.0, 0.0, s
        reach = max(law.reach[0], law.reach[1] * abs(v))
        ax, ay = ahead(goal.path, s + reach)
        along = float(goal.path.direction(min(max(s + reach, 0.0), goal.path.length)))
        back = math.remainder(math.atan2(ay - y, ax - x) - along, 2 * math.pi)
        aim = along + min(max(back, -law.approach), law.approach)
        off = math.remainder(aim + (math.pi if goal.reverse else 0.0) - yaw, 2 * math.pi)
        rate = min(max(law.gain * off, -law.rate), law.rate)
        speed = min(
            goal.speed, goal.speed / (1.0 + (off / law.sharp) ** 2),
            math.sqrt(law.acceleration * left), self._corner(goal, s),
        )  # fmt: skip
        speed = max(speed, law.creep)
        return (-speed if goal.reverse else speed), rate, s

    def _corner(self, goal: Way, s: float) -> float:
        """Return the speed from which the next corners can be slow enough [m/s]."""
        law = self.law
        away = np.maximum(goal.corners[:, 0] - s, 0.0)
        away[goal.corners[:, 0] < s - law.reach[0]] = np.inf
        slow = 0.8 * law.rate * law.reach[0] / np.maximum(goal.corners[:, 1], 1e-3)
        return float(np.sqrt(slow**2 + law.acceleration * away).min(initial=np.inf))


def approach(value: float, wanted: float, step: float) -> float:
    """Move towards what is wanted by one step at most, by two where that is slower."""
    most = 2 * step if abs(wanted) < abs(value) else step
    return min(max(wanted, value - most), value + most)


def ahead(path: Polyline, s: float) -> tuple[float, float]:
    """Return the point at arc length s, with the ends prolonged straight."""
    x, y = path.at(s)
    beyond = s - min(max(s, 0.0), path.length)
    if beyond:
        yaw = float(path.direction(min(max(s, 0.0), path.length)))
        x, y = x + beyond * math.cos(yaw), y + beyond * math.sin(yaw)
    return float(x), float(y)
