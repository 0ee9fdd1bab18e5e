"""The emulator: differing bits against its references, time of a step beside Lava.

Exactness: random networks of every mode, with numbers at and beyond their limits, in each profile
and in the reference itself; 10⁹ neuron-steps against Lava. Speed: two groups of 100 or 1000
neurons, one densely connected to the other, the first driven to spike every eighth step, or all of
it in every step; one thread. Trip: set, one step, get, from Python. Where a reference is not
installed (docs/how-to/compare-with-peers.md) its comparisons are left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.network import Emulator, Network
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.profiles import PROFILES

# The folder of the peers is not installed.
sys.path.insert(0, str(Path(__file__).parent))
from peers import random_networks
from peers.client import Peer, differing_bits, interpreter, joined, learnt

NEURON_STEPS = {"lava": 1_000_000_000, "nengo-loihi": 10_000_000, "brian2-loihi": 1_000_000}
RULES = {"lava": 300, "nengo-loihi": 300, "brian2-loihi": 30}
"""Networks whose connections learn."""
SPEED_GOALS = {100: "<= 1", 1000: "<= 50"}
RUNS = 20


def measure() -> Iterator[Figure]:
    """Time the emulator, then compare it with every reference that is there."""
    lava = _lava_times()
    for size, goal in SPEED_GOALS.items():
        yield from _speed(size, goal, lava.get(size))
    yield from _trip(lava.get(100))
    for name in PROFILES:
        if interpreter(name) is None:
            print(f"  {name}: peer not installed", file=sys.stderr)
            continue
        yield from _exactness(name)


def _lava_times() -> dict[int, dict[str, float]]:
    """Return seconds of Lava on the networks of the speed figures, in this very run."""
    if interpreter("lava") is None:
        return {}
    with Peer("lava") as peer:
        return {
            size: peer.ask({"question": "time", "size": size, "steps": steps})[0]
            for size, steps in ((100, 500), (1000, 50))
        }


def _network(size: int, threshold: int) -> Network:
    """Return two groups; the first spikes whenever its bias has filled it to the threshold."""
    weights = np.random.default_rng(0).integers(-128, 128, (size, size))
    first = Neurons(size, 500, 100, threshold, bias=4095, bias_exponent=7)
    return Network(
        {}, {"a": first, "b": Neurons(size, 500, 100, 60000)}, [Dense("a", "b", weights)]
    )


def _speed(size: int, goal: str, lava: dict[str, float] | None) -> Iterator[Figure]:
    steps = 2_000_000 // size
    for name, threshold in (("", 60000), (".all_active", 0)):
        emulator = Emulator(_network(size, threshold))
        start = np.random.default_rng(1).integers(0, threshold * 64 + 1, size)
        emulator.set_state("a", v=start)

        def run(emulator: Emulator = emulator) -> None:
            emulator.run({}, steps)

        seconds = _best(run) / steps
        active = emulator.spike_counts[:size].mean() / emulator.steps
        peer: dict[str, Any] = {"activity": round(float(active), 3)}
        if lava is not None and not name:
            peer |= {
                "what": "Lava's bit-accurate models, same run",
                "us": round(1e6 * lava["step"], 1),
                "ratio": round(lava["step"] / seconds, 1),
            }
        yield Figure(f"emulator.step.{size}{name}", 1e6 * seconds, "us", goal, peer=peer)


def _best(run: Callable[[], None]) -> float:
    """Return the shortest of several times: other work on the computer only ever adds."""
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def _trip(lava: dict[str, float] | None) -> Iterator[Figure]:
    size = 100
    weights = np.random.default_rng(0).integers(-128, 128, (size, size))
    groups = {"a": Neurons(size, 500, 100, 100), "b": Neurons(size, 500, 100, 100)}
    emulator = Emulator(
        Network({"in": size}, groups, [Dense("in", "a", weights), Dense("a", "b", weights)])
    )
    spikes = (np.random.default_rng(1).random((5000, size)) < 0.1).astype(np.uint8)
    times = np.zeros(len(spikes))
    for row, given in enumerate(spikes):
        begin = time.perf_counter()
        emulator.set("in", given)
        emulator.step()
        emulator.get("b")
        times[row] = time.perf_counter() - begin
    peer = None
    if lava is not None:
        peer = {
            "what": "Lava: set, run one step, get, 99th percentile",
            "us": round(1e6 * lava["trip_p99"]),
            "ratio": round(lava["trip_p99"] / float(np.quantile(times, 0.99))),
        }
    yield Figure("emulator.trip.mean", 1e6 * float(times.mean()), "us")
    yield Figure("emulator.trip.p99", 1e6 * float(np.quantile(times, 0.99)), "us", "<= 20", peer)


def _exactness(name: str) -> Iterator[Figure]:
    profile = PROFILES[name]
    wrong, done, spikes, most = 0, 0, 0, 0
    with Peer(name) as peer:
        versions = peer.ask({"question": "versions"})[0]
        for seed, case in _cases(name):
            network, raster, u, v = case
            emulator = Emulator(network, profile)
            emulator.u[:], emulator.v[:] = u, v
            ours = emulator.run({"in": raster}, states=True)
            theirs = peer.run(network, raster, u, v)
            different = differing_bits(ours, theirs)
            if different:
                print(f"  {name}: case {seed} differs in {different} bits", file=sys.stderr)
            wrong += different
            done += len(raster) * emulator.size
            spikes += int(emulator.spike_counts[emulator.inputs :].sum())
            most = max(most, int(np.abs(joined(ours.u).astype(np.int64)).max()))
            if done >= NEURON_STEPS[name]:
                break
        yield Figure(f"emulator.{name}.differing_bits", wrong, "1", "== 0", versions)
        yield Figure(f"emulator.{name}.neuron_steps", done, "1", f">= {NEURON_STEPS[name]}")
        yield Figure(f"emulator.{name}.spikes", spikes, "1")
        yield Figure(f"emulator.{name}.largest_current", most, "1")
        yield from _learning(name, peer, versions)


def _cases(name: str) -> Iterator[tuple[int, random_networks.Case]]:
    """Yield networks without end: large ones, densely connected ones, some with delays."""
    seed = 0
    while True:
        rng = np.random.default_rng(seed)
        profile = PROFILES[name]
        if name == "brian2-loihi":
            yield seed, random_networks.network(rng, profile, 12, (100, 150), 300, seed % 2 == 1)
        elif seed % 4 == 0:
            yield seed, random_networks.network(rng, profile, 20, (60, 80), 200, delays=True)
        elif seed % 4 == 1 or name != "lava":
            yield seed, random_networks.network(rng, profile, 12, (2000, 150), 200)
        else:
            # Beyond 4 million weights only the inputs are connected.
            yield seed, random_networks.network(rng, profile, 12, (40000, 40000), 100)
        seed += 1


def _learning(name: str, peer: Peer, versions: dict[str, Any]) -> Iterator[Figure]:
    """Compare all that random learning rules change, and all states, after every step.

    Brian2-Loihi itself fails on some rules, whose algebra does not end; these are counted.
    """
    profile = PROFILES[name]
    wrong = rules = changes = failed = 0
    for seed in range(RULES[name]):
        rng = np.random.default_rng(seed)
        case, errors = random_networks.any_learning(rng, profile, (12, 9), 60)
        network, raster, u, v = case
        emulator = Emulator(network, profile, seed)
        try:
            theirs = peer.run(network, raster, u, v, errors=errors, seed=seed)
        except KuwaError:
            failed += 1
            continue
        ours, history = learnt(emulator, raster, errors)
        wrong += differing_bits(ours, theirs)
        for key, rows in history.items():
            wrong += int(np.bitwise_count(rows ^ theirs[key].astype(rows.dtype)).sum())
            synapses = emulator.learning[int(key.split(":")[1])].weights.size
            changes += int((np.diff(rows[:, :synapses], axis=0) != 0).sum())
            rules += 1
    yield Figure(f"emulator.{name}.learning.differing_bits", wrong, "1", "== 0", versions)
    yield Figure(f"emulator.{name}.learning.rules", rules, "1")
    yield Figure(f"emulator.{name}.learning.weight_changes", changes, "1")
    yield Figure(f"emulator.{name}.learning.peer_failed", failed, "1")
