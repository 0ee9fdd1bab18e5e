"""The expert of a machine with a tipping body."""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, MachineState, Plan, Task, Trajectory
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.paths import Polyline
from kuwa_machines.spec import DumpBody, MachineSpec
from kuwa_policies.planning.driving.moves import Move
from kuwa_policies.planning.driving.pose import Pose, PoseFilter
from kuwa_policies.planning.driving.skid import SkidSteer
from kuwa_policies.planning.driving.steer import Driver, Turn, Way
from kuwa_policies.planning.haul.route import Body, Route
from kuwa_policies.planning.haul.scale import Scale

PERIOD = 0.1
"""Between two chunks [s]."""
ALIGN = math.radians(12)
"""A stretch is begun with a heading within this; otherwise after a turn on the spot."""
SHAKE = math.radians(8)
"""The body is let down by this and raised again to free what sticks."""
SHAKES = 3
DRAIN = 2.0
"""So long the body stays up for the soil to leave [s]."""


class Haul:
    """A :class:`kuwa_machines.contracts.Planner` for ``haul`` tasks.

    Args:
        spec: the machine.

    Raises:
        MachineError: it has no tipping body, or no driven tracks.
    """

    period = PERIOD
    KINDS = ("haul",)

    def __init__(self, spec: MachineSpec) -> None:
        self._spec = spec
        self._skid = SkidSteer.from_spec(spec)
        self._body = Body.from_spec(spec)
        self._filter = PoseFilter(self._skid)
        self._driver = Driver(self._skid)
        self._task: Task | None = None
        self._turn: Turn | None = None
        self._begun: Way | None = None
        self._phase, self._trip, self._shakes = "load", 1, 0

    def reset(self, task: Task) -> None:
        """Begin a task at the next step.

        Raises:
            KuwaError: another kind of task, or one without a way, a speed or a volume.
        """
        if task.kind not in self.KINDS:
            raise KuwaError(
                f"task kind {task.kind!r}: no such skill; {choices(task.kind, self.KINDS)}"
            )
        for name in ("speed", "volume"):
            value = getattr(task, name)
            if not (math.isfinite(value) and value > 0.0):
                raise KuwaError(f"task {name} is {value}; a haul needs one above 0")
        self._path = Polyline(task.path)
        self._task = task
        self._route: Route | None = None

    def step(self, state: MachineState, terrain: HeightMap) -> Plan:
        """Return the next chunk.

        Raises:
            KuwaError: no task, a state that says too little, or a way that leads off the map or
                does not begin where the machine stands.
        """
        if self._task is None:
            raise KuwaError("the planner has no task; call reset(task) first")
        pose = self._filter.update(state) if self._route else self._begin(state, terrain)
        self._scale.weigh(state.stamp, state.tool_load)
        self._think(state, pose)
        lost = pose.lost
        goal = None if lost or not self._goals or self._move_left(state.stamp) else self._goals[0]
        goal = self._aligned(goal, pose)
        t, sprockets, still = self._driver.step(state.stamp, pose, goal)
        if still and goal is not None and not lost:
            if self._turn is not None:
                self._turn = None
            else:
                self._goals.pop(0)
        phase = "lost" if lost else "turn" if isinstance(goal, Turn) else self._phase
        return Plan(
            self._chunk(state.stamp, t, sprockets), phase, self._trip, self._phase == "done"
        )

    def _begin(self, state: MachineState, terrain: HeightMap) -> Pose:
        assert self._task is not None
        self._filter.reset()
        self._driver.reset()
        if math.isnan(state.tool_load):
            raise KuwaError(f"{self._spec.name} does not weigh its load; a haul needs to know it")
        pose = self._filter.update(state)
        points = self._path.points
        for value, axis, name in (
            (points[:, 0], terrain.xs(), "x"),
            (points[:, 1], terrain.ys(), "y"),
        ):
            if value.min() < axis[0] or value.max() > axis[-1]:
                raise KuwaError(
                    f"the way leads to {name} = {value.min():.1f} … {value.max():.1f} m; the map "
                    f"covers {axis[0]:.1f} … {axis[-1]:.1f} m"
                )
        speed = min(self._task.speed, self._skid.top_speed)
        self._route = Route(
            self._path, speed, pose.position[:2], pose.yaw, self._body.reach, self._skid.centre
        )
        tool = self._spec.tool
        assert isinstance(tool, DumpBody)
        self._scale = Scale(self._task.volume, tool.heaped_capacity)
        self._rest = state.q.copy()
        self._move: Move | None = None
        self._goals: list[Way | Turn] = []
        self._turn = self._begun = None
        self._phase, self._trip, self._shakes = "load", 1, 0
        return pose

    # What to do next -------------------------------------------------------------------------

    def _think(self, state: MachineState, pose: Pose) -> None:
        assert self._route is not None
        now, body = state.stamp, self._body
        if self._move_left(now) or self._goals or pose.lost:
            return
        if self._phase == "load":
            if self._scale.loaded(now):
                self._scale.leave()
                self._filter.expect_centre(self._body.balance(self._scale.load))
                self._goals, self._phase = [*self._route.out], "haul"
        elif self._phase == "haul":
            self._shakes, self._phase = 0, "tip"
            self._go(now, body.tipped)
        elif self._phase in ("tip", "shake"):
            assert self._move is not None
            down = abs(self._move.goal - body.tipped) > 1e-6
            if down:
                self._go(now, body.tipped)
            elif now - self._move.end >= DRAIN:
                if self._scale.empty() or self._shakes >= SHAKES:
                    self._phase = "lower"
                    self._go(now, body.lowered)
                else:
                    self._shakes, self._phase = self._shakes + 1, "shake"
                    self._go(now, body.tipped + math.copysign(SHAKE, body.lowered - body.tipped))
        elif self._phase == "lower":
            self._scale.tip()
            self._filter.expect_centre(self._body.balance(self._scale.load))
            self._goals, self._phase = [*self._route.back], "return"
        elif self._phase == "return":
            self._phase = "done" if self._scale.finished() else "load"
            self._trip += self._phase == "load"

    def _go(self, now: float, goal: float) -> None:
        joint = self._body.joint
        start = self._rest[joint]
        self._move = Move.at(
            now, start, goal, 0.9 * float(self._spec.qd_max[joint]),
            0.8 * float(self._spec.qdd_max[joint]),
        )  # fmt: skip
        self._rest[joint] = goal

    def _move_left(self, now: float) -> bool:
        return self._move is not None and now < self._move.end

    def _aligned(self, goal: Way | Turn | None, pose: Pose) -> Way | Turn | None:
        """Turn on the spot first where a stretch begins in another direction."""
        if goal is None or self._turn is not None:
            return None if goal is None else self._turn
        if isinstance(goal, Way) and goal is not self._begun:
            s = goal.path.project(pose.middle, 0.0)[0]
            yaw = float(goal.path.direction(max(s, 0.0)))
            yaw += math.pi if goal.reverse else 0.0
            if abs(math.remainder(yaw - pose.yaw, 2 * math.pi)) > ALIGN:
                self._turn = Turn(yaw)
                return self._turn
            self._begun = goal
        return goal

    def _chunk(self, stamp: float, t: Array, sprockets: Array) -> Trajectory:
        n = len(self._rest)
        q, qd = np.tile(self._rest, (len(t), 1)), np.zeros((len(t), n))
        qd[:, self._skid.left], qd[:, self._skid.right] = sprockets.T
        if self._move is not None:
            joint = self._body.joint
            q[:, joint], qd[:, joint] = self._move.sample(stamp + t)
            q[-1, joint], qd[-1, joint] = q[-2, joint], 0.0
        return Trajectory(stamp, t, q, qd)
