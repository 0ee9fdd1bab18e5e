"""Reading ``.npz`` files of strangers: no pickle, and no more bytes than they may have."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError


def read_npz(
    path: Path, what: str, most_bytes: int, error: type[KuwaError] = KuwaError
) -> dict[str, NDArray[Any]]:
    """Return all arrays of a file.

    Args:
        what: the file should be, for people: ``"run log"``.
        most_bytes: that all arrays together may have once they are unpacked: a few kilobytes of
            zeros packed well would fill the memory.

    Raises:
        KuwaError: of the given class: there is no such file, it is something else, or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > most_bytes:
            raise error(f"{path}: {size} bytes unpacked; a {what} has at most {most_bytes}")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as problem:
        raise error(f"{path} is no {what}: {problem}") from None
    except (MemoryError, NotImplementedError, RuntimeError) as problem:
        # A header that lies about its shape, an unknown compression, an encrypted member.
        raise error(f"{path} is no {what}: {type(problem).__name__}: {problem}") from None
