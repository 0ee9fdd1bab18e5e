"""Every fault does what it says, from when to when it says; impossible ones are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from kuwa_machines import load_machine
from kuwa_sim.faults import ActuatorFault, ActuatorFaults, AnyFault, Fault, FaultError, check_faults
from sensing_rig import StillPlant, exact, follow, sampled, with_sensors

ZX = load_machine("zx200")
STILL = {"noise": exact(0, "m")}
SPEC = with_sensors(
    ZX,
    gnss=sampled(
        20.0, horizontal=STILL, vertical=STILL, velocity={"noise": exact(0, "m/s")},
        delay=exact(50, "ms"),
    ),
    pressures=sampled(100.0, noise=exact(0, "bar")),
    terrain=sampled(
        5.0, link="boom_link", at={"value": [0, 0, 4], "unit": "m", "source": "test"},
        max_range=exact(30, "m"), resolution=exact(0.01, "deg"), grazing=exact(0, "deg"),
        noise=exact(0, "m"),
    ),
)  # fmt: skip


def ramp(plant: Any, t: float) -> None:
    plant.base_position = np.full(3, t)
    plant.q = np.full(4, t)
    plant.qd = np.full(4, -t)
    plant.pressures = np.full((4, 2), 1e6 * t)


def run(*faults: dict[str, Any], ticks: int = 300) -> dict[str, np.ndarray]:
    states = follow(
        StillPlant(SPEC), ticks, faults=[Fault.model_validate(f) for f in faults], move=ramp
    )
    fields = ("stamp", "q", "qd", "pressure", "base_position", "base_stamp", "base_velocity")
    return {name: np.array([getattr(state, name) for state in states]) for name in fields}


def test_an_outage_holds_the_last_reading_and_lets_it_age() -> None:
    r = run({"sensor": "gnss", "kind": "outage", "from_s": 1, "to_s": 2})
    t, stamp = r["stamp"], r["base_stamp"]
    out = (t >= 1.05) & (t < 2.05 - 1e-9)
    assert np.all(stamp[out] == pytest.approx(0.95))
    assert r["base_position"][out] == pytest.approx(0.95)
    assert np.all((t - stamp)[(t > 0.5) & ~out] < 0.1)
    assert r["q"][:, 0] == pytest.approx(t)


def test_a_stuck_encoder_goes_on_with_its_last_value_or_the_given_one() -> None:
    r = run(
        {"sensor": "encoders", "joint": "boom_joint", "kind": "stuck", "from_s": 1, "to_s": 2},
        {"sensor": "encoders", "joint": "arm_joint", "quantity": "position", "kind": "stuck",
         "value": 0.7, "from_s": 2},
    )  # fmt: skip
    t = r["stamp"]
    first, second = (t >= 1) & (t < 2), t >= 2
    assert r["q"][first, 1] == pytest.approx(0.99)
    assert r["qd"][first, 1] == pytest.approx(-0.99)
    assert r["q"][~first, 1] == pytest.approx(t[~first])
    assert r["q"][second, 2] == pytest.approx(0.7)
    assert r["qd"][:, 2] == pytest.approx(-t)
    assert r["q"][:, [0, 3]] == pytest.approx(np.stack([t, t], 1))


def test_a_stuck_receiver_does_not_show_its_age() -> None:
    r = run({"sensor": "gnss", "kind": "stuck", "from_s": 1})
    assert r["base_position"][-1] == pytest.approx(0.95)
    assert r["base_stamp"][-1] > 2.8


def test_bias_and_scale_change_what_is_said() -> None:
    r = run(
        {"sensor": "gnss", "kind": "bias", "quantity": "position", "axis": "z", "value": 0.3,
         "from_s": 1},
        {"sensor": "encoders", "joint": "swing_joint", "kind": "scale", "quantity": "position",
         "value": 1.5, "to_s": 1},
        {"sensor": "pressures", "joint": "bucket_joint", "kind": "bias", "value": 2e5},
    )  # fmt: skip
    t, late = r["stamp"], r["base_stamp"] >= 1
    true = r["base_stamp"].clip(0)
    assert r["base_position"][late, 2] == pytest.approx(true[late] + 0.3)
    assert r["base_position"][~late, 2] == pytest.approx(true[~late])
    assert r["base_position"][:, 0] == pytest.approx(true)
    assert r["q"][t < 1, 0] == pytest.approx(1.5 * t[t < 1])
    assert r["q"][t >= 1, 0] == pytest.approx(t[t >= 1])
    assert r["pressure"][:, 3] == pytest.approx(np.stack([1e6 * t, 1e6 * t], 1) + 2e5)
    assert r["pressure"][:, 2] == pytest.approx(np.stack([1e6 * t, 1e6 * t], 1))


def test_noise_is_added_with_its_standard_deviation() -> None:
    r = run(
        {"sensor": "encoders", "quantity": "position", "kind": "noise", "value": 0.1, "from_s": 10},
        ticks=3000,
    )
    error = r["q"] - r["stamp"][:, None]
    assert np.abs(error[:1000]).max() < 1e-12
    assert error[1000:].std() == pytest.approx(0.1, rel=0.04)


def test_dropout_loses_its_share_of_one_joint_or_of_the_sensor() -> None:
    r = run({"sensor": "encoders", "joint": "boom_joint", "kind": "dropout", "value": 0.3},
            {"sensor": "gnss", "kind": "dropout", "value": 0.4}, ticks=4000)  # fmt: skip
    assert (np.diff(r["q"][:, 1]) == 0).mean() == pytest.approx(0.3, abs=0.03)
    assert (np.diff(r["q"][:, 0]) == 0).sum() == 0
    arrived = np.unique(r["base_stamp"][r["base_stamp"] >= 0]).size
    assert arrived / 800 == pytest.approx(0.6, abs=0.06)


def test_delay_makes_readings_late_and_then_catches_up() -> None:
    r = run({"sensor": "gnss", "kind": "delay", "value": 0.3, "from_s": 1, "to_s": 2})
    t, age = r["stamp"], r["stamp"] - r["base_stamp"]
    late = (t >= 1.35) & (t < 2)
    assert age[late].min() == pytest.approx(0.35)
    assert age[late].max() == pytest.approx(0.39)
    assert age[t >= 2].max() < 0.1
    assert np.all(np.diff(r["base_stamp"]) >= 0)


def maps(*faults: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Ticks at which maps arrive, and the height of a cell in each, which is the time."""

    def rise(plant: Any, t: float) -> None:
        plant.terrain.height[:] = t / 10

    given = [Fault.model_validate(f) for f in faults]
    states = follow(StillPlant(SPEC), 201, faults=given, move=rise)
    at = [k for k, state in enumerate(states) if state.terrain is not None]
    return np.array(at), np.array([10 * states[k].terrain.height[70, 30] for k in at])


