"""The operator's sticks: signs against kinematics, curves, and that every loss ends in neutral."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_hardware.operator.core import Handing, Operator, Phase, Sticks
from kuwa_hardware.operator.layouts import (
    EPISODE_BUTTONS,
    Action,
    AxisOf,
    LayoutError,
    layout,
    layouts,
)
from kuwa_hardware.operator.seats import ASKING, Seats
from kuwa_hardware.operator.shaping import Shaping
from kuwa_machines.errors import CommandError, MachineError
from kuwa_machines.kinematics import rotation
from kuwa_machines.loader import load_machine, machine_folders
from kuwa_machines.operator import LEVERS, as_levers, load_operator, matrix, pattern_of
from kuwa_machines.posing import Posing, quaternion

EXCAVATORS = ("zx200", "zx120", "zx200_nfc")
SPEC = load_machine("zx200")
BOTH = {"left_x": 1.0, "left_y": 1.0}


def velocity(machine: str, pattern: str, lever: str) -> tuple[np.ndarray, np.ndarray]:
    """Return linear and angular velocity of the tool's edge at home, lever fully positive."""
    spec = load_machine(machine)
    _, chosen = pattern_of(spec, pattern)
    qd = matrix(chosen, spec.joint_names) @ as_levers({lever: 1.0}) * spec.qd_max
    posing, h = Posing(spec), 1e-6
    edge = np.zeros(3)
    if spec.tool.type == "bucket":
        x, z = spec.tool.profile[-1]
        edge = np.array([x, 0.0, z])
    elif spec.tool.type == "blade":
        edge = np.array(spec.tool.edge)
    elif spec.tool.type in ("plough", "sprayer_boom"):
        edge = np.array([-2.0, 0.0, 0.0])
    (r0, p0), (r1, p1) = (posing.places(spec.home + s * h * qd)[spec.tool.link] for s in (0, 1))
    turn = (r1 - r0) @ r0.T / h
    return (r1 @ edge + p1 - r0 @ edge - p0) / h, np.array([turn[2, 1], turn[0, 2], turn[1, 0]])


@pytest.mark.parametrize("machine", EXCAVATORS)
@pytest.mark.parametrize(("pattern", "boom", "arm"), [("iso", "right_y", "left_y"),
                                                      ("sae", "left_y", "right_y")])  # fmt: skip
def test_excavators_move_as_the_norms_say(machine: str, pattern: str, boom: str, arm: str) -> None:
    down, _ = velocity(machine, pattern, boom)
    assert down[2] < -0.5, "boom stick forward lowers the boom"
    out, _ = velocity(machine, pattern, arm)
    assert out[0] > 0.5, "arm stick forward moves the bucket away"
    swing, turn = velocity(machine, pattern, "left_x")
    assert swing[1] < -0.5 and turn[2] < 0, "left stick to the right swings to the right"
    dump, turn = velocity(machine, pattern, "right_x")
    # Curling brings the teeth towards the machine and up behind: a turn about +y at home.
    assert turn[1] < 0 and dump[0] > 0.3, "right stick to the right dumps, to the left curls"


def test_other_machines_move_as_their_words_say() -> None:
    assert velocity("d37", "joystick", "right_y")[0][2] < -0.1, "blade down"
    assert velocity("d37", "joystick", "right_x")[1][0] > 0.05, "tilt: right side down"
    assert velocity("d37", "joystick", "dial_x")[1][2] < -0.05, "angle: turned to the right"
    assert velocity("ic120", "joystick", "right_y")[1][1] > 0.05, "body down: its front sinks"
    assert velocity("tractor_plough", "joystick", "right_y")[0][2] < -0.1, "hitch down"
    assert velocity("tractor_sprayer", "joystick", "right_y")[0][2] < -0.1, "boom down"
    assert velocity("tractor_sprayer", "joystick", "right_x")[1][0] > 0.05, "right side down"


