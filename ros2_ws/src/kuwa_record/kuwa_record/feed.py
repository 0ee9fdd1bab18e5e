"""Hands messages to a grid of frames: live ones and those of a bag, by their topics' names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import CommandError
from kuwa_machines.operator import Takeover
from kuwa_policies.datasets import DatasetError
from kuwa_policies.datasets import features as f
from kuwa_policies.datasets.grid import Grid
from kuwa_ros import topics
from kuwa_ros.conversions import (
    JointOrder,
    JointStateReader,
    command_from,
    hydraulic_from,
    numbers,
    seconds,
)
from kuwa_ros.world import image_from

CAMERA: Final = topics.CAMERA.name.partition("<name>")


def camera_of(topic: str) -> str:
    """Return the camera of a topic, relative to the machine's namespace, or ``""``."""
    head, _, tail = CAMERA
    name = topic.removeprefix(head).removesuffix(tail)
    return name if topic == f"{head}{name}{tail}" and "/" not in name else ""


def even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture with even sides, as encoders of videos want them; at most a row less."""
    height, width = picture.shape[:2]
    return np.ascontiguousarray(picture[: height - height % 2, : width - width % 2])


class Feed:
    """Translates messages for a grid.

    Args:
        joints: of the machine, in its order.
    """

    def __init__(self, joints: tuple[str, ...]) -> None:
        self.grid: Grid | None = None
        self.problems: dict[str, str] = {}
        """By topic, what was wrong with its last bad message."""
        self._joints = joints
        self._order = JointOrder(joints)
        self._takeover = Takeover()
        self._to_state = JointStateReader(joints)
        self._by_topic: dict[str, Callable[[Grid, float, Any], None]] = {
            topics.JOINT_STATES.name: self._state,
            topics.REFERENCE.name: self._reference,
            topics.REQUEST.name: lambda g, _, m: g.vector(f.REQUESTED, self._values(m)),
            topics.APPLIED.name: lambda g, _, m: g.vector(f.APPLIED, self._values(m)),
            topics.SAFETY.name: lambda g, _, m: g.mode(m.mode, self._takeover.on),
            topics.PRESSURES.name: self._pressures,
            topics.IMU.name: self._imu,
        }

    def wants(self, topic: str) -> bool:
        """Whether frames hold anything of a topic, relative to the machine's namespace."""
        return topic in self._by_topic or bool(camera_of(topic))

    def give(self, topic: str, receipt: float, msg: Any) -> None:
        """Hand over a message: topic relative to the namespace, receipt [s, system time].

        A message that cannot be what it says is left out and told in :attr:`problems`. The gate's
        modes are followed without a grid, too: who took over before an episode still intervenes.
        """
        if topic == topics.SAFETY.name:
            self._takeover.step(msg.mode)
        if self.grid is None:
            return
        try:
            camera = camera_of(topic)
            if camera:
                self.grid.image(camera, seconds(msg.header.stamp), even(image_from(msg)))
            elif topic in self._by_topic:
                self._by_topic[topic](self.grid, receipt, msg)
        except (CommandError, DatasetError) as error:
            self.problems[topic] = str(error)

    def _state(self, grid: Grid, receipt: float, msg: Any) -> None:
        state = self._to_state(msg)
        grid.state(receipt, state.stamp, state.q, state.qd)

    def _reference(self, grid: Grid, receipt: float, msg: Any) -> None:
        grid.action(receipt, seconds(msg.header.stamp), self._values(msg), msg.source)

    def _values(self, msg: Any) -> NDArray[np.float64]:
        if len(msg.value) != len(msg.joint_name):
            raise CommandError(f"{len(msg.value)} values for {len(msg.joint_name)} joints")
        return command_from(msg).ordered(self._joints)

    def _pressures(self, grid: Grid, receipt: float, msg: Any) -> None:
        grid.vector(f.PRESSURE, hydraulic_from(msg, self._order)["pressure"].reshape(-1))

    def _imu(self, grid: Grid, receipt: float, msg: Any) -> None:
        q, w, a = msg.orientation, msg.angular_velocity, msg.linear_acceleration
        grid.vector(f.IMU, numbers([q.x, q.y, q.z, q.w, w.x, w.y, w.z, a.x, a.y, a.z]))