def test_faults_of_the_height_scan() -> None:
    at, height = maps()
    assert at.tolist() == list(range(0, 201, 20))
    assert height == pytest.approx(at / 100)
    at, _ = maps({"sensor": "terrain", "kind": "outage", "from_s": 0.5, "to_s": 1.1})
    assert at.tolist() == [0, 20, 40, 120, 140, 160, 180, 200]
    _, height = maps({"sensor": "terrain", "kind": "stuck", "from_s": 1})
    assert height[5:] == pytest.approx(0.8)
    _, height = maps({"sensor": "terrain", "kind": "bias", "value": 0.5, "from_s": 1})
    assert height[:5] == pytest.approx(np.arange(5) / 5)
    assert height[5:] == pytest.approx(5 + np.arange(5, 11) / 5)
    at, height = maps({"sensor": "terrain", "kind": "delay", "value": 0.05, "from_s": 1})
    assert at.tolist() == [0, 20, 40, 60, 80, 105, 125, 145, 165, 185]
    assert height[5:] == pytest.approx(np.arange(5, 10) / 5)
    at, _ = maps({"sensor": "terrain", "kind": "dropout", "value": 1.0, "from_s": 0.1})
    assert at.tolist() == [0]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"sensor": "gps", "kind": "outage"}, "gnss"),
        ({"sensor": "gnss", "kind": "broken"}, "outage"),
        ({"sensor": "gnss", "kind": "dropout"}, "value: missing"),
        ({"sensor": "gnss", "kind": "dropout", "value": 1.5}, r"\(0, 1\]"),
        ({"sensor": "gnss", "kind": "outage", "value": 1.5}, "takes none"),
        ({"sensor": "gnss", "kind": "delay", "value": 50}, "at most"),
        ({"sensor": "gnss", "kind": "noise", "quantity": "position", "value": -1}, "positive"),
        ({"sensor": "gnss", "kind": "bias", "value": 0.1}, "position, velocity"),
        ({"sensor": "gnss", "kind": "bias", "value": 0.1, "quantity": "speed"}, "position"),
        ({"sensor": "gnss", "kind": "bias", "value": float("nan")}, "finite number"),
        ({"sensor": "gnss", "kind": "stuck", "joint": "boom_joint"}, "encoders"),
        ({"sensor": "gnss", "kind": "stuck", "camera": "cab"}, "cameras"),
        ({"sensor": "encoders", "kind": "delay", "value": 0.1, "joint": "boom_joint"}, "whole"),
        ({"sensor": "encoders", "kind": "stuck", "axis": "x"}, "axis"),
        ({"sensor": "imu", "kind": "stuck", "quantity": "attitude", "axis": "z"}, "heading"),
        ({"sensor": "cameras", "kind": "bias", "value": 0.1}, "pictures"),
        ({"sensor": "terrain", "kind": "scale", "value": 0.1}, "heights"),
        ({"sensor": "gnss", "kind": "outage", "from_s": 2, "to_s": 1}, "above from_s"),
        ({"joint": "boom_joint", "kind": "weak"}, "share"),
        ({"joint": "boom_joint", "kind": "dead_valve", "value": 0.1}, "takes none"),
        ({"joint": "boom_joint", "kind": "stuck_valve", "value": 2}, r"\[-1, 1\]"),
    ],
)
def test_an_impossible_fault_is_refused(fault: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        TypeAdapter(AnyFault).validate_python(fault)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"sensor": "imu", "kind": "outage"}, r"faults\[1\].sensor: zx200 has no 'imu'.*gnss"),
        ({"sensor": "encoders", "kind": "outage", "joint": "bom_joint"}, "mean 'boom_joint'"),
        ({"joint": "blade_joint", "kind": "dead_valve"}, r"faults\[1\].joint: .*boom_joint"),
    ],
)
def test_a_fault_of_what_the_machine_lacks_is_refused(fault: dict[str, Any], why: str) -> None:
    sound = Fault(sensor="gnss", kind="outage")
    with pytest.raises(FaultError, match=why):
        check_faults([sound, TypeAdapter(AnyFault).validate_python(fault)], SPEC)


