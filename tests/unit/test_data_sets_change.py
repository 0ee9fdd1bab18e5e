"""Merge, split, export, info and view of data sets: what goes in comes out, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from dataset_double import FPS, make_set
from kuwa_cli.data import push, view
from kuwa_cli.data.change import by_chance, chosen, merge, split
from kuwa_cli.data.export import to_hdf5, to_parquet
from kuwa_cli.data.held_key import FIRST, NEXT, HeldKey, held
from kuwa_cli.data.info import command as info_command
from kuwa_cli.data.info import info
from kuwa_cli.data.opening import DataError, need, open_set, whole
from kuwa_cli.data.view import render
from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets import Dataset, layout
from kuwa_policies.datasets.doctor import examine
from kuwa_policies.datasets.features import ACTION, STATE


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    root = tmp_path_factory.mktemp("sets")
    return make_set(root / "one", 2, 3.0), make_set(root / "two", 1, 5.0)


def test_merged_sets_hold_every_episode_with_its_video(
    sets: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    one, two = sets
    merge([one.folder, two.folder], out=tmp_path / "all", as_json=False)
    made = Dataset(tmp_path / "all")
    assert [e.length for e in made.episodes] == [3 * FPS, 3 * FPS, 5 * FPS]
    assert made.frames_total == one.frames_total + two.frames_total
    for name in (STATE, ACTION):
        np.testing.assert_array_equal(made.episode(2)[name], two.episode(0)[name])
    assert made.episode(2)["index"][0] == one.frames_total
    pictures = list(made.frames(2, "cab"))
    np.testing.assert_array_equal(pictures, list(two.frames(0, "cab")))
    actions = made.actions(1)
    assert actions is not None
    np.testing.assert_array_equal(actions["action"], one.actions(1)["action"])  # type: ignore[index]
    assert made.episodes[2].notes["origin"] == "two/0"
    assert made.kuwa["merged_from"] == ["one", "two"]
    wrong = [f.words for f in examine(made).findings if f.code != "duplicate_episodes"]
    assert wrong == []


def test_sets_of_other_features_are_refused_by_name(
    sets: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    blind = make_set(tmp_path / "blind", 1, 1.0, camera=False)
    with pytest.raises(DataError, match=r"observation\.images\.cab"):
        merge([sets[0].folder, blind.folder], out=tmp_path / "all", as_json=False)
    assert not (tmp_path / "all").exists()


def said(folder: Path, **kuwa: object) -> Path:
    """Let a copy of a set say something else of itself."""
    path = folder / layout.KUWA
    path.write_text(json.dumps({**json.loads(path.read_text()), **kuwa}))
    return folder


@pytest.mark.parametrize(
    ("kuwa", "words"),
    [
        ({"qd_max": [0.1] * 4}, "qd_max"), ({"control_period": 0.02}, "control_period"),
        ({"units": {"action": "rad/s"}}, "units of action"),
    ],
)  # fmt: skip
def test_sets_whose_actions_mean_different_things_are_refused(
    sets: tuple[Dataset, Dataset], tmp_path: Path, kuwa: dict[str, object], words: str
) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for folder in (one, two, three):
        shutil.copytree(sets[1].folder, folder)
    # The first one says nothing, so that it contradicts neither of the others.
    said(one, qd_max=None, control_period=None)
    said(two, units={"action": "fraction of qd_max"})
    said(three, **kuwa)
    with pytest.raises(DataError, match=f"two and .*three differ in {words}"):
        merge([one, two, three], out=tmp_path / "all", as_json=False)
    assert not (tmp_path / "all").exists()


def test_a_merged_set_says_what_all_of_its_sets_say(
    sets: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    shutil.copytree(sets[1].folder, one)
    shutil.copytree(sets[1].folder, two)
    alike = {"scenario": "dig_trench", "versions": {"kuwa": "1", "numpy": "2"}, "demo": {"a": 1}}
    said(one, seed=3, controller="ebn", **alike)
    said(two, seed=4, **{**alike, "versions": {"kuwa": "1", "numpy": "3"}})
    merge([one, two], out=tmp_path / "all", as_json=False)
    kuwa = Dataset(tmp_path / "all").kuwa
    assert kuwa["scenario"] == "dig_trench" and kuwa["versions"] == {"kuwa": "1"}
    assert kuwa["qd_max"] == sets[1].kuwa["qd_max"] and kuwa["joints"] == list(sets[1].joints)
    assert not kuwa.keys() & {"seed", "controller", "demo"}
    # Twice the same is no recording that could be gone on with either.
    merge([one, one], out=tmp_path / "twice", as_json=False)
    assert "demo" not in Dataset(tmp_path / "twice").kuwa
    assert Dataset(tmp_path / "twice").kuwa["seed"] == 3


def test_split_takes_what_is_named_and_leaves_the_rest(
    sets: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    ask = {"episodes": "", "label": "", "task": "", "shares": "", "seed": 0, "as_json": False}
    split(sets[0].folder, out=tmp_path / "second", **{**ask, "episodes": "1"})  # type: ignore[arg-type]
    made = Dataset(tmp_path / "second")
    np.testing.assert_array_equal(made.episode(0)[STATE], sets[0].episode(1)[STATE])
    split(sets[0].folder, out=tmp_path / "parts", **{**ask, "shares": "train=0.5,val=0.5"})  # type: ignore[arg-type]
    counts = [len(Dataset(tmp_path / "parts" / name).episodes) for name in ("train", "val")]
    assert counts == [1, 1]
    with pytest.raises(DataError, match="none is meant"):
        split(sets[0].folder, out=tmp_path / "no", **{**ask, "label": "failure"})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="already"):
        split(sets[0].folder, out=tmp_path / "second", **ask)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "found"),
    [("", [0, 1, 2, 3]), ("1-2", [1, 2]), ("3,0", [0, 3]), ("^1", [0, 2, 3]), ("^0-2", [3])],
)
def test_episodes_are_named(text: str, found: list[int]) -> None:
    assert chosen(text, 4) == found


@pytest.mark.parametrize("text", ["4", "2-1", "a", "0-9", ","])
def test_episodes_that_are_not_there_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="--episodes"):
        chosen(text, 4)


def test_shares_leave_nothing_out_and_repeat() -> None:
    parts = by_chance("train=0.8,val=0.1,test=0.1", range(50), 3)
    assert [len(p) for p in parts.values()] == [40, 5, 5]
    assert sorted(i for part in parts.values() for i in part) == list(range(50))
    assert parts == by_chance("train=0.8,val=0.1,test=0.1", range(50), 3)
    assert parts != by_chance("train=0.8,val=0.1,test=0.1", range(50), 4)


@pytest.mark.parametrize("text", ["train", "train=2", "a=0.5", "a=0.5,a=0.5", "a=0.99,b=0.01"])
def test_shares_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="--shares"):
        by_chance(text, range(5), 0)


def test_hdf5_is_laid_out_as_robomimic_reads_it(
    sets: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    to_hdf5(sets[0], tmp_path / "a.hdf5", True, lambda: None)
    with h5py.File(tmp_path / "a.hdf5") as file:
        data = file["data"]
        assert data.attrs["total"] == sets[0].frames_total
        assert json.loads(data.attrs["env_args"])["env_name"] == "zx200"
        assert [name.decode() for name in file["mask/success"]] == ["demo_0", "demo_1"]
        demo = data["demo_1"]
        columns = sets[0].episode(1)
        assert demo.attrs["num_samples"] == len(columns[ACTION])
        np.testing.assert_array_equal(demo["actions"], columns[ACTION])
        np.testing.assert_array_equal(demo["obs/state"], columns[STATE])
        np.testing.assert_array_equal(demo["next_obs/state"][:-1], columns[STATE][1:])
        pictures = np.stack(list(sets[0].frames(1, "cab")))
        np.testing.assert_array_equal(demo["obs/cab_image"], pictures)
        np.testing.assert_array_equal(demo["next_obs/cab_image"][:-1], pictures[1:])
        np.testing.assert_array_equal(demo["next_obs/cab_image"][-1], pictures[-1])
        assert demo["rewards"][:].sum() == 1.0 and demo["dones"][-1] == 1


def test_no_more_than_a_few_pictures_are_held_however_long_an_episode_is(
    sets: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[np.ndarray]] = []
    most = 0

    def frames(dataset: Dataset, index: int, camera: str) -> Iterator[np.ndarray]:
        nonlocal most
        for k in range(dataset.episodes[index].length):
            frame = np.full((32, 48, 3), k, np.uint8)
            held.append(weakref.ref(frame))
            most = max(most, sum(each() is not None for each in held))
            yield frame

    monkeypatch.setattr(Dataset, "frames", frames)
    tracemalloc.start()
    to_hdf5(sets[1], tmp_path / "a.hdf5", True, lambda: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(held) == 5 * FPS and most <= 3
    # Nor are they copied into one array.
    assert peak < 0.8 * len(held) * 32 * 48 * 3


def test_parquet_is_one_flat_table(sets: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    to_parquet(sets[0], tmp_path / "a.parquet", False, lambda: None)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.num_rows == sets[0].frames_total
    boom = table["action.boom_joint.vel"].to_numpy()
    np.testing.assert_array_equal(boom[: 3 * FPS], sets[0].episode(0)[ACTION][:, 1])
    assert set(table["success"].to_pylist()) == {1}


def test_page_needs_nothing_beside_it(sets: tuple[Dataset, Dataset]) -> None:
    page = render(sets[0], examine(sets[0]), [0, 1], lambda: None)
    assert page.count("<video") == 2 and "data:video/mp4;base64," in page
    # Nothing is fetched: every source is inside, and no script runs.
    for mark in ("http://", "https://"):
        for rest in page.split(mark)[1:]:
            assert rest.startswith(("www.w3.org", "purl.org", "creativecommons.org", "matplotlib"))
    assert "<script" not in page
    assert "nothing found" in page


def test_a_page_is_kept_until_there_is_a_new_one(
    sets: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "set.html"
    asked = {"out": page, "episodes": "0", "quick": True, "as_json": False}
    view.command(sets[1].folder, **asked)
    old = page.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(view, "render", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            view.command(sets[1].folder, **asked)
    assert page.read_text() == old
    # One of ours is made anew, and a stranger's is not.
    view.command(sets[0].folder, **asked)
    assert page.read_text() != old
    page.write_text("<html>my thesis</html>")
    with pytest.raises(DataError, match="is there already"):
        view.command(sets[1].folder, **asked)
    assert page.read_text() == "<html>my thesis</html>"
    assert [path.name for path in tmp_path.iterdir()] == ["set.html"]


def test_a_page_says_which_episode_is_torn_and_hides_no_fault_of_ours(
    sets: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sets[0].folder, tmp_path / "set")
    path = tmp_path / "set" / layout.Place(1).data
    path.write_bytes(path.read_bytes()[:-100])
    torn = Dataset(tmp_path / "set")
    assert "<b>Episode 1</b>" in render(torn, examine(torn, [0]), [1], lambda: None)

    def fault(*_: object) -> None:
        raise IndexError("a fault of ours")

    monkeypatch.setattr(view, "subject_of", fault)
    with pytest.raises(IndexError, match="a fault of ours"):
        render(torn, examine(torn, [0]), [0], lambda: None)


def test_info_counts(sets: tuple[Dataset, Dataset]) -> None:
    values = info(sets[0])
    assert (values["episodes"], values["frames"], values["successes"]) == (2, 6 * FPS, 2)
    assert values["cameras"] == ["cab"]
    json.dumps(values)


def test_interventions_are_told_by_info_and_page_and_go_along(
    sets: tuple[Dataset, Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driven = {*range(10, 25), *range(40, 60)}
    found = make_set(tmp_path / "driven", 1, 3.0, camera=False, driven=driven)
    wanted = {"count": 2, "frames": 35, "intervals": [[10, 25], [40, 60]]}
    assert found.episodes[0].notes["interventions"] == wanted
    values = info(found)
    assert [each["interventions"] for each in values["each"]] == [wanted]
    info_command(found.folder, episodes=True, as_json=False)
    told = capsys.readouterr().out
    assert "2 in 1 episodes, 1.8 s" in told and "2, 1.8 s" in told
    page = render(found, examine(found), [0], lambda: None)
    assert "took over from the planner 2 times, 1.8 s" in page
    assert page.count("opacity: 0.16") == 2 * 2 * len(found.joints)
    assert "took over" not in render(sets[0], examine(sets[0]), [0], lambda: None)
    # Notes from before, or of somebody else, do not say it as we do; the frames do.
    path = found.folder / layout.Place(0).notes
    for said in (None, 2, {"count": "two"}):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"interventions": said}))
        old = Dataset(found.folder)
        assert info(old)["each"][0]["interventions"] is None
        info_command(found.folder, episodes=True, as_json=False)
        assert "2 times, 1.8 s" in render(old, examine(old), [0], lambda: None)
    shutil.copytree(old.folder, tmp_path / "other")
    merge([old.folder, tmp_path / "other"], tmp_path / "again")
    assert Dataset(tmp_path / "again").episodes[0].notes["interventions"] == wanted


def test_what_is_made_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "a") as beside:
        beside.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with whole(tmp_path / "a") as beside:
        beside.write_text("all")
        assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(DataError, match="already"), whole(tmp_path / "a"):
        pass


def test_refusals_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        open_set(tmp_path / "no")
    with pytest.raises(DataError, match=r"info\.json"):
        open_set(tmp_path)
    with pytest.raises(DataError, match="MB are free"):
        need(tmp_path / "below" / "it", 1e18, "the set")


def test_nothing_is_uploaded_without_the_library(
    sets: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(KuwaError, match="needs huggingface_hub"):
        push.command(sets[0].folder, "me/set", False, True)


class Hub:
    """Hugging Face's as far as we use it: commits, and tags that stay where they were put."""

    def __init__(self) -> None:
        self.commits, self.tags = 0, {"v1.0": 0}

    def create_repo(self, repo: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
        assert repo_type == "dataset" and exist_ok

    def upload_folder(self, *, repo_id: str, repo_type: str, **_: object) -> None:
        self.commits += 1

    def list_repo_refs(self, repo: str, *, repo_type: str) -> SimpleNamespace:
        return SimpleNamespace(tags=[SimpleNamespace(name=name) for name in self.tags])

    def create_tag(self, repo: str, *, tag: str, repo_type: str, exist_ok: bool = False) -> None:
        if tag in self.tags and not exist_ok:
            raise RuntimeError(f"409: tag {tag} is there already")
        self.tags.setdefault(tag, self.commits)

    def delete_tag(self, repo: str, *, tag: str, repo_type: str) -> None:
        if tag not in self.tags:
            raise RuntimeError(f"404: no tag {tag}")
        del self.tags[tag]


def test_who_loads_a_set_gets_what_was_uploaded_last(
    sets: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub()
    monkeypatch.setitem(
        sys.modules,
        "huggingface_hub",
        SimpleNamespace(HfApi=lambda: hub),  # type: ignore[arg-type]
    )
    for count in (1, 2, 3):
        push.command(sets[0].folder, "me/set", False, True)
        # LeRobot loads the commit that bears the tag of the layout's version.
        assert hub.commits == count and hub.tags == {"v1.0": 0, layout.VERSION: count}


def test_the_key_counts_as_held_only_while_it_repeats() -> None:
    assert held(10.0 + 0.9 * FIRST, 10.0, -1e9)
    assert not held(10.0 + 1.1 * FIRST, 10.0, -1e9)
    # Once it repeats a release is noticed soon.
    assert held(10.0 + 0.9 * NEXT, 10.0, 9.97)
    assert not held(10.0 + 1.1 * NEXT, 10.0, 9.97)


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as standard input; what is written to the handle is typed."""
    person, side = os.openpty()
    with open(side) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield person
    os.close(person)


def press(typing: int, keys: bytes) -> None:
    os.write(typing, keys)
    time.sleep(0.05)  # the kernel hands them over by and by


def test_no_key_is_swallowed_and_none_counts_later(typing: int) -> None:
    press(typing, b"  ")  # before anybody was asked to hold it
    with HeldKey() as is_held:
        assert not is_held()
        press(typing, b"xx ")
        assert is_held()
        time.sleep(1.1 * FIRST)
        assert not is_held()
        # Another key is not the one that was held before.
        press(typing, b"x")
        assert not is_held()
        press(typing, b"   ")
        assert is_held()
        time.sleep(1.1 * NEXT)
        assert not is_held()


def test_a_terminal_that_is_gone_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    person, side = os.openpty()
    with open(side) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        key = HeldKey()
        os.close(person)
        assert not key()


def test_whoever_has_no_terminal_can_hold_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(DataError, match="no terminal"):
            HeldKey()
