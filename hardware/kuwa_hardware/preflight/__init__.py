"""Preflight: the machine as it is against the machine of the file, before anything is armed."""

from kuwa_hardware.preflight.record import (
    Record,
    arming_reason,
    make_record,
    preflight_reason,
    read_record,
    spec_hash,
    write_record,
)
from kuwa_hardware.preflight.results import Check, PreflightError, Verdict
from kuwa_hardware.preflight.session import SOURCE, Plan, Preflight

__all__ = [
    "SOURCE",
    "Check",
    "Plan",
    "Preflight",
    "PreflightError",
    "Record",
    "Verdict",
    "arming_reason",
    "make_record",
    "preflight_reason",
    "read_record",
    "spec_hash",
    "write_record",
]
