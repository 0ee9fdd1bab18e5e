"""From a NIR file to integers that cannot overflow, with a report of what was lost.

compiled = compile_nir("balanced.nir", "lava", raster={"in": spikes})
print(compiled.text())
emulator = compiled.emulator()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.arithmetic import STATE_LIMIT
from kuwa_policies.emulator.compile import Compiled, compile_network
from kuwa_policies.emulator.network import Emulator
from kuwa_policies.emulator.profiles import Profile, profile_of
from kuwa_policies.nir_io import files
from kuwa_policies.nir_io.lowering import Lowered, lowered
from kuwa_policies.nir_io.network import SpikingNetwork, check_dt, simulate


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the spikes of a population in float and in integers, lateness taken off.

    Args:
        spikes: how many in float, and in integers.
        same: of both in the same step and neuron, twice their number over that of all spikes.
        near: the same with a step to either side allowed.
    """

    spikes: tuple[int, int]
    same: float
    near: float


@dataclass(frozen=True, eq=False, slots=True)
class CompiledNir:
    """A NIR network in integers.

    Args:
        source: as it was read. lowered: as it went into the compiler.
        start: voltages that NIR's zeros are, integers, by population.
        agreement: by population, on the raster that was given.
    """

    source: SpikingNetwork
    lowered: Lowered
    compiled: Compiled
    start: dict[str, NDArray[np.int64]]
    agreement: dict[str, Agreement] | None

    @property
    def late(self) -> dict[str, int]:
        """Steps by which each population's spikes come later than in NIR."""
        return {n: s for n, s in self.lowered.late.items() if n in self.lowered.network.neurons}

    def emulator(self) -> Emulator:
        """Return an emulator of it, its voltages where NIR's start."""
        emulator = self.compiled.emulator()
        for name, start in self.start.items():
            emulator.set_state(name, v=start)
        return emulator

    def text(self) -> str:
        """Return what was lost, as Markdown."""
        lines = [self.compiled.report.text(), "| population | late by |", "|---|---|"]
        lines += [f"| {name} | {steps} steps |" for name, steps in self.late.items()]
        if self.agreement is not None:
            lines += ["", "| spikes of | float | integers | in the same step | within a step |"]
            lines += ["|---|---|---|---|---|"]
            for name, a in self.agreement.items():
                lines.append(
                    f"| {name} | {a.spikes[0]} | {a.spikes[1]} | {100 * a.same:.1f} % | "
                    f"{100 * a.near:.1f} % |"
                )
        if self.lowered.notes:
            lines += ["", *(f"- {note}." for note in self.lowered.notes)]
        return "\n".join([*lines, ""])


def compile_nir(
    source: str | Path | SpikingNetwork | Any,
    profile: str | Profile = "lava",
    dt: float | None = None,
    raster: Mapping[str, NDArray[np.uint8]] | None = None,
    allow_saturation: bool = False,
) -> CompiledNir:
    """Return a NIR network in integers.

    Args:
        source: a file, an ``nir.NIRGraph``, or a network that was read.
        profile: in whose arithmetic.
        dt: step of the chip [s]: that of the file, or, where it says none, that of who made it.
        raster: spikes of the inputs, 0 or 1, by name, shape (steps, size), on which both are run.
        allow_saturation: as in :func:`~kuwa_policies.emulator.compile.compile_network`.

    Raises:
        KuwaError: what cannot be compiled, by the name of its node, and what could.
    """
    chosen = profile_of(profile)
    if isinstance(source, str | Path):
        try:
            return compile_nir(files.load(source), chosen, dt, raster, allow_saturation)
        except KuwaError as error:
            raise KuwaError(f"{source}: {error}") from None
    if isinstance(source, SpikingNetwork):
        network = source
        check_dt(dt, network.dt)
    else:
        network = files.from_graph(source, dt)
    low = lowered(network, chosen)
    compiled = compile_network(low.network, chosen, None, allow_saturation)
    _check_weights(low, compiled)
    made = CompiledNir(network, low, compiled, _start(low, compiled), None)
    return made if raster is None else replace(made, agreement=agreement(made, raster))


def _check_weights(low: Lowered, compiled: Compiled) -> None:
    """Refuse a projection of which nothing is left."""
    for c, loss in zip(low.network.connections, compiled.report.connections, strict=True):
        weights = np.asarray(c.weights)
        if loss.vanished and loss.vanished == np.count_nonzero(weights):
            raise KuwaError(
                f"projection {c.source!r} → {c.target!r}: all its weights are below half a unit, "
                f"beside what else {c.target!r} hears; expected a source that sends spikes of "
                f"height 1, and no graded current"
            )


def _start(low: Lowered, compiled: Compiled) -> dict[str, NDArray[np.int64]]:
    """Return voltages to start from, where they are not 0.

    Raises:
        KuwaError: what they add to the least voltage has no room.
    """
    found = {}
    below = {g.name: g.v_below for g in compiled.report.groups if not g.saturates}
    for name, start in low.start.items():
        if not start.any():
            continue
        scaled = np.round(start * compiled.scales[name]).astype(np.int64)
        room = STATE_LIMIT * (1.0 - below.get(name, 0.0))
        if (np.abs(scaled[scaled < 0]) > room).any():
            raise KuwaError(
                f"node {name!r} starts at 0, below its v_reset of {-start.min():g}, from where "
                f"inhibition could take it out of its register; expected v_reset of at most 0"
            )
        found[name] = scaled
    return found


def agreement(made: CompiledNir, raster: Mapping[str, NDArray[np.uint8]]) -> dict[str, Agreement]:
    """Return how the spikes in integers agree with those in float.

    Args:
        raster: spikes of every input, 0 or 1, shape (steps, size).
    """
    given = {name: np.asarray(rows) for name, rows in raster.items()}
    missing = set(made.source.inputs) - set(given)
    if missing:
        raise KuwaError(f"no spikes of input {sorted(missing)[0]!r}; give those of every input")
    wanted = simulate(made.source, {name: rows.astype(float) for name, rows in given.items()})
    most = max(made.late.values())
    # What is late comes after the end: silence lets it come.
    longer = {name: np.pad(rows, ((0, most), (0, 0))) for name, rows in given.items()}
    got = made.emulator().run(longer).spikes
    found = {}
    for name, late in made.late.items():
        ours = got[name][late : late + len(wanted[name])] > 0
        found[name] = _agreement(wanted[name] > 0, ours)
    return found


def _agreement(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> Agreement:
    total = int(a.sum()) + int(b.sum())

    def wide(spikes: NDArray[np.bool_]) -> NDArray[np.bool_]:
        padded = np.pad(spikes, ((1, 1), (0, 0)))
        return np.asarray(padded[:-2] | padded[1:-1] | padded[2:])

    if total == 0:
        return Agreement((0, 0), 1.0, 1.0)
    near = int((a & wide(b)).sum()) + int((b & wide(a)).sum())
    return Agreement((int(a.sum()), int(b.sum())), 2 * int((a & b).sum()) / total, near / total)
