"""PES in integers: what it learns, how errors are taken, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.network import Emulator, Network
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.pes import Pes, discretised
from kuwa_policies.emulator.rules import LearningRule, Product, Trace

RULE = Pes(Trace(20, 5), 1, -5, 100.0)


def learner(rule: Any = RULE, sources: int = 4, seed: int = 0, **dense: Any) -> Emulator:
    """Inputs that learn their connection to two pairs of neurons, from nothing."""
    neurons = Neurons(4, decay_u=3000, decay_v=200, threshold=400)
    values = {"weights": np.zeros((4, sources), int), "exponent": 0, "sign_mode": "mixed"} | dense
    connection = Dense("in", "out", learning=rule, **values)
    return Emulator(Network({"in": sources}, {"out": neurons}, [connection]), "nengo-loihi", seed)


def regular(steps: int, sources: int = 4, first: int = 0) -> np.ndarray:
    raster = np.zeros((steps, sources), np.uint8)
    raster[::3, first:] = 1
    return raster


def test_the_second_half_learns_from_the_error_and_the_first_from_its_opposite() -> None:
    emulator = learner()
    emulator.set_error(0, [0.3, -0.1])
    emulator.run({"in": regular(200, first=2)})
    w = emulator.weights(0)
    assert (w[:, :2] == 0).all(), "sources that are silent learn nothing"
    assert (w[[0, 3], 2:] < 0).all() and (w[[1, 2], 2:] > 0).all()
    assert (w[2, 2:] > w[1, 2:]).all(), "three times the error"


def test_an_error_that_is_fed_back_becomes_small() -> None:
    """Spikes of a pair's halves, counted against each other, come to follow a target of either
    sign."""
    rng = np.random.default_rng(0)
    emulator = learner(Pes(Trace(10, 5), 1, -7, 100.0), sources=40)
    target, seen, late = np.array([0.2, -0.3]), np.zeros(2), []
    for t in range(4000):
        emulator.set("in", rng.random(40) < 0.1)
        emulator.step()
        spikes = emulator.get("out").astype(float)
        seen += 0.01 * ((spikes[2:] - spikes[:2]) - seen)
        emulator.set_error(0, target - seen)
        late += [seen.copy()] if t >= 2000 else []
    assert np.mean(late, axis=0) == pytest.approx(target, abs=0.03)


def test_errors_have_7_bits_and_hold_until_the_next() -> None:
    emulator = learner()
    state = emulator.learning[0]
    emulator.set_error(0, [5.0, -5.0])
    assert state.error.tolist() == [127, -127]
    emulator.set_error(0, [0.005, 0.015])  # halves of a unit: to even
    assert state.error.tolist() == [0, 2]
    emulator.step(7)
    assert state.error.tolist() == [0, 2]
    emulator.reset()
    assert state.error.tolist() == [0, 0]


def test_stochastic_rounding_keeps_the_mean_of_a_change_below_one() -> None:
    """16·1·2⁰/128 every four steps: an eighth of a unit of weight."""
    emulator = learner(Pes(Trace(16, 1), 1, -5, 1.0), sources=200, sign_mode="excitatory")
    emulator.set_error(0, [1.0, 1.0])
    raster = np.zeros((4, 200), np.uint8)
    raster[2] = 1  # arrives when traces and weights change
    emulator.run({"in": raster})
    changes = emulator.weights(0)[2:] / 64
    assert set(np.unique(changes)) == {0.0, 1.0}
    # Standard deviation of the mean of 400 draws with p = 1/8: 0.017.
    assert changes.mean() == pytest.approx(0.125, abs=0.06)


def test_learning_repeats_with_its_seed_in_one_run_or_step_by_step() -> None:
    def left(seed: int, stepwise: bool) -> np.ndarray:
        emulator = learner(seed=seed)
        raster = regular(60)
        for _ in range(2):  # the second time after a reset
            emulator.reset()
            emulator.set_error(0, [0.3, -0.1])
            if stepwise:
                for row in raster:
                    emulator.set("in", row)
                    emulator.step()
            else:
                emulator.run({"in": raster})
        return emulator.weights(0)

    assert (left(1, True) == left(1, False)).all()
    assert (left(1, True) != left(2, True)).any()


def test_every_synapse_that_is_changed_counts() -> None:
    emulator = learner()
    emulator.run({"in": regular(41)})
    assert emulator.weight_updates == 10 * 16


@pytest.mark.parametrize(
    ("rule", "changes", "message"),
    [
        (Pes(Trace(20, 5), mantissa=8), {}, "mantissa is 8; expected 1 to 7"),
        (Pes(Trace(20, 5), exponent=-8), {}, "exponent is -8; expected -7 to 7"),
        (Pes(Trace(0.3, 5)), {}, "impulse of 0.3; expected 1/128"),
        (Pes(Trace(128, 5)), {}, "impulse of 128"),
        (Pes(Trace(20, 0)), {}, "tau is 0 steps"),
        (Pes(Trace(20, 2.5)), {}, "tau is 2.5 steps"),
        (Pes(Trace(20, 5), error_scale=0.0), {}, "error_scale is 0"),
        (LearningRule((Product("x0", 1, 0),)), {}, "a LearningRule; this profile learns by Pes"),
    ],
)
def test_rules_that_the_reference_does_not_have_are_refused(
    rule: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(KuwaError, match=message):
        learner(rule, **changes)


def test_what_is_no_pair_or_no_error_is_refused() -> None:
    with pytest.raises(KuwaError, match="3 neurons learn; expected pairs"):
        dense = Dense("in", "out", np.zeros((3, 1), int), learning=RULE)
        Emulator(Network({"in": 1}, {"out": Neurons(3)}, [dense]), "nengo-loihi")
    emulator = learner()
    for error, message in (([1.0], r"shape \(1,\); expected \(2,\)"), ([np.nan, 0], "finite")):
        with pytest.raises(KuwaError, match=message):
            emulator.set_error(0, error)
    with pytest.raises(
        KuwaError, match=r"connection 1 does not learn by PES; those that do: \[0\]"
    ):
        emulator.set_error(1, [0.0, 0.0])
    with pytest.raises(KuwaError, match="a Pes; this profile learns by LearningRule"):
        Emulator(emulator.network, "lava")
    with pytest.raises(KuwaError, match="seed is -1"):
        learner(seed=-1)


def test_a_rule_of_nengo_keeps_its_rate_or_is_refused() -> None:
    """Rate and impulse together: dw of a spike is what Nengo's rule makes of it."""
    rate, tau, n, scale = 2e-4, 0.005, 50, 180.0
    rule = discretised(rate, tau, n, scale)
    assert (rule.mantissa, rule.exponent, rule.trace.tau) == (1, -7, 5)
    # A trace's sum is impulse/(1 − e^(−1/τ)); the change of a step is 2^(−2−7)·trace·error.
    per_spike = rule.trace.impulse / -np.expm1(-1 / 5) * 2.0**-9 * rule.error_scale / 4
    wanted = rate * 1e-3 / n * scale / 1e-6
    assert per_spike == pytest.approx(wanted, rel=0.01)
    with pytest.raises(KuwaError, match=r"rate of 0\.2 asks for traces that rise by"):
        discretised(0.2, tau, n, scale)
    with pytest.raises(KuwaError, match="rate of 1e-09 asks for"):
        discretised(1e-9, tau, n, scale)
    with pytest.raises(KuwaError, match="all must be above 0"):
        discretised(-1e-4, tau, n, scale)
