"""The report: figures are drawings, the page is whole, numbers are numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import numpy as np
import pytest

from kuwa_cli.outcome import Outcome, finite, result, write_result
from kuwa_cli.report import figures, ground, spiking, ways
from kuwa_cli.report.drawing import thin
from kuwa_cli.report.film import FilmPlan, Swath
from kuwa_cli.report.page import work_drawings, write_page
from kuwa_cli.report.runs import MachineRun
from kuwa_cli.report.video import VideoError, _run, join
from kuwa_cli.runfolder import MARK, RunFolderError, prepare
from kuwa_cli.runlog import RunLog
from kuwa_cli.settings import settings
from kuwa_cli.spikes import not_learning, rates, summary
from kuwa_machines import load_machine
from kuwa_machines.contracts import (
    GroundTruth,
    HeightMap,
    Mode,
    Plan,
    SafetyState,
    SpikeStats,
    Task,
)
from kuwa_sim.mounts import tool_points
from kuwa_sim.scenario import load_scenario
from kuwa_sim.score.earthwork import footprint

SPEC = load_machine("zx200")
SCENARIO = load_scenario("dig_trench")
SETTINGS = settings("dig_trench", None, 0, True, None, None, False)
assert SETTINGS.task is not None
TASK = SETTINGS.task


def made_up_log(seconds: float = 40.0) -> RunLog:
    """A run that never was: joints swing, the trench sinks."""
    log = RunLog(SPEC.joint_names)
    log.meta = {"machine": "zx200", "seed": 0}
    grid = SCENARIO.ground.grid
    height = np.zeros((grid.nx, grid.ny))
    inside = footprint(TASK, HeightMap(height, grid.x0, grid.y0, grid.cell))
    for k in range(round(seconds * 100)):
        t = 0.01 * k
        q = SPEC.home + 0.2 * np.sin(0.3 * t + np.arange(4))
        log.state.append(t, q, 0 * q, t)
        log.reference.append(t, q + 0.01, 0 * q)
        log.request.append(t, 0.5 * np.sin(t + np.arange(4)), t)
        log.applied.append(t, 0.4 * np.sin(t + np.arange(4)), t)
        log.hydraulics.append(t, 1e7 + 0 * q, 2e6 + 0 * q, 1.2e7, 4e-3, 4e4, 500.0)
        log.add_plan(t, Plan(None, ("dig", "swing")[k // 500 % 2], 1 + k // 1000, False))
        log.add_safety(t, SafetyState(Mode.AUTO, ("<b>slow & steady</b>",) if k == 5 else ()))
        if k % 100 == 0:
            map_height = np.where(inside, -0.5 * t / seconds, 0.0)
            log.terrain.append(t, HeightMap(map_height, grid.x0, grid.y0, grid.cell))
    return log


def made_up_result(log: RunLog, ended_by: Any = "done") -> dict[str, Any]:
    outcome = Outcome(ended_by, "", {"real_time_factor": 1.0, "tick_ms": {"p99": 0.2}}, [])
    values = result({"zx200": log}, outcome, SETTINGS, "lockstep", "./kuwa sim")
    return dict(finite(values))


def test_every_figure_is_a_drawing_of_modest_size() -> None:
    log = made_up_log()
    run = MachineRun("zx200", SPEC, TASK, log)
    drawings = [
        ground.ground_figure({"zx200": run}), ground.section_figure(run),
        ground.error_figure(run), ground.load_figure(run), figures.joint_figure(log, SPEC),
        figures.command_figure(log), figures.hydraulics_figure(log),
        figures.timing_figure([("Tick", "[ms]", np.linspace(0, 3, 500), 10.0)]),
    ]  # fmt: skip
    for svg in drawings:
        ElementTree.fromstring(svg.encode())
        assert len(svg) < 600_000


def fired(log: RunLog, seconds: float = 40.0, dying: float = 30.0) -> RunLog:
    """Neurons that never were: 100 at 10 Hz; half die; for 10 s the gate overrides."""
    spikes = 0
    for k in range(round(seconds * 10)):
        t = 0.1 * k
        alive = 100 if t < dying else 50
        spikes += alive
        frozen = "the gate overrides" if 10.0 <= t < 20.0 else ""
        stats = SpikeStats(100, alive, 10.0, 25.0, np.nan if k < 5 else 1.0, 0.96, spikes,
                           200 * spikes, 0.01 * k, not frozen, frozen,
                           np.array([0.01, -0.01, 0.0, np.nan]))  # fmt: skip
        log.add_spikes(t, stats)
    return log


def test_neurons_of_a_run_are_drawn_and_counted(tmp_path: Path) -> None:
    log = fired(made_up_log())
    t, rate = rates(log)
    assert t[0] == pytest.approx(0.1) and rate == pytest.approx(10.0)
    assert not_learning(log) == {"the gate overrides": pytest.approx(0.25)}
    svg = spiking.spiking_figure(log)
    ElementTree.fromstring(svg.encode())
    assert "50 of 100 neurons alive" in svg and len(svg) < 600_000
    assert "the gate overrides (25 % of the time)" in spiking.spiking_caption(log)
    figures_of_run = summary(log)
    assert figures_of_run is not None
    assert figures_of_run["synaptic_operations_hz"] == pytest.approx(200_000, rel=0.3)
    assert figures_of_run["learning_share"] == pytest.approx(0.75)
    values = made_up_result(log)
    assert values["machines"]["zx200"]["spiking"]["neurons"] == 100
    write_page(tmp_path / "r.html", values, {"zx200": MachineRun("zx200", SPEC, TASK, log)}, [])
    text = (tmp_path / "r.html").read_text()
    assert "<h2>Spiking controller</h2>" in text and "<b>Neurons</b>" in text


def test_a_reset_of_the_controller_is_no_burst() -> None:
    log = RunLog(SPEC.joint_names)
    for k, spikes in enumerate((10, 20, 5, 15)):
        stats = SpikeStats(10, 10, 1.0, 2.0, 1.0, 1.0, spikes, spikes, 0.0, True, "", np.zeros(4))
        log.add_spikes(0.1 * k, stats)
    np.testing.assert_allclose(rates(log)[1], [10.0, np.nan, 10.0])


@pytest.mark.parametrize("known", [1, 25])
def test_neurons_of_which_little_is_known_are_drawn_all_the_same(known: int) -> None:
    log = RunLog(SPEC.joint_names)
    for k in range(known):
        nothing = np.full(4, np.nan)
        log.add_spikes(
            0.1 * k, SpikeStats(9, 0, 0.0, 0.0, np.nan, np.nan, 0, 0, 0.0, False, "off", nothing)
        )
    ElementTree.fromstring(spiking.spiking_figure(log).encode())
    assert summary(log) is not None and summary(RunLog(SPEC.joint_names)) is None


def driven(machine: str, task: Task) -> MachineRun:
    """A machine that drove 60 m at 1.5 m/s, ever further to the left."""
    spec = load_machine(machine)
    points = tool_points(spec)
    log = RunLog(spec.joint_names, points=points)
    n, still = len(spec.joint_names), np.array([1.0, 0.0, 0.0, 0.0])
    flat = HeightMap(np.zeros((90, 60)), -10.0, -15.0, 1.0)
    for k in range(800):
        t = 0.05 * k
        x, y = 1.5 * t, 0.01 * t
        q, qd = spec.home.copy(), np.full(n, 1.5 / 0.9)
        log.state.append(t, q, qd, t)
        log.hydraulics.append(t, 0 * q, 0 * q, 1e7, 1e-3, 5e4, 2000.0 if 5 < t < 30 else 0.0)
        log.add_plan(t, Plan(None, "drive", 1, False))
        at = np.column_stack(
            [np.full(points, x), y + np.linspace(10, -10, points), np.full(points, -0.2)]
        )
        pose = GroundTruth(np.array([x, y, 0.0]), still, np.array([1.5, 0.01, 0, 0, 0, 0]), at)
        log.add_truth(t, pose)
        if k % 200 == 0:
            log.terrain.append(t, flat)
    return MachineRun(machine, spec, task, log)


@pytest.mark.parametrize(
    ("machine", "kind"),
    [("tractor_plough", "plough"), ("tractor_sprayer", "spray"), ("ic120", "haul")],
)
def test_figures_of_a_way_are_drawings_with_the_right_numbers(machine: str, kind: str) -> None:
    task = Task(kind, path=((0.0, 0.0), (60.0, 0.0)), speed=1.5, depth=0.2, height=0.5,
                tolerance=0.05)  # fmt: skip
    run = driven(machine, task)
    drawn = [draw(run) for draw, _ in work_drawings(run)]
    assert len(drawn) == {"plough": 3, "spray": 2, "haul": 2}[kind]
    for svg in drawn:
        ElementTree.fromstring(svg.encode())
        assert len(svg) < 600_000
    drive = ways.Drive.of(run)
    assert drive.s[400] == pytest.approx(30.0) and drive.beside[400] == pytest.approx(0.2)
    assert drive.speed == pytest.approx(1.5)
    assert drive.heights == pytest.approx(-0.2)


def test_sprayed_ground_is_what_the_boom_has_passed() -> None:
    task = Task("spray", path=((0.0, 0.0), (60.0, 0.0)), x=30.0, length=20.0, width=40.0)
    swath = Swath(driven("tractor_sprayer", task))
    assert swath.until(10.0) == []
    pieces = swath.until(25.0) + swath.until(40.0)
    area = sum(np.ptp(p[:, 0]) * np.ptp(p[:, 1]) for p in pieces)
    assert area == pytest.approx(20.0 * 20.0, rel=0.06)
    assert np.min([p[:, 0].min() for p in pieces]) == pytest.approx(20.0, abs=0.6)
    assert np.max([p[:, 0].max() for p in pieces]) == pytest.approx(40.0, abs=0.6)


def test_thinning_keeps_the_extremes() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(100_000) * 0.01
    y = rng.normal(size=t.size)
    y[54_321] = 40.0
    thin_t, thin_y = thin(t, y)
    assert len(thin_t) < 5000 and thin_y.max() == 40.0 and thin_y.min() == y.min()
    assert np.all(np.diff(thin_t) >= 0) and thin_t[-1] == t[-1]


@pytest.mark.parametrize("ended_by", ["done", "interrupt", "fault"])
def test_the_page_is_whole_and_needs_nothing_beside_it(tmp_path: Path, ended_by: str) -> None:
    log = made_up_log()
    values = made_up_result(log, ended_by)
    path = tmp_path / "report.html"
    panels = [("Tick", "[ms]", np.linspace(0, 3, 50), None)]
    write_page(path, values, {"zx200": MachineRun("zx200", SPEC, TASK, log)}, panels)
    text = path.read_text()
    for section in ("Ground", "Work", "Joints", "Commands", "Hydraulics", "Timing", "Numbers"):
        assert f"<h2>{section}</h2>" in text
    assert text.count("<svg") == text.count("</svg>") == 8
    assert "&lt;b&gt;slow &amp; steady" in text
    assert 'src="http' not in text and "<script" not in text
    word = {"done": "success", "interrupt": "interrupted", "fault": "broken off"}[ended_by]
    assert f">{word}</span></header>" in text


def test_a_run_that_measured_nothing_still_has_a_page(tmp_path: Path) -> None:
    log = RunLog(SPEC.joint_names)
    values = made_up_result(log, "interrupt")
    assert values["score"] is None and not values["success"]
    write_page(
        tmp_path / "report.html", values, {"zx200": MachineRun("zx200", SPEC, TASK, log)}, []
    )
    assert "ended before anything was measured" in (tmp_path / "report.html").read_text()


def test_the_result_holds_no_numbers_that_json_lacks(tmp_path: Path) -> None:
    values = made_up_result(made_up_log(5.0))
    values["timing"] = {"a": np.float64("nan"), "b": [np.inf, np.int64(3)], "c": (1.5, True)}
    write_result(tmp_path / "result.json", values)
    read = json.loads((tmp_path / "result.json").read_text(), parse_constant=pytest.fail)
    assert read["timing"] == {"a": None, "b": [None, 3], "c": [1.5, True]}
    assert read["score"]["limit_violations"] == 0
    assert "/" not in json.dumps(read["computer"])


@pytest.mark.parametrize("seconds", [0.5, 20.0, 100.0, 3000.0])
def test_a_film_is_short_whatever_the_run(seconds: float) -> None:
    log = RunLog(SPEC.joint_names)
    for t in np.linspace(3.0, 3.0 + seconds, 50):
        log.state.append(t, SPEC.home, 0 * SPEC.home, t)
    plan = FilmPlan.of(log)
    assert len(plan.times) / 12 <= 30.0
    assert plan.times[0] == 3.0 and plan.times[-1] == pytest.approx(3.0 + seconds)
    assert np.all(np.diff(plan.times) >= 0)


def test_joined_parts_play_as_one(tmp_path: Path) -> None:
    parts = []
    for k, count in enumerate((7, 5)):
        parts.append(tmp_path / f"{k}.mp4")
        with av.open(str(parts[-1]), "w") as container:
            stream = container.add_stream("libx264", rate=12)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for i in range(count):
                picture = np.full((48, 64, 3), 20 * i + 100 * k, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode())
    join(parts, tmp_path / "all.mp4")
    with av.open(str(tmp_path / "all.mp4")) as film:
        frames = [(f.time, f.to_ndarray(format="rgb24").mean()) for f in film.decode(video=0)]
    assert len(frames) == 12
    assert np.diff([t for t, _ in frames]) == pytest.approx(1 / 12, abs=1e-3)
    assert np.abs(np.diff([grey for _, grey in frames[:7]]) - 20).max() < 5


def test_a_drawing_that_fails_says_why() -> None:
    with pytest.raises(VideoError, match="no OpenGL here"):
        _run([["sh", "-c", "echo frame; echo 'no OpenGL here' >&2; exit 1"]], lambda n: None)


def test_a_run_folder_overwrites_only_its_own(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "new" / "run")
    (folder / "report.html").write_text("old")
    (folder / "mine.txt").write_text("keep")
    assert prepare(folder) == folder
    assert not (folder / "report.html").exists() and (folder / "mine.txt").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match="not empty"):
        prepare(other)
    assert not (other / MARK).exists()
    with pytest.raises(RunFolderError, match="this is a file"):
        prepare(other / "thesis.tex")
    with pytest.raises(RunFolderError, match="cannot be written"):
        prepare(Path("/proc/run"))
