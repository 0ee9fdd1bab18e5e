"""Learning with traces of synapses: what rules do, what is written for the reference, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.network import Emulator, Network
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.rules import Factor, LearningRule, Product, Trace
from kuwa_policies.emulator.synaptic import text

TRACE = Trace(16, 10)
NONE = Trace()
STDP = LearningRule(
    dw=(Product("y0", 1, 0, (Factor("x1"),)), Product("x0", -1, 0, (Factor("y1"),))),
    x=(TRACE, NONE),
    y=(TRACE, NONE, NONE),
)


def pair(
    rule: LearningRule = STDP, weight: int = 50, sizes: int = 1, seed: int = 0, **dense: Any
) -> Emulator:
    """Inputs that learn their connection to neurons which another input makes spike."""
    group = Neurons(sizes, 4096, 4096, 10000)
    values = {"exponent": -8, "sign_mode": "mixed"} | dense
    denses = [
        Dense("in", "out", np.full((sizes, sizes), weight), learning=rule, **values),
        Dense("teacher", "out", 254 * np.eye(sizes, dtype=int), 7, sign_mode="excitatory"),
    ]
    network = Network({"in": sizes, "teacher": sizes}, {"out": group}, denses)
    return Emulator(network, "brian2-loihi", seed)


def run(emulator: Emulator, pre: list[int], post: list[int]) -> int:
    """Let the input spike at some steps, the neuron at others; return w at the end."""
    for t in range(60):
        emulator.set("in", [t in pre])
        emulator.set("teacher", [t in post])
        emulator.step()
        assert bool(emulator.get("out")[0]) == (t in post)
    return int(emulator.learning[0].mantissas[0, 0])


def test_spikes_before_strengthen_and_after_weaken_more_the_closer_they_are() -> None:
    change = {d: run(pair(), [20], [20 + d]) - 50 for d in (1, 8, 35, -4, -12)}
    assert change[1] > change[8] > 0 >= change[-12] > change[-4]
    assert change[35] == 0


def test_a_delay_moves_what_is_learnt_with_the_spike() -> None:
    """Later by three steps, it meets the same spike of the target as one that comes later."""
    assert run(pair(delays=3), [20], [28]) == run(pair(), [23], [28])
    assert run(pair(delays=3), [20], [21]) < 50 < run(pair(), [20], [21])


def test_a_spike_carries_the_weight_that_it_finds() -> None:
    """One unit more in every step; signs do not mix, so that nothing is rounded."""
    grows = LearningRule((Product("u", 1, 0),))
    emulator = pair(grows, weight=10, exponent=0, sign_mode="excitatory")
    currents = []
    for _ in range(5):
        emulator.set("in", [1])
        emulator.step()
        currents.append(int(emulator.get("out", "u")[0]) // 64)
    assert currents == [10, 11, 12, 13, 14]
    assert emulator.weights(0)[0, 0] == 15 * 64


def test_learning_is_local_and_repeats_with_its_seed() -> None:
    emulator = pair(sizes=3, seed=4)
    raster, teacher = np.zeros((30, 3), int), np.zeros((30, 3), int)
    raster[::4, 1] = 1
    teacher[2::5, 2] = 1
    emulator.run({"in": raster, "teacher": teacher})
    first = emulator.learning[0].mantissas.copy()
    assert first[1, 2] != 50 and (np.delete(first, 1, 0)[:, :2] == 50).all()
    emulator.reset()
    assert (emulator.learning[0].mantissas == 50).all()
    emulator.run({"in": raster, "teacher": teacher})
    assert (emulator.learning[0].mantissas == first).all()


@pytest.mark.parametrize(("mode", "sign"), [("excitatory", 1), ("inhibitory", -1)])
def test_weights_keep_their_sign_and_stay_within_8_bits(mode: str, sign: int) -> None:
    for mantissa in (7, -7):
        emulator = pair(LearningRule((Product("u", mantissa, 0),)), 50 * sign, sign_mode=mode)
        emulator.run({"in": np.zeros((100, 1), int), "teacher": np.zeros((100, 1), int)})
        most = 255 if sign > 0 else -256
        grows = mantissa * sign > 0
        assert emulator.learning[0].mantissas[0, 0] == (most if grows else 0)


def test_traces_decay_in_the_mean_as_their_tau_says() -> None:
    """Every synapse rounds on its own: 2500 of them, one spike."""
    emulator = pair(sizes=50)
    emulator.set("in", np.ones(50))
    emulator.set("teacher", np.zeros(50))
    means = []
    for _ in range(12):
        emulator.step()
        means.append(emulator.learning[0].traces[0].mean())
    # In the step of the spike what is drawn is from before it: 16·0.9 = 14.4 goes to 14.
    assert means[0] == 14.0
    assert means == pytest.approx([14 * 0.9**k for k in range(12)], abs=0.1)


def test_stochastic_rounding_of_dependency_u_keeps_the_mean() -> None:
    """3 units where a step of the weight is 16: three of sixteen go up."""
    emulator = pair(LearningRule((Product("u", 3, 0),)), 0, 40, bits=5, sign_mode="mixed")
    emulator.step()
    changes = emulator.learning[0].mantissas
    assert set(np.unique(changes)) == {0, 16}
    # Standard deviation of the mean of 1600 draws with p = 3/16: 0.16.
    assert changes.mean() == pytest.approx(3.0, abs=0.6)


def test_updates_that_a_spike_sets_off_count() -> None:
    emulator = pair(sizes=3)
    emulator.set("in", [1, 0, 0])
    emulator.step()
    assert emulator.weight_updates == 3


def test_a_rule_is_written_as_the_reference_takes_it() -> None:
    rule = LearningRule(
        dw=(
            Product("x0", -3, 2, (Factor("y1"), Factor("w", sign=True))),
            Product("u", 1, -7, (Factor("w", -2, True), Factor("w", 4))),
        ),
        decimate=3,
    )
    assert text(rule) == "-3*2^2*x0*y1*sign(w)+1*2^-7*u3*sign(w-2)*(w+4)"


def rule_with(**changes: Any) -> LearningRule:
    parts: dict[str, Any] = {"dw": STDP.dw, "x": STDP.x, "y": STDP.y}
    return LearningRule(**parts | changes)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (rule_with(epoch=2), "epoch is 2; expected 1: weights change in every step"),
        (rule_with(seed=3), "seed is 3; expected 0: Emulator has the seed"),
        (rule_with(dt=STDP.dw), "there are no tags"),
        (rule_with(dw=(Product("x0", 1, 0, (Factor("t"),)),)), "t is a tag"),
        (rule_with(dw=(Product("x0", 1, 0, (Factor("y2"),)),)), "y2 has no impulse and tau"),
        (rule_with(dw=(Product("x0", 1, 0, (Factor("x1", 3),)),)), "multiply out"),
        (rule_with(x=(Trace(10.5, 3), NONE)), "x1 has .* whole numbers"),
        (rule_with(x=(Trace(10, 0), NONE)), "x1 has .* both 0 or neither"),
        (rule_with(dw=(Product("x0", 7, 8, (Factor("w"),) * 3),)), "dw can reach 3.01e.10"),
        (LearningRule(), "no products"),
    ],
)
def test_rules_that_the_reference_cannot_say_are_refused(rule: LearningRule, message: str) -> None:
    with pytest.raises(KuwaError, match=message):
        pair(rule)
