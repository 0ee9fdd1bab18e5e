"""Spraying: the boom level with the ground below it, at its height, from the ground ahead.

The task's ``path`` is the way of the machine's origin, ``height`` that of the nozzles above the
ground. The lift carries the whole boom; its tilt goes through the roll joint and a suspension

    I φ″ = k (ρ − φ) + c (ρ′ − φ′)        ρ = roll of the machine + roll joint

which nothing measures: the boom's roll φ is modelled along with the machine. The roll joint is
led by the best plan over the horizon in the sense of least squares, φ near the ground's slope and
the joint slow, which is one matrix for all times.
"""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.chain import Chain
from kuwa_machines.contracts import HeightMap, MachineState, Task
from kuwa_machines.errors import KuwaError, MachineError
from kuwa_machines.followers import TopLink
from kuwa_machines.kinematics import rotation
from kuwa_machines.spec import MachineSpec, SprayerBoom
from kuwa_policies.guidance.footing import Stance
from kuwa_policies.guidance.ground import below, follow
from kuwa_policies.guidance.route import Limits
from kuwa_policies.guidance.steering import SUBSTEP, RollOut
from kuwa_policies.guidance.suspension import Suspension
from kuwa_policies.planning.wheeled import HORIZON, DrivenPlanner

TABLE = 120
RATE = 0.8
"""Share of the joints' speeds."""
EFFORT = 0.15
"""Weight of the roll joint's speed against the error of the boom's roll [s]."""
ROW_RADIUS = 12.0
"""A wide boom whips in tighter curves [m]."""
SPARE = 0.01
"""Plans keep this far from the joints' limits [rad]."""


