"""A small controller with real neurons that moves nothing, for tests of what is around one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kuwa_machines.contracts import Array, MachineState, SpikeStats, Trajectory
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.controllers import OPTIONS, Entry
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import read_state, write_state
from kuwa_policies.ebn.decoders import random_decoders
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.stats import figures

NEURONS = 40


class LearnerDouble:
    """Carries the joints' positions in spikes; learns one a step, unless it is frozen."""

    def __init__(self, spec: MachineSpec, period: float, options: ControllerOptions) -> None:
        self.n = len(spec.joint_names)
        self.seed = options.seed
        self.steps = options.neuron_steps(period)
        decoders = random_decoders(self.n, NEURONS, 0.1, options.seed)
        self.network = Ebn(EbnParameters(decoders, dt=options.neuron_dt))
        self.header = {
            "machine": spec.name, "joints": list(spec.joint_names), "neurons": NEURONS,
            "seed": options.seed,
        }  # fmt: skip
        self.weights = np.zeros((self.n, 3))
        self.error = np.zeros(self.n)
        self.frozen = ""

    seen: MachineState
    """The state of the last step."""
    reference: Trajectory | Array | None
    """What it was told to follow then."""

    def reset(self, state: MachineState) -> None:
        self.network.reset(keep_weights=True)

    def step(
        self, state: MachineState, reference: Trajectory | Array | None, applied: Array
    ) -> Array:
        self.seen, self.reference = state, reference
        x_hat = self.network.step(20.0 * state.q, np.zeros(self.n), self.steps)
        self.error = state.q - x_hat
        if not self.frozen:
            self.weights += 1.0
        return np.zeros(self.n)

    def spike_stats(self) -> SpikeStats:
        net = self.network
        done = figures(net.activity, net.p.dt, net.alive)
        spikes = int(net.activity.spikes.sum())
        return SpikeStats(
            NEURONS, int(net.alive.sum()), done.mean_rate, done.max_rate, done.isi_cv,
            done.ei_correlation, spikes, spikes * (NEURONS - 1),
            float(np.linalg.norm(self.weights)), not self.frozen, self.frozen, self.error,
        )  # fmt: skip

    def save(self, path: Path) -> None:
        write_state(path, self.header, {"weights": self.weights})

    def restore(self, path: Path) -> None:
        self.weights = read_state(path, self.header, {"weights": self.weights})["weights"]

    def freeze(self, reason: str) -> None:
        self.frozen = reason


def make(spec: MachineSpec, period: float, options: ControllerOptions = OPTIONS) -> LearnerDouble:
    return LearnerDouble(spec, period, options)


ENTRY = Entry(make, "a double", spiking=True, learns=True)
