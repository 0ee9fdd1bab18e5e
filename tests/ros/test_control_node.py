"""The control node with a controller that has neurons and learns: what it says, keeps, refuses."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from learner_double import ENTRY, NEURONS, LearnerDouble
from rclpy.node import Node
from rclpy.parameter import Parameter
from trajectory_msgs.msg import JointTrajectory

from kuwa_control.node import ControlNode
from kuwa_control.warm import at_rest, hold
from kuwa_hardware.envelope import Envelope
from kuwa_machines import load_machine
from kuwa_machines.contracts import (
    CommandKind,
    JointCommand,
    Level,
    Mode,
    SafetyState,
    SpikeStats,
    Trajectory,
)
from kuwa_policies.control.controllers import CONTROLLERS, DEFAULT
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import keep
from kuwa_ros import topics
from kuwa_ros.conversions import (
    JointOrder,
    JointStateWriter,
    command_from,
    command_msg,
    hydraulic_msg,
    safety_msg,
    spikes_from,
    time_msg,
    trajectory_msg,
)
from kuwa_ros.lifecycle import FAILURE, SUCCESS
from kuwa_ros.loop import Reader
from stack_rig import wait_for

pytestmark = pytest.mark.ros

SPEC = load_machine("zx200")
NAMES = SPEC.joint_names
REST = at_rest(SPEC.home)


class Around:
    """Plays robot, gate and planner, tick by tick."""

    def __init__(self) -> None:
        self.node = Node("around")
        written = (
            topics.JOINT_STATES, topics.SAFETY, topics.TRAJECTORY, topics.VELOCITY_REFERENCE,
            topics.PRESSURES, topics.APPLIED,
        )  # fmt: skip
        self.send = {
            t.name: self.node.create_publisher(t.type, t.name, t.qos()).publish for t in written
        }
        self.requests = Reader(self.node, topics.REQUEST)
        self.spikes = Reader(self.node, topics.SPIKES)
        self.state = JointStateWriter(NAMES)(REST)
        self.stamp = 0.0

    def mode(self, mode: Mode) -> None:
        self.send["safety"](safety_msg(SafetyState(mode), self.stamp))

    def tick(self, **changes: Any) -> Any:
        """Send a joint state; return the request that answers it, or None."""
        self.stamp += 0.01
        self.state.header.stamp = time_msg(self.stamp)
        kept = {name: getattr(self.state, name) for name in changes}
        for name, value in changes.items():
            setattr(self.state, name, value)
        self.send["joint_states"](self.state)
        for name, value in kept.items():
            setattr(self.state, name, value)
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            request = self.requests.take()
            if request is not None and request.header.stamp == time_msg(self.stamp):
                return request
            time.sleep(0.001)
        return None

    def engage(self, mode: Mode) -> None:
        """Tick until control answers in this mode."""
        source = {Mode.AUTO: "control", Mode.TELEOP: "teleop"}[mode]

        def answered() -> bool:
            self.mode(mode)
            request = self.tick()
            return request is not None and request.source == source

        wait_for(f"an answer in {mode}", answered)


@pytest.fixture
def node(ros_domain: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlNode]:
    monkeypatch.setitem(CONTROLLERS, DEFAULT, ENTRY)
    rclpy.init()
    node = ControlNode()
    yield node
    node.finish()
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture
def around(node: ControlNode) -> Iterator[Around]:
    around = Around()
    yield around
    around.node.destroy_node()


def configure(node: ControlNode, **values: Any) -> Any:
    for name, value in values.items():
        assert node.set_parameters([Parameter(name, value=value)])[0].successful
    return node.trigger_configure()


def core(node: ControlNode) -> LearnerDouble:
    assert isinstance(node.core, LearnerDouble)
    return node.core


def activated(node: ControlNode, around: Around, mode: Mode, **values: Any) -> None:
    assert configure(node, **values) == SUCCESS
    assert node.trigger_activate() == SUCCESS
    around.engage(mode)


def test_it_says_ten_times_a_second_what_its_neurons_do(node: ControlNode, around: Around) -> None:
    activated(node, around, Mode.AUTO)
    seen: list[SpikeStats] = []
    order = JointOrder(NAMES)
    around.spikes.take()
    for _ in range(45):
        assert around.tick() is not None
        if (message := around.spikes.take()) is not None:
            seen.append(spikes_from(message, order))
    assert len(seen) in (4, 5)
    assert all(s.neurons == NEURONS and s.learning and s.reason == "" for s in seen)
    assert np.all(np.diff([s.spikes for s in seen]) > 0)
    assert seen[-1].prediction_error == pytest.approx(core(node).error, abs=0.2)


def test_nothing_was_learnt_before_the_first_state(node: ControlNode, around: Around) -> None:
    assert configure(node) == SUCCESS
    assert (core(node).weights == 0.0).all()
    node.trigger_activate()
    for _ in range(3):
        around.mode(Mode.READY)
        assert around.tick() is None
    assert (core(node).weights == 0.0).all()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"neuron_dt": 0.003}, "neuron_dt is 0.003 s and the control period 0.01 s"),
        ({"period": 0.0125}, "neuron_dt is 0.001 s and the control period 0.0125 s"),
        ({"controller": "pit"}, "did you mean 'pid'"),
        ({"controller_state": "nowhere.npz"}, "there is no such file"),
        ({"controller_state_out": "/no/such/folder/c.npz"}, "there is no such folder"),
    ],
)
def test_what_makes_no_controller_is_refused_at_configuration(
    node: ControlNode, values: dict[str, Any], why: str
) -> None:
    assert configure(node, **values) == FAILURE
    assert why in node._problem
    assert node.state_label == "unconfigured"


def test_the_state_of_another_machine_is_refused_by_its_field(
    node: ControlNode, tmp_path: Path
) -> None:
    other = LearnerDouble(load_machine("zx120"), 0.01, ControllerOptions())
    keep(other, tmp_path / "c.npz")
    assert configure(node, controller_state=str(tmp_path / "c.npz")) == FAILURE
    assert "machine is 'zx120'; this controller needs 'zx200'" in node._problem
    assert configure(node, controller_state="") == SUCCESS


def test_what_was_learnt_is_kept_when_it_ends_and_taken_up_again(
    node: ControlNode, around: Around, tmp_path: Path
) -> None:
    file = tmp_path / "controller.npz"
    activated(node, around, Mode.AUTO, controller_state_out=str(file))
    assert not file.exists()
    assert node.trigger_deactivate() == SUCCESS
    learnt = core(node).weights
    assert (learnt > 0.0).all()
    assert node.trigger_cleanup() == SUCCESS
    assert configure(node, controller_state=str(file), learn=False, seed=5) == SUCCESS
    np.testing.assert_array_equal(core(node).weights, learnt)
    assert core(node).seed == 0
    assert node.trigger_activate() == SUCCESS
    around.engage(Mode.AUTO)
    np.testing.assert_array_equal(core(node).weights, learnt)
    assert [path.name for path in tmp_path.iterdir()] == ["controller.npz"]


def test_a_file_that_cannot_be_written_does_not_keep_it_from_stopping(
    node: ControlNode, around: Around, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    activated(node, around, Mode.AUTO, controller_state_out=str(folder / "c.npz"))
    folder.rmdir()
    assert node.trigger_deactivate() == SUCCESS
    assert around.tick() is None


BAD_STATES: dict[str, dict[str, Any]] = {
    "nan position": {"position": [math.nan, *SPEC.home[1:]]},
    "infinite velocity": {"velocity": [0.0, math.inf, 0.0, 0.0]},
    "a joint is missing": {"name": list(NAMES[:3])},
    "too few positions": {"position": list(SPEC.home[:3])},
}


@pytest.mark.parametrize("bad", BAD_STATES.values(), ids=list(BAD_STATES))
def test_a_bad_joint_state_is_not_answered_and_not_learnt_from(
    node: ControlNode, around: Around, bad: dict[str, Any]
) -> None:
    activated(node, around, Mode.AUTO)
    errors, before = node.errors, core(node).weights.copy()
    assert around.tick(**bad) is None
    assert node.errors == errors + 1
    np.testing.assert_array_equal(core(node).weights, before)
    assert around.tick() is not None


def test_a_reference_that_is_no_good_is_refused_and_the_old_one_holds(
    node: ControlNode, around: Around
) -> None:
    activated(node, around, Mode.AUTO)
    good = Trajectory(around.stamp, *hold_now(0.0))
    around.send["joint_trajectory"](trajectory_msg(good, NAMES))

    def holds() -> bool:
        around.tick()
        return node._trajectory is not None

    wait_for("the chunk", holds)
    kept, errors = node._trajectory, node.errors
    for k, stamp in enumerate((around.stamp - 60.0, around.stamp + 60.0, math.nan)):
        t, q, qd = hold_now(math.nan if math.isnan(stamp) else 0.0)
        chunk = Trajectory(around.stamp if math.isnan(stamp) else stamp, t, q, qd)
        around.send["joint_trajectory"](trajectory_msg(chunk, NAMES))

        def refused(count: int = errors + k + 1) -> bool:
            around.tick()
            return node.errors == count

        wait_for("the refusal", refused)
        assert node._trajectory is kept


def hold_now(offset: float) -> tuple[Any, Any, Any]:
    still = hold(REST)
    return still.t, still.q + offset, still.qd


def test_pressures_reach_the_controller_while_they_are_young(
    node: ControlNode, around: Around
) -> None:
    activated(node, around, Mode.AUTO)
    assert np.isnan(core(node).seen.pressure).all()
    n = len(NAMES)
    full = replace(REST, pressure=1e6 * np.arange(2.0 * n).reshape(n, 2), tool_load=800.0)
    around.send["pressures"](hydraulic_msg(replace(full, stamp=around.stamp), NAMES))

    def known() -> bool:
        around.tick()
        return core(node).seen.tool_load == 800.0

    wait_for("the pressures", known)
    np.testing.assert_array_equal(core(node).seen.pressure, full.pressure)
    around.stamp += 10.0
    around.tick()
    assert np.isnan(core(node).seen.pressure).all() and np.isnan(core(node).seen.tool_load)
    broken = hydraulic_msg(replace(full, stamp=around.stamp), NAMES)
    broken.joint_name = ["left", *NAMES[1:]]
    errors = node.errors
    around.send["pressures"](broken)

    def refused() -> bool:
        assert around.tick() is not None
        return node.errors == errors + 1

    wait_for("the refusal", refused)
    assert np.isnan(core(node).seen.tool_load)


def test_a_velocity_that_is_no_number_is_refused(node: ControlNode, around: Around) -> None:
    activated(node, around, Mode.TELEOP)
    errors = node.errors
    command = JointCommand(
        around.stamp, 1, "teleop", CommandKind.VELOCITY_FRACTION, NAMES, np.full(4, np.nan)
    )
    around.send["velocity_reference"](command_msg(command))

    def refused() -> bool:
        assert around.tick() is not None
        return node.errors == errors + 1

    wait_for("the refusal", refused)
    assert (node._velocity == 0.0).all()


def test_a_controller_that_asks_for_no_number_ends_its_loop(
    node: ControlNode, around: Around
) -> None:
    activated(node, around, Mode.AUTO)
    core(node).step = lambda *_: np.full(4, np.nan)  # type: ignore[method-assign]
    assert around.tick() is None
    wait_for("the problem", lambda: "asks for [nan" in node._problem)


def follows(around: Around, node: ControlNode, reference: Any) -> None:
    """Tick until the core is told this."""

    def told() -> bool:
        around.tick()
        seen = core(node).reference
        if reference is CHUNK:
            return isinstance(seen, Trajectory)
        if reference is None:
            return seen is None
        return isinstance(seen, np.ndarray) and np.array_equal(seen, reference)

    wait_for(f"the reference {reference}", told)


STILL = np.zeros(len(NAMES))
CHUNK = "a chunk"


def test_it_holds_while_the_gate_says_so_and_goes_on_with_a_new_chunk(
    node: ControlNode, around: Around
) -> None:
    activated(node, around, Mode.AUTO)
    follows(around, node, STILL)
    chunk = replace(hold(REST), stamp=around.stamp)
    around.send["joint_trajectory"](trajectory_msg(chunk, NAMES))
    follows(around, node, CHUNK)
    for level in (Level.HOLD, Level.NEUTRAL):
        around.send["safety"](safety_msg(SafetyState(Mode.AUTO, level=level), around.stamp))
        follows(around, node, STILL)
        follows(around, node, None)
        around.mode(Mode.AUTO)
        around.send["joint_trajectory"](
            trajectory_msg(replace(hold(REST), stamp=around.stamp), NAMES)
        )
        follows(around, node, CHUNK)
    around.send["safety"](safety_msg(SafetyState(Mode.AUTO, level=Level.HOLD), around.stamp))
    follows(around, node, STILL)
    around.mode(Mode.AUTO)
    for _ in range(10):
        assert around.tick() is not None
    assert not isinstance(core(node).reference, Trajectory), "the old chunk is forgotten"
    around.send["joint_trajectory"](trajectory_msg(replace(hold(REST), stamp=around.stamp), NAMES))
    follows(around, node, CHUNK)
    around.send["joint_trajectory"](JointTrajectory(joint_names=list(NAMES)))
    follows(around, node, STILL)
    follows(around, node, None)


def test_it_holds_when_chunks_or_velocities_stay_away_and_says_so(
    node: ControlNode, around: Around
) -> None:
    activated(node, around, Mode.AUTO, trajectory_timeout=0.2)
    long = Trajectory(
        around.stamp, np.array([0.0, 60.0]), np.tile(REST.q, (2, 1)), np.zeros((2, 4))
    )
    around.send["joint_trajectory"](trajectory_msg(long, NAMES))
    follows(around, node, CHUNK)
    follows(around, node, STILL)
    assert node.report()["alarms"] == "policy_slow"
    around.send["joint_trajectory"](trajectory_msg(replace(long, stamp=around.stamp), NAMES))
    follows(around, node, CHUNK)
    assert node.report()["alarms"] == ""
    around.engage(Mode.TELEOP)
    half = np.full(len(NAMES), 0.5)
    command = JointCommand(
        around.stamp, 1, "teleop", CommandKind.VELOCITY_FRACTION, tuple(NAMES), half
    )
    around.send["velocity_reference"](command_msg(command))
    follows(around, node, half)
    follows(around, node, STILL)
    assert node.report()["alarms"] == "reference_lost"


def test_requests_carry_the_code_of_the_key(
    node: ControlNode, around: Around, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text("5a" * 32)
    activated(node, around, Mode.AUTO, key_file=str(key))
    request = around.tick()
    envelope = Envelope(bytes.fromhex("5a" * 32), node.get_namespace())
    assert envelope.check(command_from(request)) == ""
    request.value[0] += 1e-9
    assert envelope.check(command_from(request)) == "its code is wrong"
    key.chmod(0o644)
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.trigger_configure() == FAILURE
    assert "chmod 600" in node._problem


BAD_APPLIED = ([0.1] * 3, [math.nan] * 4, [1e300] * 4)


@pytest.mark.parametrize("value", BAD_APPLIED, ids=str)
def test_what_cannot_have_been_applied_does_not_reach_the_controller(
    node: ControlNode, around: Around, value: list[float]
) -> None:
    activated(node, around, Mode.AUTO)
    zero = JointCommand(0.0, 1, "gate", CommandKind.VALVE, tuple(NAMES), np.zeros(4))
    told = command_msg(zero)
    told.value = value
    errors = node.errors

    def refused() -> bool:
        around.send[topics.APPLIED.name](told)
        return around.tick() is not None and node.errors > errors

    wait_for("the refusal", refused)
    assert not node._applied.any()


def test_a_node_whose_key_is_no_good_goes_on_reporting(node: ControlNode, tmp_path: Path) -> None:
    assert configure(node, key_file=str(tmp_path / "none")) == FAILURE
    node._diagnose()
    assert "none: No such file" in node._problem


def test_nobody_takes_the_key_away_from_a_node_that_has_one(
    node: ControlNode, around: Around, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text("5a" * 32)
    assert configure(node, controller=DEFAULT, key_file=str(key)) == SUCCESS
    node.trigger_cleanup()
    for name, value in (("key_file", ""), ("velocity_timeout", 1.0)):
        answer = node.set_parameters([Parameter(name, value=value)])[0]
        assert not answer.successful and "of its start" in answer.reason
    assert node.trigger_configure() == SUCCESS
    assert node._envelope is not None
