"""The emulator: a network of integers that is set, stepped and read.

emulator = Emulator(Network({"in": 100}, {"out": Neurons(100)}, [Dense("in", "out", w)]))
emulator.set("in", spikes)
emulator.step()
emulator.get("out")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kuwa_machines.errors import KuwaError, choices
from kuwa_policies.emulator import kernel as k
from kuwa_policies.emulator.dense import Dense, synapses
from kuwa_policies.emulator.engines import engine
from kuwa_policies.emulator.learners import Engine, Learner, Stage
from kuwa_policies.emulator.neurons import ROWS, Neurons, integers, modes, table
from kuwa_policies.emulator.packing import Packed, group_slices
from kuwa_policies.emulator.pes import PesState
from kuwa_policies.emulator.profiles import Profile, profile_of


@dataclass(frozen=True, eq=False)
class Network:
    """What is emulated.

    Args:
        inputs: name and size of where spikes come in.
        neurons: groups by name.
        connections: between them.
    """

    inputs: Mapping[str, int]
    neurons: Mapping[str, Neurons]
    connections: Sequence[Dense] = field(default=())

    def check(self) -> None:
        """Refuse a network whose names or sizes do not fit together."""
        if not self.neurons:
            raise KuwaError("the network has no neurons; give at least one group")
        twice = set(self.inputs) & set(self.neurons)
        if twice:
            raise KuwaError(f"{sorted(twice)[0]!r} names both an input and neurons")
        for name, size in self.inputs.items():
            if size < 1:
                raise KuwaError(f"input {name!r} has size {size}; expected at least 1")
        for dense in self.connections:
            sources = [*self.inputs, *self.neurons]
            if dense.source not in sources:
                raise KuwaError(f"no source {dense.source!r}; {choices(dense.source, sources)}")
            if dense.target not in self.neurons:
                valid = choices(dense.target, self.neurons)
                raise KuwaError(f"no neurons {dense.target!r} as a target; {valid}")


@dataclass(frozen=True, slots=True)
class Recording:
    """What happened in a run, a row for each step, by group.

    Args:
        spikes: 0 or 1. u, v: after the step; None where only spikes were asked for.
    """

    spikes: dict[str, NDArray[np.uint8]]
    u: dict[str, NDArray[Any]] | None
    v: dict[str, NDArray[Any]] | None


class Emulator:
    """A network in the arithmetic of one profile.

    Args:
        network: what is emulated.
        profile: ``"lava"``, ``"nengo-loihi"`` or ``"brian2-loihi"``, or one of your own.
        seed: of random numbers that a whole network shares: those of learning in the latter two.

    Raises:
        KuwaError: what does not fit together or what the profile does not have.
    """

    def __init__(self, network: Network, profile: str | Profile = "lava", seed: int = 0) -> None:
        network.check()
        self.network = network
        self.profile = profile_of(profile)
        self._slices, self.inputs, self.size = group_slices(network.inputs, network.neurons)
        state = np.dtype(f"int{self.profile.state_bits}")
        padded = k.padded(self.size)
        u, v = np.zeros(padded, state), np.zeros(padded, state)
        spikes = np.zeros(self.inputs + padded, np.uint8)
        self.u = u[: self.size]
        """Currents of all neurons, group after group, shape (N,)."""
        self.v = v[: self.size]
        """Voltages."""
        self.spikes = spikes[: self.inputs + self.size]
        """Of the last step: inputs, then neurons."""
        self.spike_counts = np.zeros(self.inputs + self.size, np.int64)
        self._left = np.zeros(padded, np.int32)
        self._clock = np.zeros(1, np.int64)
        rows = np.zeros((ROWS, padded), np.int32)
        for name, group in network.neurons.items():
            rows[:, self._neurons(name)] = table(group.checked(name, self.profile), self.profile)
        self.connections = [
            synapses(c, (self._size(c.target), self._size(c.source)), self.profile)
            for c in network.connections
        ]
        """Weights and delays as the profile counts them."""
        self.synapse_counts = np.zeros(len(self.connections), np.int64)
        by_engine = self.profile.learning == "synapses"
        packed = Packed(network.connections, self.connections, self._slices, self.inputs, by_engine)
        self._wide = packed.wide
        self.weight_updates = 0
        """Synapses at which a learning rule was evaluated."""
        self._raster = np.zeros((1, self.inputs), np.uint8)
        self._ring = np.zeros((packed.slots, padded), np.int32)
        learners = [
            self._learner(index, packed.view(index))
            for index, c in enumerate(network.connections)
            if c.learning is not None
        ]
        stage = Stage(self._clock, self._ring, self.spikes, self.synapse_counts, self.size)
        self._engine: Engine | None = (
            engine(learners, stage, self.profile, seed) if learners else None
        )
        self.learning: Mapping[int, Any] = {} if self._engine is None else self._engine.states
        """State of the connections that learn, by their index."""
        widest = k.padded(max((c.weights.shape[1] for c in self.connections), default=1))
        self._bound = (
            self._clock, self._ring, u, v, self._left, spikes, rows, modes(self.profile),
            self.profile.input_delay == 0, packed.table, packed.narrow, packed.wide, packed.delays,
            packed.fanout,
            np.zeros(max((c.weights.shape[0] for c in self.connections), default=0) + 1, np.int64),
            np.zeros(widest, np.int16), np.zeros((packed.slots, widest), np.int32),
            self.spike_counts, self.synapse_counts,
        )  # fmt: skip
        self._none = (np.zeros((1, 0), np.uint8), np.zeros((1, 0), state), np.zeros((1, 0), state))
        self.step()  # compiled now rather than at the first tick
        self.reset()

    def _size(self, name: str) -> int:
        part = self._slices[name]
        return part.stop - part.start

    def reset(self) -> None:
        """Return to rest, with the weights and random numbers of the start."""
        for array in (
            self.u, self.v, self.spikes, self.spike_counts, self.synapse_counts, self._left,
            self._clock, self._ring, self._raster,
        ):  # fmt: skip
            array[:] = 0
        self.weight_updates = 0
        if self._engine is not None:
            self._engine.reset()
        for index, state in self.learning.items():
            state.reset(self.connections[index].weights)

    def span(self, name: str) -> slice:
        """Return where a group lies in ``spikes`` and ``spike_counts``."""
        return self._slices[name]

    @property
    def steps(self) -> int:
        """Steps since the start."""
        return int(self._clock[0])

    def set(self, name: str, spikes: ArrayLike) -> None:
        """Let an input spike in the next step, and in no other.

        Args:
            name: of the input.
            spikes: 0 or 1, shape (size,).
        """
        part = self._slices.get(name)
        if part is None or part.start >= self.inputs:
            raise KuwaError(f"no input {name!r}; {choices(name, self.network.inputs)}")
        row = self._raster[0]
        given = np.asarray(spikes)
        if given.shape != (part.stop - part.start,):
            raise KuwaError(
                f"spikes of input {name!r} have shape {given.shape}; expected "
                f"({part.stop - part.start},)"
            )
        if given.dtype != np.uint8 and given.dtype != np.bool_:
            given = integers(f"a spike of input {name!r}", given, given.shape, 0, 1)
        elif given.size and given.max() > 1:
            raise KuwaError(f"a spike of input {name!r} is {given.max()}; expected 0 or 1")
        row[part] = given

    def set_state(self, name: str, u: ArrayLike | None = None, v: ArrayLike | None = None) -> None:
        """Put currents and voltages of a group, each one number or shape (size,)."""
        part = self._neurons(name)
        for what, array, values in (("u", self.u, u), ("v", self.v, v)):
            if values is not None:
                limit = 2**23 if self.profile.state_bits == 32 else 2**31 - 1
                array[part] = integers(
                    f"{what} of neurons {name!r}", values, (self._size(name),), -limit, limit
                )

    def step(self, steps: int = 1) -> None:
        """Advance; spikes that were set go in at the first of the steps."""
        if steps != int(steps) or steps < 1:
            raise KuwaError(f"{steps:g} steps; expected a whole number of at least 1")
        for _ in range(int(steps)):
            if self._engine is not None:
                self.weight_updates += self._engine.before(self._raster[0])
            k.advance(self._raster, k.NOTHING, *self._none, *self._bound)
            self._raster[:] = 0
            if self._engine is not None:
                self.weight_updates += self._engine.after()

    def get(self, name: str, what: str = "spikes") -> NDArray[Any]:
        """Return spikes, ``"u"`` or ``"v"`` of a group after the last step: a view."""
        part = self._slices.get(name)
        if part is None:
            raise KuwaError(f"no group {name!r}; {choices(name, self._slices)}")
        if what == "spikes":
            return self.spikes[part]
        if what not in ("u", "v"):
            raise KuwaError(f"no {what!r} of a group; {choices(what, ('spikes', 'u', 'v'))}")
        part = self._neurons(name)
        return (self.u if what == "u" else self.v)[part]

    def run(
        self, inputs: Mapping[str, ArrayLike], steps: int | None = None, states: bool = False
    ) -> Recording:
        """Advance many steps at once and return what happened.

        Spikes that were set go in at the first of the steps, beside those that are given.

        Args:
            inputs: spikes of every step, shape (steps, size); an input that is left out is silent.
            steps: how many, where no input tells.
            states: record u and v as well.
        """
        raster = self._rasters(inputs, steps)
        count = len(raster)
        if count < 1:
            raise KuwaError("a run of 0 steps; expected at least 1")
        raster[0] |= self._raster[0]
        self._raster[:] = 0
        spikes = np.zeros((count, self.size), np.uint8)
        shape = (count, self.size) if states else (1, 0)
        u, v = np.zeros(shape, self.u.dtype), np.zeros(shape, self.u.dtype)
        record = k.STATES if states else k.SPIKES
        if self._engine is not None:
            for t in range(count):
                self.weight_updates += self._engine.before(raster[t])
                part = slice(t, t + 1)
                own = (u[part], v[part]) if states else (u, v)
                k.advance(raster[part], record, spikes[part], *own, *self._bound)
                self.weight_updates += self._engine.after()
        else:
            k.advance(raster, record, spikes, u, v, *self._bound)

        def split(values: NDArray[Any]) -> dict[str, NDArray[Any]]:
            return {name: values[:, self._neurons(name)] for name in self.network.neurons}

        return Recording(split(spikes), split(u) if states else None, split(v) if states else None)

    def weights(self, index: int) -> NDArray[np.int32]:
        """Return the weights of a connection as they are now, shape (target, source)."""
        if index in self.learning:
            return self.learning[index].weights.T.copy()
        return self.connections[index].weights.T.copy()

    def set_error(self, index: int, error: ArrayLike) -> None:
        """Give a connection that learns by PES its error, which holds until the next one.

        Args:
            error: in the rule's units, shape (target / 2,).
        """
        state = self.learning.get(index)
        if not isinstance(state, PesState):
            valid = [i for i, s in self.learning.items() if isinstance(s, PesState)]
            raise KuwaError(f"connection {index} does not learn by PES; those that do: {valid}")
        state.set_error(error)

    def _learner(self, index: int, weights: NDArray[np.int32]) -> Learner:
        dense = self.network.connections[index]
        source, target = self._slices[dense.source], self._slices[dense.target]
        start = target.start - self.inputs
        given = source.start < self.inputs
        return Learner(index, dense, self.connections[index], weights, source, target, start, given)

    def _neurons(self, name: str) -> slice:
        part = self._slices.get(name)
        if part is None or part.start < self.inputs:
            raise KuwaError(f"no neurons {name!r}; {choices(name, self.network.neurons)}")
        return slice(part.start - self.inputs, part.stop - self.inputs)

    def _rasters(self, inputs: Mapping[str, ArrayLike], steps: int | None) -> NDArray[np.uint8]:
        """Return the spikes of all inputs side by side, shape (steps, inputs)."""
        given = {name: np.asarray(spikes) for name, spikes in inputs.items()}
        lengths = {len(spikes) for spikes in given.values() if spikes.ndim == 2}
        if steps is not None:
            lengths.add(steps)
        if len(lengths) != 1:
            raise KuwaError(f"a run of {sorted(lengths)} steps; expected one number of steps")
        count = lengths.pop()
        raster = np.zeros((count, self.inputs), np.uint8)
        for name, spikes in given.items():
            part = self._slices.get(name)
            if part is None or part.start >= self.inputs:
                raise KuwaError(f"no input {name!r}; {choices(name, self.network.inputs)}")
            shape = (count, part.stop - part.start)
            if spikes.shape != shape:
                raise KuwaError(
                    f"spikes of input {name!r} have shape {spikes.shape}; expected {shape}"
                )
            raster[:, part] = integers(f"a spike of input {name!r}", spikes, shape, 0, 1)
        return raster
