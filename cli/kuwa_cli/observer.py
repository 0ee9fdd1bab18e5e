"""A ROS 2 node inside the command's own process that fills a run log from a machine's topics.

It has no executor and no callbacks: a few times a second it takes what has arrived, which costs
far less than waking for every message. Times of receipt are the middleware's own.
"""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.context import Context
from rclpy.node import Node

from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Plan, Trajectory
from kuwa_ros import topics
from kuwa_ros.conversions import (
    JointOrder,
    JointStateReader,
    command_from,
    hydraulic_from,
    safety_from,
    seconds,
    spikes_from,
    trajectory_from,
)
from kuwa_ros.sealing import opened
from kuwa_ros.world import odometry_from, terrain_from, truth_from

DEPTH = 200
"""Messages that wait for the next look: two seconds of the fastest topics."""
CHUNKS = topics.SEALED[topics.TRAJECTORY]
"""A simulated stack has a key of its own."""
WATCHED = (
    topics.CLOCK, topics.TERRAIN_MAP, topics.TRAJECTORY, CHUNKS, topics.JOINT_STATES, topics.ODOM,
    topics.PRESSURES, topics.REQUEST, topics.APPLIED, topics.PLAN_STATUS, topics.SAFETY,
    topics.TERRAIN, topics.DIAGNOSTICS, topics.GROUND_TRUTH, topics.SPIKES,
)  # fmt: skip


class Observer:
    """Watches one machine.

    Args:
        log: filled by :meth:`look`.
        namespace: of the machine, with a leading slash.
        domain: ROS domain id.
        period: of the control loop, simulated [s].
        ground: whether to record the ground, which the machines of a site share.
    """

    def __init__(
        self, log: RunLog, namespace: str, domain: int, period: float, ground: bool = True
    ) -> None:
        self.log = log
        self._ground = ground
        self.period = period
        self.context = Context()
        self.context.init(args=[], domain_id=domain)
        self.node = Node(
            "kuwa_sim", namespace=namespace, context=self.context, enable_rosout=False,
            start_parameter_services=False, use_global_arguments=False,
        )  # fmt: skip
        group = _NeverGroup()
        self._subscriptions = [
            (topic, self.node.create_subscription(
                topic.type, topic.name, _unused, topic.qos(DEPTH), callback_group=group))
            for topic in WATCHED
        ]  # fmt: skip
        self.name = namespace.strip("/")
        self._namespace = namespace.rstrip("/") + "/"
        self._to_state = JointStateReader(log.joints)
        self._order = JointOrder(log.joints)
        self._chunk: Trajectory | None = None
        self._grid: Any = None
        self._last_clock: float | None = None
        self.recording = False
        """Before the machine may move nothing is kept but the ground."""
        self.nodes: dict[str, tuple[bool, str, dict[str, str]]] = {}
        self.clock_gaps = 0
        self.clock_messages = 0
        self.errors = 0
        self.mode = ""
        self.reasons: tuple[str, ...] = ()
        self.stamp = 0.0
        self.done = False

    def look(self) -> None:
        """Take everything that has arrived."""
        for topic, subscription in self._subscriptions:
            for _ in range(DEPTH):
                with subscription.handle:
                    taken = subscription.handle.take_message(topic.type, False)
                if taken is None:
                    break
                message, info = taken
                try:
                    self._take(topic, message, 1e-9 * info["received_timestamp"])
                except Exception:
                    # What is malformed is the sender's matter; here it is only counted.
                    self.errors += 1

    def close(self) -> None:
        """Leave the graph."""
        self.node.destroy_node()
        self.context.try_shutdown()

    def _take(self, topic: topics.Topic, message: Any, wall: float) -> None:
        log = self.log
        if topic is topics.JOINT_STATES:
            state = self._to_state(message)
            self.stamp = state.stamp
            if self.recording:
                log.state.append(state.stamp, state.q, state.qd, wall)
                log.add_reference(state.stamp, self._chunk)
        elif topic is topics.CLOCK:
            self._take_clock(seconds(message.clock))
        elif topic is topics.DIAGNOSTICS:
            for status in message.status:
                self._take_status(status)
        elif topic is topics.TERRAIN_MAP:
            self._grid = message
        elif topic is topics.TERRAIN:
            if self._grid is not None and self._ground:
                stamp = seconds(message.header.stamp)
                log.terrain.append(stamp, terrain_from(message, self._grid))
        elif topic is topics.SAFETY:
            safety = safety_from(message)
            self.mode, self.reasons = safety.mode.value, safety.reasons
            log.add_safety(seconds(message.header.stamp), safety)
        elif topic is CHUNKS:
            self._take(topics.TRAJECTORY, opened(message, topics.TRAJECTORY), wall)
        elif self.recording:
            self._record(topic, message, wall)

    def _record(self, topic: topics.Topic, message: Any, wall: float) -> None:
        log, t = self.log, seconds(message.header.stamp)
        if topic is topics.REQUEST:
            log.request.append(t, command_from(message).ordered(log.joints), wall)
        elif topic is topics.APPLIED:
            log.applied.append(t, command_from(message).ordered(log.joints), wall)
        elif topic is topics.TRAJECTORY:
            self._chunk = trajectory_from(message, self._order)
        elif topic is topics.ODOM:
            pose = odometry_from(message)
            log.add_base(t, pose["base_position"], pose["base_quaternion_wxyz"])
        elif topic is topics.GROUND_TRUTH:
            log.add_truth(t, truth_from(message))
        elif topic is topics.PRESSURES:
            h = hydraulic_from(message, self._order)
            log.hydraulics.append(
                t, h["pressure"][:, 0], h["pressure"][:, 1],
                h["pump_pressure"], h["pump_flow"], h["pump_power"], h["tool_load"],
            )  # fmt: skip
        elif topic is topics.SPIKES:
            log.add_spikes(t, spikes_from(message, self._order))
        elif topic is topics.PLAN_STATUS:
            log.add_plan(t, Plan(None, message.phase, message.cycle, message.done))
            self.done = message.done

    def _take_clock(self, now: float) -> None:
        if self.recording and self._last_clock is not None:
            step = now - self._last_clock
            self.clock_messages += 1
            if not 0.0 < step < 1.5 * self.period:
                self.clock_gaps += 1
        self._last_clock = now

    def _take_status(self, status: Any) -> None:
        if status.name.startswith(self._namespace):
            good = status.level == DiagnosticStatus.OK
            values = {item.key: item.value for item in status.values}
            self.nodes[status.name.removeprefix(self._namespace)] = (good, status.message, values)


class _NeverGroup(MutuallyExclusiveCallbackGroup):
    """Keeps any executor away: the subscriptions are looked at, never called back."""

    def can_execute(self, entity: Any) -> bool:
        return False


def _unused(message: Any) -> None:
    """Stand where rclpy wants a callback."""
