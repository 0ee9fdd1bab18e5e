"""The learner with spikes: an efficient balanced network for one output.

Its spikes carry four inputs and ŷ; its dendrites read the inputs as the spikes give them. So ŷ =
Wᵀψ/λ, low-passed by 1/λ, with Ω_s = Wᵀ D_y learnt synapse by synapse. How the error is normalised
is one number for the whole network, as a modulator would carry it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_policies.control.adaptive.foresight import INPUTS
from kuwa_policies.control.adaptive.learner import BENDS, Rule
from kuwa_policies.ebn.decoders import random_decoders
from kuwa_policies.ebn.fixed import FixedEbn
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters

SIGNALS: Final = (*INPUTS, "output")


@dataclass(frozen=True, slots=True)
class Population:
    """The neurons of one output.

    Args:
        neurons: N.
        leak: λ [1/s].
        norm: length of a decoder, in units of the signals: how finely they are told.
        mu, nu: costs of squared rates and of rates.
        noise: of the voltages; see :class:`~kuwa_policies.ebn.parameters.EbnParameters`.
        dt: the neuron step [s].
        max_spikes: in a neuron step.
    """

    neurons: int = 50
    leak: float = 20.0
    norm: float = 0.12
    mu: float = 3e-4
    nu: float = 1e-5
    noise: float = 0.05
    dt: float = 1e-3
    max_spikes: int = 4


def valve_dendrites() -> tuple[Array, Array]:
    """Return M, shape (K, 5), and theta: for each direction dead band, gain, bends, load, change.

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
        D=random_decoders(len(SIGNALS), s.neurons, s.norm, seed),
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


class SpikingLearner:
    """See the module, and :class:`~kuwa_policies.control.adaptive.learner.OutputLearner`.

    Args:
        network: made of :func:`parameters`.
        period: of control [s], a whole number of neuron steps.
    """

    def __init__(self, network: Ebn | FixedEbn, period: float, rule: Rule) -> None:
        self.network = network
        self.psi = network.psi
        self.weights = network.Omega_s
        self._rule, self._period, self._leak = rule, period, network.p.leak
        self._steps = round(period / network.p.dt)
        self._c, self._e = np.zeros(len(SIGNALS)), np.zeros(len(SIGNALS))
        self._z = np.zeros(len(INPUTS))

    def reset(self) -> None:
        """Return to rest; what was learnt stays."""
        self.network.reset(keep_weights=True)
        self._z[:] = 0.0

    def step(self, z: Array, e: float, earned: Array, learn: bool) -> float:
        """See :class:`~kuwa_policies.control.adaptive.learner.OutputLearner`."""
        # c = ż + λz makes ẑ follow z; nothing drives ŷ but the slow connections.
        self._c[:-1] = (z - self._z) / self._period + self._leak * z
        self._z[:] = z
        self._e[-1] = self._rule.error(e, earned)
        return float(self.network.step(self._c, self._e, self._steps, learn, earned)[-1])
