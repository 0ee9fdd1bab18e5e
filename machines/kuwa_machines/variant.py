"""A machine that is another one but for some of its data.

    extends: zx200
    name: zx200_nfc
    hydraulics: {type: negative_flow, ...}

Mappings are merged key by key; quantities, lists and texts take the place of the other machine's,
and so does a mapping whose ``type`` is another. Sources that nothing names any more are left out.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from kuwa_machines.datafile import quantities
from kuwa_machines.errors import MachineError


def extended(base: dict[str, Any], own: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the data of ``base`` with those of ``own`` in their place; neither changes.

    Raises:
        MachineError: a source of ``own`` says something else than that of ``base`` does.
    """
    for key, text in (own.get("sources") or {}).items():
        if base["sources"].get(key, text) != text:
            raise MachineError(
                f"{path}: sources: {key} says something else in {own['extends']}; "
                "give this one another name"
            )
    merged: dict[str, Any] = _merge(base, {k: v for k, v in own.items() if k != "extends"})
    used = {str(leaf["source"]) for _, leaf in quantities(merged)}
    merged["sources"] = {
        key: text
        for key, text in merged["sources"].items()
        if key in used or key in (own.get("sources") or {})
    }
    return merged


def _merge(base: Any, own: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(own, dict)) or "value" in own or "value" in base:
        return copy.deepcopy(own)
    if "type" in own and own["type"] != base.get("type"):
        return copy.deepcopy(own)
    merged = copy.deepcopy(base)
    for key, value in own.items():
        merged[key] = _merge(base[key], value) if key in base else copy.deepcopy(value)
    return merged
