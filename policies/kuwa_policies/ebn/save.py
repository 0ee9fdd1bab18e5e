"""What a network has learnt, as a file; see :mod:`kuwa_policies.statefile`.

A file says which network it belongs to by its sizes and a hash of D, M and θ. Any back end takes
what another has learnt, as far as its weights can hold it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.fixed_kernel import HALF_TAG, TAG_BITS
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.statefile import check_header, open_state, whole, write_state

WEIGHTS, TAGS = "Omega_s", "tag"


class Learnt(Protocol):
    """A network of any back end that holds one set of weights."""

    p: EbnParameters
    Omega_s: Any
    weight_unit: float


def fingerprint(p: EbnParameters) -> str:
    """Return a hash of what was drawn: decoders, dendrites, offsets."""
    digest = hashlib.sha256()
    for array in (p.D, p.M, p.theta):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array, "<f8").tobytes())
    return digest.hexdigest()


def header(p: EbnParameters) -> dict[str, Any]:
    """Return what must be equal in the network that takes the weights."""
    return {
        "signals": p.signals,
        "neurons": p.neurons,
        "dendrites": p.dendrites,
        "drawn": fingerprint(p),
    }


def learnt(network: Learnt) -> dict[str, NDArray[Any]]:
    """Return the arrays that learning changes, themselves: integers have their tags besides."""
    arrays = {WEIGHTS: np.asarray(network.Omega_s)}
    tags = getattr(network, TAGS, None)
    return arrays if tags is None else arrays | {TAGS: tags}


def save(path: Path, network: Learnt) -> None:
    """Write the weights; a file that is there is replaced as a whole or kept.

    Raises:
        KuwaError: the weights are not finite, or the file cannot be written.
    """
    own = header(network.p) | {"weight_unit": network.weight_unit}
    with whole(path) as partial:
        write_state(partial, own, learnt(network))


def restore(path: Path, network: Learnt) -> None:
    """Take up weights from a file.

    Raises:
        KuwaError: it cannot be read, is of another network, or holds weights that this one cannot;
            nothing is changed then.
    """
    found, arrays = open_state(path)
    check_header(path, found, header(network.p), "network")
    weights = arrays.get(WEIGHTS, np.zeros(0))
    shape = (network.p.dendrites, network.p.neurons)
    if weights.shape != shape:
        raise KuwaError(f"{path}: {WEIGHTS} has shape {weights.shape}; expected {shape}")
    if weights.dtype.kind not in "fi" or not np.isfinite(weights).all():
        raise KuwaError(f"{path}: {WEIGHTS} has values that are not finite")
    unit = found.get("weight_unit")
    if not (isinstance(unit, float) and np.isfinite(unit) and unit > 0.0):
        raise KuwaError(f"{path}: weight_unit is {unit!r}; expected a number above 0")
    target = np.asarray(network.Omega_s)
    ratio = unit / network.weight_unit
    # Integers keep what lies between two of their steps in a tag, which holds while it agrees.
    full = weights * ratio * 2**TAG_BITS
    saved = arrays.get(TAGS, np.zeros(0))
    if saved.shape == shape and saved.dtype.kind == "i":
        agrees = (saved.astype(np.int64) + HALF_TAG) >> TAG_BITS == weights
        full = np.where(agrees, saved * ratio, full)
    if target.dtype.kind == "i":
        full = np.rint(full).astype(np.int64)
        step = network.weight_unit / 2**TAG_BITS
        weights = (full + HALF_TAG) >> TAG_BITS
        most = np.iinfo(target.dtype).max
        if np.abs(weights).max(initial=0) > most:
            raise KuwaError(
                f"{path}: {WEIGHTS} reaches {np.abs(full).max() * step:g}; "
                f"expected at most {most * network.weight_unit:g}, the bound of this network"
            )
    else:
        weights = weights * ratio if ratio != 1.0 else weights
        # Rounding of a precision may have lifted a weight at the bound.
        if np.abs(weights).max(initial=0.0) > network.p.w_max * (1.0 + 1e-6):
            raise KuwaError(
                f"{path}: {WEIGHTS} reaches {np.abs(weights).max():g}; expected at most "
                f"{network.p.w_max:g}, the bound of this network"
            )
    network.Omega_s[:] = weights.astype(target.dtype)
    tags = getattr(network, TAGS, None)
    if tags is not None:
        tags[:] = full
