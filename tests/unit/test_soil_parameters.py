"""Soils are read strictly: what is wrong is refused with file, key, value and remedy."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kuwa_sim.soil import SoilError, load_soil
from kuwa_sim.soil.parameters import SOILS

GOOD = (SOILS / "sandy_loam.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted(SOILS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_soil_that_comes_with_kuwa_loads(file: Path) -> None:
    soil = load_soil(file.stem)
    assert 1300 < soil.density < 1900
    assert soil == load_soil(file)


def test_quantities_arrive_in_si() -> None:
    soil = load_soil("sandy_loam")
    assert soil.specific_weight == 15e3
    assert soil.cohesion == 10e3
    assert soil.internal_friction == pytest.approx(math.radians(35))


def test_wall_height_and_bearing_factors_agree_with_textbooks() -> None:
    # Hc = 4 * 10 / 15 * tan(62.5°); Nc, Nq at 35° from any table of bearing capacity factors.
    soil = load_soil("sandy_loam")
    assert soil.wall_height == pytest.approx(5.12, abs=0.01)
    n_c, n_q, n_gamma = soil.bearing_factors
    assert (n_c, n_q, n_gamma) == pytest.approx((46.1, 33.3, 48.0), abs=0.1)
    assert load_soil("dry_sand").wall_height == 0.0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("swell:", "swel:", ["swel", "did you mean 'swell'"]),
        ("{value: 10, unit: kPa, source: table}", "10", ["cohesion", "no unit", "unit: Pa"]),
        ("unit: kPa", "unit: kN", ["cohesion", "'kN'", "kPa"]),
        ("value: 1.2,", "value: 0.8,", ["swell", "0.8", "1 to 2"]),
        ("value: 35, unit: deg, source: table", "value: 75, unit: deg, source: table",
         ["internal_friction", "75", "0 to 50 deg"]),
        ("value: 22", "value: 39", ["metal_friction", "39", "35"]),
        ("source: repose", "source: hearsay", ["repose", "hearsay", "literature"]),
        ("name: sandy_loam", "name: sand", ["name", "'sand'", "'sandy_loam'"]),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_the_remedy(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    file = tmp_path / "sandy_loam.yaml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(SoilError) as refusal:
        load_soil(file)
    assert str(file) in str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


def test_an_unknown_soil_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(SoilError, match=r"did you mean 'dry_sand'.*sandy_loam"):
        load_soil("dry_sandy")