@pytest.mark.parametrize("machine", ["d37", "ic120", "tractor_plough", "tractor_sprayer"])
def test_travel_forward_turns_everything_forward_and_right_turns_right(machine: str) -> None:
    spec = load_machine(machine)
    _, pattern = pattern_of(spec)
    gains = matrix(pattern, spec.joint_names)
    forward = gains @ as_levers({"left_y": 1.0})
    right = gains @ as_levers({"left_x": 1.0})
    driven = [k for k, name in enumerate(spec.joint_names) if "wheel" in name or "sprocket" in name]
    # A wheel that turns about +y, to the left, rolls forward.
    assert all(spec.joints[spec.joint_names[k]].axis == "y" for k in driven)
    assert (forward[driven] == 1.0).all()
    if "steering_joint" in spec.joint_names:
        assert right[spec.joint_names.index("steering_joint")] < 0, "about +z is to the left"
    else:
        left_track, right_track = (spec.joint_names.index(f"sprocket_{s}_joint")
                                   for s in ("left", "right"))  # fmt: skip
        assert right[left_track] > 0 > right[right_track]


@pytest.mark.parametrize("machine", sorted(machine_folders()))
def test_every_machine_has_patterns_that_move_every_joint(machine: str) -> None:
    spec = load_machine(machine)
    file = load_operator(spec)
    gains = matrix(file.patterns[file.default], spec.joint_names)
    assert (np.abs(gains).sum(axis=1) > 0).all(), "each joint has a lever"
    assert all(p.title and p.follows for p in file.patterns.values())


def test_a_pattern_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(MachineError, match=r"no pattern 'ios'; did you mean 'iso'"):
        pattern_of(SPEC, "ios")


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 1), st.floats(0, 1))
def test_the_curve_is_odd_bounded_and_rises(x: float, zone: float, expo: float, s: float) -> None:
    curve = Shaping(zone, expo, s)
    y = float(curve(np.array([x]))[0])
    assert abs(y) <= s + 1e-12 and y == pytest.approx(-float(curve(np.array([-x]))[0]))
    assert float(curve(np.array([min(x + 0.01, 1.0)]))[0]) >= y - 1e-12
    if abs(x) <= zone:
        assert y == 0.0
    assert float(curve(np.array([1.0]))[0]) == pytest.approx(s)


def test_a_stick_ends_at_one_and_has_a_middle_without_a_dead_zone_too() -> None:
    assert (Shaping()(np.full(len(LEVERS), 1.001)) == 1.0).all()
    nothing = Shaping(dead_zone=0.0)
    assert nothing.centred(np.full(len(LEVERS), 0.015))
    assert not nothing.centred(np.full(len(LEVERS), 0.025))


def test_nonsense_of_the_curve_and_of_sticks_is_refused() -> None:
    with pytest.raises(CommandError, match="dead_zone"):
        Shaping(dead_zone=0.9)
    with pytest.raises(CommandError, match="finite"):
        Sticks(np.array([np.nan] * len(LEVERS)), False)
    with pytest.raises(CommandError, match="finite"):
        Sticks(np.zeros(3), False)


class Hand:
    """An operator with a clock: words at 100 Hz."""

    def __init__(self) -> None:
        self.now = 100.0
        self.core = Operator(pattern_of(SPEC)[1], SPEC.joint_names, Shaping(0.1, 0.0))

    def say(self, deadman: bool = False, **levers: float):  # type: ignore[no-untyped-def]
        self.now += 0.01
        self.core.heard(self.now, Sticks(as_levers(levers), deadman))
        return self.core.step(self.now)

    def silent(self, seconds: float):  # type: ignore[no-untyped-def]
        self.now += seconds
        return self.core.step(self.now)

    def driving(self) -> Hand:
        self.say()
        assert self.core.arm(self.now) == ""
        self.say()
        self.say(deadman=True)
        return self


def still(wish) -> bool:  # type: ignore[no-untyped-def]
    return not wish.held and not wish.values.any()


