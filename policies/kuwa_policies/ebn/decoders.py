"""How decoders and dendrites are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError

BALANCED_MU = 0.2
"""μ, as a share of |D|², and noise that make neurons as irregular as in cortex (ISI CV about 1) and
share the work, at a few spikes a second each. Without μ the few neurons that fit best spike in
bursts, and noise makes opposite ones spike against each other; docs/explanation/ebn.md has curves.
"""
BALANCED_NOISE = 0.2


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


def with_constant(D: Array, share: float) -> Array:
    """Return decoders of one more signal, which every neuron raises: shape (J + 1, N).

    A constant of it, c = λ·constant, keeps neurons at work while the other signals rest. Opposite
    neurons are then no longer opposite.

    Args:
        share: of the old length, the size of the new component.
    """
    length = np.linalg.norm(D, axis=0)
    grown = np.vstack([D, share * length])
    return grown * (length / np.linalg.norm(grown, axis=0))


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
