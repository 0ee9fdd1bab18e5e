"""The log of a run: what goes in comes out, from memory and from the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuwa_cli.runlog import RunLog
from kuwa_cli.streams import RunLogError, Stream, TerrainLog
from kuwa_machines.contracts import GroundTruth, HeightMap, Mode, Plan, SafetyState, SpikeStats

JOINTS = ("swing_joint", "boom_joint", "arm_joint", "bucket_joint")


def ground(height: np.ndarray) -> HeightMap:
    return HeightMap(height, 0.0, -1.0, 0.05)


def test_a_stream_gives_back_its_rows() -> None:
    stream = Stream({"q": 2, "wall": 1})
    for k in range(3000):
        stream.append(0.01 * k, np.array([k, -k]), 7.0 + k)
    assert len(stream) == 3000
    assert stream["q"].shape == (3000, 2) and stream["wall"].shape == (3000,)
    np.testing.assert_array_equal(stream["q"][:, 1], -np.arange(3000))
    np.testing.assert_allclose(stream.t, 0.01 * np.arange(3000))
    with pytest.raises(KeyError):
        stream["qd"]


@given(st.integers(1, 5000))
def test_a_full_stream_thins_out_evenly(rows: int) -> None:
    stream = Stream({"x": 1}, max_rows=256)
    for k in range(rows):
        stream.append(float(k), 2.0 * k)
    assert len(stream) <= 256
    np.testing.assert_array_equal(stream["x"], 2.0 * stream.t)
    if len(stream) > 1:
        assert np.unique(np.diff(stream.t)).size == 1


def test_terrain_replays_to_what_was_measured() -> None:
    rng = np.random.default_rng(0)
    log = TerrainLog()
    truth = [rng.normal(0, 0.01, (30, 20))]
    for _ in range(20):
        nxt = truth[-1].copy()
        nxt[rng.integers(0, 30, 15), rng.integers(0, 20, 15)] -= rng.uniform(0.01, 0.2, 15)
        truth.append(nxt)
    for k, height in enumerate(truth):
        log.append(0.2 * k, ground(height))
    replay = log.replay()
    for k, height in enumerate(truth):
        replay.advance(0.2 * k)
        np.testing.assert_allclose(replay.map.height, height, atol=1.1e-3)


def test_noise_is_averaged_away_and_work_is_not() -> None:
    rng = np.random.default_rng(1)
    log = TerrainLog(noise=0.005)
    truth = np.zeros((60, 60))
    for k in range(40):
        if k == 15:
            truth[20:40, 20:40] = -0.5
        log.append(0.2 * k, ground(truth + rng.normal(0, 0.005, truth.shape)))
    assert log.start is not None and log.newest is not None
    assert np.std(log.start.height) < 0.0025
    assert np.sqrt(np.mean((log.newest.height - truth) ** 2)) < 0.003
    replay = log.replay()
    assert replay.advance(100.0)
    assert np.abs(replay.map.height - truth).max() < 0.03


def test_a_gap_in_what_the_pump_tells_is_bridged_and_silence_stays_unknown() -> None:
    for told, expected in (((1.0, np.nan, 3.0), [1.0, 2.0, 3.0]), ((np.nan,) * 3, [np.nan] * 3)):
        log = RunLog(JOINTS)
        for k, power in enumerate(told):
            log.state.append(float(k), np.zeros(4), np.zeros(4), float(k))
            log.hydraulics.append(float(k), np.zeros(4), np.zeros(4), 0.0, 0.0, power, 0.0)
        np.testing.assert_array_equal(log.work_log().pump_power, expected)


def test_a_saved_log_reads_the_same(tmp_path: Path) -> None:
    log = RunLog(JOINTS, 0.005, points=2)
    rng = np.random.default_rng(2)
    turned = np.array([np.cos(0.15), 0.0, 0.0, np.sin(0.15)])
    height = np.zeros((12, 9))
    for k in range(500):
        t = 0.01 * k
        log.state.append(t, rng.normal(size=4), rng.normal(size=4), t)
        log.applied.append(t, rng.normal(size=4), t)
        points = rng.normal(size=(2, 3))
        log.add_truth(t, GroundTruth(np.ones(3), turned, np.zeros(6), points, 10.0 * k))
        log.add_plan(t, Plan(None, "dig" if k < 300 else "done", 1 + k // 200, k > 400))
        reasons = ("boom_joint: too fast",) if k in (7, 8, 20) else ()
        log.add_safety(t, SafetyState(Mode.AUTO, reasons, (False,) * 4, k // 100))
        if k % 20 == 0:
            height[k % 12, k % 9] -= 0.1
            log.terrain.append(t, ground(height))
    log.meta = {"seed": 3, "name": "Grüße"}
    log.save(tmp_path / "log.npz")
    back = RunLog.load(tmp_path / "log.npz")
    for name in RunLog.STREAMS:
        np.testing.assert_array_equal(getattr(back, name).rows, getattr(log, name).rows)
    assert (back.joints, back.phases, back.modes) == (JOINTS, ["dig", "done"], ["auto"])
    assert back.meta == log.meta
    assert back.events == log.events
    assert [text for _, text in log.events] == [
        "mode auto", "boom_joint: too fast", "boom_joint: too fast",
    ]  # fmt: skip
    first, second = log.terrain.replay(), back.terrain.replay()
    for replay in (first, second):
        replay.advance(1e9)
    np.testing.assert_allclose(first.map.height, second.map.height, atol=1e-6)
    work = back.work_log()
    assert (
        work.load[-1] == 4990.0
        and work.points.shape == (500, 2, 3)
        and work.heading[-1] == pytest.approx(0.3)
    )
    assert work.cycle[0] == 1 and work.cycle[-1] == 3 and work.done[-1]


def test_an_empty_log_saves_and_loads(tmp_path: Path) -> None:
    RunLog(JOINTS).save(tmp_path / "log.npz")
    back = RunLog.load(tmp_path / "log.npz")
    assert len(back.state) == 0 and back.work_log().t.size == 0
    with pytest.raises(RunLogError, match="no terrain"):
        back.terrain.replay()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"hello" * 100])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.npz"
    path.write_bytes(content)
    with pytest.raises(RunLogError, match="is no run log"):
        RunLog.load(path)


def test_spikes_survive_with_why_nothing_was_learnt(tmp_path: Path) -> None:
    log = RunLog(JOINTS)
    error = np.array([0.1, -0.2, np.nan, 0.0])
    for k, reason in enumerate(("", "the gate overrides", "")):
        stats = SpikeStats(200, 190 - k, 12.0, 40.0, np.nan, 0.97, 10**9 + k, 10**12, 0.5,
                           not reason, reason, error)  # fmt: skip
        log.add_spikes(0.1 * k, stats)
    log.save(tmp_path / "log.npz")
    back = RunLog.load(tmp_path / "log.npz")
    np.testing.assert_array_equal(back.spikes.rows, log.spikes.rows)
    assert back.spikes["spikes"][2] - back.spikes["spikes"][0] == 2
    assert [back.frozen[int(k)] for k in back.spikes["reason"]] == ["", "the gate overrides", ""]
    np.testing.assert_array_equal(back.spikes["learning"], [1, 0, 1])


def test_a_log_from_before_there_were_spikes_is_read(tmp_path: Path) -> None:
    RunLog(JOINTS).save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "spikes"}
    np.savez(tmp_path / "old.npz", allow_pickle=False, **arrays)
    assert len(RunLog.load(tmp_path / "old.npz").spikes) == 0
