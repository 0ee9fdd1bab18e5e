"""Finding and reading machines: a folder with ``machine.yaml`` and the model it names."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path

import numpy as np

from kuwa_machines.datafile import load_data
from kuwa_machines.errors import MachineError, choices
from kuwa_machines.spec import CylinderDrive, MachineSpec

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
    spec = load_data(path, MachineSpec, MachineError)
    spec._folder = path.parent
    if spec.name != path.parent.name:
        raise MachineError(
            f"{path}: name: {spec.name!r} must equal its folder {path.parent.name!r}"
        )
    _check_model(path, spec)
    _check_linkages(path, spec)
    return spec


def _check_model(path: Path, spec: MachineSpec) -> None:
    if not spec.model_path.is_file():
        raise MachineError(f"{path}: model: no file {spec.model_path}")
    try:
        tree = ElementTree.parse(spec.model_path)
    except ElementTree.ParseError as exc:
        raise MachineError(f"{spec.model_path}: not valid XML: {exc}") from None
    for tag, wanted in (
        ("joint", [*spec.joints, *spec.passive_joints]),
        ("body", list(spec.links)),
    ):
        present = [element.get("name", "") for element in tree.iter(tag)]
        for name in wanted:
            if name not in present:
                valid = choices(name, filter(None, present))
                raise MachineError(f"{path}: {tag}s of {spec.model} lack {name!r}; {valid}")


def _check_linkages(path: Path, spec: MachineSpec) -> None:
    for name, joint in spec.joints.items():
        if isinstance(joint.drive, CylinderDrive):
            q = np.linspace(joint.position.min, joint.position.max, 181)
            length = joint.drive.linkage.length(q)
            where = f"{path}: joints.{name}.drive.linkage"
            if not np.all(np.isfinite(length)):
                bad = float(q[~np.isfinite(length)][0])
                raise MachineError(
                    f"{where}: the bars cannot meet at {bad:.3f} rad, inside the range"
                )
            if not (np.all(np.diff(length) > 0) or np.all(np.diff(length) < 0)):
                raise MachineError(f"{where}: passes a dead centre inside the joint's range")
