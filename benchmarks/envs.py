"""Steps of the gymnasium environments: each core alone, and all cores together.

One process, one thread, through ``gymnasium.make`` and its wrappers; levers at random, held for a
quarter of a second; observations of state, that is without terrain and pictures. The first steps,
which load compiled kernels, are left out; of three runs the middle one counts. Together: the same
episodes by one worker process and by two, both begun beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

import gymnasium

from kuwa_cli.figure import Figure
from kuwa_machines import load_machine
from kuwa_sim.envs import env_ids
from kuwa_sim.envs.layout import STATE
from kuwa_sim.rollout import Workers
from kuwa_sim.scenario import load_scenario

STEPS = 4000
WARM_UP = 200
HOLD = 25
RUNS = 3
RESETS = 5
EPISODES, EPISODE_STEPS = 8, 2000


def measure() -> Iterator[Figure]:
    """Step every environment, then one of them with two workers."""
    arms = []
    for name, scenario in env_ids().items():
        arm = load_machine(load_scenario(scenario).lead.machine).tool.type == "bucket"
        arms += [name] if arm else []
        env = gymnasium.make(name, modalities=STATE)
        rate = median(_rate(env, seed) for seed in range(RUNS))
        yield Figure(f"envs.{scenario}.steps", rate, "1/s", ">= 2000" if arm else "")
        env.close()
    env = gymnasium.make(arms[0])
    yield Figure("envs.all_modalities.steps", median(_rate(env, s) for s in range(RUNS)), "1/s")
    yield Figure("envs.reset", median(_reset(env, seed) for seed in range(RESETS)), "s")
    env.close()
    one, two = (_together(arms[0], workers) for workers in (1, 2))
    yield Figure("envs.one_worker.steps", one, "1/s")
    yield Figure("envs.two_workers.steps", two, "1/s")
    yield Figure("envs.two_workers.speed_up", two / one, "1", ">= 1.9")


def _rate(env: gymnasium.Env, seed: int) -> float:
    """Return steps a second of wall time; resets are not counted."""
    env.reset(seed=seed)
    env.action_space.seed(seed)
    spent = 0.0
    for k in range(WARM_UP + STEPS):
        if k % HOLD == 0:
            action = env.action_space.sample()
        began = time.perf_counter()
        *_, terminated, truncated, _ = env.step(action)
        if k >= WARM_UP:
            spent += time.perf_counter() - began
        if terminated or truncated:
            env.reset()
    return STEPS / spent


def _reset(env: gymnasium.Env, seed: int) -> float:
    began = time.perf_counter()
    env.reset(seed=seed)
    return time.perf_counter() - began


def _together(name: str, workers: int) -> float:
    """Return steps a second of all workers together, resets and all."""
    with Workers(
        name, workers=workers, settings={"modalities": STATE}, steps=EPISODE_STEPS
    ) as pool:
        pool.run(range(workers))
        began = time.perf_counter()
        episodes = pool.run(range(EPISODES))
        return sum(episode.steps for episode in episodes) / (time.perf_counter() - began)
