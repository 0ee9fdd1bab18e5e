"""What the preflight makes of sensors on a machine that stands still."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kuwa_hardware.preflight import Check, Verdict
from kuwa_hardware.preflight.still import Window, limit_checks, pose_checks, still_checks
from kuwa_hardware.preflight.weights import Weights
from kuwa_machines.build import scaled
from kuwa_machines.contracts import Array
from kuwa_machines.linkage import lever_arm
from kuwa_machines.loader import load_machine
from kuwa_machines.spec import CylinderDrive
from preflight_rig import ARM, BOOM, NAMES, SPEC

PASS, FAIL, SKIPPED = Verdict.PASS, Verdict.FAIL, Verdict.SKIPPED
BUCKET = NAMES.index("bucket_joint")
COUNT = 300
LEVEL = np.array([1.0, 0.0, 0.0, 0.0])
SLOPE = np.array([0.99875, 0.05, 0.0, 0.0])
"""Of 5.7°."""


def carried(q: Array) -> Array:
    """Return pressures that bear what hangs on each joint, shape (n, 2)."""
    pressure = np.full((len(q), 2), 2e6)
    for j, joint in enumerate(SPEC.joints.values()):
        if isinstance(joint.drive, CylinderDrive):
            arm = float(lever_arm(joint.drive.linkage, q[j]))
            torque = -Weights(SPEC).at(q)[1][j]
            rest = torque - arm * 2e6 * (joint.drive.head_area - joint.drive.rod_area)
            side = 0 if rest * arm > 0.0 else 1
            area = (joint.drive.head_area, -joint.drive.rod_area)[side]
            pressure[j, side] += rest / (arm * area)
    return pressure


def window(pose: Array | None = None, **changes: object) -> Window:
    """Return what a sound machine tells, at home unless said otherwise, with changes."""
    at = SPEC.home if pose is None else pose
    t = 100.0 + 0.01 * np.arange(COUNT)
    noise = SPEC.sensors.encoders.position.noise
    n = len(NAMES)
    sound = Window(
        NAMES, t, t + 1.7e9, np.full(COUNT, 0.02),
        at + noise * np.random.default_rng(0).standard_normal((COUNT, n)), np.zeros((COUNT, n)),
        np.tile(carried(at), (COUNT, 1, 1)), np.tile([0.0, 0.0, 9.81], (COUNT, 1)),
        np.tile(LEVEL, (COUNT, 1)),
    )  # fmt: skip
    return replace(sound, **changes)  # type: ignore[arg-type]


def looked(w: Window, simulated: bool = False) -> dict[str, Check]:
    """Return the checks by name, those of a joint by name and joint."""
    return {f"{c.check} {c.joint}".strip(): c for c in still_checks(w, SPEC, simulated=simulated)}


def found(w: Window) -> set[str]:
    return {name for name, check in looked(w).items() if check.verdict is FAIL}


def test_a_sound_machine_passes_every_check_down_to_the_weights_it_carries() -> None:
    checks = looked(window())
    passed = {name for name, check in checks.items() if check.verdict is PASS}
    assert {"latency", "gravity", "weight boom_joint"} <= passed
    # At home arm and bucket weigh too little about their own joints.
    assert set(checks) - passed == {"weight arm_joint", "weight bucket_joint"}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_driver_that_tells_next_to_nothing_is_told_so(count: int) -> None:
    w = window()
    few = replace(w, **{
        name: getattr(w, name)[:count] for name in Window.__dataclass_fields__ if name != "names"
    })  # fmt: skip
    assert "rate" in found(few) and looked(few)["rate"].measured == f"{count} states"


def test_a_joint_that_is_not_a_number_is_not_held_against_any() -> None:
    q = window().q
    q[5, ARM] = np.nan
    assert found(window(q=q)) == {"finite arm_joint"}


@pytest.mark.parametrize(
    ("age", "verdict"),
    [(0.02, PASS), (0.5, FAIL), (-0.1, FAIL), (np.nan, SKIPPED), (1.7e9, SKIPPED)],
)
def test_age_counts_where_clocks_can_be_compared(age: float, verdict: Verdict) -> None:
    assert looked(window(age=np.full(COUNT, age)))["latency"].verdict is verdict


def test_a_clock_that_stands_is_a_matter_of_the_rate_and_not_of_the_joints() -> None:
    assert found(window(stamp=np.full(COUNT, 7.0))) == {"rate", "clock"}


def test_a_joint_is_at_rest_only_if_position_and_velocity_say_so() -> None:
    creeping = window().q
    creeping[:, BOOM] += 0.1 * SPEC.qd_max[BOOM] * 0.01 * np.arange(COUNT)
    assert "rest boom_joint" in found(window(q=creeping))
    told = np.zeros((COUNT, len(NAMES)))
    told[:, BOOM] = -0.1 * SPEC.qd_max[BOOM]
    assert found(window(qd=told)) == {"rest boom_joint"}


@pytest.mark.parametrize(
    ("quaternion", "acceleration", "verdicts"),
    [
        (np.full(4, np.nan), [0.0, 0.0, 9.81], {"attitude": SKIPPED}),
        (LEVEL, [np.nan] * 3, {"attitude": PASS, "gravity": SKIPPED}),
        # Nobody has filled it in.
        (np.zeros(4), [0.0, 0.0, 9.81], {"attitude": FAIL}),
        (LEVEL, [0.0, 0.0, 0.0], {"attitude": PASS, "gravity": FAIL}),
        (LEVEL, [0.0, 0.0, -9.81], {"gravity": FAIL}),
        (LEVEL, [0.0, 0.0, 1.0], {"gravity": FAIL}),
        (np.array([0.0, 0.6, 0.8, 0.0]), [0.0, 0.0, -9.81], {"attitude": FAIL, "gravity": PASS}),
        (SLOPE, [0.0, 0.979, 9.761], {"attitude": PASS, "gravity": PASS}),
        (SLOPE, [0.0, -0.979, 9.761], {"gravity": FAIL}),
    ],
)  # fmt: skip
def test_attitude_and_gravity_are_held_against_each_other(
    quaternion: Array, acceleration: list[float], verdicts: dict[str, Verdict]
) -> None:
    checks = looked(
        window(
            quaternion_wxyz=np.tile(quaternion, (COUNT, 1)),
            acceleration=np.tile(acceleration, (COUNT, 1)),
        )
    )
    for name, verdict in verdicts.items():
        assert checks[name].verdict is verdict, (name, checks[name])
        assert "nan" not in checks[name].measured


def test_pressures_in_another_unit_are_found_and_no_weight_is_read_from_them() -> None:
    checks = looked(window(pressure=1e-5 * window().pressure))
    assert checks["pressure"].verdict is FAIL
    assert not any(name.startswith("weight") for name in checks)
    unknown = looked(window(pressure=np.full((COUNT, len(NAMES), 2), np.nan)))
    assert unknown["pressure"].verdict is SKIPPED


def test_swapped_ports_do_not_carry_the_weight() -> None:
    assert "weight boom_joint" in found(window(pressure=window().pressure[:, :, ::-1]))


@pytest.mark.parametrize("end", [SPEC.q_min[BOOM], SPEC.q_max[BOOM]], ids=["upper", "lower"])
def test_what_rests_on_its_end_stop_is_not_weighed(end: float) -> None:
    q = SPEC.home.copy()
    q[BOOM] = end
    check = looked(window(q))["weight boom_joint"]
    assert check.verdict is SKIPPED and "end stop" in check.reason


def test_what_is_too_light_for_the_transmitters_is_not_weighed() -> None:
    """A bucket that hangs straight down turns nothing."""
    angles = np.linspace(SPEC.q_min[BUCKET] + 0.1, SPEC.q_max[BUCKET] - 0.1, 80)
    poses = [np.array([*SPEC.home[:BUCKET], a]) for a in angles]
    light = min(poses, key=lambda q: abs(Weights(SPEC).at(q)[1][BUCKET]))
    check = looked(window(light))["weight bucket_joint"]
    assert check.verdict is SKIPPED and "too light" in check.reason


def test_joints_without_end_have_no_reference_pose() -> None:
    spec = load_machine("d37")
    pose = dict(zip(spec.joint_names, map(float, spec.home), strict=True))
    turned = spec.home + 100.0 * ~np.isfinite(spec.q_max)
    checks = list(pose_checks(turned, spec, pose))
    assert [c.joint for c in checks] == ["lift_joint", "angle_joint", "tilt_joint"]
    assert {c.verdict for c in checks} == {PASS}
    del pose["lift_joint"]
    assert next(pose_checks(turned, spec, pose)).verdict is SKIPPED


@pytest.mark.parametrize("key", ["min", "max"])
def test_a_limit_that_was_shifted_is_found_whichever_it_is(key: str) -> None:
    wrong = scaled(SPEC, {f"joints.arm_joint.position.{key}": 0.98}, "a parameter file")
    failed = [c.joint for c in limit_checks(wrong, SPEC) if c.verdict is FAIL]
    assert failed == ["arm_joint"]


def test_a_range_with_a_dead_centre_of_its_cylinder_in_it_is_found() -> None:
    """There the cylinder could not move the joint back, whatever file the range is from."""
    boom = SPEC.joints["boom_joint"]
    wide = boom.model_copy(
        update={"position": boom.position.model_copy(update={"min": -3.1, "max": 3.1})}
    )
    spec = SPEC.model_copy(update={"joints": SPEC.joints | {"boom_joint": wide}})
    assert [c.joint for c in limit_checks(spec, spec) if c.verdict is FAIL] == ["boom_joint"]
