"""What the levers of a machine do, as data: patterns of sticks to joints, in the machine's folder.

Levers as an operator sees them: ``x`` to the right and ``y`` away from the operator are positive,
from -1 to 1. A joint's fraction of its greatest velocity is the sum of its levers, cut to ±1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydantic import Field, model_validator

from kuwa_machines.arrays import Array
from kuwa_machines.datafile import Data, load_data
from kuwa_machines.errors import MachineError, choices
from kuwa_machines.spec import MachineSpec

FILE: Final = "operator.yaml"
LEVERS: Final = ("left_x", "left_y", "right_x", "right_y", "dial_x", "dial_y")
"""Two sticks, and a dial: a thumb wheel or a cross of buttons, where a machine needs more."""

Lever = Literal["left_x", "left_y", "right_x", "right_y", "dial_x", "dial_y"]


class LeverUse(Data):
    """What one lever does.

    Args:
        positive, negative: what the machine does, in words.
        joints: gain of each joint it moves, in fractions of the joint's greatest velocity.
    """

    positive: str = Field(min_length=2)
    negative: str = Field(min_length=2)
    joints: dict[str, float] = Field(min_length=1)

    @model_validator(mode="after")
    def _gains(self) -> LeverUse:
        for joint, gain in self.joints.items():
            if not 0.0 < abs(gain) <= 1.0:
                raise ValueError(f"joints.{joint}: gain {gain} must be within ±1 and not 0")
        return self


class Pattern(Data):
    """One pattern of levers; ``follows`` names the norm or the machines whose it is."""

    title: str
    follows: str
    levers: dict[Lever, LeverUse] = Field(min_length=1)


class OperatorFile(Data):
    """A machine's patterns; ``default`` is one of them."""

    default: str
    patterns: dict[str, Pattern] = Field(min_length=1)

    @model_validator(mode="after")
    def _known(self) -> OperatorFile:
        if self.default not in self.patterns:
            raise ValueError(f"default: {choices(self.default, self.patterns)}")
        return self


def load_operator(spec: MachineSpec) -> OperatorFile:
    """Return the patterns of a machine; one that is built on another's model has that one's.

    Raises:
        MachineError: there are none, or they name a joint that the machine does not have.
    """
    folders = (spec.folder, spec.model_path.resolve().parent)
    path = next((f / FILE for f in folders if (f / FILE).is_file()), None)
    if path is None:
        raise MachineError(
            f"{spec.name}: no {FILE} in {Path(spec.folder).name}: nobody knows what its levers do"
        )
    found = load_data(path, OperatorFile, MachineError)
    for name, pattern in found.patterns.items():
        for lever, use in pattern.levers.items():
            for joint in use.joints:
                if joint not in spec.joints:
                    raise MachineError(
                        f"{path}: patterns.{name}.levers.{lever}: no joint {joint!r}; "
                        f"{choices(joint, spec.joints)}"
                    )
    return found


def pattern_of(spec: MachineSpec, name: str = "") -> tuple[str, Pattern]:
    """Return a pattern and its name; the machine's default for an empty name.

    Raises:
        MachineError: the machine has no such pattern.
    """
    found = load_operator(spec)
    name = name or found.default
    if name not in found.patterns:
        raise MachineError(f"{spec.name}: no pattern {name!r}; {choices(name, found.patterns)}")
    return name, found.patterns[name]


def matrix(pattern: Pattern, joint_names: tuple[str, ...]) -> Array:
    """Return the gains of a pattern, shape (n, len(LEVERS))."""
    gains = np.zeros((len(joint_names), len(LEVERS)))
    for lever, use in pattern.levers.items():
        for joint, gain in use.joints.items():
            gains[joint_names.index(joint), LEVERS.index(lever)] = gain
    return gains


def as_levers(values: Mapping[str, float]) -> Array:
    """Return lever positions by name as an array in the order of :data:`LEVERS`.

    Raises:
        MachineError: a name is none of a lever.
    """
    for name in values:
        if name not in LEVERS:
            raise MachineError(f"no lever {name!r}; {choices(name, LEVERS)}")
    return np.array([float(values.get(name, 0.0)) for name in LEVERS])


class Takeover:
    """Whether the operator drives because they took over from the planner: an intervention.

    It begins when the gate goes from auto straight to teleop, and lasts, through moments at rest
    (armed), until the planner has the machine again or nobody has. Who pauses the planner first,
    from auto to armed, and drives then by hand, does not intervene. The console's page and the
    recorder both go by this.
    """

    def __init__(self) -> None:
        self.on = False
        self._mode = ""

    def step(self, mode: str) -> bool:
        """Take the gate's mode; return whether it is another one than before."""
        before, self._mode = self._mode, mode
        if mode not in ("teleop", "armed"):
            self.on = False
        elif mode == "teleop" and before == "auto":
            self.on = True
        return mode != before
