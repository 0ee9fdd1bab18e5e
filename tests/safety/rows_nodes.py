"""Rows about processes that are killed, hang or are not well, in a running stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kuwa_msgs.msg import Heartbeat
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from failure_rows import Seen, row
from kuwa_hardware.failures import failure
from kuwa_machines.contracts import Level
from kuwa_ros import topics
from shared_stack import Shared, at_least, neutral, reaction, shared

ROS = pytest.mark.ros
OPERATOR = Path(__file__).with_name("operator_process.py")


def ended(name: str, number: signal.Signals) -> Seen:
    """Kill or freeze a node of the moving machine; see the reaction and the way back."""
    stack = shared()
    listener = stack.listener
    code = f"{name}_{'killed' if number is signal.SIGKILL else 'frozen'}"

    def once() -> float:
        return reaction(listener, stack.processes, name, number)

    after = stack.fastest(once, failure(code).within_ms)
    words, seen = listener.words(), "neutral"
    if name in ("planning", "supervisor"):
        seen = listener.level.name.lower()
        # The lever is not centred; a hold brings the machine to rest all the same.
        listener.wait("rest", lambda: listener.speed() < 0.02 or listener.level > Level.HOLD, 5.0)
    if number is signal.SIGKILL:
        return Seen(seen, after, stack.restart(name), words)
    stack.processes.send(name, signal.SIGCONT)
    stack.healthy()
    return Seen(seen, after, listener.works(), words)


@row("control_killed", ROS)
def control_killed(tmp_path: Path) -> Seen:
    return ended("control", signal.SIGKILL)


@row("control_frozen", ROS)
def control_frozen(tmp_path: Path) -> Seen:
    return ended("control", signal.SIGSTOP)


@row("safety_killed", ROS)
def safety_killed(tmp_path: Path) -> Seen:
    return ended("safety", signal.SIGKILL)


@row("safety_frozen", ROS)
def safety_frozen(tmp_path: Path) -> Seen:
    return ended("safety", signal.SIGSTOP)


@row("planning_killed", ROS)
def planning_killed(tmp_path: Path) -> Seen:
    return ended("planning", signal.SIGKILL)


@row("planning_frozen", ROS)
def planning_frozen(tmp_path: Path) -> Seen:
    return ended("planning", signal.SIGSTOP)


@row("supervisor_killed", ROS)
def supervisor_killed(tmp_path: Path) -> Seen:
    return ended("supervisor", signal.SIGKILL)


@row("supervisor_frozen", ROS)
def supervisor_frozen(tmp_path: Path) -> Seen:
    return ended("supervisor", signal.SIGSTOP)


@contextmanager
def operator(stack: Shared) -> Iterator[subprocess.Popen[bytes]]:
    """An operator's program of its own that steers, with the deadman held."""
    listener = stack.listener
    listener.lever(None)
    domain = str(listener.domain)
    program = subprocess.Popen([sys.executable, str(OPERATOR), "zx200", domain])
    try:
        listener.wait("the operator's program", lambda: listener.count(topics.DEADMAN) > 0)
        listener.wait("motion", lambda: listener.climb("teleop") and listener.moves())
        yield program
    finally:
        program.kill()
        program.wait()


def operator_ended(number: signal.Signals) -> Seen:
    """Kill or freeze the operator's program while it drives."""
    stack = shared()
    listener = stack.listener
    with operator(stack) as program:
        since = listener.mark()
        os.kill(program.pid, number)
        after = listener.first(topics.APPLIED, neutral, since, "neutral")
        listener.wait("no more teleop", lambda: listener.mode == "armed")
        words = listener.words()
        if number is signal.SIGSTOP:
            # Words of the deadman alone do not make it go on: a person arms again.
            os.kill(program.pid, signal.SIGCONT)
            time.sleep(0.2)
            assert listener.mode == "armed" and not listener.moves()
            listener.wait("motion", lambda: listener.climb("teleop") and listener.moves())
            return Seen("neutral", after, listener.works(), words)
    with operator(stack):
        return Seen("neutral", after, listener.works(), words)


@row("teleop_killed", ROS)
def teleop_killed(tmp_path: Path) -> Seen:
    return operator_ended(signal.SIGKILL)


@row("teleop_frozen", ROS)
def teleop_frozen(tmp_path: Path) -> Seen:
    return operator_ended(signal.SIGSTOP)


@row("node_problem", ROS)
def node_problem(tmp_path: Path) -> Seen:
    """A heartbeat of planning says that it is not well, again and again."""
    stack = shared()
    listener = stack.listener
    listener.lever(None)
    listener.engage("auto")
    topic = topics.heartbeat("planning")
    beat = Heartbeat(node="planning", state="active", problem="its model is no number any more")
    sender = listener.node.create_publisher(topic.type, topic.name, topic.qos())
    listener.wait("the supervisor hears", lambda: sender.get_subscription_count() >= 1)
    since = listener.mark()
    ending = threading.Event()

    def say() -> None:
        while not ending.wait(0.005):
            sender.publish(beat)

    thread = threading.Thread(target=say)
    thread.start()
    try:
        after = listener.first(topics.SAFETY, at_least(Level.STOPPED), since, "the stop")
        listener.wait("the alarm", lambda: "node_problem" in listener.alarms())
        said = listener.alarms()["node_problem"].reason
        # Nobody is let go on while it lasts.
        assert not listener.set_mode("ready")[0]
    finally:
        ending.set()
        thread.join()
        listener.node.destroy_publisher(sender)
    assert "no number" in said, said
    stack.healthy()
    return Seen("stopped", after, listener.works(), said)


@row("node_leaves_active", ROS)
def node_leaves_active(tmp_path: Path) -> Seen:
    """Somebody deactivates planning while the machine works."""
    stack = shared()
    listener = stack.listener
    client = listener.node.create_client(ChangeState, "planning/change_state")
    assert client.wait_for_service(10.0)
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    since = listener.mark()
    client.call_async(request)
    after = listener.first(topics.SAFETY, at_least(Level.STOPPED), since, "the stop")
    listener.wait("the alarm", lambda: "node_leaves_active" in listener.alarms())
    said = listener.alarms()["node_leaves_active"].reason
    stack.healthy()
    return Seen("stopped", after, listener.works(), said)
