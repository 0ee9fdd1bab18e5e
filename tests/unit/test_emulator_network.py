"""The emulator against its own definition in plain integers, its limits, and what it refuses."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.network import Emulator, Network
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.profiles import LAVA, PROFILES, profile_of


def small(**changes: Any) -> Network:
    """Two inputs onto three neurons."""
    numbers: dict[str, Any] = {"decay_u": 1000, "decay_v": 200, "threshold": 50} | changes
    weights = np.array([[10, -20], [30, 40], [100, 255]])
    return Network({"in": 2}, {"out": Neurons(3, **numbers)}, [Dense("in", "out", weights)])


def plain(
    w: np.ndarray, du: int, dv: int, vth: int, bias: int, raster: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The equations of facts in Python's own integers, one neuron after the other."""
    steps, n = len(raster), len(w)
    u, v, s = np.zeros((steps, n), int), np.zeros((steps, n), int), np.zeros((steps, n), int)
    for j in range(n):
        current = voltage = 0
        for t in range(steps):
            a = int(w[j] @ raster[t - 1]) if t else 0
            sign = 1 if current >= 0 else -1
            current = sign * (abs(current) * (4095 - du) >> 12) + (a << 6)
            if current > 2**23:
                current -= 2**24
            elif current <= -(2**23):
                current += 2**24
            sign = 1 if voltage >= 0 else -1
            voltage = sign * (abs(voltage) * (4096 - dv) >> 12) + current + bias
            voltage = min(max(voltage, -(2**23) + 1), 2**23 - 1)
            s[t, j] = voltage > vth << 6
            voltage = 0 if s[t, j] else voltage
            u[t, j], v[t, j] = current, voltage
    return u, v, s


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(0, 4095), st.integers(0, 4095), st.integers(0, 2**17 - 1))
def test_lava_is_its_equations(seed: int, du: int, dv: int, vth: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.integers(-128, 128, (5, 130)) * 2  # even, so that mixed weights keep all their bits
    raster = (rng.random((40, 130)) < 0.7).astype(np.uint8)
    group = Neurons(5, du, dv, vth, bias=rng.integers(-4096, 4096), bias_exponent=3)
    emulator = Emulator(Network({"in": 130}, {"n": group}, [Dense("in", "n", w)]))
    ours = emulator.run({"in": raster}, states=True)
    u, v, s = plain(w, du, dv, vth, int(np.asarray(group.bias)) << 3, raster)
    assert ours.u is not None and ours.v is not None
    assert (ours.u["n"] == u).all() and (ours.v["n"] == v).all() and (ours.spikes["n"] == s).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from(["lava", "brian2-loihi"]))
def test_a_delay_is_a_shift_in_time(seed: int, profile: str) -> None:
    rng = np.random.default_rng(seed)
    late = int(rng.integers(1, 60))
    w = rng.integers(0, 100, (4, 3))
    raster = (rng.random((30, 3)) < 0.3).astype(np.uint8)
    padded = np.concatenate([raster, np.zeros((late, 3), np.uint8)])

    def spikes(delays: Any, given_raster: np.ndarray) -> np.ndarray:
        dense = Dense("in", "n", w, delays=delays)
        net = Network({"in": 3}, {"n": Neurons(4, 1000, 100, 90)}, [dense])
        return Emulator(net, profile).run({"in": given_raster}).spikes["n"]

    now = spikes(0, padded)
    assert (spikes(late, padded)[late:] == now[: len(raster)]).all()
    if profile != "lava":
        return
    # One delay for all, and the same delay written out for each synapse, are different kernels.
    each = np.full((4, 3), late)
    each[0, 0] = late - 1
    each_spikes = spikes(each, padded)
    assert (each_spikes[:, 1:] == spikes(late, padded)[:, 1:]).all()


