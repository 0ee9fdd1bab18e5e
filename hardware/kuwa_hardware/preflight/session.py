"""The preflight as a state machine: looks, asks, moves a little, and judges.

It knows no clock and no bus. Whoever runs it hands it states and what was applied, asks a person
its question, brings the gate into the mode that it wants, and sends what it returns to the gate as
requests of the source ``preflight``; the gate lets at most 30 % of a valve and 20 % of a joint's
speed pass. Nothing goes out while a question is open or the machine is not at rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from kuwa_hardware.preflight.moved import moved_checks
from kuwa_hardware.preflight.pulses import (
    LATEST,
    WAY,
    Answer,
    Mover,
    Pulse,
    Trace,
    answer,
    first_way,
    movers,
    plan,
)
from kuwa_hardware.preflight.results import Check, Verdict, judged, skipped
from kuwa_hardware.preflight.still import Window, limit_checks, pose_checks, still_checks
from kuwa_hardware.preflight.weights import Weights
from kuwa_machines.contracts import Array, MachineState, Mode
from kuwa_machines.spec import MachineSpec

SOURCE = "preflight"
WATCH = 3.0
"""How long it looks before anything moves [s]."""
REST = 0.4
"""The machine stands still for this long before a motion [s]."""
PATIENCE = 6.0
"""It goes on after this long even if the machine does not come to rest [s]."""
LASTING = 0.2
"""A fault of the driver that is there for this share of the time lasts."""
TOO_FAR = 2.5
"""A motion is cut when a joint goes this many times as far as it should, or 0.1 rad more."""


@dataclass(frozen=True)
class Plan:
    """What is to be checked.

    Args:
        spec: with the numbers that the stack runs with. file: the machine's own.
        kind: of robot. simulated: nothing real moves.
        pose: joint → angle [rad], measured or confirmed by a person; None: nobody did.
        travel: the machine may roll a little. no_travel: why it may not, in words.
        names: joint names as the driver gives them; empty: the machine's.
    """

    spec: MachineSpec
    file: MachineSpec
    kind: str
    simulated: bool
    pose: dict[str, float] | None = None
    travel: bool = False
    no_travel: str = "nobody gave their word that the machine may roll"
    names: tuple[str, ...] = ()


@dataclass
class _Seen:
    """States of one stretch of time."""

    now: list[float] = field(default_factory=list)
    age: list[float] = field(default_factory=list)
    state: list[MachineState] = field(default_factory=list)
    applied: list[Array] = field(default_factory=list)


class Preflight:
    """One preflight of one machine.

    Args:
        plan: what is to be checked.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.spec = plan.spec
        self.checks: list[Check] = []
        self.traces: dict[str, list[Answer]] = {}
        self.question = ""
        """To be answered before it goes on; empty: none."""
        self.words = "looking at the sensors"
        """What it is doing, for people."""
        self.mode = Mode.READY
        """That it needs the gate in."""
        self.finished = False
        self._ideal = plan.kind == "mock"
        self._n = len(plan.spec.joints)
        self._neutral = np.zeros(self._n)
        self._movers = movers(plan.spec)
        self._done = 0
        self._request = self._neutral
        self._seen = _Seen()
        self._stamp = -np.inf
        self._refused = ""
        self._run = self._script()
        next(self._run)

    @property
    def progress(self) -> float:
        """Share of the work that is done."""
        return 1.0 if self.finished else (self._done + 0.5) / (len(self._movers) + 1.0)

    @property
    def passed(self) -> bool:
        """Whether it is over and nothing failed."""
        return self.finished and not self._refused and not self.failures

    @property
    def failures(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if check.verdict is Verdict.FAIL]

    @property
    def refused(self) -> str:
        """Why it was broken off, or ``""``."""
        return self._refused

    def reply(self, yes: bool) -> None:
        """Answer the open question; no ends the preflight."""
        if not self.question:
            return
        self.question = ""
        if not yes:
            self.abort("a person said no")

    def abort(self, why: str) -> None:
        """Break off; nothing more is asked for."""
        if not self.finished:
            self._refused, self.finished = why, True
            self.question, self._request, self.words = "", self._neutral, f"broken off: {why}"

    def step(self, now: float, state: MachineState, applied: Array, age: float = np.nan) -> Array:
        """Take a state; return what to ask the gate for, shape (n,), neutral mostly.

        Args:
            now: steady time of receipt [s].
            applied: what the gate let pass last, shape (n,).
            age: of the state at receipt, where clocks can be compared [s].
        """
        if self.finished or self.question or state.stamp == self._stamp:
            return self._neutral if self.finished or self.question else self._request
        self._stamp = state.stamp
        seen = self._seen
        seen.now.append(now)
        seen.age.append(age)
        seen.state.append(state)
        seen.applied.append(np.array(applied, dtype=float))
        try:
            next(self._run)
        except StopIteration:
            self.finished, self._request = True, self._neutral
            self.words = "passed" if self.passed else "failed"
        return self._request

    # The script: every yield waits for the next state -------------------------------------------

    def _script(self) -> Iterator[None]:
        yield
        while self._newest.stamp - self._seen.state[0].stamp < WATCH and (
            self._seen.now[-1] - self._seen.now[0] < 3.0 * WATCH
        ):
            yield
        self._look()
        self._done = 1
        if any(c.check in ("names", "finite", "rate") for c in self.failures):
            # Without whole states nothing can be moved under guard.
            return
        self.mode = Mode.ARMED
        weights = Weights(self.spec)
        for mover in self._movers:
            if mover.travel and not self.plan.travel:
                self.checks.append(skipped("moves", self.plan.no_travel, mover.name))
            else:
                yield from self._move(mover, weights)
            self._done += 1
        self.mode = Mode.READY

    def _look(self) -> None:
        seen, spec = self._seen, self.spec
        states = seen.state
        window = Window(
            self.plan.names or spec.joint_names,
            np.array(seen.now), np.array([s.stamp for s in states]), np.array(seen.age),
            np.array([s.q for s in states]), np.array([s.qd for s in states]),
            np.array([s.pressure for s in states]), np.array([s.acceleration for s in states]),
            np.array([s.base_quaternion_wxyz for s in states]),
        )  # fmt: skip
        self.checks += still_checks(window, spec, simulated=self.plan.simulated, ideal=self._ideal)
        # What lasts for a moment only is a matter of alarms.
        told = [fault for s in states for fault in set(s.faults)]
        faults = sorted(f for f in set(told) if told.count(f) > LASTING * len(states))
        self.checks.append(judged(
            "faults", not faults, ", ".join(faults) or "none", "none", joints=", ".join(faults)
        ))  # fmt: skip
        self.checks += pose_checks(window.q.mean(axis=0), spec, self.plan.pose)
        self.checks += limit_checks(spec, self.plan.file)

    def _move(self, mover: Mover, weights: Weights) -> Iterator[None]:
        q = self._newest.q
        inertia, _ = weights.at(q)
        j = mover.joints[0]
        way = first_way(
            self.spec, j, float(q[j]), 0.0 if mover.travel else float(weights.lift(q)[j])
        )
        self.words = f"moving {mover.name}"
        self.question = _question(mover, self.spec)
        yield  # Until a person has agreed: no ends the preflight.
        answers: dict[int, list[Answer]] = {joint: [] for joint in mover.joints}
        most, start, back = WAY, float(q[j]), 0.0
        for direction in (way, -way):
            yield from self._settle()
            pulse = plan(self.spec, self._newest.q, mover, direction, most, back)
            if pulse is None:
                self.checks.append(judged(
                    "near_limit", False, "too near to its limit", "room to move", mover.name
                ))  # fmt: skip
                break
            trace: list[Trace] = []
            yield from self._pulse(pulse, trace.append)
            for joint in mover.joints:
                answers[joint].append(answer(self.spec, trace[0], joint, inertia[joint], LATEST))
            # Back a little less far than it came, so that it ends no nearer to a limit.
            most, back = 0.8 * WAY, way * (float(self._newest.q[j]) - start)
        if not answers[j]:
            return
        # One way as well: it may say why there was none back, as if sensors are swapped.
        for joint in mover.joints:
            self.traces[self.spec.joint_names[joint]] = answers[joint]
        self.checks += moved_checks(mover, answers, self.spec, self._ideal)

    def _settle(self) -> Iterator[None]:
        """Wait in neutral until nothing moves."""
        self._request = self._neutral
        self._seen = _Seen()
        yield
        begun = quiet = self._newest.stamp
        while self._newest.stamp - begun < PATIENCE:
            fast = np.abs(self._newest.qd) > 0.03 * self.spec.qd_max
            if fast.any():
                quiet = self._newest.stamp
            if self._newest.stamp - quiet >= REST:
                return
            yield

    def _pulse(self, pulse: Pulse, keep: Callable[[Trace], None]) -> Iterator[None]:
        rest = self._seen.state[len(self._seen.state) // 2 :]
        q0 = np.mean([s.q for s in rest], axis=0)
        begun = rest[-1].stamp
        seen = self._seen = _Seen(state=[rest[-1]], applied=[self._neutral])
        bounded = np.isfinite(self.spec.q_max)
        far = TOO_FAR * pulse.way + 0.1
        self._request = pulse.command
        while True:
            yield
            if np.any(np.abs(self._newest.q - q0)[bounded] > far):
                break
            passed = self._newest.stamp - begun
            if passed >= pulse.hold:
                self._request = self._neutral
            if passed >= pulse.hold + pulse.after:
                break
        self._request = self._neutral
        # What came with a state was in force until then: from the state before on.
        applied = np.array([*seen.applied[1:], self._neutral])
        keep(Trace(
            q0, np.array([s.stamp for s in seen.state]), np.array([s.q for s in seen.state]),
            np.array([s.qd for s in seen.state]), applied,
        ))  # fmt: skip

    @property
    def _newest(self) -> MachineState:
        return self._seen.state[-1]


def _question(mover: Mover, spec: MachineSpec) -> str:
    if mover.travel:
        return "Roll the machine forwards and back by some centimetres? Is the way free?"
    tool = "Is the tool off the ground and nobody near?"
    return (
        f"Move {mover.name.removesuffix('_joint').replace('_', ' ')} by about 2° and back? {tool}"
    )
