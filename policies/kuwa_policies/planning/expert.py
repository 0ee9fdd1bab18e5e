"""The expert: plans work cycles from the terrain and a symbolic task, and emits joint trajectories.

It stays in the product as baseline and as teacher. A skill decides what the next cycle is; the
expert compiles it into a joint path, runs the path's clock, moves the path with the undercarriage
as it rocks, and hands out chunks.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np

from kuwa_machines.contracts import Array, HeightMap, MachineState, Plan, Task, Trajectory
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.kinematics import apply, inverse_transform
from kuwa_machines.spec import MachineSpec
from kuwa_policies.planning.base import BaseFollower
from kuwa_policies.planning.excavate import Excavate
from kuwa_policies.planning.governor import Governor
from kuwa_policies.planning.grade import Grade
from kuwa_policies.planning.trajectory import JointPath, Leg, PathCompiler
from kuwa_policies.planning.trench import DigTrench

PERIOD = 0.2
"""Between two chunks [s]."""
KNOT = 0.1
"""Between two knots of a chunk [s]."""
HORIZON = 2.8
"""Length of a chunk: the longest dead time, the valves' lag, and what a lost chunk costs [s]."""
PLAN_AHEAD = HORIZON + 0.4
"""The next cycle is planned when the present one has no more than this to go [s]."""
DIFFERENCE = 0.02
"""Step of the differences that give the knots' velocities [s]."""


class Skill(Protocol):
    """Knows one kind of task: what the next cycle is, or that none is needed.

    Attributes:
        outcome: what came of it in words, once there is no next cycle: begins with ``done`` or
            with ``gave up``.
    """

    outcome: str

    def next_cycle(self, ground: HeightMap, start: Array) -> list[Leg] | None:
        """Return the legs of the next cycle from rest at ``start`` (swing, r, z, p), or None."""


