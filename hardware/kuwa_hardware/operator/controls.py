"""The table of what keys and buttons do on the operator's page."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from kuwa_machines.datafile import Data, load_data
from kuwa_machines.errors import KuwaError

FILE = Path(__file__).with_name("controls.yaml")


class Control(Data):
    """One row: what it does, and by which keys and which button of a gamepad."""

    does: str
    keys: str
    gamepad: str


class ControlFile(Data):
    """All rows."""

    controls: list[Control]


@cache
def controls() -> tuple[Control, ...]:
    """Return all rows."""
    return tuple(load_data(FILE, ControlFile, KuwaError).controls)
