"""What a network has learnt, as a file: an .npz without pickle, refused where it does not fit.

A file says which network it belongs to by its sizes and a hash of D, M and θ. Any back end takes
what another has learnt, as far as its weights can hold it.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.parameters import EbnParameters

VERSION = 1
HEADER, WEIGHTS = "header", "Omega_s"
FIELDS = ("version", "signals", "neurons", "dendrites", "drawn")
MAX_BYTES = 500_000_000


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
        "version": VERSION,
        "signals": p.signals,
        "neurons": p.neurons,
        "dendrites": p.dendrites,
        "drawn": fingerprint(p),
    }


def save(path: Path, network: Learnt) -> None:
    """Write the weights; a file that is there is replaced as a whole or kept.

    Raises:
        KuwaError: the weights are not finite, or the file cannot be written.
    """
    weights = np.asarray(network.Omega_s)
    if not np.isfinite(weights).all():
        raise KuwaError(f"{path}: {WEIGHTS} has values that are not finite; not saved")
    own = header(network.p) | {"weight_unit": network.weight_unit}
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, header=np.array(json.dumps(own)), Omega_s=weights)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise KuwaError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def restore(path: Path, network: Learnt) -> None:
    """Take up weights from a file.

    Raises:
        KuwaError: it cannot be read, is of another network, or holds weights that this one cannot;
            nothing is changed then.
    """
    saved, weights = _read(path)
    own = header(network.p)
    for field in FIELDS:
        if saved.get(field) != own[field]:
            raise KuwaError(
                f"{path}: {field} is {saved.get(field)!r}; expected {own[field]!r}: it was saved "
                f"by another network"
            )
    shape = (network.p.dendrites, network.p.neurons)
    if weights.shape != shape:
        raise KuwaError(f"{path}: {WEIGHTS} has shape {weights.shape}; expected {shape}")
    if not np.isfinite(weights).all():
        raise KuwaError(f"{path}: {WEIGHTS} has values that are not finite")
    unit = saved.get("weight_unit")
    if not (isinstance(unit, float) and np.isfinite(unit) and unit > 0.0):
        raise KuwaError(f"{path}: weight_unit is {unit!r}; expected a number above 0")
    target = np.asarray(network.Omega_s)
    if unit != network.weight_unit:
        weights = weights * (unit / network.weight_unit)
    if target.dtype.kind == "i":
        weights = np.rint(weights)
        most = np.iinfo(target.dtype).max
        if np.abs(weights).max(initial=0.0) > most:
            raise KuwaError(
                f"{path}: {WEIGHTS} reaches {np.abs(weights).max() * network.weight_unit:g}; "
                f"expected at most {most * network.weight_unit:g}, the bound of this network"
            )
    network.Omega_s[:] = weights.astype(target.dtype)


def _read(path: Path) -> tuple[dict[str, Any], NDArray[Any]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise KuwaError(f"{path}: {path.stat().st_size} bytes; expected at most {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as file:
            for name in (HEADER, WEIGHTS):
                if name not in file:
                    raise KuwaError(f"{path}: has no {name}; expected a saved network")
            saved, weights = json.loads(str(file[HEADER])), file[WEIGHTS]
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise KuwaError(f"{path}: cannot be read as a saved network: {error}") from None
    if not isinstance(saved, dict) or weights.dtype.kind not in "fi":
        raise KuwaError(f"{path}: is not a saved network")
    return saved, weights
