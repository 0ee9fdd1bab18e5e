"""What the peers have answered, and the peers themselves where they are installed."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "data" / "emulator.npz"
# The folder of the peers is not installed.
sys.path.insert(0, str(ROOT / "benchmarks"))
from peers import random_networks  # noqa: E402
from peers.client import Peer, decode, differing_bits, interpreter, learnt  # noqa: E402

__all__ = [
    "GOLDEN",
    "Peer",
    "decode",
    "differing_bits",
    "golden",
    "interpreter",
    "learnt",
    "random_networks",
]


def golden() -> tuple[dict[str, Any], dict[str, dict[str, dict[str, np.ndarray]]]]:
    """Return (meta, arrays by case, then "given" or "answer", then name)."""
    cases: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    with np.load(GOLDEN, allow_pickle=False) as file:
        meta, data = json.loads(file["meta"].tobytes()), file["data"].tobytes()
    start = 0
    for key, (kind, shape) in meta["arrays"].items():
        array = np.frombuffer(data, kind, math.prod(shape), start).reshape(shape)
        start += array.nbytes
        profile, case, part, name = key.split("/")
        cases.setdefault(f"{profile}/{case}", {"given": {}, "answer": {}})
        cases[f"{profile}/{case}"][part][name] = array
    return meta, cases