def test_nothing_moves_without_arming_deadman_and_centred_sticks() -> None:
    hand = Hand()
    assert hand.core.step(hand.now).phase is Phase.ABSENT
    assert "no sticks" in hand.core.arm(hand.now)
    assert still(hand.say(deadman=True, right_y=1.0))
    assert "deadman" in hand.core.arm(hand.now)
    hand.say(right_y=1.0)
    assert "centre" in hand.core.arm(hand.now)
    hand.say()
    assert hand.core.arm(hand.now) == ""
    assert still(hand.say(right_y=1.0)), "armed, without the deadman"
    assert hand.say(right_y=1.0).phase is Phase.CENTRE
    assert still(hand.say(deadman=True, right_y=1.0)), "pressed with a stick out of its middle"
    assert still(hand.say(deadman=True)), "centring under a held deadman is not enough"
    hand.say()
    assert hand.say(deadman=True).held
    wish = hand.say(deadman=True, right_y=1.0)
    assert wish.values[SPEC.joint_names.index("boom_joint")] == pytest.approx(1.0)
    assert np.count_nonzero(wish.values) == 1
    assert still(hand.say(right_y=1.0)), "deadman let go"


def test_silence_is_a_loss_that_must_be_armed_again() -> None:
    hand = Hand().driving()
    assert hand.say(deadman=True, right_y=1.0).held
    assert hand.silent(hand.core.stale - 1e-3).held
    lost = hand.silent(2e-3)
    assert still(lost) and lost.phase is Phase.LOST
    # The stick comes back where it was: nothing moves, however often it says so.
    for _ in range(50):
        assert still(hand.say(deadman=True, right_y=1.0))
    hand.say()
    assert still(hand.say(deadman=True)), "centred and pressed again, not armed again"
    hand.say()
    assert hand.core.arm(hand.now) == ""
    assert hand.say(deadman=True, right_y=0.0).held


def test_a_short_silence_without_the_deadman_costs_a_new_press_and_a_long_one_the_arming() -> None:
    hand = Hand().driving()
    hand.say()
    quiet = hand.silent(0.5)
    assert still(quiet) and hand.core.armed and quiet.phase is Phase.CENTRE
    assert still(hand.say(deadman=True)), "pressed while nobody heard it"
    hand.say()
    assert hand.say(deadman=True).held
    hand.say()
    assert hand.silent(1.1).phase is Phase.LOST


def test_the_operator_is_told_what_to_do_next() -> None:
    hand = Hand()
    # Let go and centred, which is what a press of the deadman would count for if they were armed.
    said = hand.say()
    assert (said.phase, said.why) == (Phase.DISARMED, "arm to drive")
    assert hand.core.arm(hand.now) == ""
    said = hand.say()
    assert (said.phase, said.why) == (Phase.READY, "hold the deadman to drive")
    said = hand.say(right_y=1.0)
    assert (said.phase, said.why) == (Phase.CENTRE, "centre the sticks and let go of the deadman")
    said = hand.say(deadman=True)
    assert said.phase is Phase.CENTRE, "pressed before they were let go in their middle"
    hand.core.lose("the page is gone")
    assert hand.silent(0.01).phase is Phase.LOST
    # Heard again they are still lost, and centring them does not arm them.
    said = hand.say()
    assert (said.phase, said.why) == (Phase.LOST, "the page is gone; centre and arm again")
    hand.core.disarm()
    assert hand.say().phase is Phase.DISARMED


def test_two_levers_on_one_joint_ask_for_no_more_than_its_greatest_speed() -> None:
    spec = load_machine("d37")
    _, pattern = pattern_of(spec)
    core = Operator(pattern, spec.joint_names, Shaping(0.1, 0.0))
    assert np.abs(matrix(pattern, spec.joint_names) @ as_levers(BOTH)).max() > 1.0
    for k, (deadman, levers) in enumerate([(False, {}), (False, {}), (True, {}), (True, BOTH)]):
        core.heard(0.01 * k, Sticks(as_levers(levers), deadman))
        if k == 0:
            assert core.arm(0.0) == ""
    wish = core.step(0.03)
    assert wish.held and np.abs(wish.values).max() == 1.0


