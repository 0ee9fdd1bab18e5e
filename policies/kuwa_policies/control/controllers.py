"""The controllers by name: lock-step, ROS 2, environments and benches take theirs from this table.

Each is imported only when it is made. A maker is also a factory that an environment takes by its
name, ``"kuwa_policies.control.controllers:pid"``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from kuwa_machines.contracts import Controller, Learner
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import seed_of

DEFAULT: Final = "ebn"
"""The controller of who names none."""
OPTIONS: Final = ControllerOptions()


class Maker(Protocol):
    """From a machine, the control period [s] and options to a controller."""

    def __call__(
        self, spec: MachineSpec, period: float, options: ControllerOptions = ...
    ) -> Controller: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A controller in the table.

    Args:
        make: its maker.
        title: what it is, in a few words.
        spiking: it has neurons, whose steps must fit into a control period.
        learns: it has something to save and to restore: it is a
            :class:`~kuwa_machines.contracts.Learner`.
    """

    make: Maker
    title: str
    spiking: bool = False
    learns: bool = False


def pid(spec: MachineSpec, period: float, options: ControllerOptions = OPTIONS) -> Controller:
    """Make the conventional controller; it has no use for any option."""
    from kuwa_policies.control.tracking import TrackingController

    return TrackingController(spec, period)


def pid_adaptive(
    spec: MachineSpec, period: float, options: ControllerOptions = OPTIONS
) -> Controller:
    """Make the conventional controller with a learner whose regressor is written down."""
    from kuwa_policies.control.adaptive.tracking import linear_tracking

    return linear_tracking(spec, period)


def ebn(spec: MachineSpec, period: float, options: ControllerOptions = OPTIONS) -> Controller:
    """Make the spiking controller in floating point."""
    from kuwa_policies.control.adaptive.tracking import SpikingTracking
    from kuwa_policies.ebn.network import Ebn

    return SpikingTracking(spec, period, "ebn", Ebn, options)


def ebn_fixed(spec: MachineSpec, period: float, options: ControllerOptions = OPTIONS) -> Controller:
    """Make the spiking controller in the integers of a neuromorphic chip."""
    from kuwa_policies.control.adaptive.tracking import SpikingTracking
    from kuwa_policies.ebn.fixed import FixedEbn

    return SpikingTracking(spec, period, "ebn_fixed", FixedEbn, options)


CONTROLLERS: Final[dict[str, Entry]] = {
    "pid": Entry(pid, "feed-forward with preview, Smith predictor, position feedback"),
    "pid_adaptive": Entry(
        pid_adaptive, "pid, and a written-down regressor learns the machine's own", learns=True
    ),
    "ebn": Entry(
        ebn, "pid, and spiking networks learn the machine's own", spiking=True, learns=True
    ),
    "ebn_fixed": Entry(
        ebn_fixed, "ebn with 8-bit weights and 24-bit voltages", spiking=True, learns=True
    ),
}


def entry(name: str) -> Entry:
    """Return a row of the table.

    Raises:
        KuwaError: there is no controller of that name.
    """
    if name not in CONTROLLERS:
        raise KuwaError(f"no controller {name!r}; {choices(name, CONTROLLERS)}")
    return CONTROLLERS[name]


def make_controller(
    name: str, spec: MachineSpec, period: float, options: ControllerOptions = OPTIONS
) -> Controller:
    """Return a controller for this machine and control period [s], restored and ready.

    One that is restored is drawn from the seed that was saved, not from that of the options.

    Raises:
        KuwaError: there is none of that name; its neuron steps do not fit into the period; what
            was saved is not its own.
    """
    kind = entry(name)
    if kind.spiking:
        options.neuron_steps(period)
    check_saved(name, options.saved)
    if options.saved and (seed := seed_of(Path(options.saved))) is not None:
        options = replace(options, seed=seed)
    controller = kind.make(spec, period, options)
    if isinstance(controller, Learner):
        if options.saved:
            controller.restore(Path(options.saved))
        if not options.learn:
            controller.freeze("learning is switched off")
    return controller


def check_saved(name: str, saved: str) -> None:
    """Check that a controller could be restored from a file, without opening it.

    Raises:
        KuwaError: it learns nothing, or there is no such file.
    """
    if not saved:
        return
    if not entry(name).learns:
        who = ", ".join(sorted(n for n, e in CONTROLLERS.items() if e.learns)) or "none yet"
        raise KuwaError(
            f"{saved}: controller {name!r} learns nothing that could be restored; those that do: "
            f"{who}"
        )
    if not Path(saved).is_file():
        raise KuwaError(f"{saved}: there is no such file with the saved state of a controller")
