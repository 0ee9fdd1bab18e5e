"""Proposes a network from a machine's data: how large its signals are, how fast, what spikes cost.

docs/how-to/choose-neurons.md derives the formulas; here they are, with their constants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.adaptive.feedforward import FeedforwardSettings
from kuwa_policies.control.options import whole_ratio

LARGE: Final = 0.95
"""Quantile of |z| that counts as one."""
FASTER: Final = 15.0
"""λ over the signals' angular frequency: previewed by 1/λ, an answer is late by (ω/λ)²/2 only."""
LEAST_LEAK: Final = 20.0
MOST_LEAK_DT: Final = 0.1
CONSTANT: Final = 2.5
"""The constant signal over the root mean square of |z|: it keeps every neuron active, so that
intervals are as irregular as noise makes them rather than as the signals come and go."""
LIFT: Final = 0.5
MU: Final = 0.4
MOST_NORM: Final = 0.2
"""Coarser decoders lose the balance of excitation and inhibition."""
PER_SIGNAL: Final = 6
"""Neurons for each signal, at least: every direction keeps some when half of them are gone."""
MARGIN: Final = 0.5
"""Bandwidth of learning times all its lags; oscillation begins at about 1.5."""
ACTIVITY: Final = 0.5
"""|ψ|²/K of dendrites with a gain of about 2."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed, and what it should come to.

    Args:
        settings: for :class:`~kuwa_policies.control.adaptive.feedforward.AdaptiveFeedforward`;
            output and error scales are 1 each where nothing else was said.
        frequency: of the inputs, root mean square [rad/s].
        rate: mean rate to expect [Hz].
        resolution: of the signals, in their scale: one standard deviation.
        learning: bandwidth with which a lasting error is learnt [rad/s].
        notes: what could not be had, and what to do about it.
    """

    settings: FeedforwardSettings
    frequency: float
    rate: float
    resolution: float
    learning: float
    notes: tuple[str, ...]


def propose(
    z: Array,
    period: float,
    output_scale: tuple[float, ...],
    rate_budget: float = 15.0,
    neurons: int | None = None,
    dead_time: float = 0.0,
    dt: float = 1e-3,
) -> Proposal:
    """Return a network for these inputs.

    Args:
        z: inputs as they were over time, shape (T, I); rows with missing values are left out.
        period: between rows, and of control [s].
        output_scale: what counts as one of each output.
        rate_budget: mean rate that neurons may have [Hz].
        neurons: N; by default as few as the rate allows, 200 at most.
        dead_time: between an output and its error [s].
        dt: neuron step [s]; shortened to a whole share of the period if need be.

    Raises:
        KuwaError: data that say nothing, or numbers that make no network.
    """
    if z.ndim != 2 or z.shape[1] < 1:
        raise KuwaError(f"inputs have shape {z.shape}; expected (samples, inputs)")
    whole = np.isfinite(z.sum(axis=1))
    if whole.sum() < 100:
        raise KuwaError(f"{int(whole.sum())} whole samples; at least 100 are needed")
    if not (math.isfinite(rate_budget) and rate_budget > 0.0 and period > 0.0 and dead_time >= 0.0):
        raise KuwaError(
            f"rate budget {rate_budget:g} Hz, period {period:g} s, dead time {dead_time:g} s; "
            f"expected finite values above 0 (the dead time may be 0)"
        )
    scale = np.quantile(np.abs(z[whole]), LARGE, axis=0)
    if not (scale > 0.0).all():
        still = ", ".join(str(j) for j in np.flatnonzero(scale <= 0.0))
        raise KuwaError(f"inputs {still} never move; leave them out")
    notes: list[str] = []
    unit = z / scale
    change = np.diff(unit, axis=0)[whole[1:] & whole[:-1]] / period
    size = float(np.sqrt((unit[whole] ** 2).sum(axis=1).mean()))
    frequency = float(np.sqrt((change**2).sum(axis=1).mean())) / size
    dt = period / max(math.ceil(period / dt - 1e-9), 1)
    steps = whole_ratio(period, dt)
    leak = max(FASTER * frequency, LEAST_LEAK)
    if leak > MOST_LEAK_DT / dt:
        leak = MOST_LEAK_DT / dt
        notes.append(f"signals are fast for a neuron step of {dt:g} s: take a shorter one")
    constant = CONSTANT * size
    J = z.shape[1] + 1 + len(output_scale)
    least = PER_SIGNAL * J
    if neurons is None:
        wanted = leak * constant / (LIFT * rate_budget * MOST_NORM)
        neurons = int(min(max(10 * math.ceil(max(2.0 * wanted, least) / 10), 40), 200))
    if neurons < least:
        notes.append(f"{neurons} neurons are few for {J} signals: {least} would bear losses better")
    norm = leak * constant / (LIFT * neurons * rate_budget)
    if norm > MOST_NORM:
        more = math.ceil(leak * constant / (LIFT * MOST_NORM * rate_budget))
        notes.append(f"coarse: {more} neurons would keep {rate_budget:g} Hz with finer decoders")
    lag = 1.0 / leak + dead_time + 2.0 * steps * dt
    learning = MARGIN / lag
    settings = FeedforwardSettings(
        input_scale=tuple(float(f"{s:.3g}") for s in scale),
        output_scale=output_scale,
        error_scale=output_scale,
        period=period,
        dt=dt,
        each=100,
        gain=2.0,
        neurons=neurons,
        leak=float(f"{leak:.3g}"),
        norm=float(f"{norm:.3g}"),
        mu=MU,
        noise=0.05,
        constant=float(f"{constant:.3g}"),
        lift=LIFT,
        rate=float(f"{learning / ACTIVITY:.3g}"),
        bound=0.15,
        forget=1e-4,
        dead_zone=1e-3,
    )
    rate = settings.leak * settings.constant / (LIFT * neurons * settings.norm)
    return Proposal(settings, frequency, rate, norm / 2.0, learning, tuple(notes))
