"""Warm and worn machines: each law against its published form; a new one keeps its bits."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from kuwa_machines import MachineError, load_machine, machine_folders
from kuwa_machines.hydraulics import Oil
from kuwa_machines.viscosity import slowing, thickening, viscosity
from kuwa_sim.condition import Condition, apply

SPEC = load_machine("zx200")
OIL = SPEC.hydraulics.oil


def sheet(v40: float, v100: float) -> Oil:
    return OIL.model_copy(update={"viscosity_40": v40 * 1e-6, "viscosity_100": v100 * 1e-6})


def test_viscosity_of_a_gear_oil_between_its_two_points() -> None:
    """SAE 140, 404 and 28 mm²/s at 40 and 100 °C: 132.126 mm²/s at 60 °C by ASTM D341."""
    oil = sheet(404, 28)
    assert viscosity(oil, 40) == pytest.approx(404e-6, rel=1e-9)
    assert viscosity(oil, 100) == pytest.approx(28e-6, rel=1e-9)
    assert viscosity(oil, 60) == pytest.approx(132.126e-6, rel=0.001)


def test_viscosity_beyond_its_two_points() -> None:
    """68 and 14.85 mm²/s at 40 and 80 °C are 8.8 at 100 °C."""
    oil = sheet(68, 8.8)
    assert viscosity(oil, 80) == pytest.approx(14.85e-6, rel=0.01)


@pytest.mark.parametrize("machine", sorted(machine_folders()))
def test_a_new_machine_on_warm_oil_is_itself(machine: str) -> None:
    spec = load_machine(machine)
    assert apply(spec, Condition()) is spec
    reference = spec.hydraulics.oil.reference_temperature
    assert apply(spec, Condition(oil_temperature_c=reference)) is spec


def test_cold_oil_leaks_less_and_answers_later() -> None:
    cold = apply(SPEC, Condition(oil_temperature_c=10))
    ratio = viscosity(OIL, 10) / viscosity(OIL, OIL.reference_temperature)
    assert ratio == pytest.approx(thickening(OIL, 10)) and ratio > 5
    late = 1 + OIL.pilot_share * (ratio - 1)
    assert slowing(OIL, 10) == pytest.approx(late)
    for name in SPEC.joint_names:
        new, old = cold.joints[name].oil, SPEC.joints[name].oil
        assert new.leakage == pytest.approx(old.leakage / ratio)
        assert new.valve.dead_time == pytest.approx(old.valve.dead_time * late)
        assert new.valve.time_constant == pytest.approx(old.valve.time_constant * late)
        assert new.valve.dead_band == old.valve.dead_band
    assert cold.hydraulics == SPEC.hydraulics


def test_hours_and_what_is_added_wear_alike() -> None:
    wear = SPEC.hydraulics.wear
    worn = apply(
        SPEC,
        Condition(working_hours=2000, wear_leakage=0.5, wear_dead_band=0.1, wear_pump=0.03),
    )
    new, old = worn.joints["boom_joint"].oil, SPEC.joints["boom_joint"].oil
    assert new.leakage == pytest.approx(old.leakage * (1.5 + 2000 * wear.leakage))
    band = old.valve.dead_band * (1.1 + 2000 * wear.dead_band)
    assert new.valve.dead_band == pytest.approx(band)
    flow = SPEC.hydraulics.pump_flow * (0.97 - 2000 * wear.pump_loss)
    assert worn.hydraulics.pump_flow == pytest.approx(flow)
    assert new.valve.dead_time == old.valve.dead_time
    assert SPEC.joints["boom_joint"].oil == old


def test_a_worn_pump_loses_more_on_hot_oil() -> None:
    hot = apply(SPEC, Condition(oil_temperature_c=80, wear_pump=0.05))
    thin = viscosity(OIL, 80) / viscosity(OIL, OIL.reference_temperature)
    assert hot.hydraulics.pump_flow == pytest.approx(SPEC.hydraulics.pump_flow * (1 - 0.05 / thin))


def test_travel_drives_droop_with_their_leakage() -> None:
    spec = load_machine("d37")
    worn = apply(spec, Condition(wear_leakage=1.0))
    for name in ("sprocket_left_joint", "sprocket_right_joint"):
        new, old = worn.joints[name].drive, spec.joints[name].drive
        assert new.droop == pytest.approx(2 * old.droop)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ({"oil_temperature_c": -25.0}, r"oil at -25 degC.*dead_time .* must be in \[0, 2\]"),
        ({"wear_dead_band": 9.0}, r"dead band 9.*dead_band 0.6 must be in \[0, 0.5\)"),
        ({"wear_pump": 0.9}, "pump would deliver 0.1 of its flow"),
    ],
)
def test_a_machine_that_could_not_work_is_refused(condition: dict[str, float], says: str) -> None:
    with pytest.raises(MachineError, match=says):
        apply(SPEC, Condition(**condition))


@pytest.mark.parametrize("key", Condition.model_fields)
@pytest.mark.parametrize("value", [math.nan, math.inf, -1000.0, "warm"])
def test_a_condition_that_is_no_number_is_refused_by_key(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        Condition.model_validate({key: value})


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="oil_temperature"):
        Condition.model_validate({"oil_temperature": 20.0})
