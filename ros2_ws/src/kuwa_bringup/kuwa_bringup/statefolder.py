"""Where what must outlive a stack is kept: the latch of a stop, preflight records, black boxes.

``kuwa up`` and ``ros2 launch`` keep it in the same folder: a stop under the one is a stop under the
other. As :mod:`kuwa_bringup.stack` it imports nothing but the standard library.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuwa_bringup.stack import SIMULATED


@dataclass(frozen=True)
class StateFolder:
    """One machine's.

    Args:
        path: absolute; its last part is the machine.
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

    def parameters(
        self, namespace: str, robot: str, preflight: Path | None = None
    ) -> dict[str, Any]:
        """Return what a real machine's :func:`~kuwa_bringup.stack.stack` takes to keep things here.

        Args:
            namespace: of the stack; another than the machine's name has a latch of its own.
            robot: kind. preflight: another record than the newest.
        """
        mark = "" if namespace == self.path.name else "-" + namespace.replace("/", "-")
        record = preflight or self.preflight
        return {
            "controller_states_out": {namespace: str(self.path / f"controller{mark}.npz")},
            "latch_file": str(self.latch.with_stem(self.latch.stem + mark)),
            "blackbox": str(self.blackbox),
            "preflight": "" if robot in SIMULATED else str(record.absolute()),
        }


def state_folder(
    machine: str, given: Path | None = None, environment: Mapping[str, str] = os.environ
) -> StateFolder:
    """Return a machine's folder, made if it is not there.

    It is below ``given``, else below what systemd gives a service, else below the user's own
    folder for state (XDG Base Directory Specification).

    Raises:
        OSError: it cannot be made or written, in words.
    """
    home = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    # Of several folders that systemd made, the first is meant.
    service = environment.get("STATE_DIRECTORY", "").split(":")[0]
    top = given or Path(service or Path(home) / "kuwa")
    path = top.expanduser().absolute() / machine
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise OSError(f"{path}: cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise OSError(f"{path}: cannot be written")
    return StateFolder(path)
