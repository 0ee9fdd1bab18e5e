"""Where what must outlive a stack is kept: the latch of a stop, preflight records, black boxes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuwa_bringup.stack import SIMULATED
from kuwa_machines.errors import KuwaError


class StateFolderError(KuwaError):
    """The folder cannot be used."""


@dataclass(frozen=True)
class StateFolder:
    """One machine's.

    Args:
        path: absolute.
    """

    path: Path

    @property
    def latch(self) -> Path:
        """The stop that holds over a restart."""
        return self.path / "stopped.json"

    @property
    def preflight(self) -> Path:
        """The newest record of a preflight that passed."""
        return self.path / "preflight.json"

    @property
    def blackbox(self) -> Path:
        """The black boxes."""
        return self.path / "blackbox"

    @property
    def logs(self) -> Path:
        """One log file a node."""
        return self.path / "logs"

    def parameters(self, namespace: str, robot: str, preflight: Path | None) -> dict[str, Any]:
        """Return what a real machine's :func:`~kuwa_bringup.stack.stack` takes to keep things here.

        Args:
            namespace: of the stack. robot: kind. preflight: another record than the newest.
        """
        record = preflight or self.preflight
        return {
            "controller_states_out": {namespace: str(self.path / "controller.npz")},
            "latch_file": str(self.latch),
            "blackbox": str(self.blackbox),
            "preflight": "" if robot in SIMULATED else str(record.absolute()),
        }


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
    """Return a machine's folder, made if it is not there.

    It is below ``given``, else below what systemd gives a service, else below the user's own
    folder for state (XDG Base Directory Specification).

    Raises:
        StateFolderError: it cannot be made or written.
    """
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    # Of several folders that systemd made, the first is meant.
    service = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    top = given or Path(service or Path(home) / "kuwa")
    path = top.expanduser().absolute() / machine
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise StateFolderError(
            f"{path}: cannot be made: {error.strerror}; give another folder with --state"
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise StateFolderError(f"{path}: cannot be written; give another folder with --state")
    return StateFolder(path)