def test_setting_stepping_and_reading_is_running() -> None:
    raster = (np.random.default_rng(0).random((50, 2)) < 0.5).astype(np.uint8)
    whole = Emulator(small()).run({"in": raster}, states=True)
    emulator = Emulator(small())
    assert whole.u is not None
    for t, spikes in enumerate(raster):
        emulator.set("in", spikes)
        emulator.step()
        assert (emulator.get("out") == whole.spikes["out"][t]).all()
        assert (emulator.get("out", "u") == whole.u["out"][t]).all()
    assert emulator.steps == 50
    emulator.reset()
    again = emulator.run({"in": raster})
    assert (again.spikes["out"] == whole.spikes["out"]).all()


def test_spikes_that_were_set_go_in_once() -> None:
    emulator = Emulator(small(decay_u=4095, decay_v=4095, threshold=10000))
    emulator.set("in", [0, 1])
    emulator.step()
    assert (emulator.get("out", "u") == 0).all()
    emulator.step()
    assert list(emulator.get("out", "u")) == [-20 << 6, 40 << 6, 254 << 6]
    emulator.step()
    assert (emulator.get("out", "u") == 0).all()


def test_spikes_that_were_set_go_in_at_the_first_step_of_a_run_and_in_no_other() -> None:
    emulator = Emulator(small(decay_u=4095, decay_v=4095, threshold=10000))
    emulator.set("in", [0, 1])
    ran = emulator.run({}, 3, states=True)
    assert ran.u is not None and ran.u["out"].tolist() == [[0] * 3, [-1280, 2560, 16256], [0] * 3]
    emulator.step(2)
    assert not emulator.get("out", "u").any()


def test_a_step_allocates_nothing() -> None:
    emulator = Emulator(small())
    spikes = np.array([1, 0], np.uint8)
    for _ in range(10):
        emulator.set("in", spikes)
        emulator.step()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            emulator.set("in", spikes)
            emulator.step()
        assert tracemalloc.get_traced_memory()[0] - before < 2000
    finally:
        tracemalloc.stop()


def test_a_refractory_neuron_is_silent_for_its_period() -> None:
    for profile in ("nengo-loihi", "brian2-loihi"):
        group = Neurons(1, 4095, 0, 10, refractory=5)
        net = Network({"in": 1}, {"n": group}, [Dense("in", "n", [[200]])])
        spikes = Emulator(net, profile).run({"in": np.ones((40, 1), np.uint8)}).spikes["n"]
        assert (np.diff(np.flatnonzero(spikes)) == 5).all() and spikes.sum() > 5


def test_voltage_saturates_and_current_wraps_once() -> None:
    net = Network({}, {"n": Neurons(2, 0, 0, 2**17 - 1)})
    emulator = Emulator(net)
    emulator.set_state("n", u=[2**23 - 1, -(2**23) + 1], v=[2**23 - 1, -(2**23) + 1])
    emulator.step()
    assert list(emulator.get("n", "v")) == [0, -(2**23) + 1]  # the first has spiked


@pytest.mark.parametrize(
    ("network", "profile", "message"),
    [
        (Network({"in": 2}, {}), "lava", "no neurons"),
        (Network({"a": 2}, {"a": Neurons(1)}), "lava", "names both"),
        (Network({"in": 0}, {"a": Neurons(1)}), "lava", "size 0"),
        (Network({}, {"a": Neurons(0)}), "lava", "size 0; expected at least 1"),
        (small(decay_u=4096), "lava", "decay_u .* is 4096; expected 0 to 4095"),
        (small(decay_v=[1, 2]), "lava", r"shape \(2,\); expected \(3,\) or one number"),
        (small(threshold=0.5), "lava", "no integers, e.g. 0.5"),
        (small(bias=5000), "lava", "bias .* is 5000; expected -4096 to 4095"),
        (small(bias=1), "brian2-loihi", "bias .* expected 0 to 0"),
        (small(refractory=2), "lava", "refractory .* expected 1 to 1"),
        (small(v_min=-5), "lava", "v_min"),
        (small(), "loihi", "valid: brian2-loihi, lava, nengo-loihi"),
        (small(), "brian2-loihi", "a weight .* is 255; expected -256 to 254"),
    ],
)
def test_a_network_that_makes_no_sense_is_refused(
    network: Network, profile: str, message: str
) -> None:
    with pytest.raises(KuwaError, match=message):
        Emulator(network, profile)


