"""The learner with spikes: an efficient balanced network for one output.

Its spikes carry the inputs, ŷ and a constant; its dendrites read the inputs as the spikes give
them. So ŷ = Wᵀψ/λ, low-passed by 1/λ, with Ω_s = D_yᵀW learnt synapse by synapse. How the error is
normalised is one number for the whole network, as a modulator would carry it; how busy a dendrite
was, it knows by itself.

The constant is a background that all neurons share. Without it a neuron fires in bouts, with the
motions in its direction, and is silent for seconds between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_policies.control.adaptive.backends import Network, encoding
from kuwa_policies.control.adaptive.foresight import INPUTS
from kuwa_policies.control.adaptive.learner import BENDS, Rates, Rule
from kuwa_policies.ebn.decoders import random_decoders, with_constant
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.save import learnt

SIGNALS: Final = (*INPUTS, "output", "constant")
OUTPUT: Final = SIGNALS.index("output")
CONSTANT: Final = SIGNALS.index("constant")
ROUNDING: Final = 1e-6
"""By as much of it a weight may be beyond its bound, in another precision."""
SHARE: Final = 0.5
"""Rates are multiplied by it and errors divided: both are then within the range of integers."""


@dataclass(frozen=True, slots=True)
class Population:
    """The neurons of one output.

    Args:
        neurons: N.
        leak: λ [1/s].
        norm: length of a decoder, in units of the signals: how finely they are told.
        constant: of the signal that all neurons carry with the same sign.
        lift: share of that signal in a decoder's length.
        mu, nu: costs of squared rates and of rates.
        noise: of the voltages; see :class:`~kuwa_policies.ebn.parameters.EbnParameters`.
        dt: the neuron step [s].
        max_spikes: in a neuron step.
    """

    neurons: int = 100
    leak: float = 20.0
    norm: float = 0.055
    constant: float = 2.0
    lift: float = 0.4
    mu: float = 4e-4
    nu: float = 1e-5
    noise: float = 0.1
    dt: float = 1e-3
    max_spikes: int = 4

    def decoders(self, seed: int) -> Array:
        """Return D, shape (J, N)."""
        D = random_decoders(len(SIGNALS) - 1, self.neurons, self.norm, seed)
        return with_constant(D, self.lift / np.sqrt(1.0 - self.lift**2))


def valve_dendrites() -> tuple[Array, Array]:
    """Return M, shape (K, J), and theta: for each direction dead band, gain, bends, load, change,
    give.

    Rectified, they are silent in the other direction: what is learnt going up is not unlearnt
    going down.
    """
    rows: list[list[float]] = []
    theta: list[float] = []

    def dendrite(offset: float, **slopes: float) -> None:
        rows.append([slopes.get(name, 0.0) for name in SIGNALS])
        theta.append(offset)

    for sign in (-1.0, 1.0):
        dendrite(0.0, direction=sign)
        dendrite(0.0, speed=sign)
        dendrite(0.0, acceleration=2.0 * sign)
        dendrite(0.0, give=sign)
        for bend in BENDS:
            dendrite(-2.0 * bend, speed=2.0 * sign)
        for load in (-1.0, 1.0):
            dendrite(-1.0, direction=sign, load=load)
    return np.array(rows), np.array(theta)


def parameters(population: Population, delay: float, rule: Rule, seed: int) -> EbnParameters:
    """Return the network of one output.

    Args:
        delay: Δ between an output and its error [s].
    """
    s = population
    M, theta = valve_dendrites()
    return EbnParameters(
        D=s.decoders(seed),
        leak=s.leak,
        mu=s.mu,
        nu=s.nu,
        dt=s.dt,
        noise=s.noise,
        max_spikes=s.max_spikes,
        M=M,
        theta=theta,
        dendrite="rectify",
        # ŷ = Wᵀψ/λ: λ/(pace Δ) makes 1/(pace Δ) of the whole.
        eta=s.leak / (rule.pace * delay),
        w_max=rule.bound * s.leak * s.norm,
        forget=1.0 / rule.forget,
    )


def _bounds(weights: NDArray[Any], p: EbnParameters) -> tuple[float, float]:
    """Return the least and the greatest weight: what an integer holds, else the projection's."""
    if weights.dtype.kind == "i":
        most = float(np.iinfo(weights.dtype).max)
    else:
        most = p.w_max * (1.0 + ROUNDING)
    return -most, most


class SpikingLearner:
    """See the module, and :class:`~kuwa_policies.control.adaptive.learner.OutputLearner`.

    Args:
        network: made of :func:`parameters`.
        period: of control [s], a whole number of neuron steps.
        constant: the population's.
    """

    def __init__(self, network: Network, period: float, rule: Rule, constant: float) -> None:
        self.network = network
        self.psi = network.psi
        self.weights = network.Omega_s
        self.rates = Rates(network.p.dendrites, period)
        self.learnt = learnt(network) | {"power": self.rates.power}
        self.bounds = {name: _bounds(array, network.p) for name, array in self.learnt.items()}
        self.bounds["power"] = (0.0, np.inf)
        self._rule = rule
        self._steps = round(period / network.p.dt)
        self._keep, self._push = encoding(network.p, self._steps)
        self._c, self._e = np.zeros(len(SIGNALS)), np.zeros(len(SIGNALS))
        self._c[CONSTANT] = network.p.leak * constant
        self._z = np.zeros(len(INPUTS))
        self._G = np.zeros(network.p.dendrites)

    def reset(self) -> None:
        """Return to rest; what was learnt stays."""
        self.network.reset(keep_weights=True)
        self._z[:] = 0.0

    def step(self, z: Array, e: float, earned: Array, learn: bool) -> float:
        """See :class:`~kuwa_policies.control.adaptive.learner.OutputLearner`."""
        # Nothing drives ŷ but the slow connections.
        self._c[: len(INPUTS)] = self._push * (z - self._keep * self._z)
        self._z[:] = z
        self._e[OUTPUT] = self._rule.error(e) / SHARE if learn else 0.0
        np.multiply(self.rates(earned, learn), SHARE, out=self._G)
        return float(self.network.step(self._c, self._e, self._steps, learn, self._G)[OUTPUT])
