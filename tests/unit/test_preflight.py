"""The preflight passes a sound machine, finds and names every mistake, and moves little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kuwa_hardware.gate import Gate
from kuwa_hardware.mock import MockRobot
from kuwa_hardware.preflight import Plan, Preflight, Verdict
from kuwa_hardware.preflight.lockstep import run
from kuwa_hardware.preflight.motion import response
from kuwa_hardware.preflight.pulses import movers, plan
from kuwa_hardware.preflight.results import rules
from kuwa_hardware.preflight.still import limit_checks
from kuwa_hardware.preflight.weights import Weights
from kuwa_machines.build import scaled
from kuwa_machines.contracts import Mode, SimulatedRobot
from kuwa_machines.loader import load_machine
from kuwa_sim.miswired import Mistake, MiswiredRobot
from preflight_rig import ARM, BOOM, NAMES, SPEC, ValveRobot, checked
from preflight_rig import plan as plan_of

SWING, BUCKET = NAMES.index("swing_joint"), NAMES.index("bucket_joint")


def miswired(*mistakes: Mistake) -> SimulatedRobot:
    robot: SimulatedRobot = ValveRobot()
    for mistake in mistakes:
        robot = MiswiredRobot(robot, mistake)
    return robot


def failed(session: Preflight) -> set[str]:
    return {f"{check.check} {check.joint}".strip() for check in session.failures}


def test_a_sound_machine_passes_behind_the_gate_with_small_commands() -> None:
    robot = ValveRobot(gain=0.85)
    session = checked(robot, Gate(SPEC))
    assert session.passed, failed(session)
    assert 0.1 < robot.most <= 0.3
    assert robot.time < 50.0, "a person stands beside it"
    assert np.abs(robot.q - SPEC.home).max() < np.radians(2.0)
    told = {(c.check, c.joint): c for c in session.checks}
    for name in NAMES:
        assert told["scale", name].value == pytest.approx(0.85, abs=0.05)
        assert abs(told["dead_time", name].value or 0.0) < 0.08
        assert told["sign", name].verdict is Verdict.PASS
    assert told["clock", ""].verdict is Verdict.SKIPPED and told["clock", ""].reason


@pytest.mark.parametrize(
    ("mistakes", "found"),
    [
        (
            [Mistake("sensor_sign", SWING), Mistake("offset", BOOM, size=np.radians(5.0)),
             Mistake("half_scale", BUCKET), Mistake("valve_off", ARM)],
            {"sign swing_joint", "pose boom_joint", "scale bucket_joint", "moves arm_joint"},
        ),
        (
            [Mistake("valve_sign", SWING), Mistake("frozen", BUCKET),
             Mistake("noise", ARM, size=10.0), Mistake("late", size=0.3)],
            {"sign swing_joint", "frozen bucket_joint", "noise arm_joint", "dead_time boom_joint"},
        ),
        (
            [Mistake("swapped_valves", BOOM, ARM), Mistake("velocity_unit")],
            {"order boom_joint", "order arm_joint", "velocity swing_joint"},
        ),
        ([Mistake("degrees")], {"range boom_joint", "scale swing_joint"}),
        ([Mistake("rate")], {"rate"}),
    ],
    ids=lambda x: "+".join(m.kind for m in x) if isinstance(x, list) else "",
)  # fmt: skip
def test_every_mistake_is_found_at_its_joint(mistakes: list[Mistake], found: set[str]) -> None:
    session = checked(miswired(*mistakes))
    assert session.finished and not session.passed
    assert found <= failed(session)
    for check in session.failures:
        assert check.remedy and "{" not in check.remedy


def test_swapped_sensors_are_named() -> None:
    session = checked(miswired(Mistake("swapped_sensors", BOOM, ARM)), pose=None)
    order = next(c for c in session.failures if c.check == "order" and c.joint == "boom_joint")
    assert order.measured == "arm_joint" and "swapped" in order.remedy


def test_only_the_joints_that_are_wrong_fail() -> None:
    session = checked(miswired(Mistake("valve_sign", BOOM)))
    assert failed(session) == {"sign boom_joint"}


def test_nothing_is_asked_for_before_a_person_agreed_and_no_ends_it() -> None:
    robot = ValveRobot()
    session = Preflight(plan_of(robot))
    for tick in range(400):
        out = session.step(0.01 * tick, robot.advance(), np.zeros(len(NAMES)))
        assert not out.any()
    assert session.mode is Mode.ARMED and "bucket" in session.question
    session.reply(False)
    assert session.finished and not session.passed and "said no" in session.refused


def test_a_joint_that_runs_away_is_cut_at_once() -> None:
    robot = ValveRobot(gain=20.0)
    session = checked(robot)
    assert "scale bucket_joint" in failed(session)
    # What is under way comes to rest a dead time later, at most 0.36 of full speed times 20.
    assert np.abs(robot.q - SPEC.home)[BUCKET] < 20.0 * 0.12 * 1.1 * (SPEC.dead_time[BUCKET] + 0.5)


def test_a_machine_without_whole_states_is_not_moved() -> None:
    robot = ValveRobot()
    session = checked(robot, names=("swing_joint", "boom_joint", "arm_joint", "arm_joint"))
    assert failed(session) == {"names"} and robot.most == 0.0


def test_a_mock_passes_what_it_can_be_asked_about() -> None:
    robot = MockRobot(SPEC)
    robot.connect()
    pose = dict(zip(NAMES, map(float, SPEC.home), strict=True))
    session = run(Preflight(Plan(SPEC, SPEC, "mock", True, pose)), robot)
    assert session.passed, failed(session)
    assert {c.check for c in session.checks if c.verdict is Verdict.SKIPPED} >= {
        "scale",
        "pressure",
    }
    assert not any(c.check == "noise" for c in session.checks), "it has none to be judged by"


def test_travel_needs_a_persons_word_and_says_so() -> None:
    spec = load_machine("d37")
    robot = MockRobot(spec)
    robot.connect()
    session = run(Preflight(Plan(spec, spec, "mock", True)), robot)
    travel = next(c for c in session.checks if c.joint == "travel")
    assert travel.verdict is Verdict.SKIPPED and "word" in travel.reason
    assert not any(c.joint.startswith("sprocket") and c.check == "sign" for c in session.checks)


@pytest.mark.parametrize(
    "machine", ["zx200", "zx200_nfc", "zx120", "ic120", "d37", "tractor_plough", "tractor_sprayer"]
)
def test_limits_of_every_machine_are_those_of_its_file(machine: str) -> None:
    spec = load_machine(machine)
    assert all(c.verdict is Verdict.PASS for c in limit_checks(spec, spec))
    name = next(n for n, j in spec.joints.items() if j.drive.type == "cylinder")
    wrong = scaled(spec, {f"joints.{name}.position.min": 0.99}, "a parameter file")
    assert [c.joint for c in limit_checks(wrong, spec) if c.verdict is Verdict.FAIL] == [name]


def test_a_motion_never_leads_to_a_limit() -> None:
    q = SPEC.home.copy()
    q[BOOM] = SPEC.q_max[BOOM] - 0.005
    mover = next(m for m in movers(SPEC) if m.joints == (BOOM,))
    assert plan(SPEC, q, mover, 1.0, 0.03) is None
    away = plan(SPEC, q, mover, -1.0, 0.03)
    assert away is not None and away.command[BOOM] < 0.0


def test_the_model_of_a_motion_is_that_of_the_valve() -> None:
    """With a stiff oil column the way is the flow's, after dead time and lag."""
    t = np.arange(0.0, 1.0, 0.01)
    u = np.where(t < 0.5, 0.25, 0.0)
    inertia = float(Weights(SPEC).at(SPEC.home)[0][BUCKET])
    times, way = response(SPEC, BUCKET, SPEC.home, inertia, t, u, 3.0)
    robot = ValveRobot()
    for tick in range(300):
        robot.u = np.zeros(len(NAMES))
        robot.u[BUCKET] = u[tick] if tick < len(u) else 0.0
        robot.advance()
    assert way[-1] == pytest.approx(robot.q[BUCKET] - SPEC.home[BUCKET], rel=0.02)
    dead = SPEC.dead_time[BUCKET]
    assert way[times < dead].max() == 0.0 and way[times > dead + 0.1].min() > 0.0


