"""The expert planner for each kind of machine, by the tool that it works with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kuwa_machines.contracts import Planner
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import Blade, Bucket, DumpBody, MachineSpec, Plough, SprayerBoom
from kuwa_policies.planning.blade.planner import Dozer
from kuwa_policies.planning.expert import Expert
from kuwa_policies.planning.haul.planner import Haul
from kuwa_policies.planning.plough import PloughPlanner
from kuwa_policies.planning.spray import SprayPlanner

EXPERTS: Final[dict[type, Callable[[MachineSpec], Planner]]] = {
    Bucket: Expert,
    DumpBody: Haul,
    Plough: PloughPlanner,
    SprayerBoom: SprayPlanner,
    Blade: Dozer,
}


def make_expert(spec: MachineSpec) -> Planner:
    """Return the expert that works with this machine's tool.

    Raises:
        KuwaError: there is none.
    """
    expert = EXPERTS.get(type(spec.tool))
    if expert is None:
        known = ", ".join(tool.__name__ for tool in EXPERTS)
        raise KuwaError(
            f"{spec.name}: no expert works with a {spec.tool.type}; there are experts for: {known}"
        )
    return expert(spec)
