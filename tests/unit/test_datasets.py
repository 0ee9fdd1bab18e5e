"""Data sets: LeRobot's layout, what went in comes out, and what is wrong is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_double import fill, plain
from kuwa_policies.datasets import Dataset, DatasetError, DatasetInfo, DatasetWriter, tables
from kuwa_policies.datasets import features as f
from kuwa_policies.datasets.doctor import examine
from kuwa_policies.datasets.stats import ImageStats, of_array, together
from kuwa_policies.datasets.tables import read_table
from kuwa_policies.datasets.video import decode

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import _record_faults as faults  # noqa: E402
from _record_faults import INFO, JOINTS, actions, record  # noqa: E402

READER = ROOT / "benchmarks" / "peers" / "lerobot_reader.py"
CAB = f"{f.IMAGES}cab"


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A set of three episodes of two tasks."""
    folder = tmp_path / "set"
    with DatasetWriter(folder, INFO) as writer:
        for tag, task in enumerate(("dig", "load", "dig")):
            record(writer, tag, task)
            assert writer.save(tag != 1, note=f"n{tag}") == tag
    return folder


# Layout --------------------------------------------------------------------------------------


def test_info_says_what_lerobot_asks_for(three: Path) -> None:
    info = json.loads((three / "meta/info.json").read_text())
    frames = sum(len(actions(tag)) for tag in range(3))
    assert info | {"features": 0} == {
        "codebase_version": "v3.0", "robot_type": "zx200", "total_episodes": 3,
        "total_frames": frames, "total_tasks": 2, "chunks_size": 1000,
        "data_files_size_in_mb": 100, "video_files_size_in_mb": 200, "fps": 20,
        "splits": {"train": "0:3"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": 0,
    }  # fmt: skip
    state = info["features"]["observation.state"]
    assert state["dtype"] == "float32" and state["shape"] == [8]
    assert state["names"][0] == "swing.pos" and state["names"][4] == "swing.vel"
    video = info["features"][CAB]
    assert video["dtype"] == "video" and video["shape"] == [48, 64, 3]
    assert video["info"]["video.codec"] == "h264" and video["info"]["video.pix_fmt"] == "yuv420p"


def test_tables_have_the_types_that_lerobot_reads(three: Path) -> None:
    data = pq.read_table(three / "data/chunk-000/file-001.parquet")
    kinds = {name: data.schema.field(name).type for name in data.column_names}
    assert kinds["observation.state"] == pa.list_(pa.float32(), 8)
    assert kinds["action"] == pa.list_(pa.float32(), 4)
    assert kinds["timestamp"] == pa.float32() and kinds["timestamp.state"] == pa.float64()
    for name in ("frame_index", "episode_index", "index", "task_index", "mode"):
        assert kinds[name] == pa.int64()
    assert CAB not in kinds and f.image_stamp(CAB) in kinds
    row = pq.read_table(three / "meta/episodes/chunk-000/file-001.parquet").to_pylist()[0]
    first, length = len(actions(0)), len(actions(1))
    assert row["tasks"] == ["load"] and row["length"] == length
    assert (row["dataset_from_index"], row["dataset_to_index"]) == (first, first + length)
    assert (row["data/file_index"], row[f"videos/{CAB}/file_index"]) == (1, 1)
    assert row[f"videos/{CAB}/to_timestamp"] == pytest.approx(length / 20)
    assert row[f"stats/{CAB}/mean"] == [[[pytest.approx(v, abs=0.02)]] for v in [2 / 255] * 3]
    assert row["stats/action/count"] == [length]
    tasks = pq.read_table(three / "meta/tasks.parquet")
    assert tasks.to_pylist() == [
        {"task_index": 0, "__index_level_0__": "dig"},
        {"task_index": 1, "__index_level_0__": "load"},
    ]
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]


def test_statistics_are_those_of_all_frames(three: Path) -> None:
    stats = json.loads((three / "meta/stats.json").read_text())["action"]
    every = np.concatenate([actions(tag) for tag in range(3)]).astype(np.float64)
    np.testing.assert_allclose(stats["mean"], every.mean(0), atol=1e-6)
    np.testing.assert_allclose(stats["std"], every.std(0), atol=1e-6)
    assert stats["min"] == every.min(0).tolist() and stats["max"] == every.max(0).tolist()
    assert stats["count"] == [len(every)]
    for name in ("q01", "q10", "q50", "q90", "q99"):
        assert (every.min(0) <= stats[name]).all() and (every.max(0) >= stats[name]).all()