def test_travel_drives_have_no_pressure_to_be_wrong() -> None:
    fault = Fault(sensor="pressures", kind="outage", joint="sprocket_left_joint")
    with pytest.raises(FaultError, match="lift_joint"):
        check_faults([fault], load_machine("d37"))


def test_valves_follow_their_faults() -> None:
    faults = [
        ActuatorFault(joint="swing_joint", kind="weak", value=0.5, from_s=1),
        ActuatorFault(joint="boom_joint", kind="dead_valve", from_s=1, to_s=2),
        ActuatorFault(joint="arm_joint", kind="stuck_valve", from_s=1, to_s=2),
        ActuatorFault(joint="bucket_joint", kind="stuck_valve", value=-0.3, from_s=1),
    ]
    valves = ActuatorFaults(faults, ZX)
    asked = np.array([0.4, 0.4, 0.4, 0.4])
    assert valves.apply(asked, 0.5) == pytest.approx(asked)
    assert valves.apply(0 * asked, 1.0) == pytest.approx([0, 0, 0.4, -0.3])
    assert valves.apply(-asked, 1.5) == pytest.approx([-0.2, 0, 0.4, -0.3])
    assert valves.apply(-asked, 2.0) == pytest.approx([-0.2, -0.4, -0.4, -0.3])
    wrong = np.array([0.0, np.nan, 0.0, 0.0])
    assert valves.apply(wrong, 1.5) is wrong
