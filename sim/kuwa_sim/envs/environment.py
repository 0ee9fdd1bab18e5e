"""A scenario as a gymnasium environment: its lead machine acts, one control period a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array, CommandKind, JointCommand
from kuwa_machines.errors import CommandError, KuwaError
from kuwa_sim.envs import layout
from kuwa_sim.envs.episode import Episode
from kuwa_sim.envs.handed import ControllerFactory, Partner, PartnerFactory, resolve
from kuwa_sim.envs.observe import Observation, Observer
from kuwa_sim.envs.pictures import Pictures, Window
from kuwa_sim.envs.progress import MAKERS, Progress
from kuwa_sim.plant import CONTROL_PERIOD
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import Randomise, Scenario, load_scenario
from kuwa_sim.world import World

ROUNDING: Final = 1e-6
"""An action may leave [−1, 1] by so much."""
JUDGE_EVERY: Final = 100
"""Control periods between two looks whether the scenario's success is reached."""


@dataclass(frozen=True, slots=True)
class Rewards:
    """What a step is worth.

    Args:
        progress: of the whole task, see :mod:`kuwa_sim.envs.progress`.
        effort: of a second with all levers at their ends; subtracted.
        success: once, when the scenario's bounds are kept. failure: once; subtracted.
    """

    progress: float = 10.0
    effort: float = 0.005
    success: float = 5.0
    failure: float = 5.0


