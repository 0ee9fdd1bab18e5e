"""Feeds the black box from a machine's topics, without taking messages apart.

Ten times a second a thread takes what has arrived, as bytes: measured at 1 % of a core, where
callbacks of an executor would cost more than half of one. A topic that cannot be taken from is told
and costs the others nothing.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final

from rclpy.node import Node

from kuwa_hardware.blackbox import BlackBox
from kuwa_ros import topics
from kuwa_ros.loop import Reader

PERIOD: Final = 0.1
"""Between two looks at what has arrived [s]."""
DEPTH: Final = 100
"""Messages that wait for the next look: a second of the fastest topics."""
TERRAIN_EVERY: Final = 5.0
"""Height maps are large; one is kept every so many seconds."""
RECORDED: Final = (
    topics.JOINT_STATES, topics.REQUEST, topics.APPLIED, topics.SAFETY, topics.ROBOT_STATUS,
    topics.PRESSURES, topics.ODOM, topics.IMU, topics.TOOL_FORCE, topics.TRAJECTORY, topics.JOY,
    topics.VELOCITY_REFERENCE, topics.REFERENCE, topics.SPIKES, topics.PLAN_STATUS, topics.TASK,
    topics.EMERGENCY_STOP, topics.DEADMAN, topics.LATENT, topics.RECORDING, topics.ALARMS,
    topics.DIAGNOSTICS, *topics.SEALED.values(),
)  # fmt: skip
LEFT_OUT: Final = {
    topics.TERRAIN: "large: one now and then, see TERRAIN_EVERY",
    topics.TERRAIN_MAP: "the height maps' frame, which changes with the scenario only",
    topics.CAMERA: "large: an episode of the record node has pictures",
    topics.GROUND_TRUTH: "simulated machines only",
    topics.CLOCK: "simulated machines only; records have the time of receipt",
    topics.HEARTBEAT: "one topic a node: the recorder is given their names",
}
"""The other topics of a machine, and why not."""


class Recorder:
    """Records all that matters of one machine.

    Args:
        node: in whose namespace the topics are.
        folder: of the black box.
        nodes: whose heartbeats are recorded.
    """

    def __init__(self, node: Node, folder: Path, nodes: tuple[str, ...]) -> None:
        self.box = BlackBox(folder)
        wanted = (*RECORDED, *(topics.heartbeat(name) for name in nodes))
        self._readers = [
            (reader, _type(reader)) for reader in (Reader(node, t, DEPTH) for t in wanted)
        ]
        self._terrain = Reader(node, topics.TERRAIN)
        self._terrain_at = 0.0
        self._node = node
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.box.start()
        self._thread.start()
        self.box.watch(self._thread)

    def stop(self) -> None:
        """Record what has arrived and end."""
        self._end.set()
        self._thread.join(timeout=1.0)
        self.box.stop()

    def _run(self) -> None:
        while not self._end.wait(PERIOD) and self._node.context.ok():
            self._look()

    def _look(self) -> None:
        failed: list[str] = []
        for reader, kind in self._readers:
            self._take(reader, kind, DEPTH, failed)
        now = time.monotonic()
        if now - self._terrain_at >= TERRAIN_EVERY and self._take(
            self._terrain, _type(self._terrain), 1, failed
        ):
            self._terrain_at = now
        self.box.unfed = "; ".join(failed)

    def _take(self, reader: Reader, kind: str, most: int, failed: list[str]) -> int:
        """Record what has arrived and return how many it was; put into ``failed`` why not."""
        count = 0
        try:
            while count < most and (taken := reader.take_raw()) is not None:
                data, received = taken
                self.box.record(reader.subscription.topic_name, kind, received, data)
                count += 1
        except Exception as error:  # the other topics are worth as much as before
            failed.append(f"{reader.topic.name} is not recorded: {type(error).__name__}: {error}")
        return count


def _type(reader: Reader) -> str:
    return topics.type_name(reader.topic.type)
