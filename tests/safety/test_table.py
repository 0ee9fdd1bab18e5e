"""Every row of the failure table: its fault is made to happen, and the reaction comes in time."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import shared_stack
from failure_rows import INJECTORS, parameter
from kuwa_hardware.failures import failure, failures

for _module in sorted(Path(__file__).parent.glob("rows_*.py")):
    importlib.import_module(_module.stem)


@pytest.fixture(scope="module", autouse=True)
def _end_of_shared_stack() -> Iterator[None]:
    """The stack that some rows start ends with the last row: what comes after has its cores."""
    yield
    shared_stack.close()


@pytest.mark.parametrize("code", [parameter(code) for code in failures()])
def test_row(code: str, tmp_path: Path) -> None:
    """The reaction of the table, within its bound, and the way back."""
    inject = INJECTORS.get(code)
    assert inject is not None, f"row {code} has no test; write one in tests/safety/rows_*.py"
    wanted, seen = failure(code), inject(tmp_path)
    assert seen.reaction == wanted.reaction, seen
    assert 0.0 <= seen.after_ms <= wanted.within_ms, seen
    assert seen.recovered, seen
