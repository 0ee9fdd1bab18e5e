"""Where what must outlive a stack is kept, and the files that a stack is given."""

from __future__ import annotations

from pathlib import Path

from kuwa_bringup import statefolder
from kuwa_bringup.statefolder import StateFolder
from kuwa_machines.errors import KuwaError


class StateFolderError(KuwaError):
    """The folder cannot be used."""


def given_files(**files: Path | None) -> dict[str, str]:
    """Return paths as a stack takes them, absolute; "" for one that is not given.

    Args:
        files: by the name of their option, with an underscore for a hyphen.

    Raises:
        KuwaError: there is no such file.
    """
    for name, path in files.items():
        if path is not None and not path.is_file():
            raise KuwaError(f"--{name.replace('_', '-')} {path}: there is no such file")
    return {name: "" if path is None else str(path.absolute()) for name, path in files.items()}


def state_folder(machine: str, given: Path | None = None) -> StateFolder:
    """Return a machine's folder, made if it is not there, as :mod:`kuwa_bringup.statefolder` does.

    Raises:
        StateFolderError: it cannot be made or written.
    """
    try:
        return statefolder.state_folder(machine, given)
    except OSError as error:
        raise StateFolderError(f"{error}; give another folder with --state") from None
