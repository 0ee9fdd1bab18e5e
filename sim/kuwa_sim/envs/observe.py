"""From a measured state to an observation: one buffer, filled in place and cut into modalities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from kuwa_machines.chain import Chain
from kuwa_machines.contracts import Array, HeightMap, MachineState, Task
from kuwa_machines.paths import Polyline
from kuwa_machines.spec import HydrostaticDrive, MachineSpec
from kuwa_sim.envs import layout
from kuwa_sim.envs.frame import TaskFrame
from kuwa_sim.envs.patch import Patch
from kuwa_sim.scenery import Grid

Observation = dict[str, NDArray[Any]]


class Observer:
    """Makes the observations of one machine at one task.

    Args:
        spec: the machine. task: what it is to do. grid: the ground.
        modalities: which; of :data:`kuwa_sim.envs.layout.MODALITIES`; None for all that the
            machine measures.
        cameras: names of the machine's cameras; each is a modality ``camera_NAME``.
        scaled: give every number of a vector as its place between low (−1) and high (+1).
        duration: of an episode [s].

    Raises:
        KuwaError: no such modality, or no such camera.
    """

    def __init__(
        self,
        spec: MachineSpec,
        task: Task,
        grid: Grid,
        modalities: Sequence[str] | None = None,
        cameras: Sequence[str] = (),
        scaled: bool = False,
        duration: float = 1.0,
    ) -> None:
        self.spec, self.task, self.scaled = spec, task, scaled
        self._duration = duration
        modalities = layout.chosen(spec, modalities)
        self._cameras = layout.pictures(spec, cameras)
        self.entries = layout.vectors(spec, task, grid, modalities)
        flat = [entry for entries in self.entries.values() for entry in entries]
        self._low = np.array([entry.low for entry in flat])
        self._high = np.array([entry.high for entry in flat])
        self._values = np.zeros(len(flat))
        self._parts: dict[str, slice] = {}
        at = 0
        for name, entries in self.entries.items():
            self._parts[name] = slice(at, at + len(entries))
            at += len(entries)
        bounded = np.array([joint.position.bounded for joint in spec.joints.values()])
        self._bounded, self._endless = np.flatnonzero(bounded), np.flatnonzero(~bounded)
        widths = np.where(bounded, 1, 2)
        first = np.concatenate([[0], np.cumsum(widths)[:-1]])
        self._position_at, self._cos_at = first[self._bounded], first[self._endless]
        self._velocity_at = int(widths.sum())
        drives = [joint.drive for joint in spec.joints.values()]
        self._oil = np.flatnonzero([not isinstance(d, HydrostaticDrive) for d in drives])
        self._points = [
            (Chain(spec, link), point) for link, point in layout.tool_points(spec).values()
        ]
        self._way = Polyline(task.path) if task.path else None
        self._patch = Patch(task) if "terrain" in modalities else None
        self.space = self._space()

    def _space(self) -> gymnasium.Space[Any]:
        low, high = self._low, self._high
        if self.scaled:
            low, high = np.full_like(low, -1.0), np.full_like(high, 1.0)
        spaces: dict[str, gymnasium.Space[Any]] = {
            name: gymnasium.spaces.Box(low[part].astype(np.float32), high[part].astype(np.float32))
            for name, part in self._parts.items()
        }
        if self._patch is not None:
            bound = 1.0 if self.scaled else layout.PATCH_DEPTH
            spaces["terrain"] = gymnasium.spaces.Box(-bound, bound, layout.PATCH, np.float32)
        for name, shape in self._cameras.items():
            spaces[f"camera_{name}"] = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        return gymnasium.spaces.Dict(spaces)

    def reset(self, start: HeightMap) -> None:
        """Begin an episode on this ground."""
        self.frame = TaskFrame.of(self.task, start)
        self._s = 0.0
        self._terrain = start
        self._seen = {name: np.zeros(shape, np.uint8) for name, shape in self._cameras.items()}
        if "task" in self._parts:
            self._fixed = self._goal()
        if self._patch is not None:
            self._patch.reset(self.frame)

    def observe(self, state: MachineState) -> Observation:
        """Return the observation of a state; arrays of its own, float32."""
        v, parts = self._values, self._parts
        pose = _Pose(state)
        frame = self.frame
        if "joints" in parts:
            self._joints(v[parts["joints"]], state)
        if "pressures" in parts:
            part = v[parts["pressures"]]
            part[:-3] = state.pressure[self._oil].ravel()
            part[-3:] = state.pump_pressure, state.pump_flow, state.pump_power
        x, y = frame.level(pose.x, pose.y)
        if "base" in parts:
            turn = pose.yaw - frame.yaw
            velocity = pose.inside(*pose.velocity)
            v[parts["base"]] = x, y, pose.z - frame.z, math.cos(turn), math.sin(turn), *velocity
        if "imu" in parts:
            rate = pose.inside(*pose.spin)
            v[parts["imu"]] = (pose.roll, pose.pitch, *rate, *state.acceleration.tolist())
        if "tool" in parts:
            v[parts["tool"]] = self._tool(state, pose)
        if "task" in parts:
            v[parts["task"]] = (*self._fixed, *self._ahead(pose), 1 - state.stamp / self._duration)
        # What the machine cannot tell is not a number.
        np.copyto(v, 0.0, where=np.isnan(v))
        out = np.minimum(np.maximum(v, self._low), self._high)
        if self.scaled:
            out = 2.0 * (out - self._low) / (self._high - self._low) - 1.0
        flat = out.astype(np.float32)
        observation: Observation = {name: flat[part] for name, part in parts.items()}
        if self._patch is not None:
            if state.terrain is not None:
                self._terrain = state.terrain
            patch = self._patch.take(self._terrain, state.terrain is not None, pose.place)
            observation["terrain"] = patch / layout.PATCH_DEPTH if self.scaled else patch
        for name in self._cameras:
            self._seen[name] = state.images.get(name, self._seen[name])
            observation[f"camera_{name}"] = self._seen[name].copy()
        return observation

    def _joints(self, out: Array, state: MachineState) -> None:
        out[self._position_at] = state.q[self._bounded]
        if self._endless.size:
            endless = state.q[self._endless]
            out[self._cos_at] = np.cos(endless)
            out[self._cos_at + 1] = np.sin(endless)
        out[self._velocity_at :] = state.qd

    def _tool(self, state: MachineState, pose: _Pose) -> list[float]:
        q = state.q.tolist()
        out = [state.tool_load, *pose.inside(*state.tool_force.tolist())]
        for chain, point in self._points:
            wx, wy, wz = pose.outside(*chain.at(q, point))
            x, y = self.frame.level(wx, wy)
            out += [x, y, wz - self.frame.z]
        return out

    def _goal(self) -> list[float]:
        """Return the numbers of the task that stay, in the order of the layout."""
        task = self.task
        spoil = self.frame.level(task.spoil_x, task.spoil_y)
        values: Mapping[str, float] = {
            "length": task.length, "width": task.width, "slope": task.slope,
            "spoil.x": spoil[0], "spoil.y": spoil[1], "spoil.height": task.spoil_height,
            "depth": task.depth, "tolerance": task.tolerance, "volume": task.volume,
            "speed": task.speed, "height": task.height,
        }  # fmt: skip
        return [values[e.name] for e in self.entries["task"] if e.name in values]

    def _ahead(self, pose: _Pose) -> list[float]:
        way = self._way
        if way is None:
            return []
        self._s, beside = way.project((pose.x, pose.y), self._s)
        points = way.at(min(max(self._s, 0.0), way.length) + np.array(layout.AHEAD)).tolist()
        out = [beside, 1.0 - min(max(self._s / way.length, 0.0), 1.0)]
        c, s = math.cos(pose.yaw), math.sin(pose.yaw)
        for x, y in points:
            dx, dy = x - pose.x, y - pose.y
            out += [c * dx + s * dy, c * dy - s * dx]
        return out


class _Pose:
    """The measured pose of the undercarriage in plain numbers."""

    __slots__ = ("pitch", "roll", "rows", "spin", "velocity", "x", "y", "yaw", "z")

    def __init__(self, state: MachineState) -> None:
        w, x, y, z = state.base_quaternion_wxyz.tolist()
        self.x, self.y, self.z = state.base_position.tolist()
        motion = state.base_velocity.tolist()
        self.velocity, self.spin = motion[:3], motion[3:]
        self.rows = (
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        )  # fmt: skip
        r = self.rows
        self.yaw = math.atan2(r[3], r[0])
        self.pitch = math.asin(min(max(-r[6], -1.0), 1.0))
        self.roll = math.atan2(r[7], r[8])

    @property
    def place(self) -> tuple[float, float, float]:
        """Where it stands, seen from above: x, y [m], yaw [rad]."""
        return self.x, self.y, self.yaw

    def inside(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Return a direction of the world in the machine's frame."""
        r = self.rows
        return (
            r[0] * x + r[3] * y + r[6] * z,
            r[1] * x + r[4] * y + r[7] * z,
            r[2] * x + r[5] * y + r[8] * z,
        )

    def outside(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Return a point of the machine's frame in the world."""
        r = self.rows
        return (
            self.x + r[0] * x + r[1] * y + r[2] * z,
            self.y + r[3] * x + r[4] * y + r[5] * z,
            self.z + r[6] * x + r[7] * y + r[8] * z,
        )
