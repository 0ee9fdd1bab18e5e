"""A running stack and a node that plays the other parts, for tests with real processes."""

from __future__ import annotations

import math
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from kuwa_msgs.msg import JointCommand, SafetyState
from kuwa_msgs.srv import SetMode
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from kuwa_bringup.processes import Processes
from kuwa_bringup.stack import NodeSpec, stack
from kuwa_hardware.envelope import Envelope
from kuwa_machines.loader import load_machine
from kuwa_ros import topics
from kuwa_ros.conversions import seconds, time_msg
from kuwa_ros.sealing import mode_request

MACHINE = "zx200"
NAMES = load_machine(MACHINE).joint_names
WAIT_S = 30.0
CLEAN = {0}


def wait_for(what: str, holds: Callable[[], Any], timeout: float = WAIT_S) -> float:
    """Wait until a condition holds; return how long it took [s]."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > timeout:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.005)
    return time.monotonic() - start


class Probe:
    """Listens to the stack and speaks to it, in a context and a thread of its own."""

    def __init__(self) -> None:
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node("probe", namespace=MACHINE, context=self._context)
        self.states: list[JointState] = []
        self.applied: list[JointCommand] = []
        self.safety: SafetyState | None = None
        self.clock: list[float] = []
        self.health: dict[str, tuple[float, Any]] = {}
        self._listen(topics.JOINT_STATES, self.states.append)
        self._listen(topics.APPLIED, self.applied.append)
        self._listen(topics.SAFETY, lambda m: setattr(self, "safety", m))
        self._listen(topics.CLOCK, lambda m: self.clock.append(seconds(m.clock)))
        self._listen(topics.DIAGNOSTICS, self._diagnostics)
        self._out = {
            t: self.node.create_publisher(t.type, t.name, t.qos())
            for t in (
                topics.REQUEST,
                topics.TRAJECTORY,
                topics.VELOCITY_REFERENCE,
                topics.EMERGENCY_STOP,
            )
        }
        self._set_mode = self.node.create_client(SetMode, topics.SET_MODE[0])
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def _listen(self, topic: topics.Topic, callback: Callable[[Any], None]) -> None:
        self.node.create_subscription(topic.type, topic.name, callback, topic.qos(200))

    def _diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            name = status.name.rsplit("/", 1)[-1]
            self.health[name] = (time.monotonic(), status)

    def close(self) -> None:
        self._context.try_shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()

    # What it sees ----------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        return "" if self.safety is None else self.safety.mode

    def says(self, name: str, key: str) -> str:
        """Return a value of a node's last heartbeat."""
        if name not in self.health:
            return ""
        return next((v.value for v in self.health[name][1].values if v.key == key), "")

    def supervisor(self) -> str:
        return self.health["supervisor"][1].message if "supervisor" in self.health else ""

    def now(self) -> float:
        """Return the stamp of the newest joint state [s]."""
        return seconds(self.states[-1].header.stamp)

    def position(self, joint: str) -> float:
        return float(self.states[-1].position[NAMES.index(joint)])

    def speed(self) -> float:
        """Return the largest joint speed of the newest state [rad/s]."""
        return max(map(abs, self.states[-1].velocity))

    def out(self) -> float:
        """Return the largest valve command that was applied last."""
        return max(map(abs, self.applied[-1].value))

    # What it says ----------------------------------------------------------------------------

    def set_mode(
        self, mode: str, who: str = "Ada", envelope: Envelope | None = None
    ) -> tuple[bool, str]:
        wait_for("the set_mode service", self._set_mode.service_is_ready)
        future = self._set_mode.call_async(mode_request(mode, who, envelope))
        wait_for("an answer to set_mode", future.done)
        return future.result().granted, future.result().why

    def engage(self, mode: str) -> None:
        """Go up to a motion mode, releasing a stop if need be."""
        for step in ("ready", "armed", mode):
            # A gate that has just been started refuses to arm before its first joint state.
            wait_for(f"mode {step} granted", lambda s=step: self.set_mode(s)[0], 5.0)
        wait_for(f"mode {mode}", lambda: self.mode == mode)

    def stop(self, active: bool) -> None:
        self._out[topics.EMERGENCY_STOP].publish(Bool(data=active))

    def command(self, values: list[float], **changes: Any) -> JointCommand:
        msg = JointCommand(joint_name=list(NAMES), value=array("d", values))
        msg.header.stamp = time_msg(self.now())
        for name, value in changes.items():
            setattr(msg, name, value)
        return msg

    def request(self, msg: JointCommand) -> None:
        self._out[topics.REQUEST].publish(msg)

    def deadman(self) -> None:
        """Say that the operator holds the deadman."""
        # Not before somebody drives by it: to others it would be a second operator.
        t = topics.DEADMAN
        if t not in self._out:
            self._out[t] = self.node.create_publisher(t.type, t.name, t.qos())
        self._out[t].publish(Bool(data=True))

    def velocity(self, values: list[float]) -> None:
        """As an operator's program does, with the deadman held."""
        self.deadman()
        kind = JointCommand.VELOCITY_FRACTION
        self._out[topics.VELOCITY_REFERENCE].publish(
            self.command(values, kind=kind, source="teleop")
        )

    def trajectory(
        self, knots: list[tuple[float, list[float]]], stamp: float | None = None
    ) -> None:
        """Send a chunk that begins at ``stamp`` [s], by default now."""
        msg = JointTrajectory(joint_names=list(NAMES))
        msg.header.stamp = time_msg(self.now() if stamp is None else stamp)
        for t, q in knots:
            point = JointTrajectoryPoint(positions=q, velocities=[0.0] * len(q))
            point.time_from_start.sec = math.floor(t)
            point.time_from_start.nanosec = round(1e9 * (t - math.floor(t)))
            msg.points.append(point)
        self._out[topics.TRAJECTORY].publish(msg)

    @contextmanager
    def repeating(self, action: Callable[[], None], period: float = 0.02) -> Iterator[None]:
        """Do something again and again in a thread."""
        end = threading.Event()

        def work() -> None:
            while not end.wait(period):
                action()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


class Rig:
    """A stack with the mock robot, and the probe."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.probe = Probe()

    def wait_until_up(self) -> None:
        wait_for("all nodes active", lambda: self.probe.supervisor() in ("running", "stopped"))
        wait_for("joint states", lambda: self.probe.states)
        wait_for("a mode", lambda: self.probe.mode not in ("", "off"))


def mock_stack(*only: str, **options: Any) -> tuple[NodeSpec, ...]:
    """Return the stack with the mock robot, or with only some of its nodes."""
    specs = stack(MACHINE, "mock", **({"auto_arm": False} | options))
    if not only:
        return specs
    supervisor = replace(specs[-1], parameters=specs[-1].parameters | {"nodes": only})
    return (*(spec for spec in specs if spec.name in only), supervisor)


@contextmanager
def running(specs: tuple[NodeSpec, ...], logs: Path, respawn: bool = False) -> Iterator[Rig]:
    """Run a stack; at the end every node must have ended by itself and with exit code 0."""
    processes = Processes(specs, logs, respawn=respawn)
    rig = None
    try:
        processes.start()
        rig = Rig(processes)
        rig.wait_until_up()
        yield rig
    except BaseException:
        for name in processes.specs:
            print(f"--- {name}\n{processes.tail(name, 30)}")
        raise
    finally:
        if rig is not None:
            rig.probe.close()
        codes = processes.stop()
    unclean = {n: f"{c}\n{processes.tail(n, 30)}" for n, c in codes.items() if c not in CLEAN}
    assert not unclean, unclean
