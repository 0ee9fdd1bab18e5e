"""The expert of a machine with a dozer blade: drives its passes and leads the edge."""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, MachineState, Plan, Task, Trajectory
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import MachineSpec
from kuwa_policies.planning.blade.edge import DENSITY, BladeEdge
from kuwa_policies.planning.blade.load import LoadControl
from kuwa_policies.planning.blade.passes import Job, Level, Pass, Push
from kuwa_policies.planning.blade.route import back_way, lane_way
from kuwa_policies.planning.blade.surface import Surface
from kuwa_policies.planning.driving.pose import Pose, PoseFilter
from kuwa_policies.planning.driving.skid import SkidSteer
from kuwa_policies.planning.driving.steer import Driver, Turn, Way

PERIOD = 0.05
"""Between two chunks [s]."""
CARRY = 0.35
"""Height of the edge over the surface while it only drives [m]."""
CLEAR = 0.22
"""The edge must be this high before the machine backs away [m]."""
LIFT_TIME = 3.0
"""It backs away after this in any case [s]."""
DOWN = 1.0
"""The edge comes down over this way before a pass begins to count [m]."""
BACK_SPEED = 1.3
"""While driving back [m/s]."""
ALIGN = math.radians(10)
SHARE = 0.8
"""Share of the joints' speeds that a plan may use."""
IDLE = 0.02
"""Joints of a blade that only drives along are left alone within this [rad]."""