class SprayPlanner(DrivenPlanner):
    """A :class:`kuwa_machines.contracts.Planner` for the task ``spray``."""

    KIND = "spray"

    def __init__(self, spec: MachineSpec) -> None:
        super().__init__(spec)
        if not isinstance(spec.tool, SprayerBoom):
            raise MachineError(f"{spec.name}: its tool is a {spec.tool.type}; expected a boom")
        chain = Chain(spec, spec.tool.link)
        lifts = {
            p.follows.joint for p in spec.passive_joints.values() if isinstance(p.follows, TopLink)
        }
        lift = [n for n in chain.names if n in lifts]
        rolls = [n for n in chain.names if n in spec.joints and spec.joints[n].axis == "x"]
        if len(lift) != 1 or len(rolls) != 1:
            raise MachineError(
                f"{spec.name}: {len(lift)} joints lift and {len(rolls)} tilt its boom; expected "
                "one each"
            )
        self._lift, self._roll = (spec.joint_names.index(n) for n in (lift[0], rolls[0]))
        limits = spec.joints[lift[0]].position
        self._angles = np.linspace(limits.min, limits.max, TABLE)
        q = np.tile(spec.home, (TABLE, 1))
        q[:, self._lift] = self._angles
        self._middle = chain.place(q, (0.0, 0.0, 0.0))
        """Of the boom's middle in the machine's frame, by lift angle: (TABLE, 3) [m]."""
        points = [Chain(spec, p.link).place(spec.home, p.at) for p in spec.tool.points.values()]
        centre = chain.place(spec.home, (0.0, 0.0, 0.0))
        self._across = np.array([p[1] for p in points])
        self._above = float(np.mean([p[2] for p in points]) - centre[2])
        self._suspension = Suspension.from_spec(spec, chain)

    def reset(self, task: Task) -> None:
        """Begin a task at the next step; see :meth:`DrivenPlanner.reset`."""
        super().reset(task)
        self._old: tuple[float, Array, Array, Array] | None = None
        self._stamp = math.nan
        self._carrier = 0.0
        count = round(HORIZON / SUBSTEP) + 1
        self._free, self._forced = self._suspension.response(count, SUBSTEP)
        self._late = np.arange(count) >= self.first_free(self._roll)
        # min |A q + b|² + |w D q|² over the part of the plan that can still be changed.
        D = (np.eye(count, k=1) - np.eye(count))[:-1] / SUBSTEP
        A = self._forced[:, self._late]
        self._D = D
        D_late = D[:, self._late]
        self._solve = np.linalg.inv(A.T @ A + EFFORT**2 * D_late.T @ D_late)
        self._gain = self._solve @ A.T
        self._gain_d = self._solve @ D_late.T * EFFORT**2

    def check(self, task: Task) -> None:
        """Refuse a height that the lift cannot reach."""
        z = self._middle[:, 2] + self._above
        if not z[0] + 0.1 <= task.height <= z[-1] - 0.1:
            raise KuwaError(
                f"task height {task.height:g} m: the lift of {self.spec.name} carries its boom at "
                f"{z[0] + 0.1:.2f} to {z[-1] - 0.1:.2f} m"
            )
        self._height = task.height

    def limits(self, task: Task) -> Limits:
        """Return what the route must keep to."""
        return self.base_limits(task, ROW_RADIUS, -float(self._middle[:, 0].min()))

    def tool(
        self, state: MachineState, terrain: HeightMap, roll_out: RollOut, stance: Stance,
        xy: tuple[Array, Array, Array],
    ) -> tuple[Array, str]:  # fmt: skip
        """Return the angles of lift and roll joint."""
        n = len(roll_out.t)
        lift_before, roll_before = self._decided(state, roll_out)
        level, slope = self._ground_below(terrain, lift_before, xy)
        self._follow_boom(state)
        carrier = self._carrier_ahead(state, stance)
        goal = self._lift_for(level + self._height - self._above, stance, lift_before)
        lift = self._limited(lift_before, goal, self._lift)
        roll = roll_before.copy()
        known = np.where(self._late, 0.0, roll_before)
        wanted = np.arctan(slope) - self._free @ self._suspension.state
        rest = wanted - self._forced @ (carrier + known)
        roll[self._late] = self._gain @ rest - self._gain_d @ (self._D @ known)
        roll = self._limited(roll_before, roll, self._roll)
        self._old = (roll_out.stamp, roll_out.t, lift, roll)
        q = np.tile(self.spec.home, (n, 1))
        q[:, self._lift], q[:, self._roll] = lift, roll
        return q, "spray"

    def _decided(self, state: MachineState, roll_out: RollOut) -> tuple[Array, Array]:
        if self._old is None:
            n = len(roll_out.t)
            return np.full(n, state.q[self._lift]), np.full(n, state.q[self._roll])
        stamp, t, lift, roll = self._old
        at = roll_out.t + roll_out.stamp - stamp
        return np.interp(at, t, lift), np.interp(at, t, roll)

    def _limited(self, before: Array, goal: Array, joint: int) -> Array:
        """Follow a goal within the joint's speed and range once its dead time is over."""
        spec = self.spec
        return follow(
            before, goal, self.first_free(joint), RATE * spec.qd_max[joint] * SUBSTEP,
            spec.q_min[joint] + SPARE, spec.q_max[joint] - SPARE,
        )  # fmt: skip

    def _ground_below(
        self, terrain: HeightMap, lift: Array, xy: tuple[Array, Array, Array]
    ) -> tuple[Array, Array]:
        """Return height and slope to the left of the line through the ground below the boom."""
        side = self._across
        points = np.empty((len(lift), len(side), 2))
        points[..., 0] = np.interp(lift, self._angles, self._middle[:, 0])[:, None]
        points[..., 1] = side
        ground = below(terrain, *xy, points)
        return ground.mean(axis=1), (ground * side).sum(axis=1) / (side**2).sum()

    def _follow_boom(self, state: MachineState) -> None:
        """Advance the model of the boom by what carried it since the last step."""
        carrier = self._measured_roll(state) + float(state.q[self._roll])
        if math.isfinite(self._stamp) and state.stamp > self._stamp:
            dt = state.stamp - self._stamp
            rate = (carrier - self._carrier) / dt
            self._suspension.advance((carrier + self._carrier) / 2, rate, dt)
        elif not math.isfinite(self._stamp):
            self._suspension.state[:] = (carrier, 0.0)
        self._stamp, self._carrier = state.stamp, carrier

    def _measured_roll(self, state: MachineState) -> float:
        if not np.isfinite(state.base_quaternion_wxyz).all():
            return self._carrier
        R = rotation(state.base_quaternion_wxyz)
        return math.atan2(R[2, 1], R[2, 2]) - self.footing.roll_error

    def _carrier_ahead(self, state: MachineState, stance: Stance) -> Array:
        """Return the machine's roll over the horizon: as the map has it, from where it is now."""
        now = self._measured_roll(state) - stance.roll[0]
        t = np.arange(len(stance.roll)) * SUBSTEP
        return np.asarray(stance.roll + now * np.exp(-t / 0.5))

    def _lift_for(self, height: Array, stance: Stance, lift: Array) -> Array:
        """Return the lift's angles that carry the boom's middle at heights [m]."""
        # The middle is at z − x sin(pitch) + z' cos(pitch), with x about as it was.
        behind = np.interp(lift, self._angles, self._middle[:, 0])
        wanted = height - stance.z + behind * np.sin(stance.pitch)
        return np.interp(wanted / np.cos(stance.pitch), self._middle[:, 2], self._angles)