def test_a_gap_between_two_words_is_a_loss_even_if_nobody_looked_meanwhile() -> None:
    hand = Hand().driving()
    hand.say(deadman=True, right_y=1.0)
    hand.now += 0.5
    assert still(hand.say(deadman=True, right_y=1.0))


@pytest.mark.parametrize("what", ["pad gone", "page hidden", "another driver"])
def test_a_loss_that_is_told_counts_at_once(what: str) -> None:
    hand = Hand().driving()
    hand.say(deadman=True, right_y=1.0)
    hand.core.lose(what)
    wish = hand.core.step(hand.now)
    assert still(wish) and wish.phase is Phase.LOST and what in wish.why


def test_another_pattern_disarms() -> None:
    hand = Hand().driving()
    hand.core.use(pattern_of(SPEC, "sae")[1])
    assert still(hand.core.step(hand.now))
    hand.driving()
    wish = hand.say(deadman=True, left_y=1.0)
    assert wish.values[SPEC.joint_names.index("boom_joint")] == pytest.approx(1.0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(-1, 1), st.floats(0, 0.3), st.integers(0, 9)),
                max_size=60))  # fmt: skip
def test_never_held_unarmed_stale_or_without_the_deadman(words: list) -> None:  # type: ignore[type-arg]
    hand = Hand()
    for deadman, lever, pause, action in words:
        hand.now += pause
        if action == 0:
            hand.core.arm(hand.now)
        elif action == 1:
            hand.core.lose("test")
        elif action < 8:
            hand.core.heard(hand.now, Sticks(as_levers({"right_y": lever}), deadman))
        wish = hand.core.step(hand.now)
        assert not wish.held or (hand.core.armed and hand.core.fresh(hand.now))
        assert wish.held or not wish.values.any()
        if action in range(2, 8) and not deadman:
            assert not wish.held
        assert (np.abs(wish.values) <= 1.0).all()


def test_takeover_needs_the_deadman_and_a_stick_and_giving_back_lasts() -> None:
    hand, handing = Hand().driving(), Handing()
    assert handing.step("auto", hand.say()) == ""
    assert handing.step("auto", hand.say(right_y=1.0)) == "", "without the deadman"
    hand.say()
    assert handing.step("auto", hand.say(deadman=True)) == "", "the deadman alone"
    assert handing.step("auto", hand.say(deadman=True, right_y=0.6)) == "teleop"
    handing.step("teleop", hand.say(deadman=True, right_y=0.6))
    assert handing.intervening
    # Given back with the stick still held: the planner keeps it until the stick was centred.
    assert handing.step("auto", hand.say(deadman=True, right_y=0.6)) == ""
    assert not handing.intervening
    assert handing.step("auto", hand.say(deadman=True, right_y=0.6)) == ""
    handing.step("auto", hand.say(deadman=True))
    assert handing.step("auto", hand.say(deadman=True, right_y=0.6)) == "teleop"


def test_armed_and_held_asks_for_teleoperation_and_driving_alone_is_no_intervention() -> None:
    hand, handing = Hand().driving(), Handing()
    assert handing.step("armed", hand.say()) == ""
    assert handing.step("armed", hand.say(deadman=True)) == "teleop"
    handing.step("teleop", hand.say(deadman=True))
    assert not handing.intervening
    assert handing.step("stopped", hand.say(deadman=True)) == ""
    assert handing.step("ready", hand.say(deadman=True)) == ""


def test_joy_messages_become_levers_and_short_ones_are_refused() -> None:
    axes, buttons = [0.0] * 8, [0] * 16
    axes[0], axes[3], buttons[9] = 1.0, 1.0, 1
    sticks = layout("game_controller").sticks(axes, buttons)
    # Axes of sensor_msgs/Joy are positive to the left.
    assert sticks.levers[LEVERS.index("left_x")] == -1.0
    assert sticks.levers[LEVERS.index("right_y")] == 1.0 and sticks.deadman
    for each in layouts().values():
        with pytest.raises(LayoutError, match=r"axes|buttons"):
            each.sticks([0.0], [0])
        few = max(*each.deadman, *each.buttons.values())
        with pytest.raises(LayoutError, match=f"joystick of {few} buttons; .* needs"):
            each.sticks(axes, [0] * few)
    with pytest.raises(LayoutError, match="axis 0 is nan"):
        layout("game_controller").sticks([float("nan")] * 8, buttons)
    with pytest.raises(LayoutError, match="did you mean 'joy_xbox'"):
        layout("joy_xbx")


