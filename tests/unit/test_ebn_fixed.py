"""The integer network: only integers inside, no overflow, honest about what it lost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit, typeof, types

from ebn_backends import parameters, signal
from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn import fixed_kernel
from kuwa_policies.ebn.decoders import random_decoders, random_dendrites
from kuwa_policies.ebn.fixed import FixedEbn
from kuwa_policies.ebn.fixed_kernel import INT8, PSI_BITS, TABLE_BITS
from kuwa_policies.ebn.fixed_plan import lay_out
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters

ZERO = np.zeros(3)
TOP = 2**23 - 1


def types_inside(function: object, arguments: tuple) -> set:
    """Every type that numba finds in a kernel compiled for these arguments."""
    plain = njit(function.py_func)  # type: ignore[attr-defined]
    plain.compile(tuple(typeof(a) for a in arguments))
    (compiled,) = plain.overloads.values()
    return set(compiled.type_annotation.typemap.values())


def test_no_float_enters_the_kernels() -> None:
    net = FixedEbn(dataclasses.replace(parameters(), eta=50.0, forget=0.1, slow_tau=0.01))
    for function, arguments in (
        (fixed_kernel.advance, (*net._advance, 1)),
        (fixed_kernel.learn, (*net._learn, *net._rate(1), net._forgotten(1, net._rate(1)[1]))),
    ):
        for kind in types_inside(function, arguments):
            inner = kind.dtype if isinstance(kind, types.Array) else kind
            assert not isinstance(inner, types.Float | types.Complex), kind


def big_step(net: FixedEbn, slow_weights: np.ndarray) -> np.ndarray:
    """Voltages after one step without spikes and noise, in Python's integers of any size."""
    a, J, N = net.layout, net.p.signals, net.p.neurons
    d, c, x = a.d.tolist(), net._c.tolist(), net._x.tolist()
    psi = []
    for k in range(net.p.dendrites):
        half = (1 << a.x_short) >> 1
        arg = sum(int(a.m[k, j]) * ((x[j] + half) >> a.x_short) for j in range(J))
        arg = (arg >> int(a.m_shift[k])) + int(a.theta[k])
        last = len(a.table) // 2
        psi.append(int(a.table[min(max(arg, -last), last) + last]))
    V = []
    for i in range(N):
        drive = sum(d[j][i] * c[j] for j in range(J))
        drive = (drive + ((1 << a.c_shift) >> 1)) >> a.c_shift
        slow = sum(psi[k] * int(slow_weights[k, i]) for k in range(len(psi)))
        slow = (slow * a.slow_gain + (1 << a.slow_shift >> 1)) >> a.slow_shift
        v = int(net._V[i])
        v = (abs(v) * a.keep >> 12) * (1 if v >= 0 else -1) + drive + slow
        V.append(min(max(v, -TOP), TOP))
    return np.array(V)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(2, 12), st.integers(1, 30), st.sampled_from([1e-3, 0.02, 0.1, 1.0]),
    st.sampled_from([0.5, 8.0, 1e4]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_extreme_values_saturate_and_never_overflow(
    J: int, K: int, norm: float, gain: float, seed: int
) -> None:
    """All inputs, states and weights at the ends of their ranges: bit for bit as without ranges."""
    rng = np.random.default_rng(seed)
    M, theta = random_dendrites(J, [range(J)], K, seed)
    p = EbnParameters(
        random_decoders(J, 4 * J, norm, seed), M=M, theta=theta, noise=0.0, w_max=30 * norm, k=1.0
    )
    net = FixedEbn(p)
    net.alive[:] = False
    net._V[:] = rng.choice([-TOP, TOP, 0, 12345], p.neurons)
    net._x[:] = rng.choice([-TOP, TOP, 0], J)
    net.Omega_s[:] = rng.choice([-INT8, INT8], net.Omega_s.shape)
    c = gain * 1e3 * rng.choice([-1.0, 1.0], J)
    net.step(c, np.zeros(J))
    after = net._V.copy()
    net._V[:] = 0
    x_before = net._x.copy()
    expected = big_step(net, net.Omega_s)
    net.step(c, np.zeros(J))
    np.testing.assert_array_equal(net._V, expected)
    assert np.abs(after).max() <= TOP and np.abs(x_before).max() <= TOP


def test_what_is_out_of_range_is_held_and_counted() -> None:
    net = FixedEbn(parameters())
    for c, e in signal(200):
        net.step(c, e)
    assert net.saturated == 0
    net.step(np.full(3, 1e9), ZERO)
    assert net.saturated > 0
    for _ in range(2000):
        net.step(ZERO, ZERO)
    assert np.abs(net.x_hat).max() < 0.1
    net.reset()
    assert net.saturated == 0


def test_learning_is_unbiased_far_below_the_resolution_of_a_weight() -> None:
    """Changes of 1/2000 of a tag's step, 1/500000 of a weight's, add up to what they should."""
    p = dataclasses.replace(parameters(N=200), noise=0.0, w_max=127.0, eta=2e-3, leak=100.0)
    net = FixedEbn(p)
    psi, e = np.full(12, 0.5), np.array([1.0, 0.0, 0.0])
    for _ in range(4000):
        net.step(ZERO, e, presynaptic=psi)
    per_step = p.eta * p.dt * 0.5 * p.D[0]
    assert np.abs(per_step).max() * 256 < 0.05
    got = net.tag.mean(axis=0) / 256.0
    spread = np.sqrt(np.abs(per_step) * 4000 / 256.0 / 12)
    assert (np.abs(got - 4000 * per_step) < 5 * spread + 1e-6).mean() > 0.97
    assert got @ p.D[0] == pytest.approx(4000 * per_step @ p.D[0], rel=0.2)


def test_leakage_over_hours_is_not_rounded_away() -> None:
    """What a call forgets is a tenth of the last bit of a learnt change."""
    p = dataclasses.replace(parameters(), noise=0.0, eta=300.0, forget=0.005)
    net = FixedEbn(p)
    gain_and_shift = net._rate(10)
    assert p.forget * p.dt * 10 * 2.0 ** gain_and_shift[1] < 0.3
    net.Omega_s[:] = 100
    for _ in range(4000):
        net.step(ZERO, ZERO, 10)
    assert net.tag.mean() / 25600.0 == pytest.approx(np.exp(-p.forget * 40.0), abs=0.01)


def test_a_voltage_has_room_for_all_that_it_takes_in_one_sum() -> None:
    """Small decoders, the largest drive, and the largest slow weights that are let through."""
    D = INT8 * 2.0**-21 * np.array([[1.0, -1.0]] * 3)
    M, theta = np.zeros((12, 3)), np.full(12, 4.0)
    p = EbnParameters(D, mu=0.0, nu=0.0, noise=0.0, M=M, theta=theta, dendrite="rectify")
    low, high = 1e-9, 1e3
    for _ in range(60):
        middle = np.sqrt(low * high)
        try:
            lay_out(dataclasses.replace(p, w_max=middle))
            low = middle
        except KuwaError:
            high = middle
    net = FixedEbn(dataclasses.replace(p, w_max=low))
    net.alive[:] = False
    net.Omega_s[:] = INT8
    net._V[:] = TOP
    net.step(np.full(3, 1e12), ZERO)
    assert net._V[0] == TOP


def test_a_weight_written_from_outside_is_where_learning_goes_on() -> None:
    net = FixedEbn(dataclasses.replace(parameters(), eta=50.0, noise=0.0))
    for c, e in signal(100):
        net.step(c, e)
    net.Omega_s[:] = 50
    net.step(ZERO, np.full(3, 1e-4))
    assert np.abs(net.Omega_s.astype(int) - 50).max() <= 1


def test_dendrites_are_within_a_step_of_the_function() -> None:
    for kind, phi in (
        ("tanh", np.tanh),
        ("clip", lambda a: np.clip(a, -1.0, 1.0)),
        ("rectify", lambda a: np.clip(a, 0.0, 2.0)),
    ):
        p = dataclasses.replace(parameters(), dendrite=kind)
        net, a = FixedEbn(p), lay_out(p)
        for c, e in signal(200):
            x = net.x_hat.copy()
            net.step(c, e)
            exact = phi(p.M @ x + p.theta)
            steep = np.abs(p.M).sum(axis=1) * a.unit_x * 2.0**a.x_short + 2.0**-TABLE_BITS
            off = np.abs(a.m / np.abs(a.m).max(axis=1, keepdims=True)).sum(axis=1) / INT8
            assert (
                np.abs(net.psi - exact) <= steep + off * np.abs(p.M).max(axis=1) + 2.0**-PSI_BITS
            ).all()


def test_noise_is_as_strong_as_in_floats() -> None:
    p = dataclasses.replace(parameters(N=400, K=0), noise=0.2, leak=50.0, max_spikes=1)
    a, b = Ebn(p), FixedEbn(p)
    for net in (a, b):
        net.alive[:] = False
    spreads: dict[str, list[float]] = {"float": [], "fixed": []}
    for n in range(400):
        for name, net in (("float", a), ("fixed", b)):
            net.step(ZERO, ZERO)
            if n > 100:
                spreads[name].append(float(net.V.std()))
    assert np.mean(spreads["fixed"]) == pytest.approx(np.mean(spreads["float"]), rel=0.03)
    assert np.mean(spreads["float"]) == pytest.approx(0.2 * float(p.thresholds.mean()), rel=0.03)


def test_the_report_names_what_was_lost() -> None:
    p = dataclasses.replace(parameters(), eta=10.0, mu=1e-12, slow_tau=0.07)
    lines = {loss.what: loss for loss in FixedEbn(p).losses}
    assert lines["decoders"].value < 0.01
    assert abs(lines["leak"].value) < 0.01
    assert lines["mu"].value == -1.0, "a cost below the voltage's step is lost, and said to be"
    assert lines["voltage range"].value > 1.0
    assert lines["weight step"].value == pytest.approx(p.w_max / 127)
    assert lines["learning"].value > 0.0
    assert lines["noise"].value == pytest.approx(0.0, abs=0.01)
    assert lines["slow synapses"].value == pytest.approx(4096 / 59 / 70 - 1.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"leak": 1e-3}, "leak·dt"),
        ({"eta": 1e12}, "eta"),
        ({"w_max": 1e9}, "w_max"),
        ({"w_max": 0.0}, "w_max"),
        ({"noise": 1e7}, "noise"),
        ({"slow_tau": 10.0}, "slow_tau is 10 s; .* ends at 8.192 s"),
        ({"M": np.full((12, 3), 1e9)}, "M has entries"),
    ],
)
def test_parameters_that_do_not_fit_are_named(change: dict, says: str) -> None:
    with pytest.raises(KuwaError, match=says):
        net = FixedEbn(dataclasses.replace(parameters(), **change))
        net.step(ZERO, ZERO)


def test_rows_of_different_size_keep_their_own_exponent() -> None:
    D = random_decoders(3, 60, 0.1, 0) * np.array([[1.0], [0.6], [2.0]])
    net = FixedEbn(dataclasses.replace(parameters(), D=D, noise=0.0))
    off = np.linalg.norm(net.D - D, axis=1) / np.linalg.norm(D, axis=1)
    assert (off < 0.012).all() and len(set(net.layout.row_shift.tolist())) == 3
    x = np.array([0.5, 0.2, -0.4])
    for _ in range(600):
        net.step(20.0 * x, ZERO)
    assert np.abs(net.x_hat - x).max() < 0.5 * float(np.linalg.norm(D, axis=0).max())
