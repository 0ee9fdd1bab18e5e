"""Numbers that take the place of a machine's own: what was identified, what a wear test assumes.

An overlay is a YAML file with the machine's name, sources of its own, and quantities at the places
where ``machine.yaml`` has them. A quantity may carry its 95 % ``interval`` in its unit:

    machine: zx200
    sources: {identified: "identified from log.npz (sha256 1f…), 2026-03-01"}
    joints:
      boom_joint:
        drive:
          valve:
            dead_time: {value: 652, unit: ms, source: identified, interval: [649, 655]}
    not_identified: {boom_joint.curve: "2 levels of command; 3 are needed"}

``not_identified`` is for people; nothing is read from it.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

from kuwa_machines.build import build_machine
from kuwa_machines.datafile import read_yaml
from kuwa_machines.errors import MachineError, choices
from kuwa_machines.loader import load_machine, machine_folders
from kuwa_machines.spec import MachineSpec

OWN_KEYS = ("machine", "sources", "not_identified")


def load_machine_with(name: str, overlay: Path) -> MachineSpec:
    """Load a machine by name with the numbers of an overlay in place of its own.

    Raises:
        MachineError: naming the overlay, the key, the value and what would have been right. The
            machine without the overlay stays as it was.
    """
    plain = load_machine(name)
    base = plain.raw
    over = read_yaml(overlay, MachineError)
    if not isinstance(over, dict):
        raise MachineError(f"{overlay}: expected a mapping of keys, found {type(over).__name__}")
    if over.get("machine") != name:
        raise MachineError(
            f"{overlay}: machine: {over.get('machine')!r}; this is asked to be {name!r} "
            f"(machines: {', '.join(sorted(machine_folders()))})"
        )
    sources = over.get("sources", {})
    if not isinstance(sources, dict) or not all(isinstance(s, str) for s in sources.values()):
        raise MachineError(f"{overlay}: sources: expected a mapping from keys to texts")
    _check_notes(overlay, over.get("not_identified", {}))
    merged = copy.deepcopy(base)
    for key, value in over.items():
        if key not in OWN_KEYS:
            _replace(overlay, merged, str(key), value, "", sources)
    # An overlay's source may have a name that the machine uses for another.
    merged["sources"] = {**base["sources"], **{_own(key): text for key, text in sources.items()}}
    return build_machine(merged, overlay, plain.folder)


def machine_named_in(overlay: Path) -> str:
    """Return the machine that an overlay is for.

    Raises:
        MachineError: it is no overlay.
    """
    over = read_yaml(overlay, MachineError)
    if not isinstance(over, dict) or not isinstance(over.get("machine"), str):
        raise MachineError(f"{overlay}: machine: this key is missing; it names a machine")
    return str(over["machine"])


def load_machine_as(name: str, parameters: str = "") -> MachineSpec:
    """Load a machine by name, with the numbers of a file in place of its own unless it is empty.

    Raises:
        MachineError: see :func:`load_machine_with`.
    """
    return load_machine_with(name, Path(parameters)) if parameters else load_machine(name)


def _own(source: str) -> str:
    return f"overlay.{source}"


def _replace(
    path: Path, base: dict[str, Any], key: str, value: Any, above: str, sources: dict[str, str]
) -> None:
    """Put ``value`` in the place of ``base[key]``, down to the quantities."""
    where = f"{above}.{key}" if above else key
    if key not in base:
        valid = [k for k in base if above or k not in ("name", "title", "kind", "model", "sources")]
        raise MachineError(f"{path}: {where}: unknown key; {choices(key, map(str, valid))}")
    if _is_quantity(base[key]):
        base[key] = _quantity(path, where, value, sources)
        return
    if not isinstance(base[key], dict):
        raise MachineError(
            f"{path}: {where}: {base[key]!r} is no quantity; an overlay replaces quantities only"
        )
    if not isinstance(value, dict) or _is_quantity(value):
        raise MachineError(
            f"{path}: {where}: expected a mapping with keys of {', '.join(map(str, base[key]))}"
        )
    for inner, below in value.items():
        _replace(path, base[key], str(inner), below, where, sources)


def _is_quantity(value: Any) -> bool:
    return isinstance(value, dict) and "value" in value


def _quantity(path: Path, where: str, value: Any, sources: dict[str, str]) -> dict[str, Any]:
    """Return the quantity as machine files have it; its interval is checked and left out."""
    if not _is_quantity(value):
        raise MachineError(
            f"{path}: {where}: {value!r} is no quantity; write {{value: …, unit: …, source: …}}"
        )
    leaf = dict(value)
    interval = leaf.pop("interval", None)
    if interval is not None:
        ends = interval if isinstance(interval, list) and len(interval) == 2 else [None, None]
        low, high = (
            float(end) if isinstance(end, int | float) and not isinstance(end, bool) else math.nan
            for end in ends
        )
        if not low <= high:
            raise MachineError(
                f"{path}: {where}: interval {interval!r} must be two numbers, the lower first"
            )
    source = leaf.get("source")
    if source not in sources:
        raise MachineError(
            f"{path}: {where}: source {source!r} is not in this file's sources; "
            f"{choices(str(source), map(str, sources))}"
        )
    leaf["source"] = _own(str(source))
    return leaf


def _check_notes(path: Path, notes: Any) -> None:
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise MachineError(f"{path}: not_identified: expected a mapping from quantities to reasons")
