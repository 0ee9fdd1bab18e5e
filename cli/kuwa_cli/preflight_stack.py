"""The smallest stack in which a preflight runs: robot, safety and supervisor."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kuwa_bringup.stack import EMULATED, NodeSpec, stack
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.loader import load_machine

NODES: Final = ("robot", "safety")
SCENARIOS: Final = {
    "bucket": "dig_trench", "blade": "level_pad", "dump_body": "haul_dump",
    "plough": "plough_straight", "sprayer_boom": "spray_rough",
}  # fmt: skip
"""In which a simulated machine stands ready, by its tool."""


def minimal_stack(
    machine: str,
    robot: str,
    bus: str = "",
    emulated: bool = False,
    scenario: str = "",
    seed: int = 0,
    namespace: str = "",
    parameters: str = "",
    key_file: str = "",
    sensors: str = "",
    sensors_bus: str = "",
) -> tuple[NodeSpec, ...]:
    """Return the nodes, an emulated machine first where one is asked for; see :func:`stack`.

    Raises:
        KuwaError: the kind has no emulated machine.
    """
    if emulated and robot not in EMULATED:
        raise KuwaError(f"no emulated machine for {robot!r}; {choices(robot, EMULATED)}")
    specs = stack(
        machine, robot, scenario or SCENARIOS[load_machine(machine).tool.type], seed,
        planner="", auto_arm=False, namespace=namespace, bus=bus, emulated=emulated,
        parameters={machine: parameters} if parameters else None, key_file=key_file,
        sensors=sensors, sensors_bus=sensors_bus,
    )  # fmt: skip
    few = [spec for spec in specs[:-1] if spec.name in NODES or not spec.lifecycle]
    supervisor = replace(specs[-1], parameters=specs[-1].parameters | {"nodes": NODES})
    return (*few, supervisor)
