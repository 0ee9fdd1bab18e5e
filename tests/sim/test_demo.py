"""Demonstrations: each depends on its number only, and replays to the bit."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kuwa_cli.data.replay import ReplayError, replay
from kuwa_cli.demos.crew import staged
from kuwa_cli.demos.episode import Job, info_of, record, ticks_per_frame
from kuwa_cli.demos.gather import STAGING, Gathering
from kuwa_cli.demos.noise import NoiseError, draw, load_noise, plain
from kuwa_machines import load_machine
from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets import Dataset, DatasetInfo, layout
from kuwa_policies.datasets.features import ACTION, APPLIED, STATE
from kuwa_policies.datasets.layout import Place
from kuwa_policies.planning.demonstrator import Demonstrator, Hands
from kuwa_sim.scenario import Scenario, load_scenario, scenario_names

SECONDS = 4.0


def a_job(scenario: str = "dig_trench", noise: str = "human") -> Job:
    return Job(load_scenario(scenario), load_noise(noise), 3, "pid", 20, False, SECONDS, "dig")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, DatasetInfo, Path]:
    """Two episodes in the folders in which workers leave them."""
    job, staging = a_job(), tmp_path_factory.mktemp("demo") / STAGING
    info = info_of(job, {})
    for number in (0, 1):
        record(job, number, staged(staging, number), info)
    return job, info, staging


def test_an_episode_replays_to_the_bit(recorded: tuple[Job, DatasetInfo, Path]) -> None:
    found = replay(Dataset(staged(recorded[2], 1)), 0)
    assert found.exact and found.same and found.same_states is True
    assert found.error == 0.0 and found.first == -1
    assert found.frames == SECONDS * 20 and found.ticks == SECONDS * 100


def test_other_actions_are_told_from_the_recorded(
    recorded: tuple[Job, DatasetInfo, Path], tmp_path: Path
) -> None:
    shutil.copytree(staged(recorded[2], 0), tmp_path / "set")
    path = tmp_path / "set" / Place(0).actions
    with np.load(path) as file:
        arrays = dict(file)
    arrays["action"][150:, 1] += 0.1
    np.savez(path, **arrays)
    found = replay(Dataset(tmp_path / "set"), 0)
    assert not found.same and found.error > 1e-3
    # The dead time goes by before the machine can tell, and not before the change.
    assert found.first * 5 > 150


def test_the_saved_action_is_what_was_followed(recorded: tuple[Job, DatasetInfo, Path]) -> None:
    one = Dataset(staged(recorded[2], 0))
    columns, actions = one.episode(0), one.actions(0)
    assert actions is not None
    np.testing.assert_array_equal(columns[ACTION].astype(float), actions["action"][::5])
    assert np.abs(columns[ACTION]).max() > 0.05
    assert np.abs(columns[APPLIED]).max() > 0.05 and columns[STATE].shape[1] == 8


def test_an_episode_depends_on_its_number_only(
    recorded: tuple[Job, DatasetInfo, Path], tmp_path: Path
) -> None:
    job, info, staging = recorded
    record(job, 1, tmp_path / "again", info)
    again, first = Dataset(tmp_path / "again"), Dataset(staged(staging, 1))
    for name in (STATE, ACTION):
        np.testing.assert_array_equal(again.episode(0)[name], first.episode(0)[name])
    other = Dataset(staged(staging, 0)).episode(0)[STATE]
    assert not np.array_equal(other, first.episode(0)[STATE])


def test_what_is_finished_is_gathered_in_order_and_gone_on_with(
    recorded: tuple[Job, DatasetInfo, Path], tmp_path: Path
) -> None:
    _, info, staging = recorded
    folder = tmp_path / "set"
    with Gathering(folder, info, False) as gathering:
        assert list(gathering.todo(3)) == [0, 1, 2]
        # The second one is finished first, and the process that gathers is interrupted.
        shutil.copytree(staged(staging, 1), staged(gathering.staging, 1))
        assert gathering.take(3) == []
    with Gathering(folder, info, False) as gathering:
        assert list(gathering.todo(3)) == [0, 2]
        shutil.copytree(staged(staging, 0), staged(gathering.staging, 0))
        assert gathering.take(3) == [0, 1]
        assert list(gathering.todo(3)) == [2]
    made = Dataset(folder)
    assert [e.notes["demo"] for e in made.episodes] == [0, 1]
    np.testing.assert_array_equal(
        made.episode(1)[STATE], Dataset(staged(staging, 1)).episode(0)[STATE]
    )
    assert replay(made, 1).same


@pytest.mark.parametrize(
    ("change", "only", "words"),
    [
        ({"seed": 4}, False, "seed 3"), ({"duration": 9.0}, False, "--duration 4"),
        ({"noise": load_noise("low")}, False, "another noise"),
        ({}, True, "--only-success False"),
    ],
)  # fmt: skip
def test_another_call_does_not_go_on_there(
    tmp_path: Path, change: dict[str, Any], only: bool, words: str
) -> None:
    Gathering(tmp_path / "set", info_of(a_job(), {}), False).writer.close()
    with pytest.raises(KuwaError, match=words):
        Gathering(tmp_path / "set", info_of(replace(a_job(), **change), {}), only)
    with Gathering(tmp_path / "set", info_of(a_job(), {}), False) as again:
        assert again.next == 0


def test_only_success_leaves_out_the_others(
    recorded: tuple[Job, DatasetInfo, Path], tmp_path: Path
) -> None:
    # Four seconds are too few for a trench.
    with Gathering(tmp_path / "set", recorded[1], True) as gathering:
        for number in (0, 1):
            shutil.copytree(staged(recorded[2], number), staged(gathering.staging, number))
        assert gathering.take(2) == [0, 1] and gathering.left_out == [0, 1]
    assert not Dataset(tmp_path / "set").episodes
    # An equal call does not record once more what has failed.
    shutil.copytree(staged(recorded[2], 1), staged(gathering.staging, 1))
    with Gathering(tmp_path / "set", recorded[1], True) as again:
        assert list(again.todo(3)) == [2] and again.left_out == [0, 1]
        # What an earlier call took and did not clear away is not kept for ever.
        assert not any(again.staging.iterdir())


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_can_be_drawn_and_written_down(name: str) -> None:
    scenario = load_scenario(name)
    for level in ("none", "low", "human", "high"):
        drawn = draw(scenario, load_noise(level), 0, 5)
        again = draw(scenario, load_noise(level), 0, 5)
        assert drawn == again
        text = json.dumps(plain(drawn.scenario), allow_nan=False)
        assert Scenario.model_validate(json.loads(text)) == drawn.scenario
    # Who draws at all draws something else for another episode, or with another seed.
    drawn = draw(scenario, load_noise("human"), 0, 5)
    for seed, episode in ((0, 6), (1, 5)):
        other = draw(scenario, load_noise("human"), seed, episode)
        assert other.seed != drawn.seed and other.hands != drawn.hands
        assert other.scenario.lead.condition != drawn.scenario.lead.condition


def test_wear_beyond_what_can_be_simulated_is_refused_by_name() -> None:
    noise = load_noise("human").model_copy(update={"wear_dead_band": (20.0, 20.0)})
    with pytest.raises(NoiseError, match=r"dig_trench, made noisy.*wear_dead_band"):
        draw(load_scenario("dig_trench"), noise, 0, 0)


def test_noise_none_changes_nothing_but_the_seed() -> None:
    scenario = load_scenario("trench_worn")
    drawn = draw(scenario, load_noise("none"), 0, 0)
    assert drawn.scenario.lead.condition == scenario.lead.condition
    assert asdict(drawn.hands) == asdict(Hands())
    with pytest.raises(NoiseError, match="--noise humann"):
        load_noise("humann")


def test_frames_are_whole_numbers_of_ticks() -> None:
    assert ticks_per_frame(20) == 5
    with pytest.raises(KuwaError, match="valid: 1, 2, 4"):
        ticks_per_frame(30)


def test_an_episode_that_says_no_scenario_needs_one(
    recorded: tuple[Job, DatasetInfo, Path], tmp_path: Path
) -> None:
    shutil.copytree(staged(recorded[2], 0), tmp_path / "set")
    notes = tmp_path / "set" / Place(0).notes
    notes.write_text(json.dumps({"success": True}))
    with pytest.raises(ReplayError, match="--scenario"):
        replay(Dataset(tmp_path / "set"), 0)
    with pytest.raises(ReplayError, match="joints"):
        replay(Dataset(tmp_path / "set"), 0, scenario="haul_dump")
    with pytest.raises(ReplayError, match="-e 7"):
        replay(Dataset(tmp_path / "set"), 7)


def test_frames_that_are_no_whole_number_of_ticks_are_not_replayed(
    recorded: tuple[Job, DatasetInfo, Path], tmp_path: Path
) -> None:
    shutil.copytree(staged(recorded[2], 0), tmp_path / "set")
    info = tmp_path / "set" / layout.INFO
    info.write_text(json.dumps({**json.loads(info.read_text()), "fps": 30}))
    with pytest.raises(ReplayError, match=r"frames in a second are 30.*valid: 1, 2, 4"):
        replay(Dataset(tmp_path / "set"), 0)


def test_a_scenario_that_is_none_is_refused_by_name(
    recorded: tuple[Job, DatasetInfo, Path], tmp_path: Path
) -> None:
    shutil.copytree(staged(recorded[2], 0), tmp_path / "set")
    path = tmp_path / "set" / Place(0).notes
    notes = json.loads(path.read_text())
    notes["simulation"]["scenario"]["duration_s"] = -1.0
    path.write_text(json.dumps(notes))
    with pytest.raises(ReplayError, match="episode 0: its scenario: duration_s"):
        replay(Dataset(tmp_path / "set"), 0)


def test_errors_of_hands_are_smooth_and_as_large_as_asked() -> None:
    spec = load_machine("zx200")
    hands = Hands(noise=0.1, wander=0.01, smooth=0.35)
    person = Demonstrator(spec, 0.01, hands, 1)
    share, wander = (
        np.array(x) for x in zip(*(_errors(person) for _ in range(40_000)), strict=True)
    )
    assert share.std() == pytest.approx(0.1, rel=0.1)
    assert wander.std() == pytest.approx(0.01, rel=0.1)
    # Between two ticks they hardly change: a hand has no high frequencies.
    assert np.diff(share, axis=0).std() < 0.05 * share.std()


def _errors(person: Demonstrator) -> tuple[np.ndarray, np.ndarray]:
    share, wander = person._errors()
    return share.copy(), wander.copy()


@pytest.mark.parametrize(
    ("name", "value"), [("noise", -1.0), ("speed", 0.1), ("smooth", 0.0), ("pauses", -2.0)]
)
def test_hands_that_nobody_has_are_refused(name: str, value: float) -> None:
    with pytest.raises(KuwaError, match=name):
        Hands(**{name: value})
