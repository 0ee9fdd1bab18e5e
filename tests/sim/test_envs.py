"""Every scenario as an environment: the checks of gymnasium, seeds, actions, ends, pictures."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from kuwa_machines.errors import CommandError, KuwaError
from kuwa_sim.envs import ANY, ScenarioEnv, env_id, env_ids
from kuwa_sim.envs.environment import JUDGE_EVERY
from kuwa_sim.envs.layout import MODALITIES, STATE
from kuwa_sim.gl import RenderError
from kuwa_sim.scenario import SCENARIOS, load_scenario

TRENCH = "Kuwa/Zx200-DigTrench-v0"
CONTROLLER = "kuwa_policies.control.controllers:pid"


def short(env: ScenarioEnv) -> ScenarioEnv:
    """The same environment over in half a second."""
    env.scenario = env.scenario.model_copy(update={"duration_s": 0.5})
    return env


@pytest.fixture(scope="module")
def trench() -> Iterator[ScenarioEnv]:
    env = ScenarioEnv("dig_trench", modalities=STATE)
    yield env
    env.close()


def test_each_scenario_file_has_its_name() -> None:
    for file in SCENARIOS.glob("*.yaml"):
        scenario = load_scenario(file.stem)
        words = [scenario.lead.machine, scenario.name]
        camel = ["".join(w.capitalize() for w in word.split("_")) for word in words]
        name = f"Kuwa/{camel[0]}-{camel[1]}-v0"
        assert env_id(scenario) == name
        assert (env_ids().get(name) == file.stem) is (scenario.lead.task is not None)
        assert (name in gymnasium.registry) is (scenario.lead.task is not None)
    assert env_ids()[TRENCH] == "dig_trench"


def one_of_each_machine() -> list[object]:
    """All environments, of which those after a machine's first are for the long tests."""
    seen: set[str] = set()
    chosen: list[object] = []
    for name in env_ids():
        machine = name.split("-")[0]
        chosen.append(pytest.param(name, marks=pytest.mark.full) if machine in seen else name)
        seen.add(machine)
    return chosen


@pytest.mark.parametrize("name", one_of_each_machine())
def test_gymnasium_accepts_it(name: str) -> None:
    env = gymnasium.make(name).unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)


@pytest.mark.parametrize("name", env_ids())
def test_stable_baselines_accepts_it(name: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A matrix that is no picture is flattened.
        warnings.filterwarnings("ignore", "Your observation terrain has an unconventional shape")
        checker.check_env(gymnasium.make(name).unwrapped)


@pytest.mark.parametrize("name", env_ids())
def test_a_seed_repeats_bit_for_bit(name: str) -> None:
    env = gymnasium.make(name)
    runs = []
    for _ in range(2):
        env.action_space.seed(5)
        observation, _ = env.reset(seed=5)
        run = [*observation.values()]
        for _ in range(30):
            observation, reward, *_ = env.step(env.action_space.sample())
            run += [*observation.values(), np.float64(reward)]
        runs.append([part.tobytes() for part in run])
    assert runs[0] == runs[1]
    other, _ = env.reset(seed=6)
    assert any(other[key].tobytes() != first for key, first in zip(other, runs[0], strict=False))
    env.close()


def test_seeds_follow_from_the_first(trench: ScenarioEnv) -> None:
    seeds = []
    for _ in range(2):
        trench.reset(seed=3)
        seeds.append([trench.reset()[1]["seed"] for _ in range(2)])
    assert seeds[0] == seeds[1] and len(set(seeds[0])) == 2


def test_a_seed_means_what_it_means_elsewhere(trench: ScenarioEnv) -> None:
    from kuwa_sim.robot import SimRobot

    robot = SimRobot("dig_trench", seed=4)
    robot.connect()
    trench.reset(seed=4)
    assert np.array_equal(trench.robot.read().q, robot.read().q)


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ([0, 0, math.nan, 0], "finite"),
        ([0, 0, 0, 1.5], "within"),
        ([0, 0, 0], r"shape \(3,\); expected \(4,\): swing_joint"),
        (np.zeros((1, 4)), r"shape \(1, 4\)"),
        (["up", 0, 0, 0], "no array of numbers"),
    ],
)
def test_a_bad_action_changes_nothing(trench: ScenarioEnv, action, told: str) -> None:
    trench.reset(seed=0)
    trench.step(np.full(4, 0.5))
    before = trench.robot.read()
    with pytest.raises(CommandError, match=told):
        trench.step(np.asarray(action) if not isinstance(action[0], str) else action)
    assert trench.robot.read() is before
    trench.step(np.full(4, 0.5))
    after = trench.robot.read().q
    trench.reset(seed=0)
    trench.step(np.full(4, 0.5))
    trench.step(np.full(4, 0.5))
    assert np.array_equal(trench.robot.read().q, after)


