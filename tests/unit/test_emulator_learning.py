"""Learning rules: what their products do, what they must not, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.network import Emulator, Network
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.profiles import LAVA
from kuwa_policies.emulator.rules import Factor, LearningRule, Product, Trace

X1 = Trace(16, 10)
STDP = LearningRule(
    dw=(
        Product("y0", 2, -3, (Factor("x1"),)),
        Product("x0", -2, -3, (Factor("y1"),)),
    ),
    x=(X1, Trace()),
    y=(X1, Trace(), Trace()),
    seed=7,
)


def pair(rule: LearningRule, weight: int = 50, mode: str = "mixed", sizes: int = 1) -> Emulator:
    """Inputs that learn their connection to neurons which another input makes spike."""
    group = Neurons(sizes, 4095, 4095, 10000)
    denses = [
        Dense("in", "out", np.full((sizes, sizes), weight), -8, learning=rule, sign_mode=mode),  # type: ignore[arg-type]
        Dense("teacher", "out", 254 * np.eye(sizes, dtype=int), 7, sign_mode="excitatory"),
    ]
    return Emulator(Network({"in": sizes, "teacher": sizes}, {"out": group}, denses))


def run(emulator: Emulator, pre: list[int], post: list[int]) -> int:
    """Let the input spike at some steps, the neuron at others; return the weight at the end."""
    for t in range(60):
        emulator.set("in", [t in pre])
        emulator.set("teacher", [t + 1 in post])  # a spike of an input takes one step
        emulator.step()
        assert bool(emulator.get("out")[0]) == (t in post)
    return int(emulator.weights(0)[0, 0])


def test_spikes_before_strengthen_and_after_weaken_more_the_closer_they_are() -> None:
    change = {d: run(pair(STDP), [20], [20 + d]) - 50 for d in (2, 8, 30, -2, -8)}
    assert change[2] > change[8] >= 0 > change[-8] > change[-2]
    assert change[30] <= 1


def test_learning_is_local_and_repeats_with_its_seed() -> None:
    emulator = pair(STDP, sizes=3)
    raster = np.zeros((30, 3), int)
    raster[::4, 1] = 1
    teacher = np.zeros((30, 3), int)
    teacher[2::5, 2] = 1
    emulator.run({"in": raster, "teacher": teacher})
    first = emulator.weights(0)
    # Only synapses of the input or the neuron that spiked have changed; input 1 to neuron 2 has.
    assert first[2, 1] != 50
    untouched = first[np.ix_([0, 1], [0, 2])]
    assert (untouched == 50).all()
    emulator.reset()
    assert (emulator.weights(0) == 50).all()
    emulator.run({"in": raster, "teacher": teacher})
    assert (emulator.weights(0) == first).all()


@pytest.mark.parametrize(("mode", "sign"), [("excitatory", 1), ("inhibitory", -1)])
def test_weights_keep_their_sign_and_stay_within_8_bits(mode: str, sign: int) -> None:
    for mantissa in (7, -7):
        rule = LearningRule(dw=(Product("u", mantissa, 0),))
        emulator = pair(rule, 50 * sign, mode)
        emulator.run({"in": np.zeros((100, 1), int)})
        grows = mantissa * sign > 0
        assert emulator.weights(0)[0, 0] == (255 * sign if grows else 0)


def test_stochastic_rounding_keeps_the_mean_of_a_change_below_one() -> None:
    """1·2⁻⁵ every step: below one unit of the weight, and yet not lost."""
    rule = LearningRule(dw=(Product("u", 1, -5),))
    emulator = pair(rule, 0)
    emulator.run({"in": np.zeros((3200, 1), int)})
    # Standard deviation of the sum of 3200 draws with p = 1/32: 9.8.
    assert emulator.weights(0)[0, 0] == pytest.approx(100, abs=35)


def test_a_rule_is_written_as_lava_writes_it() -> None:
    rule = LearningRule(
        dw=(
            Product("x0", -3, 2, (Factor("y1", 4), Factor("w", sign=True))),
            Product("u", 1, -7, (Factor("t", -2, True),)),
        ),
        decimate=3,
    )
    assert rule.text("dw") == "(-3) * 2^2 * x0 * (y1+4) * sgn(w) + (1) * 2^-7 * u3 * sgn(t-2)"
    assert rule.text("dd") is None


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (LearningRule(), "no products"),
        (LearningRule(dw=STDP.dw, epoch=0), "epoch is 0; expected 1 to 63"),
        (LearningRule(dw=STDP.dw, decimate=10), "decimate is 10"),
        (LearningRule(dw=STDP.dw, x=(Trace(200, 1), Trace())), "impulse of 0 to 127"),
        (LearningRule(dw=(Product("x0", 8, 0),)), "scale 8"),
        (LearningRule(dw=(Product("x0", 1.5, 0),)), "expected a whole mantissa"),  # type: ignore[arg-type]
        (LearningRule(dw=(Product("x0", 1, 0.5),)), "expected a whole mantissa"),  # type: ignore[arg-type]
        (LearningRule(dw=(Product("x0", 1, 0, (Factor("w", 0.5),)),)), "constant 0.5"),  # type: ignore[arg-type]
        (LearningRule(dw=(Product("z0", 1, 0),)), "no dependency 'z0'"),  # type: ignore[arg-type]
        (LearningRule(dw=(Product("x0", 1, 0, (Factor("z"),)),)), "no variable 'z'"),  # type: ignore[arg-type]
        (LearningRule(dw=(Product("x0", 1, 0, (Factor("x1", 0, True),)),)), "sign of x1"),
    ],
)
def test_a_rule_that_the_engine_does_not_have_is_refused(rule: LearningRule, message: str) -> None:
    with pytest.raises(KuwaError, match=message):
        pair(rule)


def test_learning_with_delays_or_by_a_rule_of_another_profile_is_refused() -> None:
    for changes, profile, message in (
        ({"delays": 1}, "lava", "no delays"),
        ({}, "nengo-loihi", "a LearningRule; this profile learns by Pes"),
    ):
        dense = Dense("in", "out", [[2]], learning=STDP, **changes)  # type: ignore[arg-type]
        with pytest.raises(KuwaError, match=message):
            Emulator(Network({"in": 1}, {"out": Neurons(1)}, [dense]), profile)
    dense = Dense("in", "out", [[2]], learning=STDP)
    without = replace(LAVA, learning="none")
    with pytest.raises(KuwaError, match="this profile has none"):
        Emulator(Network({"in": 1}, {"out": Neurons(1)}, [dense]), without)
