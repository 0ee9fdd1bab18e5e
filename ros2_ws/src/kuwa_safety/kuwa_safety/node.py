"""The safety node: the gate, sole writer of applied commands, keeper of the mode."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kuwa_hardware.gate import Gate
from kuwa_hardware.latch import Latch
from kuwa_hardware.limits import GateLimits
from kuwa_hardware.mode_requests import ModeRequests
from kuwa_hardware.preflight import arming_reason
from kuwa_machines.contracts import GateOutput, JointCommand, Level, MachineState, Mode
from kuwa_machines.overlay import load_machine_as
from kuwa_ros import topics
from kuwa_ros.conversions import (
    JointStateReader,
    command_from,
    command_msg,
    safety_msg,
    seconds,
)
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.loop import Loop, MessageLoop
from kuwa_ros.main import run
from kuwa_ros.sealing import envelope_of
from kuwa_ros.status import StatusMemory
from kuwa_safety.parameters import SafetyParameters

T = TypeVar("T")

FRESHNESS_PERIOD = 0.02
"""Without a request, freshness is looked at this often [s]."""
SAFETY_PERIOD = 0.1
"""``safety`` is repeated this often [s]; a change goes out at once."""
STATUS_PATIENCE = 0.2
"""A status of the robot that stays away for longer is a fault of its own [s]."""
HEARD = ("planning", "perception", "supervisor")
"""Whose heartbeats the gate watches once they are there; it finds the death of control and robot
sooner by their requests and states."""
WHO_STOPS = "the topic emergency_stop"
STOPS = 10
"""Words on the emergency stop that wait to be taken: none may overwrite another's."""


class SafetyNode(KuwaNode[SafetyParameters]):
    """Steps the gate for each request and at an emergency stop, and else at 50 Hz.

    All that it hears it takes in the loop's thread; the executor's only serves requests for modes.
    """

    gate: Gate | None = None

    def __init__(self) -> None:
        super().__init__("safety", SafetyParameters)

    def configure(self) -> None:
        p = self.p
        spec = load_machine_as(p.machine, p.parameters)
        limits = {name: getattr(p, name) for name in GateLimits.__dataclass_fields__}
        envelope = envelope_of(p.key_file, self.get_namespace())
        self._status = StatusMemory(STATUS_PATIENCE, tuple(spec.joint_names))

        def preflight() -> str:
            told = self._status
            return arming_reason(
                p.preflight, p.machine, spec, told.kind, time.time(), told.fingerprint
            )

        self.gate = Gate(
            spec,
            GateLimits(**limits),
            latch=Latch(Path(p.latch_file)) if p.latch_file else None,
            envelope=envelope,
            **_zones(p.zones),
            preflight=preflight,
        )
        # The loop steps the gate while the executor sets modes.
        self._lock = threading.Lock()
        self._asked = None if envelope is None else ModeRequests(envelope)
        self._to_state = JointStateReader(tuple(spec.joint_names))
        self._states = self.reader(topics.JOINT_STATES)
        self._beside = (
            ("robot status", self.reader(topics.ROBOT_STATUS), self._status.take),
            ("pressures", self.reader(topics.PRESSURES), self._status.pressures),
            ("odom", self.reader(topics.ODOM), self._status.odometry),
        )
        self._requests = self.reader(topics.REQUEST)
        self._stops = self.reader(topics.EMERGENCY_STOP, STOPS)
        self._deadman = self.sealed_reader(topics.DEADMAN, envelope)
        self._latents = self.reader(topics.LATENT)
        self._beats = {name: self.reader(topics.heartbeat(name)) for name in HEARD}
        self._applied = self.writer(topics.APPLIED)
        self._safety = self.writer(topics.SAFETY)
        self.serve(topics.SET_MODE, self._set_mode)
        self._told: tuple[object, ...] | None = None
        self._told_at = 0.0
        self._mode, self._level, self._refused = Mode.OFF, Level.NONE, 0

    def activate(self) -> Loop:
        return MessageLoop(
            "safety",
            self,
            self._requests,
            FRESHNESS_PERIOD,
            self._step,
            self.fail,
            urgent=(self._stops,),
        )

    def report(self) -> dict[str, object]:
        if self.gate is None:
            return {}
        return {
            "mode": self._mode.value,
            # Who armed it, or released it: the black box keeps this.
            "why": self.gate.why,
            "level": self._level.name,
            "refused": self._refused,
            "forged": self._deadman.judge.lately(),
        }

    def _step(self, now: float, message: Any | None) -> None:
        assert self.gate is not None
        state = self._newest_state(now)
        request = self._checked("request", lambda: self._request(message))
        stops = [bool(stop.data) for stop in self._stops.drain()]
        with self._lock:
            for active in stops:
                self.gate.emergency_stop(active, WHO_STOPS)
            self._hear(now, self.gate)
            out = self.gate.step(now, state, request)
        self._applied(command_msg(out.applied))
        self._tell(now, out)
        for active in stops:
            words = "emergency stop" if active else "emergency stop is no longer demanded"
            self.get_logger().warning(words)

    def _checked(self, what: str, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except Exception as error:
            self.complain(what, error)
            return None

    def _newest_state(self, now: float) -> MachineState | None:
        for what, reader, take in self._beside:
            heard = reader.take()
            if heard is not None:
                self._checked(what, partial(take, now, heard))
        message = self._states.take()
        if message is None:
            return None
        return self._checked(
            "joint state", lambda: self._status.merged(now, self._to_state(message))
        )

    @staticmethod
    def _request(message: Any | None) -> JointCommand | None:
        return None if message is None else command_from(message)

    def _hear(self, now: float, gate: Gate) -> None:
        """Take what nodes, operator and perception say."""
        for name, beats in self._beats.items():
            beat = beats.take()
            if beat is not None:
                gate.heard(now, name, beat.state, beat.problem)
        deadman = self._checked("deadman", self._deadman.take)
        if deadman is not None:
            gate.deadman(now, bool(deadman.data))
        judge = self._deadman.judge
        if judge.refused_at >= now:
            gate.refuse(now, "deadman_forged", judge.refused)
        latent = self._latents.take()
        if latent is not None:
            gate.latent(now, latent.free_energy, latent.free_energy_limit)

    def _tell(self, now: float, out: GateOutput) -> None:
        safety = out.safety
        self._mode, self._level, self._refused = safety.mode, safety.level, safety.refused
        news = (safety.mode, safety.level, safety.alarms)
        if news != self._told or now - self._told_at >= SAFETY_PERIOD:
            self._told, self._told_at = news, now
            self._safety(safety_msg(safety, out.applied.stamp))

    def _set_mode(self, request: Any, response: Any) -> Any:
        assert self.gate is not None
        why = ""
        if self._asked is not None:
            why = self._asked.refusal(
                request.mode,
                request.who,
                seconds(request.stamp),
                request.sequence,
                bytes(request.mac),
                time.time(),
            )
        if why:
            response.granted, response.why = False, why
        else:
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
        if self.loop is not None:
            self.loop.wake()
        return response


def _zones(file: str) -> dict[str, Any]:
    """Return the gate's zones that are kept out, where there is a file of them."""
    if not file:
        return {}
    from kuwa_hardware.keepout import KeepOut

    return {"zones": KeepOut.load(Path(file))}


def main() -> None:
    """Run the node."""
    run(SafetyNode)