def test_levers_move_the_joints(trench: ScenarioEnv) -> None:
    trench.reset(seed=0)
    q = trench.robot.read().q
    for _ in range(150):
        observation, *_ = trench.step(np.array([0.6, 0.0, 0.0, 0.0]))
    assert trench.robot.read().q[0] > q[0] + 0.1
    names = [entry.name for entry in trench.observer.entries["joints"]]
    seen = dict(zip(names, observation["joints"], strict=True))
    assert seen["swing_joint.position"] == pytest.approx(trench.robot.read().q[0], abs=1e-6)
    assert seen["swing_joint.velocity"] == pytest.approx(trench.robot.read().qd[0], abs=1e-6)


def test_a_controller_makes_of_an_action_a_velocity() -> None:
    env = ScenarioEnv("dig_trench", modalities=("joints",), controller=CONTROLLER, ticks=5)
    env.reset(seed=0)
    action = np.array([0.3, 0.0, 0.0, 0.0])
    for _ in range(60):
        env.step(action)
    qd = np.mean([env.step(action) and env.robot.read().qd for _ in range(20)], axis=0)
    assert qd[0] == pytest.approx(0.3 * env.machine.qd_max[0], rel=0.15)
    assert env.world.running.time == pytest.approx(80 * 0.05)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"modalities": ("joint",)}, "modalities: no 'joint'"),
        ({"modalities": ()}, "modalities: none"),
        ({"controller": "nowhere:Thing"}, "controller: 'nowhere:Thing' cannot be loaded"),
        ({"controller": "Thing"}, "expected package.module:object"),
        ({"partners": {"truck": CONTROLLER}}, "partners: 'truck'"),
        ({"randomise": {"start_rad": 9}}, "randomise"),
        ({"rewards": {"beauty": 1.0}}, "rewards: no 'beauty'"),
        ({"cameras": ("cob",)}, "cameras: zx200 has no 'cob'.*cab"),
        ({"ticks": 0}, "ticks 0"),
        ({"render_mode": "ansi"}, "render_mode 'ansi'"),
        ({"machine": "ic120"}, "works with a dump_body"),
    ],
)
def test_a_wrong_setting_is_told(settings: dict, told: str) -> None:
    with pytest.raises(KuwaError, match=told):
        ScenarioEnv("dig_trench", **settings)


def test_it_wants_a_reset_first_and_after_the_end() -> None:
    env = short(ScenarioEnv("dig_trench", modalities=("joints",)))
    action = np.zeros(4)
    with pytest.raises(CommandError, match="reset"):
        env.step(action)
    env.reset(seed=0)
    for k in range(50):
        _, _, terminated, truncated, info = env.step(action)
        assert not terminated and truncated is (k == 49)
    assert info["success"] is False and info["failure"] == ""
    assert info["figures"]["share_within_tolerance"] == 0.0
    assert info["figures"]["duration_s"] == pytest.approx(0.5)
    assert "share_within_tolerance" in info["missed"][0]
    with pytest.raises(CommandError, match="reset"):
        env.step(action)


