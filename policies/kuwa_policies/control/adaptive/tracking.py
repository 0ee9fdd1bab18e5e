"""The tracking controller that learns: what its machine does beyond the data file.

Feed-forward, predictor and feedback are those of :class:`TrackingController`; one learner for each
joint with an oil drive adds what the machine does beyond the model
(:mod:`kuwa_policies.control.adaptive.oil`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_machines.contracts import MachineState, SpikeStats
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.adaptive.backends import Network, NetworkMaker
from kuwa_policies.control.adaptive.learner import LinearLearner, OutputLearner, Rule
from kuwa_policies.control.adaptive.oil import OilLearning
from kuwa_policies.control.adaptive.spiking import Population, SpikingLearner, parameters
from kuwa_policies.control.gains import Gains
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import read_state, write_state
from kuwa_policies.control.tracking import TrackingController
from kuwa_policies.ebn.save import fingerprint
from kuwa_policies.ebn.stats import figures

GAINS = Gains(k_g=0.0, held=0.0035, give=0.002, k_p_slewing=1.2)
"""The learners take over what g learns, and know what the slewing oil gives: so the front is led
closer."""


class AdaptiveTracking(TrackingController):
    """A tracking controller with a learner for each joint that oil moves.

    Args:
        spec: the machine. period: of control [s].
        kind: of the learners, for what is saved.
        learning: the learners.
        gains: tuning.
    """

    def __init__(
        self,
        spec: MachineSpec,
        period: float,
        kind: str,
        learning: OilLearning,
        gains: Gains = GAINS,
    ) -> None:
        super().__init__(spec, period, gains, learning)
        self.learning = learning
        joints = [spec.joint_names[j] for j in learning.index]
        self._header: dict[str, Any] = {"machine": spec.name, "joints": joints, "learner": kind}

    def save(self, path: Path) -> None:
        """Write what all learners have learnt."""
        write_state(path, self._header, self._learnt())

    def restore(self, path: Path) -> None:
        """Take what another run has learnt.

        Raises:
            KuwaError: the file is of another machine, learner or size, or holds what learning
                cannot have left; nothing is changed then.
        """
        mine = self._learnt()
        found = read_state(path, self._header, mine)
        bounds = {
            f"{joint}.{name}": span
            for joint, learner in zip(self._header["joints"], self.learning.learners, strict=True)
            for name, span in learner.bounds.items()
        }
        for name, saved in found.items():
            low, high = bounds[name]
            if saved.min() < low or saved.max() > high:
                raise KuwaError(
                    f"{path}: {name} reaches from {saved.min():g} to {saved.max():g}; "
                    f"expected between {low:g} and {high:g}"
                )
        for name, saved in found.items():
            mine[name][:] = saved

    def freeze(self, reason: str) -> None:
        """Stop learning and say why; an empty reason lets it go on."""
        self.learning.frozen = reason

    def _learnt(self) -> dict[str, Any]:
        return {
            f"{joint}.{name}": array
            for joint, learner in zip(self._header["joints"], self.learning.learners, strict=True)
            for name, array in learner.learnt.items()
        }


class SpikingTracking(AdaptiveTracking):
    """The same with networks for learners.

    Args:
        make: makes a network.
        options: seed and neuron step. population: of each joint.
    """

    def __init__(
        self,
        spec: MachineSpec,
        period: float,
        kind: str,
        make: NetworkMaker,
        options: ControllerOptions,
        population: Population | None = None,
        rule: Rule | None = None,
        gains: Gains = GAINS,
    ) -> None:
        rule = rule or Rule()
        options.neuron_steps(period)
        neurons = replace(population or Population(), dt=options.neuron_dt)
        self.networks: list[Network] = []

        def learner(delay: float) -> OutputLearner:
            seed = options.seed + len(self.networks)
            self.networks.append(make(parameters(neurons, delay, rule, seed), seed))
            return SpikingLearner(self.networks[-1], period, rule, neurons.constant)

        learning = OilLearning(spec, period, learner, lag=1.0 / neurons.leak)
        super().__init__(spec, period, kind, learning, gains)
        drawn = [fingerprint(network.p) for network in self.networks]
        units = [float(network.weight_unit) for network in self.networks]
        self._header |= {
            "seed": options.seed, "neurons": neurons.neurons, "drawn": drawn, "weight_unit": units,
        }  # fmt: skip
        self._joints = len(spec.joint_names)

    def reset(self, state: MachineState) -> None:
        """Forget the past, but not what was learnt; start from this state at rest."""
        super().reset(state)
        for network in self.networks:
            network.activity.reset()

    def spike_stats(self) -> SpikeStats:
        """Return what all neurons are doing."""
        each = [figures(n.activity, n.p.dt, n.alive) for n in self.networks]
        alive = [int(n.alive.sum()) for n in self.networks]
        spikes = [int(n.activity.spikes.sum()) for n in self.networks]
        error = np.full(self._joints, np.nan)
        error[self.learning.index] = self.learning.error * self.learning.dead_time
        return SpikeStats(
            neurons=sum(n.p.neurons for n in self.networks),
            alive=sum(alive),
            mean_rate=float(np.average([f.mean_rate for f in each], weights=alive))
            if any(alive)
            else 0.0,
            max_rate=max(f.max_rate for f in each),
            isi_cv=_mean([f.isi_cv for f in each]),
            ei_correlation=_mean([f.ei_correlation for f in each]),
            spikes=sum(spikes),
            # A spike reaches every neuron of its network once, through the rank-J connections.
            synaptic_operations=sum(
                s * n.p.neurons for s, n in zip(spikes, self.networks, strict=True)
            ),
            weight_norm=float(
                np.sqrt(
                    sum(
                        ((n.weight_unit * n.Omega_s.astype(float)) ** 2).sum()
                        for n in self.networks
                    )
                )
            ),
            learning=not self.learning.reason,
            reason=self.learning.reason,
            prediction_error=error,
        )


def _mean(values: list[float]) -> float:
    finite = [v for v in values if np.isfinite(v)]
    return float(np.mean(finite)) if finite else float("nan")


def linear_tracking(
    spec: MachineSpec, period: float, rule: Rule | None = None, gains: Gains = GAINS
) -> AdaptiveTracking:
    """Return the controller whose learners have a regressor and no spikes."""
    rule = rule or Rule()
    learning = OilLearning(spec, period, lambda delay: LinearLearner(period, delay, rule))
    return AdaptiveTracking(spec, period, "linear", learning, gains)
