"""Learners behind a dead time: who is credited, what converges, what cannot run away."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines import load_machine
from kuwa_machines.contracts import Array, Learner, MachineState, Spiking, Trajectory
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.adaptive.credit import Credit
from kuwa_policies.control.adaptive.foresight import GIVE, INPUTS, Foresight
from kuwa_policies.control.adaptive.learner import LinearLearner, OutputLearner, Rates, Rule
from kuwa_policies.control.adaptive.spiking import (
    Population,
    SpikingLearner,
    parameters,
    valve_dendrites,
)
from kuwa_policies.control.chunk import NEUTRAL, TRACK, VELOCITY
from kuwa_policies.control.controllers import make_controller
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.stats import figures

PERIOD = 0.01
SPEC = load_machine("zx200")
N = len(SPEC.joint_names)
DELAY = 0.6
LEARNING = ("pid_adaptive", "ebn")


@given(
    lead=st.integers(1, 7),
    window=st.integers(1, 7),
    pushes=st.lists(st.tuples(st.floats(-1, 1), st.sampled_from([0.0, 1.0]), st.integers(1, 3))),
)
@settings(max_examples=200, deadline=None)
def test_credit_is_the_mean_of_what_was_issued_a_lead_ago(
    lead: int, window: int, pushes: list[tuple[float, float, int]]
) -> None:
    credit = Credit(2, lead, window)
    issued = [0.0] * (lead + window)
    for value, weight, ticks in pushes:
        credit.push(np.array([value, -value]), weight, ticks)
        issued += [weight * value] * ticks
        mean = np.mean(issued[len(issued) - lead - window : len(issued) - lead])
        np.testing.assert_allclose(credit.earned, [mean, -mean], atol=1e-12)
    credit.forget()
    assert not credit.earned.any()


def test_foresight_is_the_reference_when_the_command_acts() -> None:
    horizon = np.array([0.3, 0.7])
    qd_max = np.array([1.0, 0.5])
    t = np.linspace(0.0, 4.0, 81)
    q = np.stack([0.2 * np.sin(t), 0.1 * np.cos(2 * t)], axis=1)
    qd = np.stack([0.2 * np.cos(t), -0.2 * np.sin(2 * t)], axis=1)
    qdd = np.stack([-0.2 * np.sin(t), -0.4 * np.cos(2 * t)], axis=1)
    dead_time = np.array([0.2, 0.5])
    ahead = Foresight(horizon, dead_time, qd_max, PERIOD)
    pressure = np.array([[3e7, 1e7], [np.nan, 0.0]])
    lead = np.stack([0.004 * np.sin(2 * t), np.zeros(len(t))], axis=1)
    z = ahead.step(TRACK, 1.0, 1, np.zeros(2), pressure, t, q, qd, lead)
    for j in range(2):
        at = 1.0 + horizon[j]
        half = 0.5 * qd_max[j]
        assert z[j, 0] == pytest.approx(np.interp(at, t, qd[:, j]) / half, abs=2e-3)
        assert z[j, 2] == pytest.approx(dead_time[j] * np.interp(at, t, qdd[:, j]) / half, abs=5e-3)
        assert np.sign(z[j, 1]) == np.sign(z[j, 0])
    assert z[:, 3].tolist() == [1.0, 0.0]
    assert z[0, 4] == pytest.approx(0.008 * np.cos(2 * 1.3) / GIVE, abs=5e-3) and z[1, 4] == 0.0
    # A stick is not known ahead: what it asks for is what will be asked for.
    z = ahead.step(VELOCITY, 0.0, 1, np.array([0.25, 0.0]), pressure, t, q, qd, lead)
    assert z[:, 0].tolist() == [0.5, 0.0]
    assert not ahead.step(NEUTRAL, 0.0, 1, np.ones(2), pressure, t, q, qd, lead)[:, :3].any()


def linear(rule: Rule) -> OutputLearner:
    return LinearLearner(PERIOD, DELAY, rule)


def spiking(rule: Rule) -> OutputLearner:
    p = Population()
    return SpikingLearner(Ebn(parameters(p, DELAY, rule, 0)), PERIOD, rule, p.constant)


Make = Callable[[Rule], OutputLearner]
each_learner = pytest.mark.parametrize("make", [linear, spiking])


def inputs(t: float) -> Array:
    """A joint that goes back and forth."""
    u = 1.2 * np.sin(0.9 * t)
    return np.array([u, np.tanh(u / 0.06), 0.27 * np.cos(0.9 * t), 0.5, np.sin(1.8 * t)])


def worn(z: Array) -> float:
    """What a worn valve does beyond the model: gain and dead band by direction; oil that gives."""
    return float((0.3 if z[0] > 0 else -0.2) * z[0] - 0.2 * z[1] - 0.15 * z[4])


def learn(
    make: Make, rule: Rule, seconds: float, delta: Callable[[Array], float] = worn
) -> tuple[OutputLearner, Array]:
    """Run a learner whose error comes a lead later, as a mean over a window."""
    lead, window = 40, 40
    learner = make(rule)
    credit = Credit(len(learner.psi), lead, window)
    left = [0.0] * (lead + window + 1)
    errors = []
    for k in range(round(seconds / PERIOD)):
        z = inputs(k * PERIOD)
        credit.push(learner.psi, 1.0)
        e = float(np.mean(left[len(left) - lead - window : len(left) - lead]))
        y = learner.step(inputs(k * PERIOD + 0.05), e, credit.earned, True)
        left.append(delta(z) - y)
        errors.append(left[-1])
    return learner, np.array(errors)


@each_learner
def test_a_worn_valve_is_learnt_behind_a_dead_time(make: Make) -> None:
    _, errors = learn(make, Rule(), 80.0)
    before, after = (np.sqrt(np.mean(part**2)) for part in (errors[:700], errors[-1400:]))
    assert after < 0.25 * before


@each_learner
@pytest.mark.full
def test_a_rule_faster_than_the_delay_allows_is_worse(make: Make) -> None:
    """The bound of the docs: without it a pace of a fifth rings, so that it is no decoration."""
    _, paced = learn(make, Rule(pace=1.4), 60.0)
    _, hasty = learn(make, Rule(pace=0.2), 60.0)
    assert np.abs(hasty[-2000:]).max() > 2.0 * np.abs(paced[-2000:]).max()


@each_learner
def test_weights_stay_bounded_whatever_the_error(make: Make) -> None:
    rule = Rule(pace=0.05, bound=0.5)
    learner = make(rule)
    rng = np.random.default_rng(0)
    for k in range(3000):
        e = float(rng.choice([-50.0, 50.0])) if k % 7 else 50.0
        y = learner.step(inputs(k * PERIOD), e, learner.psi.copy(), True)
        assert np.isfinite(y)
    unit = 1.0 if isinstance(learner, LinearLearner) else Population().leak * Population().norm
    assert np.abs(learner.weights).max() <= rule.bound * unit * (1 + 1e-6)


@each_learner
def test_noise_within_the_dead_zone_teaches_nothing(make: Make) -> None:
    learner = make(Rule(dead_zone=0.02))
    rng = np.random.default_rng(0)
    for k in range(3000):
        learner.step(inputs(k * PERIOD), float(rng.uniform(-0.02, 0.02)), learner.psi.copy(), True)
    assert not learner.weights.any()


@each_learner
def test_nothing_is_learnt_or_lost_while_learning_is_off(make: Make) -> None:
    learner, _ = learn(make, Rule(), 10.0)
    weights = learner.weights.copy()
    for k in range(1000):
        learner.step(inputs(k * PERIOD), 1.0, np.ones(len(learner.psi)), False)
    learner.reset()
    np.testing.assert_array_equal(learner.weights, weights)
    assert weights.any()


@given(st.lists(st.lists(st.floats(-2.0, 2.0), min_size=5, max_size=5), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_no_direction_learns_faster_than_the_pace(history: list[list[float]]) -> None:
    rates = Rates(5, PERIOD)
    for earned in np.array(history):
        assert 0.0 <= earned @ rates(earned, True) < 1.0


def test_a_weak_basis_function_learns_as_fast_as_a_strong_one() -> None:
    rates, rng = Rates(2, PERIOD), np.random.default_rng(0)
    for _ in range(20_000):
        rates(rng.uniform(-1.0, 1.0, 2) * [1.0, 0.1], True)
    power = rates.power.copy()
    np.testing.assert_allclose(power, [1.0 / 3.0, 0.01 / 3.0], rtol=0.2)
    # What a rate makes of the output is rate times activity. It would be a hundredth.
    strong, weak = rates(np.array([1.0, 0.1]), True).copy() * [1.0, 0.1]
    assert 0.2 * strong < weak < 5.0 * strong
    for earned, learn in ((np.ones(2), False), (np.zeros(2), True)):
        power = rates.power.copy()
        rates(earned, learn)
        np.testing.assert_array_equal(rates.power, power)


def test_a_background_keeps_neurons_at_work_and_balanced() -> None:
    """On motions that are harder than an excavator's: bouts are then all there is without one."""
    done = []
    for p in (Population(), Population(constant=0.0)):
        learner = SpikingLearner(Ebn(parameters(p, DELAY, Rule(), 0)), PERIOD, Rule(), p.constant)
        nothing = np.zeros(len(learner.psi))
        for k in range(6000):
            learner.step(inputs(k * PERIOD), 0.0, nothing, False)
        done.append(figures(learner.network.activity, p.dt))
    with_it, without = done
    assert 10.0 < with_it.mean_rate < 20.0
    assert with_it.max_rate < 0.6 * without.max_rate
    assert with_it.isi_cv < 0.5 * without.isi_cv
    assert 0.5 < with_it.isi_cv2 < 1.2
    assert with_it.ei_correlation > 0.95 > without.ei_correlation


