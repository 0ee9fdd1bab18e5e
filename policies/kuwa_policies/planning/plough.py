"""Ploughing: shares at their depth in the rows, up between them, less deep where slip grows.

The task's ``path`` is the way of the machine's origin, the middle of its rear axle, and ``depth``
the mean depth of the shares below the ground just ahead of them. With a rectangle the parts of the
path inside it are the rows, and the machine turns between them by itself; without one the whole
path is ploughed. The plough is down from where its first share enters a row to where its last one
leaves it.
"""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.chain import Chain
from kuwa_machines.contracts import HeightMap, MachineState, Task
from kuwa_machines.errors import KuwaError, MachineError
from kuwa_machines.followers import TopLink
from kuwa_machines.spec import MachineSpec, Plough, Wheels
from kuwa_policies.guidance.footing import Stance
from kuwa_policies.guidance.ground import below, follow
from kuwa_policies.guidance.route import Limits
from kuwa_policies.guidance.steering import SUBSTEP, RollOut
from kuwa_policies.planning.wheeled import DrivenPlanner

AHEAD = 0.3
"""Before a share, where the ground is not lifted yet [m]."""
ROW_RADIUS = 25.0
"""A plough in the ground holds a machine on its course: no tighter curves [m]."""
RATE = 0.8
"""Share of the lift's speed."""
RUT_EDGE = 0.15
"""A rut reaches this far beside its tyre, with the cells of the map [m]."""
TABLE = 120
ENGAGED = 0.2
"""A plough deeper than this share of its depth drags."""
SUNK = 0.06
"""A machine's origin is about this far below the ground: its tyres give and sink [m]."""
SLIP_LIMIT, SLIP_GAIN, SHALLOWER = 0.35, 0.4, 0.08
"""Above this slip the plough is raised by this for each unit of slip, at most so far [1, m, m]."""


