"""Runs a peer in its own interpreter: ``KUWA_PEERS_LAVA=/path/to/python`` and the like.

Every peer answers the same question: a network and its inputs in, spikes and states of every step
out, so that each is compared with the profile that is named after it.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.learning import Plasticity
from kuwa_policies.emulator.network import Emulator, Network, Recording
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.pes import Pes, PesState
from kuwa_policies.emulator.rules import TARGETS, Factor, LearningRule, Product, Trace
from kuwa_policies.emulator.synaptic import SynapticState, text
from peers.protocol import read, write

FOLDER = Path(__file__).parent
NUMBERS = (
    "decay_u",
    "decay_v",
    "threshold",
    "bias",
    "bias_exponent",
    "refractory",
    "v_min",
    "v_max",
)
MODULES = {"lava": "lava", "nengo-loihi": "nengo_loihi", "brian2-loihi": "brian2_loihi"}


def interpreter(profile: str) -> str | None:
    """Return the Python that has the reference of a profile, None where there is none."""
    module = MODULES[profile]
    given = os.environ.get(f"KUWA_PEERS_{module.upper()}")
    if given:
        return given
    return sys.executable if importlib.util.find_spec(module) else None


class Peer:
    """The reference of a profile, running in its own process."""

    def __init__(self, profile: str) -> None:
        python = interpreter(profile)
        if python is None:
            raise KuwaError(
                f"peer {profile} is not installed; see docs/how-to/compare-with-peers.md"
            )
        script = FOLDER / f"{MODULES[profile]}_peer.py"
        self._process = subprocess.Popen(
            [python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(FOLDER.parent), "PYTHONWARNINGS": "ignore"},
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def ask(
        self, meta: dict[str, Any], arrays: dict[str, NDArray[Any]] | None = None
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Send a question, return the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        write(self._process.stdin, meta, arrays or {})
        answer = read(self._process.stdout)
        if answer is None:
            raise KuwaError(f"the peer ended with status {self._process.wait()}")
        if "error" in answer[0]:
            raise KuwaError(f"the peer failed: {answer[0]['error']}")
        return answer

    def run(
        self,
        network: Network,
        raster: NDArray[np.uint8],
        u: NDArray[Any] | None = None,
        v: NDArray[Any] | None = None,
        how: str = "models",
        errors: dict[int, NDArray[Any]] | None = None,
        seed: int = 0,
    ) -> dict[str, NDArray[Any]]:
        """Return ``spikes``, ``u``, ``v`` of every step and what learning has left.

        Args:
            raster: spikes of all inputs side by side, shape (steps, inputs).
            u, v: states to start from, shape (N,).
            how: which of a peer's ways, where it has several.
            errors: of connections that learn by PES, shape (steps, target / 2).
            seed: of random numbers that a network shares.
        """
        meta, arrays = encode(network, raster, u, v, errors, seed)
        return self.ask(meta | {"question": "run", "how": how}, arrays)[1]


def encode(
    network: Network,
    raster: NDArray[np.uint8],
    u: NDArray[Any] | None = None,
    v: NDArray[Any] | None = None,
    errors: dict[int, NDArray[Any]] | None = None,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a network as plain data and arrays."""
    arrays: dict[str, NDArray[Any]] = {"raster": raster}
    arrays |= {f"errors:{index}": rows for index, rows in (errors or {}).items()}
    size = sum(group.size for group in network.neurons.values())
    arrays["u"] = np.zeros(size, np.int64) if u is None else u
    arrays["v"] = np.zeros(size, np.int64) if v is None else v
    for name, group in network.neurons.items():
        for key in NUMBERS:
            value = np.broadcast_to(np.asarray(getattr(group, key)), (group.size,))
            arrays[f"{key}:{name}"] = value.astype(np.int64)
    connections = []
    for index, dense in enumerate(network.connections):
        weights = np.asarray(dense.weights)
        arrays[f"weights:{index}"] = weights
        arrays[f"delays:{index}"] = np.broadcast_to(np.asarray(dense.delays), weights.shape).copy()
        connections.append(
            {
                "source": dense.source,
                "target": dense.target,
                "exponent": dense.exponent,
                "bits": dense.bits,
                "sign_mode": dense.sign_mode,
                "learning": None if dense.learning is None else _rule(dense.learning),
            }
        )
    meta = {
        "inputs": dict(network.inputs),
        "neurons": {name: group.size for name, group in network.neurons.items()},
        "connections": connections,
        "seed": seed,
    }
    return meta, arrays


