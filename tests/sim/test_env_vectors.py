"""Many environments at once: gymnasium's vectors and rollouts over processes."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

import cloudpickle
import gymnasium
import numpy as np
import pytest

import kuwa_sim.envs  # noqa: F401 - registers them
from kuwa_machines.errors import KuwaError
from kuwa_sim.rollout import Rollout, Workers, rollouts

TRENCH = "Kuwa/Zx200-DigTrench-v0"
SETTINGS = {"modalities": ("joints", "base")}


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasium_steps_two_at_once(mode: str) -> None:
    alone = gymnasium.make(TRENCH, **SETTINGS)
    action = np.array([0.5, -0.2, 0.1, 0.3], np.float32)
    alone.reset(seed=8)
    for _ in range(20):
        wanted, reward, *_ = alone.step(action)
    many = gymnasium.make_vec(TRENCH, num_envs=2, vectorization_mode=mode, **SETTINGS)
    try:
        many.reset(seed=[7, 8])
        for _ in range(20):
            seen, rewards, terminated, truncated, _ = many.step(np.stack([action, action]))
    finally:
        many.close()
    for key, value in wanted.items():
        assert np.array_equal(seen[key][1], value), key
        assert not np.array_equal(seen[key][0], value), key
    assert rewards[1] == reward and not (terminated | truncated).any()


@dataclass
class Swing:
    """A policy with a memory of its episode."""

    seed: int = 0

    def reset(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        return np.array([0.1 * self.seed, 0.0, 0.0, 0.5])


def run(workers: int, engine: str = "processes") -> list[Rollout]:
    return rollouts(
        TRENCH, Swing(), episodes=3, workers=workers, engine=engine, seed=2, settings=SETTINGS,
        steps=40,
    )  # fmt: skip


def test_two_workers_give_what_one_gives() -> None:
    together = run(2)
    assert [each.seed for each in together] == [2, 3, 4]
    assert all(each.steps == 40 and each.reward < 0 for each in together)
    assert len({each.reward for each in together}) == 3
    assert together == run(1)


def test_ray_gives_the_same() -> None:
    pytest.importorskip("ray")
    # Ray's workers do not find this file.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    assert run(2, "ray") == run(1)


def test_without_a_policy_it_acts_at_random_but_repeats() -> None:
    with Workers(TRENCH, workers=1, settings=SETTINGS, steps=10) as workers:
        first, again = workers.run([1, 2]), workers.run([1, 2])
    assert first == again and first[0].reward != first[1].reward


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(KuwaError, match="no machine 'nope'"):
        rollouts(TRENCH, workers=2, settings={"machine": "nope"})
    with pytest.raises(KuwaError, match=r"no engine 'rays'.*ray"):
        rollouts(TRENCH, engine="rays")
    with pytest.raises(KuwaError, match="at least one"):
        rollouts(TRENCH, workers=0)


def test_a_missing_ray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(KuwaError, match="pip install ray"):
        rollouts(TRENCH, engine="ray", workers=1)


def test_all_cores_are_used_by_default() -> None:
    with Workers(TRENCH, settings=SETTINGS, steps=1) as workers:
        assert workers.count == len(os.sched_getaffinity(0))
