"""NIR graphs in Kuwa and in two peers; writes tests/unit/data/nir.npz, what the peers answer.

    KUWA_PEERS_NORSE=/path/to/python KUWA_PEERS_SNNTORCH=/path/to/python \\
        ./kuwa exec python benchmarks/peers/nir_exchange.py
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.decoders import random_decoders
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.nir_io import files
from kuwa_policies.nir_io.ebn import ebn_network
from kuwa_policies.nir_io.network import (
    Population,
    Projection,
    SpikingNetwork,
    lif,
    simulate,
)

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "tests" / "unit" / "data" / "nir.npz"
PEERS = ("norse", "snntorch")
DT = 1e-3
Case = tuple[SpikingNetwork, dict[str, NDArray[np.float64]]]


def interpreter(peer: str) -> str | None:
    """Return the Python that has a peer, None where there is none."""
    given = os.environ.get(f"KUWA_PEERS_{peer.upper()}")
    if given:
        return given
    return sys.executable if importlib.util.find_spec(peer) else None


def ask(peer: str, case: Case) -> dict[str, NDArray[np.float64]]:
    """Return what a peer makes of a network; see nir_walk.py."""
    python = interpreter(peer)
    if python is None:
        raise KuwaError(
            f"peer {peer} is not installed; see docs/how-to/exchange-networks-with-nir.md"
        )
    network, inputs = case
    with tempfile.TemporaryDirectory() as folder:
        graph, given, answer = (Path(folder) / name for name in ("g.nir", "in.npz", "out.npz"))
        files.write(network, graph)
        np.savez(given, **inputs)
        script = Path(__file__).with_name(f"nir_{peer}.py")
        done = subprocess.run(
            [python, str(script), str(graph), str(given), str(answer)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise KuwaError(f"peer {peer} failed: {done.stderr[-500:]}")
        return dict(np.load(answer))


def cases() -> dict[str, Case]:
    """Return the networks that are compared."""
    rng = np.random.default_rng(7)
    plain = SpikingNetwork(
        DT, {"in": 6}, {"a": lif(np.full(10, 0.02), np.ones(10))},
        [Projection("in", "a", rng.normal(0.6, 1.0, (10, 6)))], {"out": "a"},
    )  # fmt: skip
    several = SpikingNetwork(
        DT, {"in": 6},
        {
            "a": lif(rng.uniform(0.01, 0.05, 12), rng.uniform(0.5, 1.5, 12),
                     rng.uniform(0.5, 3.0, 12), v_reset=rng.uniform(-0.5, 0.2, 12),
                     v_leak=rng.uniform(-0.2, 0.2, 12)),
            "b": lif(np.full(8, 0.03), np.full(8, 0.4), 8.0, "subtract"),
        },
        [
            Projection("in", "a", rng.normal(0.3, 0.8, (12, 6)), rng.uniform(0.0, 0.5, 12)),
            Projection("a", "b", rng.normal(0.1, 0.3, (8, 12))),
        ],
        {"out": "b"},
    )  # fmt: skip
    n = np.ones(10)
    cuba = Population(
        "CubaLIF", rng.uniform(0.01, 0.04, 10), 2.0 * n, 0.1 * n, n, -0.2 * n,
        rng.uniform(0.004, 0.02, 10), rng.uniform(0.5, 1.5, 10),
    )  # fmt: skip
    recurrent = SpikingNetwork(
        DT, {"in": 6}, {"a": cuba},
        [
            Projection("in", "a", rng.normal(0.5, 0.8, (10, 6))),
            Projection("a", "a", rng.normal(-1.0, 2.0, (10, 10))),
        ],
        {"out": "a"},
    )  # fmt: skip
    t = np.arange(500) * DT
    waves = np.sin(2 * np.pi * rng.uniform(1.0, 8.0, 6) * t[:, None] + rng.uniform(0.0, 6.0, 6))
    norm = 0.1
    p = EbnParameters(
        random_decoders(2, 20, norm, 0), nu=2 * norm**2, mu=0.5 * norm**2, noise=0.0, dt=DT
    )
    net = Ebn(p)
    x = np.stack([0.9 * np.sin(9 * t), 0.9 * np.sin(5 * t)], axis=1)
    drive = {"drive": np.gradient(x, DT, axis=0) + p.leak * x}
    return {
        "lif": (plain, {"in": waves}),
        "layers": (several, {"in": waves}),
        "cuba": (recurrent, {"in": waves}),
        "ebn": (ebn_network(net), drive),
        "ebn_value": (ebn_network(net, "value"), drive),
    }


def main() -> None:
    """Ask every peer for every network, compare, and keep the answers."""
    kept: dict[str, NDArray[np.uint8]] = {}
    for name, case in cases().items():
        network, inputs = case
        ours = simulate(network, inputs)
        for peer in PEERS:
            theirs = ask(peer, case)
            for population, kind in ((k, p.kind) for k, p in network.populations.items()):
                a, b = ours[population], theirs[population]
                if kind == "LI":
                    print(f"{name:10} {peer:9} {population:8} largest difference "
                          f"{np.abs(a - b).max():.1e}")  # fmt: skip
                    continue
                kept[f"{name}/{population}/{peer}"] = np.packbits(b.astype(bool))
                print(f"{name:10} {peer:9} {population:8} {int(a.sum())} spikes, "
                      f"{int((a != b).sum())} differ")  # fmt: skip
            if "native" in theirs:
                out = next(iter(network.outputs.values()))
                native = theirs["native"]
                print(f"{name:10} {peer:9} its own importer, defaults: {int(native.sum())} spikes, "
                      f"{int((native != ours[out]).sum())} differ")  # fmt: skip
            else:
                print(f"{name:10} {peer:9} its own importer: {theirs['native_error']}")
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(TARGET, **kept)
    print(f"wrote {TARGET.relative_to(ROOT)}, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
