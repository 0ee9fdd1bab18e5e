"""A controller with a name, a memory and neurons of which it only tells, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kuwa_machines.contracts import Array, MachineState, SpikeStats, Trajectory
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.controllers import OPTIONS, Entry
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import read_state, write_state


class LearnerDouble:
    """Asks for nothing; learns how many steps it has made, unless it is frozen."""

    def __init__(self, spec: MachineSpec, period: float, options: ControllerOptions) -> None:
        self.steps = options.neuron_steps(period)
        self.header = {"machine": spec.name, "joints": list(spec.joint_names)}
        self.weights = np.zeros((len(spec.joint_names), 3))
        self.frozen = ""
        self.count = 0

    def reset(self, state: MachineState) -> None:
        self.count = 0

    def step(
        self, state: MachineState, reference: Trajectory | Array | None, applied: Array
    ) -> Array:
        self.count += 1
        if not self.frozen:
            self.weights += 1.0
        return np.zeros(len(self.weights))

    def spike_stats(self) -> SpikeStats:
        error = np.linspace(-0.1, 0.1, len(self.weights))
        return SpikeStats(
            200, 180, 12.5, 40.0, 0.9, 0.97, 3 * self.count, 600 * self.count,
            float(np.linalg.norm(self.weights)), not self.frozen, self.frozen, error,
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