def test_dendrites_of_one_direction_are_silent_in_the_other() -> None:
    M, theta = valve_dendrites()

    def active(u: float) -> Array:
        return np.maximum(M @ np.array([u, np.sign(u), 0.0, 0.0, 0.0, 0.0, 0.0]) + theta, 0.0) > 0.0

    assert not (active(0.8) & active(-0.8)).any()
    assert active(0.8).any() and active(-0.8).any()


def state(stamp: float, q: Array) -> MachineState:
    zero = np.zeros(N)
    return MachineState(
        stamp=stamp, q=q, qd=zero, effort=zero, pressure=np.zeros((N, 2)), pump_pressure=0.0,
        pump_flow=0.0, pump_power=0.0, base_position=np.zeros(3),
        base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]), base_velocity=np.zeros(6),
        tool_load=0.0,
    )  # fmt: skip


def drive(controller: object, ticks: int, override: float = 0.0) -> Array:
    """Let joints that move a fifth slower than asked be followed; return the commands."""
    t = np.linspace(0.0, 12.0, 121)
    q = SPEC.home + np.outer(np.sin(0.8 * t), [0.2, 0.1, 0.2, 0.2])
    qd = np.outer(0.8 * np.cos(0.8 * t), [0.2, 0.1, 0.2, 0.2])
    chunk = Trajectory(0.0, t, q, qd)
    controller.reset(state(0.0, SPEC.home))  # type: ignore[attr-defined]
    out, applied = [], np.zeros(N)
    for k in range(ticks):
        now = k * PERIOD
        moved = SPEC.home + 0.8 * (chunk.sample(now)[0] - SPEC.home)
        applied = controller.step(state(now, moved), chunk, applied).copy()  # type: ignore[attr-defined]
        applied *= 1.0 - override
        out.append(applied)
    return np.array(out)


