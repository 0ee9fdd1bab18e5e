"""What every driver does, whatever it drives: one suite for all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from kuwa_hardware.failures import failure
from kuwa_machines.contracts import Array, CommandKind, JointCommand, Level, MachineState, Robot
from kuwa_machines.errors import CommandError
from robot_benches import BENCHES, ON_ROS, TICK, Bench, OnBus

PUSH = 0.5
MOVED = 5e-3
"""A joint that moved has turned farther than this [rad]."""
STILL = 2e-3
"""Of the greatest joint speed: a joint slower than this share stands still."""


def parameter(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.ros) if name in ON_ROS else name


@pytest.fixture(params=map(parameter, BENCHES))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A bench whose driver is not connected."""
    if request.param in ON_ROS:
        request.getfixturevalue("ros_domain")
    made = BENCHES[request.param]()
    yield made
    made.close()


@pytest.fixture
def working(bench: Bench) -> Bench:
    """A bench whose driver is connected and has measured something."""
    bench.robot.connect()
    run(bench, None, 0.4)
    return bench


def command(bench: Bench, values: Array, **changes: object) -> JointCommand:
    """A command of values in the machine's order."""
    parts: dict[str, object] = {
        "stamp": 0.0, "sequence": 1, "source": "control", "kind": CommandKind.VALVE,
        "names": tuple(bench.robot.spec.joint_names), "values": values,
    }  # fmt: skip
    return JointCommand(**(parts | changes))  # type: ignore[arg-type]


def run(bench: Bench, values: Array | None, seconds: float) -> MachineState:
    """Command the same every tick, or neutral, and return the last state."""
    for _ in range(max(round(seconds / TICK), 1)):
        if values is None:
            bench.robot.neutral()
        else:
            bench.robot.write(command(bench, values))
        state = bench.tick()
    return state


def zeros(bench: Bench) -> Array:
    return np.zeros(len(bench.robot.spec.joint_names))


def test_it_is_a_robot_whose_machine_is_known_before_it_is_connected(bench: Bench) -> None:
    assert isinstance(bench.robot, Robot)
    assert len(bench.robot.spec.joint_names) == len(bench.robot.spec.qd_max) > 0


def test_nothing_is_measured_before_it_is_connected(bench: Bench) -> None:
    # Either it says what to do, or what it returns cannot be taken for a measurement.
    try:
        state = bench.robot.read()
    except CommandError as error:
        assert "connect()" in str(error)
    else:
        assert state.stamp == 0.0
        assert np.isnan(state.q).all() and np.isnan(state.qd).all()


def test_connecting_and_closing_twice_is_no_harm(bench: Bench) -> None:
    for _ in range(2):
        bench.robot.connect()
        bench.robot.connect()
        assert np.isfinite(run(bench, None, 0.4).q).all()
        bench.robot.close()
        bench.robot.close()


def test_a_state_is_whole_finite_and_without_faults(working: Bench) -> None:
    state = run(working, zeros(working), 0.1)
    n = len(working.robot.spec.joint_names)
    for name, shape in (("q", (n,)), ("qd", (n,))):
        value = getattr(state, name)
        assert value.shape == shape and np.isfinite(value).all(), name
    # What a machine cannot tell is NaN; nothing is infinite, and shapes are as promised.
    shapes = {
        "effort": (n,), "pressure": (n, 2), "base_position": (3,),
        "base_quaternion_wxyz": (4,), "base_velocity": (6,), "acceleration": (3,),
        "tool_force": (3,),
    }  # fmt: skip
    for name, shape in shapes.items():
        value = getattr(state, name)
        assert value.shape == shape and not np.isinf(value).any(), name
    for name in ("pump_pressure", "pump_flow", "pump_power", "tool_load", "engine_speed"):
        assert not math.isinf(getattr(state, name)), name
    assert state.faults == ()


def test_stamps_only_go_forward(working: Bench) -> None:
    stamps = [run(working, zeros(working), TICK).stamp for _ in range(50)]
    steps = np.diff(stamps)
    assert (steps >= 0.0).all() and stamps[0] > 0.0
    assert (steps > 0.0).sum() >= 40
    # Reading again without anything new gives the same state, not a new one.
    assert working.robot.read().stamp == working.robot.read().stamp


def test_what_was_sent_comes_back(working: Bench) -> None:
    names = tuple(working.robot.spec.joint_names)
    for sign in (1.0, -1.0):
        sent = working.robot.write(command(working, sign * np.full(len(names), 0.3)))
        for _ in range(10):
            working.tick()
            sent = working.robot.write(command(working, sign * np.full(len(names), 0.3)))
        assert sent.names == names and sent.kind is CommandKind.VALVE
        assert sent.values.shape == (len(names),)
        assert (np.abs(sent.values) <= 1.0).all()
        # Held back near the end of a joint's travel it may be, turned round it may not.
        assert (sign * sent.values > 0.01).all(), sent.values
        assert (sign * sent.values < 0.35).all(), sent.values


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["positive", "negative"])
def test_a_joint_goes_where_it_is_told_by_name_and_no_other_one(bench: Bench, sign: float) -> None:
    names = list(bench.robot.spec.joint_names)
    bench.robot.connect()
    for name in names:
        if hasattr(bench.robot, "reset"):
            bench.robot.reset(0)
        before = run(bench, None, 0.4)
        # All joints, in another order than the machine's.
        order = names[::-1]
        values = np.array([sign * PUSH if n == name else 0.0 for n in order])
        for _ in range(round(bench.settle / TICK)):
            bench.robot.write(command(bench, values, names=tuple(order)))
            state = bench.tick()
        turned = sign * (state.q - before.q)
        place = names.index(name)
        assert turned[place] > MOVED, f"{name} turned by {turned[place]} rad"
        others = np.delete(np.abs(turned), place)
        assert others.max(initial=0.0) < 0.5 * turned[place], f"{name}: others {others}"


