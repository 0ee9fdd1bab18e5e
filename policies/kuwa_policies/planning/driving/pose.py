"""Where a tracked machine is: satellite positions that are noisy and late, carried by odometry.

The origin moves on with the sprockets along the hull and with the measured velocity across it and
upwards, which is immediate but drifts; each new fix, true at an older instant, draws the estimate
of that instant to it:

    dp/dt = R (v, v_across, 0) + (0, 0, v_up) + K (p_fix − p(t_fix))

How far apart the tracks seem to be when they turn the machine, and about which point of the hull it
turns, depends on how its load lies, so both are followed too.

v is what the sprockets turn for less the slip, which is followed slowly. An outage is
bridged by odometry alone for a while and then told by ``lost``.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from kuwa_machines.contracts import Array, MachineState
from kuwa_machines.errors import KuwaError
from kuwa_machines.kinematics import rotation
from kuwa_policies.planning.driving.skid import SkidSteer

LEVEL_TIME, HEIGHT_TIME, TURN_TIME = 0.6, 0.8, 0.4
"""Time constants with which fixes draw the position, its height, and the attitude [s]."""
SLIP_TIME: Final = 0.5
"""Time constant with which the slip is followed [s]."""
FAR: Final = 0.3
"""An attitude further off than this is taken at once [rad]."""
BRIDGE = 2.0
"""Odometry alone is trusted for so long [s]."""
MEMORY = 2.0
"""Fixes older than this are not used [s]."""
GAUGE_TIME: Final = 0.8
"""Time constant with which turning gauge and centre are followed [s]."""
GAUGE_RANGE: Final = (0.6, 1.5)
"""Bounds on it, over the one from the data: a machine that cannot turn says nothing."""
QUICK: Final = 0.15
"""A turning rate at which the centre shows well [rad/s]."""
TURNING: Final = (0.15, 0.04)
"""Difference of the tracks' speeds [m/s] and turning rate [rad/s] from which it shows."""


@dataclass(frozen=True, slots=True)
class Pose:
    """An estimate at one instant.

    Args:
        position: origin of the undercarriage in the world, shape (3,) [m].
        R: its attitude in the world, shape (3, 3).
        yaw: heading of its x axis [rad]. speed: along the hull [m/s].
        centre: x of the point of the hull about which it turns [m].
        gauge: of tracks without slip that would turn the machine alike [m].
        lost: no fix for too long.
    """

    position: Array
    R: Array
    yaw: float
    speed: float
    centre: float
    gauge: float
    lost: bool

    @property
    def middle(self) -> Array:
        """Where the point is about which the machine turns, (x, y) [m]."""
        return np.asarray(self.position[:2] + self.centre * self.R[:2, 0])