def test_work_that_is_done_is_a_success(trench: ScenarioEnv) -> None:
    trench.reset(seed=0)
    episode = trench._episode
    assert episode is not None
    surface = trench._progress
    ground = trench.robot.plant.terrain
    # Half of the misfit is taken away by hand.
    half = (ground.height.reshape(-1)[surface._cells] + surface._target) / 2
    ground.height.reshape(-1)[surface._cells] = half
    _, reward, terminated, _, info = trench.step(np.zeros(4))
    assert info["progress"] == pytest.approx(0.5, abs=0.01) and not terminated
    assert reward == pytest.approx(10 * info["progress"], rel=0.05)
    ground.height.reshape(-1)[surface._cells] = surface._target
    for _ in range(JUDGE_EVERY):
        ground.height.reshape(-1)[surface._cells] = surface._target
        _, reward, terminated, truncated, info = trench.step(np.zeros(4))
        if terminated:
            break
    assert terminated and not truncated and info["success"] and info["missed"] == ()
    assert reward > 4


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({3: 0.5, 4: 0.8660254}, "rolled over"),
        ({0: 1e3}, "left the ground"),
        ({2: math.nan}, "not finite"),
    ],
)
def test_grief_ends_the_episode(
    trench: ScenarioEnv, change: dict[int, float], why: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings into a file where it stands
    trench.reset(seed=0)
    data = trench.robot.plant.data
    at = int(trench.robot.plant.model.jnt_qposadr[0])
    assert trench.robot.plant.model.jnt_type[0] == 0, "a free joint"
    for index, value in change.items():
        data.qpos[at + index] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        observation, reward, terminated, truncated, info = trench.step(np.zeros(4))
    assert terminated and not truncated and why in info["failure"]
    assert reward < -4 and math.isfinite(reward) and info["success"] is False
    assert trench.observation_space.contains(observation)
    trench.reset(seed=0)
    assert not trench.step(np.zeros(4))[2]


def test_randomise_is_data() -> None:
    def starts(**randomise: float) -> list[float]:
        env = ScenarioEnv("dig_trench", modalities=("joints",), randomise=randomise)
        found = []
        for seed in (1, 2):
            env.reset(seed=seed)
            found.append(env.robot.plant.base_position[0])
        return found

    same, other = starts(start_m=0.0), starts(start_m=1.0)
    assert same[0] == pytest.approx(same[1], abs=1e-2)
    assert abs(other[0] - other[1]) > 0.05


def test_observations_choose_and_scale() -> None:
    plain = ScenarioEnv("dig_trench")
    scaled = ScenarioEnv("dig_trench", scaled=True)
    assert set(plain.observation_space) == set(MODALITIES)
    a, b = plain.reset(seed=0)[0], scaled.reset(seed=0)[0]
    for name, space in plain.observation_space.items():
        back = space.low + (b[name] + 1) / 2 * (space.high - space.low)
        span = float(np.max(space.high - space.low))
        assert back == pytest.approx(a[name], abs=1e-6 * span)
        assert np.abs(b[name]).max() <= 1


def test_leaving_the_terrain_out_changes_nothing_else(trench: ScenarioEnv) -> None:
    whole = ScenarioEnv("dig_trench")
    for env in (whole, trench):
        env.reset(seed=0)
        for _ in range(40):
            observation, *_ = env.step(np.full(4, 0.3))
        if env is whole:
            wanted = observation
    assert set(wanted) - set(observation) == {"terrain"}
    assert all(np.array_equal(wanted[key], observation[key]) for key in observation)


def test_the_terrain_patch_shows_the_ground(trench: ScenarioEnv) -> None:
    env = ScenarioEnv("dig_trench", modalities=("terrain",))
    first, _ = env.reset(seed=0)
    assert np.abs(first["terrain"]).max() < 0.1
    ground = env.robot.plant.terrain
    ground.height[:] -= 0.3
    ground.bank[:] -= 0.3
    scan = env.machine.sensors.terrain
    for _ in range(round((2 / scan.rate + scan.delay) / 0.01)):
        later, *_ = env.step(np.zeros(4))
    assert np.mean(later["terrain"] - first["terrain"]) == pytest.approx(-0.3, abs=0.03)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        (SCENARIOS / "dig_trench.yaml").read_text().replace("dig_trench\n", "mine\n", 1)
    )
    env = gymnasium.make(ANY, scenario=str(file), modalities=("joints",))
    assert env.reset(seed=0)[0]["joints"].shape == (8,)
    assert env.unwrapped.scenario.name == "mine"


def test_it_is_registered_by_its_package_alone() -> None:
    code = f"import gymnasium; gymnasium.make('kuwa_sim.envs:{TRENCH}').reset(seed=0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pictures() -> None:
    env = gymnasium.make(TRENCH, render_mode="rgb_array", width=160, height=96)
    try:
        env.reset(seed=0)
        first = env.render()
    except RenderError as error:
        pytest.skip(str(error))
    assert first.shape == (96, 160, 3) and first.dtype == np.uint8 and first.std() > 10
    for _ in range(150):
        env.step(np.array([1.0, 0, 0, 0], np.float32))
    assert np.abs(env.render().astype(int) - first).mean() > 0.3
    env.close()
    frames = gymnasium.make(TRENCH, render_mode="rgb_array_list", width=64, height=48)
    frames.reset(seed=0)
    frames.step(frames.action_space.sample())
    assert len(frames.render()) == 2
    frames.close()


def test_a_camera_on_request() -> None:
    try:
        env = ScenarioEnv("dig_trench", modalities=("joints",), cameras=("cab",))
        env.reset(seed=0)
    except RenderError as error:
        pytest.skip(str(error))
    camera = env.machine.sensors.cameras["cab"]
    for _ in range(30):
        observation, *_ = env.step(np.zeros(4))
    assert set(observation) == {"joints", "camera_cab"}
    assert observation["camera_cab"].shape == (camera.height, camera.width, 3)
    assert observation["camera_cab"].std() > 10 and env.observation_space.contains(observation)
    env.close()


@pytest.mark.skipif(
    bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")), reason="a display"
)
def test_a_window_without_a_display_is_told() -> None:
    env = gymnasium.make(TRENCH, render_mode="human")
    with pytest.raises(RenderError, match=r"no window can be opened.*rgb_array"):
        env.reset(seed=0)
    env.close()
    env.close()


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
def test_a_window_shows_episodes() -> None:
    code = (
        f"import gymnasium; env = gymnasium.make('kuwa_sim.envs:{TRENCH}', render_mode='human')\n"
        "for seed in (0, 1):\n"
        "    env.reset(seed=seed)\n"
        "    for _ in range(12): env.step(env.action_space.sample())\n"
        "print(env.unwrapped._window._count > 2)\n"
        "env.close()"
    )
    read, write = os.pipe()
    screen = ["-screen", "0", "800x600x24", "-displayfd", str(write)]
    with subprocess.Popen(["Xvfb", *screen], pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        try:
            os.close(write)
            with os.fdopen(read) as number:
                display = f":{number.readline().strip()}"
            done = subprocess.run(
                [sys.executable, "-c", code], env=os.environ | {"DISPLAY": display},
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        finally:
            server.terminate()
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr
