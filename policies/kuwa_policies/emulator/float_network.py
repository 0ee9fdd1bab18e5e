"""The network in floating point from which the integers are made, and its plain simulation.

u ← e^(−leak_u·dt) u + Σ w,   v ← e^(−leak_v·dt) v + u + bias·dt,   v > threshold: spike, v ← 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError


@dataclass(frozen=True, eq=False)
class FloatNeurons:
    """Neurons in units of the user's choice; every number is one for all or one for each.

    Args:
        size: how many.
        leak_u: of the current [1/s]; inf: it lasts one step. leak_v: of the voltage [1/s].
        threshold: above 0. bias: added to the voltage [1/s].
    """

    size: int
    leak_u: ArrayLike = np.inf
    leak_v: ArrayLike = 0.0
    threshold: ArrayLike = 1.0
    bias: ArrayLike = 0.0

    def checked(self, name: str) -> tuple[Array, Array, Array, Array]:
        """Return the numbers, each of shape (size,)."""
        if self.size < 1:
            raise KuwaError(f"neurons {name!r} have size {self.size}; expected at least 1")
        arrays = []
        for key in ("leak_u", "leak_v", "threshold", "bias"):
            values = np.asarray(getattr(self, key), float)
            if values.shape not in ((), (self.size,)):
                raise KuwaError(
                    f"{key} of neurons {name!r} has shape {values.shape}; expected "
                    f"({self.size},) or one number"
                )
            bad = np.isnan(values) | ((values < 0) if key != "bias" else ~np.isfinite(values))
            if key == "threshold":
                bad |= (values <= 0) | ~np.isfinite(values)
            if bad.any():
                raise KuwaError(
                    f"{key} of neurons {name!r} is {values[bad].flat[0]:g}; expected "
                    + {"bias": "a finite number", "threshold": "one above 0"}.get(
                        key, "one of 0 to infinity"
                    )
                )
            arrays.append(np.broadcast_to(values, (self.size,)))
        return arrays[0], arrays[1], arrays[2], arrays[3]


@dataclass(frozen=True, eq=False)
class FloatDense:
    """Weights in the target's units, shape (target, source); delays as in ``Dense``."""

    source: str
    target: str
    weights: Array
    delays: ArrayLike = 0

    @property
    def name(self) -> str:
        """How errors and results call it."""
        return f"{self.source} → {self.target}"


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Groups and connections, and the time step [s]."""

    inputs: Mapping[str, int]
    neurons: Mapping[str, FloatNeurons]
    connections: Sequence[FloatDense] = field(default=())
    dt: float = 1e-3

    def check(self) -> None:
        """Refuse a time step or weights that make no network."""
        if not (0 < self.dt < np.inf):
            raise KuwaError(f"dt is {self.dt:g} s; expected a time above 0")
        sizes = dict(self.inputs) | {name: group.size for name, group in self.neurons.items()}
        for dense in self.connections:
            for end, names in ((dense.source, sizes), (dense.target, self.neurons)):
                if end not in names:
                    raise KuwaError(
                        f"no group {end!r} for {dense.name}; valid: {', '.join(sorted(names))}"
                    )
            shape = (sizes[dense.target], sizes[dense.source])
            weights = np.asarray(dense.weights)
            if weights.shape != shape:
                raise KuwaError(
                    f"weights of {dense.name} have shape {weights.shape}; expected {shape}"
                )
            if not np.isfinite(weights).all():
                raise KuwaError(f"weights of {dense.name} are not all finite")


def keeps(leak: Array, dt: float) -> Array:
    """Return the share that is left after a step."""
    return np.asarray(np.exp(-leak * dt))


def run_float(
    network: FloatNetwork, inputs: Mapping[str, NDArray[np.uint8]], input_delay: int = 1
) -> dict[str, NDArray[np.uint8]]:
    """Return the spikes of every step, by group.

    Args:
        inputs: spikes, shape (steps, size), of every input.
        input_delay: steps from a spike of an input to the neurons.
    """
    network.check()
    lengths = {len(inputs[name]) if name in inputs else None for name in network.inputs}
    if None in lengths or len(lengths) != 1:
        raise KuwaError(
            f"inputs given are {sorted(inputs)}; expected {sorted(network.inputs)}, at least one, "
            f"all equally long"
        )
    steps = len(next(iter(inputs.values())))
    numbers = {name: group.checked(name) for name, group in network.neurons.items()}
    u = {name: np.zeros(group.size) for name, group in network.neurons.items()}
    v = {name: np.zeros(group.size) for name, group in network.neurons.items()}
    spikes = {n: np.zeros((steps, g.size), np.uint8) for n, g in network.neurons.items()}
    known: dict[str, NDArray[np.uint8]] = dict(inputs) | spikes
    delays = [np.broadcast_to(np.asarray(c.delays), c.weights.shape) for c in network.connections]
    for t in range(steps):
        arrived = {name: np.zeros(group.size) for name, group in network.neurons.items()}
        for dense, late in zip(network.connections, delays, strict=True):
            first = input_delay if dense.source in network.inputs else 1
            for d in np.unique(late):
                past = t - first - int(d)
                if past >= 0:
                    weights = np.where(late == d, dense.weights, 0.0)
                    arrived[dense.target] += weights @ known[dense.source][past]
        for name, (leak_u, leak_v, threshold, bias) in numbers.items():
            u[name] = keeps(leak_u, network.dt) * u[name] + arrived[name]
            v[name] = keeps(leak_v, network.dt) * v[name] + u[name] + bias * network.dt
            spikes[name][t] = v[name] > threshold
            v[name][v[name] > threshold] = 0.0
    return spikes
