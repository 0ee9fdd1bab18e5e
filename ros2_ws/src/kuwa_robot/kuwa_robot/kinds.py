"""Kinds of robot by name; each is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kuwa_machines.contracts import Robot
from kuwa_machines.errors import KuwaError, choices


def _sim(machine: str, scenario: str, seed: int) -> Robot:
    from kuwa_sim.robot import SimRobot

    return SimRobot(scenario, machine, seed)


def _mock(machine: str, scenario: str, seed: int) -> Robot:
    from kuwa_hardware.mock import MockRobot
    from kuwa_machines.loader import load_machine

    return MockRobot(load_machine(machine))


KINDS: Final[dict[str, Callable[[str, str, int], Robot]]] = {"sim": _sim, "mock": _mock}


def make_robot(kind: str, machine: str, scenario: str, seed: int) -> Robot:
    """Return a robot of this kind, not connected yet.

    Raises:
        KuwaError: if the kind, the machine or the scenario is unknown.
    """
    if kind not in KINDS:
        raise KuwaError(f"no robot kind {kind!r}; {choices(kind, KINDS)}")
    return KINDS[kind](machine, scenario, seed)
