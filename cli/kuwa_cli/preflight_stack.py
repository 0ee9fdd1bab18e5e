"""The smallest stack in which a preflight runs: robot, safety and supervisor."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kuwa_bringup.stack import NodeSpec, stack
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.loader import load_machine

NODES: Final = ("robot", "safety")
EMULATED: Final = {"opera": ("opera_machine", "/opera")}
"""Kinds with an emulated machine: its executable, and above which namespace it lives."""
SCENARIOS: Final = {
    "excavator": "dig_trench", "bulldozer": "level_pad", "crawler dump": "haul_dump",
    "tractor": "plough_straight",
}  # fmt: skip
"""In which a simulated machine of each kind stands ready."""


def minimal_stack(
    machine: str, robot: str, bus: str, emulated: bool, scenario: str, seed: int,
    namespace: str, parameters: str, key_file: str,
) -> tuple[NodeSpec, ...]:  # fmt: skip
    """Return the nodes, an emulated machine first where one was asked for.

    Raises:
        KuwaError: the kind has no emulated machine.
    """
    kind = load_machine(machine).kind
    if load_machine(machine).tool.type == "sprayer_boom":
        kind = "sprayer"
    chosen = scenario or SCENARIOS.get(kind, "spray_rough")
    specs = stack(
        machine, robot, chosen, seed, planner="", auto_arm=False, namespace=namespace,
        parameters={machine: parameters} if parameters else None, key_file=key_file,
    )  # fmt: skip
    few = [spec for spec in specs if spec.name in NODES]
    first: tuple[NodeSpec, ...] = ()
    if emulated:
        if robot not in EMULATED:
            raise KuwaError(f"no emulated machine for {robot!r}; {choices(robot, EMULATED)}")
        executable, above = EMULATED[robot]
        place = f"{above}/{machine}"
        bus = f"namespace={place} patience=60 {bus}".strip()
        first = (
            NodeSpec(
                "kuwa_robot", executable, "machine", place,
                {"machine": machine, "parameters": parameters, "scenario": chosen, "seed": seed},
                lifecycle=False,
            ),
        )  # fmt: skip
    few = [
        replace(spec, parameters=spec.parameters | {"bus": bus})
        if spec.name == "robot" and bus
        else spec
        for spec in few
    ]
    supervisor = replace(specs[-1], parameters=specs[-1].parameters | {"nodes": NODES})
    return (*first, *few, supervisor)
