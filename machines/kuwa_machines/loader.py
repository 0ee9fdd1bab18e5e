"""Finding and reading machines: a folder with ``machine.yaml`` and the model it names."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from kuwa_machines.build import build_machine
from kuwa_machines.datafile import read_yaml
from kuwa_machines.errors import MachineError, choices
from kuwa_machines.spec import MachineSpec
from kuwa_machines.variant import extended

MACHINES_PATH = "KUWA_MACHINES_PATH"
"""Environment variable: folders with further machines, separated like PATH."""


def machine_folders() -> dict[str, Path]:
    """Return every machine's folder by name; a user's own folders win over the built-in ones."""
    roots = [Path(__file__).parents[1]]
    roots += [Path(entry) for entry in os.environ.get(MACHINES_PATH, "").split(os.pathsep) if entry]
    return {
        file.parent.name: file.parent
        for root in roots
        for file in sorted(root.glob("*/machine.yaml"))
    }


@cache
def load_machine(name: str) -> MachineSpec:
    """Load a machine by name.

    Raises:
        MachineError: naming the file, the key and the valid choices.
    """
    folders = machine_folders()
    if name not in folders:
        raise MachineError(f"no machine {name!r}; {choices(name, folders)}")
    return load_machine_file(folders[name] / "machine.yaml")


def load_machine_file(path: Path) -> MachineSpec:
    """Load and check one ``machine.yaml`` and the joints of its model."""
    raw = read_yaml(path, MachineError)
    if isinstance(raw, dict) and "extends" in raw:
        raw = extended(_base(path, raw), raw, path)
    spec = build_machine(raw, path, path.parent)
    if spec.name != path.parent.name:
        raise MachineError(
            f"{path}: name: {spec.name!r} must equal its folder {path.parent.name!r}"
        )
    return spec


def _base(path: Path, raw: dict[str, Any]) -> dict[str, Any]:
    """Return the data of the machine that the one at ``path`` extends."""
    name, folders = raw["extends"], machine_folders()
    if name not in folders:
        raise MachineError(f"{path}: extends: no machine {name!r}; {choices(str(name), folders)}")
    base = read_yaml(folders[name] / "machine.yaml", MachineError)
    if not isinstance(base, dict) or "extends" in base:
        raise MachineError(f"{path}: extends: {name!r} extends another itself; name that one")
    return base
