"""Our forces agree with published values, and no random stroke of any tool loses soil."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuwa_sim.checks.strokes import Strokes
from kuwa_sim.checks.table import FILE, CheckError, Outcome, load_checks, outcomes
from kuwa_sim.soil.parameters import SOILS

CHECKS = load_checks()


@pytest.mark.parametrize("model", sorted({check.model for check in CHECKS}))
def test_every_force_model_is_within_a_percent_of_its_published_values(model: str) -> None:
    found = list(outcomes(tuple(check for check in CHECKS if check.model == model)))
    assert found
    for outcome in found:
        assert outcome.error <= 0.01, f"{outcome.check.name}: {outcome.value}"
        assert outcome.as_printed, f"{outcome.check.name}: {outcome.value}"


def test_the_table_covers_what_the_simulation_computes() -> None:
    models = {check.model for check in CHECKS}
    assert {"bucket_edge_force", "blade_edge_force", "plough_draft"} <= models
    assert {"track_contact_thrust", "tyre_contact_net_traction"} <= models
    implements = {check.given["implement"] for check in CHECKS if "implement" in check.given}
    assert len(implements) == 7


def test_an_outcome_that_is_off_is_seen() -> None:
    check = next(check for check in CHECKS if check.printed == "28.9")
    assert Outcome(check, 28.86).as_printed
    assert not Outcome(check, 28.99).as_printed
    assert Outcome(check, 1.02 * check.expected.value).error == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("model: wall_height", "model: wall_hight", ["wall_hight", "did you mean 'wall_height'"]),
        ("unit: \"kPa\"", "unit: \"psi\"", ["expected.unit", "kPa"]),
        ("source: terzaghi", "source: hearsay", ["hearsay"]),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    text = FILE.read_text("utf-8")
    assert old in text
    file = tmp_path / "forces.yaml"
    file.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(CheckError) as refusal:
        load_checks(file)
    for word in [*words, str(file)]:
        assert word in str(refusal.value)


def test_an_argument_that_a_model_does_not_take_is_named() -> None:
    check = next(check for check in CHECKS if check.model == "wall_height")
    wrong = check.model_copy(update={"given": {"soil": "loam", "depth": 1.0}})
    with pytest.raises(CheckError, match="depth"):
        list(outcomes((wrong,)))


@pytest.mark.parametrize("soil", sorted(file.stem for file in SOILS.glob("*.yaml")))
def test_random_strokes_lose_no_soil(soil: str) -> None:
    strokes = Strokes(soil, seed=7)
    before = strokes.ground.height.copy()
    strokes.run(400)
    assert strokes.done == 400
    assert abs(strokes.ground.height - before).max() > 0.1
    tools = (strokes.bucket, strokes.blade, strokes.plough, strokes.dump)
    assert all(tool.moved > 1e-3 for tool in tools), [tool.moved for tool in tools]
    assert strokes.ground.packed.sum() > 0.01, "and wheels have pressed ruts"
    assert strokes.ground.volume_error() <= 1e-12
