"""What the pages are told of the machine: the newest of every topic, as plain numbers."""

from __future__ import annotations

import io
import math
import time
from typing import Any

import numpy as np
from PIL import Image

from kuwa_machines.contracts import Array
from kuwa_machines.spec import MachineSpec
from kuwa_ros import topics
from kuwa_ros.conversions import JointOrder, JointStateReader, numbers
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.loop import Reader
from kuwa_ros.world import image_from, odometry_from, task_from, terrain_from

LEVELS = ("none", "hold", "neutral", "stopped")
OPEN = ("countdown", "recording", "review")
"""States of the recorder in which an episode is open: it can still be labelled or done again."""
OLD = 1.0
"""What was not heard for this long is not shown as if it were now [s]."""
CAMERAS_EVERY = 2.0
"""Cameras are looked for this often [s]."""
QUALITY, WIDTH = 72, 480
"""Of the cameras' pictures on the page."""


class News:
    """Polls the topics of a machine and remembers their newest messages.

    Args:
        node: that reads. spec: the machine.
    """

    def __init__(self, node: KuwaNode[Any], spec: MachineSpec) -> None:
        self._node, self._names = node, tuple(spec.joint_names)
        self._to_state = JointStateReader(self._names)
        self._order = JointOrder(self._names)
        self._readers: dict[str, Reader] = {
            topic.name: node.reader(topic)
            for topic in (
                topics.JOINT_STATES, topics.SAFETY, topics.ALARMS, topics.REFERENCE,
                topics.REQUEST, topics.APPLIED, topics.PRESSURES, topics.ROBOT_STATUS,
                topics.SPIKES, topics.LATENT, topics.PLAN_STATUS, topics.RECORDING, topics.ODOM,
                topics.TERRAIN, topics.TERRAIN_MAP, topics.TASK,
            )
        }  # fmt: skip
        # Read once somebody publishes: a subscription alone would make the topic look alive.
        self._cameras: dict[str, Reader | None] = dict.fromkeys(spec.sensors.cameras)
        self._looked_at = -math.inf
        self._at: dict[str, float] = {}
        self._newest: dict[str, Any] = {}
        n = len(self._names)
        self.q, self.qd, self.stamp = spec.home.copy(), np.zeros(n), 0.0
        self.base, self.wxyz = np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
        self._placed = False
        self.terrain: Any = None
        self.task: Any = None

    def look(self, now: float) -> str:
        """Take what came of joints and gate; return the gate's mode, or ``""``."""
        message = self._take(now, topics.JOINT_STATES)
        if message is not None:
            try:
                state = self._to_state(message)
                self.q, self.qd, self.stamp = state.q, state.qd, state.stamp
            except Exception as error:
                self._node.complain("joint state", error)
        self._take(now, topics.SAFETY)
        safety = self._fresh(now, topics.SAFETY)
        return "" if safety is None else str(safety.mode)

    def look_around(self, now: float) -> None:
        """Take everything else that came."""
        for name in self._readers:
            if name in (topics.JOINT_STATES.name, topics.SAFETY.name):
                continue
            try:
                self._world(name, self._take_name(now, name))
            except Exception as error:
                self._node.complain(name, error)

    def _world(self, name: str, message: Any) -> None:
        if message is None:
            return
        if name == topics.ODOM.name:
            pose = odometry_from(message)
            self.base, self.wxyz = pose["base_position"], pose["base_quaternion_wxyz"]
            self._placed = True
        elif name == topics.ROBOT_STATUS.name and not self._placed:
            wxyz = numbers(message.base_quaternion_wxyz)
            if np.isfinite(wxyz).all() and np.linalg.norm(wxyz) > 0.5:
                self.wxyz = wxyz
        elif name == topics.TERRAIN.name:
            grid = self._newest.get(topics.TERRAIN_MAP.name)
            if grid is not None:
                self.terrain = terrain_from(message, grid)
        elif name == topics.TASK.name:
            self.task = task_from(message)

    def pictures(self) -> list[tuple[int, bytes]]:
        """Return new pictures of the cameras as (number, JPEG)."""
        found = []
        self._find_cameras(time.monotonic())
        for k, reader in enumerate(self._cameras.values()):
            message = None if reader is None else reader.take()
            if message is None:
                continue
            try:
                picture = Image.fromarray(image_from(message))
                picture.thumbnail((WIDTH, WIDTH))
                out = io.BytesIO()
                picture.save(out, "JPEG", quality=QUALITY)
                found.append((k, out.getvalue()))
            except Exception as error:
                self._node.complain("camera", error)
        return found

    def _find_cameras(self, now: float) -> None:
        if now - self._looked_at < CAMERAS_EVERY:
            return
        self._looked_at = now
        for name, reader in self._cameras.items():
            topic = topics.camera(name)
            if reader is None and self._node.count_publishers(topic.name):
                self._cameras[name] = self._node.reader(topic)

    def view(self, now: float) -> dict[str, Any]:
        """Return what the pages show of the machine."""
        safety = self._fresh(now, topics.SAFETY)
        alarms = self._newest.get(topics.ALARMS.name)
        status = self._fresh(now, topics.ROBOT_STATUS)
        spikes = self._fresh(now, topics.SPIKES)
        latent = self._fresh(now, topics.LATENT)
        plan = self._fresh(now, topics.PLAN_STATUS)
        reference = self._fresh(now, topics.REFERENCE)
        return {
            "mode": "" if safety is None else safety.mode,
            "level": "" if safety is None else LEVELS[min(safety.level, 3)],
            "reasons": [] if safety is None else [str(r)[:160] for r in safety.reasons][:4],
            "limited": [] if safety is None else [bool(v) for v in safety.limited],
            "alarms": [] if alarms is None else [
                {"code": a.code, "level": LEVELS[min(a.level, 3)], "source": a.source,
                 "reason": a.reason[:300], "remedy": a.remedy[:300]}
                for a in alarms.alarms[:12]
            ],
            "t": round(self.stamp, 3),
            "q": _rounded(self.q, 4),
            "qd": _rounded(self.qd, 4),
            "heard": now - self._at.get(topics.JOINT_STATES.name, -math.inf) < OLD,
            "source": "" if reference is None else reference.source,
            "reference": self._values(reference),
            "requested": self._values(self._fresh(now, topics.REQUEST)),
            "applied": self._values(self._fresh(now, topics.APPLIED)),
            "oil": self._oil(self._fresh(now, topics.PRESSURES)),
            "status": None if status is None else {
                "robot": status.robot,
                "load": _number(status.tool_load, 0),
                "engine": _number(status.engine_speed * 60 / (2 * math.pi), 0),
                "oil": _number(status.oil_temperature, 0),
            },
            "spikes": None if spikes is None else {
                "rate": _number(spikes.mean_rate, 1), "alive": spikes.alive,
                "neurons": spikes.neurons, "learning": spikes.learning, "reason": spikes.reason,
            },
            "latent": None if latent is None else {
                "energy": _number(latent.free_energy, 2),
                "limit": _number(latent.free_energy_limit, 2),
            },
            "plan": None if plan is None else {
                "phase": plan.phase, "cycle": plan.cycle, "done": plan.done,
            },
            "recording": _recording(self._newest.get(topics.RECORDING.name)),
        }  # fmt: skip

    @property
    def recording(self) -> bool:
        """Whether an episode is open, as far as the recorder was heard."""
        said = _recording(self._newest.get(topics.RECORDING.name))
        return bool(said and said["here"] and said["state"] in OPEN)

    def _oil(self, message: Any) -> dict[str, Any] | None:
        if message is None:
            return None
        index = self._order.index(message.joint_name)
        head, rod = (
            [_number(1e-6 * values[k], 2) for k in index]
            for values in (message.head_pressure, message.rod_pressure)
        )
        return {
            "head": head, "rod": rod,
            "pump": _number(1e-6 * message.pump_pressure, 2),
            "flow": _number(6e4 * message.pump_flow, 0),
            "load": _number(message.tool_load, 0),
        }  # fmt: skip

    def _values(self, message: Any) -> list[float | None] | None:
        if message is None:
            return None
        index = self._order.index(message.joint_name)
        return [_number(message.value[k], 3) for k in index]

    def _take(self, now: float, topic: topics.Topic) -> Any:
        return self._take_name(now, topic.name)

    def _take_name(self, now: float, name: str) -> Any:
        message = self._readers[name].take()
        if message is not None:
            self._newest[name], self._at[name] = message, now
        return message

    def _fresh(self, now: float, topic: topics.Topic) -> Any:
        at = self._at.get(topic.name, -math.inf)
        return self._newest.get(topic.name) if now - at < OLD else None


def _recording(message: Any) -> dict[str, Any] | None:
    if message is None:
        return None
    sent = message.stamp.sec + 1e-9 * message.stamp.nanosec
    return {
        "here": time.time() - sent < 3.0,
        "state": message.state, "task": message.task, "episode": message.episode,
        "saved": message.saved, "elapsed": _number(message.elapsed, 1),
        "countdown": _number(message.countdown, 1), "success": message.success,
        "dropped": message.dropped, "free": _number(message.free, 0),
        "remaining": _number(message.remaining, 0), "folder": message.folder[-120:],
        "message": message.message[:200],
    }  # fmt: skip


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _rounded(values: Array, digits: int) -> list[float | None]:
    return [_number(float(v), digits) for v in values]
