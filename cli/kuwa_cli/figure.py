"""One measured figure with its goal, in the form that every benchmark prints and saves."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from kuwa_cli.outcome import computer, versions
from kuwa_machines.errors import KuwaError

COMPARE = {
    "<=": lambda value, goal: value <= goal,
    ">=": lambda value, goal: value >= goal,
    "==": lambda value, goal: value == goal,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, what it should be, and how to get it again.

    Args:
        name: e.g. ``"lockstep.real_time_factor"``.
        value: measured.
        unit: ``"1"`` for a pure number.
        goal: e.g. ``">= 20"``, or ``""`` where none was set.
        peer: what it is compared with, and its figure; None where there is nothing.
    """

    name: str
    value: float
    unit: str
    goal: str = ""
    peer: dict[str, Any] | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if not self.goal:
            return None
        sign, _, number = self.goal.partition(" ")
        value = float(self.value)
        return math.isfinite(value) and COMPARE[sign](value, float(number))

    def line(self, command: str) -> dict[str, Any]:
        """Return the figure as it is printed and saved."""
        cpu = computer()
        machine = f"{cpu['cpu']}, {cpu['cores']} cores, {cpu['memory_gib']} GiB, {cpu['system']}"
        values = asdict(self)
        peer = values.pop("peer")
        values["value"] = float(f"{self.value:.6g}") if math.isfinite(self.value) else None
        return values | {"holds": self.holds, "peer": peer, "command": command, "machine": machine}


def save(folder: Path, name: str, command: str, lines: list[dict[str, Any]]) -> Path:
    """Write the figures of one benchmark with what they ran on."""
    path = folder / f"{name}.json"
    values = {
        "benchmark": name,
        "date": date.today().isoformat(),
        "command": command,
        "computer": computer(),
        "versions": versions(),
        "figures": lines,
    }
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def load(path: Path) -> dict[str, Any]:
    """Read a saved result."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise KuwaError(f"{path}: no result of a benchmark: {error}") from None
    return dict(values)