def test_statistics_of_pictures_come_from_every_level() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(20, 200, (5, 32, 48, 3)).astype(np.uint8)
    stats = ImageStats()
    for picture in pictures:
        stats.add(picture)
    found, seen = stats.result(), pictures[:, ::4, ::4].reshape(-1, 3) / 255.0
    wanted = of_array(seen)
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(found[name].ravel(), wanted[name], atol=1e-9)
    for name, q in (("q01", 0.01), ("q50", 0.5), ("q99", 0.99)):
        exact = np.quantile(seen, q, 0, method="inverted_cdf")
        np.testing.assert_allclose(found[name].ravel(), exact, atol=1e-9)
    assert found["mean"].shape == (3, 1, 1) and found["count"].tolist() == [5]


def test_statistics_of_parts_together_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.normal(k, 1 + k, (20 * (k + 1), 2)) for k in range(3)]
    found = together([{"x": of_array(part)} for part in parts])["x"]
    whole = of_array(np.concatenate(parts))
    for name in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(found[name], whole[name])


# Round trip ----------------------------------------------------------------------------------


def test_what_went_in_comes_out(three: Path) -> None:
    dataset = Dataset(three)
    assert dataset.joints == JOINTS and dataset.cameras == ("cab",) and dataset.fps == 20
    assert [e.success for e in dataset.episodes] == [True, False, True]
    assert [e.tasks for e in dataset.episodes] == [("dig",), ("load",), ("dig",)]
    assert dataset.frames_total == sum(len(actions(tag)) for tag in range(3))
    for tag in range(3):
        columns, wanted = dataset.episode(tag), actions(tag)
        assert columns["action"].tobytes() == wanted.tobytes()
        np.testing.assert_array_equal(columns["frame_index"], np.arange(len(wanted)))
        exact = dataset.actions(tag)
        assert exact is not None and (exact["action"] == wanted.astype(np.float64)).all()
        pictures = list(dataset.frames(tag, "cab"))
        assert len(pictures) == len(wanted)
        for k, picture in enumerate(pictures):
            assert abs(float(picture.mean()) - (tag + k)) < 2.5
        notes = dataset.episodes[tag].notes
        assert notes["tag"] == tag and notes["note"] == f"n{tag}"
        assert notes["control_ticks"] == len(wanted)
    assert [p for p in three.rglob("*") if "part" in p.name and p.is_file()] == []


def test_a_set_goes_on_where_it_ended_and_takes_the_last_back(three: Path) -> None:
    with DatasetWriter(three, INFO) as writer:
        assert writer.episodes == 3 and writer.tasks == ["dig", "load"]
        assert writer.undo() == 2
        record(writer, 9, "grade")
        assert writer.save(None) == 2
        record(writer, 10)
        writer.discard()
    dataset = Dataset(three)
    assert len(dataset.episodes) == 3 and dataset.episodes[2].success is None
    assert dataset.episodes[2].tasks == ("grade",)
    assert dataset.episode(2)["action"].tobytes() == actions(9).tobytes()
    faults.load(three)
    with DatasetWriter(three, INFO) as writer:
        for _ in range(3):
            writer.undo()
        with pytest.raises(DatasetError, match="no saved episode"):
            writer.undo()
    assert Dataset(three).episodes == ()
    assert list(three.rglob("*.mp4")) == [] and list((three / "data").rglob("*.parquet")) == []


