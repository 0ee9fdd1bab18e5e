"""The whole loop without ROS: the plant waits for the command, so a seed repeats bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import (
    SPIKE_STATS_PERIOD,
    CommandKind,
    Controller,
    Gate,
    GateOutput,
    GroundTruth,
    JointCommand,
    MachineState,
    Mode,
    Plan,
    Planner,
    SimulatedRobot,
    SpikeStats,
    Spiking,
    Task,
    TerrainMemory,
)
from kuwa_machines.errors import KuwaError


@dataclass(frozen=True, slots=True)
class Tick:
    """Everything that happened to one machine in one control period.

    Args:
        spikes: ten times a second, where the controller has neurons.
    """

    state: MachineState
    truth: GroundTruth
    plan: Plan
    request: JointCommand
    output: GateOutput
    spikes: SpikeStats | None = None


class Stack:
    """Planner, controller and gate of one machine, from its state to its valves.

    Args:
        robot: connected and reset.
        planner, controller, gate: its cores.
        task: of the planner.

    Raises:
        KuwaError: the planner's period is no whole number of ticks, or the gate refuses to arm.
    """

    def __init__(
        self,
        robot: SimulatedRobot,
        planner: Planner,
        controller: Controller,
        gate: Gate,
        task: Task,
    ) -> None:
        every = round(planner.period / robot.control_period)
        if every < 1 or abs(every * robot.control_period - planner.period) > 1e-9:
            raise KuwaError(
                f"planner period {planner.period} s is no multiple of the control period "
                f"{robot.control_period} s"
            )
        self.robot = robot
        self._planner, self._controller, self._gate = planner, controller, gate
        self._every = every
        self._spiking = controller if isinstance(controller, Spiking) else None
        self._spikes_every = max(round(SPIKE_STATS_PERIOD / robot.control_period), 1)
        self._terrain = TerrainMemory()
        self._names = robot.spec.joint_names
        self._applied = np.zeros(len(self._names))
        self._ticks = 0
        state = robot.read()
        planner.reset(task)
        controller.reset(state)
        gate.step(state.stamp, state, None)
        for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
            granted, why = gate.set_mode(mode, "lockstep")
            if not granted:
                raise KuwaError(f"the gate refuses mode {mode}: {why}")

    def tick(self) -> Tick:
        """Command the robot on its newest state."""
        robot, state = self.robot, self.robot.read()
        ground = self._terrain.update(state)
        if self._ticks % self._every == 0:
            if ground is None:
                raise KuwaError("the robot gave no terrain at its first tick")
            self.plan = self._planner.step(state, ground)
        self._ticks += 1
        values = self._controller.step(state, self.plan.trajectory, self._applied)
        request = JointCommand(
            state.stamp, self._ticks, "control", CommandKind.VALVE, self._names, values
        )
        output = self._gate.step(state.stamp, state, request)
        self._applied = robot.write(output.applied).ordered(self._names)
        spikes = None
        if self._spiking is not None and self._ticks % self._spikes_every == 0:
            spikes = self._spiking.spike_stats()
        return Tick(state, robot.truth(), self.plan, request, output, spikes)


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
        KuwaError: as :class:`Stack` does, or what a core raises.
    """
    stack = Stack(robot, planner, controller, gate, task)
    each = None if observe is None else (lambda ticks: observe(ticks[""]))
    run_together({"": stack}, robot.advance, duration, each)
    return robot.read()


def run_together(
    stacks: Mapping[str, Stack],
    advance: Callable[[], object],
    duration: float,
    observe: Callable[[dict[str, Tick]], bool | None] | None = None,
) -> None:
    """Run the stacks of machines in one world until every task is done or time is up.

    Args:
        stacks: by the machine's name.
        advance: advances the world one control period.
        duration: longest simulated time [s].
        observe: called after each tick with what happened to each machine; True ends the run.
    """
    robots = [stack.robot for stack in stacks.values()]
    for _ in range(round(duration / robots[0].control_period)):
        ticks = {name: stack.tick() for name, stack in stacks.items()}
        if observe is not None and observe(ticks):
            break
        advance()
        if all(tick.plan.done for tick in ticks.values()):
            break
    for robot in robots:
        robot.neutral()
