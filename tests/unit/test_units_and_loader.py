"""Data files are refused with file, key and remedy; numbers arrive in SI."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import yaml

from kuwa_machines import MachineError, load_machine
from kuwa_machines.loader import load_machine_file, machine_folders
from kuwa_machines.units import UNITS, quantity

ZX200 = machine_folders()["zx200"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the ZX200's folder that a test may spoil."""
    return Path(shutil.copytree(ZX200, tmp_path / "zx200"))


def spoil(folder: Path, old: str, new: str) -> Path:
    file = folder / "machine.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return file


REFUSALS = {
    "unknown key": ("    bore:", "    boar:", ["boar", "unknown key", "'bore'"]),
    "missing unit": (
        "{value: 7434, unit: kg, source: opera_sim}", "{value: 7434, source: opera_sim}",
        ["links.track_link.mass", "missing 'unit'"],
    ),
    "no unit at all": (
        "{value: 7434, unit: kg, source: opera_sim}", "7434",
        ["links.track_link.mass", "7434", "has no unit"],
    ),
    "wrong dimension": (
        "{value: 7434, unit: kg, source: opera_sim}", "{value: 7434, unit: m, source: opera_sim}",
        ["links.track_link.mass", "'m' is no mass", "kg"],
    ),
    "unknown source": (
        "unit: kg, source: opera_sim", "unit: kg, source: opera_simm",
        ["opera_simm", "did you mean 'opera_sim'"],
    ),
    "limits out of order": (
        "min: {value: -1.137, unit: rad", "min: {value: 1.137, unit: rad",
        ["joints.boom_joint.position", "min 1.137 rad must be below max -0.1"],
    ),
    "not finite": ("value: 7434", "value: .nan", ["links.track_link.mass", "not finite"]),
    "joint the model lacks": (
        "  boom_joint:\n", "  bom_joint:\n", ["bom_joint", "did you mean 'boom_joint'"],
    ),
    "link nobody has": ("link: bucket_link", "link: buckett", ["tool.link", "'bucket_link'"]),
    "rod wider than bore": (
        "rod: {value: 85, unit: mm", "rod: {value: 850, unit: mm", ["below bore", "0.85"],
    ),
    "bars that cannot meet": (
        "rocker: {value: 0.62", "rocker: {value: 0.02",
        ["bucket_joint.drive.linkage", "cannot meet"],
    ),
    "text for a number": ("value: 7434", "value: heavy", ["links.track_link.mass", "heavy"]),
    "key given twice": ("kind: excavator", "kind: excavator\nkind: excavator", ["given twice"]),
    "not yaml": ("kind: excavator", "kind: [", ["not valid YAML"]),
    "negative mass": ("value: 7434", "value: -7434", ["links.track_link", "must be positive"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_wrong_machine_is_refused_with_file_key_and_remedy(case: str, folder: Path) -> None:
    old, new, words = REFUSALS[case]
    file = spoil(folder, old, new)
    with pytest.raises(MachineError) as refusal:
        load_machine_file(file)
    message = str(refusal.value)
    assert str(file) in message
    for word in words:
        assert word in message, message


def test_missing_model_file_is_named(folder: Path) -> None:
    (folder / "model.xml").unlink()
    with pytest.raises(MachineError, match=r"model.*no file"):
        load_machine_file(folder / "machine.yaml")


def test_empty_file_is_refused(folder: Path) -> None:
    (folder / "machine.yaml").write_text("")
    with pytest.raises(MachineError, match="expected a mapping"):
        load_machine_file(folder / "machine.yaml")


def test_unknown_machine_lists_the_known() -> None:
    with pytest.raises(MachineError, match=r"zx20.*did you mean 'zx200'"):
        load_machine("zx20")


def test_every_number_of_the_zx200_has_a_known_source() -> None:
    raw = yaml.safe_load((ZX200 / "machine.yaml").read_text())
    assert load_machine("zx200").sources == raw["sources"]


@pytest.mark.parametrize("dimension", UNITS)
def test_every_unit_converts_linearly(dimension: str) -> None:
    read = quantity(dimension).func
    for unit, factor in UNITS[dimension].items():
        assert read({"value": 2, "unit": unit, "source": "s"}) == pytest.approx(2 * factor)  # type: ignore[call-arg]


def test_si_values_of_some_published_numbers() -> None:
    spec = load_machine("zx200")
    assert spec.links["track_link"].mass == 7434
    assert spec.joints["swing_joint"].position.max == pytest.approx(math.pi)
    assert spec.hydraulics.pump_flow == pytest.approx(0.429 / 60)
    assert spec.dead_time == pytest.approx([0.932, 0.650, 0.426, 0.310])
