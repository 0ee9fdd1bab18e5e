"""NIR's networks as those that the emulator's compiler takes, and back.

Euler's step of NIR's equations is the compiler's network exactly:

    v ← (1 − dt/τ) v + dt/τ (v_leak + R I)       I ← (1 − dt/τ_syn) I + dt/τ_syn w_in s

so the share that is kept is 1 − dt/τ, a weight w becomes w R dt/τ (· w_in dt/τ_syn), and voltages
are counted from v_reset. In NIR a spike reaches the next population in its own step; on the chip it
takes one. Each population is therefore late by a number of steps, the same for all of a cycle, and
shorter ways to it get delays, so that what arrives together still does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.float_network import FloatDense, FloatNetwork, FloatNeurons, keeps
from kuwa_policies.emulator.profiles import Profile
from kuwa_policies.nir_io.network import Population, Projection, SpikingNetwork


@dataclass(frozen=True, eq=False, slots=True)
class Lowered:
    """A network for the compiler, and what has become of the rest.

    Args:
        late: steps by which each population's spikes come later than in NIR.
        start: voltages that NIR's zeros are, counted from v_reset, by population.
        host: populations that are left to whoever reads the spikes.
        notes: what is not quite the same, in words.
    """

    network: FloatNetwork
    late: dict[str, int]
    start: dict[str, Array]
    host: tuple[str, ...]
    notes: tuple[str, ...]


def lowered(network: SpikingNetwork, profile: Profile) -> Lowered:
    """Return what the compiler takes.

    Raises:
        KuwaError: a population or projection that the chip has not, by name, and what would be.
    """
    host = _host(network)
    on_chip = {name: n for name, n in network.populations.items() if name not in host}
    if not on_chip:
        raise KuwaError("no population spikes; the chip needs at least one LIF or CubaLIF")
    inside = [p for p in network.projections if p.target in on_chip]
    late = _late(network, on_chip, inside, profile)
    groups, start, notes = {}, {}, []
    for name, n in on_chip.items():
        biases = [p.bias for p in inside if p.target == name and p.bias is not None]
        current = np.sum(biases, axis=0) if biases else np.zeros(n.size)
        groups[name], start[name] = _neurons(name, n, current, network.dt)
        notes += _notes(name, n, current, np.asarray(groups[name].bias), late[name], start[name])
    for name in host:
        notes.append(f"{name} is an LI, which puts out a voltage: it is left to who reads spikes")
    denses = [_dense(network, p, late, profile) for p in inside]
    return Lowered(
        FloatNetwork(network.inputs, groups, denses, network.dt), late, start, tuple(host),
        tuple(notes),
    )  # fmt: skip


def _host(network: SpikingNetwork) -> list[str]:
    """Return LI that only read."""
    found = []
    for name, n in network.populations.items():
        if n.kind != "LI":
            continue
        heard = [p.target for p in network.projections if p.source == name]
        if heard:
            raise KuwaError(
                f"node {name!r} is an LI whose voltage {heard[0]!r} takes; the chip sends spikes: "
                f"make it an LIF, or let nothing but an output read it"
            )
        found.append(name)
    return found


def _neurons(name: str, n: Population, current: Array, dt: float) -> tuple[FloatNeurons, Array]:
    if n.reset != "to_value":
        raise KuwaError(
            f"node {name!r} has reset {n.reset!r}; the chip takes voltages to a value: expected "
            f"'to_value' with v_reset below the threshold"
        )
    threshold = n.v_threshold - n.v_reset
    if (threshold <= 0).any():
        i = int(threshold.argmin())
        raise KuwaError(
            f"node {name!r} is reset to {n.v_reset[i]:g}, not below its threshold of "
            f"{n.v_threshold[i]:g}; it would spike for ever"
        )
    gain = n.w_in if n.kind == "CubaLIF" else 1.0
    # Per second: the compiler takes dt times it.
    bias = (n.v_leak - n.v_reset + n.r * gain * current) / n.tau
    leak_u = _leak(n.tau_syn, dt) if n.kind == "CubaLIF" else np.full(n.size, np.inf)
    return FloatNeurons(n.size, leak_u, _leak(n.tau, dt), threshold, bias), -n.v_reset


def _leak(tau: Array, dt: float) -> Array:
    """Return the leak [1/s] whose exponential is Euler's step."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log1p(-dt / tau) / dt)


