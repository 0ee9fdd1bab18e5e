"""Where the machine is now: fixes, an inertial unit and wheel speeds put together.

An extended Kalman filter about the middle of the fixed axle. Its state is

    x, y, ψ, o, b, k, c        place, heading, crab angle, bias of the rate, slip, crab in curves

The machine runs on the course ψ + o + c κ: the ground pushes it sideways, the more so in a curve κ
with a tool in the ground, and o takes up the heading unit's error as well. Wheels that turn with
the rim speed u carry the machine with v = (1 − k) u. A fix is old when it arrives: the filter
goes back to the instant at which it was true, corrects, and runs forward again.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.contracts import MachineState
from kuwa_machines.kinematics import rotation
from kuwa_policies.guidance.estimate import Estimate, Noise
from kuwa_policies.guidance.vehicle import Vehicle

X, Y, HEADING, OFFSET, BIAS, SLIP, CRAB = range(7)
SLOW = 0.3
"""Below this speed there is no curvature to speak of [m/s]."""
STANDING = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
SMOOTHED = 0.5
"""Way over which the curvature is averaged [m]."""
STEEPEST = 0.3
"""Bound of the curvature that counts for the crab angle [1/m]."""


@dataclass(slots=True)
class _Moment:
    stamp: float
    state: Array
    covariance: Array
    rate: float
    rim: float
    heading: float
    curvature: float


class Localiser:
    """Estimates a wheeled machine's place from its states.

    Args:
        vehicle: the machine. noise: what to expect of its sensors.
        memory: how late a fix may come [s].
    """

    def __init__(self, vehicle: Vehicle, noise: Noise | None = None, memory: float = 1.0) -> None:
        self._vehicle = vehicle
        self._noise = noise or Noise()
        self._memory = memory
        n = self._noise
        self._growth = np.square([n.place, n.place, n.turn, n.offset, n.bias, n.slip, n.crab])
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._moments: deque[_Moment] = deque()
        self._last_fix = np.full(3, np.nan)
        self._fix_stamp = -math.inf
        self._refused = 0
        self._working = False
        self._crabs = {False: 0.0, True: 0.0}

    def update(self, state: MachineState) -> Estimate | None:
        """Take a state in; return the estimate at its stamp, or None before the first fix.

        What is not finite in a state is left out: the filter goes on with what it knew.
        """
        heading, rate, rim = self._inputs(state)
        if not self._moments:
            if not (np.isfinite(state.base_position[:2]).all() and math.isfinite(heading)):
                return None
            self._begin(state, heading, rate, rim)
        else:
            before = self._moments[-1]
            if state.stamp > before.stamp:
                curvature = self._bend(before, state.stamp - before.stamp, rate, rim)
                self._moments.append(
                    _Moment(
                        state.stamp, before.state, before.covariance, rate, rim, heading, curvature
                    )
                )
                self._propagate(len(self._moments) - 1)
            self._take_fix(state)
        while len(self._moments) > 2 and state.stamp - self._moments[1].stamp > self._memory:
            self._moments.popleft()
        return self._estimate()

    def engage(self, working: bool) -> None:
        """Say that the tool is in the ground, or no more: the crab angle is another one then."""
        if working == self._working:
            return
        self._working = working
        if self._moments:
            newest = self._moments[-1]
            self._crabs[not working] = float(newest.state[CRAB])
            x, P = newest.state.copy(), newest.covariance.copy()
            x[CRAB] = self._crabs[working]
            P[CRAB, :] = P[:, CRAB] = 0.0
            P[CRAB, CRAB] = self._noise.first_crab**2
            newest.state, newest.covariance = x, P

    def _inputs(self, state: MachineState) -> tuple[float, float, float]:
        """Return heading (NaN: none), turning rate and rim speed."""
        heading = math.nan
        if np.isfinite(state.base_quaternion_wxyz).all():
            R = rotation(state.base_quaternion_wxyz)
            heading = math.atan2(R[1, 0], R[0, 0])
        last = self._moments[-1] if self._moments else None
        rate = float(state.base_velocity[5])
        if not math.isfinite(rate):
            rate = last.rate if last else 0.0
        vehicle = self._vehicle
        speeds = state.qd[vehicle.wheels] * vehicle.radius
        bend = float(vehicle.curvature(state.q[vehicle.steering])) * vehicle.wheelbase
        speeds = np.where(vehicle.steered, speeds / math.hypot(1.0, bend), speeds)
        rim = float(speeds.mean())
        if not math.isfinite(rim):
            rim = last.rim if last else 0.0
        return heading, rate, rim

    @staticmethod
    def _bend(before: _Moment, dt: float, rate: float, rim: float) -> float:
        """Return the curvature, averaged over a little way."""
        if rim < SLOW:
            return before.curvature
        speed = max((1.0 - before.state[SLIP]) * rim, SLOW)
        seen = min(max((rate - before.state[BIAS]) / speed, -STEEPEST), STEEPEST)
        blend = 1.0 - math.exp(-speed * dt / SMOOTHED)
        return float(before.curvature + blend * (seen - before.curvature))

    def _begin(self, state: MachineState, heading: float, rate: float, rim: float) -> None:
        n = self._noise
        x = np.array([*state.base_position[:2], heading, 0.0, 0.0, 0.0, 0.0])
        spread = [n.fix, n.fix, n.heading, n.first_offset, n.first_bias, n.first_slip]
        P = np.diag(np.square([*spread, n.first_crab]))
        self._moments.append(_Moment(state.stamp, x, P, rate, rim, heading, 0.0))
        self._remember_fix(state)

    def _remember_fix(self, state: MachineState) -> None:
        self._last_fix = state.base_position.copy()
        stamp = state.base_stamp
        self._fix_stamp = stamp if math.isfinite(stamp) else state.stamp

    def _take_fix(self, state: MachineState) -> None:
        """Use the state's position if it is a new one and not too old."""
        fix = state.base_position
        stamp = state.base_stamp if math.isfinite(state.base_stamp) else state.stamp
        if not np.isfinite(fix[:2]).all() or stamp <= self._fix_stamp + 1e-9:
            return
        if not math.isfinite(state.base_stamp) and np.array_equal(fix, self._last_fix):
            return
        if stamp < self._moments[0].stamp:
            return
        self._remember_fix(state)
        # The last moment that is not younger than the fix.
        i = len(self._moments) - 1
        while i > 0 and self._moments[i].stamp > stamp:
            i -= 1
        later = self._moments[i]
        x, P = later.state, later.covariance
        then = self._moments[min(i + 1, len(self._moments) - 1)]
        x, P = self._predict(x, P, stamp - later.stamp, then)
        x, P = self._correct(x, P, fix)
        if i == len(self._moments) - 1:
            later.state, later.covariance = self._predict(x, P, later.stamp - stamp, later)
            return
        start = stamp
        for k in range(i + 1, len(self._moments)):
            moment = self._moments[k]
            x, P = self._predict(x, P, moment.stamp - start, moment)
            x, P = self._turn_to(x, P, moment.heading)
            moment.state, moment.covariance = x, P
            start = moment.stamp

    def _propagate(self, k: int) -> None:
        before, moment = self._moments[k - 1], self._moments[k]
        x, P = self._predict(before.state, before.covariance, moment.stamp - before.stamp, moment)
        moment.state, moment.covariance = self._turn_to(x, P, moment.heading)

    def _predict(self, x: Array, P: Array, dt: float, moment: _Moment) -> tuple[Array, Array]:
        """Carry the state over dt with the inputs of a moment."""
        if dt <= 0.0:
            return x, P
        rim, k = moment.rim, moment.curvature
        turned = (moment.rate - x[BIAS]) * dt
        middle = x[HEADING] + turned / 2 + x[OFFSET] + x[CRAB] * k
        c, s = math.cos(middle), math.sin(middle)
        way = (1.0 - x[SLIP]) * rim * dt
        out = x.copy()
        out[X] += way * c
        out[Y] += way * s
        out[HEADING] += turned
        F = np.eye(7)
        aside = np.array([-way * s, way * c])
        F[:2, HEADING] = F[:2, OFFSET] = aside
        F[:2, BIAS] = -aside * dt / 2
        F[:2, CRAB] = aside * k
        F[X, SLIP], F[Y, SLIP] = -rim * dt * c, -rim * dt * s
        F[HEADING, BIAS] = -dt
        Q = self._growth * dt
        if abs(rim) < 0.05:
            # Nothing is learnt or forgotten of the ground while standing.
            Q = Q * STANDING
        return out, F @ P @ F.T + np.diag(Q)

    def _turn_to(self, x: Array, P: Array, heading: float) -> tuple[Array, Array]:
        """Correct by a measured heading."""
        if not math.isfinite(heading):
            return x, P
        error = (heading - x[HEADING] + math.pi) % (2 * math.pi) - math.pi
        h = P[:, HEADING]
        gain = h / (h[HEADING] + self._noise.heading**2)
        return x + gain * error, P - np.outer(gain, h)

    def _correct(self, x: Array, P: Array, fix: Array) -> tuple[Array, Array]:
        """Correct by a position; one that is far off only if it keeps being there."""
        noise = self._noise
        S = P[:2, :2] + noise.fix**2 * np.eye(2)
        miss = fix[:2] - x[:2]
        inverse = np.linalg.inv(S)
        if miss @ inverse @ miss > noise.gate**2:
            self._refused += 1
            if self._refused < noise.patience:
                return x, P
            P = P.copy()
            P[:2, :2] += float(miss @ miss) * np.eye(2)
            inverse = np.linalg.inv(P[:2, :2] + noise.fix**2 * np.eye(2))
        self._refused = 0
        gain = P[:, :2] @ inverse
        P = P - gain @ P[:2, :]
        return x + gain @ miss, (P + P.T) / 2

    def _estimate(self) -> Estimate:
        m = self._moments[-1]
        x = m.state
        return Estimate(
            x=float(x[X]),
            y=float(x[Y]),
            course=float(x[HEADING] + x[OFFSET] + x[CRAB] * m.curvature),
            heading=float(x[HEADING]),
            yaw_rate=float(m.rate - x[BIAS]),
            speed=float((1.0 - x[SLIP]) * m.rim),
            slip=float(x[SLIP]),
            sigma=float(math.sqrt(max(m.covariance[X, X], m.covariance[Y, Y]))),
            age=float(m.stamp - self._fix_stamp),
        )
