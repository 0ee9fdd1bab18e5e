"""The stack as data: which nodes run for a machine, and with which parameters.

Both ways to start it, ``ros2 launch`` and child processes, take this list. It imports nothing but
the standard library: ``ros2 launch`` runs in the system's Python, which does not know what only
the nodes' own environment holds. The nodes check the names when they are configured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

Value = bool | int | float | str | tuple[str, ...]

SIMULATED: Final = frozenset({"sim", "mock"})
"""Kinds of robot that move nothing real, so that the stack may arm itself."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node to start.

    Args:
        package, executable: as ``ros2 run`` takes them.
        name: of the node.
        namespace: with a leading slash.
        parameters: by name.
        remappings: (from, to) pairs.
        lifecycle: managed by the supervisor.
    """

    package: str
    executable: str
    name: str
    namespace: str
    parameters: dict[str, Value] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    lifecycle: bool = True


def stack(
    machine: str = "zx200",
    robot: str = "sim",
    scenario: str = "dig_trench",
    seed: int = 0,
    speed: float = 1.0,
    *,
    planner: str = "expert",
    controller: str = "pid",
    auto_arm: bool | None = None,
    stats_file: str = "",
    namespace: str = "",
) -> tuple[NodeSpec, ...]:
    """Return the nodes of one machine's stack, the supervisor last.

    Args:
        machine: by the name of its folder.
        robot: kind of robot.
        scenario, seed, speed: of a simulated robot.
        planner, controller: by name; an empty planner leaves planning out.
        auto_arm: go to mode auto without a person; by default for simulated robots.
        stats_file: where the robot node writes its timing at the end.
        namespace: instead of the machine's name.

    Raises:
        ValueError: if a real machine should arm itself.
    """
    simulated = robot in SIMULATED
    if auto_arm and not simulated:
        raise ValueError(
            f"auto_arm is for simulated robots ({', '.join(sorted(SIMULATED))}), not for "
            f"{robot!r}: a person arms a real machine"
        )
    ns = "/" + (namespace or machine).strip("/")
    nodes: list[tuple[str, dict[str, Value]]] = [
        (
            "robot",
            {
                "machine": machine,
                "robot": robot,
                "scenario": scenario,
                "seed": int(seed),
                "speed": float(speed),
                "stats_file": stats_file,
            },
        ),
        ("safety", {"machine": machine}),
        ("control", {"machine": machine, "controller": controller}),
    ]
    if planner:
        nodes.append(("planning", {"machine": machine, "planner": planner}))
    specs = [NodeSpec(f"kuwa_{name}", name, name, ns, values) for name, values in nodes]
    supervisor: dict[str, Value] = {
        "nodes": tuple(spec.name for spec in specs),
        "auto_arm": simulated if auto_arm is None else auto_arm,
    }
    specs.append(
        NodeSpec("kuwa_bringup", "supervisor", "supervisor", ns, supervisor, lifecycle=False)
    )
    return tuple(specs)
