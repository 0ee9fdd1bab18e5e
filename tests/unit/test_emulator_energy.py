"""Energy is what happened times what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.energy import LOIHI_2018, Traffic, estimate, traffic
from kuwa_policies.emulator.network import Emulator, Network
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.rules import LearningRule, Product


def test_traffic_of_a_network_that_can_be_counted_by_hand() -> None:
    """Input 0 spikes in steps 0 to 4 and makes both neurons spike one step later."""
    rule = LearningRule(dw=(Product("x0", 0, 0),))
    denses = [
        Dense("in", "n", np.array([[200, 0], [200, 8]])),
        Dense("n", "n", np.array([[0, 4], [0, 0]]), learning=rule),
    ]
    emulator = Emulator(Network({"in": 2}, {"n": Neurons(2, 4095, 4095, 50)}, denses))
    raster = np.zeros((10, 2), np.uint8)
    raster[:5, 0] = 1
    emulator.run({"in": raster})
    happened = traffic(emulator)
    assert happened.steps == 10 and happened.neurons == 2
    assert happened.input_spikes == 5 and happened.spikes == 10
    assert happened.messages == 5 + 10
    # 5 spikes at two synapses; 5 spikes of neuron 1 at the one synapse that is not 0.
    assert happened.synaptic_operations == 5 * 2 + 5 * 1
    # Every step with a spike of either neuron evaluates its two synapses.
    assert happened.weight_updates == 5 * 4
    assert happened.activity == 0.5
    emulator.reset()
    assert traffic(emulator) == Traffic(0, 2, 0, 0, 0, 0, 0)


def test_energy_is_linear_in_each_event() -> None:
    c = LOIHI_2018
    happened = Traffic(100, 10, 7, 3, 20, 1000, 50)
    energy = estimate(happened, c, hops=2.0)
    assert energy.synapses == pytest.approx(1000 * 23.6e-12)
    assert energy.neurons == pytest.approx((1000 * 52e-12, 1000 * 81e-12))
    assert energy.messages == pytest.approx(20 * (1.7e-12 + 7e-12))
    assert energy.learning == pytest.approx(50 * 120e-12)
    low, high = energy.total
    assert high - low == pytest.approx(1000 * 29e-12)
    assert energy.power(1e-3) == pytest.approx((low / 0.1, high / 0.1))


def test_what_makes_no_sense_is_refused() -> None:
    happened = Traffic(1, 1, 0, 0, 0, 0, 0)
    with pytest.raises(KuwaError, match="hops is -1"):
        estimate(happened, hops=-1)
    with pytest.raises(KuwaError, match="dt is 0 s"):
        estimate(happened).power(0.0)
