"""Layouts of joysticks as data: from axes and buttons of ``sensor_msgs/Joy`` to levers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, model_validator

from kuwa_hardware.operator.core import Sticks
from kuwa_machines.datafile import Data, load_data
from kuwa_machines.errors import CommandError, choices
from kuwa_machines.operator import LEVERS, as_levers

FILE = Path(__file__).with_name("layouts.yaml")

Action = Literal["arm", "stop", "auto", "record", "end", "failure", "again", "discard"]
Index = int

EPISODE_BUTTONS: Final[dict[Action, tuple[str, str]]] = {
    "record": ("start", "success"),
    "end": ("stop", "stop"),
    "failure": ("failure", "failure"),
    "again": ("undo", "redo"),
    "discard": ("discard", "discard"),
}
"""What a button asks the recorder for: while no episode is open, and while one is."""
CLICKS: Final = frozenset({"end", "again"})
"""Count only with the deadman let go: where the sticks are clicked for them, a stick that is pushed
hard while driving clicks, too."""


class LayoutError(CommandError):
    """There is no such layout, or a message does not fit the one in use."""


class AxisOf(Data):
    """Where a lever is: an axis with a sign, or a pair of buttons."""

    axis: Index | None = Field(default=None, ge=0)
    sign: Literal[-1, 1] = 1
    minus: Index | None = Field(default=None, ge=0)
    plus: Index | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one(self) -> AxisOf:
        pair = self.minus is not None and self.plus is not None
        if pair == (self.axis is not None):
            raise ValueError("expected an axis, or minus and plus")
        return self


class Layout(Data):
    """One joystick. ``deadman``: any of these buttons."""

    title: str
    left_x: AxisOf
    left_y: AxisOf
    right_x: AxisOf
    right_y: AxisOf
    dial_x: AxisOf
    dial_y: AxisOf
    deadman: list[Index] = Field(min_length=1)
    buttons: dict[Action, Index]

    def sticks(self, axes: Sequence[float], buttons: Sequence[int]) -> Sticks:
        """Return what a message of the joystick says.

        Raises:
            LayoutError: it has fewer axes or buttons than the layout, or an axis beyond ±1.
        """
        values = {lever: self._lever(getattr(self, lever), axes, buttons) for lever in LEVERS}
        return Sticks(
            as_levers(values),
            any(self._pressed(k, buttons) for k in self.deadman),
            frozenset(a for a, k in self.buttons.items() if self._pressed(k, buttons)),
        )

    def _lever(self, at: AxisOf, axes: Sequence[float], buttons: Sequence[int]) -> float:
        if at.axis is None:
            assert at.minus is not None and at.plus is not None
            return float(self._pressed(at.plus, buttons)) - self._pressed(at.minus, buttons)
        if at.axis >= len(axes):
            raise LayoutError(f"joystick of {len(axes)} axes; {self.title!r} needs {at.axis}")
        value = float(axes[at.axis])
        if not (math.isfinite(value) and abs(value) <= 1.001):
            raise LayoutError(f"joystick: axis {at.axis} is {value}; expected -1 to 1")
        return at.sign * value

    def _pressed(self, index: int, buttons: Sequence[int]) -> bool:
        if index >= len(buttons):
            raise LayoutError(
                f"joystick of {len(buttons)} buttons; {self.title!r} needs button {index}"
            )
        return bool(buttons[index])


class LayoutFile(Data):
    """All layouts by name."""

    layouts: dict[str, Layout]


@cache
def layouts() -> dict[str, Layout]:
    """Return all layouts by name."""
    return load_data(FILE, LayoutFile, LayoutError).layouts


def layout(name: str) -> Layout:
    """Return a layout by name.

    Raises:
        LayoutError: there is none of that name.
    """
    if name not in layouts():
        raise LayoutError(f"no joystick layout {name!r}; {choices(name, layouts())}")
    return layouts()[name]