class ScenarioEnv(gymnasium.Env[Observation, NDArray[Any]]):
    """The environment of one scenario.

    An action is one number in [−1, 1] for each joint of the lead machine, in the order of its
    data: with a controller the joint's velocity over its greatest one, without one the command of
    its valve. The other machines are driven by their partners, or stand still.

    An episode is terminated when the scenario's bounds of success are kept, or when the machine
    rolls over, leaves the ground or the physics fails; it is truncated at the scenario's duration.

    Args:
        scenario: a name, a path to a ``.yaml`` file, or a loaded scenario.
        machine: the lead machine's data; the scenario's own if None.
        controller: a factory (machine, period) → Controller, or its name ``"package.module:name"``.
        partners: factories robot → partner, or their names, by the machine's name on the site.
        modalities: of the observation, of :data:`kuwa_sim.envs.layout.MODALITIES`; None for all
            that the machine measures.
        cameras: of the machine; each is a modality ``camera_NAME`` besides the others.
        scaled: observations between −1 and 1 in place of physical units.
        randomise: what a seed changes, in place of the scenario's own values, key by key.
        ticks: control periods of 10 ms a step; the action is held.
        rewards: weights, see :class:`Rewards`.
        render_mode: None, ``"rgb_array"`` or ``"human"``.
        width, height: of a picture [pixels].

    Raises:
        KuwaError: no such scenario, machine, modality or factory; or the lead has no task.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 25}  # noqa: RUF012

    def __init__(
        self,
        scenario: str | Path | Scenario,
        machine: str | None = None,
        controller: str | ControllerFactory | None = None,
        partners: Mapping[str, str | PartnerFactory] | None = None,
        modalities: Sequence[str] | None = None,
        cameras: Sequence[str] = (),
        scaled: bool = False,
        randomise: Mapping[str, Any] | None = None,
        ticks: int = 1,
        rewards: Mapping[str, float] | None = None,
        render_mode: str | None = None,
        width: int = 640,
        height: int = 360,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise KuwaError(
                f"render_mode {render_mode!r}; expected one of {self.metadata['render_modes']}"
            )
        if ticks < 1:
            raise KuwaError(f"ticks {ticks}; a step takes at least one control period")
        loaded = scenario if isinstance(scenario, Scenario) else load_scenario(str(scenario))
        self.scenario = _randomised(loaded, randomise or {})
        self.world = World(self.scenario, machine)
        self.scenario = self.world.scenario
        lead = self.world.lead
        seen = layout.chosen(self.world.specs[lead], modalities)
        # Whose map nobody reads measures none: a scan costs more than the physics of many ticks.
        self.robots = {
            name: SimRobot(
                world=self.world, name=name, cameras=bool(cameras) and name == lead,
                maps="terrain" in seen if name == lead else name in (partners or {}),
            )
            for name in self.world.stations
        }  # fmt: skip
        self.robot = self.robots[self.world.lead]
        self.station = self.world.stations[self.world.lead]
        self.machine, task = self.robot.spec, self.robot.task
        if task is None:
            raise KuwaError(f"{self.scenario.name}: its lead {self.world.lead!r} has no task")
        self.task = task
        self._partners = {name: resolve(of, "partners") for name, of in (partners or {}).items()}
        for name in self._partners:
            if name == self.world.lead or name not in self.robots:
                others = [other for other in self.robots if other != self.world.lead]
                raise KuwaError(f"partners: {name!r} is none of the other machines {others}")
        make = None if controller is None else resolve(controller, "controller")
        self._controller = None if make is None else make(self.machine, CONTROL_PERIOD)
        self.ticks = ticks
        self.rewards = _rewards(rewards or {})
        self.observer = Observer(
            self.machine, task, self.scenario.ground.grid, modalities, cameras, scaled,
            self.scenario.duration_s,
        )  # fmt: skip
        n = len(self.machine.joint_names)
        self.observation_space = self.observer.space
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (n,), np.float32)
        self.render_mode = render_mode
        self._look = width, height
        self._pictures: Pictures | None = None
        self._window: Window | None = None
        self._episode: Episode | None = None
        self._over = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; the same seed, the same bits.

        Args:
            seed: of everything random, as of ``./kuwa sim --seed``; without one the next of those
                that follow from the last seed given.
            options: none are known.
        """
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        self.seed = seed
        self.world.reset(seed)
        n = len(self.machine.joint_names)
        self._applied = np.zeros(n)
        self._sequence = 0
        self._episode = Episode(self.robot, self.station)
        self._progress: Progress = MAKERS[self.task.kind](
            self.world, self._episode.plant, self.task, self._episode.start
        )
        self._done = self._best = self._progress.now()
        self._over = False
        state = self.robot.read()
        self.observer.reset(self._episode.start)
        if self._controller is not None:
            self._controller.reset(state)
        self._others: list[Partner] = [
            make(self.robots[name]) for name, make in self._partners.items()
        ]
        # Colours show what was dug from the new ground.
        if self._pictures is not None:
            self._pictures.close()
        if self._window is not None:
            self._window.begin()
        if self.render_mode == "human":
            self.render()
        return self.observer.observe(state), {"seed": seed, "progress": self._done}

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act for ``ticks`` control periods.

        Returns:
            Observation, reward, terminated, truncated and a dictionary with ``progress``; at the
            end of an episode also ``success``, ``missed`` (the bounds that were not kept),
            ``figures`` (of :mod:`kuwa_sim.score`) and ``failure`` in words.

        Raises:
            CommandError: of the wrong shape, not finite or out of range, or no episode is running;
                nothing has moved.
        """
        values = self._checked(action)
        episode = self._running()
        trouble = ""
        for _ in range(self.ticks):
            self._act(values)
            episode.tick()
            trouble = episode.trouble()
            if trouble:
                break
        before, self._done = self._done, self._done if trouble else self._progress.now()
        world = self.world.running
        weights = self.rewards
        reward = weights.progress * (self._done - before)
        effort = float(values @ values) / len(values)
        reward -= weights.effort * effort * self.ticks * CONTROL_PERIOD
        truncated = world.time >= self.scenario.duration_s - 1e-9
        success = False
        info: dict[str, Any] = {"progress": self._done}
        ticks = round(world.time / CONTROL_PERIOD)
        if not trouble and not truncated and ticks % JUDGE_EVERY < self.ticks:
            success = self._successful(episode)
        self._over = bool(trouble) or success or truncated
        if self._over:
            info |= self._verdict(episode, trouble)
            success = info["success"]
        reward += weights.success * success - weights.failure * bool(trouble)
        terminated = bool(trouble) or success
        if self.render_mode == "human":
            self.render()
        observation = self.observer.observe(self.robot.read())
        return observation, float(reward), terminated, truncated and not terminated, info

    def _checked(self, action: NDArray[Any]) -> Array:
        """Return the action as it is used, or refuse it."""
        try:
            values = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise CommandError(f"action {action!r} is no array of numbers") from None
        n = len(self._names)
        if values.shape != (n,):
            raise CommandError(
                f"action of shape {values.shape}; expected ({n},): {', '.join(self._names)}"
            )
        largest = float(np.abs(values).max())
        if not largest <= 1.0 + ROUNDING:
            raise CommandError(f"action {values} must be finite and within [-1, 1]")
        return values if largest <= 1.0 else np.clip(values, -1.0, 1.0)

    @property
    def _names(self) -> tuple[str, ...]:
        return self.machine.joint_names

    def _running(self) -> Episode:
        if self._episode is None or self._over:
            raise CommandError("no episode is running; call reset() first")
        return self._episode

    def _act(self, values: Array) -> None:
        """Command all machines on their newest states and advance the world by a period."""
        robot, state = self.robot, self.robot.read()
        if self._controller is not None:
            values = self._controller.step(state, values, self._applied)
        self._sequence += 1
        command = JointCommand(
            state.stamp, self._sequence, "env", CommandKind.VALVE, self._names, values
        )
        robot.write(command)
        self._applied = values
        for partner in self._others:
            partner.tick()
        self.world.advance()

    def _successful(self, episode: Episode) -> bool:
        """Whether the bounds of success are kept; looked at only after progress."""
        if not self.station.success or self._done <= self._best or not self._progress.may_end:
            return False
        self._best = self._done
        return episode.score().success

    def _verdict(self, episode: Episode, trouble: str) -> dict[str, Any]:
        if trouble:
            return {"success": False, "missed": (trouble,), "figures": {}, "failure": trouble}
        score = episode.score()
        success = score.success and bool(self.station.success) and self._progress.may_end
        return {
            "success": success, "missed": score.missed, "figures": score.figures, "failure": "",
        }  # fmt: skip

    def render(self) -> Any:
        """Return a picture, shape (height, width, 3), uint8, or show it in the window.

        Raises:
            RenderError: no OpenGL on this computer, or no display for a window.
        """
        if self.render_mode is None:
            return None
        if self._episode is None:
            raise CommandError("no episode is running; call reset() first")
        if self.render_mode == "human":
            if self._window is None:
                self._window = Window(1.0 / self.metadata["render_fps"])
            self._window.show(self.world)
            return None
        if self._pictures is None:
            self._pictures = Pictures(*self._look)
        return self._pictures.take(self.world)

    def close(self) -> None:
        """Let everything go; safe to call twice."""
        for shown in (self._pictures, self._window):
            if shown is not None:
                shown.close()
        self._pictures = self._window = None
        self._episode = None
        for robot in self.robots.values():
            robot.close()


def _randomised(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    if not changes:
        return scenario
    values = scenario.randomise.model_dump() | dict(changes)
    try:
        return scenario.model_copy(update={"randomise": Randomise.model_validate(values)})
    except ValueError as error:
        raise KuwaError(f"randomise: {error}") from None


def _rewards(given: Mapping[str, float]) -> Rewards:
    known = asdict(Rewards())
    for name in given:
        if name not in known:
            raise KuwaError(f"rewards: no {name!r}; expected some of {', '.join(known)}")
    return Rewards(**(known | dict(given)))
