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
RULES = 6


def cases(profile: Profile) -> list[tuple[str, random_networks.Case]]:
    """Return the networks that are asked for, a name for each."""
    found = []
    for seed in range(CASES):
        rng = np.random.default_rng(1000 + seed)
        case = random_networks.network(rng, profile, 9, (11, 13), 40, delays=seed % 2 == 1)
        found.append((f"{profile.name}/{seed}", case))
    if profile.name == "lava":
        for seed in range(RULES):
            rng = np.random.default_rng(2000 + seed)
            found.append(
                (f"lava/learning{seed}", random_networks.learning(rng, profile, (6, 5), 40))
            )
    return found


def main() -> None:
    """Ask every peer and write the file."""
    arrays: dict[str, NDArray[Any]] = {}
    meta: dict[str, Any] = {"versions": {}, "cases": {}}
    for profile in PROFILES.values():
        with Peer(profile.name) as peer:
            meta["versions"][profile.name] = peer.ask({"question": "versions"})[0]
            for name, (network, raster, u, v) in cases(profile):
                answers = peer.run(network, raster, u, v)
                described, given = encode(network, raster, u, v)
                meta["cases"][name] = described
                for key, array in given.items():
                    arrays[f"{name}/given/{key}"] = _small(array)
                for key, array in answers.items():
                    arrays[f"{name}/answer/{key}"] = _small(array)
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(TARGET, **arrays)
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size / 1000:.0f} kB")


def _small(array: NDArray[Any]) -> NDArray[Any]:
    """Return integers in the smallest type that holds them."""
    for kind in (np.uint8, np.int8, np.int16, np.int32):
        if np.array_equal(array.astype(kind), array):
            return array.astype(kind)
    return array


if __name__ == "__main__":
    main()
