"""One measured figure with its goal, in the form that every benchmark prints and saves."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from kuwa_cli.outcome import computer, processor_time, versions
from kuwa_machines.atomic import replace_file
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


class Run:
    """One run of a benchmark or of a part of it; a context manager.

    Args:
        command: that measures the same again.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self.figures: list[Figure] = []
        self.stolen = 0.0
        """Share of the processors' time that the host of this computer gave to others."""

    def __enter__(self) -> Run:
        self._before = processor_time()
        return self

    def __exit__(self, *_: object) -> None:
        stolen, total = (b - a for a, b in zip(self._before, processor_time(), strict=True))
        self.stolen = stolen / total if total > 0.0 else 0.0

    def line(self, figure: Figure) -> dict[str, Any]:
        """Return a figure as it is printed and saved."""
        return figure.line(self.command)

    def origin(self) -> dict[str, Any]:
        """Return when and where it was, as it is saved."""
        return {
            "date": date.today().isoformat(), "computer": computer(), "versions": versions(),
            "stolen": round(self.stolen, 4),
        }  # fmt: skip


def save(folder: Path, name: str, run: Run, whole: bool = True) -> Path:
    """Write the figures of a run with where they come from.

    Args:
        name: of the benchmark. whole: what other parts' runs have saved is not kept.
    """
    path = folder / f"{name}.json"
    with _alone(folder):
        kept = {"runs": {}, "figures": []} if whole or not path.exists() else load(path)
        others = [row for row in kept["figures"] if row["command"] != run.command]
        values = {
            "benchmark": name,
            "runs": {**kept["runs"], run.command: run.origin()},
            "figures": [*others, *map(run.line, run.figures)],
        }
        text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        replace_file(path, text.encode(), path.with_suffix(".part"))
    return path


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else saves here: parts that are measured side by side may end together."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def load(path: Path) -> dict[str, Any]:
    """Read a saved result."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise KuwaError(f"{path}: no result of a benchmark: {error}") from None
    return dict(values)