def test_weights_are_the_gradient_of_potential_energy() -> None:
    rng = np.random.default_rng(1)
    for machine in ("zx200", "d37", "tractor_sprayer"):
        spec = load_machine(machine)
        low, high = np.maximum(spec.q_min, -1.0), np.minimum(spec.q_max, 1.0)
        q = low + rng.random(len(low)) * (high - low)
        weights = Weights(spec)
        inertia, torque = weights.at(q)
        assert (inertia > 0.0).all()
        for j in range(len(q)):
            step = np.zeros(len(q))
            step[j] = 1e-3
            energy = [
                sum(m * 9.81 * chain.place(q + s * step, points[k])[2]
                    for chain, points, m in weights._parts for k in range(8))
                for s in (1.0, -1.0)
            ]  # fmt: skip
            assert torque[j] == pytest.approx(-(energy[0] - energy[1]) / 2e-3, abs=2.0, rel=1e-4)


def test_a_gate_that_lets_nothing_through_is_said_and_not_divided_by() -> None:
    class Shut(Gate):
        def step(self, now, state, request):  # type: ignore[no-untyped-def]
            return super().step(now, state, None)

    robot = ValveRobot()
    session = checked(robot, Shut(SPEC))
    assert robot.most == 0.0
    moves = [check for check in session.failures if check.check == "moves"]
    assert len(moves) == len(NAMES) and all("let too little" in c.expected for c in moves)


def test_every_check_has_words() -> None:
    for name, rule in rules().items():
        assert rule.title and rule.remedy.endswith("."), name


def test_a_state_that_is_repeated_is_no_new_one() -> None:
    robot = ValveRobot()
    session = Preflight(replace(plan_of(robot), pose=None))
    state = robot.advance()
    for tick in range(1000):
        session.step(0.01 * tick, state, np.zeros(len(NAMES)))
    assert session.words == "looking at the sensors" and not session.checks
