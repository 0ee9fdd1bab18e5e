"""The table of controllers, their options, and what they keep between runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from learner_double import ENTRY, LearnerDouble

from kuwa_cli import lockstep_run
from kuwa_cli.live import LiveStatus
from kuwa_cli.outcome import result
from kuwa_cli.report.page import write_page
from kuwa_cli.report.runs import MachineRun
from kuwa_cli.runfolder import controller_files, prepare
from kuwa_cli.settings import settings
from kuwa_cli.sim import new_logs
from kuwa_machines import load_machine
from kuwa_machines.contracts import Learner, Spiking
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.controllers import CONTROLLERS, DEFAULT, make_controller
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import keep, read_state, write_state

SPEC, PERIOD = load_machine("zx200"), 0.01


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a controller that learns."""
    monkeypatch.setitem(CONTROLLERS, "double", ENTRY)
    return "double"


def learnt(path: Path, steps: int = 4) -> Path:
    """The saved state of a double."""
    one = LearnerDouble(SPEC, PERIOD, ControllerOptions())
    one.weights += steps
    keep(one, path)
    return path


@pytest.mark.parametrize("name", CONTROLLERS)
def test_the_table_says_what_a_controller_can_do(name: str) -> None:
    entry = CONTROLLERS[name]
    controller = make_controller(name, SPEC, PERIOD)
    assert isinstance(controller, Spiking) == entry.spiking
    assert isinstance(controller, Learner) == entry.learns
    assert entry.title and DEFAULT in CONTROLLERS


def test_an_unknown_controller_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KuwaError, match="no controller 'pit'; did you mean 'pid'"):
        make_controller("pit", SPEC, PERIOD)


@given(st.integers(1, 200), st.floats(1e-5, 1e-2))
def test_whole_numbers_of_neuron_steps_are_counted(steps: int, dt: float) -> None:
    assert ControllerOptions(neuron_dt=dt).neuron_steps(steps * dt) == steps


@given(st.integers(1, 200), st.floats(0.01, 0.99), st.floats(1e-5, 1e-2))
def test_parts_of_neuron_steps_are_refused(steps: int, part: float, dt: float) -> None:
    with pytest.raises(KuwaError, match="must be a whole number"):
        ControllerOptions(neuron_dt=dt).neuron_steps((steps + part) * dt)


@pytest.mark.parametrize("dt", [0.0, -1e-3, float("nan"), float("inf"), 0.02])
def test_neuron_steps_that_are_none_are_refused(dt: float) -> None:
    with pytest.raises(KuwaError, match=r"period 0\.01 s.*neuron_dt of 0\.01 s"):
        ControllerOptions(neuron_dt=dt).neuron_steps(0.01)


def test_both_periods_are_named_and_what_would_be_right(double: str) -> None:
    with pytest.raises(KuwaError, match=r"neuron_dt is 0\.003 s and the control period 0\.01 s.*"
                                        r"0\.00333333 or 0\.0025 s"):  # fmt: skip
        make_controller(double, SPEC, PERIOD, ControllerOptions(neuron_dt=0.003))
    make_controller("pid", SPEC, PERIOD, ControllerOptions(neuron_dt=0.003))


def test_what_was_learnt_is_restored_and_learning_can_be_switched_off(
    double: str, tmp_path: Path
) -> None:
    saved = str(learnt(tmp_path / "controller.npz"))
    options = ControllerOptions(seed=7, saved=saved, learn=False)
    controller = make_controller(double, SPEC, PERIOD, options)
    assert isinstance(controller, LearnerDouble)
    assert (controller.weights == 4.0).all()
    assert controller.seed == 0, "the network that was saved, not that of this run"
    assert controller.spike_stats().reason == "learning is switched off"
    assert list(tmp_path.iterdir()) == [tmp_path / "controller.npz"]


def test_a_controller_that_learns_nothing_restores_nothing(tmp_path: Path) -> None:
    saved = str(learnt(tmp_path / "controller.npz"))
    with pytest.raises(KuwaError, match="'pid' learns nothing"):
        make_controller("pid", SPEC, PERIOD, ControllerOptions(saved=saved))


HEADER, WEIGHTS = {"machine": "a", "joints": ["x", "y"], "neurons": 3}, {"W": np.eye(3)}


