"""Kinds of robot by name; each is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from kuwa_machines.contracts import Robot
from kuwa_machines.errors import KuwaError, choices


def _sim(
    machine: str, parameters: str, scenario: str, seed: int, cameras: bool
) -> Mapping[str, Robot]:
    from kuwa_sim.robot import robots_of
    from kuwa_sim.world import World

    return robots_of(World(scenario, machine, seed, parameters=parameters), cameras)


def _mock(
    machine: str, parameters: str, scenario: str, seed: int, cameras: bool
) -> Mapping[str, Robot]:
    from kuwa_hardware.mock import MockRobot
    from kuwa_machines.overlay import load_machine_as

    return {machine: MockRobot(load_machine_as(machine, parameters))}


KINDS: Final[dict[str, Callable[[str, str, str, int, bool], Mapping[str, Robot]]]] = {
    "sim": _sim,
    "mock": _mock,
}


def make_robots(
    kind: str, machine: str, parameters: str, scenario: str, seed: int, cameras: bool = False
) -> Mapping[str, Robot]:
    """Return the robots of this kind by name, the machine's own first; not connected yet.

    Raises:
        KuwaError: if the kind, the machine or the scenario is unknown.
    """
    if kind not in KINDS:
        raise KuwaError(f"no robot kind {kind!r}; {choices(kind, KINDS)}")
    return KINDS[kind](machine, parameters, scenario, seed, cameras)
