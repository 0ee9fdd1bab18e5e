"""Random strokes of every tool, and wheels, on random ground, edges and tilted poses included.

Is soil lost? It stands for all that machines do to the ground, and for much that they cannot: tools
that leap, lie on their side, work beyond the border of the grid or inside each other's heaps.
"""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_sim.soil import BucketShape, BucketTool, Ground, bucket_tick, load_soil
from kuwa_sim.soil.blade import BladeTool, blade_tick
from kuwa_sim.soil.dump import DumpTool
from kuwa_sim.soil.plough import PloughTool, plough_tick
from kuwa_sim.soil.ruts import press

TICK = 0.01
TICKS = (4, 12)
"""Length of a stroke, from and to."""
STEP = 0.08
"""Way of an edge in a tick, at most: 8 m/s [m]."""
BEYOND = 0.6
"""Strokes begin and end up to this far outside the grid [m]."""
LEAP = 0.02
"""Share of strokes that begin without a way there from the last one."""
WHEEL = (0.4, 0.3)
"""Half of a wheel's footprint [m]."""
SINKAGE = 0.06
"""Of a wheel, at most [m]."""
UNDER = 0.5
"""Share of the dump body's strokes that begin under the bucket, to catch what it spills next."""

BUCKET = BucketShape(
    np.array([[0.20, 0.05], [0.12, 0.40], [0.45, 0.66], [0.95, 0.60], [1.56, 0.0]]), 1.0, 0.8, 0.04
)
BODY = np.array([[1.6, 0.9], [1.6, 0.1], [0.0, 0.0], [-0.5, 0.3]])


class Strokes:
    """A ground, one tool of each kind on it, and what drives them at random.

    Args:
        soil: name of the soil. seed: of everything.
    """

    def __init__(self, soil: str, seed: int) -> None:
        rng = self._rng = np.random.default_rng(seed)
        cells = rng.integers(48, 120, 2)
        cell = float(rng.uniform(0.03, 0.10))
        self.ground = ground = Ground(load_soil(soil), (int(cells[0]), int(cells[1])), cell)
        self.bucket = BucketTool(ground, BUCKET)
        self.blade = BladeTool(ground, 1.5, 0.5, 0.96, 0.02)
        self.plough = PloughTool(ground, 3, 0.4, 0.6, (652.0, 0.0, 5.1, 0.7, 0.5, 0.15, 0.14))
        self.dump = DumpTool(ground, BODY, 1.4, 1.6)
        ground.reset(seed, height=float(rng.uniform(-1.0, 1.0)), roughness=0.1)
        self._reach = 0.5 * cell * cells + BEYOND
        self._level = float(np.median(ground.height))
        self._drives = (self._dig, self._push, self._turn, self._tip, self._roll)
        self._at = np.zeros((len(self._drives), 6))
        self.done = 0

    def run(self, count: int) -> None:
        """Make this many strokes."""
        rng = self._rng
        for _ in range(count):
            kind = int(rng.integers(len(self._drives)))
            now = self._at[kind]
            if rng.random() < LEAP:
                now[:] = self._pose()
            ticks = int(rng.integers(*TICKS))
            goal = self._pose()
            if self._drives[kind] == self._tip and rng.random() < UNDER:
                now[:] = 0.0
                now[:3] = self._at[0, :3] - (0.5, 0.0, 1.0)
                goal[:4] = now[:4]
            way = goal - now
            way *= min(1.0, STEP * ticks / max(float(np.linalg.norm(way[:3])), STEP))
            for _ in range(ticks):
                now += way / ticks
                self._drives[kind](*now)
                self.ground.level()
            self.done += 1

    def _pose(self) -> Array:
        """Return x, y, z, yaw, pitch, roll of somewhere on the ground or just outside it."""
        rng = self._rng
        x, y = self._reach * rng.uniform(-1, 1, 2)
        z = self._level + rng.uniform(-0.5, 0.9)
        return np.array([x, y, z, *rng.uniform(-math.pi, math.pi, 2), rng.normal(0.0, 0.25)])

    def _dig(self, *at: float) -> None:
        bucket_tick(*self.bucket.tick_args, tool_pose(*at), TICK)

    def _push(self, *at: float) -> None:
        x, y, z, yaw, pitch, roll = at
        blade_tick(*self.blade.tick_args, tool_pose(x, y, z, yaw, 0.2 * pitch, roll), TICK)

    def _turn(self, *at: float) -> None:
        x, y, z, yaw, pitch, roll = at
        plough_tick(*self.plough.tick_args, tool_pose(x, y, z, yaw, 0.2 * pitch, roll), TICK)

    def _tip(self, *at: float) -> None:
        x, y, z, yaw, pitch, roll = at
        pose = tool_pose(x, y, z, yaw, 0.3 * pitch, roll)
        rotation = pose[9:18].reshape(3, 3).T.ravel()
        self.dump.tick(pose[:3], rotation, TICK)

    def _roll(self, *at: float) -> None:
        x, y, z, yaw, pitch, roll = at
        g = self.ground
        press(
            g.bank, g.loose, g.packed, g.height, g.tiles, g.prm, x, y, z, math.cos(yaw),
            math.sin(yaw), *WHEEL, 0.1 * pitch, roll, SINKAGE * abs(math.sin(pitch)),
        )  # fmt: skip


def tool_pose(x: float, y: float, z: float, yaw: float, pitch: float, roll: float) -> Array:
    """Return a pose at rest, shape (18,), of :mod:`kuwa_sim.soil`; angles as of a ship [rad]."""
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    cr, sr = math.cos(roll), math.sin(roll)
    ahead = (cy * cp, sy * cp, -sp)
    left = (cy * sp * sr - sy * cr, sy * sp * sr + cy * cr, cp * sr)
    up = (cy * sp * cr + sy * sr, sy * sp * cr - cy * sr, cp * cr)
    return np.array([x, y, z, *([0.0] * 6), *ahead, *left, *up])
