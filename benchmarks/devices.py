"""Degradation of a learning network on analogue hardware, and what mapping and learning win back.

A network of 100 neurons learns online to put out a nonlinear map of two signals, as a robot's
gravity torques are of two joint angles: y₁ = 0.6 cos x₁ + 0.35 sin(x₁ + x₂), y₂ = 0.8 sin(x₁ + x₂),
behind the low-pass of its own leak. It is then frozen and tried on signals that it has not seen;
the error is the root mean square of y − x̂ over the standard deviation of y. Every non-ideality
alone, devices of three seeds, 20 others for the headline:

    without   the ideal network's weights, written into the device as they are
    adapted   the same after 40 s of learning on the device
    mapped    weights fitted to the device as it was measured, no learning on it
    both      mapped, then 40 s of learning

The ideal network goes the same way: 40 s more of learning, the same noise.
`benchmarks/_device_curves.py` draws the saved figures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from kuwa_cli.figure import Figure
from kuwa_machines.contracts import Array
from kuwa_policies.devices import mapping as mapper
from kuwa_policies.devices.device import Device, plain_program
from kuwa_policies.devices.network import NoisyEbn
from kuwa_policies.devices.nonidealities import TABLE, Flaws, flaws
from kuwa_policies.ebn.decoders import random_decoders, random_dendrites
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.stats import figures

SEEDS = 3
"""Devices of each point of the curves."""
HELD_OUT = range(100, 120)
"""Devices of the headline; μ was chosen on others."""
T_95 = 2.093
"""Student's t for 20 of them."""
TICK, STEPS = 0.01, 10
TRAINING, ADAPTATION, TRIAL = 200.0, 40.0, 20.0
LAST = 0.02
"""Learning slows down to this share of its rate while it goes on."""
KINDS = ("without", "adapted", "mapped", "both")


def measure() -> Iterator[Figure]:
    """Train once, then try every non-ideality."""
    p = parameters()
    Omega_s = trained(Ebn(p))
    before, after = np.mean([ideal(p, Omega_s, seed) for seed in range(SEEDS)], axis=0)
    yield Figure("devices.ideal.error", 100 * float(after), "%")
    yield Figure("devices.ideal.error_before", 100 * float(before), "%")
    yield from _headline(p, Omega_s)
    for row in TABLE:
        for severity in row.sweep:
            errors = np.mean(
                [cases(p, Omega_s, flaws(row.name, severity), seed) for seed in range(SEEDS)],
                axis=0,
            )
            for kind, error in zip(KINDS, errors, strict=True):
                name = f"devices.{row.name}.{severity:g}.{kind}"
                yield Figure(name, 100 * float(error), "%")


def parameters(mu: float = 3e-3) -> EbnParameters:
    """Return the network: two signals in, two out.

    Args:
        mu: 0.3 |D_i|² by default. Neurons that tire share what mismatch drives them to; without,
            they spike against each other.
    """
    M, theta = random_dendrites(4, [(0, 1)], 100, 1, gain=2.0)
    D = random_decoders(4, 100, 0.1, 0)
    return EbnParameters(D, M=M, theta=theta, eta=10.0, w_max=0.3, mu=mu)


def signals(seconds: float, seed: int) -> tuple[Array, Array]:
    """Return sums of sines within ±1, shape (ticks + 1, 2), and their low-passed image."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds / TICK) + 1) * TICK
    w, phase = 2 * np.pi * rng.uniform(0.1, 1.0, (2, 3)), rng.uniform(0.0, 2 * np.pi, (2, 3))
    waves = 0.45 * np.sin(w[:, :, None] * t + phase[:, :, None])
    x = np.clip(waves.sum(axis=1).T, -1.0, 1.0)
    middle = 0.5 * (x[1:] + x[:-1])
    both = middle.sum(axis=1)
    f = np.stack([0.6 * np.cos(middle[:, 0]) + 0.35 * np.sin(both), 0.8 * np.sin(both)], axis=1)
    y, now = np.zeros_like(f), f[0]
    for i in range(len(f)):
        now = now + TICK * 20.0 * (f[i] - now)
        y[i] = now
    return x, y


def run(net: Ebn, seconds: float, learn: bool, seed: int = 1) -> float:
    """Return the error over a run, but for its first second."""
    x, y = signals(seconds, seed)
    slower = np.geomspace(1.0, LAST, len(y))
    c, e, errors = np.zeros(4), np.zeros(4), np.zeros_like(y)
    for i in range(len(y)):
        c[:2] = (x[i + 1] - x[i]) / TICK + net.p.leak * 0.5 * (x[i] + x[i + 1])
        e *= slower[i] if learn else 0.0
        net.step(c, e, STEPS, learn)
        errors[i] = e[2:] = y[i] - net.x_hat[2:]
    start = round(1.0 / TICK)
    return float(np.sqrt((errors[start:] ** 2).mean() / y[start:].var(axis=0).mean()))


def trial(net: Ebn) -> float:
    """Return the error of the frozen network on signals that it has not seen."""
    net.reset(keep_weights=True)
    return run(net, TRIAL, learn=False, seed=2)


def cases(p: EbnParameters, Omega_s: Array, wrong: Flaws, seed: int) -> list[float]:
    """Return the errors of KINDS on one device."""
    device = Device(p, wrong, seed)
    mapping = mapper.fit(p, device, mapper.measure(device), Omega_s)
    written = both_errors(NoisyEbn(p, device, plain_program(p, Omega_s), seed))
    return [*written, *both_errors(NoisyEbn(p, mapping.device, mapping.program, seed))]


def ideal(p: EbnParameters, Omega_s: Array, seed: int) -> list[float]:
    """Return the errors of a network on a device without flaws, on the same path as all others."""
    return both_errors(NoisyEbn(p, Device(p, Flaws()), plain_program(p, Omega_s), seed))


def both_errors(net: Ebn) -> list[float]:
    """Return a network's errors before and after ADAPTATION."""
    before = trial(net)
    net.reset(keep_weights=True)
    run(net, ADAPTATION, learn=True)
    return [before, trial(net)]


