"""``kuwa sim`` as a person uses it: a process, its exit code, its files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from kuwa_cli.runlog import RunLog

KUWA = [sys.executable, "-m", "kuwa_cli.main"]


def kuwa(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KUWA, *arguments], capture_output=True, text=True, timeout=240, cwd=cwd, check=False
    )


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The same while it runs, killed with all that it started if the test ends before it."""
    process = subprocess.Popen(
        [*KUWA, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_short_lockstep_run_leaves_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = kuwa("sim", "--lockstep", "--duration", "4", "--out", str(out), "--json")
    assert done.returncode == 3, done.stderr
    printed = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert (printed["ended_by"], printed["success"]) == ("duration", False)
    assert printed["score"]["limit_violations"] == 0
    assert json.loads((out / "result.json").read_text())["score"] == printed["score"]
    log = RunLog.load(out / "log.npz")
    assert len(log.state) == 400
    page = (out / "report.html").read_text()
    assert "<svg" in page
    assert ("<video" in page) == (out / "film.mp4").exists() == ("no_film" not in printed)


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    scores = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        arguments = ["--lockstep", "--duration", "5", "--no-report", "--seed", seed]
        done = kuwa("sim", *arguments, "--json", "--out", str(tmp_path / name))
        scores.append(json.loads(done.stdout)["score"])
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dig_trnch"], "did you mean 'dig_trench'"),
        (["--machine", "zx2000"], "did you mean 'zx200'"),
        (["--speed", "nan"], "--speed nan"),
        (["--speed", "0"], "--speed 0.0: give a number from 0.01 to 100"),
        (["--duration", "inf"], "--duration inf"),
        (["--seed", "-1"], "--seed -1"),
        (["--lockstep", "--speed", "2"], "--speed is for real time"),
        (["--out", "/proc/nothing"], "cannot be written"),
        (["missing.yaml"], "no scenario 'missing.yaml'"),
        (["--controller", "ebm"], "no controller 'ebm'; did you mean 'ebn'"),
        (["--controller", "ebn", "--controller-state", "c.npz"], "there is no such file"),
    ],
)
def test_a_mistake_is_named_and_nothing_starts(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    where = [] if "--out" in arguments else ["--out", str(tmp_path / "run")]
    done = kuwa("sim", *arguments, *where)
    assert done.returncode == 1
    assert says in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_window_needs_a_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    done = kuwa("sim", "--lockstep", "--view", "--out", str(tmp_path / "run"))
    assert done.returncode == 1 and "no display" in done.stderr


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    done = kuwa("sim", "--lockstep", "--out", str(tmp_path))
    assert done.returncode == 1 and "nothing of yours is overwritten" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_the_scenarios_are_listed() -> None:
    done = kuwa("scenarios")
    assert done.returncode == 0 and "dig_trench" in done.stdout
    listed = {row["name"]: row for row in json.loads(kuwa("scenarios", "--json").stdout)}
    assert listed["dig_trench"]["machines"]["zx200"]["task"] == "dig_trench"
    assert list(listed["load_truck"]["machines"]) == ["zx200", "ic120"]


@pytest.mark.ros
@pytest.mark.full
def test_neurons_are_watched_through_ros_and_go_on_from_a_run_in_lockstep(tmp_path: Path) -> None:
    if "KUWA_ROOT" not in os.environ:
        pytest.skip("needs Kuwa's environment: ./kuwa test")
    first, then = tmp_path / "first", tmp_path / "then"
    common = ["--controller", "ebn", "--no-report", "--json"]
    done = kuwa("sim", "--lockstep", "--duration", "6", *common, "--out", str(first))
    assert done.returncode == 3, done.stderr
    state = ["--controller-state", str(first / "controller.npz"), "--seed", "5"]
    done = kuwa("sim", "--duration", "6", *common, *state, "--out", str(then))
    assert done.returncode == 3, done.stderr
    result = json.loads(done.stdout)
    assert (result["ended_by"], result["controller"], result["restored"]) == (
        "duration", "ebn", True,
    )  # fmt: skip
    before, after = (RunLog.load(folder / "log.npz").spikes for folder in (first, then))
    # In real time the first samples go by before the recorder has found the topic.
    assert len(before) == 60 and 40 <= len(after) <= 61
    assert np.median(np.diff(after.t)) == pytest.approx(0.1, abs=0.01)
    assert before["weight_norm"][-1] > 0.0
    assert after["weight_norm"][0] == pytest.approx(before["weight_norm"][-1], rel=0.2)
    assert result["machines"]["zx200"]["spiking"]["mean_rate_hz"] > 0.0
    with np.load(first / "controller.npz") as one, np.load(then / "controller.npz") as other:
        assert set(one.files) == set(other.files)


@pytest.mark.full
@pytest.mark.ros
def test_a_stack_that_stood_still_while_it_started_is_started_again(tmp_path: Path) -> None:
    if "KUWA_ROOT" not in os.environ:
        pytest.skip("needs Kuwa's environment: ./kuwa test")
    out = tmp_path / "run"
    with started("sim", "--duration", "4", "--no-report", "--json", "--out", str(out)) as process:
        _wait_until(lambda: "configure planning" in _log(out, "supervisor"), 90, process)
        children = psutil.Process(process.pid).children(recursive=True)
        control = next(c for c in children if "kuwa_control/control" in " ".join(c.cmdline()))
        control.suspend()
        time.sleep(3.0)
        control.resume()
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 3, stderr
    assert "stopped while it started; starting again: the gate stopped the machine" in stderr
    result = json.loads(stdout)
    assert (result["ended_by"], result["timing"]["starts"]) == ("duration", 2)


@pytest.mark.full
@pytest.mark.ros
def test_two_machines_on_one_site_have_a_stack_each(tmp_path: Path) -> None:
    if "KUWA_ROOT" not in os.environ:
        pytest.skip("needs Kuwa's environment: ./kuwa test")
    out = tmp_path / "run"
    done = kuwa("sim", "load_truck", "--duration", "8", "--no-report", "--json", "--out", str(out))
    assert done.returncode == 3, done.stderr
    result = json.loads(done.stdout)
    assert result["ended_by"] == "duration", result["note"]
    assert list(result["machines"]) == ["zx200", "ic120"]
    digger, truck = RunLog.load(out / "log.npz"), RunLog.load(out / "log-ic120.npz")
    assert len(digger.state) > 600 and len(truck.state) > 600
    assert np.ptp(digger.state["q"], axis=0).max() > 0.3, "the digger moves"
    assert np.abs(truck.truth["position"][-1, :2] - (2.9, 6.0)).max() < 0.3, "the truck waits"
    assert "load" in truck.phases and truck.modes[-1] == "auto"


@pytest.mark.ros
def test_ctrl_c_ends_the_whole_stack_and_keeps_what_was_seen(tmp_path: Path) -> None:
    if "KUWA_ROOT" not in os.environ:
        pytest.skip("needs Kuwa's environment: ./kuwa test")
    out = tmp_path / "run"
    with started("sim", "--out", str(out), "--json") as process:
        _wait_until(lambda: "'auto': granted" in _log(out, "safety"), 90, process)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 5
        time.sleep(3.0)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert not [child for child in children if child.is_running()]
    result = json.loads(stdout)
    assert result["ended_by"] == "interrupt" and not result["success"]
    assert result["no_film"] == "the run was interrupted"
    assert ">interrupted</span>" in (out / "report.html").read_text()
    assert len(RunLog.load(out / "log.npz").state) > 100


@pytest.mark.ros
def test_ctrl_c_while_starting_leaves_nothing_running(tmp_path: Path) -> None:
    if "KUWA_ROOT" not in os.environ:
        pytest.skip("needs Kuwa's environment: ./kuwa test")
    out = tmp_path / "run"
    with started("sim", "--out", str(out)) as process:
        _wait_until(lambda: (out / "logs" / "robot.log").exists(), 60, process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert not [child for child in children if child.is_running()]
    assert json.loads((out / "result.json").read_text())["ended_by"] == "interrupt"


@pytest.mark.ros
@pytest.mark.full
def test_a_killed_node_ends_the_run_as_a_fault(tmp_path: Path) -> None:
    if "KUWA_ROOT" not in os.environ:
        pytest.skip("needs Kuwa's environment: ./kuwa test")
    out = tmp_path / "run"
    with started("sim", "--out", str(out), "--no-report") as process:
        _wait_until(lambda: "'auto': granted" in _log(out, "safety"), 90, process)
        time.sleep(1.0)
        children = psutil.Process(process.pid).children(recursive=True)
        next(c for c in children if "kuwa_control/control" in " ".join(c.cmdline())).kill()
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1, stderr
    assert "node control ended with code -9" in stderr
    assert not [child for child in children if child.is_running()]
    result = json.loads((out / "result.json").read_text())
    assert result["ended_by"] == "fault" and not result["success"]


def _log(out: Path, node: str) -> str:
    path = out / "logs" / f"{node}.log"
    return path.read_text() if path.exists() else ""


def _wait_until(true, seconds: float, process: subprocess.Popen[str]) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