class PloughPlanner(DrivenPlanner):
    """A :class:`kuwa_machines.contracts.Planner` for the task ``plough``."""

    KIND = "plough"

    def __init__(self, spec: MachineSpec) -> None:
        super().__init__(spec)
        if not isinstance(spec.tool, Plough):
            raise MachineError(f"{spec.name}: its tool is a {spec.tool.type}; expected a plough")
        tool = spec.tool
        chain = Chain(spec, tool.link)
        lifts = {
            p.follows.joint for p in spec.passive_joints.values() if isinstance(p.follows, TopLink)
        }
        lift = [name for name in chain.names if name in lifts]
        if len(lift) != 1:
            raise MachineError(f"{spec.name}: {len(lift)} joints lift its plough; expected one")
        self._lift = spec.joint_names.index(lift[0])
        limits = spec.joints[lift[0]].position
        self._angles = np.linspace(limits.min, limits.max, TABLE)
        q = np.tile(spec.home, (TABLE, 1))
        q[:, self._lift] = self._angles
        k = np.arange(tool.bodies)[:, None]
        shares = np.array(tool.first) + k * np.array([-tool.spacing, tool.cut_width, 0.0])
        self._shares = np.stack([chain.place(q, share) for share in shares], axis=1)
        """Of the shares' points in the machine's frame, by lift angle: (TABLE, bodies, 3) [m]."""
        self._up = spec.joints[lift[0]].home
        self._rate = RATE * spec.joints[lift[0]].velocity
        along = -self._shares[..., 0].mean(axis=0)
        self.first, self.last = float(along.min()), float(along.max())
        """How far the first and the last share are behind the machine's origin [m]."""
        under = spec.undercarriage
        assert isinstance(under, Wheels)
        self._untrodden = (
            min(
                abs(Chain(spec, w.link).place(spec.home, (0.0, 0.0, 0.0))[1])
                - under.tyres[w.tyre].width / 2
                for w in under.wheels.values()
            )
            - RUT_EDGE
        )
        self.deepest = -float(self._shares[..., 2].mean(axis=1).min())

    def reset(self, task: Task) -> None:
        """Begin a task at the next step; see :meth:`DrivenPlanner.reset`."""
        super().reset(task)
        self._ref = math.nan
        self._old: tuple[float, Array, Array] | None = None

    def check(self, task: Task) -> None:
        """Refuse a depth that the hitch cannot reach."""
        if not 0.0 < task.depth <= self.deepest - 0.03:
            raise KuwaError(
                f"task depth {task.depth:g} m: the hitch of {self.spec.name} reaches down to "
                f"{self.deepest - 0.03:.2f} m"
            )
        self._depth = task.depth

    def working(self, state: MachineState) -> bool:
        """Return whether the shares are deeper than a share of the depth on level ground."""
        share = np.interp(state.q[self._lift], self._angles, self._shares[..., 2].mean(axis=1))
        return bool(share < SUNK - ENGAGED * self._depth)

    def limits(self, task: Task) -> Limits:
        """Return what the route must keep to."""
        return self.base_limits(task, ROW_RADIUS, self.last + 0.5)

    def tool(
        self, state: MachineState, terrain: HeightMap, roll_out: RollOut, stance: Stance,
        xy: tuple[Array, Array, Array],
    ) -> tuple[Array, str]:  # fmt: skip
        """Return the lift's angles, and whether the plough works."""
        n = len(roll_out.t)
        before = self._lift_before(state, roll_out)
        at_work = self._lift_for_depth(terrain, stance, xy, before)
        time_down = (self._up - float(at_work.min())) / self._rate
        # From the first share's entry to the last one's exit, and down in time for the entry.
        into = roll_out.s - self.first + roll_out.speed * time_down
        out_of = roll_out.s - self.last
        rows = self.route.rows
        down = np.any((into[:, None] >= rows[:, 0]) & (out_of[:, None] < rows[:, 1]), axis=1)
        goal = np.where(down, at_work, self._up)
        late = self.first_free(self._lift)
        lift = follow(before, goal, late, self._rate * SUBSTEP, self._angles[0], self._angles[-1])
        self._old = (roll_out.stamp, roll_out.t, lift)
        q = np.tile(self.spec.home, (n, 1))
        q[:, self._lift] = lift
        return q, "plough" if down[0] else "headland"

    def _lift_before(self, state: MachineState, roll_out: RollOut) -> Array:
        """Return what was decided before for the times of the roll-out."""
        if self._old is None:
            return np.full(len(roll_out.t), float(state.q[self._lift]))
        stamp, t, lift = self._old
        return np.interp(roll_out.t, t + stamp - roll_out.stamp, lift)

    def _lift_for_depth(
        self, terrain: HeightMap, stance: Stance, xy: tuple[Array, Array, Array], lift: Array
    ) -> Array:
        """Return the lift's angles that put the shares' mean at the depth below the ground."""
        k = np.clip(
            np.round(np.interp(lift, self._angles, np.arange(TABLE))).astype(int), 0, TABLE - 1
        )
        shares = self._shares[k]
        ahead = shares[..., :2] + np.array([AHEAD, 0.0])
        # The tyres press ruts beside the plough: the ground between them is what it was.
        ahead[..., 1] = np.clip(ahead[..., 1], -self._untrodden, self._untrodden)
        ground = below(terrain, *xy, ahead).mean(axis=1)
        assert self.estimate is not None
        eased = min(max(SLIP_GAIN * (self.estimate.slip - SLIP_LIMIT), 0.0), SHALLOWER)
        # The shares' mean is z − x sin(pitch) + z' cos(pitch), with x about as it was.
        behind = shares[..., 0].mean(axis=1)
        wanted = ground - self._depth + eased - stance.z + behind * np.sin(stance.pitch)
        heights = self._shares[..., 2].mean(axis=1)
        return np.interp(wanted / np.cos(stance.pitch), heights, self._angles)
