"""The actions of an episode given to the simulator once more, through controller and gate.

In lock-step the same actions on the same machine, ground and seed give the same states to the bit:
what differs is the software, or the data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kuwa_cli.demos.episode import (
    code_fingerprint,
    fingerprint,
    observed,
    stacks_of,
    ticks_per_frame,
)
from kuwa_hardware.gate import Gate
from kuwa_machines.contracts import (
    Array,
    Controller,
    HeightMap,
    MachineState,
    Plan,
    Task,
    Trajectory,
)
from kuwa_machines.datafile import parse_data
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.controllers import make_controller
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.datasets import Dataset
from kuwa_policies.datasets.features import ACTION, STAMP, STATE
from kuwa_sim.lockstep import Stack, Tick, run_together
from kuwa_sim.plant import CONTROL_PERIOD
from kuwa_sim.robot import SimRobot, robots_of
from kuwa_sim.scenario import Scenario, load_scenario
from kuwa_sim.world import World

NO_TASK = Task("replay")


class ReplayError(KuwaError):
    """An episode that cannot be replayed, and why."""


@dataclass(frozen=True)
class Replayed:
    """What came of a replay.

    Args:
        episode: its index. frames: that were compared. ticks: of control.
        exact: the actions are those of every control tick, and the simulation is the recorded one.
        error: largest difference of ``observation.state`` [rad, rad/s]; rms by joint position.
        first: frame of the first difference, −1 for none.
        same_states: the hash over the states of all control ticks is the recorded one; None where
            none was recorded.
        actions_sha256: of the bytes that the controller was given.
        notes: what differs from when it was recorded.
    """

    episode: int
    frames: int
    ticks: int
    exact: bool
    error: float
    rms: dict[str, float]
    first: int
    same_states: bool | None
    actions_sha256: str
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether it went as it was recorded, to the bit."""
        return self.error == 0.0 and self.same_states is not False

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name."""
        return {**asdict(self), "same": self.same}


class _Silent:
    """A planner without a plan: the controller is given actions instead."""

    period = CONTROL_PERIOD

    def reset(self, task: Task) -> None:
        """Nothing to begin."""

    def step(self, state: MachineState, terrain: HeightMap) -> Plan:
        """Return no chunk."""
        return Plan(None, "replay", 0, False)


class PlaysBack:
    """A controller that is given recorded actions, one a tick; then zeros.

    Args:
        controller: as it was when recording. actions: shape (ticks, n), fractions of the maximum.
    """

    def __init__(self, controller: Controller, actions: Array) -> None:
        self._controller, self._actions, self._at = controller, actions, 0

    def reset(self, state: MachineState) -> None:
        """Begin with the first action."""
        self._controller.reset(state)
        self._at = 0

    def step(
        self, state: MachineState, reference: Trajectory | Array | None, applied: Array
    ) -> Array:
        """Return valve commands, shape (n,)."""
        at, self._at = self._at, self._at + 1
        action = self._actions[at] if at < len(self._actions) else np.zeros_like(applied)
        return self._controller.step(state, action, applied)


def replay(
    dataset: Dataset,
    index: int,
    scenario: str | None = None,
    seed: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Replayed:
    """Replay an episode in lock-step.

    Args:
        scenario, seed: of the simulation, where the episode does not say, or instead of what it
            says.
        progress: told the share that is done.

    Raises:
        ReplayError: the episode does not say what it was recorded with, or is of another machine.
    """
    if not 0 <= index < len(dataset.episodes):
        raise ReplayError(
            f"-e {index}: {dataset.folder} has episodes 0 to {len(dataset.episodes) - 1}"
        )
    notes = dataset.episodes[index].notes
    simulation = dict(notes.get("simulation") or {})
    told = scenario is None and bool(simulation)
    if told:
        where = f"{dataset.folder}: episode {index}: its scenario"
        loaded = parse_data(simulation.get("scenario"), where, Scenario, ReplayError)
    else:
        name = scenario or notes.get("scenario")
        if not name:
            raise ReplayError(
                f"{dataset.folder}: episode {index} does not say in which scenario it was "
                "recorded; give --scenario"
            )
        loaded = load_scenario(str(name))
    world_seed = int(simulation.get("seed", notes.get("seed", 0)) if seed is None else seed)
    columns = dataset.episode(index)
    actions, every, at, exact = _actions(dataset, index, columns)
    world = World(loaded, seed=world_seed)
    lead = world.lead
    spec = world.specs[lead]
    if spec.joint_names != dataset.joints:
        raise ReplayError(
            f"{dataset.folder} is of joints {list(dataset.joints)}; {spec.name} of scenario "
            f"{loaded.name!r} has {list(spec.joint_names)}"
        )
    differs = []
    if told and seed is None and simulation.get("machine_sha256") != fingerprint(spec):
        differs.append(f"the data of {spec.name} have changed since it was recorded")
    if told and simulation.get("code_sha256") != code_fingerprint():
        differs.append("Kuwa's code has changed since it was recorded")
    name = str(simulation.get("controller") or dataset.kuwa.get("controller") or "ebn")
    options = ControllerOptions(seed=int(simulation.get("controller_seed", 0)))
    controller = make_controller(name, spec, CONTROL_PERIOD, options)
    robots = robots_of(world, bool(simulation.get("cameras", False)) and told)
    compare = _Compare(columns[STATE], every, at, len(actions), progress)
    try:
        world.reset(world_seed)
        stacks = _stacks(robots, lead, PlaysBack(controller, actions), name, options.seed)
        run_together(
            stacks, world.advance, len(actions) * CONTROL_PERIOD, lambda t: compare(t[lead])
        )
    finally:
        for robot in robots.values():
            robot.close()
    return compare.result(
        index, actions, exact and told and seed is None, notes.get("states_sha256"),
        dataset.joints, tuple(differs),
    )  # fmt: skip


def _stacks(
    robots: dict[str, SimRobot], lead: str, plays: PlaysBack, name: str, seed: int
) -> dict[str, Stack]:
    others = {machine: robot for machine, robot in robots.items() if machine != lead}
    robot = robots[lead]
    mine = Stack(robot, _Silent(), plays, Gate(robot.spec), robot.task or NO_TASK)
    # In the order in which they were recorded: the lead machine is the first.
    return {lead: mine, **stacks_of(others, lead, plays, name, seed)}


def _actions(dataset: Dataset, index: int, columns: dict[str, Any]) -> tuple[Array, int, int, bool]:
    """Return actions at control rate, ticks for a frame, tick of the first frame, and exactness.

    Where only the grid is there, each action is held until the next frame.

    Raises:
        ReplayError: a frame is no whole number of control ticks.
    """
    notes = dataset.episodes[index].notes
    try:
        every = ticks_per_frame(dataset.fps, f"{dataset.folder}: frames in a second are")
    except KuwaError as error:
        raise ReplayError(str(error)) from None
    recorded = dataset.actions(index)
    if recorded is None:
        grid = np.asarray(columns[ACTION], np.float64)
        return np.repeat(grid, every, axis=0), every, 0, False
    action = np.asarray(recorded["action"], np.float64)
    first = notes.get("first_tick")
    if first is not None:
        return action, int(notes.get("ticks_per_frame", every)), int(first), True
    # From ROS: ticks may be missing, so that each stamp's action holds until the next one's.
    stamp = np.asarray(recorded["stamp"])
    start = float(columns[STAMP][0]) if STAMP in columns else float(stamp[0])
    ticks = np.arange(len(columns[ACTION]) * every) * CONTROL_PERIOD + start
    newest = np.maximum(np.searchsorted(stamp, ticks + 1e-9, side="right") - 1, 0)
    return action[newest], every, 0, False


class _Compare:
    """Compares what the simulator does with what was recorded."""

    def __init__(
        self, states: Array, every: int, first: int, ticks: int,
        progress: Callable[[float], None] | None,
    ) -> None:  # fmt: skip
        self._states, self._every, self._first, self._ticks = states, every, first, ticks
        self._progress = progress
        self._sha = hashlib.sha256()
        self._error: list[Array] = []
        self._at = 0

    def __call__(self, tick: Tick) -> None:
        state = tick.state
        self._sha.update(state.q.tobytes() + state.qd.tobytes())
        frame, rest = divmod(self._at - self._first, self._every)
        if rest == 0 and 0 <= frame < len(self._states):
            now = observed(state).astype(np.float64)
            self._error.append(np.abs(now - self._states[frame]))
        self._at += 1
        if self._progress is not None and self._at % 100 == 0:
            self._progress(self._at / self._ticks)

    def result(
        self, index: int, actions: Array, exact: bool, sha: str | None, joints: tuple[str, ...],
        differs: tuple[str, ...],
    ) -> Replayed:  # fmt: skip
        error = np.array(self._error).reshape(-1, self._states.shape[1])
        wrong = np.flatnonzero(error.max(1) > 0.0) if len(error) else np.empty(0, int)
        rms = np.sqrt((error[:, : len(joints)] ** 2).mean(0)) if len(error) else np.empty(0)
        return Replayed(
            index, len(error), self._at, exact, float(error.max(initial=0.0)),
            dict(zip(joints, map(float, rms), strict=False)),
            int(wrong[0]) if len(wrong) else -1,
            None if sha is None or not exact else self._sha.hexdigest() == sha,
            hashlib.sha256(np.ascontiguousarray(actions).tobytes()).hexdigest(), differs,
        )  # fmt: skip
