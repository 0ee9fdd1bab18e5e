"""The whole loop without ROS: the plant waits for the command, so a seed repeats bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import (
    CommandKind,
    Controller,
    Gate,
    GateOutput,
    JointCommand,
    MachineState,
    Mode,
    Plan,
    Planner,
    SimulatedRobot,
    Task,
    TerrainMemory,
)
from kuwa_machines.errors import KuwaError


@dataclass(frozen=True, slots=True)
class Tick:
    """Everything that happened in one control period."""

    state: MachineState
    plan: Plan
    request: JointCommand
    output: GateOutput


def run_lockstep(
    robot: SimulatedRobot,
    planner: Planner,
    controller: Controller,
    gate: Gate,
    task: Task,
    duration: float,
    observe: Callable[[Tick], bool | None] | None = None,
) -> MachineState:
    """Run sense → plan → track → gate → actuate until the task is done or time is up.

    Args:
        robot: connected and reset.
        duration: longest simulated time [s].
        observe: called after each tick; returning True ends the run.

    Returns:
        The last state.

    Raises:
        KuwaError: the planner's period is no whole number of ticks, or the gate refuses to arm.
    """
    every = round(planner.period / robot.control_period)
    if every < 1 or abs(every * robot.control_period - planner.period) > 1e-9:
        raise KuwaError(
            f"planner period {planner.period} s is no multiple of the control period "
            f"{robot.control_period} s"
        )
    names = robot.spec.joint_names
    state = robot.read()
    terrain = TerrainMemory()
    planner.reset(task)
    controller.reset(state)
    applied = np.zeros(len(names))
    gate.step(state.stamp, state, None)
    for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
        granted, why = gate.set_mode(mode, "lockstep")
        if not granted:
            raise KuwaError(f"the gate refuses mode {mode}: {why}")

    for tick in range(round(duration / robot.control_period)):
        ground = terrain.update(state)
        if tick % every == 0:
            if ground is None:
                raise KuwaError("the robot gave no terrain at its first tick")
            plan = planner.step(state, ground)
        values = controller.step(state, plan.trajectory, applied)
        request = JointCommand(state.stamp, tick + 1, "control", CommandKind.VALVE, names, values)
        output = gate.step(state.stamp, state, request)
        applied = robot.write(output.applied).ordered(names)
        if observe is not None and observe(Tick(state, plan, request, output)):
            break
        state = robot.advance()
        if plan.done:
            break
    robot.neutral()
    return state