def trained(net: Ebn) -> Array:
    """Return what a network has learnt after TRAINING."""
    run(net, TRAINING, learn=True)
    return net.Omega_s.copy()


def _headline(p: EbnParameters, Omega_s: Array) -> Iterator[Figure]:
    """Say what 20 % mismatch costs, in several ways to live with it."""
    wrong = flaws("mismatch", 0.2)
    best = [ideal(p, Omega_s, seed)[1] for seed in HELD_OUT]
    yield from _increases("devices.mismatch_20", p, Omega_s, best, "<= 10")
    alone, shared, rates = [], [], []
    for seed in HELD_OUT:
        device = Device(p, wrong, seed)
        net = NoisyEbn(p, device, seed=seed)
        trained(net)
        alone.append(both_errors(net)[1])
        one = Device(p, wrong, seed, shared=True)
        shared.append(trial(NoisyEbn(p, one, plain_program(p, Omega_s), seed)))
        mapping = mapper.fit(p, device, mapper.measure(device), Omega_s)
        rates.append([])
        for net in (
            NoisyEbn(p, device, plain_program(p, Omega_s), seed),
            NoisyEbn(p, mapping.device, mapping.program, seed),
        ):
            trial(net)
            rates[-1].append(figures(net.activity, p.dt).mean_rate)
    yield from _mean("devices.mismatch_20.increase.trained_on_it", alone, best)
    yield from _mean("devices.mismatch_20.increase.without_one_crossbar", shared, best)
    for kind, rate in zip(("without", "mapped"), np.mean(rates, axis=0), strict=True):
        yield Figure(f"devices.mismatch_20.rate.{kind}", float(rate), "Hz")
    yield Figure("devices.tick_of_10_steps", 1e6 * _tick(net), "µs")
    small = parameters(mu=1e-4)
    Omega_s = trained(Ebn(small))
    best = [ideal(small, Omega_s, seed)[1] for seed in HELD_OUT]
    yield Figure("devices.small_mu.ideal.error", 100 * float(np.mean(best)), "%")
    yield from _increases("devices.small_mu.mismatch_20", small, Omega_s, best, "")


def _increases(
    name: str, p: EbnParameters, Omega_s: Array, best: ArrayLike, goal: str
) -> Iterator[Figure]:
    """Yield the increase of the error for each of KINDS, over devices that are held out."""
    wrong = flaws("mismatch", 0.2)
    errors = np.array([cases(p, Omega_s, wrong, seed) for seed in HELD_OUT])
    for kind, each in zip(KINDS, errors.T, strict=True):
        yield from _mean(f"{name}.increase.{kind}", each, best, "" if kind == "without" else goal)


def _mean(name: str, errors: ArrayLike, best: ArrayLike, goal: str = "") -> Iterator[Figure]:
    """Yield the mean increase over the ideal network's errors, in pairs, and half its interval."""
    more = 100 * (np.asarray(errors) / np.asarray(best) - 1)
    yield Figure(name, float(more.mean()), "%", goal)
    half = T_95 * float(more.std(ddof=1)) / np.sqrt(len(more))
    yield Figure(f"{name}.interval_95", float(half), "%")


def _tick(net: Ebn) -> float:
    """Return the time of a tick [s], the shortest of many: others may use the computer, too."""
    c, e = np.zeros(4), np.full(4, 0.01)
    shortest = np.inf
    for _ in range(1000):
        began = time.perf_counter()
        net.step(c, e, STEPS)
        shortest = min(shortest, time.perf_counter() - began)
    return shortest