class Dozer:
    """A :class:`kuwa_machines.contracts.Planner` for ``level`` and ``push``.

    Args:
        spec: the machine.

    Raises:
        MachineError: it has no blade that can be lifted, or no driven tracks.
    """

    period = PERIOD
    KINDS = ("level", "push")

    def __init__(self, spec: MachineSpec) -> None:
        self._spec = spec
        self._edge = BladeEdge(spec)
        self._skid = SkidSteer.from_spec(spec)
        self._filter = PoseFilter(self._skid)
        self._driver = Driver(self._skid)
        self._load = LoadControl(self._edge.capacity)
        valves = [list(spec.joints.values())[j].drive.valve for j in self._edge.joints]
        self._lead = max(v.dead_time + v.time_constant for v in valves)
        """The joints of the blade answer so late [s]."""
        self._task: Task | None = None
        self._job: Job | None = None
        self._pass: Pass | None = None
        self._goal: Way | None = None
        self._turn: Turn | None = None
        self._begun: Way | None = None
        self._phase, self._passes = "start", 0

    def reset(self, task: Task) -> None:
        """Begin a task at the next step.

        Raises:
            KuwaError: another kind of task, or numbers that make no sense.
        """
        if task.kind not in self.KINDS:
            raise KuwaError(
                f"task kind {task.kind!r}: no such skill; {choices(task.kind, self.KINDS)}"
            )
        for name in ("length", "width", "tolerance", "speed"):
            value = getattr(task, name)
            if not (math.isfinite(value) and value > 0.0):
                raise KuwaError(f"task {name} is {value}; {task.kind} needs one above 0")
        for name in ("x", "y", "yaw", "depth", "slope", "spoil_x", "spoil_y"):
            if not math.isfinite(getattr(task, name)):
                raise KuwaError(f"task {name} is {getattr(task, name)}; it must be finite")
        self._task = task
        self._job = None

    def step(self, state: MachineState, terrain: HeightMap) -> Plan:
        """Return the next chunk.

        Raises:
            KuwaError: no task, a state that is not finite at the start, or a rectangle off the map.
        """
        if self._task is None:
            raise KuwaError("the planner has no task; call reset(task) first")
        pose = self._begin(state, terrain) if self._job is None else self._filter.update(state)
        self._think(state, pose, terrain)
        goal = None if pose.lost else self._aligned(pose)
        t, sprockets, still = self._driver.step(state.stamp, pose, goal)
        if still and goal is not None:
            if self._turn is not None:
                self._turn = None
            else:
                self._goal = None
        trajectory = self._chunk(state, pose, t, sprockets)
        phase = "lost" if pose.lost else "turn" if isinstance(goal, Turn) else self._phase
        return Plan(trajectory, phase, max(self._passes, 1), self._phase == "done")

    def _begin(self, state: MachineState, terrain: HeightMap) -> Pose:
        task = self._task
        assert task is not None
        self._filter.reset()
        self._driver.reset()
        self._load.reset()
        pose = self._filter.update(state)
        surface = Surface.of_task(task, terrain)
        tool = self._edge.tool
        if task.kind == "level":
            # Along the rectangle's length, in the sense in which the machine stands.
            surface = surface.turned(0 if math.cos(surface.yaw - pose.yaw) >= 0.0 else 2)
            self._job = Level(task, surface, tool.width)
        else:
            along, across = surface.frame(task.spoil_x, task.spoil_y)
            towards = math.atan2(float(across) / surface.width, float(along) / surface.length)
            surface = surface.turned(round(towards / (math.pi / 2)))
            self._job = Push(task, surface, tool.width, self._edge.capacity / DENSITY)
        self._surface = surface
        self._speed = min(task.speed, self._skid.top_speed)
        self._pass = self._goal = self._turn = self._begun = None
        self._phase, self._passes, self._since = "start", 0, state.stamp
        self._q = state.q.copy()
        self._led = (np.array([state.stamp]), self._q[None])
        self._last = state.stamp
        self._asked = 0.0
        return pose

    # What to do next -------------------------------------------------------------------------

    def _think(self, state: MachineState, pose: Pose, terrain: HeightMap) -> None:
        if self._goal is not None or self._phase == "done":
            return
        assert self._job is not None
        now = state.stamp
        if self._phase in ("start", "lift"):
            waited = now - self._since
            if self._clearance(state, pose) < CLEAR and waited < LIFT_TIME:
                return
            self._pass = self._job.next(terrain, pose.position)
            self._surface = self._job.surface
            if self._pass is None:
                self._phase = "done"
                return
            self._passes += 1
            self._phase = "back"
            self._goal = back_way(self._surface, self._pass, pose, self._edge.reach, BACK_SPEED)
        elif self._phase == "back":
            assert self._pass is not None
            self._phase = "work"
            self._load.reset()
            self._goal = lane_way(self._surface, self._pass, self._edge.reach, self._speed)
        elif self._phase == "work":
            self._phase, self._since = "lift", now

    def _aligned(self, pose: Pose) -> Way | Turn | None:
        """Turn on the spot first where a way begins in another direction."""
        goal = self._goal
        if goal is None or self._turn is not None:
            return self._turn if goal is not None else None
        if goal is not self._begun:
            s = goal.path.project(pose.middle, 0.0)[0]
            yaw = float(goal.path.direction(max(s, 0.0))) + (math.pi if goal.reverse else 0.0)
            if abs(math.remainder(yaw - pose.yaw, 2 * math.pi)) > ALIGN:
                self._turn = Turn(yaw)
                return self._turn
            self._begun = goal
        return goal

    # The edge --------------------------------------------------------------------------------

    def _place(self, q: Array, pose: Pose) -> Array:
        return np.asarray(pose.position + self._edge.middle(q) @ pose.R.T)

    def _clearance(self, state: MachineState, pose: Pose) -> float:
        q = np.where(np.isfinite(state.q), state.q, self._q)
        x, y, z = self._place(q, pose)
        return float(z - self._surface.height(x, y))

    def _above(self, along: Array) -> Array:
        """Return the wanted height of the edge over the surface at places along a pass [m]."""
        if self._phase != "work" or self._pass is None:
            return np.full(along.shape, CARRY)
        down = np.clip((along - self._pass.begin) / DOWN, 0.0, 1.0)
        low = self._pass.above + self._load.raised
        return np.asarray(CARRY + (low - CARRY) * down)

    def _chunk(self, state: MachineState, pose: Pose, t: Array, sprockets: Array) -> Trajectory:
        dt = min(max(state.stamp - self._last, 0.0), 0.5)
        self._last = state.stamp
        skid, edge = self._skid, self._edge
        if self._phase == "work":
            self._load.update(state, pose, self._asked, dt)
        speeds = 0.5 * skid.radius * sprockets.sum(axis=1)
        late = int(np.searchsorted(t, skid.lag))
        self._asked = float(speeds[0]) if late else 0.0
        way = np.concatenate([[0.0], np.cumsum(0.5 * (speeds[1:] + speeds[:-1]) * np.diff(t))])
        # Along its own plane. That it goes on pitching as it pitches now is not taken for granted:
        # the blade's own push would feed back on it.
        base = pose.position + way[:, None] * pose.R[:, 0]
        up = np.tile(pose.R[2], (len(t), 1))
        q = np.tile(self._q, (len(t), 1))
        guess = base + edge.middle(q) @ pose.R.T
        along, _ = self._surface.frame(guess[:, 0], guess[:, 1])
        height = self._surface.height(guess[:, 0], guess[:, 1]) + self._above(along)
        left = pose.R[:2, 1] * edge.tool.width
        across = self._surface.height(guess[:, 0] + left[0], guess[:, 1] + left[1])
        across = across - self._surface.height(guess[:, 0], guess[:, 1])
        wanted = edge.solve(q, up, base[:, 2], height, across)
        if self._phase != "work":
            # High up nothing depends on millimetres: the valves are left in peace.
            wanted = np.clip(self._led[1][-1], wanted - IDLE, wanted + IDLE)
        q, qd = self._limited(t, wanted)
        qd[:, skid.left], qd[:, skid.right] = sprockets.T
        return Trajectory(state.stamp, t, q, qd)

    def _limited(self, t: Array, wanted: Array) -> tuple[Array, Array]:
        """Lead the joints to what is wanted no faster than they can; they rest at the end.

        What they are to do before the valves can answer was said before and stays.
        """
        q, qd = wanted.copy(), np.zeros(wanted.shape)
        most = SHARE * self._spec.qd_max
        for k in range(len(t)):
            if t[k] < self._lead:
                for j in range(q.shape[1]):
                    q[k, j] = np.interp(self._last + t[k], self._led[0], self._led[1][:, j])
            else:
                step = most * (t[k] - t[k - 1])
                q[k] = np.clip(wanted[k], q[k - 1] - step, q[k - 1] + step)
        q[-1] = q[-2]
        qd[1:-1] = (q[2:] - q[:-2]) / (t[2:] - t[:-2])[:, None]
        qd[0] = (q[1] - q[0]) / (t[1] - t[0])
        self._led = (self._last + t, q)
        self._q = q[0]
        return q, qd
