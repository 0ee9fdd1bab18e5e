"""How decoders and dendrites are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError


def random_decoders(signals: int, neurons: int, norm: float, seed: int) -> Array:
    """Return decoders that point in random directions, shape (J, N), each of length ``norm``.

    They come in opposite pairs, so that no direction is without neurons for long: with the greedy
    rule |u_iᵀ(x − x̂)| stays below about norm/2 for every direction u_i.
    """
    if neurons < 2 * signals:
        raise KuwaError(
            f"{neurons} neurons cannot carry {signals} signals; at least {2 * signals}: one for "
            f"each direction of each"
        )
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((signals, (neurons + 1) // 2))
    D = np.concatenate([half, -half], axis=1)[:, :neurons]
    return norm * D / np.linalg.norm(D, axis=0)


def random_dendrites(
    signals: int,
    groups: Sequence[Sequence[int]],
    each: int,
    seed: int,
    gain: float = 1.5,
    offset: float = 1.0,
) -> tuple[Array, Array]:
    """Return dendrites that each read a few signals: M, shape (K, J), and theta, shape (K,).

    Args:
        signals: J.
        groups: of signals that are read together; a dendrite weights those of one group at random.
        each: dendrites a group.
        gain: standard deviation of a dendrite's slope along its direction, per unit of signal.
        offset: its offsets are uniform in ± gain · offset.
    """
    rng = np.random.default_rng(seed)
    M = np.zeros((len(groups) * each, signals))
    for g, group in enumerate(groups):
        rows = slice(g * each, (g + 1) * each)
        w = rng.standard_normal((each, len(group)))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
        M[rows, list(group)] = gain * np.abs(rng.standard_normal((each, 1))) * w
    return M, gain * offset * rng.uniform(-1.0, 1.0, len(M))
