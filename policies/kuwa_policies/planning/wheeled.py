"""What the planners of driven machines share: place, route, steering and speed; the tool is theirs.

A planner of this kind is asked every ``PERIOD`` and answers with the machine's near future: wheels'
speeds, the steering's angle and, from the subclass, the joints of the tool.
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.contracts import HeightMap, MachineState, Plan, Task, Trajectory
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.guidance.estimate import Estimate
from kuwa_policies.guidance.footing import Footing, Stance
from kuwa_policies.guidance.localiser import Localiser
from kuwa_policies.guidance.route import Limits, Route, make_route
from kuwa_policies.guidance.steering import SUBSTEP, Helm, RollOut
from kuwa_policies.guidance.vehicle import Vehicle

PERIOD = 0.05
"""Between two chunks [s]."""
HORIZON = 2.5
"""Length of a chunk [s]."""
THINNED = 2
"""A chunk's knots are every this many steps of the roll-out."""
ARRIVED = 0.15
"""The route is at its end when no more than this is left of it [m]."""
ASTRAY = 0.3
"""With a place no surer than this the machine stops [m]."""
OFF_ROUTE = 3.0
"""A start further beside the route than this is refused [m]."""

SLIP_ANSWERED = 0.15
"""Wheels turn faster to make up for this much slip; beyond it more speed only digs them in, and
the machine may slow down instead."""
SLIP_ALLOWED, EASING, SLOWEST = 0.2, 3.0, 0.4
"""Above this slip a machine slows by this for each unit of slip, at most to this share."""
RECOVERY = 6.0
"""Time in which the pace would grow from nothing to all [s]."""
TURN_SPEED = 1.4
"""[m/s]"""
TURN_RATE = 0.6
"""Share of the steering's speed that turns are planned with."""
TURN_RADIUS = 1.1
"""Turns are planned with radii this much larger than the smallest."""
ROUTE_ACCELERATION = 0.5
"""[m/s²]"""


