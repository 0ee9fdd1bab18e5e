"""The policy for SROS 2 against what the running nodes really write, read, serve and ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from kuwa_bringup.permissions import policy
from kuwa_machines.loader import load_machine
from stack_rig import MACHINE, mock_stack, running

pytestmark = pytest.mark.ros
WHAT = {
    ("topics", "publish"): "get_publisher_names_and_types_by_node",
    ("topics", "subscribe"): "get_subscriber_names_and_types_by_node",
    ("services", "reply"): "get_service_names_and_types_by_node",
    ("services", "request"): "get_client_names_and_types_by_node",
}


def _full(name: str, node: str) -> str:
    if name.startswith("/"):
        return name
    return f"/{MACHINE}/{node}/{name[2:]}" if name.startswith("~/") else f"/{MACHINE}/{name}"


def _allowed(root: ET.Element, node: str, group: str, rule: str) -> set[str]:
    profile = next(p for p in root.iter("profile") if p.get("node") == node)
    return {
        _full(str(item.text), node)
        for part in profile.findall(group)
        if part.get(rule) == "ALLOW"
        for item in part
    }


def test_every_node_may_do_what_it_does_and_only_one_commands(tmp_path: Path) -> None:
    specs = mock_stack(blackbox=str(tmp_path / "box"), console={"port": 0, "scene": False})
    cameras = tuple(load_machine(MACHINE).sensors.cameras)
    root = ET.fromstring(policy(specs, cameras).split("\n", 1)[1])
    with running(specs, tmp_path / "logs") as rig:
        for spec in specs:
            for (group, rule), ask in WHAT.items():
                getter: Any = getattr(rig.probe.node, ask)
                does = {name for name, _ in getter(spec.name, f"/{MACHINE}")}
                beyond = does - _allowed(root, spec.name, group, rule)
                assert not beyond, f"{spec.name} {rule}: {sorted(beyond)}"
    writers = {
        spec.name
        for spec in specs
        if f"/{MACHINE}/joint_command/applied" in _allowed(root, spec.name, "topics", "publish")
    }
    assert writers == {"safety"}
