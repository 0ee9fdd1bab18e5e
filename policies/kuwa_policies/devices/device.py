"""One piece of hardware, drawn from a seed: crossbars, neurons, lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.devices.crossbar import Crossbar, log_normal
from kuwa_policies.devices.nonidealities import Flaws
from kuwa_policies.ebn.parameters import EbnParameters

HEADROOM = 1.5
"""Largest decoder weight of a device over the largest of the network: room to make up for weak
devices."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is written into a device for N neurons.

    Args:
        feed: Dᵀ of drive and feedback. spread: Dᵀ of the fast connections, from the lines of x̂ to
            the neurons. encode: D, from spikes to these lines. Each of shape (J, N).
        slow: Ω_s, shape (K, N).
    """

    feed: Array
    spread: Array
    encode: Array
    slow: Array


def plain_program(p: EbnParameters, Omega_s: Array | None = None) -> Program:
    """Return the ideal network's own weights, as if the device were ideal."""
    shape = (p.dendrites, p.neurons)
    slow = np.zeros(shape) if Omega_s is None else np.array(Omega_s, float)
    if slow.shape != shape:
        raise KuwaError(f"slow weights have shape {slow.shape}; this network's are {shape}")
    return Program(p.D, p.D, p.D, slow)


class Device:
    """Hardware for a network of J signals and K dendrites.

    Args:
        p: of the network that it is to hold.
        flaws: what is wrong with it.
        seed: which of all devices with these flaws.
        neurons: that it has; by default as many as the network. Spare ones can be chosen from by
            :func:`kuwa_policies.devices.mapping.fit`.
        shared: whether drive and fast connections reach the neurons through one crossbar, −E o
            added to c on its input lines. What differs between two would be taken for a signal.
    """

    def __init__(
        self,
        p: EbnParameters,
        flaws: Flaws,
        seed: int = 0,
        neurons: int | None = None,
        shared: bool = False,
    ) -> None:
        J, K, P = p.signals, p.dendrites, p.neurons if neurons is None else neurons
        if p.neurons > P:
            raise KuwaError(f"the device has {P} neurons; the network needs {p.neurons}")
        self.flaws, self.shared = flaws, shared
        # A stream for each part: what is drawn for one must not depend on the size of another.
        feed, spread, encode, slow, neuron, line = np.random.default_rng(seed).spawn(6)
        largest = HEADROOM * float(np.abs(p.D).max())
        self.feed = Crossbar((J, P), largest, flaws, feed)
        self.spread = self.feed if shared else Crossbar((J, P), largest, flaws, spread)
        self.encode = Crossbar((J, P), largest, flaws, encode)
        self.slow = Crossbar((K, P), p.w_max if K else 1.0, flaws, slow)
        self.threshold_factors = np.maximum(
            1.0 + flaws.threshold_spread * neuron.standard_normal(P), 0.1
        )
        """Of each neuron's threshold, shape (P,)."""
        self.tau_factors = log_normal(neuron, flaws.tau_spread, P)
        """Of each membrane's time constant, shape (P,)."""
        self.line_tau_factors = log_normal(line, flaws.tau_spread, J)
        """Of the time constant of each line that holds a signal of x̂, shape (J,)."""
        self.alive: NDArray[np.bool_] = np.ones(P, np.bool_)
        """Neurons that can spike, shape (P,)."""
        self.alive[neuron.permutation(P)[: round(flaws.dead_neurons * P)]] = False

    @property
    def neurons(self) -> int:
        """P."""
        return len(self.alive)

    def part(self, columns: Array) -> Device:
        """Return the device with these neurons only, in this order."""
        part = object.__new__(Device)
        part.flaws, part.shared = self.flaws, self.shared
        for name in ("feed", "encode", "slow"):
            setattr(part, name, getattr(self, name).columns(columns))
        part.spread = part.feed if self.shared else self.spread.columns(columns)
        for name in ("threshold_factors", "tau_factors", "alive"):
            setattr(part, name, getattr(self, name)[columns])
        part.line_tau_factors = self.line_tau_factors
        return part
