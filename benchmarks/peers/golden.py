"""Writes tests/unit/data/emulator.npz: what the peers answer to some networks, with their versions.

    KUWA_PEERS_LAVA=… KUWA_PEERS_NENGO_LOIHI=… KUWA_PEERS_BRIAN2_LOIHI=… \\
        .venv/bin/python benchmarks/peers/golden.py

The tests compare the emulator with it, so that they need no peer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from kuwa_policies.emulator.profiles import PROFILES, Profile  # noqa: E402
from peers import random_networks  # noqa: E402
from peers.client import Peer, encode  # noqa: E402

TARGET = ROOT / "tests" / "unit" / "data" / "emulator.npz"
CASES = 3
RULES = {"lava": 6, "nengo-loihi": 4, "brian2-loihi": 6}
SEED = 5
MODEL = "nengo-loihi/learning_model"
QUESTION = {"seed": 1, "neurons": 20, "learning_rate": 2e-4, "tau": 0.005, "steps": 150}


def cases(profile: Profile) -> list[tuple[str, random_networks.Case, random_networks.Errors]]:
    """Return the networks that are asked for, a name for each, with errors that they learn from."""
    found: list[tuple[str, random_networks.Case, random_networks.Errors]] = []
    for seed in range(CASES):
        rng = np.random.default_rng(1000 + seed)
        case = random_networks.network(rng, profile, 9, (11, 13), 40, delays=seed % 2 == 1)
        found.append((f"{profile.name}/{seed}", case, {}))
    for seed in range(RULES[profile.name]):
        rng = np.random.default_rng(2000 + seed)
        sizes = {"epochs": (6, 5), "pes": (4, 2), "synapses": (4, 3)}[profile.learning]
        found.append(
            (
                f"{profile.name}/learning{seed}",
                *random_networks.any_learning(rng, profile, sizes, 40),
            )
        )
    return found


def main() -> None:
    """Ask every peer and write the file."""
    arrays: dict[str, NDArray[Any]] = {}
    meta: dict[str, Any] = {"versions": {}, "cases": {}, "model": QUESTION}
    for profile in PROFILES.values():
        with Peer(profile.name) as peer:
            meta["versions"][profile.name] = peer.ask({"question": "versions"})[0]
            for name, (network, raster, u, v), errors in cases(profile):
                answers = peer.run(network, raster, u, v, errors=errors, seed=SEED)
                described, given = encode(network, raster, u, v, errors, SEED)
                meta["cases"][name] = described
                for key, array in given.items():
                    arrays[f"{name}/given/{key}"] = _small(array)
                for key, array in answers.items():
                    arrays[f"{name}/answer/{key}"] = _small(array)
    with Peer("nengo-loihi") as peer:
        meta["cases"][MODEL], answers = peer.ask({"question": "model", **QUESTION})
        arrays |= {f"{MODEL}/{key}": _small(array) for key, array in answers.items()}
    # One array of bytes: hundreds of small ones would be twice as large, by their headers.
    meta["arrays"] = {key: (array.dtype.str, array.shape) for key, array in arrays.items()}
    data = np.frombuffer(b"".join(array.tobytes() for array in arrays.values()), np.uint8)
    TARGET.parent.mkdir(exist_ok=True)
    described = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez_compressed(TARGET, meta=described, data=data)
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size / 1000:.0f} kB")


def _small(array: NDArray[Any]) -> NDArray[Any]:
    """Return integers in the smallest type that holds them."""
    for kind in (np.uint8, np.int8, np.int16, np.int32):
        if np.array_equal(array.astype(kind), array):
            return array.astype(kind)
    return array


if __name__ == "__main__":
    main()