@pytest.mark.parametrize(
    "at", [{}, {"minus": 1}, {"axis": 1, "minus": 1, "plus": 2}], ids=["nothing", "half", "both"]
)
def test_a_lever_is_one_axis_or_one_pair_of_buttons(at: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="an axis, or minus and plus"):
        AxisOf(**at)  # type: ignore[arg-type]


# By whoever has learnt them: a button that arms or stops does not move to another place.
MODES = {
    "game_controller": (6, 1, 3, [9, 10]), "joy_xbox": (7, 1, 3, [4, 5]),
    "two_sticks": (2, 3, 8, [0, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", layouts())
def test_every_joystick_commands_episodes_and_no_button_is_two_things(name: str) -> None:
    each = layout(name)
    assert set(each.buttons) == set(get_args(Action)) == {"arm", "stop", "auto", *EPISODE_BUTTONS}
    b = each.buttons
    assert (b["arm"], b["stop"], b["auto"], each.deadman) == MODES[name]
    pairs = [k for lever in LEVERS for k in (getattr(each, lever).minus, getattr(each, lever).plus)]
    used = [*b.values(), *each.deadman, *(k for k in pairs if k is not None)]
    assert len(used) == len(set(used))
    pressed = [0] * 16
    pressed[b["failure"]] = 1
    assert each.sticks([0.0] * 8, pressed).actions == {"failure"}


def test_buttons_command_all_of_an_episode() -> None:
    commands = {command for both in EPISODE_BUTTONS.values() for command in both}
    assert commands == {"start", "stop", "success", "failure", "discard", "redo", "undo"}


def test_one_driver_at_a_time_and_hand_over_is_asked_for() -> None:
    seats = Seats()
    seats.join("a", "Ada")
    seats.join("b", "Bo")
    seats.join("c", "Cy")
    assert seats.driver == "a"
    assert seats.ask(0.0, "b") == "asked" and seats.driver == "a"
    assert "Bo asks already" in seats.ask(1.0, "c")
    assert not seats.give("b"), "only the driver gives"
    seats.refuse("a")
    assert not seats.give("a")
    assert seats.ask(2.0, "c") == "asked"
    assert seats.give("a") and seats.driver == "c"
    seats.ask(3.0, "a")
    seats.step(3.0 + ASKING + 0.1)
    assert not seats.give("c"), "lapsed"
    seats.live("c", False)
    assert seats.ask(60.0, "a") == "taken" and seats.driver == "a", "the driver's page is not heard"
    assert seats.leave("a") and seats.driver == ""
    assert seats.ask(61.0, "b") == "taken"
    assert "not connected" in seats.ask(62.0, "x")


def test_who_leaves_asks_no_more_and_who_only_looked_on_takes_nothing_along() -> None:
    seats = Seats()
    for who, name in (("a", "Ada"), ("b", "Bo"), ("c", "Cy")):
        seats.join(who, name)
    assert seats.ask(0.0, "a") == "taken" and not seats.asker, "the driver asks nobody"
    assert seats.ask(0.0, "b") == "asked"
    assert not seats.leave("c") and (seats.driver, seats.asker) == ("a", "b")
    assert not seats.leave("b") and (seats.driver, seats.asker) == ("a", "")
    assert not seats.give("a"), "nobody is there to whom"
    seats.rename("a", "Anna")
    seats.rename("b", "Bob")
    assert seats.names() == ["Anna"] and seats.name("b") == ""


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_quaternions_and_rotations_are_one_another(wxyz: list[float]) -> None:
    r = rotation(wxyz)
    assert np.allclose(r @ r.T, np.eye(3)) and np.linalg.det(r) == pytest.approx(1.0)
    assert np.allclose(rotation(quaternion(r)), r)
