"""The protocols of robots: machines, simulated or real, that can be read and commanded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from kuwa_machines.contracts.command import JointCommand
from kuwa_machines.contracts.state import GroundTruth, MachineState

if TYPE_CHECKING:
    from kuwa_machines.spec import MachineSpec


@runtime_checkable
class Robot(Protocol):
    """A machine, simulated or real, that can be read and commanded.

    ``spec`` is readable before ``connect``. ``write`` returns what was really sent to the valves.
    """

    spec: MachineSpec

    def connect(self) -> None:
        """Open buses or load the model; raises KuwaError with the remedy."""

    def read(self) -> MachineState:
        """Return the newest state."""

    def write(self, command: JointCommand) -> JointCommand:
        """Send a VALVE command; return it as it was applied."""

    def neutral(self) -> None:
        """Centre all valves at once, whatever was commanded before."""

    def close(self) -> None:
        """Centre all valves and release everything; safe to call twice."""


@runtime_checkable
class Mapped(Protocol):
    """A robot with data of its own that say which signal is which joint, how scaled and turned."""

    fingerprint: str
    """Of all these data: a preflight is of one fingerprint."""


@runtime_checkable
class SimulatedRobot(Robot, Protocol):
    """A robot whose time can be advanced: the plant waits for the command."""

    control_period: float
    """Length of one tick [s]."""

    def reset(self, seed: int) -> MachineState:
        """Return to the start of the scenario with this seed; same seed, same bits."""

    def advance(self) -> MachineState:
        """Advance one control period and return the new state."""

    def truth(self) -> GroundTruth:
        """Return where the machine really is."""
