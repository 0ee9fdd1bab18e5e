"""From the parsed text of a machine to the machine, whoever wrote or changed that text."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_machines.datafile import parse_data, quantities
from kuwa_machines.errors import MachineError, choices
from kuwa_machines.spec import CylinderDrive, MachineSpec


def build_machine(raw: Any, where: Path | str, folder: Path) -> MachineSpec:
    """Return the machine that ``raw`` describes, checked against its model.

    Args:
        raw: mapping as in ``machine.yaml``; it is kept by the machine and must not change.
        where: whose text this is, for refusals. folder: the machine's own.

    Raises:
        MachineError: naming ``where``, the key, the value and what would have been right.
    """
    spec = parse_data(raw, where, MachineSpec, MachineError)
    spec._folder, spec._raw = folder, raw
    _check_model(where, spec)
    _check_linkages(where, spec)
    return spec


def scaled(spec: MachineSpec, factors: Mapping[str, float], where: str) -> MachineSpec:
    """Return the machine with some of its quantities multiplied; ``spec`` stays as it was.

    Args:
        factors: by the key of the quantity, as in ``joints.boom_joint.drive.leakage``. A vector is
            multiplied as a whole.
        where: why, for refusals.

    Raises:
        MachineError: no quantity has such a key, or what comes of it is no machine.
    """
    raw = copy.deepcopy(spec.raw)
    leaves = dict(quantities(raw))
    for key, factor in factors.items():
        if key not in leaves:
            raise MachineError(f"{where}: {spec.name} has no quantity {key!r}")
        value = leaves[key]["value"]
        leaves[key]["value"] = (
            [x * factor for x in value] if isinstance(value, list) else value * factor
        )
    return build_machine(raw, f"{where}: {spec.name}", spec.folder)


def _check_model(where: Path | str, spec: MachineSpec) -> None:
    if not spec.model_path.is_file():
        raise MachineError(f"{where}: model: no file {spec.model_path}")
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
                raise MachineError(f"{where}: {tag}s of {spec.model} lack {name!r}; {valid}")


def _check_linkages(where: Path | str, spec: MachineSpec) -> None:
    for name, joint in spec.joints.items():
        if isinstance(joint.drive, CylinderDrive):
            q = np.linspace(joint.position.min, joint.position.max, 181)
            length = joint.drive.linkage.length(q)
            key = f"{where}: joints.{name}.drive.linkage"
            if not np.all(np.isfinite(length)):
                bad = float(q[~np.isfinite(length)][0])
                raise MachineError(
                    f"{key}: the bars cannot meet at {bad:.3f} rad, inside the range"
                )
            if not (np.all(np.diff(length) > 0) or np.all(np.diff(length) < 0)):
                raise MachineError(f"{key}: passes a dead centre inside the joint's range")
