"""Controllers by name; each is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kuwa_machines.contracts import Controller
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import MachineSpec


def _pid(spec: MachineSpec, period: float) -> Controller:
    from kuwa_policies.control.tracking import TrackingController

    return TrackingController(spec, period)


CONTROLLERS: Final[dict[str, Callable[[MachineSpec, float], Controller]]] = {"pid": _pid}


def make_controller(name: str, spec: MachineSpec, period: float) -> Controller:
    """Return a controller for this machine and control period [s].

    Raises:
        KuwaError: if the name is unknown.
    """
    if name not in CONTROLLERS:
        raise KuwaError(f"no controller {name!r}; {choices(name, CONTROLLERS)}")
    return CONTROLLERS[name](spec, period)