class DrivenPlanner:
    """Base of the planners of steered machines on wheels.

    Args:
        spec: the machine.
    """

    period = PERIOD
    KIND = ""

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = spec
        self.vehicle = Vehicle.from_spec(spec)
        self._task: Task | None = None

    def reset(self, task: Task) -> None:
        """Begin a task at the next step.

        Raises:
            KuwaError: another kind of task, or one that makes no sense for the machine.
        """
        if task.kind != self.KIND:
            raise KuwaError(
                f"task kind {task.kind!r}: {self.spec.name} knows no such task; valid: {self.KIND}"
            )
        if not 0.1 <= task.speed <= 0.9 * self.vehicle.top_speed:
            raise KuwaError(
                f"task speed {task.speed:g} m/s: {self.spec.name} works at 0.1 to "
                f"{0.9 * self.vehicle.top_speed:.1f} m/s"
            )
        self.check(task)
        self.route: Route = make_route(task, self.limits(task))
        self._task = task
        self.localiser = Localiser(self.vehicle)
        self.helm = Helm(self.vehicle, self.route, HORIZON, PERIOD)
        self.footing = Footing(self.spec)
        self.estimate: Estimate | None = None
        self._begun = False
        self._pace, self._paced = 1.0, np.nan

    def check(self, task: Task) -> None:
        """Refuse a task whose tool part makes no sense."""

    def limits(self, task: Task) -> Limits:
        """Return what the route must keep to."""
        raise NotImplementedError

    def working(self, state: MachineState) -> bool:
        """Return whether the tool is in the ground, so that it drags."""
        return False

    def tool(
        self, state: MachineState, terrain: HeightMap, roll_out: RollOut, stance: Stance,
        xy: tuple[Array, Array, Array],
    ) -> tuple[Array, str]:  # fmt: skip
        """Return joint positions over the roll-out, shape (K, n), and the phase in words.

        Wheels and steering are filled in afterwards.

        Args:
            stance: along the roll-out. xy: x, y and heading of the origin along it.
        """
        raise NotImplementedError

    def step(self, state: MachineState, terrain: HeightMap) -> Plan:
        """Return the next chunk; none while the place or the joints are unknown.

        Raises:
            KuwaError: no task, or the machine stands far from the beginning of its route.
        """
        if self._task is None:
            raise KuwaError(f"the planner of {self.spec.name} has no task; call reset(task) first")
        joints_known = bool(np.isfinite(state.q).all() and np.isfinite(state.qd).all())
        estimate = self.localiser.update(state)
        if estimate is None or not joints_known:
            return Plan(None, "blind", 1, False)
        self.estimate = estimate
        lost = estimate.sigma > ASTRAY
        steer = float(state.q[self.vehicle.steering])
        pace = 0.0 if lost else self._ease(estimate, state.stamp)
        working = self.working(state)
        self.localiser.engage(working)
        roll_out = self.helm.plan(estimate, state.stamp, steer, pace, working)
        if not self._begun:
            self._begin()
        self.footing.observe(state, terrain, estimate.x, estimate.y)
        xy = self._places(roll_out, estimate)
        stance = self.footing.stance(terrain, *xy)
        q, phase = self.tool(state, terrain, roll_out, stance, xy)
        done = self.helm.s >= self.route.length - ARRIVED
        if done:
            phase = "done"
        elif lost:
            phase = "lost"
        cycle = max(self.route.row_at(self.helm.s), 1)
        return Plan(self._chunk(roll_out, q, estimate), phase, cycle, done)

    def _ease(self, estimate: Estimate, stamp: float) -> float:
        """Return the pace: slower while the wheels slip, since draft grows with the speed."""
        excess = EASING * (estimate.slip - SLIP_ALLOWED) if estimate.speed > 0.5 else 0.0
        goal = 1.0 - min(max(excess, 0.0), 1.0 - SLOWEST)
        dt = stamp - self._paced if np.isfinite(self._paced) else 0.0
        self._paced = stamp
        # Down at once, up again slowly: the ground that took the grip goes on for a while.
        self._pace = min(goal, self._pace + dt / RECOVERY)
        return self._pace

    def _begin(self) -> None:
        self._begun = True
        if abs(self.helm.error) > OFF_ROUTE:
            assert self._task is not None
            self._task = None
            raise KuwaError(
                f"{self.spec.name} stands {abs(self.helm.error):.1f} m beside the beginning of its "
                f"path; at most {OFF_ROUTE:g} m"
            )

    def _places(self, roll_out: RollOut, estimate: Estimate) -> tuple[Array, Array, Array]:
        route, s = self.route, roll_out.s
        yaw = route.sample(s, route.yaw)
        x = route.sample(s, route.x) - roll_out.e * np.sin(yaw)
        y = route.sample(s, route.y) + roll_out.e * np.cos(yaw)
        # The machine runs on its course; the heading differs from it by the crab angle.
        return x, y, yaw + estimate.heading - estimate.course

    def _chunk(self, roll_out: RollOut, q: Array, estimate: Estimate) -> Trajectory:
        vehicle = self.vehicle
        q[:, vehicle.steering] = roll_out.steer
        h = roll_out.t[1] - roll_out.t[0]
        qd = np.gradient(q, h, axis=0)
        slip = min(max(estimate.slip, 0.0), SLIP_ANSWERED)
        turning = vehicle.wheel_speeds(roll_out.speed / (1.0 - slip), roll_out.curvature)
        q[:, vehicle.wheels] = 0.0
        qd[:, vehicle.wheels] = turning
        keep = slice(None, None, THINNED)
        return Trajectory(roll_out.stamp, roll_out.t[keep], q[keep], qd[keep])

    def first_free(self, joint: int) -> int:
        """Return the first knot of a roll-out at which a joint's plan can still be changed."""
        valve = self.spec.joints[self.spec.joint_names[joint]].drive.valve
        return int((valve.dead_time + valve.time_constant + PERIOD) / SUBSTEP) + 1

    def base_limits(self, task: Task, row_radius: float, reach: float) -> Limits:
        """Return limits from the machine's steering.

        Args:
            row_radius: smallest radius at work [m]. reach: see :class:`Limits`.
        """
        vehicle = self.vehicle
        turn_speed = min(task.speed, TURN_SPEED)
        # dκ/dℓ = κ'(q) q̇/v, with κ' least where the wheels stand straight.
        sharpness = TURN_RATE * vehicle.steering_rate / (vehicle.wheelbase * turn_speed)
        return Limits(
            row=max(row_radius, vehicle.min_radius),
            turn=TURN_RADIUS * vehicle.min_radius,
            sharpness=sharpness,
            row_speed=task.speed,
            turn_speed=turn_speed,
            acceleration=ROUTE_ACCELERATION,
            reach=reach,
        )
