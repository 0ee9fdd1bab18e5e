"""Every controller that learns: it keeps what it has learnt, and learns nothing that is not its."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import Array, Controller, Learner, MachineState, Spiking, Trajectory
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.controllers import CONTROLLERS, make_controller
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import keep

SPEC, PERIOD = load_machine("zx200"), 0.01
N = len(SPEC.joint_names)
LEARNERS = [name for name, entry in CONTROLLERS.items() if entry.learns]
SPEED = 0.2
"""Of the reference, as a share of each joint's greatest [1]."""
SHORT = 0.7
"""The joints do this share of what the reference asks, whatever they are commanded."""


def state_at(t: float) -> MachineState:
    q = SPEC.home + SHORT * SPEED * SPEC.qd_max * np.sin(t)
    still = np.zeros(N)
    return MachineState(
        t, q, SHORT * SPEED * SPEC.qd_max * np.cos(t), still, np.full((N, 2), 5e6), 1e7, 0.0, 0.0,
        np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(6), 0.0,
    )  # fmt: skip


KNOTS = np.arange(0.0, 30.0, 0.2)
CHUNK = Trajectory(
    0.0, KNOTS, SPEC.home + SPEED * SPEC.qd_max * np.sin(KNOTS)[:, None],
    SPEED * SPEC.qd_max * np.cos(KNOTS)[:, None],
)  # fmt: skip


def drive(controller: Controller, seconds: float, overridden: bool = False) -> Array:
    """Return the commands, shape (ticks, n), for a machine that does too little."""
    controller.reset(state_at(0.0))
    applied, asked = np.zeros(N), []
    for k in range(round(seconds / PERIOD)):
        values = controller.step(state_at(k * PERIOD), CHUNK, applied)
        asked.append(values.copy())
        # A gate that overrides lets something else through, and never what was asked for.
        applied = np.where(values > 0.0, -0.5, 0.5) if overridden else values.copy()
    return np.array(asked)


def kept(controller: Controller, path: Path) -> dict[str, Array]:
    assert isinstance(controller, Learner)
    keep(controller, path)
    with np.load(path) as file:
        return {name: file[name] for name in file.files if name != "header"}


def moved(before: dict[str, Array], after: dict[str, Array]) -> float:
    return float(np.sqrt(sum(((after[k] - before[k]) ** 2.0).sum() for k in before)))


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_keeps_it_across_a_reset_and_gives_it_to_the_next(
    name: str, tmp_path: Path
) -> None:
    first = make_controller(name, SPEC, PERIOD)
    empty = kept(first, tmp_path / "empty.npz")
    drive(first, 6.0)
    learnt = kept(first, tmp_path / "learnt.npz")
    assert moved(empty, learnt) > 0.0
    first.reset(state_at(0.0))
    assert moved(learnt, kept(first, tmp_path / "again.npz")) == 0.0
    options = ControllerOptions(seed=9, saved=str(tmp_path / "learnt.npz"))
    second = make_controller(name, SPEC, PERIOD, options)
    assert moved(learnt, kept(second, tmp_path / "second.npz")) == 0.0
    if "fixed" in name:  # rounding has its own random numbers, and the first has drawn some
        assert np.abs(drive(first, 1.0) - drive(second, 1.0)).mean() <= 0.01
    else:
        np.testing.assert_array_equal(drive(first, 1.0), drive(second, 1.0))


@pytest.mark.parametrize("name", LEARNERS)
def test_the_state_of_another_machine_or_controller_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "learnt.npz"
    kept(make_controller(name, SPEC, PERIOD), path)
    with pytest.raises(KuwaError, match="machine is 'zx200'; this controller needs 'zx120'"):
        make_controller(name, load_machine("zx120"), PERIOD, ControllerOptions(saved=str(path)))
    for other in LEARNERS:
        if other != name:
            with pytest.raises(KuwaError, match="learner is"):
                make_controller(other, SPEC, PERIOD, ControllerOptions(saved=str(path)))


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_nothing_while_it_is_frozen(name: str, tmp_path: Path) -> None:
    controller = make_controller(name, SPEC, PERIOD, ControllerOptions(learn=False))
    before = kept(controller, tmp_path / "a.npz")
    drive(controller, 3.0)
    assert moved(before, kept(controller, tmp_path / "a.npz")) == 0.0
    if isinstance(controller, Spiking):
        stats = controller.spike_stats()
        assert (stats.learning, stats.reason) == (False, "learning is switched off")
    assert isinstance(controller, Learner)
    controller.freeze("")
    drive(controller, 3.0)
    assert moved(before, kept(controller, tmp_path / "a.npz")) > 0.0


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_nothing_from_what_the_gate_put_in_its_place(name: str, tmp_path: Path) -> None:
    controller = make_controller(name, SPEC, PERIOD)
    before = kept(controller, tmp_path / "a.npz")
    drive(controller, 3.0, overridden=True)
    assert moved(before, kept(controller, tmp_path / "a.npz")) < 1e-9
    if isinstance(controller, Spiking):
        stats = controller.spike_stats()
        assert not stats.learning and "gate" in stats.reason


@pytest.mark.parametrize("name", [n for n, entry in CONTROLLERS.items() if entry.spiking])
def test_its_neurons_are_told_of_truly(name: str) -> None:
    controller = make_controller(name, SPEC, PERIOD)
    assert isinstance(controller, Spiking)
    drive(controller, 3.0)
    before = controller.spike_stats()
    assert 0 < before.alive <= before.neurons and before.prediction_error.shape == (N,)
    assert before.spikes == pytest.approx(before.mean_rate * before.alive * 3.0, rel=0.02)
    assert before.mean_rate <= before.max_rate and before.synaptic_operations >= before.spikes
    assert -1.0 <= before.ei_correlation <= 1.0
    controller.step(state_at(3.0), CHUNK, np.zeros(N))
    after = controller.spike_stats()
    assert after.spikes >= before.spikes
    controller.reset(replace(state_at(0.0)))
    assert controller.spike_stats().spikes == 0