def test_a_large_set_goes_on_without_every_row_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, count, read = tmp_path / "set", 12, []
    with DatasetWriter(folder, plain(1)) as writer:
        for tag in range(count):
            fill(writer, tag, 3 + tag % 2)
            writer.save(True)
    monkeypatch.setattr(tables, "read_table", lambda *a: read.append(a[0]) or read_table(*a))
    stats = folder / "meta/stats.json"
    whole = stats.read_bytes()
    with DatasetWriter(folder, plain(1)) as writer:
        assert (writer.episodes, writer.frames) == (count, 7 * count // 2)
        rows = [path for path in read if "episodes" in str(path)]
        assert len(rows) < count, "13 ms each, with everybody waiting"
        fill(writer, 99)
        writer.save(True)
        assert writer.undo() == count
        assert stats.read_bytes() == whole
        assert writer.undo() == count - 1
    _check_stats(folder)


def test_statistics_that_a_crash_left_are_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    with DatasetWriter(folder, plain(1)) as writer:
        for tag in range(3):
            fill(writer, tag)
            writer.save(True)
    stats = folder / "meta/stats.json"
    more = json.loads(stats.read_text())
    with DatasetWriter(folder, plain(1)) as writer:
        writer.undo()
    # As it was before the last one was taken back; as it is when it is torn; as it is of others.
    for left in (json.dumps(more), "{", "{}", json.dumps({"index": more["index"]})):
        stats.write_text(left)
        with DatasetWriter(folder, plain(1)) as writer:
            assert writer.episodes == 2
        _check_stats(folder)


def _check_stats(folder: Path) -> None:
    """The statistics of the whole set are those of its frames."""
    dataset = Dataset(folder)
    columns = [dataset.episode(e.index) for e in dataset.episodes]
    for name, found in dataset.stats.items():
        every = np.concatenate([column[name] for column in columns])
        wanted = of_array(every)
        for key in ("min", "max", "mean", "std", "count"):
            np.testing.assert_allclose(found[key], wanted[key], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("left", [0, 6, -1])
def test_a_torn_row_is_refused_when_a_set_is_gone_on_with(three: Path, left: int) -> None:
    row = three / "meta/episodes/chunk-000/file-001.parquet"
    row.write_bytes(row.read_bytes()[:left])
    with pytest.raises(DatasetError, match=r"file-001\.parquet"):
        DatasetWriter(three, INFO)
    row.unlink()
    with pytest.raises(DatasetError, match=r"file-001\.parquet"):
        DatasetWriter(three, INFO)


def test_a_thousand_episodes_go_into_folders_of_a_thousand(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "set", plain(1)) as writer:
        writer.episodes = 999  # as if: writing a thousand takes a minute
        for tag in range(2):
            fill(writer, tag)
            writer.save(True)
    found = sorted(str(p.relative_to(tmp_path / "set")) for p in tmp_path.rglob("*.parquet"))
    assert found[:2] == ["data/chunk-000/file-999.parquet", "data/chunk-001/file-000.parquet"]


# Refusals ------------------------------------------------------------------------------------


def test_two_do_not_write_at_once(three: Path) -> None:
    with DatasetWriter(three, INFO), pytest.raises(DatasetError, match="somebody else"):
        DatasetWriter(three, INFO)
    DatasetWriter(three, INFO).close()


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (DatasetInfo.of_machine("zx120", JOINTS, 20, cameras={"cab": (48, 64)}), "robot_type"),
        (DatasetInfo.of_machine("zx200", JOINTS, 10, cameras={"cab": (48, 64)}), "fps is 20"),
        (DatasetInfo.of_machine("zx200", JOINTS, 20, cameras={"cab": (48, 32)}), "images.cab"),
        (DatasetInfo.of_machine("zx200", JOINTS, 20), "images.cab"),
    ],
)
def test_another_kind_of_episode_is_refused(three: Path, info: DatasetInfo, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        DatasetWriter(three, info)


@pytest.mark.parametrize(
    ("kuwa", "words"),
    [
        ({"qd_max": [0.5] * 4}, r"qd_max is \[0.4"), ({"control_period": 0.02}, "control_period"),
        ({"units": {"action": "rad/s"}}, "units of action is 'fraction of qd_max'"),
    ],
)  # fmt: skip
def test_actions_that_mean_something_else_are_refused(
    tmp_path: Path, kuwa: dict[str, Any], words: str
) -> None:
    said = {"qd_max": [0.4] * 4, "control_period": 0.01,
            "units": {"action": "fraction of qd_max", "pos": "rad"}}  # fmt: skip
    with DatasetWriter(tmp_path / "set", replace(plain(), kuwa=said)) as writer:
        fill(writer, 0)
        writer.save(True)
    with pytest.raises(DatasetError, match=words):
        DatasetWriter(tmp_path / "set", replace(plain(), kuwa={**said, **kuwa}))
    # What is said of it alone, or not at all, does not contradict.
    fewer = {"units": {"action": "fraction of qd_max", "valve": "1"}, "seed": 3}
    DatasetWriter(tmp_path / "set", replace(plain(), kuwa=fewer)).close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"action": np.zeros(3)}, r"action has shape \(3,\)"),
        ({"action": np.array([0, 0, np.nan, 0])}, "not finite"),
        ({CAB: np.zeros((48, 64, 3))}, "expected uint8"),
        ({CAB: np.zeros((24, 64, 3), np.uint8)}, r"\(24, 64, 3\)"),
        ({"speed": 1.0}, "unknown"),
    ],
)
def test_a_frame_that_is_none_is_refused(tmp_path: Path, change: dict, words: str) -> None:
    with DatasetWriter(tmp_path / "set", INFO) as writer:
        record(writer, 0)
        frame = {name: np.zeros(e.shape, e.dtype) for name, e in INFO.vectors.items()}
        length = writer.length
        with pytest.raises(DatasetError, match=words):
            writer.add(frame | {CAB: np.zeros((48, 64, 3), np.uint8)} | change)
        assert writer.length == length
        assert writer.save(True) == 0
    faults.load(tmp_path / "set")