@pytest.mark.parametrize("name", LEARNING)
def test_a_seed_repeats_bit_for_bit_and_what_was_learnt_outlives_a_reset(name: str) -> None:
    one, two = (make_controller(name, SPEC, PERIOD) for _ in range(2))
    first = drive(one, 600)
    np.testing.assert_array_equal(first, drive(two, 600))
    again = drive(one, 600)
    assert np.abs(again - first).max() > 0.01


@pytest.mark.parametrize("name", LEARNING)
def test_what_the_gate_overrides_teaches_nothing(name: str) -> None:
    free, held = (make_controller(name, SPEC, PERIOD) for _ in range(2))
    drive(free, 600)
    drive(held, 600, override=0.5)
    # Halved near zero it is still, to a hundredth, what was asked for: that may teach a little.
    for w, v in zip(weights(held), weights(free), strict=True):
        assert np.linalg.norm(w) < 0.05 * np.linalg.norm(v)
    if isinstance(held, Spiking):
        assert "gate" in held.spike_stats().reason and not held.spike_stats().learning


def test_an_override_teaches_nothing_for_as_long_as_it_shows() -> None:
    held = make_controller("pid_adaptive", SPEC, PERIOD)
    drive(held, 300)
    learning = held.learning  # type: ignore[attr-defined]
    longest = SPEC.dead_time.max()
    before = [w.copy() for w in weights(held)]
    t = np.linspace(0.0, 12.0, 121)
    still = Trajectory(0.0, t, np.tile(SPEC.home, (121, 1)), np.zeros((121, N)))
    # One tick at which something else was applied, and motion that nobody foresaw ever after.
    last = held.step(state(3.0, SPEC.home), still, np.ones(N)).copy()
    frozen = 0
    while learning.reason:
        frozen += 1
        q = SPEC.home + 0.002 * frozen
        last = held.step(state(3.0 + frozen * PERIOD, q), still, last).copy()
        assert frozen < 500
        if learning.reason:
            first = learning.learners[0].weights, before[0]
            np.testing.assert_array_equal(*first)
    assert frozen * PERIOD > 2.0 * longest - 0.02


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_joint_that_does_as_modelled_leaves_no_error_though_ticks_are_skipped(every: int) -> None:
    controller = make_controller("pid", SPEC, PERIOD)
    controller.reset(state(0.0, SPEC.home))
    oil = controller._oil  # type: ignore[attr-defined]
    t = np.linspace(0.0, 12.0, 121)
    chunk = Trajectory(
        0.0, t, SPEC.home + np.outer(np.sin(0.8 * t), [0.2, 0.1, 0.2, 0.2]),
        np.outer(0.8 * np.cos(0.8 * t), [0.2, 0.1, 0.2, 0.2]),
    )  # fmt: skip
    told = {}
    q, applied, worst = SPEC.home.copy(), np.zeros(N), 0.0
    delay = np.rint(SPEC.dead_time / PERIOD).astype(int)
    for k in range(0, 600, every):
        # The machine is where the controller's own promise of one dead time ago said.
        for j in range(N):
            q[j] = told.get((j, k), q[j])
        applied = controller.step(state(k * PERIOD, q.copy()), chunk, applied).copy()
        for j in range(N):
            for i in range(every):
                told[(j, k + int(delay[j]) - i)] = float(oil._promise[j, -1])
        if k > 300:
            worst = max(worst, float(np.abs(oil._late).max()))
    assert worst < 1e-9