def decode(meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Network:
    """Return the network that :func:`encode` wrote."""
    groups = {
        name: Neurons(size, **{key: arrays[f"{key}:{name}"] for key in NUMBERS})
        for name, size in meta["neurons"].items()
    }
    denses = [
        Dense(
            c["source"],
            c["target"],
            arrays[f"weights:{index}"],
            c["exponent"],
            c["bits"],
            c["sign_mode"],
            arrays[f"delays:{index}"],
            None if c["learning"] is None else _rule_of(c["learning"]),
        )
        for index, c in enumerate(meta["connections"])
    ]
    return Network(meta["inputs"], groups, denses)


def _rule(rule: LearningRule | Pes) -> dict[str, Any]:
    if isinstance(rule, Pes):
        return {"pes": asdict(rule)}
    traces = {
        f"{name}{k + 1}_{key}": getattr(trace, key)
        for name, group in (("x", rule.x), ("y", rule.y))
        for k, trace in enumerate(group)
        for key in ("impulse", "tau")
    }
    equations = {target: rule.text(target) for target in TARGETS}
    more = {"t_epoch": rule.epoch, "rng_seed": rule.seed, "rule": asdict(rule), "text": text(rule)}
    return traces | equations | more


def _rule_of(given: dict[str, Any]) -> LearningRule | Pes:
    if "pes" in given:
        return Pes(**given["pes"] | {"trace": Trace(**given["pes"]["trace"])})
    values = given["rule"]
    products = {
        target: tuple(
            Product(**p | {"factors": tuple(Factor(**f) for f in p["factors"])})
            for p in values[target]
        )
        for target in TARGETS
    }
    traces = {name: tuple(Trace(**t) for t in values[name]) for name in ("x", "y")}
    return LearningRule(**values | products | traces)


def joined(groups: dict[str, NDArray[Any]] | None) -> NDArray[Any]:
    """Return a recording's groups side by side."""
    assert groups is not None
    return np.concatenate(list(groups.values()), axis=1)


def differing_bits(ours: Recording, theirs: dict[str, NDArray[Any]]) -> int:
    """Return in how many bits spikes, currents and voltages of all steps differ."""
    wrong = 0
    for name in ("spikes", "u", "v"):
        a = np.ascontiguousarray(joined(getattr(ours, name)))
        b = np.ascontiguousarray(theirs[name]).astype(a.dtype)
        if not np.array_equal(a, b):
            wrong += int(np.bitwise_count((a ^ b).view(np.uint8)).sum())
    return wrong


def left_by_learning(state: Any) -> NDArray[np.int64]:
    """Return weights, and what else a rule has changed, flat, in the order of the peers."""
    match state:
        case Plasticity():
            parts = (state.weights.T, state.tag_1.T, state.tag_2.T, state.x, state.y)
        case PesState():
            parts = (state.weights, state.trace)
        case SynapticState():
            parts = (state.mantissas, state.weights, state.traces)
        case _:
            raise KuwaError(f"a connection learns with {type(state).__name__}; no peer has it")
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.int64)


def learnt(
    emulator: Emulator, raster: NDArray[np.uint8], errors: Mapping[int, NDArray[Any]] | None = None
) -> tuple[Recording, dict[str, NDArray[np.int64]]]:
    """Run step by step; return what happened and ``learning:…`` of every step, as a peer does.

    Args:
        raster, errors: as in :meth:`Peer.run`.
    """
    rows: dict[str, list[NDArray[Any]]] = {f"learning:{index}": [] for index in emulator.learning}
    names = list(emulator.network.neurons)
    parts: dict[str, dict[str, list[NDArray[Any]]]] = {
        what: {name: [] for name in names} for what in ("spikes", "u", "v")
    }
    for t, spikes in enumerate(raster):
        for index, given in (errors or {}).items():
            emulator.set_error(index, given[t])
        for name in emulator.network.inputs:
            emulator.set(name, spikes[emulator.span(name)])
        emulator.step()
        for index, state in emulator.learning.items():
            rows[f"learning:{index}"].append(left_by_learning(state))
        for what, groups in parts.items():
            for name in names:
                groups[name].append(emulator.get(name, what).copy())
    recorded = {
        what: {name: np.array(kept) for name, kept in groups.items()}
        for what, groups in parts.items()
    }
    return Recording(**recorded), {key: np.array(kept) for key, kept in rows.items()}
