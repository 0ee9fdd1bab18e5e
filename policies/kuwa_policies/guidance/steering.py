"""How to steer onto a route: the machine rolled ahead through its steering's dead time and beyond.

In the frame of the route, with cross-track error e, course error θ and curvature κ of the machine,
κ_p of the route:

    ṡ = v cos θ/(1 − κ_p e)    ė = v sin θ    θ̇ = v κ − κ_p ṡ    σ dκ/dℓ = g κ(q) + κ_0 − κ

σ is the way over which tyres build up their side force; g is what slip and a tool in the ground
leave of the geometry's curvature κ(q), and κ_0 what they add. Both are learnt while driving. Until
the dead time is over the steering does what was decided before; from then on

    g κ(q) + κ_0 = κ_p cos θ/(1 − κ_p e) − 2 ζ ω (sin θ + clip(ω e/(2 ζ)))

makes e a damped oscillation e″ + 2 ζ ω e′ + ω² e = 0 over the way ℓ, within the steering's speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.arrays import Array
from kuwa_policies.guidance.answer import AT_WORK, Answer
from kuwa_policies.guidance.estimate import Estimate
from kuwa_policies.guidance.route import Route
from kuwa_policies.guidance.smoothing import STEP
from kuwa_policies.guidance.vehicle import Vehicle

SUBSTEP = 0.05
"""Of the roll-out [s]."""
SMOOTHED = 1.0 - math.exp(-SUBSTEP / 0.12)
"""Share of what is wanted that a step of the plan turns the steering by: a plan that jumped where
the dead time ends would be in part carried out before the next one comes."""
SLOW = 0.3
"""Nothing is learnt below this speed [m/s]."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Of :class:`Helm`.

    Args:
        omega: [1/m]. zeta: [1]. approach: greatest course error on the way back to the route,
            its sine. relaxation: σ [m].
        rate: share of the steering's speed. acceleration: share of the wheels'.
    """

    omega: float = 0.45
    zeta: float = 0.9
    approach: float = 0.5
    relaxation: float = 0.6
    rate: float = 0.85
    acceleration: float = 0.5


@dataclass(frozen=True, slots=True)
class RollOut:
    """The machine's near future, arrays of shape (K,).

    Args:
        t: [s] from the stamp. steer: the joint [rad]. s: along the route [m]. e: beside it [m].
        speed: [m/s]. curvature: of the way, as the wheels turn [1/m].
    """

    stamp: float
    t: Array
    steer: Array
    s: Array
    e: Array
    speed: Array
    curvature: Array


class Helm:
    """Steers one machine along one route.

    Args:
        vehicle: the machine. route: where to go. horizon: length of a roll-out [s].
        period: between two roll-outs [s].
    """

    def __init__(
        self,
        vehicle: Vehicle,
        route: Route,
        horizon: float,
        period: float,
        tuning: Tuning | None = None,
    ) -> None:
        self._vehicle, self._route = vehicle, route
        self._tuning = tuning or Tuning()
        self._dead = vehicle.dead_time + period
        self._count = round(horizon / SUBSTEP) + 1
        self._t = np.asarray(np.arange(self._count) * SUBSTEP, dtype=np.float64)
        self._before: RollOut | None = None
        self._stamp = math.nan
        self._felt = self._curvature = 0.0
        self._answers = {False: Answer(), True: Answer(AT_WORK)}
        self.answer = self._answers[False]
        self.s = 0.0
        """Where the machine is along the route [m]."""
        self.error = 0.0
        """And beside it, positive to the left [m]."""

    def plan(
        self, estimate: Estimate, stamp: float, steer: float, pace: float = 1.0,
        working: bool = False,
    ) -> RollOut:  # fmt: skip
        """Return the near future from an estimate.

        Args:
            steer: measured angle of the steering joint [rad].
            pace: share of the route's speed to drive at; at 0 the machine comes to a stop.
            working: the tool is in the ground, where the machine answers otherwise.
        """
        self.answer = self._answers[working]
        route, vehicle, tuning = self._route, self._vehicle, self._tuning
        self.s, self.error = route.project(estimate.x, estimate.y, self.s)
        theta = estimate.course - float(route.sample(self.s, route.yaw))
        theta = (theta + math.pi) % (2 * math.pi) - math.pi
        self._observe(estimate, stamp, steer)
        out = np.zeros((5, self._count))
        before = self._before
        if before is None:
            old_t, old_q, speed = np.zeros(1), np.array([steer]), 0.0
        else:
            old_t = before.t + before.stamp - stamp
            old_q = before.steer
            speed = float(np.interp(0.0, old_t, before.speed))
        _roll(
            route.curvature, route.speed, self.s, self.error, theta, speed, self._curvature,
            self.answer.gain, self.answer.offset, old_t, old_q, self._dead, pace,
            vehicle.wheelbase, vehicle.gauge, vehicle.left, vehicle.right,
            tuning.rate * vehicle.steering_rate, tuning.acceleration * vehicle.acceleration,
            tuning.omega, tuning.zeta, tuning.approach, tuning.relaxation, out,
        )  # fmt: skip
        self._before = RollOut(stamp, self._t, *out)
        return self._before

    def _observe(self, estimate: Estimate, stamp: float, steer: float) -> None:
        """Learn what curvature comes of the steering, which follows over the relaxation length."""
        dt = stamp - self._stamp if math.isfinite(self._stamp) else 0.0
        self._stamp = stamp
        way = max(estimate.speed, 0.0) * dt
        if way <= 0.0 or estimate.speed < SLOW:
            return
        blend = 1.0 - math.exp(-way / self._tuning.relaxation)
        self._felt += blend * (float(self._vehicle.curvature(steer)) - self._felt)
        self._curvature = self.answer.learn(self._felt, estimate.yaw_rate / estimate.speed, way)


@njit(cache=True)
def _at(s: float, values: Any) -> Any:
    """A route's value at arc length s, linear, held at the ends."""
    u = s / STEP
    last = values.shape[0] - 1
    if u <= 0.0:
        return values[0]
    if u >= last:
        return values[last]
    k = int(u)
    return values[k] + (u - k) * (values[k + 1] - values[k])