def test_what_is_out_of_order_is_refused(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "set", plain()) as writer:
        for wrong in (lambda: writer.add({}), lambda: writer.save(True)):
            with pytest.raises(DatasetError, match="begin one first"):
                wrong()
        for task in ("", "  ", "x" * 1001):
            with pytest.raises(DatasetError, match="1 to 1000"):
                writer.begin(task)
        writer.begin("dig")
        with pytest.raises(DatasetError, match="is open"):
            writer.begin("dig")
        with pytest.raises(DatasetError, match="is open"):
            writer.undo()
        with pytest.raises(DatasetError, match="no frame"):
            writer.save(True)
        assert not writer.recording
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(DatasetError, match=r"thesis\.tex"):
        DatasetWriter(tmp_path / "full", plain())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("meta/info.json", b"{"), ("meta/info.json", b"[]"),
        ("meta/episodes/chunk-000/file-001.parquet", b"PAR1 no"),
        ("meta/kuwa/episode-000001.json", b"\xff"),
    ],
)  # fmt: skip
def test_a_torn_set_is_refused_by_name(three: Path, name: str, data: bytes) -> None:
    (three / name).write_bytes(data)
    with pytest.raises(DatasetError, match=name.rpartition("/")[2]):
        Dataset(three)


def test_torn_frames_and_pictures_are_found(three: Path) -> None:
    dataset = Dataset(three)
    video = three / dataset.episodes[0].videos[CAB][0]
    os.truncate(video, video.stat().st_size - 200)
    with pytest.raises(DatasetError, match=r"file-000\.mp4"):
        list(dataset.frames(0, "cab"))
    data = three / "data/chunk-000/file-000.parquet"
    torn = bytearray(data.read_bytes())
    at = torn.find(actions(0).tobytes()[:16])
    torn[at] ^= 1
    data.write_bytes(torn)
    with pytest.raises(DatasetError, match=r"file-000\.parquet"):
        read_table(data)
    with pytest.raises(DatasetError, match="did you mean 'cab'"):
        list(dataset.frames(1, "cap"))
    with pytest.raises(DatasetError, match="no whole video"):
        list(decode(data))


@pytest.mark.parametrize("kept", [0, 100, -200, -1])
def test_torn_actions_are_found(three: Path, kept: int) -> None:
    path = three / "meta/kuwa/episode-000001.actions.npz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DatasetError, match=r"episode-000001\.actions\.npz"):
        Dataset(three).actions(1)
    codes = {(f.code, f.episode) for f in examine(Dataset(three)).findings}
    assert ("unreadable", 1) in codes
    assert Dataset(three).actions(0) is not None


def test_actions_of_something_else_are_found(three: Path) -> None:
    path = three / "meta/kuwa/episode-000001.actions.npz"
    np.savez(path, stamp=np.zeros(3), action=np.zeros((3, 4)))
    with pytest.raises(DatasetError, match="source is missing"):
        Dataset(three).actions(1)


def test_an_unmodified_lerobot_loads_it(three: Path) -> None:
    python = os.environ.get("KUWA_PEERS_LEROBOT")
    if not python:
        pytest.skip("lerobot is not installed: KUWA_PEERS_LEROBOT names no interpreter")
    orphans = three / "data/chunk-000/file-002.parquet"
    with DatasetWriter(three, INFO) as writer:
        kept = orphans.read_bytes()
        writer.undo()
    orphans.write_bytes(kept)  # as a crash leaves it
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    done = subprocess.run(
        [python, str(READER), "--videos"], input=f"{three}\n", env=clean, capture_output=True,
        text=True, check=True, timeout=200,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["episodes"] == 2 and found["tasks"] == ["dig", "load"], found
