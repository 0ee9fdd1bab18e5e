"""The failure table: what can fail, who finds it, what the stack does, and how it goes on.

Time-outs of the running stack, the reference page and the tests are made from it.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from kuwa_machines.contracts import Level
from kuwa_machines.datafile import Data, parse_data, read_yaml
from kuwa_machines.errors import KuwaError, choices

FILE = Path(__file__).with_name("table.yaml")

Words = Annotated[str, Field(min_length=5)]
Milliseconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Detector = Literal[
    "gate", "watchdog", "driver", "machine", "supervisor", "control", "planning", "preflight"
]


class FailureTableError(KuwaError):
    """The failure table is wrong, or has no such row."""


class Reaction(StrEnum):
    """What the stack does about a fault."""

    REFUSE = "refuse"
    LIMIT = "limit"
    HOLD = "hold"
    NEUTRAL = "neutral"
    STOPPED = "stopped"
    WARN = "warn"

    @property
    def level(self) -> Level:
        """How far the gate steps down."""
        return _LEVELS.get(self, Level.NONE)


_LEVELS = {
    Reaction.HOLD: Level.HOLD,
    Reaction.NEUTRAL: Level.NEUTRAL,
    Reaction.STOPPED: Level.STOPPED,
}


class Failure(Data):
    """One row.

    Args:
        fault: what happens. detector: who finds it. detection: by what.
        timeout_ms: of the detection; 0: at the message or step itself [ms].
        sets: the parameter, ``node.name``, that takes its default from ``timeout_ms``.
        reaction: what the stack does.
        within_ms: from the fault to the reaction, the bound of its test [ms].
        recovery: how it goes on. remedy: what a person can do.
    """

    fault: Words
    detector: Detector
    detection: Words
    timeout_ms: Milliseconds = 0.0
    sets: str = ""
    reaction: Reaction
    within_ms: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    recovery: Literal["self", "person", "restart"]
    remedy: Words

    @model_validator(mode="after")
    def _in_time(self) -> Failure:
        late = self.reaction is not Reaction.REFUSE and self.timeout_ms >= self.within_ms
        if late:
            raise ValueError(
                f"timeout_ms {self.timeout_ms:g} is not below within_ms {self.within_ms:g}"
            )
        if self.sets and not self.timeout_ms:
            raise ValueError(f"sets {self.sets!r}, but has no timeout_ms")
        return self

    @property
    def timeout(self) -> float:
        """Of the detection [s]."""
        return 1e-3 * self.timeout_ms


class FailureTable(Data):
    """All rows by id, in groups."""

    groups: dict[str, dict[str, Failure]]

    @model_validator(mode="after")
    def _unique(self) -> FailureTable:
        ids = [code for rows in self.groups.values() for code in rows]
        twice = sorted({code for code in ids if ids.count(code) > 1})
        if twice:
            raise ValueError(f"rows {twice} are there twice")
        values: dict[str, float] = {}
        for rows in self.groups.values():
            for code, row in rows.items():
                if row.sets and values.setdefault(row.sets, row.timeout_ms) != row.timeout_ms:
                    raise ValueError(
                        f"{code} sets {row.sets} to {row.timeout_ms:g} ms, another row to "
                        f"{values[row.sets]:g} ms"
                    )
        return self


@cache
def table() -> FailureTable:
    """Return the table.

    Raises:
        FailureTableError: naming file, row and what would be right.
    """
    raw = {"groups": read_yaml(FILE, FailureTableError)}
    return parse_data(raw, FILE.name, FailureTable, FailureTableError)


@cache
def failures() -> dict[str, Failure]:
    """Return all rows by id, in the order of the file."""
    return {code: row for rows in table().groups.values() for code, row in rows.items()}


def failure(code: str) -> Failure:
    """Return one row.

    Raises:
        FailureTableError: there is no such row.
    """
    rows = failures()
    if code not in rows:
        raise FailureTableError(f"no row {code!r} in the failure table; {choices(code, rows)}")
    return rows[code]


def timeout(parameter: str) -> float:
    """Return the default of a parameter that the table sets, ``"safety.request_timeout"`` [s].

    Raises:
        FailureTableError: no row sets it.
    """
    found = {row.sets: row.timeout for row in failures().values() if row.sets}
    if parameter not in found:
        raise FailureTableError(
            f"no row of the failure table sets {parameter!r}; {choices(parameter, found)}"
        )
    return found[parameter]