@pytest.mark.parametrize(
    ("header", "arrays", "why"),
    [
        ({"machine": "b"}, {}, "machine is 'a'; this controller needs 'b'"),
        ({"joints": ["x"]}, {}, r"joints is \['x', 'y'\]; this controller needs \['x'\]"),
        ({"neurons": 4}, {}, "neurons is 3; this controller needs 4"),
        ({"kind": "ebn"}, {}, "kind is missing; this controller needs 'ebn'"),
        ({"format": 9}, {}, "format is 1; this controller needs 9"),
        ({}, {"W": np.eye(2)}, r"W is float64 of shape \(3, 3\); this .* of shape \(2, 2\)"),
        ({}, {"W": np.eye(3, dtype=np.int8)}, "W is float64 .* needs int8"),
        ({}, {"V": np.eye(3)}, "V is missing; it holds W"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_its_field(
    tmp_path: Path, header: dict, arrays: dict, why: str
) -> None:
    path = tmp_path / "s.npz"
    write_state(path, HEADER, WEIGHTS)
    np.testing.assert_array_equal(read_state(path, HEADER, WEIGHTS)["W"], np.eye(3))
    with pytest.raises(KuwaError, match=why):
        read_state(path, HEADER | header, arrays or WEIGHTS)


def test_what_is_no_saved_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    write_state(path, HEADER, WEIGHTS)
    whole = path.read_bytes()
    for content in (b"", b"dear diary", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(KuwaError, match="no saved state"):
            read_state(path, HEADER, WEIGHTS)
    np.savez(path, header=np.array(json.dumps([1])), W=np.eye(3))
    with pytest.raises(KuwaError, match="format is missing"):
        read_state(path, HEADER, WEIGHTS)
    np.savez(path, header=np.array({"a": 1}, dtype=object), W=np.eye(3))
    with pytest.raises(KuwaError, match="no saved state"):
        read_state(path, HEADER, WEIGHTS)
    bad = {"W": np.full((3, 3), np.nan)}
    np.savez(path, header=np.array(json.dumps({"format": 1, **HEADER})), **bad)
    with pytest.raises(KuwaError, match="W has values that are not finite"):
        read_state(path, HEADER, WEIGHTS)
    with pytest.raises(KuwaError, match="not saved"):
        write_state(path, HEADER, bad)


def test_an_older_state_survives_a_failed_save(tmp_path: Path) -> None:
    path = learnt(tmp_path / "controller.npz")
    before = path.read_bytes()
    one = LearnerDouble(SPEC, PERIOD, ControllerOptions())
    one.weights[0] = np.nan
    with pytest.raises(KuwaError, match="not finite"):
        keep(one, path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(KuwaError, match="cannot be written"):
        keep(LearnerDouble(SPEC, PERIOD, ControllerOptions()), tmp_path / "no" / "c.npz")


def test_a_run_keeps_what_its_controller_has_learnt_and_goes_on_from_it(
    double: str, tmp_path: Path
) -> None:
    saved = None
    for ticks in (20, 40):
        folder = prepare(tmp_path / str(ticks))
        asked = settings("dig_trench", None, 0, True, None, 0.2, False, None, double, saved)
        logs = new_logs(asked, exact=True)
        with LiveStatus("test") as live:
            outcome = lockstep_run.run(asked, folder, logs, live)
        saved = folder / "controller.npz"
        with np.load(saved) as file:
            assert (file["weights"] == ticks).all()
        # Every tenth tick from the tenth on; the counts run on.
        spikes = logs["zx200"].spikes
        assert spikes.t == pytest.approx([0.09, 0.19])
        assert spikes["neurons"].tolist() == [40, 40] and spikes["learning"].all()
        assert spikes["spikes"][1] > spikes["spikes"][0] > 0
        assert spikes["error"].shape == (2, 4)
    values = result(logs, outcome, asked, "lockstep", "./kuwa sim")
    assert (values["controller"], values["restored"]) == ("double", True)
    runs = {n: MachineRun(n, asked.specs[n], asked.tasks[n], log) for n, log in logs.items()}
    write_page(folder / "report.html", values, runs, outcome.panels)
    assert "controller double with what it learnt before" in (folder / "report.html").read_text()
    with pytest.raises(KuwaError, match="from which this run starts"):
        prepare(folder, str(saved))
    assert saved.exists()
    assert not (prepare(folder) / "controller.npz").exists()


def test_each_machine_of_a_site_has_a_file_of_its_own(tmp_path: Path) -> None:
    files = controller_files(tmp_path, ["zx200", "truck"])
    assert [file.name for file in files.values()] == ["controller.npz", "controller-truck.npz"]


@pytest.mark.parametrize(
    ("controller", "state", "why"),
    [
        ("ebm", None, "no controller 'ebm'"),
        ("pid", "controller.npz", "learns nothing that could be restored"),
        ("double", "controller.npz", "no such file"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_starts(
    double: str, controller: str | None, state: str | None, why: str
) -> None:
    path = None if state is None else Path(state)
    with pytest.raises(KuwaError, match=why):
        settings("dig_trench", None, 0, True, None, None, False, None, controller, path)
