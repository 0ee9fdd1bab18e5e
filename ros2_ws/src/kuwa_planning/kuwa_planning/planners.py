"""Planners by name; each is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kuwa_machines.contracts import Planner
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import MachineSpec


def _expert(spec: MachineSpec) -> Planner:
    from kuwa_policies.planning.experts import make_expert

    return make_expert(spec)


PLANNERS: Final[dict[str, Callable[[MachineSpec], Planner]]] = {"expert": _expert}


def make_planner(name: str, spec: MachineSpec) -> Planner:
    """Return a planner for this machine.

    Raises:
        KuwaError: if the name is unknown.
    """
    if name not in PLANNERS:
        raise KuwaError(f"no planner {name!r}; {choices(name, PLANNERS)}")
    return PLANNERS[name](spec)
