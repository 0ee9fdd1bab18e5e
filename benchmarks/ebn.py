"""The spiking network alone: its time, its balance, its loss of neurons, in floats and in integers.

Time is that of a controller's network: 200 neurons, 16 signals, 64 dendrites, 10 neuron steps a
call, learning; processor time of the thread, so that other work on the computer counts less.
Balance is of 200 neurons that follow four slow sines: without a cost of squared rates, and with
what kuwa_policies.ebn.decoders recommends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_policies.ebn.decoders import (
    BALANCED_MU,
    BALANCED_NOISE,
    random_decoders,
    random_dendrites,
)
from kuwa_policies.ebn.fixed import FixedEbn
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.stats import figures

NEURONS, NORM, LEAK, DT = 200, 0.1, 50.0, 1e-3
CALLS, WARM_UP = 5000, 200
SECONDS, PERIOD, SETTLE = 60.0, 0.01, 1.0
Maker = Callable[[EbnParameters, int], Any]
BACKENDS: dict[str, Maker] = {
    "float64": Ebn,
    "float32": lambda p, seed: Ebn(p, seed, "float32"),
    "fixed": FixedEbn,
}


def measure() -> Iterator[Figure]:
    """Time, balance and loss of neurons of each back end."""
    for name, make in BACKENDS.items():
        spent = call_times(make)
        yield Figure(f"ebn.{name}.call_median", float(np.median(spent)), "µs")
        yield Figure(f"ebn.{name}.call_p99", float(np.percentile(spent, 99)), "µs", "<= 200")
    plain = follow(Ebn, 0.0, BALANCED_NOISE)
    yield Figure("ebn.without_mu.rate", plain["rate"], "Hz")
    yield Figure("ebn.without_mu.isi_cv", plain["isi_cv"], "1")
    yield Figure("ebn.without_mu.error", plain["error"], "1")
    for name in ("float64", "fixed"):
        net = follow(BACKENDS[name], BALANCED_MU, BALANCED_NOISE)
        yield Figure(f"ebn.{name}.rate", net["rate"], "Hz", "<= 20")
        yield Figure(f"ebn.{name}.isi_cv", net["isi_cv"], "1", ">= 0.8")
        yield Figure(f"ebn.{name}.isi_cv_above", net["isi_cv"], "1", "<= 1.2")
        yield Figure(f"ebn.{name}.ei_correlation", net["ei"], "1", ">= 0.95")
        yield Figure(f"ebn.{name}.error", net["error"], "1")
        half = follow(BACKENDS[name], BALANCED_MU, BALANCED_NOISE, dead=NEURONS // 2)
        more = 100.0 * (half["error"] / net["error"] - 1.0)
        yield Figure(f"ebn.{name}.half_silenced.error_growth", more, "%", "<= 10")


def call_times(make: Maker) -> np.ndarray:
    """Return the time of each call [µs]."""
    J = 16
    M, theta = random_dendrites(J, [range(4), range(4, 8)], 32, 1)
    p = EbnParameters(
        random_decoders(J, NEURONS, NORM, 0), LEAK, M=M, theta=theta, eta=1.0, w_max=1.0
    )
    net = make(p, 0)
    c, e, spent = np.zeros(J), np.zeros(J), np.zeros(CALLS)
    for n in range(-WARM_UP, CALLS):
        phase = 0.01 * n + np.arange(J)
        c[:8] = (LEAK * 0.5 * np.sin(phase) + 0.5 * np.cos(phase))[:8]
        e[:] = 0.01 * np.cos(3.0 * phase)
        begin = time.thread_time_ns()
        net.step(c, e, 10)
        spent[n] = 1e-3 * (time.thread_time_ns() - begin)
    return spent


def follow(make: Maker, mu: float, noise: float, dead: int = 0) -> dict[str, float]:
    """Follow four slow sines; silence some neurons half way and count the error from then on."""
    J, leak = 4, 20.0
    D = random_decoders(J, NEURONS, NORM, 0)
    p = EbnParameters(D, leak, mu=mu * NORM**2, nu=0.0, dt=DT, noise=noise)
    net = make(p, 0)
    omega = 2.0 * np.pi * 0.3 * (1.0 + 0.37 * np.arange(J))
    errors = []
    steps = round(SECONDS / PERIOD)
    for n in range(steps):
        if dead and n == steps // 2:
            net.alive[np.random.default_rng(1).permutation(NEURONS)[:dead]] = False
        phase = omega * n * PERIOD + np.arange(J)
        x = 0.5 * np.sin(phase)
        net.step(leak * x + 0.5 * omega * np.cos(phase), np.zeros(J), round(PERIOD / DT))
        if n >= steps // 2 + SETTLE / PERIOD:
            errors.append(0.5 * np.sin(phase + omega * PERIOD) - net.x_hat)
    got = figures(net.activity, DT, net.alive)
    return {
        "rate": got.mean_rate,
        "isi_cv": got.isi_cv,
        "ei": got.ei_correlation,
        "error": float(np.sqrt(np.mean(np.square(errors)))),
    }
