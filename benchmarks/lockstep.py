"""Speed of the simulation without ROS: the plant alone, and the whole loop with all cores.

The plant alone is driven by the commands of a whole dig, recorded before, so that it digs, carries
and dumps as in the loop. One thread; the first ticks, which load compiled kernels, are left out. Of
three digs the one with the middle mean counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_hardware.gate import Gate
from kuwa_machines.contracts import JointCommand
from kuwa_policies.control.controllers import DEFAULT, make_controller
from kuwa_policies.planning.experts import make_expert
from kuwa_sim.lockstep import Tick, run_lockstep
from kuwa_sim.robot import SimRobot

DIGS = 3
WARM_UP = 50
DURATION = 240.0


def measure() -> Iterator[Figure]:
    """Dig a trench in the loop and once more with the plant alone, three times."""
    loops, plants = [], []
    for _ in range(DIGS):
        loop, plant, period = _dig()
        loops.append(loop[WARM_UP:])
        plants.append(plant[WARM_UP:])
    yield from _figures("loop", sorted(loops, key=np.mean)[DIGS // 2], period)
    yield from _figures("plant", sorted(plants, key=np.mean)[DIGS // 2], period)


def _dig() -> tuple[np.ndarray, np.ndarray, float]:
    """Return the wall time of each tick in the loop and of the plant alone [s], and the period."""
    robot = SimRobot("dig_trench", seed=0)
    assert robot.task is not None
    robot.connect()
    commands: list[JointCommand] = []
    wall: list[float] = []

    def observe(tick: Tick) -> None:
        commands.append(tick.output.applied)
        wall.append(time.perf_counter())

    controller = make_controller(DEFAULT, robot.spec, robot.control_period)
    run_lockstep(
        robot, make_expert(robot.spec), controller, Gate(robot.spec), robot.task, DURATION, observe
    )

    robot.reset(0)
    plant = []
    for command in commands:
        robot.write(command)
        began = time.perf_counter()
        robot.advance()
        plant.append(time.perf_counter() - began)
    robot.close()
    return np.diff(wall), np.array(plant), robot.control_period


def _figures(what: str, seconds: np.ndarray, period: float) -> Iterator[Figure]:
    ms = 1e3 * seconds
    goals = (">= 20", "<= 0.5") if what == "loop" else ("", "")
    yield Figure(f"lockstep.{what}.real_time_factor", period / seconds.mean(), "1", goals[0])
    yield Figure(f"lockstep.{what}.tick_mean", ms.mean(), "ms", goals[1])
    yield Figure(f"lockstep.{what}.tick_median", float(np.median(ms)), "ms")
    yield Figure(f"lockstep.{what}.tick_p99", float(np.percentile(ms, 99)), "ms")