def _notes(
    name: str, n: Population, current: Array, bias: Array, late: int, start: Array
) -> list[str]:
    found = []
    if n.kind == "CubaLIF" and current.any():
        found.append(
            f"{name}: its constant current is there from the start; in NIR it rises with tau_syn"
        )
    if bias.any() and late:
        found.append(
            f"{name}: what drives it without spikes is not late, its inputs are, by {late} steps"
        )
    if start.any():
        found.append(f"{name}: voltages are counted from v_reset, and start at {start[0]:g}")
    return found


def _gain(n: Population, dt: float) -> Array:
    """Return what a voltage rises by at a spike of weight 1."""
    gain = dt / n.tau * n.r
    return gain * dt / n.tau_syn * n.w_in if n.kind == "CubaLIF" else gain


def _cost(network: SpikingNetwork, p: Projection, profile: Profile) -> int:
    """Return steps that the chip itself takes."""
    return profile.input_delay if p.source in network.inputs else 1


def _wanted(network: SpikingNetwork, p: Projection) -> NDArray[np.int64]:
    """Return steps from a spike to its arrival in NIR."""
    reach = network.cycles()
    cycle = p.source in reach and p.source in reach[p.target]
    return np.maximum(p.delays(), int(cycle))


def _late(
    network: SpikingNetwork, on_chip: Mapping[str, Population], inside: list[Projection],
    profile: Profile,
) -> dict[str, int]:  # fmt: skip
    """Return the least lateness with which no spike would have to arrive before it is sent."""
    late = dict.fromkeys([*network.inputs, *on_chip], 0)
    # As for the longest path; within a cycle each connection takes a step in NIR as on the chip.
    for _ in range(len(late) + 1):
        changed = False
        for p in inside:
            least = int(_wanted(network, p).min())
            needed = late[p.source] + _cost(network, p, profile) - least
            if needed > late[p.target]:
                late[p.target], changed = needed, True
        if not changed:
            break
    return late


def _dense(
    network: SpikingNetwork, p: Projection, late: Mapping[str, int], profile: Profile
) -> FloatDense:
    weights = p.weight * _gain(network.populations[p.target], network.dt)[:, None]
    ahead = late[p.target] - late[p.source] - _cost(network, p, profile)
    delays = _wanted(network, p) + ahead
    what = f"{p.source!r} → {p.target!r}"
    most = int(delays.max(initial=0))
    if most > profile.delay_max:
        raise KuwaError(
            f"projection {what} needs a delay of {most} steps; profile {profile.name} has 0 to "
            f"{profile.delay_max}"
        )
    if not profile.delay_each and delays.size and (delays != delays.flat[0]).any():
        raise KuwaError(
            f"projection {what} needs delays of {delays.min()} to {most} steps; profile "
            f"{profile.name} has one for all synapses of a connection"
        )
    uniform = delays.size == 0 or bool((delays == delays.flat[0]).all())
    return FloatDense(p.source, p.target, weights, most if uniform else delays)


def raised(network: FloatNetwork, outputs: Mapping[str, str], input_delay: int) -> SpikingNetwork:
    """Return NIR's network of one for the compiler, which spikes in the same steps.

    Args:
        outputs: populations that are read, by the name of the output.
        input_delay: steps from a spike of an input to the neurons, as the profile has it.

    Raises:
        KuwaError: neurons that NIR's have not.
    """
    network.check()
    populations: dict[str, Population] = {}
    biases: dict[str, Array] = {}
    for name, group in network.neurons.items():
        leak_u, leak_v, threshold, bias = group.checked(name)
        for what, leak in (("current", leak_u), ("voltage", leak_v)):
            if (leak == 0).any():
                raise KuwaError(
                    f"neurons {name!r} never lose their {what}; NIR's LIF has a finite tau: give "
                    f"them some leak"
                )
        zero, one = np.zeros(group.size), np.ones(group.size)
        tau = network.dt / (1.0 - keeps(leak_v, network.dt))
        common = (tau, one, bias * tau, threshold.copy(), zero)
        if np.isinf(leak_u).all():
            populations[name] = Population("LIF", *common)
        else:
            tau_syn = network.dt / (1.0 - keeps(leak_u, network.dt))
            populations[name] = Population("CubaLIF", *common, tau_syn, one)
        biases[name] = bias
    found = SpikingNetwork(network.dt, network.inputs, populations, [], outputs)
    projections = []
    for c in network.connections:
        first = input_delay if c.source in network.inputs else 1
        delay = np.broadcast_to(np.asarray(c.delays), c.weights.shape).astype(np.int64) + first
        weight = np.asarray(c.weights) / _gain(populations[c.target], network.dt)[:, None]
        projections.append(Projection(c.source, c.target, weight, delay=delay))
    return SpikingNetwork(found.dt, found.inputs, populations, projections, outputs)
