"""The table of published values, ``sim/checks/forces.yaml``, and how far our code is from each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from kuwa_machines.datafile import Data, DataFile, load_data
from kuwa_machines.errors import KuwaError, choices
from kuwa_sim.checks.models import MODELS

FILE = Path(__file__).parents[2] / "checks" / "forces.yaml"
UNITS = {"1": 1.0, "m": 1.0, "kN": 1e3, "kPa": 1e3}


class CheckError(KuwaError):
    """The table is wrong: an unknown model, an argument that it does not take, a missing key."""


class Expected(Data):
    """A published value in its own unit."""

    value: Annotated[float, Field(gt=0)]
    unit: Literal["1", "m", "kN", "kPa"]
    source: str


class Check(Data):
    """One row: a model, its arguments with their units in the keys, and what must come out.

    Args:
        printed: the value to the digits that the source prints, in the same unit.
    """

    model: str
    given: dict[str, str | float]
    expected: Expected
    printed: str | None = None

    @property
    def name(self) -> str:
        """The row in words."""
        return " ".join([self.model, *(str(v) for v in self.given.values())])


class Table(DataFile):
    """The whole file."""

    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row and what our code gives for it, in the row's unit."""

    check: Check
    value: float

    @property
    def error(self) -> float:
        """Relative to the published value."""
        return abs(self.value / self.check.expected.value - 1.0)

    @property
    def as_printed(self) -> bool:
        """Whether our value rounds to what the source prints; true where it prints nothing."""
        printed = self.check.printed
        if printed is None:
            return True
        digits = len(printed.partition(".")[2])
        return f"{self.value:.{digits}f}" == printed


def load_checks(path: Path = FILE) -> tuple[Check, ...]:
    """Read the table.

    Raises:
        CheckError: naming file, row and what would have been right.
    """
    checks = load_data(path, Table, CheckError).checks
    for check in checks:
        if check.model not in MODELS:
            raise CheckError(
                f"{path}: {check.name}: no model {check.model!r}; {choices(check.model, MODELS)}"
            )
    return checks


def outcomes(checks: tuple[Check, ...]) -> Iterator[Outcome]:
    """Evaluate rows with our code."""
    for check in checks:
        try:
            value = MODELS[check.model](**check.given)
        except TypeError as error:
            raise CheckError(f"{check.name}: {error}") from None
        yield Outcome(check, value / UNITS[check.expected.unit])
