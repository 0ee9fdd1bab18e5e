"""How a row of the failure table is put to the test: a function that injects its fault.

    @row("request_lost")
    def request_lost(tmp_path: Path) -> Seen:
        ...
        return Seen("neutral", after_ms=87.0, recovered=True)

The function makes the fault happen, waits (on a simulated steady clock where the core is tested,
on the real one where processes are) for the reaction and measures the time from the fault to it.
It returns what it saw; the reaction, its bound and the way back are then held against the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from kuwa_hardware.failures import failure


@dataclass(frozen=True)
class Seen:
    """What a fault led to.

    Args:
        reaction: as in the table: refuse, limit, hold, neutral, stopped or warn.
        after_ms: from the fault to the reaction [ms].
        recovered: whether the stack went on by itself once the cause was gone; where a person has
            to act, whether it stayed as it was until then and went on after.
        said: what people were told.
    """

    reaction: str
    after_ms: float
    recovered: bool
    said: str = ""


Injector = Callable[[Path], Seen]
INJECTORS: Final[dict[str, Injector]] = {}
MARKS: Final[dict[str, tuple[Any, ...]]] = {}


def row(code: str, *marks: Any) -> Callable[[Injector], Injector]:
    """Register a function as the test of a row; ``marks`` are pytest marks, e.g. ``ros``."""
    failure(code)

    def keep(inject: Injector) -> Injector:
        assert code not in INJECTORS, f"row {code} has two tests"
        INJECTORS[code], MARKS[code] = inject, marks
        return inject

    return keep


def parameter(code: str) -> Any:
    """Return a row as a parameter of a test."""
    return pytest.param(code, marks=MARKS.get(code, ()), id=code)
