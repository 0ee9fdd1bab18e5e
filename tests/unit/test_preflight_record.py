"""The record of a preflight: whole or refused, and only for this machine, driver and shift."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kuwa_hardware.canopen_sensors.config import load_sensors
from kuwa_hardware.preflight import (
    Check,
    PreflightError,
    Verdict,
    arming_reason,
    make_record,
    preflight_reason,
    read_record,
    write_record,
)
from kuwa_machines.build import scaled
from kuwa_machines.datafile import fingerprint
from kuwa_machines.loader import load_machine

SPEC = load_machine("zx200")
HEAVIER = scaled(SPEC, {"links.boom_link.mass": 1.01}, "test")
NOW = 1_800_000_000.0
SENSORS = Path(__file__).parents[2] / "docs/how-to/canopen-zx200.yaml"
SIGN = Check("sign", "boom_joint", Verdict.PASS, "+1.7°", "+1.7°", "none", "because", "")
FAILED = replace(SIGN, verdict=Verdict.FAIL, remedy="Turn the sign.")
RECORD = make_record(SPEC, "com3_can", "socketcan:can0", "Ada", [SIGN], NOW)


def reason(path: Path, **changes: object) -> str:
    asked = {"machine": "zx200", "spec": SPEC, "kind": "com3_can", "now": NOW + 3600.0} | changes
    return preflight_reason(path, **asked)  # type: ignore[arg-type]


def test_a_record_comes_back_and_allows_arming(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "preflight.json"
    digest = write_record(path, RECORD)
    assert len(digest) == 64 and read_record(path) == RECORD
    assert reason(path) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"machine": "zx120"}, "of 'zx200', not of 'zx120'"),
        ({"spec": HEAVIER}, "data of zx200 have changed"),
        ({"kind": "opera"}, "'com3_can' driver, not of 'opera'"),
        ({"now": NOW + 13 * 3600.0}, "13.0 h old, it counts for 12 h"),
        ({"now": NOW - 3600.0}, "-1.0 h old"),
    ],
)  # fmt: skip
def test_another_machine_driver_or_shift_is_refused(
    tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    path = tmp_path / "preflight.json"
    write_record(path, RECORD)
    assert why in reason(path, **changes)


@pytest.mark.parametrize(
    ("checks", "broken_off", "why"),
    [
        ([SIGN, FAILED], "", "failed in sign boom_joint"),
        ([SIGN], "a person said no", "broken off: a person said no"),
        ([], "", "moved nothing"),
    ],
)
def test_what_did_not_pass_is_refused(
    tmp_path: Path, checks: list[Check], broken_off: str, why: str
) -> None:
    path = tmp_path / "preflight.json"
    write_record(path, make_record(SPEC, "com3_can", "", "Ada", checks, NOW, broken_off))
    assert why in reason(path)


def test_an_edited_torn_or_missing_record_is_none(tmp_path: Path) -> None:
    path = tmp_path / "preflight.json"
    assert "no such record; run kuwa preflight" in reason(path)
    write_record(path, make_record(SPEC, "com3_can", "", "Ada", [FAILED], NOW))
    text = path.read_text()
    path.write_text(text.replace('"fail"', '"pass"'))
    assert "it was changed or torn" in reason(path)
    path.write_text(text[: len(text) // 2])
    assert "not readable as JSON" in reason(path)
    path.write_text(json.dumps({"format": 7}))
    assert "not a preflight's record of format 2" in reason(path)
    path.write_text(" " * 5_000_001)
    assert "larger than 5000000 bytes" in reason(path), "nobody reads a disk image to its end"
    path.write_text("[]")
    with pytest.raises(PreflightError, match="not a preflight's record"):
        read_record(path)


def test_other_files_of_the_driver_ask_for_another_preflight(tmp_path: Path) -> None:
    """A wrong sign or offset in them would let the machine run against its limits."""
    path = tmp_path / "preflight.json"
    file = load_sensors(SPEC, SENSORS)
    name, first = next(iter(file.sensors.items()))
    turned = first.model_copy(update={"offset": first.offset + 0.01})
    other = file.model_copy(update={"sensors": file.sensors | {name: turned}})
    now = fingerprint(file)
    assert now == fingerprint(load_sensors(SPEC, SENSORS))
    write_record(path, replace(RECORD, fingerprint=now))
    assert reason(path, fingerprint=now) == ""
    for found in (fingerprint(other), ""):
        assert "files of the driver or its sensors" in reason(path, fingerprint=found)
        told = arming_reason(path, "zx200", SPEC, "com3_can", NOW, found)
        assert "files of the driver or its sensors" in told


def test_who_needs_a_record(tmp_path: Path) -> None:
    """Simulated robots where one is named; real drivers always, but for an emulated machine."""
    assert arming_reason("", "zx200", SPEC, "sim", NOW) == ""
    assert "none is named" in arming_reason("", "zx200", SPEC, "com3_can", NOW)
    assert "none is named" in arming_reason("", "zx200", SPEC, "", NOW)
    assert arming_reason("none", "zx200", SPEC, "com3_can", NOW) == ""
    missing = tmp_path / "preflight.json"
    assert "no such record" in arming_reason(missing, "zx200", SPEC, "sim", NOW)
