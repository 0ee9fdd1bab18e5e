"""Feeds the black box from a machine's topics, without taking messages apart.

Ten times a second a thread takes what has arrived, as bytes: measured at 1 % of a core, where
callbacks of an executor would cost more than half of one.
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
    topics.PRESSURES, topics.ODOM, topics.TRAJECTORY, topics.VELOCITY_REFERENCE,
    topics.PLAN_STATUS, topics.TASK, topics.EMERGENCY_STOP, topics.DEADMAN, topics.LATENT,
    topics.ALARMS, topics.DIAGNOSTICS,
)  # fmt: skip


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

    def stop(self) -> None:
        """Record what has arrived and end."""
        self._end.set()
        self._thread.join(timeout=1.0)
        self.box.stop()

    def _run(self) -> None:
        while not self._end.wait(PERIOD) and self._node.context.ok():
            self._look()

    def _look(self) -> None:
        for reader, kind in self._readers:
            for _ in range(DEPTH):
                if not self._take(reader, kind):
                    break
        now = time.monotonic()
        if now - self._terrain_at >= TERRAIN_EVERY and self._take(
            self._terrain, _type(self._terrain)
        ):
            self._terrain_at = now

    def _take(self, reader: Reader, kind: str) -> bool:
        taken = reader.take_raw()
        if taken is None:
            return False
        data, received = taken
        self.box.record(reader.subscription.topic_name, kind, received, data)
        return True


def _type(reader: Reader) -> str:
    return topics.type_name(reader.topic.type)
