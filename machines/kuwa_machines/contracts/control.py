"""The protocols of controllers: those that follow, those that learn, those with neurons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from kuwa_machines.arrays import Array
from kuwa_machines.contracts.plan import Trajectory
from kuwa_machines.contracts.state import MachineState


class Controller(Protocol):
    """From a reference to valve commands, at the control period.

    One with neurons is :class:`Spiking` as well, one that has learnt something to keep a
    :class:`Learner`.
    """

    def reset(self, state: MachineState) -> None:
        """Forget the past, but not what was learnt; start from this state at rest."""

    def step(
        self, state: MachineState, reference: Trajectory | Array | None, applied: Array
    ) -> Array:
        """Return valve commands, shape (n,).

        Args:
            reference: a trajectory chunk, or velocity fractions of shape (n,), or None (hold).
            applied: the valve command that the gate let through last, shape (n,). Where it differs
                from what was returned last the gate overrides, and what comes of that teaches
                nothing.
        """


@dataclass(frozen=True, slots=True)
class SpikeStats:
    """What the neurons of a controller are doing.

    Counts run since the controller's last reset, so that whoever missed a sample loses nothing:
    the difference of two samples is what happened between them.

    Args:
        neurons: in the network. alive: those that can still spike.
        mean_rate, max_rate: over the living neurons, since the last reset [Hz].
        isi_cv: coefficient of variation of the intervals between spikes, mean over neurons; 1 for
            a Poisson process, NaN until there are enough.
        ei_correlation: between excitation and inhibition that a neuron receives, mean over neurons;
            NaN until there is enough of both.
        spikes: fired. synaptic_operations: weights that these spikes added to a neuron.
        weight_norm: Frobenius norm of what was learnt; in the network's own unit.
        learning: whether it adapts now. reason: why it does not, in words; empty while it does.
        prediction_error: measured less predicted joint position, shape (n,) [rad]; NaN where
            nothing is predicted.
    """

    neurons: int
    alive: int
    mean_rate: float
    max_rate: float
    isi_cv: float
    ei_correlation: float
    spikes: int
    synaptic_operations: int
    weight_norm: float
    learning: bool
    reason: str
    prediction_error: Array


SPIKE_STATS_PERIOD = 0.1
"""Between two samples of :class:`SpikeStats` [s]."""


@runtime_checkable
class Spiking(Protocol):
    """A controller that has neurons."""

    def spike_stats(self) -> SpikeStats:
        """Return what they are doing; it may take longer than a step."""


@runtime_checkable
class Learner(Protocol):
    """A controller that learns while it runs."""

    def save(self, path: Path) -> None:
        """Write what it has learnt into a new file; see :mod:`kuwa_policies.control.saved`."""

    def restore(self, path: Path) -> None:
        """Take what another run has learnt.

        Raises:
            KuwaError: the file is of another machine, size or version, naming the field; the
                controller is as it was.
        """

    def freeze(self, reason: str) -> None:
        """Stop learning and say why, across resets; an empty reason lets it go on."""