def weights(controller: object) -> list[Array]:
    return [learner.weights for learner in controller.learning.learners]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", LEARNING)
def test_what_was_learnt_is_saved_and_restored(name: str, tmp_path: Path) -> None:
    one = make_controller(name, SPEC, PERIOD)
    drive(one, 600)
    assert isinstance(one, Learner)
    one.save(tmp_path / "c.npz")
    two = make_controller(
        name, SPEC, PERIOD, ControllerOptions(seed=9, saved=str(tmp_path / "c.npz"), learn=False)
    )
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(a, b)
    drive(two, 300)
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(a, b)
    with np.load(tmp_path / "c.npz") as file:
        arrays = {key: file[key] for key in file.files}
    for key, value in (("power", -1.0), ("weights" if name == "pid_adaptive" else "Omega_s", 1e9)):
        spoilt = {k: np.full_like(v, value) if k.endswith(key) else v for k, v in arrays.items()}
        np.savez(tmp_path / "spoilt.npz", **spoilt)
        with pytest.raises(KuwaError, match=rf"{key} reaches from .*; expected between"):
            two.restore(tmp_path / "spoilt.npz")  # type: ignore[attr-defined]
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(a, b)
    other = dataclasses.replace(ControllerOptions(), saved=str(tmp_path / "c.npz"))
    with pytest.raises(KuwaError, match="machine is 'zx200'"):
        make_controller(name, load_machine("zx120"), PERIOD, other)


def test_spike_statistics_are_of_all_neurons() -> None:
    controller = make_controller("ebn", SPEC, PERIOD)
    drive(controller, 600)
    assert isinstance(controller, Spiking)
    stats = controller.spike_stats()
    assert stats.neurons == stats.alive == 4 * Population().neurons
    assert 0.0 < stats.mean_rate < 40.0
    assert stats.spikes == round(stats.mean_rate * 6.0 * stats.neurons)
    assert stats.learning and stats.reason == ""
    assert np.isfinite(stats.prediction_error).all()


def test_a_neuron_step_that_does_not_fit_is_refused() -> None:
    with pytest.raises(KuwaError, match="neuron_dt"):
        make_controller("ebn", SPEC, PERIOD, ControllerOptions(neuron_dt=0.003))


def test_inputs_are_as_the_dendrites_name_them() -> None:
    M = valve_dendrites()[0]
    assert M.shape[1] == len(INPUTS) + 2
    # What is learnt is read from the inputs alone: neither from itself nor from the background.
    assert not M[:, len(INPUTS) :].any()
