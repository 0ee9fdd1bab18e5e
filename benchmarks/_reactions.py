"""Reaction times of the running stack, seen by a listener beside it.

Every time is from just before the fault, a signal or a message, to the receipt of the first message
that shows the reaction; receipts are stamped by the middleware's own threads. The machine is in
full motion at each fault. Nodes are forked from a process that has imported them, so that a hundred
kills take minutes, not hours.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from kuwa_msgs.msg import JointCommand
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Bool

from kuwa_bringup.processes import Processes, command_line
from kuwa_bringup.stack import NodeSpec, stack
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


REACTIONS: dict[str, tuple[topics.Topic, Callable[[Any], bool]]] = {
    "control": (topics.APPLIED, neutral),
    "safety": (topics.ROBOT_STATUS, tripped),
    "planning": (topics.SAFETY, at_least(Level.HOLD)),
    "supervisor": (topics.SAFETY, at_least(Level.HOLD)),
}
"""What shows the reaction to the end of each node."""


class Forked(Processes):
    """A stack whose nodes are forked; what has died is started again when told."""

    def __init__(
        self, specs: tuple[NodeSpec, ...], logs: Path, environment: dict[str, str]
    ) -> None:
        super().__init__(specs, logs, environment=environment)
        modules = {spec.package: f"{spec.package}.{_module(spec)}" for spec in specs}
        self._modules = modules
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("_forking.py")), *modules.values()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        self._pids: dict[str, int] = {}
        self._answer()

    def _answer(self) -> str:
        assert self._server.stdout is not None
        answer = self._server.stdout.readline().strip()
        if not answer:
            raise ReactionError("the process that forks nodes has ended")
        return answer

    def start(self) -> None:
        """Start every node that does not run."""
        for name in self.specs:
            if not self.runs(name):
                self.start_one(name)

    def start_one(self, name: str) -> None:
        """Fork one node."""
        self.logs.mkdir(parents=True, exist_ok=True)
        spec = self.specs[name]
        order = {
            "name": name, "module": self._modules[spec.package],
            "arguments": command_line(spec)[1:], "log": str(self.logs / f"{name}.log"),
        }  # fmt: skip
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        self._pids[name] = int(self._answer())

    def pid(self, name: str) -> int:
        """Return a node's process id."""
        return self._pids[name]

    def runs(self, name: str) -> bool:
        """Whether a node's process is there."""
        try:
            os.kill(self._pids[name], 0)
        except (KeyError, ProcessLookupError):
            return False
        return True

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a node."""
        if self.runs(name):
            os.killpg(self._pids[name], number)

    def stop(self) -> dict[str, int]:
        """End everything."""
        for number in (signal.SIGCONT, signal.SIGINT, signal.SIGKILL):
            for name in reversed(list(self._pids)):
                self.send(name, number)
            deadline = time.monotonic() + (5.0 if number != signal.SIGCONT else 0.0)
            while time.monotonic() < deadline and any(map(self.runs, self._pids)):
                time.sleep(0.02)
        if self._server.stdin is not None:
            self._server.stdin.close()
        self._server.wait()
        return {}


def _module(spec: NodeSpec) -> str:
    return "supervisor" if spec.name == "supervisor" else "node"


@contextmanager
def running(
    folder: Path, robot: str = "mock", domain: int = 0, **options: Any
) -> Iterator[tuple[Listener, Forked]]:
    """Run a stack that does not arm itself, and listen to it.

    Args:
        folder: of logs. robot: kind. domain: ROS domain; a free one if 0. options: of the stack.
    """
    from kuwa_cli.ros_run import free_domain

    domain = domain or free_domain()
    specs = stack(MACHINE, robot, **({"auto_arm": False} | options))
    processes = Forked(specs, folder, {"ROS_DOMAIN_ID": str(domain)})
    listener = None
    try:
        processes.start()
        listener = Listener(domain)
        listener.wait("mode ready", lambda: listener.mode == "ready")
        yield listener, processes
    except ReactionError as error:
        dead = [name for name in processes.specs if not processes.runs(name)]
        logs = "\n".join(f"--- {n}\n{processes.tail(n, 8)}" for n in processes.specs)
        raise ReactionError(f"{error}; dead: {dead}\n{logs}") from None
    finally:
        if listener is not None:
            listener.close()
        processes.stop()


def reaction(listener: Listener, processes: Processes, name: str, number: signal.Signals) -> float:
    """End or freeze a node of the moving machine; return how long the reaction took [ms]."""
    topic, shows = REACTIONS[name]
    listener.drive()
    time.sleep(random.uniform(0.0, 0.1))
    since = listener.mark()
    processes.send(name, number)
    return listener.first(topic, shows, since, f"the reaction to {name}")


def signalled(
    listener: Listener, processes: Forked, name: str, number: signal.Signals, count: int
) -> list[float]:
    """Return how long the reaction to the end or the freeze of a node took, each time [ms]."""
    times = []
    for _ in range(count):
        times.append(reaction(listener, processes, name, number))
        if number == signal.SIGSTOP:
            processes.send(name, signal.SIGCONT)
        else:
            processes.start_one(name)
            if name != "supervisor":
                # It stops the machine and brings the node up; then a person releases the stop.
                listener.wait(f"the stop after {name}", lambda: listener.mode == "stopped")
    return times


def emergency_stops(listener: Listener, count: int) -> list[float]:
    """Return the times from an emergency stop to neutral valves [ms]."""
    times = []
    for _ in range(count):
        listener.drive()
        time.sleep(random.uniform(0.0, 0.1))
        since = listener.mark()
        listener.stop(True)
        times.append(listener.first(topics.APPLIED, neutral, since, "neutral"))
        listener.wait("the latch", lambda: listener.mode == "stopped")
        listener.stop(False)
    return times


def command_losses(listener: Listener, processes: Forked, count: int) -> list[float]:
    """Return the times from control's last request to neutral valves [ms]."""
    times = []
    for _ in range(count):
        listener.drive()
        time.sleep(random.uniform(0.0, 0.1))
        since = listener.mark()
        processes.send("control", signal.SIGSTOP)
        listener.first(topics.APPLIED, neutral, since, "neutral")
        processes.send("control", signal.SIGCONT)
        neutral_at = next(t for t, m in listener.heard[topics.APPLIED].since if neutral(m))
        before = [t for t, _ in listener.heard[topics.REQUEST].since if t < neutral_at]
        times.append(1e3 * (neutral_at - max(before, default=since)))
    return times


def summary(times: list[float]) -> tuple[float, float]:
    """Return worst and median."""
    return max(times), statistics.median(times)


def measure(
    folder: Path, count: int = 100, robot: str = "mock"
) -> Iterator[tuple[str, list[float]]]:
    """Yield the name and the times [ms] of each kind of fault."""
    with running(folder, robot) as (listener, processes):
        yield "emergency_stop", emergency_stops(listener, count)
        yield "command_loss", command_losses(listener, processes, count)
        for name in REACTIONS:
            for number in (signal.SIGSTOP, signal.SIGKILL):
                kind = f"{name}_{number.name.lower()}"
                yield kind, signalled(listener, processes, name, number, count)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        for kind, times in measure(Path(place), int(sys.argv[1]) if len(sys.argv) > 1 else 100):
            worst, median = summary(times)
            print(f"{kind:24s} worst {worst:7.1f} ms  median {median:7.1f} ms  of {len(times)}",
                  flush=True)  # fmt: skip
