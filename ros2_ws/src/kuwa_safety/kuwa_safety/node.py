"""The safety node: the gate, sole writer of applied commands, keeper of the mode."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from kuwa_hardware.gate import Gate, GateLimits
from kuwa_machines.contracts import GateOutput, JointCommand, MachineState, Mode
from kuwa_machines.overlay import load_machine_as
from kuwa_ros import topics
from kuwa_ros.conversions import JointStateReader, command_from, command_msg, safety_msg
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.loop import Loop, MessageLoop
from kuwa_ros.main import run
from kuwa_ros.parameters import parameter

FRESHNESS_PERIOD = 0.02
"""Without a request, freshness is looked at this often [s]."""
SAFETY_PERIOD = 0.1
"""``safety`` is repeated this often [s]; a change goes out at once."""
_D = GateLimits()


@dataclass(frozen=True)
class SafetyParameters:
    """Parameters of the safety node."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    request_timeout: float = parameter(
        _D.request_timeout,
        "a request is stale this long after its receipt",
        unit="s",
        low=0.02,
        high=1.0,
    )
    state_timeout: float = parameter(
        _D.state_timeout,
        "a joint state is stale this long after its receipt",
        unit="s",
        low=0.02,
        high=1.0,
    )
    answer_age: float = parameter(
        _D.answer_age,
        "a request that answers a state further from the newest is refused",
        unit="s",
        low=0.05,
        high=5.0,
    )
    slew: float = parameter(
        _D.slew, "fastest change of a valve command", unit="1/s", low=0.1, high=100.0
    )
    margin: float = parameter(
        _D.margin, "distance kept from the position limits", unit="rad", low=0.001, high=0.5
    )
    overspeed: float = parameter(
        _D.overspeed,
        "a joint faster than this times its maximum gets no more command that way",
        unit="1",
        low=1.0,
        high=3.0,
    )
    supervisor_timeout: float = parameter(
        1.5,
        "stop when a supervisor that was heard is silent for this long; 0: never",
        unit="s",
        low=0.0,
        high=60.0,
    )


class SafetyNode(KuwaNode[SafetyParameters]):
    """Steps the gate for each request, and without one at 50 Hz."""

    gate: Gate | None = None

    def __init__(self) -> None:
        super().__init__("safety", SafetyParameters)

    def configure(self) -> None:
        p = self.p
        spec = load_machine_as(p.machine, p.parameters)
        limits = {name: getattr(p, name) for name in GateLimits.__dataclass_fields__}
        self.gate = Gate(spec, GateLimits(**limits))
        # The loop steps the gate while the executor sets modes and stops.
        self._lock = threading.Lock()
        self._to_state = JointStateReader(tuple(spec.joint_names))
        self._states = self.reader(topics.JOINT_STATES)
        self._requests = self.reader(topics.REQUEST)
        self._applied = self.writer(topics.APPLIED)
        self._safety = self.writer(topics.SAFETY)
        self._told: tuple[Mode, int] | None = None
        self._told_at = 0.0
        self._mode = Mode.OFF
        self._refused = 0
        self._supervisor = self.get_namespace().rstrip("/") + "/supervisor"
        self._supervisor_at = 0.0
        self.listen(topics.EMERGENCY_STOP, self._stop)
        self.serve(topics.SET_MODE, self._set_mode)
        if p.supervisor_timeout:
            self.listen(topics.DIAGNOSTICS, self._heard)

    def activate(self) -> Loop:
        return MessageLoop("safety", self, self._requests, FRESHNESS_PERIOD, self._step, self.fail)

    def report(self) -> dict[str, object]:
        return {} if self.gate is None else {"mode": self._mode.value, "refused": self._refused}

    def _step(self, now: float, message: Any | None) -> None:
        assert self.gate is not None
        state, request = self._newest_state(), self._request(message)
        with self._lock:
            if self._supervisor_at and now - self._supervisor_at > self.p.supervisor_timeout:
                self.gate.emergency_stop(True, "silent supervisor")
            out = self.gate.step(now, state, request)
        self._applied(command_msg(out.applied))
        self._tell(now, out)

    def _newest_state(self) -> MachineState | None:
        message = self._states.take()
        if message is None:
            return None
        try:
            return self._to_state(message)
        except Exception as error:
            self.complain("joint state", error)
            return None

    def _request(self, message: Any | None) -> JointCommand | None:
        if message is None:
            return None
        try:
            return command_from(message)
        except Exception as error:
            self.complain("request", error)
            return None

    def _tell(self, now: float, out: GateOutput) -> None:
        safety = out.safety
        self._mode, self._refused = safety.mode, safety.refused
        news = (safety.mode, safety.refused)
        if news != self._told or now - self._told_at >= SAFETY_PERIOD:
            self._told, self._told_at = news, now
            self._safety(safety_msg(safety, out.applied.stamp))

    def _set_mode(self, request: Any, response: Any) -> Any:
        assert self.gate is not None
        try:
            mode = Mode(request.mode)
        except ValueError:
            mode = request.mode  # the mode machine answers with the valid ones
        with self._lock:
            response.granted, response.why = self.gate.set_mode(mode, request.who)
        self.get_logger().info(
            f"{request.who or 'somebody'} asks for mode {request.mode!r}: "
            f"{'granted' if response.granted else 'refused'}, {response.why}"
        )
        self._now()
        return response

    def _stop(self, message: Any) -> None:
        assert self.gate is not None
        with self._lock:
            self.gate.emergency_stop(message.data, "the topic emergency_stop")
        self.get_logger().warning(
            "emergency stop" if message.data else "emergency stop is no longer demanded"
        )
        self._now()

    def _heard(self, message: Any) -> None:
        assert self.gate is not None
        for status in message.status:
            if status.name == self._supervisor:
                self._supervisor_at = time.monotonic()
                with self._lock:
                    self.gate.emergency_stop(False, "silent supervisor")

    def _now(self) -> None:
        if self.loop is not None:
            self.loop.wake()


def main() -> None:
    """Run the node."""
    run(SafetyNode)
