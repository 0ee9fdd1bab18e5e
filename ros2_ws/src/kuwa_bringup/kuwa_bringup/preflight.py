"""A preflight through a running stack: states from its topics, requests to its gate."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from kuwa_msgs.srv import SetMode
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Bool

from kuwa_hardware.envelope import Envelope
from kuwa_hardware.preflight import SOURCE, Check, Preflight
from kuwa_hardware.preflight.results import judged, tolerance
from kuwa_machines.contracts import Array, CommandKind, JointCommand, MachineState, Mode
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_ros import topics
from kuwa_ros.conversions import (
    JointOrder,
    JointStateReader,
    command_from,
    command_msg,
    hydraulic_from,
)
from kuwa_ros.loop import Reader
from kuwa_ros.sealing import mode_request
from kuwa_ros.world import imu_from, odometry_from

SILENCE = 1.0
"""Without joint states for this long it is broken off [s]."""
ANSWER = 5.0
"""A service answers within this [s]."""
DEPTH = 100
KEPT = 100
"""States that wait to be looked at."""


class PreflightRun:
    """One preflight as a node of its own.

    Args:
        spec: the machine, with the numbers that the stack runs with.
        namespace: of the stack. domain: ROS domain id; None: the environment's.
        envelope: of the key, where the gate asks for codes.
        simulated: stamps are of another clock.
    """

    def __init__(
        self, spec: MachineSpec, namespace: str, domain: int | None = None,
        envelope: Envelope | None = None, simulated: bool = True,
    ) -> None:  # fmt: skip
        self._context = Context()
        self._context.init(args=[], domain_id=domain)
        self.node = Node(
            SOURCE, namespace=namespace, context=self._context, enable_rosout=False,
            start_parameter_services=False, use_global_arguments=False,
        )  # fmt: skip
        self._spec, self._names = spec, tuple(spec.joint_names)
        self._envelope, self._simulated = envelope, simulated
        self._order, self._to_state = JointOrder(self._names), JointStateReader(self._names)
        self._readers = {
            topic: Reader(self.node, topic, DEPTH)
            for topic in (topics.ODOM, topics.IMU, topics.PRESSURES, topics.ROBOT_STATUS,
                          topics.APPLIED, topics.SAFETY, topics.JOINT_STATES)
        }  # fmt: skip
        self._request = self.node.create_publisher(
            topics.REQUEST.type, topics.REQUEST.name, topics.REQUEST.qos()
        )
        self._stop = self.node.create_publisher(
            Bool, topics.EMERGENCY_STOP.name, topics.EMERGENCY_STOP.qos()
        )
        self._set_mode = self.node.create_client(SetMode, topics.SET_MODE[0])
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._extra: dict[str, Any] = {}
        self._arrived: list[tuple[float, MachineState]] = []
        self._applied = np.zeros(len(self._names))
        # What the gate let pass, with the times of receipt, until a later state is looked at.
        self._news: deque[tuple[float, Array]] = deque(maxlen=10 * DEPTH)
        self._sequence = time.monotonic_ns() // 1_000_000
        self.mode = ""
        """Of the gate, as it says."""
        self.reasons: tuple[str, ...] = ()
        self.kind = self.fingerprint = ""
        """Of the robot, as its node says."""
        self.names: tuple[str, ...] = ()
        """Joint names as the driver gives them."""
        self.state: MachineState | None = None

    def close(self) -> None:
        """Leave the graph; the gate hears no more requests and goes to neutral."""
        self.node.destroy_node()
        self._context.try_shutdown()

    def wait(self, patience: float, alive: Callable[[], None] = lambda: None) -> MachineState:
        """Wait for joint states, the robot's kind and the gate's mode; return a state.

        Raises:
            KuwaError: they did not come in time.
        """
        until = time.monotonic() + patience
        while self.state is None or not self.mode or not self.kind:
            alive()
            self.look()
            if time.monotonic() > until:
                missing = [
                    name for name, there in (("joint states", self.state is not None),
                                             ("a gate", self.mode), ("robot_status", self.kind))
                    if not there
                ]  # fmt: skip
                raise KuwaError(
                    f"no {', '.join(missing)} in {self.node.get_namespace()} within "
                    f"{patience:g} s; is the stack running there?"
                )
            time.sleep(0.005)
        return self.state

    def ask(self, mode: Mode, who: str = SOURCE) -> tuple[bool, str]:
        """Ask the gate for a mode; return (granted, why)."""
        if not self._set_mode.wait_for_service(ANSWER):
            return False, "the gate's service set_mode is not there"
        future = self._set_mode.call_async(mode_request(mode.value, who, self._envelope))
        self._executor.spin_until_future_complete(future, ANSWER)
        answer = future.result() if future.done() else None
        if answer is None:
            return False, f"no answer to set_mode within {ANSWER:g} s"
        return bool(answer.granted), str(answer.why)

    def ask_ready(self, person: str) -> None:
        """Bring the gate into mode ready.

        Raises:
            KuwaError: it refuses.
        """
        granted, why = self.ask(Mode.READY, person)
        if not granted:
            raise KuwaError(f"the gate refuses mode 'ready': {why}")

    def check_stop(self, person: str) -> Check:
        """Press the emergency stop, see that the gate stops, and release it in a person's name."""
        began = time.monotonic()
        allowed = tolerance("stop")
        self._stop.publish(Bool(data=True))
        stopped = self._until(lambda: self.mode == Mode.STOPPED.value, 4.0 * allowed)
        took = time.monotonic() - began
        self._stop.publish(Bool(data=False))
        released = False
        if stopped:
            until = time.monotonic() + ANSWER
            while not released and time.monotonic() < until:
                released, _ = self.ask(Mode.READY, person)
                if not released:
                    time.sleep(0.05)
        words = f"stopped after {1e3 * took:.0f} ms" if stopped else "not stopped"
        if stopped and not released:
            words += ", not released again"
        return judged("stop", stopped and released and took <= allowed, words, "stopped",
                      value=took)  # fmt: skip

    def go(
        self, session: Preflight, answer: Callable[[str], bool], show: Callable[[Preflight], None]
    ) -> None:
        """Run a session to its end.

        Args:
            answer: asked each question; may take its time. show: called often.
        """
        mode, heard = Mode.READY, time.monotonic()
        while not session.finished:
            if session.question:
                # Nobody may be in a hurry with a question; the gate is in neutral meanwhile.
                session.reply(answer(session.question))
                self.look()
                self._arrived = []
                heard = time.monotonic()
                continue
            if session.mode is not mode:
                granted, why = self.ask(session.mode)
                if not granted:
                    session.abort(f"the gate refuses mode {session.mode.value!r}: {why}")
                    break
                mode, heard = session.mode, time.monotonic()
            self.look()
            arrived, now = self._arrived, time.monotonic()
            self._arrived = []
            if not arrived:
                if now - heard > SILENCE:
                    session.abort(f"no joint state for {SILENCE:g} s")
                    break
                time.sleep(0.001)
                continue
            heard = now
            if mode is Mode.ARMED and self.mode not in ("", Mode.ARMED.value, Mode.READY.value):
                session.abort(f"the gate is in mode {self.mode!r}: {'; '.join(self.reasons)}")
                break
            for at, state in arrived:
                while self._news and self._news[0][0] <= at:
                    self._applied = self._news.popleft()[1]
                age = np.nan if self._simulated else time.time() - (now - at) - state.stamp
                wanted = session.step(at, state, self._applied, age)
            if mode is Mode.ARMED:
                self._send(arrived[-1][1], wanted)
            show(session)
        self.neutral()

    def neutral(self) -> None:
        """Ask for nothing more and leave mode armed."""
        if self.state is not None and self.mode == Mode.ARMED.value:
            self._send(self.state, np.zeros(len(self._names)))
            self.ask(Mode.READY)

    def look(self) -> None:
        """Take everything that has arrived."""
        for topic, reader in self._readers.items():
            while (taken := reader.take_aged()) is not None:
                self._take(topic, *taken)
        # While nobody takes them, as during a question, old states are of no use.
        del self._arrived[:-KEPT]

    def _take(self, topic: topics.Topic, message: Any, age: float) -> None:
        if topic is topics.ODOM:
            self._extra |= odometry_from(message)
        elif topic is topics.IMU:
            unknown = np.full(6, np.nan)
            self._extra |= imu_from(message, self._extra.get("base_velocity", unknown))
        elif topic is topics.PRESSURES:
            self._extra |= hydraulic_from(message, self._order)
        elif topic is topics.ROBOT_STATUS:
            self.kind, self.fingerprint = message.robot, message.fingerprint
            self._extra["faults"] = tuple(message.faults)
        elif topic is topics.APPLIED:
            values = command_from(message).ordered(self._names)
            self._news.append((time.monotonic() - max(age, 0.0), values))
        elif topic is topics.SAFETY:
            self.mode, self.reasons = message.mode, tuple(message.reasons)
        else:
            self.names = tuple(message.name)
            self.state = replace(self._to_state(message), **self._extra)
            self._arrived.append((time.monotonic() - max(age, 0.0), self.state))

    def _send(self, state: MachineState, values: Array) -> None:
        self._sequence += 1
        command = JointCommand(
            state.stamp, self._sequence, SOURCE, CommandKind.VALVE, self._names, values.copy()
        )
        if self._envelope is not None:
            command = self._envelope.seal(command)
        self._request.publish(command_msg(command))

    def _until(self, holds: Callable[[], bool], patience: float) -> bool:
        until = time.monotonic() + patience
        while time.monotonic() < until:
            self.look()
            if holds():
                return True
            time.sleep(0.002)
        return False
