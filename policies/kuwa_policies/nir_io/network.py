"""A spiking network as NIR has it, with what NIR leaves open written down, and its simulation.

    τ_syn İ = −I + w_in s        CubaLIF; in a LIF or LI the current I is what arrives
    τ v̇ = (v_leak − v) + R I
    spike where v > v_threshold, then the reset

A time step is Euler's: I first, v with the new I, then spikes and reset. What arrives in a step are
its inputs and the spikes of this very step, but for connections within a cycle, which deliver those
of the step before; a delay puts both off, and one of a step or more takes the place of the cycle's.
Spikes are of height 1 and last a step, so a current that should add w to a
voltage at once is w τ/(R dt): that is what decides between 59 and 3 spikes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError, choices

KINDS = ("LIF", "CubaLIF", "LI")
SAME_DT = 1e-9
"""Relative; time steps that differ by more are different ones."""
RESETS = ("to_value", "subtract", "none")
"""After a spike: v = v_reset, NIR's own; v − v_threshold; or nothing, where a connection of a
neuron to itself takes it down."""


@dataclass(frozen=True, slots=True)
class Population:
    """Neurons of one kind, every array of shape (n,).

    Args:
        kind: one of KINDS; an LI does not spike, it puts out its voltage.
        tau: of the membrane [s]. r: R. tau_syn, w_in: of a CubaLIF alone [s].
        reset: one of RESETS.
    """

    kind: str
    tau: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array
    tau_syn: Array = field(default_factory=lambda: np.zeros(0))
    w_in: Array = field(default_factory=lambda: np.zeros(0))
    reset: str = "to_value"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise KuwaError(f"no neurons {self.kind!r}; {choices(self.kind, KINDS)}")
        if self.reset not in RESETS:
            raise KuwaError(f"no reset {self.reset!r}; {choices(self.reset, RESETS)}")
        cuba = self.kind == "CubaLIF"
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, str):
                continue
            size = 0 if item.name in ("tau_syn", "w_in") and not cuba else self.size
            if value.shape != (size,):
                raise KuwaError(f"{item.name} has shape {value.shape}; expected ({size},)")
            if not np.isfinite(value).all():
                raise KuwaError(f"{item.name} has values that are not finite")
            if item.name in ("tau", "tau_syn") and not (value > 0.0).all():
                raise KuwaError(f"{item.name} goes down to {value.min()} s; it must be above 0")

    @property
    def size(self) -> int:
        """n."""
        return len(self.tau)


def lif(
    tau: Array, threshold: Array, r: Array | float = 1.0, reset: str = "to_value",
    v_reset: Array | float = 0.0, v_leak: Array | float = 0.0,
) -> Population:  # fmt: skip
    """Return leaky integrate-and-fire neurons; numbers are the same for all of them."""
    n = np.zeros(np.shape(tau))
    return Population("LIF", tau, n + r, n + v_leak, n + threshold, n + v_reset, reset=reset)


@dataclass(frozen=True, slots=True)
class Projection:
    """Weights from an input or a population to a population.

    Args:
        weight: shape (n of target, n of source).
        bias: a constant current, shape (n of target,); None for none.
        delay: of each synapse [steps], shape as ``weight``; None for none.
    """

    source: str
    target: str
    weight: Array
    bias: Array | None = None
    delay: NDArray[np.int64] | None = None

    def delays(self) -> NDArray[np.int64]:
        """Return the delay of each synapse, zeros where there is none."""
        return np.zeros(self.weight.shape, np.int64) if self.delay is None else self.delay


@dataclass(frozen=True, slots=True)
class SpikingNetwork:
    """Populations and what connects them.

    Args:
        dt: time step [s].
        inputs: sizes by name.
        outputs: populations that are read, by the name of the output.

    Raises:
        KuwaError: names that are not there, sizes that do not fit, a step that is unstable.
    """

    dt: float
    inputs: Mapping[str, int]
    populations: Mapping[str, Population]
    projections: Sequence[Projection]
    outputs: Mapping[str, str]

    def __post_init__(self) -> None:
        if not (np.isfinite(self.dt) and self.dt > 0.0):
            raise KuwaError(f"dt is {self.dt} s; a time step is above 0")
        for name, population in self.populations.items():
            for key in ("tau", "tau_syn"):
                value = getattr(population, key)
                if len(value) and value.min() < self.dt:
                    raise KuwaError(
                        f"{key} of {name!r} goes down to {value.min():g} s; a step dt of "
                        f"{self.dt:g} s wants at least as much"
                    )
        sizes = {**self.inputs, **{k: p.size for k, p in self.populations.items()}}
        for p in self.projections:
            what = f"projection {p.source!r} → {p.target!r}"
            if p.source not in sizes:
                raise KuwaError(f"{what}: no source; {choices(p.source, sizes)}")
            if p.target not in self.populations:
                raise KuwaError(f"{what}: no population; {choices(p.target, self.populations)}")
            shape = (sizes[p.target], sizes[p.source])
            if p.weight.shape != shape:
                raise KuwaError(f"{what}: weights have shape {p.weight.shape}; expected {shape}")
            if p.bias is not None and p.bias.shape != shape[:1]:
                raise KuwaError(f"{what}: bias has shape {p.bias.shape}; expected {shape[:1]}")
            if p.delay is not None and (p.delay.shape != shape or (p.delay < 0).any()):
                raise KuwaError(f"{what}: delays must be whole steps from 0 on, shape {shape}")
            if not np.isfinite(p.weight).all() or not (p.bias is None or np.isfinite(p.bias).all()):
                raise KuwaError(f"{what}: values that are not finite")
        for name, source in self.outputs.items():
            if source not in self.populations:
                raise KuwaError(f"output {name!r}: {choices(source, self.populations)}")

    def cycles(self) -> dict[str, set[str]]:
        """Return for each population all that its spikes can reach."""
        reach: dict[str, set[str]] = {name: set() for name in self.populations}
        for p in self.projections:
            if p.source in reach:
                reach[p.source].add(p.target)
        for _ in reach:
            for found in reach.values():
                found |= {far for near in found for far in reach[near]}
        return reach

    def order(self) -> list[str]:
        """Return the populations, each behind those that it hears in the same step."""
        reach = self.cycles()
        return sorted(
            self.populations,
            key=lambda name: sum(
                name in reach[other] and other not in reach[name] for other in self.populations
            ),
        )


def check_dt(dt: float | None, said: float | None) -> None:
    """Refuse a step [s] other than the one for which a network was made; None where none is said.

    Raises:
        KuwaError: both, and why they must be equal.
    """
    if dt is not None and said is not None and abs(dt - said) > SAME_DT * said:
        raise KuwaError(
            f"dt is {dt:g} s, the network's is {said:g} s; its weights are right for that alone: "
            f"take it with {said:g} s, or let who made it write it for {dt:g} s"
        )


def simulate(
    network: SpikingNetwork,
    inputs: Mapping[str, Array],
    voltages: Mapping[str, Array] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Run from rest; return what every population puts out, shape (steps, n).

    Args:
        inputs: currents or spikes of every step, shape (steps, n), by name.
        voltages: to start from, by population; 0 where there is none.
    """
    for name, size in network.inputs.items():
        shape = np.shape(inputs.get(name, 0.0))
        if len(shape) != 2 or shape[1] != size:
            raise KuwaError(f"input {name!r} has shape {shape}; expected (steps, {size})")
    lengths = {len(inputs[name]) for name in network.inputs}
    if len(lengths) != 1:
        raise KuwaError(f"inputs last {sorted(lengths)} steps; they must last equally long")
    steps = lengths.pop()
    reach, order, dt = network.cycles(), network.order(), network.dt
    out = {name: np.zeros((steps, p.size)) for name, p in network.populations.items()}
    into = {name: [p for p in network.projections if p.target == name] for name in order}
    late = {
        (p.source, p.target): p.source in reach and p.source in reach[p.target]
        for p in network.projections
    }
    v = {name: np.zeros(p.size) for name, p in network.populations.items()}
    for name, start in (voltages or {}).items():
        v[name][:] = start
    current = {name: np.zeros(p.size) for name, p in network.populations.items()}
    for t in range(steps):
        for name in order:
            n = network.populations[name]
            arriving = np.zeros(n.size)
            for p in into[name]:
                if p.bias is not None:
                    arriving += p.bias
                sent = inputs[p.source] if p.source in network.inputs else out[p.source]
                least = int(late[p.source, p.target])
                if p.delay is None:
                    if t >= least:
                        arriving += p.weight @ sent[t - least]
                    continue
                for d in np.unique(p.delay):
                    past = t - max(int(d), least)
                    if past >= 0:
                        arriving += np.where(p.delay == d, p.weight, 0.0) @ sent[past]
            if n.kind == "CubaLIF":
                current[name] += dt / n.tau_syn * (n.w_in * arriving - current[name])
                arriving = current[name]
            now = v[name]
            now += dt / n.tau * (n.v_leak - now + n.r * arriving)
            if n.kind == "LI":
                out[name][t] = now
                continue
            spikes = now > n.v_threshold
            out[name][t] = spikes
            if n.reset == "to_value":
                now[spikes] = n.v_reset[spikes]
            elif n.reset == "subtract":
                now[spikes] -= n.v_threshold[spikes]
    return out
