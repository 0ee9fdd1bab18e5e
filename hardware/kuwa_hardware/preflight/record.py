"""The record of a preflight: what the gate asks for before it lets a real machine be armed.

A JSON file whose hash covers everything else in it: an edited or torn record is no record. The
hash shows changes; it is no signature, so whoever may write the file is trusted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kuwa_hardware.preflight.results import Check, PreflightError, Verdict
from kuwa_machines.atomic import replace_file
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec

FORMAT = 2
VALID_HOURS = 12.0
"""A shift: oil, load and cables of tomorrow are others."""
MAX_BYTES = 5_000_000
NONE: Final = "none"
"""In place of a record's path: the machine behind the driver is an emulated one."""
SIMULATED: Final = frozenset({"sim", "mock"})
"""Kinds of robot that move nothing real."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a preflight found.

    Args:
        machine, spec_hash: of the machine's data as the stack runs with them.
        kind, bus: of the driver. fingerprint: of its own files, or ``""``.
        who: answered the questions.
        made: seconds since 1970, UTC. hours: how long it counts from then on.
        broken_off: why it did not come to its end, or ``""``.
        checks: all of them, as dictionaries.
    """

    machine: str
    spec_hash: str
    kind: str
    bus: str
    fingerprint: str
    who: str
    made: float
    hours: float
    broken_off: str
    checks: tuple[dict[str, Any], ...]
    format: int = FORMAT

    @property
    def failed(self) -> tuple[dict[str, Any], ...]:
        """The checks that failed."""
        return tuple(c for c in self.checks if c["verdict"] == Verdict.FAIL.value)

    @property
    def date(self) -> str:
        """When it was made, for people."""
        return datetime.fromtimestamp(self.made, UTC).strftime("%Y-%m-%d %H:%M UTC")


def spec_hash(spec: MachineSpec) -> str:
    """Return the hash of a machine's data, numbers and all."""
    return hashlib.sha256(_canonical(spec.raw)).hexdigest()


def make_record(
    spec: MachineSpec,
    kind: str,
    bus: str,
    who: str,
    checks: Sequence[Check],
    made: float,
    broken_off: str = "",
    hours: float = VALID_HOURS,
    fingerprint: str = "",
) -> Record:
    """Return the record of checks."""
    told = tuple(check.as_dictionary() for check in checks)
    return Record(
        spec.name, spec_hash(spec), kind, bus, fingerprint, who, made, hours, broken_off, told
    )


def write_record(path: Path, record: Record) -> str:
    """Write a record whole or not at all; return its hash.

    Raises:
        PreflightError: the file cannot be written.
    """
    body = asdict(record)
    digest = _digest(body)
    text = json.dumps({**body, "sha256": digest}, indent=1, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode(), path.with_name(path.name + ".part"))
    except OSError as error:
        raise PreflightError(f"{path}: cannot be written: {error.strerror}") from None
    return digest


def read_record(path: Path) -> Record:
    """Return a record.

    Raises:
        PreflightError: there is none, or it was changed, torn or made by another version.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PreflightError(f"{path}: larger than {MAX_BYTES} bytes; not a preflight's record")
        body = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PreflightError(f"{path}: no such record; run kuwa preflight") from None
    except (OSError, ValueError) as error:
        raise PreflightError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise PreflightError(f"{path}: not a preflight's record of format {FORMAT}")
    told = body.pop("sha256", "")
    if told != _digest(body):
        raise PreflightError(f"{path}: its hash does not match: it was changed or torn")
    try:
        return Record(**{**body, "checks": tuple(body["checks"])})
    except (TypeError, KeyError) as error:
        raise PreflightError(f"{path}: not a whole record: {error}") from None


def preflight_reason(
    path: Path | str, machine: str, spec: MachineSpec, kind: str, now: float, fingerprint: str = ""
) -> str:
    """Return why arming must be refused, or ``""``; never raises.

    Args:
        path: of the record. machine: its name. spec: with the numbers that the stack runs with.
        kind: of the driver. now: seconds since 1970, UTC. fingerprint: of the driver's
            own files, as it tells it.
    """
    again = "run kuwa preflight"
    try:
        record = read_record(Path(path))
        if record.machine != machine:
            return f"the preflight was of {record.machine!r}, not of {machine!r}; {again}"
        if record.spec_hash != spec_hash(spec):
            return f"the data of {machine} have changed since the preflight; {again}"
    except KuwaError as error:
        return str(error)
    if record.kind != kind:
        return f"the preflight was of a {record.kind!r} driver, not of {kind!r}; {again}"
    if record.fingerprint != fingerprint:
        return f"files of the driver or its sensors have changed since the preflight; {again}"
    age = (now - record.made) / 3600.0
    if not -0.1 <= age <= record.hours:
        return f"the preflight is {age:.1f} h old, it counts for {record.hours:g} h; {again}"
    if record.broken_off:
        return f"the preflight was broken off: {record.broken_off}; {again}"
    if record.failed:
        names = ", ".join(f"{c['check']} {c['joint']}".strip() for c in record.failed)
        return f"the preflight failed in {names}; mend it and {again}"
    if not any(c["check"] == "sign" and c["verdict"] == "pass" for c in record.checks):
        return f"the preflight moved nothing; {again}"
    return ""


def arming_reason(
    path: Path | str, machine: str, spec: MachineSpec, kind: str, now: float, fingerprint: str = ""
) -> str:
    """Return why arming must be refused, or ``""``; never raises.

    A simulated robot needs a record only where one is named; see :func:`preflight_reason`. Who
    starts a real driver in front of an emulated machine names :data:`NONE`.
    """
    if str(path) == NONE:
        return ""
    if str(path):
        return preflight_reason(path, machine, spec, kind, now, fingerprint)
    if kind in SIMULATED:
        return ""
    return f"a {kind or 'robot of unknown kind'} needs a record, and none is named"


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False,
        default=str,
    ).encode()  # fmt: skip