@njit(cache=True)
def _roll(
    route_curvature: Any, route_speed: Any, s: float, e: float, theta: float, speed: float,
    curvature: float, gain: float, offset: float, old_t: Any, old_q: Any, dead: float, pace: float,
    wheelbase: float, gauge: float, left: float, right: float, rate: float, acceleration: float,
    omega: float, zeta: float, approach: float, relaxation: float, out: Any,
) -> None:  # fmt: skip
    """See the module. Writes steer, s, e, speed and geometric curvature, shape (5, K)."""
    q = np.interp(0.0, old_t, old_q)
    last = route_curvature.shape[0] - 1
    for i in range(out.shape[1]):
        t = i * SUBSTEP
        bend = _at(s, route_curvature)
        along = math.cos(theta) / max(1.0 - bend * e, 0.2)
        if t <= dead:
            q = np.interp(t, old_t, old_q)
        else:
            back = min(max(0.5 * omega * e / zeta, -approach), approach)
            want = bend * along - 2.0 * zeta * omega * (math.sin(theta) + back)
            want = min(max((want - offset) / gain, -right), left)
            # Past half a turn away from the route the sine would call it right.
            if abs(theta) > 1.6:
                want = -right if theta > 0.0 else left
            goal = math.atan2(want * wheelbase, 1.0 - 0.5 * gauge * want)
            step = rate * SUBSTEP
            q += min(max((goal - q) * SMOOTHED, -step), step)
        tangent = math.tan(q)
        geometric = tangent / (wheelbase + 0.5 * gauge * tangent)
        out[0, i], out[1, i], out[2, i] = q, s, e
        out[3, i], out[4, i] = speed, geometric
        step = acceleration * SUBSTEP
        allowed = 0.0 if s >= last * STEP else pace * _at(s, route_speed)
        speed = min(max(allowed, speed - step), speed + step)
        way = speed * SUBSTEP
        curvature += (gain * geometric + offset - curvature) * (1.0 - math.exp(-way / relaxation))
        theta += way * curvature - bend * along * way
        e += way * math.sin(theta)
        s += way * along
