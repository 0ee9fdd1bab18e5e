"""The record of an episode: rows for the score, and whether the machine came to grief."""

from __future__ import annotations

import math
from typing import Any, Final

import mujoco
import numpy as np

from kuwa_machines.kinematics import rotation
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import Station
from kuwa_sim.score.earthwork import heaped_capacity, loose_volume
from kuwa_sim.score.judge import Score, score_run
from kuwa_sim.score.log import WorkLog
from kuwa_sim.score.maps import Maps

ROW_EVERY: Final = 10
"""Ticks between two rows of the record."""
STEEPEST: Final = math.cos(math.radians(60.0))
"""A machine that leans further than this has rolled over."""
UNSTABLE: Final = (
    mujoco.mjtWarning.mjWARN_BADQPOS,
    mujoco.mjtWarning.mjWARN_BADQVEL,
    mujoco.mjtWarning.mjWARN_BADQACC,
)
"""MuJoCo counts these when a state is not finite or huge, and then begins anew by itself."""
FULL, EMPTY = 0.3, 0.1
"""A work cycle begins when a tool that held less than the one share of its capacity holds more
than the other: there is no planner here that could count."""


class Episode:
    """One machine's episode, from the reset on.

    Args:
        robot: just reset.
        station: its task and bounds.
    """

    def __init__(self, robot: SimRobot, station: Station) -> None:
        assert robot.plant is not None
        self.robot, self.station, self.plant = robot, station, robot.plant
        self.start = self.plant.terrain.height_map()
        grid = self.plant.grid
        low = grid.x0 - grid.cell / 2, grid.y0 - grid.cell / 2
        self._x = low[0], low[0] + grid.cell * grid.nx
        self._y = low[1], low[1] + grid.cell * grid.ny
        data = self.plant.site.data
        self._unstable = [data.warning[kind] for kind in UNSTABLE]
        self._soil = self.plant.terrain.soil
        self._capacity = heaped_capacity(robot.spec) or math.inf
        self._rows: list[tuple[Any, ...]] = []
        self._tick = self._cycle = 0
        self._empty = True
        self._energy = 0.0
        self._note()

    def tick(self) -> None:
        """Take note of a control period that has passed."""
        self._tick += 1
        if self._tick % ROW_EVERY == 0:
            self._note()

    def _note(self) -> None:
        plant = self.plant
        load = plant.tool_load
        share = loose_volume(load, self._soil) / self._capacity
        if self._empty and share > FULL:
            self._cycle += 1
            self._empty = False
        elif share < EMPTY:
            self._empty = True
        # Mean power since the row before, so that its integral is the energy.
        power = (plant.energy - self._energy) / (ROW_EVERY * self.robot.control_period)
        self._energy = plant.energy
        self._rows.append((
            plant.time, plant.q, plant.qd, self._cycle, power, load, plant.base_position,
            plant.base_quaternion_wxyz, plant.base_velocity[:3], plant.tool.points,
        ))  # fmt: skip

    def trouble(self) -> str:
        """Return what went wrong in words, or ``""``."""
        plant = self.plant
        if any(warning.number for warning in self._unstable):
            return "the state is not finite"
        x, y, _ = plant.base_position.tolist()
        _, qx, qy, _ = plant.base_quaternion_wxyz.tolist()
        if 1 - 2 * (qx * qx + qy * qy) < STEEPEST:
            return "the machine rolled over"
        if not (self._x[0] <= x <= self._x[1] and self._y[0] <= y <= self._y[1]):
            return "the machine left the ground"
        return ""

    def score(self) -> Score:
        """Return what the episode is worth up to now."""
        t, q, qd, cycle, power, load, position, attitude, velocity, points = (
            np.array(column) for column in zip(*self._rows, strict=True)
        )
        forward = np.array([rotation(row)[:, 0] for row in attitude])
        log = WorkLog(
            t, q, cycle.astype(np.int64), np.zeros(len(t), dtype=bool), power, qd=qd, load=load,
            position=position, heading=np.arctan2(forward[:, 1], forward[:, 0]),
            velocity=velocity, points=points,
        )  # fmt: skip
        ground = self.plant.terrain
        bodies = [body.obstacle for body in self.robot.world.scenario.obstacles]
        maps = Maps(self.start, ground.height_map(), bodies)
        return score_run(self.station, maps, log, self.robot.spec, ground.soil)
