"""What the verbs of ``kuwa data`` share: opening sets, folders that appear whole, sizes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets import Dataset, layout


class DataError(KuwaError):
    """A data set cannot be used as asked, and why."""


def open_set(path: Path, empty: bool = False) -> Dataset:
    """Open a data set; a relative name below ``datasets`` is found too.

    Raises:
        KuwaError: there is none, or it has no episode and ``empty`` is not set.
    """
    folder = path.expanduser()
    if not folder.exists() and not folder.is_absolute() and (Path("datasets") / folder).is_dir():
        folder = Path("datasets") / folder
    if not folder.is_dir():
        raise DataError(f"{path}: there is no such folder")
    if not (folder / layout.INFO).is_file():
        raise DataError(f"{path}: no data set (it has no {layout.INFO})")
    found = Dataset(folder)
    if not found.episodes and not empty:
        raise DataError(f"{path}: the data set has no episode yet")
    return found


@contextmanager
def whole(out: Path, anew: bool = False) -> Iterator[Path]:
    """Give a place beside ``out``; what is made there gets its name when all went well.

    Args:
        anew: takes the place of a file that is there, which is kept until then.

    Raises:
        KuwaError: there is something already, or it cannot be written.
    """
    out = out.expanduser().absolute()
    if out.exists() and not (anew and out.is_file()):
        raise DataError(f"{out}: is there already; give a new name, so that nothing is overwritten")
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        os.replace(beside, out)
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Return how much a folder's files take [B]."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def need(folder: Path, size: float, what: str) -> None:
    """Refuse what the disk cannot hold.

    Args:
        folder: where it is to go, or above. size: of it [B].
    """
    place = folder.expanduser().absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if size * 1.05 > free:
        raise DataError(
            f"{folder}: {what} takes about {size / 1e6:.0f} MB and {free / 1e6:.0f} MB are free; "
            "make room, or give another disk"
        )
