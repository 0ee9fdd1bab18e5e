"""What was learnt, as a file: whole or not there, and refused where it does not fit.

A file is an ``.npz`` without pickle: arrays, and a header of what must be equal in whoever takes
them (machine, joints, sizes …). Networks (:mod:`kuwa_policies.ebn.save`) and controllers
(:mod:`kuwa_policies.control.saved`) both keep theirs like this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.atomic import put, sync_file
from kuwa_machines.errors import KuwaError
from kuwa_machines.npz import read_npz

FORMAT = 1
"""Counts up when a file changes in a way that older readers would misread."""
HEADER = "header"
MAX_BYTES = 500_000_000
"""A larger file is refused."""

Header = Mapping[str, Any]
"""Numbers, texts and lists of them."""
Arrays = Mapping[str, NDArray[Any]]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path to write to; what was written replaces ``path`` as a whole, or not at all.

    Raises:
        KuwaError: it cannot be written.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        sync_file(partial)
        put(partial, path)
    except OSError as error:
        raise KuwaError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def write_state(path: Path, header: Header, arrays: Arrays) -> None:
    """Write a header and arrays.

    Raises:
        KuwaError: an array has values that are not finite.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise KuwaError(f"{path}: {name} has values that are not finite; not saved")
    text = json.dumps({"format": FORMAT, **header}, allow_nan=False)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{HEADER: np.array(text)}, **arrays)


def read_state(
    path: Path, header: Header, like: Arrays, who: str = "controller"
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file after checking that they fit.

    Args:
        header: what the file's must be, key by key.
        like: arrays of the shapes that the file's must have.
        who: takes them, for messages.

    Raises:
        KuwaError: naming the field that differs, what it is and what it would have to be.
    """
    found, arrays = open_state(path)
    check_header(path, found, header, who)
    for name, array in like.items():
        if name not in arrays:
            raise KuwaError(f"{path}: {name} is missing; it holds {', '.join(sorted(arrays))}")
        saved = arrays[name]
        if saved.shape != array.shape or saved.dtype.kind != array.dtype.kind:
            raise KuwaError(
                f"{path}: {name} is {saved.dtype} of shape {saved.shape}; this {who} needs "
                f"{array.dtype} of shape {array.shape}"
            )
        if not np.isfinite(saved).all():
            raise KuwaError(f"{path}: {name} has values that are not finite")
    return {name: arrays[name] for name in like}


def check_header(path: Path, found: Header, header: Header, who: str) -> None:
    """Check that a header that was found is, key by key, the one that is needed.

    Raises:
        KuwaError: naming the field that differs.
    """
    wanted = json.loads(json.dumps({"format": FORMAT, **header}))
    for key, value in wanted.items():
        if key not in found or found[key] != value:
            was = repr(found[key]) if key in found else "missing"
            raise KuwaError(f"{path}: {key} is {was}; this {who} needs {value!r}")


def open_state(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays of a file, unchecked.

    Raises:
        KuwaError: it is none.
    """
    arrays = read_npz(path, "saved state", MAX_BYTES)
    try:
        header = json.loads(str(arrays.pop(HEADER)))
    except (KeyError, ValueError) as error:
        raise KuwaError(f"{path} is no saved state: {error}") from None
    return (header if isinstance(header, dict) else {}), arrays