@pytest.mark.parametrize(
    ("changes", "profile", "message"),
    [
        ({"source": "on"}, "lava", "no source 'on'; valid: in, out"),
        ({"target": "in"}, "lava", "no neurons 'in' as a target"),
        ({"weights": np.zeros((2, 3))}, "lava", r"shape \(2, 3\); expected \(3, 2\)"),
        ({"weights": np.full((3, 2), 0.5)}, "lava", "no integers"),
        ({"weights": np.full((3, 2), np.nan)}, "lava", "no integers"),
        ({"exponent": 8}, "lava", "exponent .* is 8; expected -8 to 7"),
        ({"bits": 9}, "lava", "9 bits; valid: 1, 2"),
        ({"sign_mode": "both"}, "lava", "no sign mode 'both'"),
        ({"delays": 64}, "lava", "a delay .* is 64; expected 0 to 63"),
        ({"delays": 1}, "nengo-loihi", "a delay .* is 1; expected 0 to 0"),
        ({"sign_mode": "excitatory", "weights": -np.ones((3, 2), int)}, "nengo-loihi", "is -1;"),
    ],
)
def test_a_connection_that_makes_no_sense_is_refused(
    changes: dict[str, Any], profile: str, message: str
) -> None:
    values = {"source": "in", "target": "out", "weights": np.ones((3, 2), int)} | changes
    net = Network({"in": 2}, {"out": Neurons(3)}, [Dense(**values)])
    with pytest.raises(KuwaError, match=message):
        Emulator(net, profile)


def test_bad_spikes_and_names_are_refused_and_change_nothing() -> None:
    emulator = Emulator(small())
    for call, message in (
        (lambda: emulator.set("on", [0, 1]), "no input 'on'"),
        (lambda: emulator.set("out", [0, 1, 0]), "no input 'out'"),
        (lambda: emulator.set("in", [0, 1, 1]), r"shape \(3,\); expected \(2,\)"),
        (lambda: emulator.set("in", [0, 2]), "is 2; expected 0 to 1"),
        (lambda: emulator.set("in", np.array([0, 2], np.uint8)), "is 2; expected 0 or 1"),
        (lambda: emulator.set("in", [0.5, 0]), "no integers"),
        (lambda: emulator.get("on"), "no group 'on'"),
        (lambda: emulator.get("out", "w"), "no 'w' of a group"),
        (lambda: emulator.get("in", "u"), "no neurons 'in'"),
        (lambda: emulator.set_state("out", u=2**24), "expected -8388608 to 8388608"),
        (lambda: emulator.run({"in": np.zeros((3, 2), int)}, steps=4), "one number of steps"),
        (lambda: emulator.run({"in": np.zeros((3, 3), int)}), r"expected \(3, 2\)"),
        (lambda: emulator.run({}), "one number of steps"),
        (lambda: emulator.step(2.5), "2.5 steps; expected a whole number"),  # type: ignore[arg-type]
        (lambda: emulator.step(0), "0 steps"),
        (lambda: emulator.run({}, 0), "0 steps"),
    ):
        with pytest.raises(KuwaError, match=message):
            call()
    assert emulator.steps == 0 and not emulator._raster.any()


def test_traffic_counts_spikes_and_synapses_that_are_there() -> None:
    weights = np.array([[1, 0], [1, 1], [0, 1]]) * 4
    net = Network({"in": 2}, {"out": Neurons(3, threshold=9999)}, [Dense("in", "out", weights)])
    emulator = Emulator(net)
    emulator.run({"in": np.array([[1, 0], [1, 1], [0, 0]])})
    assert list(emulator.spike_counts) == [2, 1, 0, 0, 0]
    assert list(emulator.synapse_counts) == [2 * 2 + 1 * 2]


def test_profiles_are_found_by_name() -> None:
    assert profile_of("lava") is LAVA is profile_of(LAVA)
    assert {p.name for p in PROFILES.values()} == set(PROFILES)
