"""What a check of the preflight found, and the table of checks with tolerances and reasons."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from kuwa_machines.datafile import Data, parse_data, read_yaml
from kuwa_machines.errors import KuwaError, choices

FILE = Path(__file__).with_name("checks.yaml")


class PreflightError(KuwaError):
    """A preflight that cannot go on, or a record that is not one."""


class Verdict(StrEnum):
    """Of one check."""

    PASS = "pass"
    FAIL = "fail"
    SKIPPED = "skipped"


class Rule(Data):
    """One row of the table.

    Args:
        title: for people. tolerance, unit: by how much it may be off; 0 without a number.
        reason: why so much. remedy: what to do when it is not met, with places to fill in.
    """

    title: str
    tolerance: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    unit: str = ""
    reason: Annotated[str, Field(min_length=5)]
    remedy: Annotated[str, Field(min_length=5)]


class Rules(Data):
    """The table."""

    checks: dict[str, Rule]


@cache
def rules() -> dict[str, Rule]:
    """Return the table by check."""
    raw = {"checks": read_yaml(FILE, PreflightError)}
    return parse_data(raw, FILE.name, Rules, PreflightError).checks


def tolerance(check: str) -> float:
    """Return a tolerance in SI: radians, seconds and shares for deg, ms and percent."""
    rule = rules()[check]
    factor = {"deg": np.pi / 180.0, "ms": 1e-3, "percent": 1e-2}.get(rule.unit, 1.0)
    return float(rule.tolerance * factor)


@dataclass(frozen=True, slots=True)
class Check:
    """One result.

    Args:
        check: row of the table. joint: which joint or group of joints; empty: the machine.
        measured, expected, tolerance: in words with units, for people.
        reason: of the tolerance, or why it was skipped.
        remedy: empty unless it failed.
        value: what was measured as a number in SI, or None.
    """

    check: str
    joint: str
    verdict: Verdict
    measured: str
    expected: str
    tolerance: str
    reason: str
    remedy: str
    value: float | None = None

    @property
    def title(self) -> str:
        """For people."""
        return rules()[self.check].title if self.check in rules() else self.check

    def as_dictionary(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {key: str(v) if key == "verdict" else v for key, v in asdict(self).items()}


def judged(
    check: str,
    good: bool,
    measured: str,
    expected: str,
    joint: str = "",
    *,
    value: float | None = None,
    allowed: str = "",
    **places: str,
) -> Check:
    """Return a result with tolerance, reason and remedy of the table.

    Args:
        allowed: the tolerance in words where it is not the table's alone.
        places: what is filled in in the remedy.
    """
    if check not in rules():
        raise PreflightError(f"no check {check!r}; {choices(check, rules())}")
    rule = rules()[check]
    unit = {"percent": "%", "deg": "°"}.get(rule.unit, rule.unit)
    words = allowed or (f"± {rule.tolerance:g} {unit}" if rule.tolerance else "none")
    told = {"joints": joint, "other": "?", "delta": "?"} | places
    remedy = "" if good else rule.remedy.format(**told)
    finite = value if value is None or np.isfinite(value) else None
    verdict = Verdict.PASS if good else Verdict.FAIL
    return Check(check, joint, verdict, measured, expected, words, rule.reason, remedy, finite)


def skipped(check: str, why: str, joint: str = "") -> Check:
    """Return a check that was not made, and why."""
    return Check(check, joint, Verdict.SKIPPED, "–", "–", "–", why, "")
