"""What is handed in by name, since the simulator knows no policies: ``"package.module:object"``.

A name travels to other processes and computers where an object could not.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from kuwa_machines.contracts import Controller
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_sim.robot import SimRobot


class Partner(Protocol):
    """Who drives another machine of the scenario."""

    def tick(self) -> object:
        """Command its robot on its newest state; called once a control period."""


ControllerFactory = Callable[[MachineSpec, float], Controller]
"""From a machine and the control period [s] to a controller."""
PartnerFactory = Callable[[SimRobot], Partner]
"""From a robot that has just been reset to who drives it, say, a
:class:`kuwa_sim.lockstep.Stack`."""


def resolve(given: str | Callable[..., Any], what: str) -> Callable[..., Any]:
    """Return what a name stands for; a callable is returned as it is.

    Raises:
        KuwaError: there is no such module, or nothing callable of that name in it.
    """
    if callable(given):
        return given
    module, colon, name = str(given).partition(":")
    if not (module and colon and name):
        raise KuwaError(f"{what}: {given!r} is no name; expected package.module:object")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise KuwaError(f"{what}: {given!r} cannot be loaded: {error}") from None
    if not callable(found):
        raise KuwaError(f"{what}: {given!r} is a {type(found).__name__}; expected a callable")
    made: Callable[..., Any] = found
    return made
