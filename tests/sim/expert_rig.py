"""The whole loop on a scenario's ground, for tests of experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kuwa_hardware.gate import Gate
from kuwa_machines.contracts import Array, Task
from kuwa_policies.control.tracking import TrackingController
from kuwa_policies.planning.experts import make_expert
from kuwa_sim.lockstep import Tick, run_lockstep
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import Buried, Feature, load_scenario


@dataclass
class Run:
    """What came of a run.

    Args:
        error: height above the target of each cell of the rectangle, shape (m,) [m].
        along: where the cell is along the rectangle, from its middle, shape (m,) [m].
        phases: in order. starts: of each cycle [s]. loads: of each bucket at its dump [kg].
    """

    error: Array = field(default_factory=lambda: np.zeros(0))
    along: Array = field(default_factory=lambda: np.zeros(0))
    phases: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    done: bool = False
    violations: int = 0
    duration: float = 0.0


def work(
    machine: str,
    task: Task,
    duration: float,
    seed: int = 0,
    soil: str = "sandy_loam",
    features: tuple[Feature, ...] = (),
    obstacles: tuple[Buried, ...] = (),
    until: str = "done",
    watch: Callable[[Tick, SimRobot], None] | None = None,
) -> Run:
    """Let a machine's expert work until its phase begins with ``until``."""
    scenario = load_scenario("dig_trench")
    change = {"soil": soil, "features": features, "obstacles": obstacles}
    robot = SimRobot(scenario.model_copy(update=change), machine, seed)
    robot.connect()
    assert robot.plant is not None
    start = robot.plant.terrain.height.copy()
    run = Run()

    def observe(tick: Tick) -> bool:
        phase = tick.plan.phase
        if not run.phases or run.phases[-1] != phase:
            run.phases.append(phase)
            if phase == "dump":
                run.loads.append(tick.state.tool_load)
        if tick.plan.cycle > len(run.starts):
            run.starts.append(tick.state.stamp)
        run.done = tick.plan.done
        if watch is not None:
            watch(tick, robot)
        return phase.startswith(until)

    controller, gate = TrackingController(robot.spec, robot.control_period), Gate(robot.spec)
    end = run_lockstep(robot, make_expert(robot.spec), controller, gate, task, duration, observe)
    grid = robot.plant.grid
    dx = grid.x0 + grid.cell * np.arange(grid.nx)[:, None] - task.x
    dy = grid.y0 + grid.cell * np.arange(grid.ny)[None, :] - task.y
    c, s = np.cos(task.yaw), np.sin(task.yaw)
    along, across = c * dx + s * dy, c * dy - s * dx
    inside = (np.abs(along) <= task.length / 2) & (np.abs(across) <= task.width / 2)
    target = start[inside].mean() - task.depth + task.slope * along
    run.along = along[inside]
    run.error = (robot.plant.terrain.height - target)[inside]
    run.violations, run.duration = robot.limit_violations, end.stamp
    return run
