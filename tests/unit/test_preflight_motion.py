"""Small motions of the preflight: how they are planned, foreseen, asked for and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from kuwa_hardware.flow import FlowCurve
from kuwa_hardware.gate import Gate
from kuwa_hardware.mock import MockRobot
from kuwa_hardware.preflight import Check, Plan, Preflight, PreflightError, lockstep
from kuwa_hardware.preflight.motion import column_stiffness, response
from kuwa_hardware.preflight.moved import moved_checks
from kuwa_hardware.preflight.pulses import (
    COMMAND,
    HOLD,
    ROOM,
    WAY,
    Answer,
    Mover,
    Pulse,
    first_way,
    movers,
    plan,
)
from kuwa_hardware.preflight.results import judged
from kuwa_hardware.preflight.session import REST, WATCH
from kuwa_hardware.preflight.weights import Weights
from kuwa_machines.build import scaled
from kuwa_machines.contracts import Array, Mode
from kuwa_machines.linkage import lever_arm
from kuwa_machines.loader import load_machine
from kuwa_machines.spec import CylinderDrive, MachineSpec
from preflight_rig import BOOM, NAMES, SPEC, ValveRobot, checked
from preflight_rig import plan as plan_of

D37 = load_machine("d37")
SWING, BUCKET = NAMES.index("swing_joint"), NAMES.index("bucket_joint")
LOW, HIGH = float(SPEC.q_min[BOOM]), float(SPEC.q_max[BOOM])


def pulse(q: float, direction: float, back: float = 0.0, spec: MachineSpec = SPEC) -> Pulse | None:
    """Return the motion of a boom that stands at q."""
    pose = spec.home.copy()
    pose[BOOM] = q
    return plan(spec, pose, Mover("boom_joint", (BOOM,)), direction, WAY, back)


def test_it_begins_away_from_a_near_limit_and_upwards_elsewhere() -> None:
    for lift in (1.0, -1.0):
        assert first_way(SPEC, BOOM, LOW + 0.05, lift) == 1.0
        assert first_way(SPEC, BOOM, HIGH - 0.05, lift) == -1.0
        assert first_way(SPEC, BOOM, 0.5 * (LOW + HIGH), lift) == lift


@pytest.mark.parametrize(("limit", "outward"), [(LOW, -1.0), (HIGH, 1.0)])
def test_nothing_is_pushed_against_a_limit_nor_on_from_beyond_it(
    limit: float, outward: float
) -> None:
    # An offset that is wrong shows a joint beyond its range.
    for beyond in (-0.01, 0.0, 0.1):
        assert pulse(limit + outward * beyond, outward) is None
        assert pulse(limit + outward * beyond, -outward) is not None
    short = pulse(limit - outward * (ROOM + 0.02), outward)
    assert short is not None and short.way <= 0.02 + 1e-9
    # Where it has just come from it may go back to, all but a fifth of the way.
    again = pulse(limit - outward * 0.01, outward, back=0.025)
    assert again is not None and again.way == pytest.approx(0.02)


def test_motions_are_long_enough_to_be_seen_short_and_within_what_the_gate_allows() -> None:
    for mover in movers(SPEC):
        made = plan(SPEC, SPEC.home, mover, 1.0, WAY)
        assert made is not None
        assert HOLD[0] <= made.hold <= HOLD[1] and np.abs(made.command).max() <= COMMAND
        (j,) = mover.joints
        speed = FlowCurve(SPEC).one(j, made.command[j], SPEC.home[j])
        assert made.way == pytest.approx(max(WAY, speed * HOLD[0]))
        assert made.after > SPEC.dead_time[j] + SPEC.joints[NAMES[j]].drive.valve.time_constant


def test_a_machine_that_rolls_does_so_for_as_long_as_any_motion() -> None:
    travel = next(mover for mover in movers(D37) if mover.travel)
    made = plan(D37, D37.home, travel, 1.0, WAY)
    assert made is not None and made.hold == HOLD[1]


def test_a_valve_that_needs_more_than_the_gate_allows_is_said_not_to_move() -> None:
    band = SPEC.joints["boom_joint"].drive.valve.dead_band
    worn = scaled(SPEC, {"joints.boom_joint.drive.valve.dead_band": 0.4 / band}, "test")
    made = pulse(float(SPEC.home[BOOM]), 1.0, spec=worn)
    assert made is not None and 0.0 < np.abs(made.command).max() <= COMMAND
    assert made.way < 1e-4


# The model ----------------------------------------------------------------------------------


def test_a_heavy_upper_structure_swings_on_its_oil_and_a_travel_drive_does_not() -> None:
    t = np.arange(0.0, 1.0, 0.01)
    u = np.where(t < 0.5, 0.25, 0.0)
    inertia = float(Weights(SPEC).at(SPEC.home)[0][SWING])
    _, way = response(SPEC, SWING, SPEC.home, inertia, t, u, 4.0)
    speed = FlowCurve(SPEC).one(SWING, 0.25, 0.0)
    assert way[-1] == pytest.approx(0.5 * speed, rel=0.05) and way.max() > 1.1 * way[-1]
    _, rolled = response(D37, 0, D37.home, 1.0, t, u, 4.0)
    assert rolled[-1] == pytest.approx(0.5 * FlowCurve(D37).one(0, 0.25, 0.0), rel=0.02)
    assert rolled.max() == rolled[-1]


@pytest.mark.parametrize("end", ["min", "max"])
def test_oil_behind_a_piston_at_its_end_is_the_dead_volume_and_never_less(end: str) -> None:
    joint = SPEC.joints["boom_joint"]
    limit = getattr(joint.position, end)
    assert isinstance(joint.drive, CylinderDrive)
    told = []
    for q in (limit, limit + (0.05 if end == "max" else -0.05)):
        arm = float(lever_arm(joint.drive.linkage, q))
        told.append(column_stiffness(SPEC, BOOM, q) / arm**2)
    assert 0.9 * told[0] < told[1] <= told[0]


# What came of it ------------------------------------------------------------------------------


def judge(mover: Mover, moved: Sequence[float], others: np.ndarray) -> dict[str, Check]:
    """Return the checks of a joint that should have moved by 0.03 rad to and fro."""
    none = np.zeros(0)
    answers = [
        Answer(1.0, 0.0, m, w, others, False, 1.0, none, none, none, none)
        for m, w in zip(moved, (0.03, -0.03), strict=True)
    ]
    told = moved_checks(mover, dict.fromkeys(mover.joints, answers), SPEC, False)
    return {check.check: check for check in told if check.joint == NAMES[mover.joints[0]]}


def test_a_joint_that_did_not_move_is_blamed_for_nothing_else() -> None:
    found = judge(Mover("boom_joint", (BOOM,)), (1e-6, -1e-6), np.zeros(4))
    assert found.pop("moves").verdict == "fail"
    assert {name for name, c in found.items() if c.verdict == "skipped"} == {
        "sign", "scale", "dead_time", "velocity",
    }  # fmt: skip
    assert not any(check.verdict == "fail" for check in found.values())


def test_a_machine_of_which_everything_moves_has_no_neighbours() -> None:
    found = judge(Mover("all", (0, 1, 2, 3)), (0.03, -0.03), np.full(4, 0.03))
    assert {"order", "others"}.isdisjoint(found)
    assert {c.verdict.value for c in found.values()} == {"pass"}


def test_a_check_that_there_is_not_is_refused() -> None:
    with pytest.raises(PreflightError, match="did you mean 'sign'"):
        judged("sing", True, "", "")


# The session ------------------------------------------------------------------------------------


class Asked(Preflight):
    """Keeps what it has asked."""

    def reply(self, yes: bool) -> None:
        self.asked = [*getattr(self, "asked", []), self.question]
        super().reply(yes)


def test_a_person_is_told_that_the_machine_will_roll_and_then_it_does() -> None:
    robot = MockRobot(D37)
    robot.connect()
    session = Asked(Plan(D37, D37, "mock", True, travel=True))
    lockstep.run(session, robot)
    questions = [question for question in dict.fromkeys(session.asked) if question]
    assert len(questions) == 4 and "Move tilt by about 2°" in questions[0]
    assert "Roll the machine" in questions[-1]
    assert {c.joint for c in session.checks if c.check == "sign"} == set(D37.joint_names)


def test_an_answer_that_nobody_asked_for_is_none() -> None:
    session = Preflight(plan_of(ValveRobot()))
    session.reply(False)
    assert not session.finished and not session.refused


def test_a_joint_without_room_is_named_and_left_alone() -> None:
    home = float(SPEC.home[BUCKET])
    tight = scaled(SPEC, {
        "joints.bucket_joint.position.min": (home - 0.02) / SPEC.q_min[BUCKET],
        "joints.bucket_joint.position.max": (home + 0.02) / SPEC.q_max[BUCKET],
    }, "test")  # fmt: skip
    robot = ValveRobot()
    session = checked(robot, spec=tight, file=tight)
    assert [(c.check, c.joint) for c in session.failures if c.check == "near_limit"] == [
        ("near_limit", "bucket_joint")
    ]
    assert abs(robot.q[BUCKET] - home) < 1e-6
    assert any(c.check == "sign" and c.joint == "boom_joint" for c in session.checks)


def begun(session: Preflight, robot: ValveRobot, calm: float = 0.0) -> Array:
    """Return the first motion that is asked for of a machine that moves by itself until then."""
    out = np.zeros(len(NAMES))
    while not out.any():
        state = robot.advance()
        if robot.time < calm:
            state = replace(state, qd=0.1 * SPEC.qd_max)
        session.reply(True)
        out = session.step(robot.time, state, np.zeros(len(NAMES)))
        assert robot.time < 60.0
    return out


def test_nothing_begins_before_the_machine_stands_still_and_then_at_once() -> None:
    robot, calm = ValveRobot(), WATCH + 2.5
    begun(Preflight(plan_of(robot)), robot, calm)
    assert calm + REST <= robot.time < calm + REST + 0.1


def test_a_joint_that_is_too_far_is_let_go_at_once() -> None:
    robot = ValveRobot()
    session = Preflight(plan_of(robot))
    asked = begun(session, robot)
    assert session.step(robot.time, robot.advance(), asked).any()
    robot.q[BUCKET] += 0.5
    assert not session.step(robot.time, robot.advance(), asked).any()


def test_a_gate_that_may_not_be_armed_ends_it() -> None:
    class Latched(Gate):
        def set_mode(self, mode: Mode, source: str) -> tuple[bool, str]:
            return (False, "stopped") if mode is Mode.ARMED else super().set_mode(mode, source)

    robot = ValveRobot()
    session = checked(robot, Latched(SPEC))
    assert session.refused == "the gate refuses mode 'armed': stopped" and robot.most == 0.0


def test_a_preflight_that_hangs_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep, "LONGEST", 2.0)
    assert checked(ValveRobot()).refused == "not done within 2 s"
