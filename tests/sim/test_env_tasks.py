"""Environments of all kinds of task and machine: observations, progress, partners, pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from kuwa_machines.contracts import CommandKind, JointCommand
from kuwa_sim.envs import ScenarioEnv
from kuwa_sim.envs.layout import AHEAD, MODALITIES, tool_points
from kuwa_sim.gl import RenderError
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import Scenario

RECTANGLE = {"x_m": 6.0, "y_m": 0.0, "length_m": 3.0, "width_m": 2.0, "tolerance_m": 0.05}
SPOIL = {"spoil_x_m": 1.0, "spoil_y_m": 5.0}
WAY = {"path_m": [[0, 0], [12, 0], [12, 8]], "speed_km_h": 4}

TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "dig_trench": ("zx120", RECTANGLE | SPOIL | {"width_m": 0.9, "depth_m": 0.4}),
    "grade": ("zx200", RECTANGLE | {"slope_percent": 3}),
    "dig": ("zx120", RECTANGLE | SPOIL | {"volume_m3": 2.0}),
    "load": ("zx120", RECTANGLE | SPOIL | {"volume_m3": 2.0, "spoil_height_m": 1.5}),
    "level": ("d37", RECTANGLE),
    "push": ("d37", RECTANGLE | SPOIL),
    "haul": ("ic120", WAY | {"volume_m3": 3.0}),
    "plough": ("tractor_plough", WAY | {"depth_m": 0.2, "tolerance_m": 0.02}),
    "spray": ("tractor_sprayer", WAY | {"height_m": 0.9, "tolerance_m": 0.1}),
}


def scenario(kind: str, **more: dict[str, Any]) -> Scenario:
    machine, task = TASKS[kind]
    return Scenario.model_validate({
        "name": "test", "title": "Test", "soil": "sandy_loam", "duration_s": 20,
        "ground": {"x_min_m": -12, "x_max_m": 22, "y_min_m": -10, "y_max_m": 14, "cell_m": 0.1},
        "machines": {machine: {"task": {"kind": kind} | task}} | more,
        "features": [{"shape": "mound", "x_m": 6, "height_m": 0.5, "radius_m": 1.5}],
    })  # fmt: skip


def named(env: ScenarioEnv, observation: dict[str, np.ndarray]) -> dict[str, float]:
    return {
        entry.name: float(value)
        for name, entries in env.observer.entries.items()
        for entry, value in zip(entries, observation[name], strict=True)
    }


@pytest.mark.parametrize("kind", TASKS)
def test_each_kind_of_task(kind: str) -> None:
    env = ScenarioEnv(scenario(kind))
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert info["progress"] == pytest.approx(0.0, abs=0.02)
    env.action_space.seed(0)
    total = 0.0
    for _ in range(40):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        total += reward
        assert env.observation_space.contains(observation)
        assert not terminated and not truncated
    assert total == pytest.approx(10 * info["progress"], abs=0.01)
    score = env._episode.score()
    assert score.figures["duration_s"] == pytest.approx(0.4)
    half_row = 0.5 * 0.1 * env._episode._rows[-1][4]
    assert score.figures["energy_kwh"] == pytest.approx(
        (env.robot.plant.energy - half_row) / 3.6e6, rel=1e-6
    )
    seen = named(env, observation)
    x, y, _ = env.robot.plant.base_position
    assert seen["x"] == pytest.approx(x - (0.0 if env.task.path else env.task.x), abs=0.2)
    assert seen["y"] == pytest.approx(y, abs=0.2)
    point = next(iter(tool_points(env.machine)))
    true = env.robot.plant.tool.points[0]
    frame = env.observer.frame
    assert seen[f"{point}.x"] == pytest.approx(frame.level(*true[:2])[0], abs=0.25)
    assert seen[f"{point}.z"] == pytest.approx(true[2] - frame.z, abs=0.25)
    env.close()


def test_a_way_is_seen_ahead() -> None:
    env = ScenarioEnv(scenario("spray"), modalities=("base", "task"))
    seen = named(env, env.reset(seed=0)[0])
    for distance in AHEAD[:4]:
        assert seen[f"ahead_{distance:g}.x"] == pytest.approx(distance, abs=0.2)
        assert seen[f"ahead_{distance:g}.y"] == pytest.approx(0.0, abs=0.2)
    assert seen["ahead_16.x"] == pytest.approx(12.0, abs=0.3)
    assert seen["ahead_16.y"] == pytest.approx(4.0, abs=0.3)
    assert seen["remaining"] == 1.0 and seen["time_left"] == 1.0


def test_driving_a_way_is_progress() -> None:
    env = ScenarioEnv(scenario("spray"), modalities=("base", "task"))
    env.reset(seed=0)
    names = env.machine.joint_names
    action = np.array([0.0 if "wheel" not in name else 0.4 for name in names])
    total = 0.0
    for _ in range(300):
        observation, reward, _, _, info = env.step(action)
        total += reward
    x = env.robot.plant.base_position[0]
    assert x > 2 and 0.2 * x / 20 < info["progress"] <= x / 20 + 0.01
    assert total == pytest.approx(10 * info["progress"], abs=0.05)
    assert named(env, observation)["remaining"] == pytest.approx(1 - x / 20, abs=0.02)


def test_soil_brought_to_its_place_is_progress() -> None:
    env = ScenarioEnv(scenario("dig"), modalities=("joints",))
    env.reset(seed=0)
    progress, ground = env._progress, env.robot.plant.terrain
    area = ground.cell**2
    flat = ground.height.reshape(-1)
    flat[progress._taken] -= 1.0 / ground.soil.swell / area / len(progress._taken)
    assert progress.now() == pytest.approx(0.25, abs=0.01)
    flat[progress._heap] += 1.0 / area / len(progress._heap)
    assert progress.now() == pytest.approx(0.5, abs=0.01)


def test_a_delivered_load_is_progress() -> None:
    env = ScenarioEnv(scenario("haul"), modalities=("joints",))
    env.reset(seed=0)
    progress, ground = env._progress, env.robot.plant.terrain
    flat = ground.height.reshape(-1)
    flat[progress._near] += 1.5 / ground.cell**2 / len(progress._near)
    assert progress.now() == pytest.approx(0.5, abs=0.01)


class Swinger:
    """A partner that swings."""

    def __init__(self, robot: SimRobot) -> None:
        self.robot, self.ticks = robot, 0
        names = robot.spec.joint_names
        values = np.zeros(len(names))
        values[0] = 0.7
        self.command = JointCommand(0.0, 1, "partner", CommandKind.VALVE, names, values)

    def tick(self) -> None:
        self.ticks += 1
        self.robot.write(self.command)


@pytest.mark.parametrize("driven", [True, False])
def test_partners_act_and_others_stand_still(driven: bool) -> None:
    other = {"machine": "zx120", "x_m": -6.0, "y_m": 6.0}
    partners = {"digger": Swinger} if driven else {}
    env = ScenarioEnv(scenario("haul", digger=other), modalities=("joints",), partners=partners)
    for _ in range(2):
        env.reset(seed=0)
        start = env.robots["digger"].plant.q[0]
        for _ in range(150):
            env.step(np.zeros(3))
        assert bool(abs(env.robots["digger"].plant.q[0] - start) > 0.1) is driven


def test_a_lead_without_a_task_is_refused() -> None:
    idle = scenario("dig").model_copy(
        update={"machines": {"zx120": scenario("dig").lead.model_copy(update={"task": None})}}
    )
    with pytest.raises(Exception, match="no task"):
        ScenarioEnv(idle)


@pytest.mark.parametrize("kind", ["load", "plough"])
def test_pictures_of_several_machines(kind: str) -> None:
    more = {"truck": {"machine": "ic120", "x_m": 1.0, "y_m": 5.0, "yaw_deg": 30}}
    env = ScenarioEnv(scenario(kind, **more), render_mode="rgb_array", width=160, height=90)
    env.reset(seed=0)
    try:
        picture = env.render()
    except RenderError as error:
        pytest.skip(str(error))
    assert picture.shape == (90, 160, 3) and picture.std() > 10
    env.close()


def test_the_whole_observation_of_a_machine_has_a_name() -> None:
    env = ScenarioEnv(scenario("plough"))
    observation, _ = env.reset(seed=0)
    assert set(observation) == set(MODALITIES)
    assert all(math.isfinite(value) for value in named(env, observation).values())
