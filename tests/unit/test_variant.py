"""A machine may be another one but for some of its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuwa_machines import MachineError, load_machine, machine_folders
from kuwa_machines.loader import load_machine_file

HEAD = "name: other\ntitle: Other\nmodel: {model}\n"


def write(tmp_path: Path, text: str, extends: str = "zx200") -> Path:
    file = tmp_path / "other" / "machine.yaml"
    file.parent.mkdir()
    model = machine_folders()["zx200"] / "model.xml"
    file.write_text(f"extends: {extends}\n" + HEAD.format(model=model) + text)
    return file


def test_only_what_it_says_differs(tmp_path: Path) -> None:
    text = "sources: {shop: a shop}\nlinks: {boom_link: {mass: {value: 2, unit: t, source: shop}}}"
    spec, base = load_machine_file(write(tmp_path, text)), load_machine("zx200")
    assert spec.links["boom_link"].mass == 2000
    assert spec.links["boom_link"].com == base.links["boom_link"].com
    assert spec.joints == base.joints and spec.hydraulics == base.hydraulics
    assert spec.sources == {**base.sources, "shop": "a shop"}
    assert base.links["boom_link"].mass == 2130


def test_a_section_of_another_type_takes_the_place_of_the_whole() -> None:
    spec, base = load_machine("zx200_nfc"), load_machine("zx200")
    assert spec.hydraulics.type == "negative_flow" and base.hydraulics.type == "load_sensing"
    assert "load_sensing_margin" not in spec.raw["hydraulics"]
    assert all(joint.drive == base.joints[name].drive for name, joint in spec.joints.items())
    assert "opera_limits" in base.sources and "opera_limits" not in spec.sources


@pytest.mark.parametrize(
    ("text", "extends", "says"),
    [
        ("", "zx20", "no machine 'zx20'; did you mean 'zx200'"),
        ("", "zx200_nfc", "extends another itself"),
        ("sources: {handbook: mine}", "zx200", "handbook says something else in zx200"),
        ("hydraulic: {}", "zx200", "hydraulic: unknown key; did you mean 'hydraulics'"),
        ("hydraulics: {type: negative_flow}", "zx200", "standby_flow: this key is missing"),
        ("hydraulics: {type: positive}", "zx200", "positive"),
        (
            "hydraulics: {pump_flow: {value: .nan, unit: L/min, source: handbook}}", "zx200",
            "hydraulics.load_sensing.pump_flow: value nan is not finite",
        ),
        (
            "hydraulics: {pump_power: {value: 500, unit: kW, source: handbook}}", "zx200",
            r"pump_power 5e\+05 W must be at most engine_power 1.21e\+05 W",
        ),
        (
            "hydraulics: {oil: {viscosity_100: {value: 60, unit: mm2/s, source: handbook}}}",
            "zx200", "viscosity_100 60 mm2/s must be above 2 and below",
        ),
        (
            "hydraulics: {wear: {leakage: {value: -1, unit: 1/h, source: handbook}}}", "zx200",
            "must not be negative",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(tmp_path: Path, text: str, extends: str, says: str) -> None:
    file = write(tmp_path, text, extends)
    with pytest.raises(MachineError, match=says) as caught:
        load_machine_file(file)
    assert str(file) in str(caught.value)
