"""Recording a log to identify from: the excitation's script run on the simulated machine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import CommandKind, JointCommand
from kuwa_machines.spec import MachineSpec
from kuwa_policies.identification import Excitation
from kuwa_policies.identification.model import functions
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import Scenario, Station, load_scenario
from kuwa_sim.world import World

SITE = "dig_trench"


def record(
    spec: MachineSpec, seconds: float, seed: int, progress: Callable[[float], None] = lambda _: None
) -> RunLog:
    """Run the excitation in lock-step on firm, level ground; return the log.

    Args:
        spec: the machine as it is simulated; the excitation knows only its data file's promises.
        seed: of the script and of the sensors' noise.
        progress: called now and then with the share that is done.
    """
    excitation = Excitation(spec, seconds, seed, SimRobot.control_period)
    site = _level(load_scenario(SITE), spec)
    robot = SimRobot(world=World(site, seed=seed, specs={spec.name: spec}))
    state = robot.reset(seed)
    names = spec.joint_names
    moved = [names.index(name) for name in functions(spec)]
    log = RunLog(names)
    log.meta = {"machine": spec.name, "seed": seed, "excitation_s": seconds}
    tick = 0
    while (u := excitation.step(state.q[moved])) is not None:
        values = np.zeros(len(names))
        values[moved] = u
        command = JointCommand(state.stamp, tick, "identify", CommandKind.VALVE, names, values)
        log.state.append(state.stamp, state.q, state.qd, state.stamp)
        log.applied.append(state.stamp, robot.write(command).ordered(names), state.stamp)
        state = robot.advance()
        tick += 1
        if tick % 500 == 0:
            progress(tick * robot.control_period / seconds)
    robot.close()
    return log


def _level(scenario: Scenario, spec: MachineSpec) -> Scenario:
    """On rough ground a machine rocks from foot to foot, which no model of its data does."""
    randomise = scenario.randomise.model_copy(update={"roughness_m": 0.0})
    machines = {spec.name: Station(machine=spec.name)}
    return scenario.model_copy(update={"randomise": randomise, "machines": machines})