class Expert:
    """A :class:`kuwa_machines.contracts.Planner` for the tasks in ``SKILLS``.

    Args:
        spec: the machine.
    """

    period = PERIOD
    SKILLS: ClassVar[dict[str, Any]] = {
        "dig_trench": DigTrench,
        "grade": Grade,
        "dig": Excavate,
        "load": Excavate,
    }

    def __init__(self, spec: MachineSpec) -> None:
        self._spec = spec
        self._compiler = PathCompiler(spec)
        self._kin = self._compiler.kin
        self._governor = Governor()
        self._skill: Skill | None = None
        self._task: Task | None = None

    def reset(self, task: Task) -> None:
        """Begin a task at the next step.

        Raises:
            KuwaError: no skill for this kind of task, or the task makes no sense for the machine.
        """
        if task.kind not in self.SKILLS:
            raise KuwaError(
                f"task kind {task.kind!r}: no such skill; {choices(task.kind, self.SKILLS)}"
            )
        self.SKILLS[task.kind].check(task, self._spec)
        self._task = task
        self._skill = None
        self._paths: list[JointPath] = []
        self._finished = False
        self._cycle = 0

    def step(self, state: MachineState, terrain: HeightMap) -> Plan:
        """Return the next chunk.

        Raises:
            KuwaError: no task, or the task is out of the machine's reach from where it stands.
        """
        if self._task is None:
            raise KuwaError("the expert has no task; call reset(task) first")
        if self._skill is None:
            self._begin(state, terrain)
        T = self._base.follow(state)
        self._advance(state, T)
        self._plan_ahead(terrain)
        assert self._skill is not None
        clock = self._governor
        over = self._finished and clock.s >= self._total
        phase = self._skill.outcome if over else self._phase(clock.s)
        done = over and phase.startswith("done")
        return Plan(self._chunk(state.stamp, T), phase, max(self._cycle, 1), done)

    def _begin(self, state: MachineState, terrain: HeightMap) -> None:
        assert self._task is not None
        self._base = BaseFollower(state)
        # Cycles are planned for a machine that stands level; chunks follow the real one.
        self._T_world_level = self._base.level
        self._skill = self.SKILLS[self._task.kind](
            self._task, self._compiler, self._T_world_level, terrain, self._spec
        )
        # The machine cannot answer before the longest dead time: the path waits for it.
        lead = max(
            j.drive.valve.dead_time + j.drive.valve.time_constant
            for j in self._spec.joints.values()
        )
        self._governor.reset(state.stamp, -lead - PERIOD)
        q = self._to_level(state.q, self._base.pose)
        edge, pitch = self._kin.forward(q)
        r = np.hypot(*(edge - self._kin.base)[:2])
        self._start = np.array([q[0], r, edge[2], pitch])

    def _advance(self, state: MachineState, T: Array) -> None:
        """Advance the clock by what the machine's edge lags behind the path."""
        clock = self._governor
        error = 0.0
        if self._paths:
            s, _, lift = clock.ahead(np.array([state.stamp - clock.time]))
            wanted = self._reference(s, lift, T)[0]
            edge, _ = self._kin.forward(np.stack([wanted, state.q]))
            # The swing carries no load and may lag more than the front.
            out = edge - self._kin.base
            r, z = np.hypot(out[:, 0], out[:, 1]), out[:, 2]
            error = max(np.hypot(r[0] - r[1], z[0] - z[1]), abs(wanted[0] - state.q[0]) * 1.5)
        clock.advance(state.stamp, float(error))
        while len(self._paths) > 1 and clock.s >= self._paths[0].duration:
            clock.s -= self._paths.pop(0).duration
            self._cycle += 1

    @property
    def _total(self) -> float:
        return float(sum(path.duration for path in self._paths))

    def _plan_ahead(self, terrain: HeightMap) -> None:
        assert self._skill is not None
        if self._finished or self._total - self._governor.s > PLAN_AHEAD:
            return
        legs = self._skill.next_cycle(terrain, self._start)
        if legs is None:
            self._finished = True
            return
        path = self._compiler.compile(self._start, legs)
        self._start = path.edge[-1]
        if not self._paths:
            self._cycle = 1
        self._paths.append(path)

    def _phase(self, s: float) -> str:
        return self._paths[0].phase(s) if self._paths else "idle"

    def _chunk(self, stamp: float, T: Array) -> Trajectory:
        t = np.asarray(np.arange(round(HORIZON / KNOT) + 1) * KNOT, dtype=np.float64)
        at = np.concatenate([t - DIFFERENCE, t, t + DIFFERENCE])
        s, _, lift = self._governor.ahead(at)
        q = self._reference(s, lift, T).reshape(3, len(t), -1)
        qd: Array = np.asarray((q[2] - q[0]) / (2 * DIFFERENCE), dtype=np.float64)
        return Trajectory(stamp, t, q[1], qd)

    def _reference(self, s: Array, lift: Array, T_world_base: Array) -> Array:
        """Return the joint path at path times s, for the undercarriage as it stands now."""
        if not self._paths:
            return np.tile(self._hold(T_world_base), (len(s), 1))
        q = self._paths[0].sample(s)
        if len(self._paths) > 1:
            later = s > self._paths[0].duration
            if later.any():
                q[later] = self._paths[1].sample(s[later] - self._paths[0].duration)
        return self._retarget(q, lift, T_world_base)

    def _hold(self, T_world_base: Array) -> Array:
        swing, r, z, p = self._start
        edge = self._kin.base * [1, 1, 0] + [r * np.cos(swing), r * np.sin(swing), z]
        q = self._front(edge[None], np.array([p]))
        return self._retarget(q, np.zeros(1), T_world_base)[0]

    def _retarget(self, q: Array, lift: Array, T_world_base: Array) -> Array:
        """Move joint angles meant for a level machine to the machine as it stands.

        Args:
            q: (K, n). lift: of the edge, (K,) [m].
        """
        edge, pitch = self._kin.forward(q)
        edge = edge + np.column_stack([np.zeros((len(q), 2)), lift])
        moved = apply(inverse_transform(T_world_base) @ self._T_world_level, edge)
        out = self._front(moved, pitch)
        out = np.where(np.isnan(out), q, out)
        # A swing beyond half a turn keeps its turn.
        out[:, 0] = q[:, 0] + (out[:, 0] - q[:, 0] + np.pi) % (2 * np.pi) - np.pi
        return np.clip(out, self._spec.q_min, self._spec.q_max)

    def _to_level(self, q: Array, T_world_base: Array) -> Array:
        edge, pitch = self._kin.forward(q[None])
        moved = apply(inverse_transform(self._T_world_level) @ T_world_base, edge)
        return self._front(moved, pitch)[0]

    def _front(self, edge: Array, pitch: Array) -> Array:
        """Return q with the arm folded in and the front ahead, NaN where out of reach."""
        x, y, z = (edge - self._kin.base).T
        front = self._kin.inverse_in_plane(np.hypot(x, y), z, pitch)
        return np.column_stack([np.arctan2(y, x), front])
