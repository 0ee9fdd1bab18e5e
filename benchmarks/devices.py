"""Degradation of a learning network on analogue hardware, and what mapping and learning win back.

A network of 100 neurons learns online to put out a nonlinear map of two signals, as a robot's
gravity torques are of two joint angles: y₁ = 0.6 cos x₁ + 0.35 sin(x₁ + x₂), y₂ = 0.8 sin(x₁ + x₂),
behind the low-pass of its own leak. It is then frozen and tried on signals that it has not seen;
the error is the root mean square of y − x̂ over the standard deviation of y. Every non-ideality
alone, devices of three seeds:

    without   the ideal network's weights, written into the device as they are
    adapted   the same after 40 s of learning on the device
    mapped    weights fitted to the device as it was measured, no learning on it
    both      mapped, then 40 s of learning

The ideal network has learnt those 40 s more, too. `benchmarks/_device_curves.py` draws the saved
figures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

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
TICK, STEPS = 0.01, 10
TRAINING, ADAPTATION, TRIAL = 200.0, 40.0, 20.0
LAST = 0.02
"""Learning slows down to this share of its rate while it goes on."""
KINDS = ("without", "adapted", "mapped", "both")


def measure() -> Iterator[Figure]:
    """Train once, then try every non-ideality."""
    p = parameters()
    ideal = Ebn(p)
    run(ideal, TRAINING, learn=True)
    Omega_s = ideal.Omega_s.copy()
    run(ideal, ADAPTATION, learn=True)
    best = trial(ideal)
    yield Figure("devices.ideal.error", 100 * best, "%")
    yield from _headline(p, Omega_s, best)
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
    errors = []
    for net in (
        NoisyEbn(p, device, plain_program(p, Omega_s)),
        NoisyEbn(p, mapping.device, mapping.program),
    ):
        errors.append(trial(net))
        net.reset(keep_weights=True)
        run(net, ADAPTATION, learn=True)
        errors.append(trial(net))
    return errors


def _headline(p: EbnParameters, Omega_s: Array, best: float) -> Iterator[Figure]:
    """Say what 20 % mismatch costs, in several ways to live with it."""
    wrong = flaws("mismatch", 0.2)
    errors = np.mean([cases(p, Omega_s, wrong, seed) for seed in range(SEEDS)], axis=0)
    more = 100 * (np.array(errors) / best - 1)
    name = "devices.mismatch_20.increase"
    for kind, value in zip(KINDS, more, strict=True):
        yield Figure(f"{name}.{kind}", float(value), "%", "<= 10" if kind != "without" else "")
    yield Figure(f"{name}.trained_on_it", _trained(p, best), "%")
    device = Device(p, wrong, 0)
    mapping = mapper.fit(p, device, mapper.measure(device), Omega_s)
    for kind, net in (
        ("without", NoisyEbn(p, device, plain_program(p, Omega_s))),
        ("mapped", NoisyEbn(p, mapping.device, mapping.program)),
    ):
        trial(net)
        rate = figures(net.activity, p.dt).mean_rate
        yield Figure(f"devices.mismatch_20.rate.{kind}", rate, "Hz")
    yield Figure("devices.tick_of_10_steps", 1e6 * _tick(net), "µs")
    small = parameters(mu=1e-4)
    ideal = Ebn(small)
    run(ideal, TRAINING, learn=True)
    Omega_s = ideal.Omega_s.copy()
    run(ideal, ADAPTATION, learn=True)
    best = trial(ideal)
    yield Figure("devices.small_mu.ideal.error", 100 * best, "%")
    errors = np.mean([cases(small, Omega_s, wrong, seed) for seed in range(SEEDS)], axis=0)
    for kind, error in zip(KINDS, errors, strict=True):
        value = 100 * (float(error) / best - 1)
        yield Figure(f"devices.small_mu.mismatch_20.increase.{kind}", value, "%")


def _trained(p: EbnParameters, best: float) -> float:
    """Return by how much [%] networks that have learnt on their device alone are worse."""
    errors = []
    for seed in range(SEEDS):
        net = NoisyEbn(p, Device(p, flaws("mismatch", 0.2), seed))
        run(net, TRAINING + ADAPTATION, learn=True)
        errors.append(trial(net))
    return 100 * (float(np.mean(errors)) / best - 1)


def _tick(net: Ebn) -> float:
    """Return the time of a tick [s], the shortest of many: others may use the computer, too."""
    c, e = np.zeros(4), np.full(4, 0.01)
    shortest = np.inf
    for _ in range(1000):
        began = time.perf_counter()
        net.step(c, e, STEPS)
        shortest = min(shortest, time.perf_counter() - began)
    return shortest
