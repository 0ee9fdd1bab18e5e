"""How a machine's joints are reached over ISOBUS: ``isobus.yaml`` in the machine's folder."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from kuwa_hardware.isobus.codec import IsobusError
from kuwa_hardware.isobus.geometry import Steering
from kuwa_machines.datafile import Data, DataFile, load_data
from kuwa_machines.errors import choices
from kuwa_machines.spec import MachineSpec
from kuwa_machines.units import Angle, Time

FILE = "isobus.yaml"
Address = Annotated[int, Field(ge=0, le=253)]
Feedback = Literal["emulated", "status"]
"""Where a joint's angle comes from: the emulated tractor's own messages, or the function's."""


class _Function(Data):
    period: Time
    """Between two commands while nothing changes [s]."""
    timeout: Time
    """The emulated tractor centres the valve this long after the last command [s]."""
    feedback: Feedback = "emulated"


class _Position(_Function):
    full_stroke: Angle
    """Deviation from the set point at which the tractor opens the valve fully [rad]."""


class Guidance(_Position):
    """Steering by curvature: messages 44288 and 44032."""

    type: Literal["guidance"]


class Hitch(_Position):
    """Lift by position: messages 65090 and 65093 or 65094."""

    type: Literal["hitch"]
    side: Literal["rear", "front"] = "rear"


class AuxValve(_Function):
    """Flow through an auxiliary valve: messages 65072 to 65087 and 65040 to 65055."""

    type: Literal["aux_valve"]
    valve: Annotated[int, Field(ge=0, le=15)]
    positive: Literal["extend", "retract"] = "extend"
    """The port that moves the joint positively."""
    feedback: Literal["emulated"] = "emulated"


class EmulatedDrive(_Function):
    """A travel drive of the emulated tractor; no tractor takes this."""

    type: Literal["emulated_drive"]
    channel: Annotated[int, Field(ge=0, le=3)]
    feedback: Literal["emulated"] = "emulated"


Function = Annotated[Guidance | Hitch | AuxValve | EmulatedDrive, Field(discriminator="type")]


class Node(Data):
    """A node on the bus: its preferred address and, where one is asked for, its serial number."""

    address: Address
    identity: Annotated[int, Field(ge=0, lt=1 << 21)] | None = None


class Mapping(DataFile):
    """The functions of all joints, and who talks to whom."""

    tractor: Node
    commander: Node
    functions: dict[str, Function]

    @model_validator(mode="after")
    def _distinct(self) -> Mapping:
        if self.tractor.address == self.commander.address:
            raise ValueError(f"tractor and commander both have address {self.tractor.address}")
        taken: dict[object, str] = {}
        for joint, function in self.functions.items():
            key: object = function.type
            if isinstance(function, AuxValve):
                key = ("valve", function.valve)
            elif isinstance(function, EmulatedDrive):
                key = ("channel", function.channel)
            elif isinstance(function, Hitch):
                key = ("hitch", function.side)
            if key in taken:
                raise ValueError(f"functions: {joint} and {taken[key]} are both {key}")
            taken[key] = joint
        return self

    @cached_property
    def guidance(self) -> str | None:
        """The joint that is steered, or None."""
        return next((j for j, f in self.functions.items() if isinstance(f, Guidance)), None)


def load_mapping(spec: MachineSpec) -> Mapping:
    """Read the machine's ``isobus.yaml``.

    Raises:
        IsobusError: the machine has none, or it does not fit its joints.
    """
    path = spec.folder / FILE
    if not path.exists():
        raise IsobusError(
            f"{spec.name} has no {FILE} in its folder, so it cannot be driven over ISOBUS; "
            "see docs/how-to/run-on-an-isobus-tractor.md"
        )
    mapping = load_data(path, Mapping, IsobusError)
    odd = set(mapping.functions) ^ set(spec.joint_names)
    if odd:
        name = sorted(odd)[0]
        what = "is missing" if name in spec.joint_names else "is no joint of the machine"
        raise IsobusError(f"{path}: functions: {name!r} {what}; {choices(name, spec.joint_names)}")
    if len(spec.joint_names) > 8:
        raise IsobusError(f"{path}: {len(spec.joint_names)} joints; the database has room for 8")
    for name, function in mapping.functions.items():
        joint = spec.joints[name]
        if isinstance(function, Guidance):
            Steering.of(spec, name)
        if isinstance(function, EmulatedDrive) != (joint.drive.type == "hydrostatic"):
            raise IsobusError(
                f"{path}: functions.{name}: {function.type} does not fit a {joint.drive.type} "
                "drive; emulated_drive is for hydrostatic ones and for no others"
            )
    return mapping
