"""Many episodes at once: on all cores of this computer, or through Ray on many computers.

An episode depends on its seed alone, so that the result is the same with any number of workers
and on any engine. Every worker makes the environment once and resets it for each episode.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from threading import BrokenBarrierError
from typing import Any, Protocol

import cloudpickle
import gymnasium
from numpy.typing import ArrayLike

from kuwa_machines.errors import KuwaError, choices
from kuwa_sim.scenario import load_scenario

Policy = Callable[[Any], ArrayLike]
"""From an observation to an action. What has a method ``reset(seed)`` is told of every episode."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One episode.

    Args:
        seed: of the environment. steps: of the environment. reward: their sum.
        terminated: by success or failure; else the time was over.
        success: the scenario's bounds were kept. failure: what went wrong, in words.
        figures: of :mod:`kuwa_sim.score`.
    """

    seed: int
    steps: int
    reward: float
    terminated: bool
    success: bool
    failure: str
    figures: Mapping[str, float | None]


class Runner:
    """One worker's environment and policy.

    Args:
        env: name of the environment. settings: its arguments.
        policy: as :mod:`cloudpickle` packs it.
        steps: an episode is cut off after so many, 0: never.
    """

    def __init__(self, env: str, settings: Mapping[str, Any], policy: bytes, steps: int) -> None:
        import kuwa_sim.envs  # noqa: F401 - registers them

        self._env = gymnasium.make(env, disable_env_checker=True, **settings)
        self._policy: Policy | None = cloudpickle.loads(policy)
        self._steps = steps

    def run(self, seed: int) -> Rollout:
        """Run the episode of a seed."""
        env, policy = self._env, self._policy
        if policy is None:
            env.action_space.seed(seed)
        elif hasattr(policy, "reset"):
            policy.reset(seed)
        observation, info = env.reset(seed=seed)
        total, steps = 0.0, 0
        terminated = truncated = False
        while not (terminated or truncated or steps == self._steps > 0):
            action = env.action_space.sample() if policy is None else policy(observation)
            observation, reward, terminated, truncated, info = env.step(action)
            total += float(reward)
            steps += 1
        return Rollout(
            seed, steps, total, bool(terminated), bool(info.get("success", False)),
            info.get("failure", ""), info.get("figures", {}),
        )  # fmt: skip

    def ready(self) -> bool:
        """Answer, when the environment is made."""
        return True


class Engine(Protocol):
    """Workers that run episodes."""

    def run(self, seeds: Iterable[int]) -> list[Rollout]:
        """Return the episodes of these seeds, in their order."""

    def close(self) -> None:
        """Let the workers go."""


class Processes:
    """Worker processes of this computer."""

    def __init__(self, workers: int, arguments: tuple[Any, ...]) -> None:
        # Spawned, not forked: a fork of a process with threads may stand still for ever.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            workers, context, _begin, (context.Barrier(workers), arguments)
        )
        begun = [self._pool.submit(_make) for _ in range(workers)]
        errors = [error for done in begun if (error := done.exception()) is not None]
        if errors:
            self.close()
            # Those who only waited in vain have nothing to tell.
            raise next((e for e in errors if not isinstance(e, BrokenBarrierError)), errors[0])

    def run(self, seeds: Iterable[int]) -> list[Rollout]:
        """Return the episodes of these seeds, in their order."""
        return list(self._pool.map(_run, seeds))

    def close(self) -> None:
        """Let the workers go."""
        self._pool.shutdown(cancel_futures=True)


class Ray:
    """Actors of a Ray cluster: the one at ``RAY_ADDRESS``, or one of this computer's cores."""

    def __init__(self, workers: int, arguments: tuple[Any, ...]) -> None:
        try:
            ray = import_module("ray")
        except ImportError:
            raise KuwaError(
                "engine 'ray' needs Ray, which is not installed: pip install ray; "
                "engine 'processes' needs nothing"
            ) from None
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            # Without an address Ray starts a cluster of its own on this computer.
            own = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers}
            ray.init(include_dashboard=False, log_to_driver=False, **own)
        actor = ray.remote(num_cpus=1)(Runner)
        self._actors = [actor.remote(*arguments) for _ in range(workers)]
        try:
            ray.get([actor.ready.remote() for actor in self._actors])
        except ray.exceptions.RayError as error:
            self.close()
            raise KuwaError(f"a worker of Ray could not begin: {error}") from None

    def run(self, seeds: Iterable[int]) -> list[Rollout]:
        """Return the episodes of these seeds, in their order."""
        pool = self._ray.util.ActorPool(self._actors)
        return list(pool.map(lambda actor, seed: actor.run.remote(seed), list(seeds)))

    def close(self) -> None:
        """Let the actors go, and the cluster if it was started here."""
        for actor in self._actors:
            self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()


ENGINES: dict[str, Callable[[int, tuple[Any, ...]], Engine]] = {"processes": Processes, "ray": Ray}


class Workers:
    """Workers that keep their environments between calls; a context manager.

    Args:
        env: name of the environment, e.g. ``"Kuwa/Zx200-DigTrench-v0"``.
        policy: see :data:`Policy`; None acts at random.
        workers: how many; None for one on each core that this process may use.
        engine: ``"processes"`` or ``"ray"``.
        settings: arguments of the environment. A scenario file is read here and sent along.
        steps: an episode is cut off after so many, 0: never.

    Raises:
        KuwaError: no such engine, or what the environment raises.
    """

    def __init__(
        self,
        env: str,
        policy: Policy | None = None,
        workers: int | None = None,
        engine: str = "processes",
        settings: Mapping[str, Any] | None = None,
        steps: int = 0,
    ) -> None:
        if engine not in ENGINES:
            raise KuwaError(f"no engine {engine!r}; {choices(engine, ENGINES)}")
        self.count = len(os.sched_getaffinity(0)) if workers is None else workers
        if self.count < 1:
            raise KuwaError(f"workers {workers}; expected at least one")
        settings = dict(settings or {})
        scenario = settings.get("scenario")
        if isinstance(scenario, str) and scenario.endswith(".yaml"):
            settings["scenario"] = load_scenario(scenario)
        self._engine = ENGINES[engine](
            self.count, (env, settings, cloudpickle.dumps(policy), steps)
        )

    def run(self, seeds: Iterable[int]) -> list[Rollout]:
        """Return the episodes of these seeds, in their order."""
        return self._engine.run(seeds)

    def close(self) -> None:
        """Let the workers go."""
        self._engine.close()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def rollouts(
    env: str,
    policy: Policy | None = None,
    episodes: int = 1,
    workers: int | None = None,
    engine: str = "processes",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    steps: int = 0,
) -> list[Rollout]:
    """Run episodes with the seeds ``seed``, ``seed + 1``, …; see :class:`Workers`."""
    with Workers(env, policy, workers, engine, settings, steps) as pool:
        return pool.run(range(seed, seed + episodes))


_runner: Runner | None = None
_barrier: Any = None
_arguments: tuple[Any, ...] = ()


def _begin(barrier: Any, arguments: tuple[Any, ...]) -> None:
    """Keep what this process needs to begin."""
    global _barrier, _arguments
    _barrier, _arguments = barrier, arguments


def _make() -> None:
    """Make this process's environment; wait for the others, so that each makes one."""
    global _runner
    try:
        _runner = Runner(*_arguments)
    except BaseException:
        _barrier.abort()
        raise
    _barrier.wait()


def _run(seed: int) -> Rollout:
    assert _runner is not None
    return _runner.run(seed)