class PoseFilter:
    """Feed it every state in turn; see the module.

    Args:
        skid: the machine's tracks.
    """

    def __init__(self, skid: SkidSteer) -> None:
        self._skid = skid
        self._stamp = self._turned = self._fixed = self._newest = math.nan
        self._position, self._R = np.zeros(3), np.eye(3)
        self._speed, self._slip = 0.0, 0.0
        self._gauge, self._centre = skid.gauge, skid.centre
        self._past: deque[tuple[float, Array]] = deque()

    def reset(self) -> None:
        """Forget everything; the next state is taken as it is."""
        self._stamp = math.nan

    def update(self, state: MachineState) -> Pose:
        """Return the pose at the state's stamp.

        Raises:
            KuwaError: the first state has no finite position, attitude or joint state.
        """
        if math.isnan(self._stamp):
            self._begin(state)
        dt = min(max(state.stamp - self._stamp, 0.0), 1.0)
        self._stamp = state.stamp
        self._attitude(state, dt)
        if np.isfinite(state.qd).all():
            self._speed = self._skid.odometry(state.qd)
        self._follow_slip(state, dt)
        across = float(state.base_velocity[:2] @ self._R[:2, 1])
        climb = float(state.base_velocity[2])
        self._follow_turning(state, across, dt)
        if not math.isfinite(across):
            across = 0.0
        moved = self._R[:, 0] * (self._speed - self._slip) + self._R[:, 1] * across
        # A hull that its blade lifts in front does not climb where it points.
        moved[2] = climb if math.isfinite(climb) else moved[2]
        self._position = self._position + moved * dt
        self._fix(state, dt)
        self._past.append((state.stamp, self._position))
        while self._past[0][0] < state.stamp - MEMORY:
            self._past.popleft()
        lost = state.stamp - min(self._fixed, self._turned) > BRIDGE
        yaw = math.atan2(self._R[1, 0], self._R[0, 0])
        return Pose(
            self._position.copy(), self._R, yaw, self._speed, self._centre, self._gauge, lost
        )

    def _begin(self, state: MachineState) -> None:
        for what, values in (
            ("position", state.base_position), ("attitude", state.base_quaternion_wxyz),
            ("joint positions", state.q), ("joint velocities", state.qd),
        ):  # fmt: skip
            if not np.isfinite(values).all():
                raise KuwaError(f"the machine's {what} {values} must be finite before it can start")
        self._stamp = self._turned = state.stamp
        self._position = state.base_position.copy()
        self._R = rotation(state.base_quaternion_wxyz)
        self._speed, self._slip = 0.0, 0.0
        self._gauge, self._centre = self._skid.gauge, self._skid.centre
        self._fixed = self._newest = self._instant(state)
        self._past = deque([(state.stamp, self._position)])

    @staticmethod
    def _instant(state: MachineState) -> float:
        return state.base_stamp if math.isfinite(state.base_stamp) else state.stamp

    def _attitude(self, state: MachineState, dt: float) -> None:
        """Turn on with the measured rates, and draw the attitude towards the measured one."""
        if not np.isfinite(state.base_quaternion_wxyz).all():
            return
        self._turned = state.stamp
        rates = state.base_velocity[3:]
        ahead = self._R
        if np.isfinite(rates).all():
            ahead = turned(rates * dt) @ ahead
        off = rotation(state.base_quaternion_wxyz) @ ahead.T
        # A small rotation is its vector; a large one is where the machine was put.
        vector = 0.5 * np.array(
            [off[2, 1] - off[1, 2], off[0, 2] - off[2, 0], off[1, 0] - off[0, 1]]
        )
        if np.trace(off) < 1.0 + 2.0 * math.cos(FAR):
            self._R = off @ ahead
        else:
            self._R = turned((1.0 - math.exp(-dt / TURN_TIME)) * vector) @ ahead

    def _follow_slip(self, state: MachineState, dt: float) -> None:
        along = float(state.base_velocity[:3] @ self._R[:, 0])
        if math.isfinite(along):
            slip = self._speed - along
            self._slip += (1.0 - math.exp(-dt / SLIP_TIME)) * (slip - self._slip)

    def expect_centre(self, x: float) -> None:
        """Take this point for the one about which the machine turns until it shows [m]."""
        half = 0.5 * self._skid.length
        self._centre = min(max(x, self._skid.centre - half), self._skid.centre + half)

    def _follow_turning(self, state: MachineState, across: float, dt: float) -> None:
        skid, rate = self._skid, float(state.base_velocity[5])
        apart = skid.radius * float(state.qd[skid.right] - state.qd[skid.left])
        shows = abs(apart) >= TURNING[0] and abs(rate) >= TURNING[1]
        if not (shows and math.isfinite(apart) and math.isfinite(rate)):
            return
        blend = 1.0 - math.exp(-dt / GAUGE_TIME)
        low, high = GAUGE_RANGE
        seen = min(max(apart / rate, low * skid.gauge), high * skid.gauge)
        self._gauge += blend * (seen - self._gauge)
        if math.isfinite(across):
            # Of the velocity across, a fast turn says more than a slow one.
            share = blend * rate**2 / (rate**2 + QUICK**2)
            self.expect_centre(self._centre + share * (-across / rate - self._centre))

    def _fix(self, state: MachineState, dt: float) -> None:
        instant = self._instant(state)
        if not np.isfinite(state.base_position).all() or state.stamp - instant > MEMORY:
            return
        if instant <= self._newest and dt > 0.0:
            return
        since = max(instant - self._newest, dt)
        self._newest = self._fixed = instant
        then = self._at(instant)
        gain = 1.0 - np.exp(-since / np.array([LEVEL_TIME, LEVEL_TIME, HEIGHT_TIME]))
        shift = gain * (state.base_position - then)
        self._position = self._position + shift
        self._past = deque((stamp, position + shift) for stamp, position in self._past)

    def _at(self, instant: float) -> Array:
        """Return where the machine was, between what was estimated then."""
        later, after = self._stamp, self._position
        for stamp, position in reversed(self._past):
            if stamp <= instant:
                u = (instant - stamp) / (later - stamp) if later > stamp else 0.0
                return np.asarray(position + u * (after - position))
            later, after = stamp, position
        return after


def turned(vector: Array) -> Array:
    """Return the rotation by a vector, shape (3,) [rad], as a matrix (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    K = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + math.sin(angle) * K + (1.0 - math.cos(angle)) * K @ K)
