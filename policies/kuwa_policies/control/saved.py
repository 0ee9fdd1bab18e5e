"""What a controller has learnt, as a file: whole or not there, and refused where it does not fit.

A file is an ``.npz`` without pickle: arrays, and a header of what must be equal in the controller
that takes them (kind, machine, joints, sizes …). A controller whose network is drawn from a seed
writes it as ``seed``, so that the same network can be drawn again, whatever the seed of the run.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Learner
from kuwa_machines.errors import KuwaError

FORMAT = 1
"""Counts up when a file changes in a way that older readers would misread."""
HEADER = "header"
MAX_BYTES = 100_000_000
"""A larger file is refused."""

Header = Mapping[str, Any]
"""Numbers, texts and lists of them."""
Arrays = Mapping[str, NDArray[Any]]


def keep(controller: Learner, path: Path) -> None:
    """Save what a controller has learnt; a file that is there is replaced as a whole or kept.

    Raises:
        KuwaError: it cannot be written, or is not finite.
    """
    partial = path.with_name(f".{path.stem}.partial.npz")
    try:
        controller.save(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise KuwaError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def write_state(path: Path, header: Header, arrays: Arrays) -> None:
    """Write a header and arrays; for a controller's ``save``.

    Raises:
        KuwaError: an array has values that are not finite.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise KuwaError(f"{path}: {name} has values that are not finite; not saved")
    text = json.dumps({"format": FORMAT, **header}, allow_nan=False)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{HEADER: np.array(text)}, **arrays)


def seed_of(path: Path) -> int | None:
    """Return the ``seed`` in the header of a file, from which its network was drawn, or None.

    Raises:
        KuwaError: the file is no saved state.
    """
    seed = _open(path)[0].get("seed")
    return seed if isinstance(seed, int) else None


def read_state(path: Path, header: Header, like: Arrays) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file after checking that they fit; for a controller's ``restore``.

    Args:
        header: what the file's must be, key by key.
        like: arrays of the shapes that the file's must have.

    Raises:
        KuwaError: naming the field that differs, what it is and what it would have to be.
    """
    found, arrays = _open(path)
    wanted = json.loads(json.dumps({"format": FORMAT, **header}))
    for key, value in wanted.items():
        if key not in found or found[key] != value:
            was = repr(found[key]) if key in found else "missing"
            raise KuwaError(f"{path}: {key} is {was}; this controller needs {value!r}")
    for name, array in like.items():
        if name not in arrays:
            raise KuwaError(f"{path}: {name} is missing; it holds {', '.join(sorted(arrays))}")
        saved = arrays[name]
        if saved.shape != array.shape or saved.dtype.kind != array.dtype.kind:
            raise KuwaError(
                f"{path}: {name} is {saved.dtype} of shape {saved.shape}; this controller needs "
                f"{array.dtype} of shape {array.shape}"
            )
        if not np.isfinite(saved).all():
            raise KuwaError(f"{path}: {name} has values that are not finite")
    return {name: arrays[name] for name in like}


def _open(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise KuwaError(f"{path}: larger than {MAX_BYTES} bytes; no saved controller is")
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file[HEADER]))
            arrays = {name: file[name] for name in file.files if name != HEADER}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise KuwaError(f"{path} is no saved state of a controller: {error}") from None
    return (header if isinstance(header, dict) else {}), arrays
