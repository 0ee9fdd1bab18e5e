"""Hears a running stack, and plays its operator and its planner.

Receipts are stamped by the middleware's own threads.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import rclpy
from kuwa_msgs.msg import JointCommand
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Bool

from kuwa_machines.contracts import Level
from kuwa_machines.errors import KuwaError
from kuwa_machines.loader import load_machine
from kuwa_ros import topics
from kuwa_ros.loop import Reader
from kuwa_ros.sealing import mode_request

MACHINE = "zx200"
WHO = "Ada"
DEPTH = 1000
LOOK_S = 0.002
SEND_S = 0.02
PATIENCE_S = 60.0
MOVING = 0.05
"""A machine with an applied command above this is in motion."""
REVERSAL = 0.1
"""The operator's lever goes to and fro: every two seconds commands pass through neutral, for 20 to
40 ms."""
HEARD = (
    topics.APPLIED, topics.SAFETY, topics.ROBOT_STATUS, topics.REQUEST, topics.JOINT_STATES,
    topics.ALARMS, topics.DEADMAN, topics.TRAJECTORY,
)  # fmt: skip


class ReactionError(KuwaError):
    """The stack did not do what a measurement needs."""


@dataclass(slots=True)
class Heard:
    """The newest message of a topic, and all since the last mark with their receipt [s]."""

    reader: Reader
    newest: Any = None
    since: list[tuple[float, Any]] = field(default_factory=list)


class Listener:
    """Hears the stack and plays operator and planner, in a context of its own.

    Args:
        domain: ROS domain. namespace: of the machine.
    """

    def __init__(self, domain: int, namespace: str = MACHINE) -> None:
        self.domain = domain
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("listener", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.names = load_machine(namespace).joint_names
        self.heard = {topic: Heard(Reader(self.node, topic, DEPTH)) for topic in HEARD}
        sent = (
            topics.VELOCITY_REFERENCE, topics.DEADMAN, topics.EMERGENCY_STOP, topics.TRAJECTORY,
            topics.TASK,
        )  # fmt: skip
        self.send = {
            topic: self.node.create_publisher(topic.type, topic.name, topic.qos()).publish
            for topic in sent
        }
        self._client = self.node.create_client(topics.SET_MODE[1], topics.SET_MODE[0])
        self._lever: list[float] | None = None
        self._end = threading.Event()
        self._operator = threading.Thread(target=self._operate, daemon=True)
        self._operator.start()

    def close(self) -> None:
        """Leave the graph."""
        self._end.set()
        self._operator.join()
        self.node.destroy_node()
        self._context.try_shutdown()

    # What it hears ---------------------------------------------------------------------------

    def look(self) -> None:
        """Take what has arrived."""
        for topic, heard in self.heard.items():
            handle = heard.reader.subscription.handle
            while (taken := handle.take_message(topic.type, False)) is not None:
                heard.newest = taken[0]
                heard.since.append((1e-9 * taken[1]["received_timestamp"], taken[0]))

    def mark(self) -> float:
        """Forget what was heard before now; return now [s, system time]."""
        self.look()
        for heard in self.heard.values():
            heard.since.clear()
        return time.time()

    def wait(self, what: str, holds: Callable[[], Any], patience: float = PATIENCE_S) -> float:
        """Look until a condition holds; return how long it took [s].

        Raises:
            ReactionError: it does not within ``patience`` [s].
        """
        start = time.monotonic()
        while True:
            self.look()
            if holds():
                return time.monotonic() - start
            if time.monotonic() - start > patience:
                raise ReactionError(f"not within {patience:g} s: {what}; {self.words()}")
            time.sleep(LOOK_S)

    def first(
        self, topic: topics.Topic, shows: Callable[[Any], bool], since: float, what: str
    ) -> float:
        """Return the time from ``since`` to the first message that shows the reaction [ms]."""
        found: list[float] = []

        def seen() -> bool:
            for received, message in self.heard[topic].since:
                if received >= since and shows(message):
                    found.append(received)
                    return True
            return False

        self.wait(what, seen, 10.0)
        return 1e3 * (found[0] - since)

    @property
    def mode(self) -> str:
        """The mode in force, as far as heard."""
        safety = self.heard[topics.SAFETY].newest
        return "" if safety is None else str(safety.mode)

    @property
    def level(self) -> Level:
        """The level in force, as far as heard."""
        safety = self.heard[topics.SAFETY].newest
        return Level.NONE if safety is None else Level(safety.level)

    def count(self, topic: topics.Topic) -> int:
        """Return how many messages of a topic came since the last mark."""
        return len(self.heard[topic].since)

    def alarms(self) -> dict[str, Any]:
        """Return the supervisor's alarms by code."""
        newest = self.heard[topics.ALARMS].newest
        return {} if newest is None else {alarm.code: alarm for alarm in newest.alarms}

    def words(self) -> str:
        """Return what the gate says now."""
        safety = self.heard[topics.SAFETY].newest
        return "no gate" if safety is None else f"{self.mode}, {[*safety.alarms, *safety.reasons]}"

    def moves(self) -> bool:
        """Whether a command moves the machine."""
        applied = self.heard[topics.APPLIED].newest
        return applied is not None and max(map(abs, applied.value)) > MOVING

    def works(self) -> bool:
        """Whether a command moves the machine, now or once the lever has gone through neutral."""
        try:
            self.wait("motion", self.moves, REVERSAL)
        except ReactionError:
            return False
        return True

    def speed(self) -> float:
        """Return the highest joint speed [rad/s]."""
        return max(map(abs, self.heard[topics.JOINT_STATES].newest.velocity))

    # What it says ----------------------------------------------------------------------------

    def lever(self, values: list[float] | None) -> None:
        """Hold the deadman and send these velocity references from now on; neither if None."""
        self._lever = values

    def _operate(self) -> None:
        while not self._end.wait(SEND_S):
            values, state = self._lever, self.heard[topics.JOINT_STATES].newest
            if values is None or state is None:
                continue
            self.send[topics.DEADMAN](Bool(data=True))
            # To and fro, so that no joint comes near its limit.
            sign = 1.0 if time.monotonic() % 4.0 < 2.0 else -1.0
            message = JointCommand(
                joint_name=list(self.names), value=array("d", [sign * v for v in values]),
                kind=JointCommand.VELOCITY_FRACTION, source="teleop",
            )  # fmt: skip
            message.header.stamp = state.header.stamp
            self.send[topics.VELOCITY_REFERENCE](message)

    def set_mode(self, mode: str) -> tuple[bool, str]:
        """Ask for a mode as a person; return (granted, why)."""
        if not self._client.wait_for_service(PATIENCE_S):
            raise ReactionError("the gate does not serve set_mode")
        future = self._client.call_async(mode_request(mode, WHO))
        self._executor.spin_until_future_complete(future, 5.0)
        answer = future.result()
        return (False, "no answer") if answer is None else (answer.granted, answer.why)

    def climb(self, mode: str) -> bool:
        """Ask for the next mode on the way up, releasing a stop if need be; say if it is there."""
        above = {"off": "ready", "stopped": "ready", "ready": "armed", "armed": mode}
        if self.mode != mode:
            self.set_mode(above.get(self.mode, "armed"))
        return self.mode == mode and self.level is Level.NONE

    def engage(self, mode: str) -> None:
        """Go up to a motion mode."""
        self.wait(f"mode {mode}", lambda: self.climb(mode))

    def drive(self) -> None:
        """Be in full motion, from whatever there was."""
        self.lever([0.4] + [0.0] * (len(self.names) - 1))
        self.wait("motion", lambda: self.climb("teleop") and self.moves())

    def stop(self, active: bool) -> None:
        """Push or release the emergency stop."""
        self.send[topics.EMERGENCY_STOP](Bool(data=active))


def neutral(message: Any) -> bool:
    """Whether an applied command is neutral."""
    return not any(message.value)


def at_least(level: Level) -> Callable[[Any], bool]:
    """Return whether the gate has stepped down this far."""
    return lambda message: message.level >= level


def tripped(message: Any) -> bool:
    """Whether the watchdog behind the gate has put the valves in neutral."""
    return "safety_killed" in message.faults