def test_neutral_stops(working: Bench) -> None:
    spec = working.robot.spec
    values = np.full(len(spec.joint_names), -0.3)
    moving = run(working, values, working.settle)
    assert (np.abs(moving.qd) > 1e-3).any()
    still = run(working, None, working.settle + 1.5)
    after = run(working, None, 0.3)
    # What hangs on oil sinks a little, what rolls runs out; nothing is driven any more.
    assert (np.abs(after.qd) < np.maximum(STILL * 10, 0.05 * np.abs(spec.qd_max))).all(), after.qd
    assert np.abs(after.q - still.q).max() < 0.02


REFUSED = {
    "not a number": ({"values": "nan"}, r"values|finite|\[-1, 1\]"),
    "infinite": ({"values": "inf"}, r"values|finite|\[-1, 1\]"),
    "out of range": ({"values": "huge"}, r"\[-1, 1\]"),
    "of an unknown joint": ({"names": "unknown"}, "nose_joint"),
    "of too few joints": ({"names": "few"}, "joint"),
    "of a joint twice": ({"names": "twice"}, "joint"),
    "of another kind": ({"kind": CommandKind.VELOCITY_FRACTION}, "VALVE"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_command_is_refused_and_nothing_moves(working: Bench, what: str) -> None:
    names = tuple(working.robot.spec.joint_names)
    changes, words = REFUSED[what]
    values = np.full(len(names), PUSH)
    made: dict[str, object] = dict(changes)
    if "values" in made:
        values[-1] = {"nan": math.nan, "inf": math.inf, "huge": 1.5}[str(made.pop("values"))]
    if "names" in made:
        made["names"] = {
            "unknown": (*names[:-1], "nose_joint"),
            "few": names[:-1],
            "twice": (*names[:-1], names[0]),
        }[str(made["names"])]
        if len(made["names"]) != len(values):  # type: ignore[arg-type]
            values = values[:-1]
    before = run(working, None, 0.2)
    for _ in range(30):
        with pytest.raises(CommandError, match=words):
            working.robot.write(command(working, values, **made))
        state = working.tick()
    assert np.abs(state.q - before.q).max() < MOVED


def on_bus(bench: Bench) -> OnBus:
    if not isinstance(bench, OnBus):
        pytest.skip("it is its own machine: there is no bus to lose")
    return bench


def test_a_lost_bus_is_told_and_found_again(working: Bench) -> None:
    bus = on_bus(working)
    values = np.full(len(working.robot.spec.joint_names), 0.2)
    run(working, values, 0.3)
    bus.unplug()
    lost = run(working, values, 0.2)
    assert "driver_disconnected" in lost.faults
    assert failure("driver_disconnected").reaction.level is Level.NEUTRAL
    sent = working.robot.write(command(working, values))
    assert not sent.values.any(), "nothing was sent, so nothing was applied"
    run(working, values, 0.5)
    assert not bus.valves.any(), "the machine heard nobody and did not stop"
    bus.plug_in()
    found = run(working, values, 2.0)
    assert found.faults == () and found.stamp > lost.stamp
    assert bus.valves.any()


def test_a_driver_that_falls_silent_leaves_the_valves_in_neutral(working: Bench) -> None:
    bus = on_bus(working)
    run(working, np.full(len(working.robot.spec.joint_names), 0.3), 0.3)
    assert bus.valves.any()
    silent = 0.0
    while bus.valves.any() and silent < 1.0:
        working.tick()  # It reads, but does not write.
        silent += TICK
    assert 1e3 * silent <= failure("robot_killed").within_ms


def test_closing_leaves_the_valves_in_neutral(working: Bench) -> None:
    bus = on_bus(working)
    run(working, np.full(len(working.robot.spec.joint_names), 0.3), 0.3)
    assert bus.valves.any()
    working.robot.close()
    bus.machine_goes_on()
    assert not bus.valves.any()


def test_a_bus_that_cannot_be_opened_is_refused_with_the_remedy(bench: Bench) -> None:
    bus = on_bus(bench)
    bench.robot.connect()
    bus.unplug()
    bench.robot.close()
    with pytest.raises(Exception, match=bus.remedy):
        bench.robot.connect()
    bus.plug_in()
    bench.robot.connect()
    assert np.isfinite(run(bench, None, 0.5).q).all()
