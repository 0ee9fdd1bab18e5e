"""What every node shares: parameters, transitions that fail in words, loops that count."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.parameter import Parameter

from kuwa_machines.contracts import CommandKind, JointCommand
from kuwa_machines.errors import KuwaError
from kuwa_ros import topics
from kuwa_ros.conversions import command_msg
from kuwa_ros.lifecycle import FAILURE, SUCCESS, KuwaNode
from kuwa_ros.loop import DeadlineLoop, Loop, MessageLoop, Reader
from kuwa_ros.parameters import parameter
from stack_rig import wait_for

pytestmark = pytest.mark.ros


@dataclass(frozen=True)
class Table:
    """Parameters of the test's node."""

    gain: float = parameter(1.0, "a number", unit="1", low=0.0, high=2.0)
    kind: str = parameter("good", "what configure does", valid=("good", "bad", "worse"))


class Example(KuwaNode[Table]):
    steps = 0
    released = 0

    def __init__(self) -> None:
        super().__init__("example", Table)

    def configure(self) -> None:
        if self.p.kind == "bad":
            raise KuwaError("the machine 'x' is unknown")
        self.send = self.writer(topics.REQUEST)
        if self.p.kind == "worse":
            raise ZeroDivisionError

    def activate(self) -> Loop:
        return DeadlineLoop("example", 0.01, self._step, self.fail)

    def cleanup(self) -> None:
        self.released += 1

    def _step(self, now: float) -> None:
        self.steps += 1


@pytest.fixture
def node(ros_domain: int) -> Iterator[Example]:
    rclpy.init()
    node = Example()
    yield node
    node.finish()
    node.destroy_node()
    rclpy.try_shutdown()


def set_kind(node: Example, kind: str) -> Any:
    return node.set_parameters([Parameter("kind", value=kind)])[0]


def test_a_life(node: Example) -> None:
    assert node.trigger_configure() == SUCCESS
    assert node.p == Table()
    assert node.trigger_activate() == SUCCESS
    wait_for("ten steps", lambda: node.steps >= 10)
    assert node.trigger_deactivate() == SUCCESS
    steps = node.steps
    time.sleep(0.05)
    assert node.steps == steps
    assert node.trigger_cleanup() == SUCCESS
    assert node.released == 1
    assert node.count_publishers("joint_command/request") == 0
    assert node.trigger_configure() == SUCCESS


@pytest.mark.parametrize("kind", ["bad", "worse"])
def test_a_configure_that_raises_fails_and_releases(node: Example, kind: str) -> None:
    set_kind(node, kind)
    assert node.trigger_configure() == FAILURE
    assert node.state_label == "unconfigured"
    assert node.released == 1
    set_kind(node, "good")
    assert node.trigger_configure() == SUCCESS


def test_an_unknown_choice_fails_with_the_valid_ones(node: Example) -> None:
    set_kind(node, "wors")
    assert node.trigger_configure() == FAILURE
    assert "did you mean 'worse'" in node._problem


def test_a_number_out_of_range_is_refused(node: Example) -> None:
    assert not node.set_parameters([Parameter("gain", value=3.0)])[0].successful


def test_a_parameter_cannot_change_after_it_was_read(node: Example) -> None:
    node.trigger_configure()
    result = set_kind(node, "bad")
    assert not result.successful
    assert "clean it up first" in result.reason


def test_an_impossible_transition_is_answered_and_harms_nobody(node: Example) -> None:
    activate = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE))
    answer = node._service_change_state.callback(activate, ChangeState.Response())
    assert not answer.success
    assert node.state_label == "unconfigured"
    configure = ChangeState.Request(transition=Transition(label="configure"))
    assert node._service_change_state.callback(configure, ChangeState.Response()).success
    assert node.state_label == "inactive"


def test_a_loop_that_raises_is_a_problem_of_the_node(node: Example) -> None:
    def broken(now: float) -> None:
        raise ZeroDivisionError("in the step")

    node.trigger_configure()
    node._step = broken  # type: ignore[method-assign]
    node.trigger_activate()
    wait_for("the problem", lambda: "in the step" in node._problem)
    assert node.loop is not None
    wait_for("the loop has ended", lambda: node.loop.stalled(time.monotonic()))


def test_a_late_step_skips_whole_periods_and_counts_them() -> None:
    starts: list[float] = []

    def step(now: float) -> None:
        starts.append(now)
        if len(starts) == 5:
            time.sleep(0.105)

    loop = DeadlineLoop("late", 0.02, step, lambda error: None)
    loop.start()
    wait_for("20 steps", lambda: len(starts) >= 20)
    loop.stop()
    assert loop.stats.missed >= 4
    # It stays on the same deadlines: the phase is that of the first step.
    phases = [(s - starts[0]) % 0.02 for s in starts[6:]]
    assert min(phases) < 0.01


def test_a_message_loop_wakes_for_messages_and_at_the_timeout(node: Example) -> None:
    seen: list[int | None] = []
    done = threading.Event()

    def step(now: float, message: Any) -> None:
        seen.append(None if message is None else message.sequence)
        if seen[-1] == 3:
            done.set()

    reader = Reader(node, topics.REQUEST)
    loop = MessageLoop("message", node, reader, 0.05, step, node.fail)
    publisher = node.create_publisher(
        topics.REQUEST.type, topics.REQUEST.name, topics.REQUEST.qos()
    )
    loop.start()
    wait_for("a time-out", lambda: None in seen)
    wait_for("a match", lambda: publisher.get_subscription_count() > 0)
    for number in (1, 2, 3):
        wanted = JointCommand(0.0, number, "t", CommandKind.VALVE, (), np.zeros(0))
        publisher.publish(command_msg(wanted))
        wait_for(f"message {number}", lambda n=number: n in seen)
    assert done.is_set()
    loop.stop()
    assert loop.stats.missed > 0
