"""The supervisor node: brings the stack up in order, watches heartbeats, stops when one dies.

What has died and was started again, by ``ros2 launch`` or by :mod:`kuwa_bringup.processes`, is
configured and activated again once the machine is not armed; before that a fresh process does
nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from kuwa_msgs.msg import Alarm, Alarms
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from std_msgs.msg import Bool

from kuwa_bringup.alarms import AlarmBook, of_box, of_gate
from kuwa_bringup.recorder import Recorder
from kuwa_bringup.watch import TIMEOUT_S, Watch
from kuwa_machines.contracts import Level, Mode
from kuwa_machines.errors import KuwaError
from kuwa_ros import topics
from kuwa_ros.conversions import safety_from, time_msg
from kuwa_ros.heartbeat import Heart, HeartbeatReader
from kuwa_ros.lifecycle import DIAGNOSTICS_S
from kuwa_ros.loop import Reader
from kuwa_ros.main import run
from kuwa_ros.parameters import declare, parameter, read
from kuwa_ros.sealing import envelope_of, mode_request

TICK_S = 0.1
STALL_S = 1.0
"""Without a tick for this long the supervisor hangs [s]."""
WORDS = 50
"""Words on ``/diagnostics`` that wait for the next tick."""
WHO = "supervisor"
RESTING = (Mode.OFF, Mode.READY, Mode.STOPPED)
"""Modes in which a node may be brought up."""
ENGAGE = {Mode.OFF: Mode.READY, Mode.READY: Mode.ARMED, Mode.ARMED: Mode.AUTO}
REACHED = {"configure": "inactive", "activate": "active"}
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
}


@dataclass(frozen=True)
class SupervisorParameters:
    """Parameters of the supervisor node."""

    nodes: tuple[str, ...] = parameter(
        ("robot", "safety", "control", "planning"), "lifecycle nodes in the order of bringing up"
    )
    auto_arm: bool = parameter(False, "go to mode auto by itself; for simulated robots only")
    key_file: str = parameter("", "key of the gate, to ask it for modes; empty: it needs none")
    blackbox: str = parameter("", "folder of the black box; empty: none is kept")
    heartbeat_timeout: float = parameter(
        TIMEOUT_S,
        "a node that is silent for this long counts as dead",
        unit="s",
        low=1.0,
        high=60.0,
    )


class Supervisor(Node):
    """Configures, activates, arms; demands the emergency stop while a node is at fault."""

    def __init__(self) -> None:
        super().__init__("supervisor")
        declare(self, SupervisorParameters)
        self.p = read(self, SupervisorParameters)
        self._watch = Watch(self.p.nodes, self.p.heartbeat_timeout)
        self._book = AlarmBook()
        self._beats = {name: HeartbeatReader(self, name) for name in self.p.nodes}
        self._changers = {
            name: self.create_client(ChangeState, f"{name}/change_state") for name in self.p.nodes
        }
        self._envelope = envelope_of(self.p.key_file, self.get_namespace())
        self._set_mode = self.create_client(topics.SET_MODE[1], topics.SET_MODE[0])
        self._stop = self._publisher(topics.EMERGENCY_STOP)
        self._alarms = self._publisher(topics.ALARMS)
        self._diagnostics = self._publisher(topics.DIAGNOSTICS)
        self._demanded = False
        self._failed: dict[str, str] = {}
        self._kept: set[str] = set()
        self._mode: Mode | None = None
        self._asked_mode_at = -1e9
        # Who starts the machine by itself does so once: not after a stop, not after its own crash.
        self._engaging = False
        self._was_up = False
        self._diagnosed_at, self._began = 0.0, time.monotonic()
        self._message = "starting"
        self._ticked_at = time.monotonic()
        self._status = Reader(self, topics.ROBOT_STATUS)
        self._words = Reader(self, topics.DIAGNOSTICS, WORDS)
        self._recorder: Recorder | None = None
        if self.p.blackbox:
            names = (*self.p.nodes, "supervisor", "perception", "teleop")
            self._recorder = Recorder(self, Path(self.p.blackbox), names)
        self._subscribe(topics.SAFETY, self._safety)
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._heart = Heart(self, self._pulse)

    def finish(self) -> None:
        """End the heartbeat and the black box."""
        self._heart.stop()
        if self._recorder is not None:
            self._recorder.stop()

    def _publisher(self, topic: topics.Topic) -> Any:
        return self.create_publisher(topic.type, topic.name, topic.qos())

    def _subscribe(self, topic: topics.Topic, callback: Any) -> None:
        def guarded(message: Any) -> None:
            try:
                callback(message)
            except KuwaError as error:
                text = f"{topic.name}: {error}"
                self.get_logger().warning(text, throttle_duration_sec=1.0)

        self.create_subscription(topic.type, topic.name, guarded, topic.qos())

    def _pulse(self) -> tuple[str, str]:
        silent = time.monotonic() - self._ticked_at
        return "active", f"no look at the nodes for {silent:.1f} s" if silent > STALL_S else ""

    def _safety(self, message: Any) -> None:
        safety = safety_from(message)
        self._mode = safety.mode
        self._book.say("gate", of_gate(safety))
        self._tell_alarms()

    def _tick(self) -> None:
        now = self._ticked_at = time.monotonic()
        for name, beats in self._beats.items():
            beat = beats.take()
            if beat is not None:
                self._watch.heard(now, name, beat.state, beat.problem)
                self._give_up(name, beat.problem)
            self._watch.late(name, beats.missed_deadlines())
            if beats.lost():
                self._watch.lost(name)
        status = self._status.take()
        if status is not None:
            self._book.say("driver", dict.fromkeys(status.faults, ""))
        self._read_words()
        faults = self._look()
        self._advance(now)
        missing = self._watch.waiting_for(now)
        if faults:
            self._message = "; ".join(f"{name} {why}" for name, why in faults.items())
        elif missing:
            self._message = f"waiting for {missing}"
        else:
            self._message = "running" if self._mode is not Mode.STOPPED else "stopped"
            if self._demanded:
                self._demand(False, "all nodes are active again; a person may release the stop")
            self._engage(now)
        if now - self._diagnosed_at >= DIAGNOSTICS_S:
            self._diagnosed_at = now
            self._diagnose(bool(faults))

    def _read_words(self) -> None:
        """Take what nodes of this machine find wrong beside themselves, and the black box."""
        prefix = self.get_namespace().rstrip("/") + "/"
        for message in self._words.drain():
            for status in message.status:
                name = status.name.removeprefix(prefix)
                codes = next((v.value for v in status.values if v.key == "alarms"), None)
                if codes is not None and name in self.p.nodes:
                    self._book.say(name, dict.fromkeys(codes.split(), ""))
        if self._recorder is not None:
            self._book.say("black box", of_box(self._recorder.box, time.monotonic() - self._began))

    def _look(self) -> dict[str, str]:
        """Raise alarms; demand the stop for a node at fault. A silent one is given time: the gate
        holds the machine, or its valves in neutral, meanwhile."""
        now = time.monotonic()
        self._book.say("supervisor", self._watch.codes(now))
        self._tell_alarms()
        faults = self._watch.faults(now)
        if faults and (not self._demanded or self._mode is not Mode.STOPPED):
            # Also where somebody else withdrew the demand: all share one topic.
            self._demand(True, ", ".join(f"{name}: {why}" for name, why in faults.items()))
        return faults

    def _tell_alarms(self) -> None:
        news = self._book.news()
        if news is None:
            return
        message = Alarms(
            alarms=[
                Alarm(code=a.code, level=int(a.level), source=a.source, reason=a.reason,
                      remedy=a.remedy)
                for a in news
            ]
        )  # fmt: skip
        message.header.stamp = time_msg(time.time())
        self._alarms.publish(message)
        if news:
            words = "; ".join(f"{a.code}: {a.reason} {a.remedy}" for a in news)
            self.get_logger().warning(f"alarms: {words}")
        dead = [a for a in news if a.level is Level.STOPPED or a.code.endswith("_killed")]
        fresh = {a.code for a in dead} - self._kept
        self._kept = {a.code for a in dead}
        if fresh and self._recorder is not None:
            self._recorder.box.put_aside(" ".join(sorted(fresh)))

    def _resting(self, now: float) -> bool:
        """Return whether nothing is armed: a gate that does not run arms nothing."""
        return self._mode in RESTING or not self._watch.is_active(now, "safety")

    def _advance(self, now: float) -> None:
        """Ask for the next transition, if one is due."""
        due = self._watch.transition(now, self._resting(now))
        if due is None or not self._changers[due[0]].service_is_ready():
            return
        name, transition = due
        self.get_logger().info(f"{transition} {name}")
        self._watch.asked(now, name)
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[transition]))
        future = self._changers[name].call_async(request)
        future.add_done_callback(lambda done: self._changed(name, transition, done))

    def _changed(self, name: str, transition: str, future: Any) -> None:
        if future.exception() is None and future.result().success:
            self._watch.answered(time.monotonic(), name, REACHED[transition])
            self._failed.pop(name, None)
        else:
            # Asked twice, a node refuses the second time; that is no failure. Its next heartbeat
            # says what it was.
            self._failed[name] = transition

    def _give_up(self, name: str, problem: str) -> None:
        """End when a node cannot be brought up the first time: that will not change by itself."""
        transition = self._failed.get(name)
        if transition and problem and not self._watch.was_active(name):
            raise KuwaError(
                f"{name} cannot {transition}: {problem}; its log says more; the stack is not "
                f"complete"
            )

    def _engage(self, now: float) -> None:
        """Ask for the next mode on the way up: ready always, further only when told to."""
        if self._mode is Mode.OFF and not self._was_up:
            self._engaging = self.p.auto_arm
        self._was_up = self._was_up or self._mode not in (None, Mode.OFF)
        mode = self._mode
        if mode not in ENGAGE or (mode is not Mode.OFF and not self._engaging):
            return
        if now - self._asked_mode_at < 0.5 or not self._set_mode.service_is_ready():
            return
        self._asked_mode_at = now
        request = mode_request(ENGAGE[mode].value, WHO, self._envelope)
        future = self._set_mode.call_async(request)
        future.add_done_callback(lambda done: self._engaged(ENGAGE[mode], done.result()))

    def _engaged(self, mode: Mode, answer: Any) -> None:
        if not answer.granted:
            self.get_logger().warning(f"mode not granted: {answer.why}")
            return
        self._asked_mode_at = -1e9
        self._engaging = self._engaging and mode is not Mode.AUTO

    def _demand(self, active: bool, why: str) -> None:
        news, self._demanded = active is not self._demanded, active
        self._engaging = False
        if news:
            log = self.get_logger()
            log.error(f"emergency stop: {why}") if active else log.info(why)
        self._stop.publish(Bool(data=active))

    def _diagnose(self, fault: bool) -> None:
        values = {"state": "active", **self._watch.states()}
        late = {name: count for name, count in self._watch.late_beats().items() if count}
        values["late_heartbeats"] = ", ".join(f"{n} {count}" for n, count in late.items()) or "0"
        status = DiagnosticStatus(
            name=self.get_fully_qualified_name(),
            level=DiagnosticStatus.ERROR if fault else DiagnosticStatus.OK,
            message=self._message,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def main() -> None:
    """Run the node."""
    run(Supervisor)
